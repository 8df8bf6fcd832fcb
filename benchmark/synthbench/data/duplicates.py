"""Finds images that look the same: the same photograph saved twice, in another format, size or quality."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from synthbench.contract.images import open_image
from synthbench.errors import SynthbenchError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 16  # pixels of the thumbnails that are compared
ALIKE = 3.0  # grey levels by which two thumbnails may differ on average
BLOCK = 512  # test images compared at a time, so that large sets fit into memory


def thumbnails(paths: Sequence[Path]) -> NDArray[np.float32]:
    """Grey thumbnails of images, float32 (N, SIDE * SIDE); NaN for an image that cannot be read."""
    rows = np.full((len(paths), SIDE * SIDE), np.nan, np.float32)
    for row, path in zip(rows, paths, strict=True):
        with suppress(SynthbenchError):
            image = open_image(path, at_least=4 * SIDE).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
            row[:] = np.asarray(image, np.float32).ravel()
    return rows


def lookalikes(first: NDArray[np.float32], second: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """For each thumbnail of `second` that looks like one of `first`, the index of the nearest one of `first`, and its own.

    The mean absolute difference is at most the root of the mean squared one, which a matrix product gives.
    """
    first, second = (np.nan_to_num(each, nan=far) for each, far in ((first, -1e4), (second, -2e4)))
    if not len(first):
        return
    squares = (first**2).sum(1)
    for start in range(0, len(second), BLOCK):
        block = second[start : start + BLOCK]
        distances = squares[:, None] + (block**2).sum(1) - 2 * first @ block.T
        nearest = distances.argmin(0)
        for offset, index in enumerate(nearest.tolist()):
            if np.abs(first[index] - block[offset]).mean() <= ALIKE:
                yield index, start + offset
