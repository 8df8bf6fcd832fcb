"""COCO's AP and AR, by the rules of `accumulate` and `summarize` in cocoapi's `cocoeval.py`, and precision and recall at one IoU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synthbench.metrics.matching import AREAS, IOUS, LIMITS, Matches, match

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthbench.contract.types import Boxes

RECALLS = np.linspace(0, 1, 101)
"""cocoeval.py, Params.setDetParams"""


@dataclass(frozen=True)
class Counts:
    """True positives, false positives and misses. A ratio is None if its denominator is 0."""

    hits: int
    false_positives: int
    misses: int

    @property
    def precision(self) -> float | None:
        """The share of detections that are true positives."""
        return self.hits / (self.hits + self.false_positives) if self.hits + self.false_positives else None

    @property
    def recall(self) -> float | None:
        """The share of true boxes that were found."""
        return self.hits / (self.hits + self.misses) if self.hits + self.misses else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall."""
        total = 2 * self.hits + self.false_positives + self.misses
        return 2 * self.hits / total if total else None


def evaluate(truth: Sequence[Boxes], predictions: Sequence[Boxes], categories: int) -> dict[str, float | None]:
    """COCO's twelve metrics, from 0 to 1. Truth and predictions have one `Boxes` per image.

    AP over IoU .50:.05:.95, AP50, AP75, and APs, APm, APl by area; AR1, AR10, AR100 with at most that many detections of a
    category per image, and ARs, ARm, ARl by area. A metric is None if no true box counts for it (COCO writes -1).
    Raises ValueError if the two differ in length or a label is not from 0 to `categories` - 1.
    """
    check_labels(truth, predictions, categories)
    return summarize(match(truth, predictions), categories)


def check_labels(truth: Sequence[Boxes], predictions: Sequence[Boxes], categories: int) -> None:
    """Raises ValueError if a label is not from 0 to `categories` - 1."""
    for side, images in (("truth", truth), ("predictions", predictions)):
        for number, boxes in enumerate(images):
            if ((boxes.labels < 0) | (boxes.labels >= categories)).any():
                raise ValueError(f"{side}, image {number}: a label is not within 0 to {categories - 1}")


def precision_recall(truth: Sequence[Boxes], predictions: Sequence[Boxes], iou: float = 0.5) -> Counts:
    """True positives, false positives and misses at one IoU over all images, by label; each true box matches at most once.

    Detections are matched as in COCO, without a limit on their number. Crowds and the detections matched to them are ignored.
    """
    matches = match(truth, predictions, np.array([iou]), np.array([[-np.inf, np.inf]]), limit=None)
    hits = int(matches.hit.sum())
    return Counts(hits, int((~matches.hit & ~matches.ignored).sum()), int(matches.truth_counts.sum()) - hits)


def summarize(matches: Matches, categories: int) -> dict[str, float | None]:
    """The metrics of `evaluate`, from matches at COCO's thresholds, areas and limit: means over categories with true boxes."""
    return _means(*_by_category(matches, categories))


def summarize_each(matches: Matches, categories: int) -> list[dict[str, float | None]]:
    """The metrics of `evaluate` of each category alone, from the same matches; None where it has no true box that counts.

    The mean of a metric over the categories that have it is what `summarize` returns.
    """
    precision, recall = _by_category(matches, categories)
    return [_means(precision[label : label + 1], recall[label : label + 1]) for label in range(categories)]


def _by_category(matches: Matches, categories: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision (categories, areas, IoUs, RECALLS) and recall (categories, areas, LIMITS, IoUs); NaN where there is no true box."""
    precision = np.full((categories, len(AREAS), len(IOUS), len(RECALLS)), np.nan)
    recall = np.full((categories, len(AREAS), len(LIMITS), len(IOUS)), np.nan)
    for label in range(categories):
        rows = np.flatnonzero(matches.label == label)
        rows = rows[np.argsort(-matches.score[rows], kind="stable")]
        hit, counted, rank = matches.hit[..., rows], ~matches.ignored[..., rows], matches.rank[rows]
        truths = matches.truth_counts[:, matches.truth_label == label].sum(axis=1)
        for area in np.flatnonzero(truths):
            recall[label, area] = [hit[area][:, rank < limit].sum(axis=1) / truths[area] for limit in LIMITS]
            precision[label, area] = [precision_curve(*row, truths[area]) for row in zip(hit[area], counted[area], strict=True)]
    return precision, recall


def _means(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> dict[str, float | None]:
    """COCO's twelve metrics as means over categories that have true boxes."""
    parts = {
        "AP": precision[:, 0],
        "AP50": precision[:, 0, IOUS == 0.5],
        "AP75": precision[:, 0, IOUS == 0.75],
        **{f"AP{size}": precision[:, area] for area, size in enumerate("sml", 1)},
        **{f"AR{limit}": recall[:, 0, position] for position, limit in enumerate(LIMITS)},
        **{f"AR{size}": recall[:, area, -1] for area, size in enumerate("sml", 1)},
    }
    return {name: None if np.isnan(part).all() else float(np.nanmean(part)) for name, part in parts.items()}


def precision_curve(hit: NDArray[np.bool_], counted: NDArray[np.bool_], truths: int | np.integer) -> NDArray[np.float64]:
    """The highest precision at or above each of RECALLS, from D detections by descending score; 0 if the recall is not reached.

    Only hits are used: between two hits recall is constant and precision decreases.
    """
    seen = np.cumsum(counted)[hit]
    hits = np.arange(1, len(seen) + 1)
    # cocoeval.py adds np.spacing(1) too, to avoid a division by 0; it changes the last digit.
    precision = np.maximum.accumulate((hits / (seen + np.spacing(1)))[::-1])[::-1]
    needed = np.searchsorted(hits / truths, RECALLS)
    return np.append(precision, 0.0)[needed]
