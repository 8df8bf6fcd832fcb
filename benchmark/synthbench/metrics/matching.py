"""Matches detections to true boxes by the rules of `evaluateImg` in cocoapi's `cocoeval.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synthbench.contract.types import Boxes
from synthbench.metrics.overlap import box_areas, iou_matrix

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
    return match_both(truth, predictions, ious, areas, limit)[0]


def match_both(
    truth: Sequence[Boxes],
    predictions: Sequence[Boxes],
    ious: NDArray[np.float64] = IOUS,
    areas: NDArray[np.float64] = AREAS,
    limit: int | None = LIMITS[-1],
) -> tuple[Matches, NDArray[np.bool_]]:
    """What `match` returns, and which true boxes a detection matched: bool (A, T, G), for crowds always False."""
    if len(truth) != len(predictions):
        raise ValueError(f"{len(truth)} images with true boxes, {len(predictions)} with predictions")
    real, real_image = stack(truth)
    found, found_image = stack(predictions)
    kept, rank = ranked(found, found_image, limit)
    found, found_image = found.keep(kept), found_image[kept]
    counts = _within(real, areas) & ~real.crowd
    pairs = _pairs((found, found_image), (real, real_image), len(truth), min(ious[0], 1 - 1e-10))
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
    return matches, ~free


def ranks(image: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """The position of each detection among those of its image and label, which follow one another: int64 (D,), from 0."""
    position = np.arange(len(image))
    first = np.ones(len(image), np.bool_)
    first[1:] = (np.diff(image) != 0) | (np.diff(label) != 0)
    return position - np.maximum.accumulate(np.where(first, position, 0))


@dataclass(frozen=True, eq=False)
class _Pairs:
    """P pairs of a detection and a true box of the same image and label that overlap enough to match."""

    detection: NDArray[np.int64]
    truth: NDArray[np.int64]
    iou: NDArray[np.float64]


def stack(images: Sequence[Boxes]) -> tuple[Boxes, NDArray[np.int64]]:
    """The boxes of all images as one `Boxes`, and the image number of each box."""
    rows = (Boxes.none(), *images)
    stacked = Boxes(
        xyxy=np.concatenate([boxes.xyxy for boxes in rows]),
        labels=np.concatenate([boxes.labels for boxes in rows]),
        scores=np.concatenate([boxes.scores for boxes in rows]),
        crowd=np.concatenate([boxes.crowd for boxes in rows]),
    )
    return stacked, np.repeat(np.arange(len(images)), [len(boxes) for boxes in images])


def ranked(boxes: Boxes, image: NDArray[np.int64], limit: int | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which detections `match` keeps: their positions in `boxes`, in the order of `Matches`, and their ranks; int64 (D,)."""
    order = np.lexsort((-boxes.scores, boxes.labels, image))
    rank = ranks(image[order], boxes.labels[order])
    kept = rank < (len(boxes) if limit is None else limit)
    return order[kept], rank[kept]


def _pairs(found: tuple[Boxes, NDArray[np.int64]], real: tuple[Boxes, NDArray[np.int64]], images: int, floor: float) -> _Pairs:
    """All pairs whose IoU is at least `floor`."""
    (boxes, image), (others, other_image) = found, real
    edges, other_edges = (np.searchsorted(column, np.arange(images + 1)).tolist() for column in (image, other_image))
    near: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    for number in range(images):
        here, there = slice(*edges[number : number + 2]), slice(*other_edges[number : number + 2])
        # All labels of the image at once: the extra pairs cost less than one call per label.
        iou = iou_matrix(boxes.xyxy[here], others.xyxy[there], others.crowd[there])
        rows, columns = np.nonzero((iou >= floor) & (boxes.labels[here, None] == others.labels[there]))
        near.append((rows + here.start, columns + there.start, iou[rows, columns]))
    if not near:
        return _Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return _Pairs(*(np.concatenate(column) for column in zip(*near, strict=True)))


def _assign(
    pairs: _Pairs, counts: NDArray[np.bool_], crowd: NDArray[np.bool_], detections: int, ious: NDArray[np.float64]
) -> tuple[list[int], list[int], list[int]]:
    """COCO's matching for all area ranges and thresholds at once: each of these settings is a bit of an integer.

    In each setting the detections are matched greedily by descending score: each takes the unmatched true box of highest IoU
    (the last one if several are equal), first among boxes that count, then among the others. Crowds can match repeatedly.
    Returns for each detection the bits of the settings in which it took a box that counts, and in which it took another, and
    for each true box the bits of the settings in which it stayed free.
    """
    # A pair is a candidate in the settings whose threshold it reaches: first where its true box counts, then where it does not.
    width = len(ious)
    shifts = width * np.arange(len(counts))
    levels = np.searchsorted(np.minimum(ious, 1 - 1e-10), pairs.iou, side="right")
    reached = ((1 << levels) - 1) * (1 << shifts).sum()
    regular = (((1 << width) - 1 << shifts) @ counts)[pairs.truth]
    bids = np.concatenate([reached & regular, reached & ~regular])
    second = np.repeat([0, 1], len(pairs.iou))
    detection, truth, iou = (np.tile(column, 2) for column in (pairs.detection, pairs.truth, pairs.iou))
    order = np.lexsort((-truth, -iou, second, detection))
    order = order[bids[order] != 0]

    free, reusable = [(1 << width * len(counts)) - 1] * len(crowd), crowd.tolist()
    taken = [0] * detections, [0] * detections
    for bid, late, one, other in zip(*(column[order].tolist() for column in (bids, second, detection, truth)), strict=True):
        take = bid & free[other] & ~(taken[0][one] | taken[1][one])
        taken[late][one] |= take
        if not reusable[other]:
            free[other] &= ~take
    return *taken, free


def _flags(bits: list[int], areas: int, ious: int) -> NDArray[np.bool_]:
    """The bits of each of D integers as bool (areas, ious, D)."""
    flags = np.array(bits, np.int64) >> np.arange(areas * ious)[:, None]
    return (flags & 1).astype(np.bool_).reshape(areas, ious, -1)


def _within(boxes: Boxes, areas: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each box's area is in each range: bool (A, N)."""
    area = box_areas(boxes.xyxy)
    return np.logical_and(area >= areas[:, :1], area <= areas[:, 1:])
