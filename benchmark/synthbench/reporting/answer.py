"""The first paragraphs of a report: what came out, in sentences with their numbers."""

from __future__ import annotations

import re

from synthbench.reporting.scores import Pick, Score, Scores, listed, signed
from synthbench.reporting.words import NOISE
from synthbench.results.model import Results

WITHIN_NOISE = "no more than another seed may change"
NOTHING_LEARNED = 0.05
"""An AP of the best detector below which differences say nothing."""


def notice(results: Results) -> str:
    """What the test images are, for the first lines."""
    data = results.data
    if not data:
        return "> **The data could not be loaded**, so nothing was measured; see [Failures](#failures)."
    tested = f"{data.test.images} {', '.join(data.categories)} images"
    if data.rendered:
        return (
            f"> **The test images ({tested}) are rendered, not photographs.** A program drew them, and the `real` training images "
            "too. So the figures compare methods with each other; they do not say what a detector would reach on photographs."
        )
    return f"> The test images ({tested}) are photographs."


def answer(results: Results) -> list[str]:
    """The paragraphs of the answer."""
    scores = Scores(results)
    paragraphs = [
        _headline(results, scores),
        _choice(scores),
        _mixes(results, scores),
        _floor(scores),
        _caution(results, scores),
        _losses(results),
    ]
    return [paragraph for paragraph in paragraphs if paragraph]


def first_sentence(results: Results) -> str:
    """The first sentence of the answer, without Markdown."""
    plain = re.sub(r"[*`]", "", _headline(results, Scores(results)))
    return re.split(r"(?<=[.:]) (?=[A-Z])", plain)[0]


def _headline(results: Results, scores: Scores) -> str:
    """Generated images against all real ones and against the references alone."""
    best = scores.best("generated")
    if best:
        return f"{_against_real(results, scores, best)} {_against_references(results, scores, best)}"
    if not scores.picks():
        return "**There is no answer: not one cell has a score.**"
    missing = "This suite compares no generated images by themselves."
    if not scores.rows("generated", "mix"):
        missing = "This suite compares detectors: it has no generated images."
    if scores.rows("generated"):
        missing = "**No generated training set has a score**, so this run says nothing about generated images."
    return " ".join([missing, *(_baseline(results, scores, row) for row in scores.rows("real", "references"))])


def _baseline(results: Results, scores: Scores, row: str) -> str:
    best = next((pick for pick in scores.picks() if pick.row == row), None)
    what = describe(results, scores.kinds[row])
    if best is None:
        return f"Training on {what} gave no score."
    return f"Trained on {what}, the best detector, {best.detector}, reaches **AP {_figure(best.score)}**."


def _against_real(results: Results, scores: Scores, best: Pick) -> str:
    tested = results.data.test.images if results.data else "?"
    begin = (
        f"Trained on generated images alone (`{best.row}`, {results.suite.images} images), {best.detector} reaches "
        f"**AP {_figure(best.score)}** on the {tested} test images"
    )
    row = scores.of_kind("real")
    real = scores.of(row, best.detector) if row else None
    if real is None:
        why = "its training on the real images gave no score" if row else "this suite does not train on all real images"
        return f"{begin}. How far that is from real images is not known: {why}."
    gap = round(best.score.mean - real.mean, 3)
    how = f"{abs(gap):.3f} AP {'above' if gap > 0 else 'below'} them" if gap else "level with them"
    noise = "" if best.score.differs(real) else f", {WITHIN_NOISE}"
    return f"{begin}; trained on {describe(results, 'real')} it reaches {_figure(real)}, so generated images are **{how}**{noise}."


