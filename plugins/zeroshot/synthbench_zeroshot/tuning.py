"""Choosing thresholds and prompts on the references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from synthbench import Boxes, ImageSet, Run
from synthbench.metrics import match

from synthbench_zeroshot.finding import Finder, find
from synthbench_zeroshot.prompts import rounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

IOU = np.array([0.5])
ALL_AREAS = np.array([[0.0, 1e10]])


@dataclass(frozen=True)
class Tuned:
    """A prompt and a threshold for each category, and F1 at IoU 0.5 on the references: with these, and with the first prompts
    and the model's default threshold. The figures are None if there was nothing to measure them on."""

    prompts: tuple[str, ...]
    thresholds: tuple[float, ...]
    f1: float | None = None
    f1_untuned: float | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one round of prompts found on the references.

    scores, hits, labels: of each detection that counts, (D,), by descending score: whether it is on an object of its category.
    objects: how many there are of each category, (C,).
    """

    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    labels: NDArray[np.int64]
    objects: NDArray[np.int64]

    @classmethod
    def of(cls, truth: Sequence[Boxes], found: Sequence[Boxes], categories: int) -> Outcome:
        """Compares boxes with the truth at IoU 0.5; boxes on crowds do not count."""
        matches = match(truth, found, IOU, ALL_AREAS, limit=None)
        order = np.flatnonzero(~matches.ignored[0, 0])
        order = order[np.argsort(-matches.score[order], kind="stable")]
        objects = np.bincount(matches.truth_label[matches.truth_counts[0]], minlength=categories)
        return cls(matches.score[order], matches.hit[0, 0][order], matches.label[order], objects)

    def counts(self, category: int, threshold: float) -> tuple[int, int]:
        """How many boxes of a category a threshold keeps, and how many of these are on an object."""
        kept = (self.labels == category) & (self.scores >= threshold)
        return int(kept.sum()), int((kept & self.hits).sum())

    def f1(self, thresholds: Sequence[float]) -> float | None:
        """F1 of all categories together; None if there is neither an object nor a box."""
        kept, right = (sum(each) for each in zip(*(self.counts(number, each) for number, each in enumerate(thresholds)), strict=True))
        total = kept + int(self.objects.sum())
        return 2 * right / total if total else None

    def best(self, category: int, default: float) -> tuple[float, float]:
        """The threshold of a category with the highest F1, and that F1; the default threshold, and 0, if no box is on an object.

        Halfway between the lowest score that is kept and the highest that is not, since images that follow have other scores.
        """
        chosen = self.labels == category
        scores, right = self.scores[chosen], self.hits[chosen].cumsum()
        if not len(scores) or not right[-1]:
            return default, 0.0
        values = 2 * right / (np.arange(1, len(scores) + 1) + self.objects[category])
        values[:-1][scores[:-1] == scores[1:]] = -1  # a threshold cannot separate equal scores
        last = int(values.argmax())
        below = scores[last + 1] if last + 1 < len(scores) else 0.0
        return float((scores[last] + below) / 2), float(values[last])


def tune(
    finder: Finder,
    references: ImageSet,
    choices: Sequence[tuple[str, ...]],
    threshold: float | None,
    run: Run,
    *,
    batch_size: int,
    nms_iou: float,
) -> Tuned:
    """The prompt of each category that reaches the highest F1 on the references, and the threshold at which it does.

    choices: the candidates of each category. threshold: None to choose one; otherwise the prompts alone are chosen.
    """
    usual = finder.default_threshold if threshold is None else threshold
    labelled = references.subset(number for number, picture in enumerate(references) if picture.boxes is not None)
    tried = rounds(choices)
    if not sum(len(picture.boxes or ()) for picture in labelled):
        run.note("the references have no boxes, so nothing could be tuned on them")
        return Tuned(tried[0], (usual,) * len(choices))
    if len(tried) == 1 and threshold is not None:
        return Tuned(tried[0], (usual,) * len(choices))
    truth = [picture.boxes or Boxes.none() for picture in labelled]

    def outcome(prompts: tuple[str, ...], label: str) -> Outcome:
        pictures = run.track(labelled, label, unit="images")
        return Outcome.of(truth, list(find(finder, pictures, prompts, batch_size=batch_size, nms_iou=nms_iou)), len(choices))

    outcomes = {prompts: outcome(prompts, f"try prompts {number} of {len(tried)}") for number, prompts in enumerate(tried, 1)}
    chosen = tuple(
        max(tried, key=lambda prompts: quality(outcomes[prompts], number, usual, threshold))[number] for number in range(len(choices))
    )
    if chosen not in outcomes:  # prompts of several rounds: the scores of one depend on the others
        outcomes[chosen] = outcome(chosen, "try the chosen prompts")
    final = outcomes[chosen]
    best = tuple(final.best(number, usual)[0] if threshold is None else threshold for number in range(len(choices)))
    if without := [number for number in range(len(choices)) if not final.objects[number]]:
        run.note(f"{len(without)} categories have no boxes in the references, so their thresholds are not tuned")
    return Tuned(chosen, best, final.f1(best), outcomes[tried[0]].f1((usual,) * len(choices)))


def quality(outcome: Outcome, category: int, usual: float, threshold: float | None) -> float:
    """F1 of a category: at its best threshold, or at the one that is given."""
    if threshold is None:
        return outcome.best(category, usual)[1]
    kept, right = outcome.counts(category, threshold)
    return 2 * right / max(kept + int(outcome.objects[category]), 1)
