"""Running suites from Python: the same as the command, and reports that can be made again from files alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import synthbench
from PIL import Image
from synthbench import Experiment, Results, SynthbenchError
from synthbench.results.files import read_results
from synthbench_fakes import SUITE

if TYPE_CHECKING:
    from synthbench.execution.jobs import Outcome
    from synthbench.execution.stage_run import Event
    from synthbench.planning.stage import Stage

README = Path(__file__).parents[1] / "README.md"
CONTENT: dict[str, Any] = {**tomllib.loads(SUITE.read_text()), "name": "squares"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """A folder with the store and the report of the suite of squares with two replicates, and its results."""
    folder = tmp_path_factory.mktemp("finished")
    changes = ["replicates=2"]
    results = synthbench.run(SUITE, changes=changes, store=folder / "store", out=folder / "reports", workers=2, device="cpu")
    return folder, results


def test_results_give_a_row_for_each_cell(finished: tuple[Path, Results]) -> None:
    _, results = finished
    rows = results.rows()
    assert len(rows) == 2 * 2 * 5
    painted = [row for row in rows if row["training_set"] == "paint x teacher" and row["detector"] == "strict"]
    seeds = [(row["replicate"], row["references_seed"], row["generator_seed"], row["seed"]) for row in painted]
    assert seeds == [(0, 0, 0, 0), (1, 1, 1, 1)]
    assert {(row["kind"], row["generator"], row["annotator"]) for row in painted} == {("generated", "paint", "teacher")}
    assert all(0 < row["AP"] <= 1 and row["images"] == 4 and not row["failed"] for row in painted)
    assert len({row["AP"] for row in painted}) == 2, "replicates differ"
    assert rows[0]["references_seed"] is None, "all real images have no draw"


def test_a_report_is_made_again_without_its_store_byte_for_byte(finished: tuple[Path, Results], tmp_path: Path) -> None:
    folder, results = finished
    copied = tmp_path / "reports"
    shutil.copytree(folder / "reports", copied)
    files = {path.relative_to(copied): path.read_bytes() for path in copied.rglob("*.*")}
    assert {path.name for path in files} >= {"squares.json", "squares.md", "samples.jpg", "predictions.jpg", "ap.png", "costs.png"}
    for path in copied.rglob("*.*"):
        if path.suffix in (".md", ".jpg", ".png"):
            path.unlink()
    assert synthbench.report(copied / "squares.json") == copied / "squares.md"
    assert {path.relative_to(copied): path.read_bytes() for path in copied.rglob("*.*")} == files
    assert read_results(copied / "squares.json").cells == results.cells
    with Image.open(copied / "squares" / "samples.jpg") as sheet:
        assert sheet.height > 3 * 100, "the references and two generated sets"


def test_the_report_speaks_of_every_draw(finished: tuple[Path, Results]) -> None:
    text = (finished[0] / "reports" / "squares.md").read_text()
    assert "means over 2 replicates" in text
    assert "Seeds: references 0 and 1; generators and annotators 0 and 1; detectors 0 and 1." in text
    assert re.search(r"`paint x native` +\| 0\.\d{3} ± 0\.\d{3}", text)
    assert "None" not in text.partition("<summary>Options")[0]


def test_python_values_are_the_same_suite_as_the_file(tmp_path: Path) -> None:
    of_file, of_values = (synthbench.plan(suite, store=tmp_path / "store") for suite in (SUITE, CONTENT))
    assert [stage.key for stage in of_file.stages] == [stage.key for stage in of_values.stages]
    assert str(synthbench.plan(str(SUITE), store=tmp_path / "store").suite.name) == "squares"


def test_a_listener_hears_every_stage(tmp_path: Path) -> None:
    class Listener:
        def __init__(self) -> None:
            self.started_stages: list[str] = []
            self.finished_stages: list[str] = []
            self.events = 0

        def started(self, stage: Stage) -> None:
            self.started_stages.append(stage.label)

        def heard(self, stage: Stage, event: Event) -> None:
            self.events += 1

        def finished(self, stage: Stage, outcome: Outcome) -> None:
            self.finished_stages.append(stage.label)

    listener = Listener()
    results = synthbench.run(CONTENT, store=tmp_path / "store", out=None, in_process=True, listener=listener)
    labels = sorted(stage.label for stage in results.stages)
    assert sorted(listener.started_stages) == sorted(listener.finished_stages) == labels
    assert listener.events > 10
    assert not list(tmp_path.glob("reports*")), "out=None writes no report"


def test_another_suites_report_is_not_replaced(tmp_path: Path) -> None:
    experiment = Experiment({**CONTENT, "name": "mine"}, changes=["annotators=[]", "generators=[]", "mix=[]"], store=tmp_path / "store")
    experiment.run(out=tmp_path, in_process=True)
    before = (tmp_path / "mine.json").read_bytes()
    other = tmp_path / "elsewhere" / "mine.toml"
    other.parent.mkdir()
    other.write_text(SUITE.read_text())
    with pytest.raises(SynthbenchError, match=r"mine\.json: is the report of another suite, mine; name another folder with --out"):
        Experiment(other, store=tmp_path / "store").run(out=tmp_path, in_process=True)
    assert (tmp_path / "mine.json").read_bytes() == before


def test_the_lines_of_the_readme_run(tmp_path: Path) -> None:
    code = re.search(r"```python\n(import synthbench\n.*?)```", README.read_text(), re.DOTALL)
    assert code is not None
    assert len([line for line in code[1].splitlines() if line.strip()]) <= 10
    done = subprocess.run([sys.executable, "-c", code[1]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"(\w+) fasterrcnn AP 0\.\d{3}", done.stdout) == ["real", "references"]
    assert [path.name for path in tmp_path.iterdir()] == ["my-store"]


def test_python_m_synthbench_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "synthbench", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == synthbench.__version__


def test_public_names_are_all_there_and_loaded_on_first_use() -> None:
    assert all(getattr(synthbench, name) is not None for name in synthbench.__all__)
    assert set(synthbench.__all__) <= set(dir(synthbench))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = synthbench.nothing
    code = "import synthbench, sys; print({'numpy', 'msgspec', 'pluggy', 'typing', 'dataclasses'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False, env={"PYTHONPATH": "benchmark"}, cwd=README.parent
    )
    assert done.stdout.strip() == "set()", done.stderr
