"""Stages as SLURM jobs: on a real SLURM of two nodes where it is installed (slow), and what needs none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import synthbench
from marked import wait_for
from slurm_here import missing, slurm_here
from synthbench import SynthbenchError
from synthbench.execution.clusters.needs import Experience, Needs, experience_in
from synthbench.execution.clusters.slurm_commands import Slurm
from synthbench.execution.clusters.slurm_engine import complete_lines
from synthbench.execution.clusters.slurm_table import Request, read_table, request_for
from synthbench.execution.jobs import Job
from synthbench.execution.listener import Listener
from synthbench.execution.processes import processes_with
from synthbench.storage.local import LocalStore
from synthbench_fakes import SUITE
from wherever import at_work, figures

if TYPE_CHECKING:
    from synthbench.execution.stage_run import Event
    from synthbench.planning.stage import Stage

TABLE = """
partition = "all"
jobs = 4
threads = 1
linger = 20
group_minutes = 10
options = ["--oversubscribe"]

[default]
minutes = 5
"""
real = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(missing()), reason=f"needs a real SLURM, as root; missing: {', '.join(missing())}"),
]


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemons]:
    with slurm_here(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "slurm.toml"
    path.write_text(TABLE)
    return path


Daemons = dict[str, subprocess.Popen[bytes]]
SLOW = ('baselines=["references"]', "mix=[]", "detectors.threshold.slow=0.3", "detectors.strict.slow=0.3")


def carriers(store: Path) -> list[int]:
    """What SLURM's jobs run for a store."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes()
            found += [int(folder.name)] if b"clusters.carrier" in words and f"{store}/".encode() in words else []
    return found


def jobs() -> list[list[str]]:
    """Id, name and state of every job that SLURM remembers."""
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%j|%T"]
    return [line.split("|") for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()]


