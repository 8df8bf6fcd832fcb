"""The first paragraphs of a report: what came out, in sentences with their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthbench.report.scores import Pick, Score, Scores, signed
from synthbench.report.words import NOISE

WITHIN_NOISE = "no more than another seed may change"
NOTHING_LEARNED = 0.05
"""An AP of the baseline below which differences to it say nothing."""


def notice(held: Mapping[str, Any]) -> str:
    """What the test images are, for the first lines."""
    data = held["data"]
    if not data:
        return "> **The data could not be loaded**, so nothing was measured; see [Failures](#failures)."
    tested = f"{data['counts']['test']['images']} {', '.join(data['categories'])} images"
    if data["rendered"]:
        return (
            f"> **The test images ({tested}) are rendered, not photographs.** A program drew them, and the `real` training images "
            "too. So the figures compare methods with each other; they do not say what a detector would reach on photographs."
        )
    return f"> The test images ({tested}) are photographs."


def answer(held: Mapping[str, Any]) -> list[str]:
    """The paragraphs of the answer."""
    scores = Scores(held)
    told = [_headline(held, scores), _choice(scores), _mixes(held, scores), _floor(scores), _caution(scores), _losses(held)]
    return [paragraph for paragraph in told if paragraph]


def _headline(held: Mapping[str, Any], scores: Scores) -> str:
    """Generated images against all real ones and against the references alone."""
    best = scores.best("generated")
    if best:
        return f"{_against_real(held, scores, best)} {_against_references(held, scores, best)}"
    if not scores.picks():
        return "**There is no answer: not one cell has a score.**"
    missing = "This suite compares no generated images by themselves."
    if not scores.rows("generated", "mix"):
        missing = "This suite compares detectors: it has no generated images."
    if scores.rows("generated"):
        missing = "**No generated training set has a score**, so this run says nothing of generated images."
    return " ".join([missing, *(_baseline(held, scores, row) for row in scores.rows("real", "references"))])


def _baseline(held: Mapping[str, Any], scores: Scores, row: str) -> str:
    best = next((pick for pick in scores.picks() if pick.row == row), None)
    what = describe(held, row)
    if best is None:
        return f"Training on {what} gave no score."
    return f"Trained on {what}, the best detector, {best.detector}, reaches **AP {_figure(best.score)}**."


def _against_real(held: Mapping[str, Any], scores: Scores, best: Pick) -> str:
    tested = held["data"].get("counts", {}).get("test", {}).get("images", "?")
    begin = (
        f"Trained on generated images alone (`{best.row}`, {held['suite']['images']} images), {best.detector} reaches "
        f"**AP {_figure(best.score)}** on the {tested} test images"
    )
    real = scores.of("real", best.detector)
    if real is None:
        why = "its training on the real images gave no score" if "real" in scores.kinds else "this suite does not train on all real images"
        return f"{begin}. How far that is from real images is not known: {why}."
    gap = round(best.score.mean - real.mean, 3)
    how = f"{abs(gap):.3f} AP {'above' if gap > 0 else 'below'}" if gap else "level"
    noise = "" if best.score.differs(real) else f", {WITHIN_NOISE}"
    return f"{begin}; trained on {describe(held, 'real')} it reaches {_figure(real)}, so generated images stand **{how}**{noise}."


def _against_references(held: Mapping[str, Any], scores: Scores, best: Pick) -> str:
    """The comparison that tells whether generating was worth it: the references are what the generator had to go by."""
    score = scores.of("references", best.detector)
    what = describe(held, "references")
    if score is None:
        return f"What {what} give by themselves was not measured, so whether generating added anything is not known."
    gap = best.score.mean - score.mean
    begin = f"Trained on {what} alone, which the generator was fitted on, it reaches {_figure(score)}:"
    if not best.score.differs(score):
        verdict = "generated images neither add to the references nor fall behind them"
        return f"{begin} **{verdict}** (a difference of {signed(gap)} AP, {WITHIN_NOISE})."
    if gap > 0:
        return f"{begin} **generated images add {gap:.3f} AP to what the references give by themselves.**"
    return f"{begin} **generated images do {-gap:.3f} AP worse than the references they were made from.**"


def _choice(scores: Scores) -> str:
    """What AP is, and all combinations, since the best one was chosen by looking at the test images."""
    if not scores.picks():
        return ""
    told = "AP (average precision) runs from 0 to 1; higher is better."
    generated = scores.picks("generated")
    if len(generated) > 1:
        told += f" This is the best of {len(generated)} combinations, chosen by its test score, which flatters it a little."
    gaps = [gap for pick in generated if (gap := scores.difference(pick.row, pick.detector, "real")) is not None]
    if len(gaps) > 1:
        told += f" Over all of them the difference to `real` runs from {signed(min(gaps))} to {signed(max(gaps))} AP."
    return told


def _mixes(held: Mapping[str, Any], scores: Scores) -> str:
    """The best mix, against the better known of its parts."""
    best = scores.best("mix")
    if best is None:
        return ""
    parts = next(mix["parts"] for mix in held["suite"]["mixes"] if mix["name"] == best.row)
    told = f"The best mix, `{best.row}` ({' + '.join(parts)}), brings {best.detector} to **AP {_figure(best.score)}**"
    base = next((part for part in parts if part in ("real", "references")), None)
    alone = scores.of(base, best.detector) if base else None
    if alone is None:
        return told + "."
    gap = signed(best.score.mean - alone.mean)
    noise = "" if best.score.differs(alone) else f", {WITHIN_NOISE}"
    return f"{told}; `{base}` alone brings it to {_figure(alone)}, a difference of {gap}{noise}."


def _floor(scores: Scores) -> str:
    best = scores.best()
    if best is None or best.score.mean >= NOTHING_LEARNED:
        return ""
    return f"**No detector learned much here:** the highest AP of all is {best.score.mean:.3f}, so differences say nothing of the images."


def _caution(scores: Scores) -> str:
    if not scores.picks():
        return ""
    if scores.seeds == 1:
        return f"Every detector was trained once, with one seed. {NOISE}, so read nothing into smaller differences."
    return (
        f"Every detector was trained {scores.seeds} times, with different seeds; figures are means. The generated images and their boxes "
        f"are the same each time, so the spread leaves out what another fit or another sample would change. {NOISE}."
    )


def _losses(held: Mapping[str, Any]) -> str:
    failures, cells = held["failures"], held["cells"]
    if not failures:
        return ""
    lost = sum(cell["failed"] is not None for cell in cells)
    return f"**{len(failures)} of {len(held['stages'])} stages failed** and cost {lost} of {len(cells)} cells; see [Failures](#failures)."


def describe(held: Mapping[str, Any], row: str) -> str:
    """A baseline in words."""
    data = held["data"]
    noun = "images" if data.get("rendered", True) else "photographs"
    if row == "real":
        return f"all {data.get('counts', {}).get('train', {}).get('images', '?')} real {noun}"
    return f"the {held['suite']['references']} references ({noun} picked from the real ones)"


def _figure(score: Score) -> str:
    """The mean, with its range where there are several seeds."""
    if len(score.values) == 1:
        return f"{score.mean:.3f}"
    return f"{score.mean:.3f} ({min(score.values):.3f} to {max(score.values):.3f})"
