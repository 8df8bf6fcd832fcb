"""The figures of each category, from the matches that a score kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synthbench.results.model import ClassFigures

if TYPE_CHECKING:
    from synthbench.metrics import Matches

FIGURES = ("AP", "AP50", "AP75", "AR100")


def figures_by_class(matches: Matches, categories: Sequence[str]) -> list[ClassFigures]:
    """The figures of each category; none if there is one category, whose figures are those of the cell."""
    from synthbench.metrics import summarize_each

    if len(categories) == 1:
        return []
    counted = matches.truth_label[matches.truth_counts[0]]
    return [
        ClassFigures(
            name=name,
            objects=int((counted == label).sum()),
            metrics={figure: value for figure in FIGURES if (value := found[figure]) is not None},
        )
        for label, (name, found) in enumerate(zip(categories, summarize_each(matches, len(categories)), strict=True))
    ]
