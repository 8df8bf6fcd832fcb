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
    same: list[str] = []
    """Training sets and detectors of which two trainings with different seeds or data predicted the very same boxes."""

    def level(self, training_set: str, detector: str) -> Figure | None:
        """The AP of a training set and a detector; None if no cell has a score."""
        return next((each.figure for each in self.levels if (each.training_set, each.detector) == (training_set, detector)), None)

    def difference(self, training_set: str, detector: str, base: str) -> Figure | None:
        """The difference of a training set to another one; None if no replicate has both."""
        wanted = (training_set, detector, base)
        return next((each.figure for each in self.differences if (each.training_set, each.detector, each.base) == wanted), None)

    def verdict(self, training_set: str, detector: str) -> Verdict | None:
        """The verdict on a training set and a detector; None if it is not generated or a figure is missing."""
        return next((each for each in self.verdicts if (each.training_set, each.detector) == (training_set, detector)), None)
