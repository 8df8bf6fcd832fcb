"""`synthbench status` tells from the store's folder alone where a run is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import synthbench
from marked import needs_proc, wait_for
from synthbench.cli import main
from synthbench.cli.status import lasted
from synthbench.execution.journal import KEPT, RUNS, Line, remove_old, runs_in
from synthbench.storage import leases
from synthbench_fakes import SUITE

SMALL = ("annotators=[]", "generators=[]", "mix=[]", 'baselines=["references"]')


def test_a_run_that_ended_is_told_with_its_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"
    synthbench.run(SUITE, changes=[*SMALL, "detectors.strict.fail='raise'"], store=store, out=None, in_process=True, device="cpu")
    assert main(["status", "--store", str(store)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("squares: ended at ")
    assert "failed: train strict on references: " in text
    assert "running on" not in text
    (run,) = runs_in(store)
    assert run.about.total == len(run.in_state("done")) + len(run.in_state("failed")) + blocked(store)


def blocked(store: Path) -> int:
    """How many stages could not start: predict and score of the detector that failed."""
    assert store.is_dir()
    return 2


@needs_proc
def test_a_run_under_way_and_a_killed_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"
    changes = [part for change in (*SMALL, "detectors.strict.slow=2") for part in ("--set", change)]
    command = [sys.executable, "-m", "synthbench", "run", str(SUITE), "--store", str(store), "--out", str(tmp_path / "reports"), *changes]
    run = subprocess.Popen([*command, "--device", "cpu"], stdout=subprocess.DEVNULL)

    def training() -> bool:
        return any(line.label == "train strict on references" for seen in runs_in(store) for line in seen.in_state("running"))

    wait_for(training)
    main(["status", "--store", str(store)])
    text = capsys.readouterr().out
    assert f"squares: running ({os.uname().nodename}, process {run.pid}, local, since " in text
    assert f"running on {os.uname().nodename}, for " in text
    run.send_signal(signal.SIGKILL)
    run.wait()
    main(["status", "--store", str(store)])
    text = capsys.readouterr().out
    assert "was killed; the same command goes on" in text
    assert "was running on" in text


def test_a_run_of_another_machine_that_was_killed_gave_no_sign_of_life(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    synthbench.run(SUITE, changes=SMALL, store=store, out=None, in_process=True, device="cpu")
    (file,) = (store / RUNS).glob("*.jsonl")
    file.write_bytes(b"".join(line for line in file.read_bytes().splitlines(keepends=True) if b'"ended"' not in line))
    lease = file.with_suffix(".lease")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(leases, "this_host", lambda: "elsewhere")
        lease.write_bytes(leases.new_content())
    assert main(["status", "--store", str(store)]) == 0
    assert "squares: running (" in capsys.readouterr().out
    old = lease.stat().st_mtime - leases.STALE - 5
    os.utime(lease, (old, old))
    assert main(["status", "--store", str(store)]) == 0
    assert "squares: no sign of life for more than 10 min; if it was killed, the same command goes on (" in capsys.readouterr().out


def test_a_run_on_an_object_store_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHBENCH_STORE_CACHE", str(tmp_path / "caches"))
    address = f"file://{tmp_path}/objects"
    assert main(["status", "--store", address]) == 2
    assert f"{address}: no store" in capsys.readouterr().err
    synthbench.run(SUITE, changes=SMALL, store=address, out=None, in_process=True, device="cpu")
    assert main(["status", "--store", address]) == 0
    assert "squares: ended at " in capsys.readouterr().out


def test_programs_get_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"
    synthbench.run(SUITE, changes=SMALL, store=store, out=None, in_process=True, device="cpu")
    main(["status", "--store", str(store), "--json"])
    (run,) = msgspec.json.decode(capsys.readouterr().out)
    assert run["going"] is False
    assert {stage["state"] for stage in run["stages"].values()} == {"done"}


def test_without_a_run_or_a_store_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--store", str(tmp_path / "none")]) == 2
    assert "no store" in capsys.readouterr().err
    assert not (tmp_path / "none").exists(), "a command that looks makes nothing"
    assert main(["status", "--store", str(tmp_path)]) == 0
    assert "no run has left a trace" in capsys.readouterr().out


def test_a_half_written_line_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / RUNS).mkdir()
    whole = msgspec.json.encode(Line(1.0, "run", suite="squares", total=2))
    (tmp_path / RUNS / "a.jsonl").write_bytes(whole + b'\n{"at":2.0,"state":"runn')
    (tmp_path / RUNS / "b.jsonl").write_bytes(whole[:9])
    (run,) = runs_in(tmp_path)
    assert (run.about.total, run.stages, run.going) == (2, {}, False)


def test_old_journals_go_and_those_of_runs_under_way_stay(tmp_path: Path) -> None:
    from synthbench.storage.leases import acquire

    for number in range(KEPT + 3):
        (tmp_path / f"{number:03d}.jsonl").touch()
        (tmp_path / f"{number:03d}.slurm").mkdir()
    lease = acquire(tmp_path / "000.lease")
    assert lease is not None
    remove_old(tmp_path)
    lease.release()
    kept = {path.stem for path in tmp_path.iterdir()}
    assert kept == {"000", *(f"{number:03d}" for number in range(3, KEPT + 3))}


@pytest.mark.parametrize(("seconds", "words"), [(-3, "0 s"), (59.4, "59 s"), (60, "1 min"), (7500, "2 h 5 min")])
def test_durations(seconds: float, words: str) -> None:
    assert lasted(seconds) == words
