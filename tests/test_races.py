"""Several runs on one store at once: each stage is done once, and all of them end with the same figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from synthbench_fakes import SUITE

RUNS = 8
SLOW = ("generators.paint.slow=0.05", "detectors.threshold.slow=0.2", "detectors.strict.slow=0.2")


def test_eight_runs_at_once_do_each_stage_once(tmp_path: Path) -> None:
    changes = [part for change in SLOW for part in ("--set", change)]
    command = [sys.executable, "-m", "synthbench", "run", str(SUITE), "--store", str(tmp_path / "store"), "--workers", "1", "--in-process"]
    runs = [
        subprocess.Popen([*command, *changes, "--out", str(tmp_path / f"out{number}")], stdout=subprocess.DEVNULL, env=os.environ)
        for number in range(RUNS)
    ]
    assert [run.wait(300) for run in runs] == [0] * RUNS
    results = [json.loads((tmp_path / f"out{number}" / "squares.json").read_bytes()) for number in range(RUNS)]
    figures = [[cell["metrics"] for cell in each["cells"]] for each in results]
    assert figures == [figures[0]] * RUNS
    stages = {stage["key"]: stage["seconds"] for stage in results[0]["stages"]}
    assert all({stage["key"]: stage["seconds"] for stage in each["stages"]} == stages for each in results), "one result of each stage"
    assert not list((tmp_path / "store" / "building").iterdir())
    assert not list((tmp_path / "store").glob("*/*/*.damaged"))
