"""The tables of verdicts: for each detector, and for every generated training set."""

from __future__ import annotations

from synthbench.reporting.answer import heading, word_of
from synthbench.reporting.scores import Pick, Scores, spanned
from synthbench.reporting.tables import UNKNOWN, table
from synthbench.reporting.words import more
from synthbench.results.claims import Equivalent, Figure, Settling, Verdict

WORDS = {"replaces": "**replaces**", "does not": "does not", "not settled": "not settled"}


def by_detector(scores: Scores) -> str:
    """A line a detector: the real images, the closest generated set, and the verdict."""
    real, references = scores.of_kind("real"), scores.of_kind("references")
    rows = []
    for detector in scores.detectors:
        pick = decisive(scores, detector)
        level = scores.level(real, detector) if real else None
        if pick is None:
            rows.append([detector, _shown(level), *[UNKNOWN] * (5 if scores.evidence.equivalents else 4)])
            continue
        gaps = [_shown(scores.difference(pick.row, detector, base), sign=True) for base in (real, references)]
        word = WORDS[word_of(scores, detector)] if scores.learned(detector) else "nothing learned"
        worth = [in_real_images(scores, pick.row, detector)] if scores.evidence.equivalents else []
        rows.append(
            [
                detector,
                _shown(level),
                f"`{pick.row}` ({scores.generated_images(pick.row)} images)",
                *gaps,
                *worth,
                word if scores.has_intervals else "not settled",
            ]
        )
    headers = ["detector", f"AP with `{real}`" if real else "AP with real images", "best generated set", "AP minus that of real"]
    headers += ["AP minus that of the references", *(["worth real images"] if scores.evidence.equivalents else [])]
    return table([*headers, "do generated images replace real ones?"], rows, words=3)


def decisive(scores: Scores, detector: str) -> Pick | None:
    """The best generated set; if another one alone replaces the real images, that one."""
    best, word = scores.closest(detector), word_of(scores, detector)
    if best is None or word != "replaces" or _is(word, scores.verdict(best.row, detector)):
        return best
    picks = scores.picks("generated", detector=detector)
    return next((pick for pick in picks if _is(word, scores.verdict(pick.row, detector))), best)


def _is(word: str, verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.word == word


def in_real_images(scores: Scores, row: str, detector: str) -> str:
    """`34 [22, 51]`: how many real images give the same AP; where more real images bring no more AP, only that it is below them all."""
    worth = scores.worth(row, detector)
    return "not told" if worth is None and scores.evidence.equivalent(row, detector) else worth_of(worth)


def worth_of(worth: Equivalent | None) -> str:
    """`34 [22, 51]`: how many real images give the same AP; a dash where that is unknown.

    Where the interval, in whole images, contains nothing of the curve but one of its ends, only the side is told: `fewer than 20`.
    """
    if worth is None:
        return UNKNOWN
    low = f"under {worth.smallest}" if worth.low is None else f"{worth.low:.0f}"
    high = f"over {worth.largest}" if worth.high is None else f"{worth.high:.0f}"
    below, above = f"fewer than {worth.smallest}", f"more than all {worth.largest}"
    if worth.bounded and worth.high is not None and high == f"{worth.smallest}":
        return below if worth.high <= worth.smallest else f"at most {worth.smallest}"
    if worth.bounded and worth.low is not None and low == f"{worth.largest}":
        return above if worth.low >= worth.largest else f"at least {worth.largest}"
    number = f"{worth.images:.0f}" if worth.position == "within" else above if worth.position == "more" else below
    return f"{number} [{low}, {high}]" if worth.bounded else f"{number}, interval unknown"


def of_every_set(scores: Scores) -> str:
    """A line a generated training set and detector: difference to the real images, verdict, what would settle it."""
    real = scores.of_kind("real")
    rows = []
    for row in scores.rows("generated", "mix"):
        for detector in scores.detectors:
            verdict = scores.verdict(row, detector)
            difference = scores.difference(row, detector, real)
            if difference is not None and scores.evidence.verdict(row, detector):
                worth = [in_real_images(scores, row, detector)] if scores.evidence.equivalents else []
                rows.append([f"`{row}`", detector, _shown(difference, sign=True), *worth, _word(verdict), _ways(scores, verdict)])
    worth = ["worth real images"] if scores.evidence.equivalents else []
    headers = ["training set", "detector", "AP minus that of real", *worth, "replaces?", "would be settled by"]
    return table(headers, rows, words=2) if rows else ""


def by_images(scores: Scores) -> str:
    """A line a generated set or mix and number of generated images: AP, and how many real images give the same; empty without parts."""
    rows = []
    for whole in scores.rows("generated", "mix"):
        for count, row in scores.by_images(whole).items():
            levels = [[_shown(scores.level(row, detector)), in_real_images(scores, row, detector)] for detector in scores.detectors]
            rows.append([f"`{whole}`", f"{count}", *(", worth ".join(each) if each[1] != UNKNOWN else each[0] for each in levels)])
    return table(["training set", "generated images", *scores.detectors], rows, words=1) if rows else ""


def _shown(figure: Figure | None, *, sign: bool = False) -> str:
    return UNKNOWN if figure is None else spanned(figure, sign=sign)


def _word(verdict: Verdict | None) -> str:
    return "nothing learned" if verdict is None else WORDS[verdict.word]


def _ways(scores: Scores, verdict: Verdict | None) -> str:
    """What would settle a verdict and as what, as far as the present mean and spread tell."""
    if verdict is None or verdict.word != "not settled":
        return ""
    settling = verdict.settling or Settling(replicates=None, images=None)
    if ways := " or ".join(more(settling.replicates, settling.images)):
        return f"{ways} (then *{heading(scores, verdict.training_set, verdict.detector)}*)"
    return "nothing feasible" if verdict.settling else "more replicates or test images"
