"""Everything that is measured of predictions on the test images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synthbench.metrics.errors import errors_of
from synthbench.metrics.matching import Matches, match_fully
from synthbench.metrics.scores import check_labels, summarize

if TYPE_CHECKING:
    from synthbench.contract.types import Boxes


def measure(truth: Sequence[Boxes], predictions: Sequence[Boxes], categories: int) -> tuple[Matches, dict[str, float]]:
    """The matches, COCO's figures where there is anything to divide by, and TIDE's errors. One `Boxes` per image on both sides."""
    check_labels(truth, predictions, categories)
    matching = match_fully(truth, predictions)
    figures = {name: value for name, value in summarize(matching.matches, categories).items() if value is not None}
    return matching.matches, {**figures, **errors_of(matching, categories).facts}
