"""Equal effort: batches, curves and their rule."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from synthbench import SynthbenchError, curve_steps, training_batches
from synthbench.execution.stage_run import CURVE_POINTS, StageRun
from synthbench.results.curves import still_rising
from synthbench.results.migrate import migrated
from synthbench.storage.manifest import checksum_of, seal, unseal
from synthbench.storage.store import StageRecord

Curve = list[tuple[int, float]]


@pytest.mark.parametrize(("images", "batch_size", "steps"), [(1, 4, 3), (3, 8, 5), (10, 4, 7), (100, 4, 7), (8, 8, 2)])
def test_every_set_gives_the_same_steps_of_the_same_size(images: int, batch_size: int, steps: int) -> None:
    batches = training_batches(images, batch_size, steps, seed=3)
    assert [len(batch) for batch in batches] == [batch_size] * steps
    drawn = Counter(pick for batch in batches for pick in batch)
    assert drawn.keys() <= set(range(images))
    assert max(drawn.values()) - min((drawn[pick] for pick in range(images)), default=0) <= 1, "passes are joined"
    assert batches == training_batches(images, batch_size, steps, seed=3)
    longer = training_batches(images, batch_size, steps + 5, seed=3)
    assert longer[:steps] == batches, "the beginning does not depend on the number of steps"


def test_passes_are_shuffled_and_no_images_are_an_error() -> None:
    first, second, third = training_batches(50, 50, 3, seed=0)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second != third
    assert training_batches(50, 50, 3, seed=1)[0] != first
    with pytest.raises(ValueError, match="0 images"):
        training_batches(0, 4, 4, seed=0)


@pytest.mark.parametrize(("steps", "points"), [(1, 1), (4, 4), (20, 20), (25, 20), (10_000, 20)])
def test_curves_are_measured_at_a_number_of_steps_that_ends_with_the_last(steps: int, points: int) -> None:
    found = sorted(curve_steps(steps))
    assert (len(found), found[-1]) == (points, steps)
    assert found[0] >= 1


def test_curves_are_bounded_finite_and_rising_in_their_steps(tmp_path: Path) -> None:
    run = StageRun(tmp_path)
    for step in range(1, 1001):
        run.log_curve("loss", step, 1 / step)
    points = run.curves["loss"]
    assert CURVE_POINTS / 2 <= len(points) <= CURVE_POINTS
    assert (points[0], points[-1]) == ((1, 1.0), (1000, 0.001))
    assert [step for step, _ in points] == sorted({step for step, _ in points})
    with pytest.raises(ValueError, match="step 1000 comes after step 1000"):
        run.log_curve("loss", 1000, 0.1)
    for value in (math.nan, math.inf):
        with pytest.raises(SynthbenchError, match="diverged"):
            run.log_curve("loss", 2000, value)


def test_records_without_curves_keep_the_checksum_they_had() -> None:
    record = StageRecord(kind="train", metrics={"toy": {"steps": 3}})
    assert b"curves" not in msgspec.json.encode(record)
    with_curve = StageRecord(kind="train", curves={"loss": [(1, 0.5)]})
    assert unseal(seal(with_curve)).curves == {"loss": [(1, 0.5)]}
    assert checksum_of(with_curve) != checksum_of(StageRecord(kind="train"))


def test_earlier_results_are_migrated() -> None:
    assert migrated({"schema": 2, "cells": []}) == {"schema": 3, "cells": []}
    assert migrated({"schema": 3, "cells": []}) == {"schema": 3, "cells": []}


def curve(values: list[float]) -> Curve:
    return list(enumerate(values, start=1))


@pytest.mark.parametrize(
    ("values", "rising"),
    [
        ([float(step) for step in range(20)], True),
        ([-float(step) for step in range(20)], True),
        ([math.exp(-step / 4) for step in range(20)], False),
        ([math.exp(-step / 12) for step in range(20)], True),
        ([1 - math.exp(-step / 12) for step in range(20)], True),
        ([abs(step - 12) / 12 for step in range(20)], False),
        ([0.5] * 20, False),
        ([0.1, 0.2, 0.3, 0.4], False),
        ([0.1, 0.2, 0.3, 0.4, 0.5], True),
        ([], False),
    ],
    ids=["line", "falling line", "plateau", "falling", "rising", "overfitted", "flat", "four points", "five points", "none"],
)
def test_a_curve_is_still_rising_if_its_last_fifth_adds_a_tenth(values: list[float], rising: bool) -> None:
    assert still_rising(curve(values)) is rising
