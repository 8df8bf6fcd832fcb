"""`matches.npz`: what the detections of a cell matched, exact, so that AP of any weighting of the test images needs no matching.

The arrays, for I images, D detections (at most 100 of an image and a label, as COCO keeps them), G true boxes, A = 4 area ranges
(all, small, medium, large) and T = 10 IoU thresholds (.50:.05:.95):

| array | shape | dtype | content |
|---|---|---|---|
| version | () | uint8 | 1 |
| detections | (I,) | unsigned | the number of detections of each image |
| label | (D,) | unsigned | the label of each detection, by image, then by label, then by descending score |
| score | (D,) | float64 | the score of each detection |
| hit | (A, T, ceil(D / 8)) | uint8 | bits: the detection is a true positive |
| ignored | (A, T, ceil(D / 8)) | uint8 | bits: it is neither true nor false positive |
| truths | (I,) | unsigned | the number of true boxes of each image, crowds included |
| truth_label | (G,) | unsigned | the label of each true box, by image |
| truth_counts | (A, ceil(G / 8)) | uint8 | bits: the true box counts: no crowd, and within the area range |

"unsigned" is the smallest of uint8, uint16 and uint32 that holds the values. Bits are in the order of `numpy.packbits`, the
first one highest, along the last axis; the last byte is filled with zeros. Nothing in the file is a pickle.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthbench.metrics.matching import Matches, ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

MATCHES = "matches.npz"
VERSION = 1


def write_matches(path: Path, matches: Matches) -> None:
    """Writes all fields of `matches` to a file."""
    np.savez_compressed(
        path,
        version=np.uint8(VERSION),
        detections=_small(np.bincount(matches.image, minlength=matches.images)),
        label=_small(matches.label),
        score=matches.score,
        hit=np.packbits(matches.hit, axis=-1),
        ignored=np.packbits(matches.ignored, axis=-1),
        truths=_small(np.bincount(matches.truth_image, minlength=matches.images)),
        truth_label=_small(matches.truth_label),
        truth_counts=np.packbits(matches.truth_counts, axis=-1),
    )


def read_matches(path: Path) -> Matches:
    """What `write_matches` wrote. Raises ValueError if the file is of another version."""
    with np.load(path) as arrays:
        if (version := int(arrays["version"])) != VERSION:
            raise ValueError(f"{path.name} is of version {version}; this synthbench reads version {VERSION}")
        detections, truths = arrays["detections"], arrays["truths"]
        image, label = np.repeat(np.arange(len(detections)), detections), arrays["label"].astype(np.int64)
        truth_image = np.repeat(np.arange(len(truths)), truths)
        return Matches(
            images=len(detections),
            image=image,
            label=label,
            score=arrays["score"],
            rank=ranks(image, label),
            hit=_bits(arrays["hit"], len(image)),
            ignored=_bits(arrays["ignored"], len(image)),
            truth_image=truth_image,
            truth_label=arrays["truth_label"].astype(np.int64),
            truth_counts=_bits(arrays["truth_counts"], len(truth_image)),
        )


def _small(values: NDArray[np.int64]) -> NDArray[Any]:
    """The same values in the smallest unsigned type that holds them."""
    return values.astype(np.min_scalar_type(values.max(initial=0)))


def _bits(packed: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    return np.unpackbits(packed, axis=-1, count=count).astype(np.bool_)