def _against_references(results: Results, scores: Scores, best: Pick) -> str:
    """The comparison that tells whether generating was worth it: the references are what the generator was fitted on."""
    row = scores.of_kind("references")
    score = scores.of(row, best.detector) if row else None
    what = describe(results, "references")
    if score is None:
        return f"What {what} give by themselves was not measured, so whether generating added anything is not known."
    gap = round(best.score.mean - score.mean, 3)
    begin = f"Trained on {what} alone, which the generator was fitted on, it reaches {_figure(score)}:"
    if not best.score.differs(score):
        verdict = "generated images are neither better nor worse than the references by themselves"
        return f"{begin} **{verdict}** (a difference of {signed(gap)} AP, {WITHIN_NOISE})."
    if gap > 0:
        return f"{begin} **generated images add {gap:.3f} AP to what the references give by themselves.**"
    return f"{begin} **generated images do {-gap:.3f} AP worse than the references they were made from.**"


def _choice(scores: Scores) -> str:
    """What AP is, and all combinations, since the best one was chosen by looking at the test images."""
    if not scores.picks():
        return ""
    text = "AP (average precision) runs from 0 to 1; higher is better."
    generated, real = scores.picks("generated"), scores.of_kind("real")
    if len(generated) > 1:
        text += f" This is the best of {len(generated)} combinations, chosen by its test score, which makes it look better than it is."
    gaps = [gap for pick in generated if real and (gap := scores.difference(pick.row, pick.detector, real)) is not None]
    if len(gaps) > 1:
        text += f" Over all of them the difference to `{real}` runs from {signed(min(gaps))} to {signed(max(gaps))} AP."
    return text


def _mixes(results: Results, scores: Scores) -> str:
    """The best mix, against its part that is real."""
    best = scores.best("mix")
    if best is None:
        return ""
    parts = next(row.parts for row in results.training_sets if row.name == best.row)
    text = f"The best mix, `{best.row}` ({' + '.join(parts)}), brings {best.detector} to **AP {_figure(best.score)}**"
    base = next((part for part in parts if scores.kinds.get(part) in ("real", "references")), None)
    alone = scores.of(base, best.detector) if base else None
    if alone is None:
        return text + "."
    gap = signed(best.score.mean - alone.mean)
    noise = "" if best.score.differs(alone) else f", {WITHIN_NOISE}"
    return f"{text}; `{base}` alone brings it to {_figure(alone)}, a difference of {gap}{noise}."


def _floor(scores: Scores) -> str:
    best = scores.best()
    if best is None or best.score.mean >= NOTHING_LEARNED:
        return ""
    return (
        f"**No detector learned much here:** the highest AP of all is {best.score.mean:.3f}, so differences say nothing about the images."
    )


def _caution(results: Results, scores: Scores) -> str:
    if not scores.picks():
        return ""
    seeds = results.suite.seeds
    if scores.repeats == 1:
        return f"Every detector was trained once, with one seed. {NOISE}, so do not rely on smaller differences."
    fixed = [thing for thing in ("references", "generators", "detectors") if len(getattr(seeds, thing)) == 1]
    same = f" The seed of the {listed(fixed)} is the same in all of them." if fixed else ""
    return f"Figures are means over {seeds.replicates} replicates, each with other references and other seeds.{same} {NOISE}."


def _losses(results: Results) -> str:
    failures, cells = results.failures, results.cells
    if not failures:
        return ""
    lost = sum(cell.failed is not None for cell in cells)
    return (
        f"**{len(failures)} of {len(results.stages)} stages failed**, so {lost} of {len(cells)} cells have no score; "
        "see [Failures](#failures)."
    )


def describe(results: Results, kind: str) -> str:
    """A baseline in words."""
    data = results.data
    noun = "images" if data is None or data.rendered else "photographs"
    if kind == "real":
        return f"all {data.train.images if data else '?'} real {noun}"
    return f"the {results.suite.references} references ({noun} picked from the real ones)"


def _figure(score: Score) -> str:
    """The mean, with its range if there are several values."""
    if len(score.values) == 1:
        return f"{score.mean:.3f}"
    return f"{score.mean:.3f} ({min(score.values):.3f} to {max(score.values):.3f})"
