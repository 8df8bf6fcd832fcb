"""What cost the AP: the labels or the images, and which errors detectors make."""

from __future__ import annotations

from statistics import fmean

from synthbench.reporting.scores import Scores, spanned
from synthbench.reporting.tables import UNKNOWN, table
from synthbench.results.model import Results

ERRORS = {
    "class": "wrong category",
    "place": "badly placed",
    "both": "both",
    "duplicate": "found twice",
    "background": "nothing there",
    "missed": "missed",
}
"""TIDE's types, in plain words."""


def attribution(results: Results, scores: Scores) -> list[str]:
    """The section, or nothing where no cell has a score."""
    parts = [*way_down(results, scores), *errors(scores)]
    return ["## What cost the AP?", *parts] if parts else []


def way_down(results: Results, scores: Scores) -> list[str]:
    """From the real images with true boxes over automatic boxes to generated images with the same annotator's boxes."""
    real = scores.of_kind("real")
    labelled = {row.annotator: row.name for row in results.training_sets if row.kind == "labelled"}
    generated = {row.name: row.annotator for row in results.training_sets if row.name in scores.candidates()}
    rows = []
    for detector in scores.detectors:
        for row in [row for row, annotator in generated.items() if annotator in labelled]:
            base = labelled[generated[row]]
            figures = [
                scores.difference(base, detector, real),
                scores.difference(row, detector, base),
                scores.difference(row, detector, real),
            ]
            if any(figures):
                rows.append([detector, f"`{row}`", *(spanned(each, sign=True) if each else UNKNOWN for each in figures)])
    if not rows:
        return []
    text = (
        "From real images with true boxes to generated images in two steps: first the same real images with the annotator's boxes, which "
        "shows what its errors cost, then generated images with boxes by the same annotator, which shows what the images cost."
    )
    return [text, table(["detector", "training set", "AP change by the boxes", "AP change by the images", "both"], rows, words=2)]


def errors(scores: Scores) -> list[str]:
    """How much AP50 each kind of error costs, of the real images and of the best generated set of each detector."""
    rows = []
    for detector in scores.detectors:
        pick = scores.closest(detector)
        for row in [each for each in (scores.of_kind("real"), scores.of_kind("references"), pick.row if pick else None) if each]:
            found = [scores.of(row, detector, f"error_{name}") for name in ERRORS]
            if any(found):
                rows.append([detector, f"`{row}`", *(f"{fmean(each.values):.3f}" if each else UNKNOWN for each in found)])
    if not rows:
        return []
    text = (
        "By how much AP50 would rise without one kind of error ([TIDE](https://arxiv.org/abs/2008.08115)); they do not add up, since "
        "a corrected error can uncover another."
    )
    return [text, table(["detector", "trained on", *ERRORS.values()], rows, words=2)]
