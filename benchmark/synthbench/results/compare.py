"""Two runs side by side: what is the same, what differs, and whether seeds and test images explain the differences of AP."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import Literal

import msgspec
from msgspec import structs

from synthbench.evidence.welch import Mean, compare_means, mean_of
from synthbench.results.claims import Figure, Word
from synthbench.results.differences import SUBJECTS, Difference, differences
from synthbench.results.model import Cell, Results
from synthbench.results.numbers import EXACT

Finding = Literal["same", "explained", "beyond", "unknown"]


class ComparedCell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The AP of a training set and a detector in both runs.

    change: the second minus the first; low, high: its 95 % interval; p: after Holm's correction over all that are compared.
    same_keys: how many scores have the same key in both, which were computed by the same recipe.
    finding: `same`, all scores have the same keys and are equal; `explained` by seeds and test images; `beyond` what they explain;
    `unknown`: one of the runs has no interval, because it has one replicate or is of an older version.
    """

    training_set: str
    detector: str
    first: Figure
    second: Figure
    change: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    same_keys: int
    finding: Finding


class ComparedVerdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The verdicts on a training set and a detector in both runs."""

    training_set: str
    detector: str
    first: Word
    second: Word


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two runs side by side.

    same: subjects in which nothing differs. differences: all others. cells: what has an AP in both.
    only_first, only_second: training sets and detectors that have an AP in one of them. verdicts: those that both runs have.
    same_test_images: whether both read the very same data; None if that is not known.
    """

    same: list[str]
    differences: list[Difference]
    cells: list[ComparedCell]
    only_first: list[tuple[str, str]]
    only_second: list[tuple[str, str]]
    verdicts: list[ComparedVerdict]
    same_test_images: bool | None

    @property
    def agrees(self) -> bool:
        """Whether something was compared, and nothing differs by more than seeds and test images explain."""
        return bool(self.cells) and all(each.finding in ("same", "explained") for each in self.cells)

    @property
    def resolution(self) -> float | None:
        """How large a difference of one AP figure must be to be told from none: the median half width of the 95 % intervals."""
        widths = [(each.high - each.low) / 2 for each in self.cells if each.low is not None and each.high is not None]
        return median(widths) if widths else None

    def count(self, finding: Finding) -> int:
        """How many cells have this finding."""
        return sum(each.finding == finding for each in self.cells)


def compare(first: Results, second: Results) -> Comparison:
    """Compares two runs of any schema that can be read. Training sets and detectors are paired by their names."""
    differing = differences(first, second)
    one, other = _scored(first), _scored(second)
    about = {each.about for each in differing}
    return Comparison(
        same=[each for each in SUBJECTS if each not in about],
        differences=differing,
        cells=_compared([(pair, (first, one[pair]), (second, other[pair])) for pair in one if pair in other]),
        only_first=[pair for pair in one if pair not in other],
        only_second=[pair for pair in other if pair not in one],
        verdicts=_verdicts(first, second),
        same_test_images=_same_test_images(first, second),
    )


Side = tuple[Results, list[Cell]]


def _compared(pairs: Sequence[tuple[tuple[str, str], Side, Side]]) -> list[ComparedCell]:
    """All cells that both runs have, tested together."""
    found: list[ComparedCell] = []
    tested: dict[int, tuple[Mean, Mean]] = {}
    for number, ((training_set, detector), (first, one), (second, other)) in enumerate(pairs):
        figures = _figure(first, one), _figure(second, other)
        keys = {cell.keys.score for cell in one}, {cell.keys.score for cell in other}
        change = figures[1].mean - figures[0].mean
        same = keys[0] == keys[1] and abs(change) <= EXACT
        means = _mean(figures[0]), _mean(figures[1])
        if not same and means[0] is not None and means[1] is not None:
            tested[number] = means[0], means[1]
        found.append(
            ComparedCell(
                training_set=training_set,
                detector=detector,
                first=figures[0],
                second=figures[1],
                change=change,
                same_keys=len(keys[0] & keys[1]),
                finding="same" if same else "unknown",
            )
        )
    for number, test in zip(tested, compare_means(list(tested.values())), strict=True):
        found[number] = structs.replace(
            found[number], low=test.low, high=test.high, p=test.p, finding="beyond" if test.beyond else "explained"
        )
    return found


def _scored(results: Results) -> dict[tuple[str, str], list[Cell]]:
    """The cells with an AP, by training set and detector."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in results.cells:
        if "AP" in cell.metrics:
            found.setdefault((cell.training_set, cell.detector), []).append(cell)
    return found


def _figure(results: Results, cells: Sequence[Cell]) -> Figure:
    """The AP as the results state it; of older results the mean of the cells."""
    stated = results.evidence.level(cells[0].training_set, cells[0].detector) if results.evidence else None
    return stated or Figure(mean=fmean(cell.metrics["AP"] for cell in cells), replicates=len(cells))


def _mean(figure: Figure) -> Mean | None:
    return mean_of(figure.mean, figure.low, figure.high, figure.error)


def _verdicts(first: Results, second: Results) -> list[ComparedVerdict]:
    """The verdicts that both runs have."""
    one, other = _words(first), _words(second)
    return [ComparedVerdict(training_set=pair[0], detector=pair[1], first=one[pair], second=other[pair]) for pair in one if pair in other]


def _words(results: Results) -> dict[tuple[str, str], Word]:
    stated = results.evidence.verdicts if results.evidence else []
    return {(each.training_set, each.detector): each.word for each in stated}


def _same_test_images(first: Results, second: Results) -> bool | None:
    """Whether the data stages have one key; None if they have not, since other versions give the same images another key."""
    keys = [{stage.key for stage in results.stages if stage.kind == "data"} for results in (first, second)]
    if keys[0] and keys[0] == keys[1]:
        return True
    described = first.data, second.data
    return None if described[0] is not None and described[0] == described[1] else False
