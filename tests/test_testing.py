"""Each check is seen to fail on a plugin that breaks just this promise, and says where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from synthbench.cli import main
from synthbench.contract.stages import PluginKind
from synthbench.registry import Registry, discover, installed
from synthbench.testing import Result, checks_of
from synthbench.testing.bench import Bench
from synthbench.testing.contract import run_check

WRONG = Path(__file__).parent / "fakes" / "wrong"


@pytest.fixture(scope="module", autouse=True)
def wrong() -> Iterator[None]:
    """Installs the plugins that break promises, for these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(WRONG))
        patch.setattr("synthbench.testing.shared.PATIENCE", 3.0)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(WRONG), os.environ["PYTHONPATH"]]))
        installed.cache_clear()
        yield
    installed.cache_clear()


def ends(kind: PluginKind, name: str, *names: str, timeout: float = 60.0, **options: object) -> list[Result]:
    """How checks end."""
    checks = {check.name: check for check in checks_of(kind)}
    with Bench(kind, name, options, timeout) as bench:
        return [run_check(checks[each], bench) for each in names]


@pytest.mark.parametrize(
    ("kind", "name", "check", "told"),
    [
        ("detector", "heavy", "loads lightly", "imports numpy"),
        ("detector", "unchecked", "options", "anything: any value is taken"),
        ("detector", "growing", "options", "its options come back as others"),
        ("detector", "outside", "works", "were dropped"),
        ("detector", "shy", "works", "it finds no box at all"),
        ("detector", "restless", "same seed", "the same seed a second time gives something else"),
        ("detector", "deaf", "another seed", "another seed gives the very same"),
        ("detector", "undecided", "another seed", "`seeded` says that nothing is random"),
        ("detector", "early", "late options", "(least, score) make it learn something else"),
        ("detector", "know-all", "learns", "after a training with wrong boxes"),
        ("detector", "opener", "odd pictures", "predictions for turned, 16-bit, CMYK"),
        ("detector", "training-opener", "odd pictures", "training with turned, 16-bit, CMYK"),
        ("detector", "sociable", "one picture", "IndexError"),
        ("detector", "thick", "thin picture", "neither stood nor refused with its name"),
        ("detector", "silent", "progress", "run.track"),
        ("detector", "littering", "leaves nothing", "train left or changed home/.wrong"),
        ("detector", "caching", "leaves nothing", "predict left or changed data/few/images/000000.cache"),
        ("detector", "pickling", "leaves nothing", "model.pkl is a pickle"),
        ("detector", "talking", "no connection", "train asked for a connection to example.invalid"),
        ("detector", "forgetful", "fresh process", "KeyError"),
        ("detector", "locking", "crash", "FileExistsError"),
        ("detector", "parent", "crash", "leaves a process running: sleep 60"),
        ("detector", "stubborn", "Ctrl-C", "swallowed Ctrl-C"),
        ("generator", "row", "image by image", "depends on the others"),
        ("generator", "sample-deaf", "sampling seed", "the very same images"),
        ("generator", "grey", "images", "image 0 is of one colour"),
        ("generator", "stuck", "references", "other references give the very same"),
        ("generator", "fit-opener", "odd references", "a fit on turned, 16-bit, CMYK"),
        ("generator", "locate-opener", "locates", "boxes in turned, 16-bit, CMYK"),
        ("annotator", "finder", "odd pictures", "boxes for turned, 16-bit, CMYK"),
        ("annotator", "asking", "works", "its boxes_from is 'everybody'"),
        ("data-source", "twice", "splits", "train image 2 and test image 0 are the same picture"),
        ("data-source", "cut", "boxes", "does not lie in its 40 x 40 pixels"),
    ],
)
def test_a_broken_promise_is_told_with_its_place(kind: PluginKind, name: str, check: str, told: str):
    (result,) = ends(kind, name, check)
    assert result.status == "failed"
    assert told in result.reason
    file, _, line = result.place.partition(":")
    assert Path(file).stem in ("synthbench_wrong", "synthbench_heavy", "synthbench_fakes")
    assert int(line) > 0


def test_a_stage_that_waits_for_memory_hangs():
    (result,) = ends("detector", "patient", "out of memory", timeout=6.0)
    assert "hangs where there is no memory left" in result.reason


def test_files_written_anywhere_on_the_machine_are_told(tmp_path: Path):
    (result,) = ends("detector", "elsewhere", "leaves nothing", log=str(tmp_path / "log"))
    assert result.reason == f"train wrote {tmp_path / 'log'}"


def test_what_failed_once_is_not_told_again():
    first, second = ends("detector", "fake-threshold", "works", "learns", fail="raise")
    assert (first.status, second.status) == ("failed", "skipped")
    assert "as it was told to" in first.trace
    assert second.reason == "it does not work: train: RuntimeError: as it was told to"
    first, second = ends("detector", "fake-threshold", "learns", "odd pictures", fail="raise", fail_with=24)
    assert (first.status, second.status) == ("failed", "skipped")
    assert second.reason == "it needs what failed before: train: RuntimeError: as it was told to"


def test_checks_are_one_line_in_a_plugins_own_tests(tmp_path: Path):
    (tmp_path / "test_deaf.py").write_text('from synthbench.testing import contract\n\ntest_contract = contract("detector", "deaf")\n')
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "works or seed", "test_deaf.py"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert "1 failed, 2 passed" in told.stdout
    assert "FAILED test_deaf.py::test_contract[another seed]" in told.stdout
    assert "synthbench_wrong.py:" in told.stdout


def test_importing_the_checks_is_light():
    code = "import sys, synthbench.testing; sys.exit(str({'pytest', 'numpy', 'PIL', 'rich'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr.strip() == "set()"


def test_the_command_tells_what_passed_and_what_did_not(capsys: pytest.CaptureFixture[str]):
    assert main(["check", "twice", "--set", "train=3"]) == 1
    told = capsys.readouterr()
    assert "splits failed: train image 2 and test image 0 are the same picture" in told.out
    assert "synthbench_wrong.py:" in told.out
    assert told.out.splitlines()[-1] == "7 passed, 1 failed, 3 skipped"
    assert "data-source twice of synthbench-wrong 1.0" in told.err
    assert main(["check", "data-source:fake-squares", "--json"]) == 0
    held = json.loads(capsys.readouterr().out)
    assert {each["status"] for each in held["checks"]} == {"passed", "skipped"}


def test_the_command_says_what_it_needs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    for arguments, told in (
        (["twise"], "no plugin named 'twise' is installed, did you mean 'twice'?"),
        (["detector:twice"], "no plugin named 'detector:twice'"),
        (["coco"], "--set path=VALUE"),
        (["twice", "--set", "trian=3"], "did you mean 'train'?"),
        (["twice", "--set", "train=many"], "twice: train: expected `int`"),
    ):
        assert main(["check", *arguments]) == 2
        assert told in capsys.readouterr().err
    registry = installed()
    double = Registry(dict(registry.found), broken=list(discover([]).broken))
    double.found["annotator", "twice"] = registry.found["data-source", "twice"]
    monkeypatch.setattr("synthbench.registry.installed", lambda: double)
    assert main(["check", "twice"]) == 2
    assert "'twice' is a plugin of several kinds" in capsys.readouterr().err
