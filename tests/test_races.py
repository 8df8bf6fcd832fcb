"""Several runs on one store at once: each stage is done once, and all of them end with the same figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from synthbench.storage.objects import Objects
from synthbench_fakes import SUITE

RUNS = 8
SLOW = ("generators.paint.slow=0.05", "detectors.threshold.slow=0.2", "detectors.strict.slow=0.2")


def race(store: str, folder: Path) -> None:
    """Runs that each have a cache of their own, as on hosts of their own."""
    changes = [part for change in SLOW for part in ("--set", change)]
    command = [sys.executable, "-m", "synthbench", "run", str(SUITE), "--store", store, "--workers", "1", "--in-process"]
    runs = [
        subprocess.Popen(
            [*command, *changes, "--out", str(folder / f"out{number}")],
            stdout=subprocess.DEVNULL,
            env={**os.environ, "SYNTHBENCH_STORE_CACHE": str(folder / f"cache{number}")},
        )
        for number in range(RUNS)
    ]
    assert [run.wait(500) for run in runs] == [0] * RUNS
    results = [json.loads((folder / f"out{number}" / "squares.json").read_bytes()) for number in range(RUNS)]
    figures = [[cell["metrics"] for cell in each["cells"]] for each in results]
    assert figures == [figures[0]] * RUNS
    stages = {stage["key"]: stage["seconds"] for stage in results[0]["stages"]}
    assert all({stage["key"]: stage["seconds"] for stage in each["stages"]} == stages for each in results), "one result of each stage"


def test_eight_runs_at_once_do_each_stage_once(tmp_path: Path) -> None:
    race(str(tmp_path / "store"), tmp_path)
    assert not list((tmp_path / "store" / "building").iterdir())
    assert not list((tmp_path / "store").glob("*/*/*.damaged"))


@pytest.mark.slow
def test_eight_runs_at_once_do_each_stage_once_in_an_object_store(s3: str, tmp_path: Path) -> None:
    race(f"{s3}/race", tmp_path)
    there = Objects(f"{s3}/race")
    assert not there.find("leases")
    assert not there.find("damaged")
    made = [len(list(cache.glob("*/building/*"))) for cache in tmp_path.glob("cache*")]
    assert made == [0] * RUNS
