"""The command line: what it prints, its exit status, and that Ctrl-C and kills leave a store to go on from."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from marked import MARK, needs_proc, processes, wait_for
from synthbench.cli import main
from synthbench_fakes import SUITE

Typed = Callable[..., tuple[int, str, str]]
SMALL = ["--set", 'baselines=["references"]', "--set", "mix=[]", "--device", "cpu", "--workers", "1"]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Typed]:
    """Types a command in an empty folder: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # a run sets it too, and this puts it back
    terminate = signal.getsignal(signal.SIGTERM)

    def typed(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return status, told.out, told.err

    yield typed
    signal.signal(signal.SIGTERM, terminate)


def test_a_run_writes_its_report_and_a_second_one_does_nothing(typed: Typed, tmp_path: Path) -> None:
    status, out, err = typed("run", SUITE, "--in-process", *SMALL)
    assert (status, err) == (0, "")
    assert "cells 6/6" in out
    assert out.splitlines()[-1] == "report: reports/squares.md"
    assert out.splitlines()[-2].startswith("How far generated images are from the 6 real images is not known"), "the answer"
    held = json.loads((tmp_path / "reports" / "squares.json").read_text())
    assert held["failures"] == []
    assert str(tmp_path) not in json.dumps(held["suite"])
    assert (tmp_path / "reports" / "squares.md").stat().st_size > 500
    status, out, _ = typed("run", SUITE, "--in-process", *SMALL)
    assert (status, out.split(":")[0]) == (0, "nothing to do")
    status, out, _ = typed("run", SUITE, "--in-process", *SMALL, "--set", "title=Other")
    assert (status, "report: " in out, "done " in out) == (0, True, False), "a new title is a new report, and no new work"
    assert json.loads((tmp_path / "reports" / "squares.json").read_text())["suite"]["title"] == "Other"
    status, out, _ = typed("run", SUITE, "--in-process", *SMALL, "--set", "real_counts=[3]")
    assert (status, "report: " in out, "done " in out) == (0, True, False), "a row that was trained under another name is in the report"
    assert "3 real" in (tmp_path / "reports" / "squares.md").read_text()
    report = tmp_path / "reports" / "squares.md"
    written = report.read_text()
    report.unlink()
    assert typed("report")[:2] == (0, "reports/squares.md\n")
    assert report.read_text() == written


def test_a_failing_detector_is_in_the_report_and_in_the_exit_status(typed: Typed, tmp_path: Path) -> None:
    status, out, _err = typed("run", SUITE, *SMALL, "--set", "detectors.strict.fail=crash", "--out", "out")
    assert status == 1
    assert "failed: train strict on references\n    the worker ended with status 7" in out
    assert "stages failed, and the report says why. The next run of the same command tries again." in out
    held = json.loads((tmp_path / "out" / "squares.json").read_text())
    assert {each["error"] for each in held["failures"]} == {"the worker ended with status 7"}
    assert all("about to crash" in each["trace"] for each in held["failures"])
    assert {cell["detector"] for cell in held["cells"] if not cell["metrics"]} == {"strict"}
    assert {cell["detector"] for cell in held["cells"] if cell["metrics"]} == {"threshold"}
    assert (tmp_path / "out" / "squares.md").exists()


@pytest.mark.parametrize(("fail", "fixable"), [("refuse", True), ("raise", False)])
def test_only_a_failure_that_may_not_recur_is_told_to_be_tried_again(fail: str, fixable: bool, typed: Typed, tmp_path: Path) -> None:
    status, out, _ = typed("run", SUITE, *SMALL, "--in-process", "--set", f"detectors.strict.fail={fail}")
    assert status == 1
    report = (tmp_path / "reports" / "squares.md").read_text()
    for told in (out, report):
        assert ("The error says what to change; before that, the same command fails again." in told) is fixable
        assert ("The next run of the same command tries again." in told) is not fixable
    assert {each["fixable"] for each in json.loads((tmp_path / "reports" / "squares.json").read_text())["failures"]} == {fixable}


def test_a_plan_says_what_is_cached_and_what_will_run(typed: Typed) -> None:
    status, out, _ = typed("plan", SUITE)
    *stages, whole, estimate = out.splitlines()
    assert status == 0
    assert all(line.startswith("run ") for line in stages)
    assert estimate.startswith("no estimate of the time: this store has run no stage of the kind")
    assert whole == f"10 cells, {len(stages)} stages: 0 cached, {len(stages)} to run"
    assert typed("run", SUITE, "--in-process", *SMALL)[0] == 0
    cached = [line for line in typed("plan", SUITE)[1].splitlines() if line.startswith("cached")]
    assert any(line.endswith("sample paint") for line in cached)
    assert not any("on real" in line for line in cached)


def test_plugins_are_listed_with_their_licences(typed: Typed) -> None:
    _, out, _ = typed("plugins")
    assert out.splitlines()[0].split() == ["kind", "name", "version", "license", "distribution"]
    assert any(line.split() == ["detector", "fake-threshold", "1", "Apache-2.0", "synthbench-fakes", "1.0"] for line in out.splitlines())
    listed = json.loads(typed("plugins", "--json")[1])
    wanted = {"kind": "generator", "name": "fake-paint", "version": 1, "license": "Apache-2.0", "distribution": "synthbench-fakes 1.0"}
    assert wanted in listed["plugins"]


def test_a_broken_plugin_is_listed_with_its_error(tmp_path: Path) -> None:
    folder = tmp_path / "broken_thing-2.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-thing\nVersion: 2.0\n")
    (folder / "entry_points.txt").write_text("[synthbench]\nthing = broken_thing\n")
    (tmp_path / "broken_thing.py").write_text("import nothing_of_the_kind\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])}
    for json_too in ([], ["--json"]):
        asked = [sys.executable, "-m", "synthbench", "plugins", *json_too]
        told = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True).stdout
        assert "No module named 'nothing_of_the_kind'" in told
        assert "fake-threshold" in told
    error = "ModuleNotFoundError: No module named 'nothing_of_the_kind'"
    wanted = {"entry_point": "thing", "distribution": "broken-thing", "error": error, "name": "", "place": f"{tmp_path}/broken_thing.py:1"}
    assert wanted in json.loads(told)["broken"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "nowhere.toml"], "nowhere.toml: no such suite"),
        (["plan", SUITE, "--set", "detectors.strict.mragin=1"], "detectors[1].mragin: unknown option, did you mean 'margin'?"),
        (["plan", SUITE, "--store", SUITE.parent], "not a store of synthbench and not empty; name another folder with --store"),
        (["plan", SUITE, "--store", SUITE], "cannot be written"),
        (["plan", SUITE, "--set", "detectors.strict.weights=tiny"], "'tiny' is no installed checkpoint, file, folder, hub id or address"),
        (["report"], "reports: no results here"),
        (["report", "nowhere.json"], "nowhere.json"),
    ],
)
def test_what_a_user_can_mend_is_told_without_a_traceback(typed: Typed, arguments: list[object], told: str) -> None:
    status, out, err = typed(*arguments)
    assert (status, out) == (2, "")
    assert told in err
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [[], ["walk"], ["run"], ["run", "a.toml", "--workers", "0"]])
def test_a_mistyped_command_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: synthbench" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_does_not_end_the_run(tmp_path: Path) -> None:
    command = ["run", str(SUITE), "--store", str(tmp_path / "store"), "--out", str(tmp_path / "out"), "--in-process"]
    run = subprocess.Popen([sys.executable, "-m", "synthbench", *command], stdout=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stdout.readline()
    run.stdout.close()
    assert run.wait(120) == 0
    assert (tmp_path / "out" / "squares.md").exists()


def test_a_store_is_checked_and_tidied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "store")
    with pytest.raises(SystemExit):
        main(["store"])
    assert main(["store", "check", "--store", store]) == 2
    assert not Path(store).exists(), "a command that looks makes nothing"
    assert main(["run", str(SUITE), "--store", store, "--out", str(tmp_path / "out"), "--in-process"]) == 0
    capsys.readouterr()
    assert main(["store", "check", "--store", store]) == 0
    assert " artifacts checked, 0 damaged" in capsys.readouterr().out
    model = next(Path(store).glob("train/*/*/model.json"))
    model.write_text(model.read_text().replace("least", "lesat"))
    assert main(["store", "check", "--store", store]) == 1
    assert f"{model.parent}: damaged: model.json is not what was stored" in capsys.readouterr().out
    shutil.rmtree(next(Path(store).glob("score/*/*")))
    aside = model.parent.with_name(f"{model.parent.name[:12]}.abcdefgh.damaged")
    model.parent.rename(aside)
    assert main(["store", "gc", "--store", store]) == 2, "it asks, and nobody is there"
    assert aside.exists()
    assert main(["store", "gc", "--store", store, "--yes"]) == 0
    assert not aside.exists()
    capsys.readouterr()
    assert main(["store", "gc", "--store", store]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"


@needs_proc
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_no_process_and_goes_on_later(typed: Typed, tmp_path: Path, how: signal.Signals) -> None:
    mark = uuid.uuid4().hex
    store = tmp_path / "store"
    asked = [sys.executable, "-m", "synthbench", "run", str(SUITE), "--store", str(store), *SMALL]
    environment = {**os.environ, MARK: mark}
    held = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored
    run = subprocess.Popen(
        [*asked, "--set", "detectors.strict.slow=600"], env=environment, text=True, stderr=subprocess.PIPE, start_new_session=True
    )
    signal.signal(signal.SIGINT, held)
    wait_for(lambda: [*store.glob("predict/*/*/stage.json")] and [*store.glob("building/train-*")])
    assert len(processes(mark)) in (2, 3), "the run, its core's worker and its plugins'"
    os.killpg(run.pid, how)
    _, err = run.communicate(timeout=60)
    if how is signal.SIGKILL:
        assert run.returncode == -signal.SIGKILL
    else:
        assert run.returncode == 130
        assert err.splitlines()[-1] == "stopped; what is finished is in the store, and the same command continues from there"
        assert "Traceback" not in err
    wait_for(lambda: not processes(mark), 30)
    status, out, _ = typed("run", SUITE, "--store", store, "--in-process", *SMALL)
    assert status == 0
    assert "stages are in the store already" in out
    assert "] predict threshold on references" not in out
    assert "] train strict on references" in out
