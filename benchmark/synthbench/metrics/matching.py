"""Matches detections to true boxes by the rules of `evaluateImg` in cocoapi's `cocoeval.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synthbench.contract.types import Boxes
from synthbench.metrics.overlap import Overlaps, box_areas, overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

# cocoeval.py, Params.setDetParams
IOUS = np.linspace(0.5, 0.95, 10)
AREAS = np.array([[0, 1e5**2], [0, 32**2], [32**2, 96**2], [96**2, 1e5**2]])
LIMITS = (1, 10, 100)


@dataclass(frozen=True, eq=False)
class Matches:
    """Which of D detections match one of G true boxes, for each of A area ranges and T IoU thresholds.

    Images are matched independently, so a bootstrap over images can weight these rows by their image.

    images: the number of images, including those without boxes.
    image, label: int64 (D,), sorted by image, then by label, then by descending score.
    score: float64 (D,).
    rank: int64 (D,), 0 for the highest score of its image and label (`ranks`).
    hit: bool (A, T, D), matched to a true box that counts (a true positive).
    ignored: bool (A, T, D), neither true nor false positive: matched to a crowd or to a box outside the area range, or
        unmatched and itself outside the range.
    truth_image, truth_label: int64 (G,), sorted by image.
    truth_counts: bool (A, G), not a crowd and within the area range.
    """

    images: int
    image: NDArray[np.int64]
    label: NDArray[np.int64]
    score: NDArray[np.float64]
    rank: NDArray[np.int64]
    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    truth_image: NDArray[np.int64]
    truth_label: NDArray[np.int64]
    truth_counts: NDArray[np.bool_]


def match(
    truth: Sequence[Boxes],
    predictions: Sequence[Boxes],
    ious: NDArray[np.float64] = IOUS,
    areas: NDArray[np.float64] = AREAS,
    limit: int | None = LIMITS[-1],
) -> Matches:
    """Matches detections to true boxes; of each image and label only the `limit` detections of highest score (None: all).

    ious: (T,), ascending, above 0. areas: (A, 2), both bounds inclusive. A * T is at most 62.
    Raises ValueError if truth and predictions differ in length.
    """
    return match_fully(truth, predictions, ious, areas, limit).matches


@dataclass(frozen=True, eq=False)
class Matching:
    """Matches, and what they were found from.

    taken: bool (A, T, G), the true boxes that a detection matched; of crowds always False.
    position: int64 (D,), where each detection stood among those of all images, as they were given.
    crowd: bool (G,), of the true boxes.
    overlaps: of detections and true boxes of any label.
    """

    matches: Matches
    taken: NDArray[np.bool_]
    position: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    overlaps: Overlaps


def match_fully(
    truth: Sequence[Boxes],
    predictions: Sequence[Boxes],
    ious: NDArray[np.float64] = IOUS,
    areas: NDArray[np.float64] = AREAS,
    limit: int | None = LIMITS[-1],
) -> Matching:
    """What `match` returns, with what it was found from."""
    if len(truth) != len(predictions):
        raise ValueError(f"{len(truth)} images with true boxes, {len(predictions)} with predictions")
    real, real_image = _stack(truth)
    found, found_image = _stack(predictions)
    kept, rank = _ranked(found, found_image, limit)
    found, found_image = found.keep(kept), found_image[kept]
    counts = _within(real, areas) & ~real.crowd
    near = overlaps((found.xyxy, found_image), (real.xyxy, real_image), real.crowd, len(truth))
    pairs = near.keep((near.iou >= min(ious[0], 1 - 1e-10)) & (found.labels[near.box] == real.labels[near.other]))
    bits = _assign(pairs, counts, real.crowd, len(found), ious)
    hit, ignored, free = (_flags(each, len(areas), len(ious)) for each in bits)
    ignored |= ~hit & ~_within(found, areas)[:, None]
    matches = Matches(
        images=len(truth),
        image=found_image,
        label=found.labels,
        score=found.scores,
        rank=rank,
        hit=hit,
        ignored=ignored,
        truth_image=real_image,
        truth_label=real.labels,
        truth_counts=counts,
    )
    return Matching(matches, ~free, kept, real.crowd, near)


def ranks(image: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """The position of each detection among those of its image and label, which follow one another: int64 (D,), from 0."""
    position = np.arange(len(image))
    first = np.ones(len(image), np.bool_)
    first[1:] = (np.diff(image) != 0) | (np.diff(label) != 0)
    return position - np.maximum.accumulate(np.where(first, position, 0))


def _stack(images: Sequence[Boxes]) -> tuple[Boxes, NDArray[np.int64]]:
    """The boxes of all images as one `Boxes`, and the image number of each box."""
    rows = (Boxes.none(), *images)
    stacked = Boxes(
        xyxy=np.concatenate([boxes.xyxy for boxes in rows]),
        labels=np.concatenate([boxes.labels for boxes in rows]),
        scores=np.concatenate([boxes.scores for boxes in rows]),
        crowd=np.concatenate([boxes.crowd for boxes in rows]),
    )
    return stacked, np.repeat(np.arange(len(images)), [len(boxes) for boxes in images])


def _ranked(boxes: Boxes, image: NDArray[np.int64], limit: int | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which detections `match` keeps: their positions in `boxes`, in the order of `Matches`, and their ranks; int64 (D,)."""
    order = np.lexsort((-boxes.scores, boxes.labels, image))
    rank = ranks(image[order], boxes.labels[order])
    kept = rank < (len(boxes) if limit is None else limit)
    return order[kept], rank[kept]


def _assign(
    pairs: Overlaps, counts: NDArray[np.bool_], crowd: NDArray[np.bool_], detections: int, ious: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """COCO's matching for all area ranges and thresholds at once: each of these settings is a bit of an integer.

    In each setting the detections are matched greedily by descending score: each takes the unmatched true box of highest IoU
    (the last one if several are equal), first among boxes that count, then among the others. Crowds can match repeatedly.
    Returns for each detection the bits of the settings in which it took a box that counts, and in which it took another, and
    for each true box the bits of the settings in which it stayed free.
    """
    from synthbench.metrics.pairing import assign

    # A pair is a candidate in the settings whose threshold it reaches: first where its true box counts, then where it does not.
    width = len(ious)
    shifts = width * np.arange(len(counts))
    levels = np.searchsorted(np.minimum(ious, 1 - 1e-10), pairs.iou, side="right")
    reached = ((1 << levels) - 1) * (1 << shifts).sum()
    regular = (((1 << width) - 1 << shifts) @ counts)[pairs.other]
    bids = np.concatenate([reached & regular, reached & ~regular])
    second = np.repeat([0, 1], len(pairs.iou))
    detection, truth, iou = (np.tile(column, 2) for column in (pairs.box, pairs.other, pairs.iou))
    order = np.lexsort((-truth, -iou, second, detection))
    order = order[bids[order] != 0]

    taken = np.zeros((2, detections), np.int64)
    free = np.full(len(crowd), (1 << width * len(counts)) - 1)
    assign(*(column[order] for column in (bids, second, detection, truth)), crowd, taken, free)
    return taken[0], taken[1], free


def _flags(bits: NDArray[np.int64], areas: int, ious: int) -> NDArray[np.bool_]:
    """The bits of each of D integers as bool (areas, ious, D)."""
    flags = bits >> np.arange(areas * ious)[:, None]
    return (flags & 1).astype(np.bool_).reshape(areas, ious, -1)


def _within(boxes: Boxes, areas: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each box's area is in each range: bool (A, N)."""
    area = box_areas(boxes.xyxy)
    return np.logical_and(area >= areas[:, :1], area <= areas[:, 1:])
