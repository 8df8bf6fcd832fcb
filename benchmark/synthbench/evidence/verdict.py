"""Whether a training set replaces the real photographs: yes, no, or not settled, and what would settle it.

*Replaces* is non-inferiority: the difference to `real` is above -margin, at an error rate of 5 %. Of many combinations some would
pass by luck, so Holm's step-down (1979) keeps the rate at which any one is wrongly said to replace at 5 % in all; the same
holds for *does not*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from synthbench.evidence.intervals import LEVEL, Estimate

MARGIN = 0.05
"""AP that may be lost to `real` by something that still replaces it."""
MOST_REPLICATES = 100
MOST_IMAGES = 100_000
"""More than these are not proposed."""

Word = Literal["replaces", "does not", "not settled"]


@dataclass(frozen=True)
class Settling:
    """What would settle a verdict if the mean and the spread stay as they are; each is enough without the other.

    replicates: how many more on the same test images. images: how many more test images, with the same replicates. None where
    no feasible number is enough.
    """

    replicates: int | None
    images: int | None


@dataclass(frozen=True)
class Verdict:
    """A word, and what it rests on.

    difference: to `real`, AP. margin: AP. level: the error rate of the test that decided (5 %, or Holm's share of it).
    settling: None if the verdict is settled, or if there is no spread to go by (fewer than two replicates).
    """

    word: Word
    difference: Estimate
    margin: float
    level: float
    settling: Settling | None


@dataclass(frozen=True)
class Best:
    """The highest of several means, chosen by looking. lower, upper: one-sided 95 % bounds that allow for the choice, AP."""

    row: int
    estimate: Estimate
    lower: float
    upper: float


def judge(difference: Estimate, margin: float = MARGIN) -> Verdict:
    """The verdict on one difference to `real`. Raises ValueError if the margin is negative."""
    return judge_all([difference], margin)[0]


def judge_all(differences: Sequence[Estimate], margin: float = MARGIN) -> tuple[Verdict, ...]:
    """The verdicts on all combinations of a suite, by Holm's step-down. Raises ValueError if the margin is negative.

    Differences without a spread are not tested, and do not make the others' tests stricter.
    """
    if margin < 0:
        raise ValueError(f"a margin of {margin}: it must be 0 or above")
    above, levels = _holm(differences, lambda each: each.p_above(-margin))
    below, other_levels = _holm(differences, lambda each: each.p_below(-margin))
    verdicts = []
    for number, each in enumerate(differences):
        # The side on which the mean is decides which test an open verdict is nearest to.
        level = levels[number] if each.mean > -margin else other_levels[number]
        word: Word = "replaces" if number in above else "does not" if number in below else "not settled"
        settling = would_settle(each, margin, level) if word == "not settled" else None
        verdicts.append(Verdict(word, each, margin, level, settling))
    return tuple(verdicts)


def best_of(estimates: Sequence[Estimate]) -> Best | None:
    """The highest mean of those with a spread, with bounds that hold for all of them at once (Bonferroni); None if none has one."""
    tested = [number for number, each in enumerate(estimates) if each.spread]
    if not tested:
        return None
    bounds = {number: (estimates[number].lower(LEVEL / len(tested)), estimates[number].upper(LEVEL / len(tested))) for number in tested}
    best = max(tested, key=lambda number: estimates[number].mean)
    lower, upper = bounds[best]
    assert lower is not None
    assert upper is not None
    return Best(best, estimates[best], lower, upper)


def would_settle(difference: Estimate, margin: float = MARGIN, level: float = LEVEL) -> Settling | None:
    """How many more replicates or test images would settle a verdict; None without a spread."""
    spread = difference.spread
    if spread is None:
        return None
    gap = abs(difference.mean + margin)

    def enough(replicates: int, images: int) -> bool:
        return spread.scaled(replicates, images).reach(level) < gap

    replicates = _first(lambda count: enough(count, spread.images), spread.replicates, MOST_REPLICATES)
    images = _first(lambda count: enough(spread.replicates, count), spread.images, MOST_IMAGES)
    return Settling(
        None if replicates is None else replicates - spread.replicates,
        None if images is None else images - spread.images,
    )


def _first(enough: Callable[[int], bool], least: int, most: int) -> int | None:
    """The smallest count above `least` and up to `most` that is enough, if more never is less; None if `most` is not enough."""
    if most <= least or not enough(most):
        return None
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if enough(middle) else (middle, most)
    return most


def _holm(differences: Sequence[Estimate], p_value: Callable[[Estimate], float]) -> tuple[set[int], list[float]]:
    """Which claims hold at 5 % for all together, and the level at which each was tested, or would be next."""
    tested = sorted((p_value(each), number) for number, each in enumerate(differences) if each.spread)
    passed: set[int] = set()
    levels = [LEVEL] * len(differences)
    for rank, (p, number) in enumerate(tested):
        # After the first that fails no other passes, and all are left at its level.
        levels[number] = LEVEL / (len(tested) - len(passed))
        if p <= levels[number] and len(passed) == rank:
            passed.add(number)
    return passed, levels
