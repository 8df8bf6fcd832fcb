"""Running suites from Python: the same as the command, and reports that can be made again from files alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
import synthbench
from PIL import Image
from synthbench import Experiment, Results, SynthbenchError
from synthbench.execution.listener import Listener
from synthbench.results.files import read_results
from synthbench_fakes import SUITE

if TYPE_CHECKING:
    from synthbench.execution import stage_run
    from synthbench.execution.jobs import Outcome
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


def test_learning_curves_of_trainings_are_in_the_results(finished: tuple[Path, Results]) -> None:
    trainings = [cell.training for cell in finished[1].cells if cell.training]
    assert trainings
    for training in trainings:
        ((step, value),) = training.curves["loss"]
        assert step == training.images
        assert value == 1 / float(training.metrics["fake-threshold"]["least"] or 0)


def test_a_report_is_made_again_without_its_store_byte_for_byte(finished: tuple[Path, Results], tmp_path: Path) -> None:
    folder, results = finished
    copied = tmp_path / "reports"
    shutil.copytree(folder / "reports", copied)
    files = {path.relative_to(copied): path.read_bytes() for path in copied.rglob("*.*")}
    pictures = {"samples.jpg", "predictions.jpg", "opposed.jpg", "matrix.png", "costs.png"}
    assert {path.name for path in files} >= {"squares.json", "squares.md"} | pictures
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
    assert "95 % intervals over 2 replicates" in text
    assert "Seeds: references 0 and 1; generators and annotators 0 and 1; detectors 0 and 1." in text
    assert re.search(r"`paint x native` +\| 0\.\d{3} \[.?\d\.\d{3}, \d\.\d{3}\]", text)
    assert "None" not in text.partition("<summary>Options")[0]


def test_python_values_are_the_same_suite_as_the_file(tmp_path: Path) -> None:
    of_file, of_values = (synthbench.plan(suite, store=tmp_path / "store") for suite in (SUITE, CONTENT))
    assert [stage.key for stage in of_file.stages] == [stage.key for stage in of_values.stages]
    assert str(synthbench.plan(str(SUITE), store=tmp_path / "store").suite.name) == "squares"


def test_a_listener_hears_every_stage(tmp_path: Path) -> None:
    class Counting(Listener):
        def __init__(self) -> None:
            self.started_stages: list[str] = []
            self.finished_stages: list[str] = []
            self.events = 0

        def started(self, stage: Stage) -> None:
            self.started_stages.append(stage.label)

        def heard(self, stage: Stage, event: stage_run.Event) -> None:
            self.events += 1

        def finished(self, stage: Stage, outcome: Outcome) -> None:
            self.finished_stages.append(stage.label)

    listener = Counting()
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


def watch(report: Path, ended: Event) -> set[tuple[int, int]]:
    """What a report says, again and again until a run has ended: replicates, and those that are planned."""
    seen = set()
    while not ended.wait(0.02):
        if report.exists():
            told = read_results(report)
            seen.add((told.suite.seeds.replicates, told.replicates_planned))
            assert {cell.replicate for cell in told.cells} == set(range(told.suite.seeds.replicates))
            assert all(cell.metrics and cell.failed is None for cell in told.cells), "a true report: of whole replicates"
            assert told.similarity is not None
            assert all(each.images is not None for each in told.similarity.generated)
    return seen


def test_there_is_a_true_report_after_each_replicate(tmp_path: Path) -> None:
    ended, changes = Event(), ["replicates=3", "generators.paint.slow=0.2"]
    with ThreadPoolExecutor() as threads:
        watching = threads.submit(watch, tmp_path / "reports" / "squares.json", ended)
        try:
            results = synthbench.run(SUITE, changes=changes, store=tmp_path / "store", out=tmp_path / "reports", workers=2, device="cpu")
        finally:
            ended.set()
    assert (1, 3) in watching.result()
    assert watching.result() <= {(1, 3), (2, 3), (3, 3)}
    assert results.suite.seeds.replicates == results.replicates_planned == 3
    assert "first answer" not in (tmp_path / "reports" / "squares.md").read_text()
    changes[0] = "replicates=1"
    first = synthbench.run(SUITE, changes=changes, store=tmp_path / "store", out=None, device="cpu", in_process=True)
    assert [cell for cell in results.cells if cell.replicate == 0] == first.cells, "the first replicate does not depend on the others"


def test_a_run_that_is_short_of_time_reports_what_is_complete(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"store": tmp_path / "store", "out": tmp_path / "reports", "device": "cpu", "in_process": True}
    with pytest.raises(SynthbenchError, match=r"0 minutes were over before the first replicate was complete: 0 of \d+ stages"):
        synthbench.run(SUITE, changes=["replicates=2"], minutes=0.0, **arguments)
    one = synthbench.run(SUITE, changes=["replicates=1"], **arguments)
    few = synthbench.run(SUITE, changes=["replicates=2"], minutes=0.0, **arguments)
    assert few.cells == one.cells
    assert (few.suite.seeds.replicates, few.replicates_planned) == (1, 2)
    assert "**This is a first answer, from 1 of 2 replicates**" in (tmp_path / "reports" / "squares.md").read_text()
    whole = synthbench.run(SUITE, changes=["replicates=2"], **arguments)
    assert whole.suite.seeds.replicates == 2
    assert whole.evidence is not None
    assert whole.evidence.resamples == 1000
    level = whole.evidence.level("real", "strict")
    assert level is not None
    assert level.low is not None
    assert level.high is not None
    assert level.low < level.mean < level.high
