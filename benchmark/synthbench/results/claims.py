"""What the scores of a run prove: means with their intervals, differences, verdicts, equivalent real images.

Figures are AP, from 0 to 1, or differences of AP. An interval or a bound is None where a single replicate says nothing of another.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Word = Literal["replaces", "does not", "not settled"]


class Figure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mean over replicates.

    low, high: the 95 % interval. error: the standard error. lower, upper: one-sided 95 % bounds.
    """

    mean: float
    replicates: int
    low: float | None = None
    high: float | None = None
    error: float | None = None
    lower: float | None = None
    upper: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """`low` and `high`; None if there is no interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)


class Level(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The AP of a training set and a detector."""

    training_set: str
    detector: str
    figure: Figure


class Difference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much higher a detector's AP is with a training set than with another, `base`; taken within each replicate."""

    training_set: str
    detector: str
    base: str
    figure: Figure


class Settling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many more of one or of the other would settle a verdict, as far as the present spread tells; None: no feasible number."""

    replicates: int | None
    images: int | None


class Verdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a training set replaces the real images for a detector. level: the error rate that decided, after Holm's correction."""

    training_set: str
    detector: str
    word: Word
    level: float
    settling: Settling | None = None


class Equivalent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many real images give a detector the AP of a training set.

    position: `within` the curve of real images, `fewer` than its smallest number, `more` than its largest. images: None unless within.
    low, high: the 95 % interval; None where it goes beyond the end of the curve, or if it is not `bounded`.
    """

    training_set: str
    detector: str
    position: Literal["fewer", "within", "more"]
    images: float | None
    low: float | None
    high: float | None
    bounded: bool
    smallest: int
    largest: int


class Deviations(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Standard deviations of one AP figure by what they come from; None where no row shows it."""

    detector: float | None
    references: float | None
    generator: float | None
    test_images: float | None


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the scores prove.

    margin: AP by which a training set may be worse than `real` and still replaces it. images: test images that were resampled,
    in `groups` groups that were drawn as a whole. resamples: of the test images, the same for all cells.
    """

    margin: float
    images: int
    groups: int
    resamples: int
    levels: list[Level]
    differences: list[Difference]
    verdicts: list[Verdict]
    """Corrected over all combinations of generated sets and mixes, and over those of rivals, each by themselves."""
    equivalents: list[Equivalent] = []
    variance: Deviations | None = None
    same: list[str] = []
    """Training sets and detectors of which two trainings with different seeds or data predicted the very same boxes."""

    def level(self, training_set: str, detector: str) -> Figure | None:
        """The AP of a training set and a detector; None if no cell has a score."""
        return next((each.figure for each in self.levels if (each.training_set, each.detector) == (training_set, detector)), None)

    def difference(self, training_set: str, detector: str, base: str) -> Figure | None:
        """The difference of a training set to another one; None if no replicate has both."""
        wanted = (training_set, detector, base)
        return next((each.figure for each in self.differences if (each.training_set, each.detector, each.base) == wanted), None)

    def equivalent(self, training_set: str, detector: str) -> Equivalent | None:
        """What a training set is worth in real images; None if there is no curve."""
        return next((each for each in self.equivalents if (each.training_set, each.detector) == (training_set, detector)), None)

    def verdict(self, training_set: str, detector: str) -> Verdict | None:
        """The verdict on a training set and a detector; None if it is not generated or a figure is missing."""
        return next((each for each in self.verdicts if (each.training_set, each.detector) == (training_set, detector)), None)
