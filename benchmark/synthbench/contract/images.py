"""Reading image files upright, as RGB with eight bits per channel, and writing them."""

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
"""The formats of photographs, by Pillow's names. PostScript is left out: Pillow would have Ghostscript run such a file."""


@dataclass(frozen=True)
class Header:
    """What a file's header says of its image.

    width, height: in pixels, as stored, before EXIF's orientation is applied.
    turn: EXIF's orientation, 1 (upright) to 8; 5 to 8 swap width and height.
    plain: whether it is stored as RGB with eight bits per channel, so that every reader gets the same pixels.
    frames: how many images the file contains; the first one is read.
    deep: whether it is stored with more than eight bits per channel.
    """

    width: int
    height: int
    turn: int
    plain: bool
    frames: int = 1
    deep: bool = False

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height of the image that `open_image` returns."""
        return (self.height, self.width) if self.turn >= 5 else (self.width, self.height)


def read_header(path: Path) -> Header:
    """Reads the header, without decoding the pixels if the format allows. Raises as `open_image` does."""
    with _opened(path) as file:
        deep = file.mode.startswith("I") or any(";16" in str(piece[3]) for piece in file.tile)  # the mode of RGB with 16 bits is RGB, too
        turn = file.getexif().get(ExifTags.Base.Orientation, 1)
        width, height = file.size
        if file.format == "TIFF" and turn in range(5, 9):  # Pillow returns the upright size for these
            width, height = height, width
        plain, frames = file.mode == "RGB" and not deep, getattr(file, "n_frames", 1)
        return Header(width, height, turn if turn in range(1, 9) else 1, plain, frames, deep)


def open_image(path: Path, at_least: int = 0) -> Image.Image:
    """The image, upright and in mode RGB, converted from grey, palette, alpha, CMYK or 16 bits if necessary.

    at_least: pixels that both sides must have, if that allows to read the file faster at a smaller size; 0: full size.
    Raises SynthbenchError if the file is missing or cannot be read as an image.
    """
    with _opened(path) as file:
        if at_least:
            file.draft("RGB", (at_least, at_least))
        file.load()
        upright = ImageOps.exif_transpose(file)
        if upright.mode == "F":
            raise ValueError("its pixels are floating-point numbers; save it with 8 bits per channel")
        if upright.mode.startswith("I"):  # 16 bits grey: Pillow would clip at 255 instead of scaling
            wide = np.asarray(upright, np.float64)
            scaled = wide / (65535 if wide.max() > 255 else 255) * 255
            upright = Image.fromarray(scaled.clip(0, 255).astype(np.uint8))
        return upright.convert("RGB")


def read_image(path: Path) -> NDArray[np.uint8]:
    """The image as uint8 (H, W, 3), RGB, upright. Raises as `open_image` does."""
    return np.asarray(open_image(path), np.uint8)


def write_image(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Writes uint8 (H, W, 3) RGB, losslessly if the format of the suffix is lossless. Raises ValueError for another shape or type."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"an image must be uint8 (H, W, 3), not {pixels.dtype} {pixels.shape}")
    Image.fromarray(pixels).save(path)


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise OSError("it is not a file")
        with Image.open(path, formats=FORMATS) as file:
            yield file
    except FileNotFoundError:
        raise SynthbenchError(f"{path}: no such image") from None
    except (OSError, SyntaxError, ValueError, RuntimeError, KeyError, Image.DecompressionBombError) as error:  # Pillow raises all of these
        raise SynthbenchError(f"{path}: not a readable image ({error})") from None
