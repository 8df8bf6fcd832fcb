"""What the cells of a run say, over their replicates."""

from __future__ import annotations

import statistics
from collections.abc import Collection
from dataclasses import dataclass

from synthbench.results.ap_table import Scored
from synthbench.results.claims import Equivalent, Figure, Verdict
from synthbench.results.model import Cell, Results, TrainingSetKind
from synthbench.results.prove import prove, rival_sets

NOTHING_LEARNED = 0.05
"""An AP with all real images below which a detector says nothing of the images."""


@dataclass(frozen=True)
class Score:
    """A metric of a training set and a detector, from 0 to 1: one value for each replicate."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the replicates."""
        return statistics.fmean(self.values)


@dataclass(frozen=True)
class Pick:
    """A training set with a detector, and its AP."""

    row: str
    detector: str
    score: Score


class Scores:
    """The figures of a run's cells."""

    def __init__(self, results: Results) -> None:
        self.kinds: dict[str, TrainingSetKind] = {row.name: row.kind for row in results.training_sets}
        self._sizes = {row.name: row.images or results.suite.images for row in results.training_sets}
        self._wholes = {row.name: row.whole for row in results.training_sets if row.kind == "part"}
        self.tested_apart = rival_sets(results.training_sets, results.suite)
        """Generated sets and mixes whose verdicts are those of rivals."""
        self.rivals = [row for row in self.tested_apart if self.kinds[row] == "generated"]
        """Generated sets of generators without a generative model."""
        self.detectors: list[str] = [entry.name for entry in results.suite.detectors]
        self.replicates = results.suite.seeds.replicates
        # Older results, and those of one replicate, have means only.
        self.evidence = results.evidence or prove(results.cells, results.training_sets, results.suite, results.data, Scored({}, 0))
        self._cells: dict[tuple[str, str], list[Cell]] = {}
        for cell in results.cells:
            self._cells.setdefault((cell.training_set, cell.detector), []).append(cell)

    @property
    def has_intervals(self) -> bool:
        """Whether anything has an interval: with one replicate or one test image nothing has."""
        return any(each.figure.low is not None for each in self.evidence.levels)

    def rows(self, *kinds: TrainingSetKind) -> list[str]:
        """The training sets of these kinds, all if none is given."""
        return [row for row, kind in self.kinds.items() if not kinds or kind in kinds]

    def candidates(self) -> list[str]:
        """The generated sets that the answer is about: those of generative models, or of rivals if a suite has no others."""
        generated = self.rows("generated")
        return [row for row in generated if row not in self.rivals] or generated

    def closest(self, detector: str) -> Pick | None:
        """The set that the answer is about with the highest AP of a detector: on held-out images if all have it, else on test images."""
        held_out = self.held_out(detector)
        picks = [pick for pick in self.picks("generated", detector=detector) if pick.row in self.candidates()]
        return max(picks, key=lambda pick: held_out[pick.row] if held_out else pick.score.mean, default=None)

    def each_closest(self, detectors: Collection[str]) -> list[Pick]:
        """`closest` of each of these detectors that has one."""
        return [pick for each in detectors if (pick := self.closest(each))]

    def held_out(self, detector: str) -> dict[str, float]:
        """The mean AP of each candidate on the real images that no training set has; nothing if one that has a score lacks it there."""
        found = {}
        for row in self.candidates():
            aps = [cell.held_out_ap for cell in self.cells(row, detector) if cell.metrics]
            known = [ap for ap in aps if ap is not None]
            if len(known) < len(aps):
                return {}
            if known:
                found[row] = statistics.fmean(known)
        return found

    def by_images(self, row: str) -> dict[int, str]:
        """A generated set or mix and its parts by the number of generated images, ascending; of a set without parts nothing."""
        parts = [part for part, whole in self._wholes.items() if whole == row]
        return {self._sizes[each]: each for each in sorted((*parts, row), key=self._sizes.__getitem__)} if parts else {}

    def cells(self, row: str, detector: str) -> list[Cell]:
        """One for each replicate."""
        return self._cells.get((row, detector), [])

    def of(self, row: str, detector: str, metric: str = "AP") -> Score | None:
        """A metric over the cells that have it; None if none has."""
        values = tuple(cell.metrics[metric] for cell in self.cells(row, detector) if metric in cell.metrics)
        return Score(values) if values else None

    def of_class(self, row: str, detector: str, number: int, metric: str = "AP") -> Score | None:
        """A metric of one category, by its number, over the cells that have it; None if none has."""
        found = [cell.classes[number].metrics for cell in self.cells(row, detector) if cell.classes]
        values = tuple(metrics[metric] for metrics in found if metric in metrics)
        return Score(values) if values else None

    def level(self, row: str, detector: str) -> Figure | None:
        """The AP with its interval."""
        return self.evidence.level(row, detector)

    def difference(self, row: str, detector: str, base: str | None) -> Figure | None:
        """How much higher the AP is than with `base`, within each replicate; None if no replicate has both."""
        return self.evidence.difference(row, detector, base) if base else None

    def is_flat(self, detector: str) -> bool:
        """Whether all real images did no better with a detector than the references, as far as can be told; false if that is unknown."""
        references, real = self.of_kind("references"), self.of_kind("real")
        figure = self.difference(references, detector, real) if references else None
        return figure is not None and figure.high is not None and figure.high >= 0

    def worth(self, row: str, detector: str) -> Equivalent | None:
        """How many real images give the same AP; None where that is unknown, or cannot be told since more of them bring no more AP."""
        found = self.evidence.equivalent(row, detector)
        below_all = found is not None and found.bounded and found.high is not None and found.high <= found.smallest
        # The spread of this difference is pooled over other rows than that of the curve, so the two can disagree.
        gap = self.difference(row, detector, self.of_kind("references"))
        like_references = gap is not None and gap.high is not None and gap.high >= 0
        return None if self.is_flat(detector) and (like_references or not below_all) else found

    def generated_images(self, row: str) -> int:
        """How many generated images a generated set or a mix has."""
        return self._sizes[row]

    def verdict(self, row: str, detector: str) -> Verdict | None:
        """Whether a training set replaces the real images; None for the real images, and where nothing was learned from them."""
        return self.evidence.verdict(row, detector) if self.learned(detector) else None

    def learned(self, detector: str) -> bool:
        """Whether a detector learns enough from all real images for its other figures to mean something; true if that is unknown."""
        row = self.of_kind("real")
        real = self.of(row, detector) if row else None
        return real is None or real.mean >= NOTHING_LEARNED

    def failed(self, row: str, detector: str) -> int:
        """How many of the cells failed."""
        return sum(cell.failed is not None for cell in self.cells(row, detector))

    def waiting(self, row: str, detector: str) -> int:
        """How many of the cells wait for labels by people."""
        return sum(cell.waiting is not None for cell in self.cells(row, detector))

    def picks(self, *kinds: TrainingSetKind, detector: str | None = None) -> list[Pick]:
        """Everything that has an AP, best first."""
        pairs = [(row, each) for row in self.rows(*kinds) for each in self.detectors if detector in (None, each)]
        found = [Pick(row, each, score) for row, each in pairs if (score := self.of(row, each))]
        return sorted(found, key=lambda pick: -pick.score.mean)

    def best(self, *kinds: TrainingSetKind, detector: str | None = None) -> Pick | None:
        """The highest AP among training sets of these kinds."""
        return next(iter(self.picks(*kinds, detector=detector)), None)

    def of_kind(self, kind: TrainingSetKind) -> str | None:
        """The name of the first training set of a kind: `real` and `references` may have other names."""
        return next(iter(self.rows(kind)), None)

    def training_seconds(self, row: str, detector: str) -> float | None:
        """Seconds that one training took, a mean over those that finished."""
        seconds = [cell.train_seconds for cell in self.cells(row, detector) if cell.metrics]
        return statistics.fmean(seconds) if seconds else None

    def trained_on(self, row: str) -> tuple[float, float] | None:
        """How many images and boxes detectors were trained on, means over replicates; None if none finished."""
        found = [cell.training for detector in self.detectors for cell in self.cells(row, detector) if cell.training]
        return (statistics.fmean(each.images for each in found), statistics.fmean(each.boxes for each in found)) if found else None


def listed(names: Collection[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def signed(difference: float, digits: int = 3) -> str:
    """With its sign, and a true minus."""
    text = f"{difference:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def spanned(figure: Figure, *, sign: bool = False) -> str:
    """A mean with its 95 % interval: `0.431 [0.402, 0.460]`; the mean alone if there is no interval. sign: it is a difference."""
    write = signed if sign else "{:.3f}".format
    if figure.low is None or figure.high is None:
        return write(figure.mean)
    low, high = (figure.low, figure.high) if sign else (max(figure.low, 0.0), min(figure.high, 1.0))  # AP ends there
    return f"{write(figure.mean)} [{write(low)}, {write(high)}]"
