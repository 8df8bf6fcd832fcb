"""What to do with the references and nothing else: every training set against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from synthbench.reporting.scores import Scores, listed, spanned
from synthbench.reporting.tables import UNKNOWN, table
from synthbench.results.claims import Figure
from synthbench.results.model import Results

NAMED = 3  # sets that cannot be told from the references; of more the number is said
Word = Literal["better", "worse", "cannot be told"]
MEANT = """\
*Better*, *worse*: the 95 % interval of the difference is above or below 0. Each interval is of one comparison alone, so of these {count}
comparisons a few may be *better* or *worse* by luck: about one in 20, if nothing differs."""


def compared(figure: Figure) -> Word:
    """Whether a difference to the references is settled."""
    if figure.interval is None:
        return "cannot be told"
    low, high = figure.interval
    return "better" if low > 0 else "worse" if high < 0 else "cannot be told"


def against_references(scores: Scores) -> str:
    """A line a training set and detector: the difference to the references, and its word; empty where nothing is known."""
    references = scores.of_kind("references")
    rows = []
    for row in scores.rows():
        trained = scores.trained_on(row)
        for detector in scores.detectors:
            if row != references and scores.learned(detector) and (figure := scores.difference(row, detector, references)):
                rows.append([f"`{row}`", detector, round(trained[0]) if trained else UNKNOWN, spanned(figure, sign=True), compared(figure)])
    if not scores.has_intervals or not rows:
        return ""
    headers = ["training set", "detector", "images", "AP minus that of the references", "than the references"]
    return f"{MEANT.format(count=len(rows))}\n\n{table(headers, rows, words=2)}"


def advice(results: Results, scores: Scores) -> str:
    """What to do with the references and nothing else, as far as the intervals settle it; empty where they settle nothing."""
    words = {row: words_of(scores, row) for row in made_of_references(results, scores)}
    detectors = [each for each in scores.detectors if any(each in known for known in words.values())]
    if not scores.has_intervals or not detectors:
        return ""
    better = better_with(words, detectors)
    helped = [f"with `{each}`, train on {' or '.join(shown(scores, row, each) for row in rows)}" for each, rows in better.items() if rows]
    rest = [each for each in detectors if not better[each]]
    if rest:
        which = f"with {listed([f'`{each}`' for each in rest])}, " if helped else ""
        helped.append(f"{which}train on them as they are, since nothing that is made from them is shown to be better")
    told = f"**What to do with the {results.suite.references} references and nothing else**: {'; '.join(helped)}."
    return " ".join([told, *undecided(words), *more_real(scores, detectors)])


def made_of_references(results: Results, scores: Scores) -> list[str]:
    """The generated sets, and the mixes that need no other real images than the references."""
    parts = {row.name: row.parts for row in results.training_sets}

    def needs_no_more(row: str) -> bool:
        kind = scores.kinds.get(row)
        return kind in ("references", "generated", "part") or (kind == "mix" and all(map(needs_no_more, parts[row])))

    return [row for row in scores.rows("generated", "mix") if needs_no_more(row)]


def words_of(scores: Scores, row: str) -> dict[str, Word]:
    """The word on a training set with each detector that has one."""
    references = scores.of_kind("references")
    learned = [each for each in scores.detectors if scores.learned(each)]
    return {each: compared(figure) for each in learned if (figure := scores.difference(row, each, references))}


def better_with(words: Mapping[str, Mapping[str, Word]], detectors: Sequence[str]) -> dict[str, list[str]]:
    """The training sets that are better than the references, for each detector."""
    return {each: [row for row, known in words.items() if known.get(each) == "better"] for each in detectors}


def shown(scores: Scores, row: str, detector: str) -> str:
    """A training set with its difference to the references."""
    free = ", without a generative model" if row in scores.tested_apart else ""
    return f"`{row}` ({gained(scores, row, detector)}{free})"


def gained(scores: Scores, row: str, detector: str) -> str:
    """The difference to the references of a training set whose word is known."""
    figure = scores.difference(row, detector, scores.of_kind("references"))
    assert figure is not None, "its word is known"
    return f"AP {spanned(figure, sign=True)}"


def undecided(words: dict[str, dict[str, Word]]) -> list[str]:
    """The training sets that no detector tells from the references: they may be better or worse."""
    same = [f"`{row}`" for row, known in words.items() if known and {*known.values()} == {"cannot be told"}]
    few = listed(same) if 0 < len(same) <= NAMED else f"{len(same)} of {len(words)} such sets"
    which = " with any detector" if any(len(known) > 1 for known in words.values()) else ""
    return [f"{few} cannot be told from them{which}."] if same else []


def more_real(scores: Scores, detectors: Sequence[str]) -> list[str]:
    """The detectors that more real images help, and by how much."""
    better = better_with({row: words_of(scores, row) for row in scores.rows("real", "subset")}, detectors)
    helped = [f"`{each}` (`{rows[0]}`: {gained(scores, rows[0], each)})" for each, rows in better.items() if rows]
    return [f"More real images are better with {listed(helped)}."] if helped else []