class TestReal:
    pytestmark = real

    def test_the_same_digits_as_in_this_process(self, daemons: Daemons, table: Path, tmp_path: Path) -> None:
        here = synthbench.run(SUITE, store=tmp_path / "here", out=None, in_process=True, device="cpu", threads=1)
        hosts: list[object] = []

        class Watch(Listener):
            def heard(self, stage: Stage, event: Event) -> None:
                hosts.extend([event["host"]] if event["event"] == "placed" else [])

        there = synthbench.run(SUITE, store=tmp_path / "there", out=None, engine="slurm", slurm=table, device="cpu", listener=Watch())
        assert not there.failures
        assert len(hosts) == len(there.stages), "each stage says where it runs"
        assert figures(there) == figures(here)
        ours = [job for job in jobs() if job[1] == "synthbench"]
        assert any("_" in job[0] for job in ours), "arrays"
        assert len(ours) < len(there.stages) / 2, "short stages share a job"
        wait_for(lambda: not [job for job in jobs() if job[2] in ("RUNNING", "PENDING")], 60)

    def test_a_killed_carrier_costs_at_most_the_stage_under_way(self, daemons: Daemons, table: Path, tmp_path: Path) -> None:
        killed: list[int] = []
        store = tmp_path / "there"

        class Striker(Listener):
            def heard(self, stage: Stage, event: Event) -> None:
                if event["event"] == "placed" and stage.kind == "train" and not killed:
                    killed.extend(carriers(store))
                    for each in killed:
                        os.kill(each, signal.SIGKILL)

        there = synthbench.run(SUITE, changes=SLOW, store=store, out=None, engine="slurm", slurm=table, device="cpu", listener=Striker())
        here = synthbench.run(SUITE, changes=SLOW, store=tmp_path / "here", out=None, in_process=True, device="cpu", threads=1)
        assert killed
        assert not there.failures, "the run itself does again what was lost"
        assert figures(there) == figures(here)
        wait_for(lambda: not at_work(store) and not carriers(store), 60)

    def test_a_detached_run_goes_on_by_itself_and_status_shows_where_it_is(self, daemons: Daemons, table: Path, tmp_path: Path) -> None:
        changes = [part for change in SLOW for part in ("--set", change)]
        where = ["--store", "store", "--engine", "slurm", "--slurm", str(table), "--device", "cpu"]
        command = [sys.executable, "-m", "synthbench"]
        started = subprocess.run(
            [*command, "run", str(SUITE), *where, *changes, "--detach"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert "synthbench status --store store" in started.stdout

        def status() -> str:
            return subprocess.run([*command, "status", "--store", "store"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

        wait_for(lambda: "running on" in status(), 120)
        wait_for(lambda: "ended at" in status(), 300)
        assert "squares: ended at" in status()
        assert (tmp_path / "reports" / "squares.md").exists()

    def test_a_lost_node_costs_at_most_the_stages_under_way(self, daemons: Daemons, table: Path, tmp_path: Path) -> None:
        lost: list[int] = []
        store = tmp_path / "there"

        class Striker(Listener):
            def heard(self, stage: Stage, event: Event) -> None:
                there = processes_with("SLURMD_NODENAME", "two")
                if event["event"] == "placed" and stage.kind == "train" and not lost and there:
                    daemons["two"].kill()
                    lost.extend(there)
                    for each in lost:
                        with suppress(ProcessLookupError):
                            os.kill(each, signal.SIGKILL)

        there = synthbench.run(SUITE, changes=SLOW, store=store, out=None, engine="slurm", slurm=table, device="cpu", listener=Striker())
        here = synthbench.run(SUITE, changes=SLOW, store=tmp_path / "here", out=None, in_process=True, device="cpu", threads=1)
        assert lost
        assert not there.failures
        assert figures(there) == figures(here)


def job(kind: str, plugin: str = "") -> Job:
    return Job(kind=kind, key="k", plugin=("detector", plugin) if plugin else None)


def test_what_a_job_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "slurm.toml"
    path.write_text(
        """
        gpus = true
        options = ["--qos=night"]
        [default]
        minutes = 100
        [stages.train]
        minutes = 60
        memory = "32G"
        [stages."train yolov8"]
        minutes = 20
        options = ["--constraint=a100"]
        """
    )
    table, known = read_table(path), Experience()
    known.add("fit", "", 600.0, 0)
    known.add("train", "yolov8", 6000.0, 0)
    gpu, cpu = Needs(gpus=1, processors=4), Needs(processors=4, memory=3 * 2**20)
    asked = request_for(job("train", "yolov8"), gpu, table, known)
    assert (asked.minutes, asked.memory, asked.gpus, asked.options) == (20, 32 * 1024, 1, ("--qos=night", "--constraint=a100"))
    assert request_for(job("train", "detr"), gpu, table, known).minutes == 60
    learned = request_for(job("fit"), cpu, table, known)
    assert (learned.minutes, learned.memory, learned.gpus, learned.processors) == (35, 2048, 0, 4)
    assert request_for(job("score"), cpu, table, known).minutes == 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[stages.trian]\nminutes = 3", "no kind of stage 'trian', did you mean 'train'"),
        ("[stages.train]\nhours = 3", "unknown field `hours`"),
        ("[default]\nmemory = '3 GB'", "memory '3 GB': a number"),
        ("threads = 0", "at least 1"),
        ("[default]\nminutes = nan", "default.minutes"),
        ("[default]\nminutes = inf", "default.minutes"),
        ("[stages.train]\nminutes = -5", "stages"),
        ("[default]\ngpus = -1", "default.gpus"),
        ("linger = nan", "linger"),
        ("group_minutes = inf", "group_minutes"),
        ("jobs = ", "slurm.toml: "),
    ],
)
def test_a_wrong_table_is_explained(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "slurm.toml").write_text(text)
    with pytest.raises(SynthbenchError, match=message):
        read_table(tmp_path / "slurm.toml")


def test_without_slurm_the_error_says_where_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SynthbenchError, match=r"sbatch, squeue, scancel.*login node"):
        synthbench.run(SUITE, store=tmp_path / "store", out=None, engine="slurm")


def test_a_controller_that_takes_no_more_jobs_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap of a user's jobs, and a controller that is being restarted; a wrong partition stays wrong."""
    (tmp_path / "sbatch").write_text(
        f"""#!/bin/sh
        echo x >> {tmp_path}/tries
        case $(wc -l < {tmp_path}/tries) in
        1) echo "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit)" >&2; exit 1;;
        2) echo "sbatch: error: Unable to contact slurm controller (connect failure)" >&2; exit 1;;
        3) echo "17;cluster";;
        *) echo "sbatch: error: invalid partition specified: night" >&2; exit 1;;
        esac
        """
    )
    for name in ("sbatch", "squeue", "scancel"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("synthbench.execution.clusters.slurm_commands.PAUSE", 0.01)
    slurm, request = Slurm(read_table(None)), Request(minutes=1, memory=0, gpus=0, processors=1, options=())
    assert slurm.submit(request, ["true"], tmp_path / "log") == "17"
    assert (tmp_path / "tries").read_text() == "x\n" * 3
    with pytest.raises(SynthbenchError, match="invalid partition specified: night"):
        slurm.submit(request, ["true"], tmp_path / "log")
    assert (tmp_path / "tries").read_text() == "x\n" * 4


def test_a_line_that_is_being_written_is_left_for_the_next_look(tmp_path: Path) -> None:
    path = tmp_path / "events"
    assert complete_lines(path, 0) == ([], 0)
    path.write_bytes(b"one\ntwo\nthr")
    assert complete_lines(path, 0) == ([b"one", b"two"], 8)
    with path.open("ab") as opened:
        opened.write(b"ee\n")
    assert complete_lines(path, 8) == ([b"three"], 14)


def test_experience_is_the_most_that_the_stores_records_tell(tmp_path: Path) -> None:
    results = synthbench.run(SUITE, store=tmp_path / "store", out=None, in_process=True, device="cpu")
    found = experience_in(LocalStore(tmp_path / "store"))
    trained = [stage.seconds for stage in results.stages if stage.kind == "train"]
    assert found.seconds["train", "fake-threshold"] == max(each for each in trained if each is not None)
    assert found.memory_of(job("train", "fake-threshold")) > 10 * 2**20
    assert found.seconds_of(job("train", "other")) is None
