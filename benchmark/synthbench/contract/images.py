"""Reading image files as people see them: upright, eight bits, RGB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps

from synthbench.errors import SynthbenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
"""Photographs, as Pillow calls them. PostScript is a program, which Pillow would have another program run."""


@dataclass(frozen=True)
class Header:
    """What a file says of its image.

    width, height: pixels as they are stored, before any turning.
    turn: EXIF's orientation, 1 (upright) to 8; 5 to 8 swap width and height.
    plain: stored in eight bits RGB, so any reader sees the same pixels.
    """

    width: int
    height: int
    turn: int
    plain: bool

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height of the image that `open_image` gives."""
        return (self.height, self.width) if self.turn >= 5 else (self.width, self.height)


def read_header(path: Path) -> Header:
    """What the file says of its image, without decoding it where the format allows. Raises as `open_image` does."""
    with _opened(path) as file:
        deep = any(";16" in str(piece.args) for piece in file.tile)  # Pillow calls 16 bits RGB simply RGB
        turn = file.getexif().get(ExifTags.Base.Orientation, 1)
        width, height = file.size
        if file.format == "TIFF" and turn in range(5, 9):  # of these Pillow gives the upright size
            width, height = height, width
        return Header(width, height, turn if turn in range(1, 9) else 1, file.mode == "RGB" and not deep)


def open_image(path: Path) -> Image.Image:
    """The image upright, in mode RGB, whatever its file holds: grey, palette, alpha, CMYK or 16 bits.

    Raises SynthbenchError where it is missing or does not open.
    """
    with _opened(path) as file:
        file.load()
        upright = ImageOps.exif_transpose(file)
        if upright.mode == "F":
            raise ValueError("its pixels are floating-point numbers; save it with 8 bits a channel")
        if upright.mode.startswith("I"):  # 16 bits grey: Pillow would clip at 255 instead of scaling
            wide = np.asarray(upright, np.float64)
            scaled = wide / (65535 if wide.max() > 255 else 255) * 255
            upright = Image.fromarray(scaled.clip(0, 255).astype(np.uint8))
        return upright.convert("RGB")


def read_image(path: Path) -> NDArray[np.uint8]:
    """The image as uint8 (H, W, 3), RGB, upright. Raises as `open_image` does."""
    return np.asarray(open_image(path), np.uint8)


def write_image(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Writes uint8 (H, W, 3) RGB, losslessly where the suffix allows. Raises ValueError for another shape or type."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"an image must be uint8 (H, W, 3), not {pixels.dtype} {pixels.shape}")
    Image.fromarray(pixels).save(path)


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    try:
        with Image.open(path, formats=FORMATS) as file:
            yield file
    except FileNotFoundError:
        raise SynthbenchError(f"{path}: no such image") from None
    except (OSError, SyntaxError, ValueError, RuntimeError, KeyError, Image.DecompressionBombError) as error:  # Pillow raises all of these
        raise SynthbenchError(f"{path}: not an image that opens ({error})") from None
