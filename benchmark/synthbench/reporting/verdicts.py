"""The tables of verdicts: for each detector, and for every generated training set."""

from __future__ import annotations

from synthbench.reporting.answer import closest, word_of
from synthbench.reporting.scores import Scores, spanned
from synthbench.reporting.tables import UNKNOWN, table
from synthbench.results.claims import Figure, Settling, Verdict

WORDS = {"replaces": "**replaces**", "does not": "does not", "not settled": "not settled"}


def by_detector(scores: Scores) -> str:
    """A line a detector: the real images, the closest generated set, and the verdict."""
    real, references = scores.of_kind("real"), scores.of_kind("references")
    rows = []
    for detector in scores.detectors:
        pick = closest(scores, detector)
        level = scores.level(real, detector) if real else None
        if pick is None:
            rows.append([detector, _shown(level), UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN])
            continue
        gaps = [_shown(scores.difference(pick.row, detector, base), sign=True) for base in (real, references)]
        word = WORDS[word_of(scores, detector)] if scores.learned(detector) else "nothing learned"
        rows.append([detector, _shown(level), f"`{pick.row}`", *gaps, word if scores.replicates > 1 else "not settled"])
    headers = ["detector", f"AP with `{real}`" if real else "AP with real images", "best generated set"]
    return table([*headers, "AP more than real", "AP more than the references", "do generated images replace real ones?"], rows, words=3)


def of_every_set(scores: Scores) -> str:
    """A line a generated training set and detector: difference to the real images, verdict, what would settle it."""
    real = scores.of_kind("real")
    rows = []
    for row in scores.rows("generated", "mix"):
        for detector in scores.detectors:
            verdict = scores.verdict(row, detector)
            difference = scores.difference(row, detector, real)
            if difference is not None:
                rows.append([f"`{row}`", detector, _shown(difference, sign=True), _word(verdict), _ways(verdict)])
    return table(["training set", "detector", "AP more than real", "replaces?", "would be settled by"], rows, words=2) if rows else ""


def _shown(figure: Figure | None, *, sign: bool = False) -> str:
    return UNKNOWN if figure is None else spanned(figure, sign=sign)


def _word(verdict: Verdict | None) -> str:
    return "nothing learned" if verdict is None else WORDS[verdict.word]


def _ways(verdict: Verdict | None) -> str:
    """What would settle a verdict, as far as the present spread tells."""
    if verdict is None or verdict.word != "not settled":
        return ""
    settling = verdict.settling or Settling(replicates=None, images=None)
    ways = [f"{settling.replicates} more replicates"] if settling.replicates else []
    ways += [f"{settling.images} more test images"] if settling.images else []
    return " or ".join(ways) or ("nothing feasible" if verdict.settling else "more replicates")
