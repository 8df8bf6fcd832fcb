"""Near-duplicates: the same photograph saved again in another format, size, quality or brightness, trimmed a little, or mirrored.

Two images are near-duplicates if their perceptual hashes differ in at most `HASH_DISTANCE` of 64 bits and their grey thumbnails
correlate by at least `CORRELATION`. The hash alone is not enough: on rendered scenes, whose layout is alike, it collides.

Measured on the 320 photographs of apple trees (AppleBBCH81) that `reports/photos.md` is about, and on the scenes of
`suites/apples.toml`, mirror images included:

- False: 0 of 51,040 pairs of photographs (smallest hash distance 16, largest correlation 0.75), and 0 of 12,800 pairs of a training
  and a test scene, of which 34 collide by their hash alone (largest correlation of these 0.72).
- Missed, of 320 copies: 0 saved as JPEG of quality 30 or 10, at half size or 96 pixels, with brightness 0.7 or 1.3 or contrast 0.7,
  mirrored, or mirrored and saved as JPEG of quality 30; 3 trimmed by 5 % in width and height, evenly; 196 trimmed by 5 % at one
  corner. Of copies trimmed by 10 % more than half are missed.

Photographs of a camera that does not move look the same, too, whatever small things move in them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

HASH_DISTANCE = 14  # of 64 bits
CORRELATION = 0.8  # Pearson's, of the grey levels of two thumbnails
SIDE, LOW, THUMB = 32, 8, 16  # pixels of the image that is hashed, of its low frequencies, of the thumbnail
BLOCK = 1024  # images compared at a time, so that large sets fit into memory

# The discrete cosine transform (type II, not normalised) of SIDE values as a matrix.
_COSINES = np.cos(np.pi / SIDE * (np.arange(SIDE) + 0.5) * np.arange(SIDE)[:LOW, None])


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is compared of an image.

    digest: SHA-256 of size and pixels; equal for exact copies. hash, thumbnail: of the image and of its mirror image, as rows.
    hash: float32 (2, 64) of -1 and 1. thumbnail: float32 (2, 256), mean 0 and length 1, or all 0 if the image is of one colour.
    """

    digest: bytes
    hash: NDArray[np.float32]
    thumbnail: NDArray[np.float32]


@dataclass(frozen=True)
class Pair:
    """Near-duplicates: positions in the two sets, whether all pixels are equal, whether the second is the mirror image."""

    first: int
    second: int
    exact: bool
    mirrored: bool
    hash_distance: int
    correlation: float


def fingerprint(pixels: NDArray[np.uint8]) -> Fingerprint:
    """The fingerprint of an image, uint8 (H, W, 3), RGB."""
    grey = Image.fromarray(pixels).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    small = np.asarray(grey, np.float32)
    both = np.stack([small, small[:, ::-1]])
    digest = hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).digest()
    return Fingerprint(digest, perceptual_hash(both), _standardised(both))


def perceptual_hash(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """The hash of grey images (N, SIDE, SIDE): float32 (N, 64), 1 where a low frequency is above the median of all 64, else -1.

    Zauner, "Implementation and benchmarking of perceptual image hash functions" (2010), chapter 3; the 8 x 8 lowest frequencies of
    the cosine transform of 32 x 32 pixels, the constant one included, as in the package ImageHash.
    """
    low = (_COSINES @ grey @ _COSINES.T).reshape(len(grey), -1)
    return np.where(low > np.median(low, 1, keepdims=True), 1, -1).astype(np.float32)


def near_duplicates(first: Sequence[Fingerprint], second: Sequence[Fingerprint]) -> list[Pair]:
    """For each image of `second` that has near-duplicates in `first`, the nearest of them: exact, then by correlation."""
    if not first or not second:
        return []
    exact: dict[bytes, int] = {}
    for position, each in enumerate(first):
        exact.setdefault(each.digest, position)
    hashes, thumbs = np.stack([each.hash[0] for each in first]), np.stack([each.thumbnail[0] for each in first])
    found = []
    for start in range(0, len(second), BLOCK):
        block = second[start : start + BLOCK]
        # (2, images of the block, images of `first`)
        distances = (hashes.shape[1] - np.stack([each.hash for each in block], 1) @ hashes.T) / 2
        correlations = np.stack([each.thumbnail for each in block], 1) @ thumbs.T
        alike = np.where(distances <= HASH_DISTANCE, correlations, -1)
        for offset, each in enumerate(block):
            mirrored, position = divmod(int(alike[:, offset].argmax()), len(first))
            same = exact.get(each.digest)
            if same is not None:
                mirrored, position = 0, same
            elif alike[mirrored, offset, position] < CORRELATION:
                continue
            found.append(
                Pair(
                    first=position,
                    second=start + offset,
                    exact=same is not None,
                    mirrored=bool(mirrored),
                    hash_distance=round(float(distances[mirrored, offset, position])),
                    correlation=round(float(correlations[mirrored, offset, position]), 4),
                )
            )
    return found


def alike(images: Sequence[Fingerprint]) -> tuple[list[int], dict[int, int]]:
    """Which images of one set look the same.

    Returns the number of each image's set, those of near-duplicates being the same, also over others between; and for each image that
    has near-duplicates before it the position of the most alike.
    """
    if not images:
        return [], {}
    hashes, thumbs = np.stack([each.hash[0] for each in images]), np.stack([each.thumbnail[0] for each in images])
    sets = np.arange(len(images))
    nearest: dict[int, int] = {}
    exact: dict[bytes, int] = {}
    for start in range(0, len(images), BLOCK):
        block = images[start : start + BLOCK]
        end = start + len(block)
        distances = (hashes.shape[1] - np.stack([each.hash for each in block], 1) @ hashes[:end].T) / 2
        correlations = np.stack([each.thumbnail for each in block], 1) @ thumbs[:end].T
        scores = np.where((distances <= HASH_DISTANCE) & (correlations >= CORRELATION), correlations, 0).max(0)
        for offset, each in enumerate(block):
            position = start + offset
            row = scores[offset, :position]
            first = exact.setdefault(each.digest, position)
            same = np.flatnonzero(row)
            if first < position:
                same = np.append(same, first)
            if len(same):
                nearest[position] = first if first < position else int(row.argmax())
                joined = np.unique(np.append(sets[same], sets[position]))
                sets[:end][np.isin(sets[:end], joined)] = joined[0]
    return sets.tolist(), nearest


def _standardised(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Thumbnails of grey images (N, SIDE, SIDE), each with mean 0 and length 1; 0 where all pixels are the same: (N, THUMB ** 2)."""
    step = SIDE // THUMB
    thumbs = grey.reshape(-1, THUMB, step, THUMB, step).mean((2, 4)).reshape(len(grey), -1)
    centred = thumbs - thumbs.mean(1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    standardised: NDArray[np.float32] = np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 1e-3)
    return standardised
