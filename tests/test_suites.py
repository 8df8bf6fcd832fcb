"""The suites that come with the repository: all of them can be planned, and the smallest one runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from synthbench.cli import main
from synthbench.planning.making import make_plan
from synthbench.registry import installed
from synthbench.storage.local import LocalStore
from synthbench.suite.reader import read_suite

SUITES = Path(__file__).parents[1] / "suites"
SYNTHBENCH = Path(sys.executable).with_name("synthbench")


@pytest.mark.parametrize(("name", "count"), [("apples", 2), ("smoke", 5), ("detectors", 7), ("fruit", 1)])
def test_a_suite_that_brings_everything_can_be_planned(name: str, count: int, tmp_path: Path) -> None:
    plan = make_plan(read_suite(SUITES / f"{name}.toml", installed()), installed(), LocalStore(tmp_path / "store"))
    rows, detectors = len(plan.suite.rows), len(plan.suite.detectors)
    assert detectors == count
    assert len(plan.cells) == rows * detectors * len(plan.suite.seeds)
    assert {"real", "references", "sd15-dreambooth x teacher"} <= {row.name for row in plan.suite.rows}


@pytest.mark.parametrize(("name", "generators", "others", "detectors", "replicates"), [("minneapple", 3, 0, 3, 3), ("photos", 5, 4, 2, 3)])
def test_a_suite_on_photographs_can_be_planned_with_their_folder(
    name: str, generators: int, others: int, detectors: int, replicates: int, tmp_path: Path, photos: Path
) -> None:
    suite = read_suite(SUITES / f"{name}.toml", installed(), ["data.use=coco", f"data.path={photos}"])
    plan = make_plan(suite, installed(), LocalStore(tmp_path / "store"))
    assert len(plan.cells) == (2 + 2 * generators - len(suite.settings.leave_out) + others) * detectors * replicates
    fits = [stage for stage in plan.stages if stage.kind == "fit"]
    assert len(fits) == generators * replicates, "once a replicate"


def test_the_detectors_alone_can_be_planned_on_photographs(tmp_path: Path, photos: Path) -> None:
    suite = read_suite(SUITES / "detectors-photos.toml", installed(), ["data.use=coco", f"data.path={photos}"])
    plan = make_plan(suite, installed(), LocalStore(tmp_path / "store"))
    assert len(plan.cells) == 3 * 2 * 7
    assert {stage.kind for stage in plan.stages} == {"data", "check", "select", "train", "predict", "score"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("photos", ["AppleBBCH81: fetches 640 files (28 MB and the label files)", "CC BY 4.0"]),
        ("detectors-photos", ["AppleBBCH81: fetches"]),
        ("minneapple", ["MinneApple: fetches 2 files (about 3 GB)", "Not for commercial purposes", "Voetman et al.: fetches 1070 files"]),
    ],
)
def test_a_suite_says_what_it_would_fetch_and_fetches_nothing_unasked(
    name: str, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYNTHBENCH_DATA", str(tmp_path / "data"))
    suite, store = str(SUITES / f"{name}.toml"), ["--store", str(tmp_path / "store")]
    assert main(["plan", suite, *store]) == 0
    planned = capsys.readouterr().out
    assert main(["run", suite, *store, "--out", str(tmp_path / "out")]) == 2
    refused = capsys.readouterr().err
    for each in told:
        assert each in planned
        assert each in refused
    assert "add --download, or name a copy of yours with the option `path`" in refused
    assert not (tmp_path / "data").exists()


@pytest.mark.timeout(1800)  # five minutes on a slow machine
def test_the_smallest_suite_runs_every_plugin_and_is_cached_afterwards(tmp_path: Path) -> None:
    command = [str(SYNTHBENCH), "run", str(SUITES / "smoke.toml"), "--store", str(tmp_path / "store"), "--out", str(tmp_path / "out")]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stdout + first.stderr
    held = json.loads((tmp_path / "out" / "smoke.json").read_text())
    assert not held["failures"]
    assert all("AP" in cell["metrics"] for cell in held["cells"])
    assert {each["annotator"] for each in held["judged"]} == {"teacher", "native"}
    assert "rendered, not photographs" in (tmp_path / "out" / "smoke.md").read_text()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "nothing to do" in again.stdout


@pytest.mark.timeout(1800)  # two minutes on a slow machine
def test_a_suite_of_three_classes_runs_with_a_diffusion_model(tmp_path: Path) -> None:
    command = [str(SYNTHBENCH), "run", str(SUITES / "fruit.toml"), "--store", str(tmp_path / "store"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "out" / "fruit.json").read_text())
    assert not found["failures"]
    assert len(found["cells"]) == 6
    for cell in found["cells"]:
        assert [each["name"] for each in cell["classes"]] == found["data"]["categories"] == ["red apples", "green apples", "plums"]
    native = next(each for each in found["generated"] if each["training_set"] == "sd15-dreambooth x native")
    assert native["boxes"] > 0
    tiles = json.loads((tmp_path / "out" / "fruit" / "tiles.json").read_bytes())
    row = next(row for row in tiles["samples"] if row["title"] == "sd15-dreambooth x native")
    assert len({label for tile in row["tiles"] for label in tile["labels"]}) > 1
