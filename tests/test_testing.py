"""Each check is seen to fail on a plugin that breaks just this promise, and says where."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthbench.cli import main
from synthbench.contract.stages import PluginKind
from synthbench.registry import Registry, discover, installed
from synthbench.testing import Result, checks_of
from synthbench.testing.bench import Bench
from synthbench.testing.checklist import run_check

WRONG = Path(__file__).parent / "fakes" / "wrong"


@pytest.fixture(scope="module", autouse=True)
def wrong() -> Iterator[None]:
    """Installs the plugins that break promises, for these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(WRONG))
        patch.setattr("synthbench.testing.interrupting.PATIENCE", 3.0)
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
        ("detector", "heavy", "fast import", "imports numpy"),
        ("detector", "unchecked", "options", "anything: accepts any value"),
        ("detector", "growing", "options", "its options change when they are set again"),
        ("detector", "outside", "works", "is outside its 64 x 64 pixels"),
        ("detector", "shy", "works", "it finds no box at all"),
        ("detector", "restless", "same seed", "the same seed gives another result the second time"),
        ("detector", "deaf", "another seed", "another seed gives exactly the same result"),
        ("detector", "undecided", "another seed", "`seeded` is False, but another seed gives another result"),
        ("detector", "early", "late options", "(least, score) change what it learns"),
        ("detector", "know-all", "learns", "after training with wrong boxes"),
        ("detector", "opener", "odd pictures", "predictions with rotated, 16-bit, CMYK"),
        ("detector", "training-opener", "odd pictures", "training with rotated, 16-bit, CMYK"),
        ("detector", "sociable", "one picture", "IndexError"),
        ("detector", "tireless", "equal steps", "4 steps on 4 pictures and 12 steps on 12 pictures"),
        ("detector", "thick", "thin picture", "the error does not name the file"),
        ("detector", "silent", "progress", "run.track"),
        ("detector", "littering", "leaves no files", "train created or changed home/.wrong"),
        ("detector", "caching", "leaves no files", "images/000000.cache"),
        ("detector", "pickling", "leaves no files", "model.pkl is a pickle"),
        ("detector", "talking", "no connection", "train tried to connect to example.invalid"),
        ("detector", "one-label", "labels", "0% of the labels are right if all objects are of the second"),
        ("detector", "weightless", "weights", "weights: missing weights raise no error"),
        ("detector", "unmoved", "weights", "weights: training from other weights gives exactly the same result"),
        ("detector", "idle", "options used", "most: the later stage does not read it, and no other value changes"),
        ("detector", "swallowing", "damaged pictures", "predict ignores a truncated picture"),
        ("detector", "leaving-out", "damaged pictures", "train ignores a truncated picture"),
        ("detector", "nameless", "damaged pictures", "train fails at a truncated picture, but the error does not name 000001.png"),
        ("detector", "printing", "prints nothing", "train prints 'done'"),
        ("detector", "peeking", "reads only inputs", "annotations.json, which is not one of its inputs"),
        ("detector", "peeking-beside", "reads only inputs", "images/annotations.json, which is not one of its inputs"),
        ("detector", "peeking-through-the-core", "reads only inputs", "annotations.json, which is not one of its inputs"),
        ("detector", "open-file", "process", "train leaves an open file behind: store/select/"),
        ("detector", "threaded", "process", "train leaves a running thread behind: waiting"),
        ("detector", "childish", "process", "train leaves a running process behind: sleep 61"),
        ("detector", "moving", "process", "train leaves another current folder behind: store/train/"),
        ("detector", "setting", "process", "predict leaves a changed environment variable behind: WRONG"),
        ("detector", "remembering", "fresh process", "KeyError: 'shift'"),
        ("detector", "forgetful", "fresh process", "KeyError"),
        ("detector", "locking", "crash", "FileExistsError"),
        ("detector", "stubborn", "Ctrl-C", "ignored Ctrl-C"),
        ("generator", "row", "image by image", "depends on the other images"),
        ("generator", "sample-deaf", "sampling seed", "exactly the same images"),
        ("generator", "grey", "images", "image 0 has only one colour"),
        ("generator", "same", "images", "its 3 images are all equal"),
        ("generator", "bgr", "colours", "red references give blue images and blue ones red"),
        ("generator", "displacing", "boxes", "when read as: moved by -10 pixels to the right and -10 down"),
        ("generator", "exchanging", "labels", "0% of the labels match the colour in their box"),
        ("generator", "noiseless", "options used", "noise: the later stage does not read it"),
        ("generator", "careless-painter", "damaged pictures", "fit ignores a truncated picture"),
        ("generator", "peeking-painter", "reads only inputs", "annotations.json, which is not one of its inputs"),
        ("generator", "stuck", "references", "other references give exactly the same images"),
        ("generator", "fit-opener", "odd references", "a fit on rotated, 16-bit, CMYK"),
        ("generator", "locate-opener", "locates", "boxes in rotated, 16-bit, CMYK"),
        ("annotator", "finder", "odd pictures", "boxes for rotated, 16-bit, CMYK"),
        ("annotator", "asking", "works", "boxes_from is 'everybody'"),
        ("annotator", "choosing", "damaged pictures", "annotate ignores a truncated picture"),
        ("data-source", "twice", "splits", "train image 2 and test image 0 are the same picture"),
        ("data-source", "cut", "boxes", "train: boxes were cut: 6 that reached out of their image"),
    ],
)
def test_a_broken_promise_is_told_with_its_place(kind: PluginKind, name: str, check: str, told: str):
    (result,) = ends(kind, name, check)
    assert result.status == "failed"
    assert told in result.reason
    assert is_in_a_plugin(result.place)


