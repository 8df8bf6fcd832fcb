"""AP of resampled test images from kept matches: the paired bootstrap (Efron and Tibshirani, 1993, chapter 6)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from synthbench.metrics.scores import RECALLS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from synthbench.metrics.matching import Matches

    Weights = NDArray[np.signedinteger]
    Needed = Callable[[bytes], NDArray[np.int32]]

MOST = 2**31 - 1  # the compiled loop counts in int32
KEPT = 128  # numbers of true boxes on all resamples, of a category, whose `_needed` is kept: half a MB each for 1,000 resamples


def draws(images: int, count: int, seed: int, groups: ArrayLike | None = None) -> Weights:
    """How often each of `count` bootstrap resamples draws each image: (count, images), int16 (int32 from 32,768 units on).

    A resample draws as many units as there are, with replacement. A unit is an image, or a group of images that are not
    independent, such as the frames of a video or the photographs of a row of trees; its images are drawn together.
    groups: (images,), the group of each image, of any type that can be sorted. The first resamples do not depend on `count`.
    Raises ValueError if `groups` does not have one entry for each image.
    """
    unit, units = np.arange(images), images
    if groups is not None:
        named = np.asarray(groups)
        if named.shape != (images,):
            raise ValueError(f"groups {named.shape} for {images} images: there should be one for each image")
        unit = np.unique(named, return_inverse=True)[1]
        units = int(unit.max(initial=-1)) + 1
    rng = np.random.default_rng(seed)
    drawn: Weights = np.zeros((count, units), np.int16) if units < 2**15 else np.zeros((count, units), np.int32)
    if units:
        for row in drawn:
            row[:] = np.bincount(rng.integers(units, size=units), minlength=units)
    return drawn[:, unit]


def resample(matches: Sequence[Matches], categories: int, weights: Weights) -> NDArray[np.float64]:
    """AP (IoU .50:.05:.95, all areas) of each cell when image i counts `weights[r, i]` times: float64 (cells, R).

    matches: one for each cell, of the same test images in the same order. weights: (R, images), integers from 0; all cells
    share them, so differences between cells are paired. AP is the mean over the categories with true boxes that count in the
    resample, NaN if there are none. It equals `evaluate` of the list in which each image is repeated in place.
    The first call compiles for seconds, or reads compiled code from the disk (see `resampling`).
    Raises ValueError if numbers of images differ, or a weight is negative, no integer or too large.
    """
    from synthbench.metrics.resampling import LANES

    packed = _packed(weights, LANES)
    for cell, kept in enumerate(matches):
        if kept.images != weights.shape[1]:
            raise ValueError(f"cell {cell} has {kept.images} images, the weights are of {weights.shape[1]}")
        if max(len(kept.image), len(kept.truth_image)) * int(packed.max(initial=0)) > MOST:  # perhaps; seldom worth a look
            _refuse_large(kept, weights)
    # Cells mostly have the same true boxes, and with few detections this takes longer than the loop.
    needed = lru_cache(KEPT)(lambda truths: _needed(np.frombuffer(truths, np.int64), len(packed), LANES))
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the compiled loop lets other threads go on
        rows = pool.map(lambda kept: _resampled(kept, categories, weights, packed, needed), matches)
        return np.array([*rows]).reshape(len(matches), len(weights))


def _resampled(kept: Matches, categories: int, weights: Weights, packed: NDArray[np.int32], needed: Needed) -> NDArray[np.float64]:
    """AP of one cell on each resample: (R,). packed: the weights as the loop reads them. needed: `_needed` of the bytes of truths."""
    from synthbench.metrics.resampling import LANES, add_precision

    wanted = len(weights)
    packed = packed.copy()  # the loop writes into its last row
    total, defined = np.zeros(wanted), np.zeros(wanted, np.int64)
    for label in range(categories):
        truths = weights.astype(np.int64) @ _counted(kept, label)
        image, ties, hit, counted = _ordered(kept, label)
        sums = np.zeros((len(packed), LANES))
        add_precision(image, ties, hit, counted, packed, needed(truths.tobytes()), sums)
        average = sums.reshape(-1)[:wanted] / (len(hit) * len(RECALLS))
        total += np.where(truths > 0, average, 0.0)
        defined += truths > 0
    mean: NDArray[np.float64] = np.divide(total, defined, out=np.full(wanted, np.nan), where=defined > 0)
    return mean


def _packed(weights: Weights, lanes: int) -> NDArray[np.int32]:
    """The weights as the loop reads them: int32 (ceil(R / lanes), images + 1, lanes), padded with zeros."""
    if weights.ndim != 2 or not np.issubdtype(weights.dtype, np.integer):
        raise ValueError(f"weights should be integers (R, images), not {weights.dtype} {weights.shape}")
    if weights.size and (weights.min() < 0 or weights.max() > MOST):
        raise ValueError(f"a weight is {weights.min()} or {weights.max()}, and should be from 0 to {MOST}")
    groups = -(-len(weights) // lanes)
    padded = np.zeros((groups * lanes, weights.shape[1] + 1), np.int32)
    padded[: len(weights), :-1] = weights
    return np.ascontiguousarray(padded.reshape(groups, lanes, weights.shape[1] + 1).transpose(0, 2, 1))


def _refuse_large(kept: Matches, weights: Weights) -> None:
    """Raises ValueError if a resample has more detections or true boxes than the loop can count."""
    for image in (kept.image, kept.truth_image):
        boxes = weights.astype(np.float64) @ np.bincount(image, minlength=kept.images)
        if boxes.max(initial=0) > MOST:
            raise ValueError(f"a resample has {boxes.max():.3g} boxes; at most {MOST} can be counted")


def _counted(kept: Matches, label: int) -> NDArray[np.int64]:
    """How many true boxes of a label count in each image: int64 (images,)."""
    of_label = kept.truth_counts[0] & (kept.truth_label == label)
    return np.bincount(kept.truth_image[of_label], minlength=kept.images)


def _ordered(kept: Matches, label: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_], NDArray[np.bool_]]:
    """The detections of a label by descending score, those of equal score by image, as `summarize` orders them.

    Returns image (D,); ties (D,), how many detections from here on have the same image and score, at the first of them, and
    0 at the others; hit and counted, bool (T, D), true positive, and true or false positive.
    """
    rows = np.flatnonzero(kept.label == label)
    rows = rows[np.argsort(-kept.score[rows], kind="stable")]
    image, score = kept.image[rows], kept.score[rows]
    first = np.ones(len(rows), np.bool_)
    first[1:] = (image[1:] != image[:-1]) | (score[1:] != score[:-1])
    starts = np.flatnonzero(first)
    ties = np.zeros(len(rows), np.int32)
    ties[starts] = np.diff(starts, append=len(rows))
    return image.astype(np.int32), ties, np.ascontiguousarray(kept.hit[0][:, rows]), np.ascontiguousarray(~kept.ignored[0][:, rows])


def _needed(truths: NDArray[np.int64], groups: int, lanes: int) -> NDArray[np.int32]:
    """How many hits reach each of RECALLS: int32 (groups, 102, lanes); MOST without true boxes, and as the last one.

    The first n with n / truths >= recall in float64, as `searchsorted` in `summarize` finds it.
    """
    known = np.maximum(truths, 1)[:, None]
    hits = np.ceil(RECALLS * known)
    hits = np.where((hits - 1) / known >= RECALLS, hits - 1, hits)
    hits = np.where(hits / known < RECALLS, hits + 1, hits)
    needed = np.full((groups * lanes, len(RECALLS) + 1), MOST, np.int32)
    needed[: len(truths), :-1] = np.where(truths[:, None] > 0, np.maximum(hits, 1), MOST)
    return np.ascontiguousarray(needed.reshape(groups, lanes, len(RECALLS) + 1).transpose(0, 2, 1))
