"""Reading image files as people see them: upright, eight bits, RGB."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from synthbench.errors import SynthbenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def open_image(path: Path) -> Image.Image:
    """The image upright, in mode RGB, whatever its file holds: grey, palette, alpha, CMYK or 16 bits.

    Raises SynthbenchError where it is missing or does not open.
    """
    try:
        with Image.open(path) as file:
            file.load()
            upright = ImageOps.exif_transpose(file)
    except FileNotFoundError:
        raise SynthbenchError(f"{path}: no such image") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SynthbenchError(f"{path}: not an image that opens ({error})") from None
    if upright.mode.startswith("I"):  # 16 bits grey: Pillow would clip at 255 instead of scaling
        wide = np.asarray(upright, np.float64)
        upright = Image.fromarray((wide / (65535 if wide.max() > 255 else 255) * 255).astype(np.uint8))
    return upright.convert("RGB")


def read_image(path: Path) -> NDArray[np.uint8]:
    """The image as uint8 (H, W, 3), RGB, upright. Raises as `open_image` does."""
    return np.asarray(open_image(path), np.uint8)


def write_image(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Writes uint8 (H, W, 3) RGB, losslessly where the suffix allows. Raises ValueError for another shape or type."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"an image must be uint8 (H, W, 3), not {pixels.dtype} {pixels.shape}")
    Image.fromarray(pixels).save(path)