def is_in_a_plugin(place: str) -> bool:
    """Whether a place is a line of a fake plugin's source."""
    file, _, line = place.partition(":")
    (source,) = (each for each in (WRONG.parent / Path(file).name, WRONG / Path(file).name) if each.exists())
    return 0 < int(line) <= len(source.read_text().splitlines())


@pytest.mark.parametrize(
    ("kind", "name", "options", "check", "told"),
    [
        ("detector", "scored", {}, "scores", "score -0.0"),
        ("detector", "scored", {"shift": 1.0}, "scores", "score 1.9"),
        ("detector", "scored", {"lost": True}, "scores", "score nan"),
        ("generator", "displaced", {"by": 10}, "boxes", "boxes were cut: 3 that reached out of their image"),
        ("generator", "displaced", {"by": -4}, "boxes", "boxes were cut: "),
        ("generator", "displaced", {"how": "xywh"}, "boxes", "read as: x, y, width, height"),
        ("generator", "displaced", {"how": "rows first"}, "boxes", "read as: rows before columns"),
        ("generator", "displaced", {"how": "doubled"}, "boxes", "read as: pixels of an image of twice the size"),
        ("generator", "displaced", {"how": "shares"}, "boxes", "read as: shares of the image"),
        ("generator", "displaced", {"how": "first alone"}, "boxes", "shows an object around (x, y) = "),
        ("annotator", "finding", {"how": "peeking"}, "reads only inputs", "annotations.json, which is not one of its inputs"),
        ("annotator", "finding", {"how": "careless"}, "damaged pictures", "annotate ignores a truncated picture"),
        ("annotator", "finding", {"how": "xywh"}, "boxes", "read as: x, y, width, height"),
        ("annotator", "finding", {"how": "above one"}, "scores", "score 1.9"),
    ],
)
def test_a_fault_that_an_option_plants_is_told_with_its_place(kind: PluginKind, name: str, options: dict[str, Any], check: str, told: str):
    (result,) = ends(kind, name, check, **options)
    assert result.status == "failed"
    assert told in result.reason
    assert is_in_a_plugin(result.place)


@pytest.mark.parametrize(
    ("kind", "name", "options", "checks"),
    [
        ("detector", "flat", {}, ["works", "scores"]),
        ("detector", "tireless", {"equal": True}, ["equal steps"]),
        ("generator", "displaced", {}, ["boxes", "colours"]),
        ("generator", "exchanging", {"reverse": False}, ["labels", "boxes"]),
        ("annotator", "finding", {}, ["boxes", "damaged pictures", "reads only inputs", "scores"]),
        ("annotator", "native", {}, ["boxes", "damaged pictures"]),
        ("annotator", "review", {"feature_factor": 1.5}, ["works", "boxes", "odd pictures"]),
        ("detector", "fake-threshold", {}, ["weights", "options used", "damaged pictures", "process", "fresh process", "crash"]),
    ],
)
def test_the_same_without_the_fault_passes(kind: PluginKind, name: str, options: dict[str, Any], checks: list[str]):
    assert {result.check: (result.status, result.reason) for result in ends(kind, name, *checks, **options)} == dict.fromkeys(
        checks, ("passed", "")
    )


def test_what_a_library_keeps_for_a_process_is_no_fault_unless_it_grows():
    for keeps, status in (("once", "passed"), ("each time", "failed")):
        _, _, result = ends("detector", "keeping", "works", "same seed", "process", keeps=keeps)
        assert result.status == status, result.reason


def test_a_stage_that_waits_for_memory_hangs():
    (result,) = ends("detector", "patient", "out of memory", timeout=6.0)
    assert "hangs if memory runs out" in result.reason


def test_files_written_anywhere_on_the_machine_are_told(tmp_path: Path):
    (result,) = ends("detector", "elsewhere", "leaves no files", log=str(tmp_path / "log"))
    assert result.reason == f"train wrote {tmp_path / 'log'}"


def test_what_failed_once_is_not_told_again():
    first, second = ends("detector", "fake-threshold", "works", "learns", fail="raise")
    assert (first.status, second.status) == ("failed", "skipped")
    assert "as it was told to" in first.trace
    assert (second.reason, second.needs) == ("it needs 'works', which failed", "works")
    first, second = ends("detector", "fake-threshold", "learns", "odd pictures", fail="raise", fail_with=24)
    assert (first.status, second.status) == ("failed", "skipped")
    assert (second.reason, second.needs) == ("it needs 'learns', which failed", "learns")


def test_results_that_differ_from_run_to_run_are_one_failure():
    results = ends("detector", "restless", *(check.name for check in checks_of("detector")))
    assert [result.check for result in results if result.status == "failed"] == ["same seed"]
    assert {"another seed", "crash", "fresh process"} <= {result.check for result in results if result.needs == "same seed"}


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
    assert told.out.splitlines()[-1] == "9 passed, 1 failed, 4 skipped"
    assert "data-source twice of synthbench-wrong 1.0" in told.err
    assert main(["check", "data-source:fake-squares", "--json"]) == 0
    held = json.loads(capsys.readouterr().out)
    assert {each["status"] for each in held["checks"]} == {"passed", "skipped"}


def test_the_command_tells_one_cause_once(capsys: pytest.CaptureFixture[str]):
    assert main(["check", "shy"]) == 1
    told = capsys.readouterr().out
    assert re.search(r"^works +failed .*\n +skipped +\d+ checks need this$", told, re.MULTILINE)
    assert told.count("which failed") == 0
    assert told.count("it finds no box at all") == 1


def test_the_promise_says_how_well_a_detector_is_to_learn():
    (learns,) = (check for check in checks_of("detector") if check.name == "learns")
    assert "AP of 0.3 or more" in learns.promise


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
