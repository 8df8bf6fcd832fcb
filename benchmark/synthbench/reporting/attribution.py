"""What cost the AP: the labels or the images, and which errors detectors make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from synthbench.reporting.scores import Scores, listed, spanned
from synthbench.reporting.tables import UNKNOWN, table
from synthbench.results.claims import Figure
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


@dataclass(frozen=True)
class Way:
    """From the real images to a generated set, with one detector, over the real images with the annotator's boxes (`labelled`).

    boxes, images, both: the AP changes of the two steps and of both together; None where no replicate has both ends.
    """

    detector: str
    row: str
    labelled: str
    boxes: Figure | None
    images: Figure | None
    both: Figure | None


def way_down(results: Results, scores: Scores) -> list[str]:
    """From the real images with true boxes over automatic boxes to generated images with the same annotator's boxes."""
    ways = ways_down(results, scores)
    if not ways:
        return []
    text = (
        "From real images with true boxes to generated images in two steps: first the same real images with the annotator's boxes, which "
        "shows what its errors cost, then generated images with boxes by the same annotator, which shows what the images cost."
    )
    alike = {each.row: same_number(results, scores, each.row) for each in ways}
    known = any(alike.values())
    rows = []
    for each in ways:
        figures = [each.boxes, each.images, each.both, *([number_alone(scores, each.detector, alike[each.row])] if known else [])]
        rows.append([each.detector, counted(scores, each.row), *(spanned(figure, sign=True) if figure else UNKNOWN for figure in figures)])
    headers = ["detector", "training set", "AP change by the boxes", "AP change by the images", "both"]
    headers += ["AP change by the number alone"] if known else []
    return [f"{most(scores, ways)} {numbers(scores, ways, known=known)}".strip(), text, table(headers, rows, words=2)]


def ways_down(results: Results, scores: Scores) -> list[Way]:
    """Every way that has a figure."""
    real = scores.of_kind("real")
    labelled = {row.annotator: row.name for row in results.training_sets if row.kind == "labelled"}
    generated = {row.name: labelled[row.annotator] for row in results.training_sets if row.annotator in labelled}
    ways = [
        Way(
            detector,
            row,
            base,
            boxes=scores.difference(base, detector, real),
            images=scores.difference(row, detector, base),
            both=scores.difference(row, detector, real),
        )
        for detector in scores.detectors
        for row, base in generated.items()
        if row in scores.candidates()
    ]
    return [each for each in ways if each.boxes or each.images or each.both]


def most(scores: Scores, ways: Sequence[Way]) -> str:
    """What cost most with each detector, of its best set in the table, as far as the intervals settle it."""
    if not scores.has_intervals:
        return "Without intervals it is not settled what cost most."
    told = []
    for detector in scores.detectors:
        its = {each.row: each for each in ways if each.detector == detector and each.boxes and each.images}
        picks = [pick.row for pick in scores.picks("generated", detector=detector) if pick.row in its]
        best = scores.closest(detector)
        if picks:
            way = its[best.row] if best and best.row in its else its[picks[0]]
            told.append(f"with `{detector}` and `{way.row}` {cost(way.boxes, way.images)}")
    text = "; ".join(told)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def cost(boxes: Figure | None, images: Figure | None) -> str:
    """What two steps cost. If their intervals do not overlap, one costs more than the other; that errs on the side of not settled."""
    steps = {"the boxes": boxes, "the images": images}
    known = [(name, figure, *figure.interval) for name, figure in steps.items() if figure and figure.interval]
    if len(known) < len(steps):
        return "it is not settled what cost most"
    (first, its, _, high), (second, other, other_low, other_high) = sorted(known, key=lambda each: each[-1])
    if high >= 0:
        return "it is not settled that either cost any"
    if high < other_low:
        return f"**{first} cost most** ({spanned(its, sign=True)})"
    if other_high < 0:
        both = f"{first} ({spanned(its, sign=True)}) and {second} ({spanned(other, sign=True)})"
        return f"{both} cost AP, but which cost more is not settled"
    return f"{first} cost AP ({spanned(its, sign=True)}), but whether more than {second} is not settled"


def numbers(scores: Scores, ways: Sequence[Way], *, known: bool) -> str:
    """That the training sets have different numbers of images, where they do. known: there is a real row of as many."""
    counts = {(each.labelled, images_of(scores, each.labelled), each.row, images_of(scores, each.row)) for each in ways}
    different = [each for each in counts if each[1] and each[3] and each[1] != each[3]]
    if not different:
        return ""
    bases = sorted({f"`{labelled}` ({count} images)" for labelled, count, _, _ in different})
    sizes = sorted({count for *_, count in different if count})
    told = f"{sizes[0]} images" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]} images"
    how = "the last column says what the number alone changes, with real images and true boxes" if known else "how much is not known"
    return f"Generated sets of {told} are compared with {listed(bases)}, so a part of the change by the images may be their number: {how}."


def counted(scores: Scores, row: str) -> str:
    """A training set with how many images it has."""
    count = images_of(scores, row)
    return f"`{row}` ({count} images)" if count else f"`{row}`"


def images_of(scores: Scores, row: str) -> int | None:
    """How many images detectors were trained on."""
    trained = scores.trained_on(row)
    return round(trained[0]) if trained else None


def same_number(results: Results, scores: Scores, row: str) -> str | None:
    """The real images with true boxes that are as many as a training set, where they are fewer than all."""
    count, real = images_of(scores, row), scores.of_kind("real")
    if count is None or real is None or count == images_of(scores, real):
        return None
    some = [each.name for each in results.training_sets if each.kind in ("references", "subset")]
    return next((each for each in some if images_of(scores, each) == count), None)


def number_alone(scores: Scores, detector: str, real: str | None) -> Figure | None:
    """How much some real images change the AP of all of them."""
    return scores.difference(real, detector, scores.of_kind("real")) if real else None


def errors(scores: Scores) -> list[str]:
    """How much AP50 each kind of error costs, of the real images and of the best generated set of each detector."""
    rows = []
    for detector in scores.detectors:
        pick = scores.closest(detector)
        for row in [each for each in (scores.of_kind("real"), scores.of_kind("references"), pick.row if pick else None) if each]:
            found = [scores.of(row, detector, f"error_{name}") for name in ERRORS]
            if any(found):
                rows.append([detector, counted(scores, row), *(f"{fmean(each.values):.3f}" if each else UNKNOWN for each in found)])
    if not rows:
        return []
    text = (
        "By how much AP50 would rise without one kind of error ([TIDE](https://arxiv.org/abs/2008.08115)); they do not add up, since "
        "a corrected error can uncover another."
    )
    return [text, table(["detector", "trained on", *ERRORS.values()], rows, words=2)]
