"""The first paragraphs of a report: what came out, in sentences with their numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from synthbench.reporting.alone import advice, compared
from synthbench.reporting.fairness import still_falling
from synthbench.reporting.scores import Scores, listed, spanned
from synthbench.reporting.words import more
from synthbench.results.claims import Figure
from synthbench.results.model import Results
from synthbench.results.worth import real_images
from synthbench.text import named


def notice(results: Results) -> str:
    """What the test images are, for the first lines."""
    data = results.data
    if not data:
        return "> **The data could not be loaded**, so nothing was measured; see [Failures](#failures)."
    tested = f"{data.test.images} {', '.join(map(named, data.categories))} images"
    if data.rendered:
        return (
            f"> **The test images ({tested}) are rendered, not photographs.** A program drew them, and the `real` training images "
            "too. So the figures compare methods with each other; they do not say what a detector would reach on photographs."
        )
    return f"> The test images ({tested}) are photographs."


def answer(results: Results, scores: Scores) -> list[str]:
    """The paragraphs of the answer before its table."""
    sentences = " ".join(_sentences(results, scores))
    parts = (sentences, advice(results, scores), results.suite.caveat.strip(), _unfinished(results), _losses(results), _waiting(results))
    return [part for part in parts if part]


def first_sentence(results: Results) -> str:
    """The first sentence of the answer, without Markdown."""
    plain = re.sub(r"[*`]", "", " ".join(_sentences(results, Scores(results))))
    return re.split(r"(?<=[.:]) (?=[A-Z])", plain)[0]


def _sentences(results: Results, scores: Scores) -> list[str]:
    """Generated images against all real ones, then against the references alone."""
    if not scores.picks():
        return ["**There is no answer: not one cell has a score.**"]
    if not scores.picks("generated", "mix"):
        missing = "This suite compares no generated images."
        if scores.rows("generated", "mix"):
            missing = "**No generated training set has a score**, so this run says nothing about generated images."
        return [missing, *(_baseline(results, scores, row) for row in scores.rows("real", "references"))]
    learned = [each for each in scores.detectors if scores.learned(each)]
    if not learned:
        best = scores.picks("real")[0]
        return [f"**No detector learned much here**: with all real images the highest AP is {best.score.mean:.3f}, so there is no answer."]
    idle = [each for each in scores.detectors if each not in learned]
    told = [
        _against_real(results, scores, learned),
        *(_rival(scores, row, learned) for row in scores.rivals if row not in scores.candidates()),
        _against_references(results, scores, learned),
        *(_added(results, scores, row, learned) for row in scores.rows("mix")),
        _ceiling(results, scores, learned),
        _short(scores, learned),
    ]
    if idle:
        told.append(f"{_names(idle)} learned next to nothing from the real images, and is left out of this.")
    return [each for each in told if each]


def _baseline(results: Results, scores: Scores, row: str) -> str:
    best = next((pick for pick in scores.picks() if pick.row == row), None)
    what = describe(results, scores.kinds[row])
    if best is None:
        return f"Training on {what} gave no score."
    level = scores.level(row, best.detector)
    assert level is not None, "what has a score has a level"
    return f"Trained on {what}, the best detector, {best.detector}, reaches **AP {spanned(level)}**."


def _against_real(results: Results, scores: Scores, detectors: Sequence[str]) -> str:
    """The verdict for all detectors in one sentence."""
    real, margin = describe(results, "real"), f"{scores.evidence.margin:g} AP"
    row = scores.of_kind("real")
    if row is None or not any(scores.of(row, each) for each in detectors):
        why = "training on them gave no score" if row else "this suite does not train on them"
        return f"**How far generated images are from {real} is not known**: {why}."
    if scores.replicates == 1:
        found = [f"{_gap(scores.difference(pick.row, pick.detector, row))} with {pick.detector}" for pick in scores.each_closest(detectors)]
        cure = "`replicates = 3` in the suite gives" if results.replicates_planned == 1 else "the replicates to come give"
        return (
            f"**Whether generated images replace {real} is not settled: the experiment was done once.** "
            f"The closest generated set{'s' * (len(found) > 1)} came out {listed(found)}, "
            f"but other references and other seeds may move this by more; {cure} intervals and verdicts."
        )
    words = {each: word_of(scores, each) for each in detectors}
    by = {word: [each for each in detectors if words[each] == word] for word in ("replaces", "does not", "not settled")}
    if len(by["replaces"]) == len(detectors):
        one = f"{_each(detectors)} a generated training set is at most {margin} worse"
        return f"**Generated images replace {real}**: {one}{_outdone(results, scores, detectors)}."
    if len(by["does not"]) == len(detectors):
        lost = any(scores.of(row, each) is None for row in scores.candidates() for each in detectors)
        every = f"every set of generated images alone{' that has a score' if lost else ''}"
        return f"**Generated images do not replace {real}**: {_each(detectors)} {every} is more than {margin} worse."
    if len(by["not settled"]) == len(detectors):
        every = _each(detectors, "any")[:-1]
        return f"**Whether generated images replace {real} is not settled** {every}{_settling(scores, detectors)}."
    parts = [f"they do for {_names(by['replaces'])}{_outdone(results, scores, by['replaces'])}"] if by["replaces"] else []
    parts += [f"they do not for {_names(by['does not'])}"] if by["does not"] else []
    parts += [f"it is not settled for {_names(by['not settled'])}"] if by["not settled"] else []
    how = "depends on the detector" if by["replaces"] and by["does not"] else "is settled in part"
    return f"**Whether generated images replace {real} {how}**: {listed(parts)}; at most {margin} worse counts as replacing."


def _rival(scores: Scores, row: str, detectors: Sequence[str]) -> str:
    """That a set made without a generative model replaces the real images; empty where that is not shown."""
    those = [each for each in detectors if (verdict := scores.verdict(row, each)) and verdict.word == "replaces"]
    return f"**Made without a generative model, `{row}` replaces them** for {_names(those)}." if those else ""


def _outdone(results: Results, scores: Scores, detectors: Sequence[str]) -> str:
    """That the references alone do better than every generated set that replaces the real images; empty where that is not shown."""
    references = scores.of_kind("references")

    def outdone(detector: str) -> bool:
        verdicts = {row: scores.verdict(row, detector) for row in scores.candidates()}
        gaps = [scores.difference(row, detector, references) for row, each in verdicts.items() if each and each.word == "replaces"]
        return all(gap is not None and compared(gap) == "worse" for gap in gaps)

    those = [each for each in detectors if outdone(each)]
    which = f" for {_names(those)}" if 0 < len(those) < len(detectors) else ""
    return f" (though the {results.suite.references} references alone do better{which})" if those else ""


def word_of(scores: Scores, detector: str) -> str:
    """The verdict for a detector over all generated sets: one that replaces is enough."""
    words = {verdict.word for row in scores.candidates() if (verdict := scores.verdict(row, detector))}
    return next((word for word in ("replaces", "not settled", "does not") if word in words), "not settled")


def heading(scores: Scores, row: str, detector: str) -> Literal["replaces", "does not"]:
    """The word that an open verdict comes to if its mean stays as it is."""
    gap = scores.difference(row, detector, scores.of_kind("real"))
    return "replaces" if gap is not None and gap.mean > -scores.evidence.margin else "does not"


def _each(detectors: Sequence[str], word: str = "each") -> str:
    return f"for {detectors[0]}," if len(detectors) == 1 else f"for {word} of the {len(detectors)} detectors,"


def _names(detectors: Sequence[str]) -> str:
    return listed([f"`{each}`" for each in detectors])


def _gap(figure: Figure | None) -> str:
    if figure is None:
        return "at an unknown distance"
    return f"{abs(figure.mean):.3f} AP {'above' if figure.mean > 0 else 'below'} them"


def _settling(scores: Scores, detectors: Sequence[str]) -> str:
    """What would settle the best set of each detector and as what, from the present means and spread."""
    found = []
    for pick in scores.each_closest(detectors):
        verdict = scores.verdict(pick.row, pick.detector)
        if verdict and verdict.settling and (ways := more(verdict.settling.replicates, verdict.settling.images)):
            found.append(f"{' or '.join(ways)} for `{pick.detector}` (then *{heading(scores, pick.row, pick.detector)}*)")
    return f": if means and spread stay as they are, it takes about {listed(found)} to settle the best set" if found else ""


def _ceiling(results: Results, scores: Scores, detectors: Sequence[str]) -> str:
    """That all real images cannot be told to do better than the references: then there may be little to stand in for."""
    row, real = scores.of_kind("references"), scores.of_kind("real")
    flat = [each for each in detectors if scores.is_flat(each)]
    if not flat or row is None or real is None:
        return ""
    told = [f"`{each}` ({spanned(figure, sign=True)})" for each in flat if (figure := scores.difference(row, each, real))]
    return (
        f"**The {results.suite.references} references alone cannot be told from {describe(results, 'real')}** for {listed(told)}, in "
        "brackets their AP minus that of real. The further an interval goes below 0, the more may the other real images bring; where "
        "that is little, generated ones have little to stand in for."
    )


def _short(scores: Scores, detectors: Sequence[str]) -> str:
    """The detectors that more steps may change."""
    late = [each for each in still_falling(scores) if each in detectors]
    was, them = ("were", "them") if len(late) > 1 else ("was", "it")
    return f"{_names(late)} {was} not trained to a plateau, so longer training may change what is said of {them}." if late else ""


def _added(results: Results, scores: Scores, mix: str, detectors: Sequence[str]) -> str:
    """What generated images bring who adds them to the references; empty for other mixes, and where it cannot be told."""
    references = scores.of_kind("references")
    parts = next((each.parts for each in results.training_sets if each.name == mix), [])
    if scores.replicates == 1 or references is None or references not in parts:
        return ""
    found = [(each, figure) for each in detectors if (figure := scores.difference(mix, each, references))]
    told = [f"{spanned(figure, sign=True)} with `{each}`" for each, figure in found]
    added = [f"`{part}`" for part in parts if part != references]
    return f"Added to the references, {listed(added)} changes their AP by {listed(told)}." if told and added else ""


def _against_references(results: Results, scores: Scores, detectors: Sequence[str]) -> str:
    """The comparison that tells whether generating was worth it: the references are what the generator was fitted on."""
    row = scores.of_kind("references")
    what = f"the {results.suite.references} references alone"
    picks = scores.each_closest(detectors)
    figures = {pick.detector: figure for pick in picks if (figure := scores.difference(pick.row, pick.detector, row))}
    if not figures:
        return f"What {what} give was not measured, so whether generating added anything is not known." if picks else ""
    if scores.replicates == 1:
        return ""
    unknown = [each for each, figure in figures.items() if figure.interval is None]
    better, worse, same = (
        [each for each, figure in figures.items() if each not in unknown and compared(figure) == word]
        for word in ("better", "worse", "cannot be told")
    )
    parts = [f"better for {_names(better)}"] if better else []
    parts += [f"worse for {_names(worse)}"] if worse else []
    parts += [f"not distinguishable for {_names(same)}"] if same else []
    parts += [f"of unknown worth for {_names(unknown)}"] if unknown else []
    return f"Compared with {what}, the best generated set is {listed(parts)}."


def _unfinished(results: Results) -> str:
    """That there will be more replicates."""
    done, planned = results.suite.seeds.replicates, results.replicates_planned
    if done >= planned:
        return ""
    return f"**This is a first answer, from {done} of {planned} replicates**; the same command goes on and makes it sharper."


def _losses(results: Results) -> str:
    failures, cells = results.failures, results.cells
    if not failures:
        return ""
    lost = sum(cell.failed is not None for cell in cells)
    return (
        f"**{len(failures)} of {len(results.stages)} stages failed**, so {lost} of {len(cells)} cells have no score; "
        "see [Failures](#failures)."
    )


def _waiting(results: Results) -> str:
    """That people have yet to label images."""
    waits, cells = [each for each in results.labelled if each.waiting], results.cells
    if not waits:
        return ""
    images, lost = sum(each.asked - each.answered for each in waits), sum(cell.waiting is not None for cell in cells)
    return (
        f"**{images} images wait for labels by people**, so {lost} of {len(cells)} cells have no score yet; "
        "see [Labels by people](#labels-by-people)."
    )


def describe(results: Results, kind: str) -> str:
    """A baseline in words."""
    data = results.data
    noun = "images" if data is None or data.rendered else "photographs"
    if kind == "real":
        count = real_images(results.suite, data)
        return f"{'all' if count is None else f'the {count}'} real {noun}"
    return f"the {results.suite.references} references ({noun} picked from the real ones)"
