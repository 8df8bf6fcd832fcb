"""A job on another machine: what it is told there, and what it says where something is missing."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from marked import needs_proc, wait_for
from synthbench import Environment
from synthbench.execution.clusters.carrier import CLOSED, INBOX, STOP
from synthbench.execution.clusters.ray_task import carry_out as ray_carry_out
from synthbench.execution.clusters.remote import Errand, Traveller, carry_out, stream
from synthbench.execution.conditions import Conditions, make_job
from synthbench.execution.engines import InProcess
from synthbench.execution.jobs import Job, Outcome, Place
from synthbench.execution.stage_run import Event
from synthbench.storage.local import LocalStore
from wherever import at_work

HERE = socket.gethostname()


def errand_of(of: LocalStore, plan_of, **changes: object) -> Errand:
    """A stage of the suite of squares, packed and unpacked."""
    job = make_job(plan_of().stages[0], Conditions(device="cpu"))
    packed = Traveller(of.address, {}, make=False, offline=True).pack(job, 60.0)
    return msgspec.structs.replace(msgspec.json.decode(packed, type=Errand), **changes)


def outcome_in(lines: list[bytes]) -> Outcome:
    events = [msgspec.json.decode(line) for line in lines]
    assert [event["event"] for event in events].count("done") == 1
    return msgspec.convert(events[-1]["outcome"], Outcome)


def test_a_job_travels_whole(store: LocalStore, plan_of) -> None:
    plan = plan_of()
    packer = Traveller(store.address, {}, make=False, offline=True)
    for stage in plan.stages:
        job = make_job(stage, Conditions(device="cpu"))
        again = msgspec.json.decode(packer.pack(job, 1.0), type=Errand).job
        assert msgspec.json.encode(again) == msgspec.json.encode(job)  # tuples of options are lists there, as for a worker here


def test_its_first_event_says_where_and_its_result_is_in_the_store(store: LocalStore, plan_of) -> None:
    events: list[Event] = []
    errand = errand_of(store, plan_of)
    outcome = carry_out(errand, InProcess(store), events.append)
    assert not outcome.error
    assert events[0] == {"event": "placed", "host": HERE}
    assert store.get(errand.job.kind, errand.job.key) is not None


def test_an_environment_that_may_not_be_made_is_an_error_that_says_how(store: LocalStore, plan_of, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYNTHBENCH_ENVIRONMENTS", str(tmp_path / "none"))
    errand = errand_of(store, plan_of, environment=Environment(dependencies=("numpy",)))
    outcome = carry_out(errand, InProcess(store), lambda _: None)
    assert outcome.error.startswith(f"on {HERE}: these environments are needed")
    assert "--make-environments" in outcome.error
    assert not (tmp_path / "none").exists()


def test_the_environment_travels_by_its_name(store: LocalStore) -> None:
    environment = Environment(dependencies=("numpy==2.4.6",), python="3.11")
    job = Job(kind="train", key="k", place=Place(python="numpy-1234", distribution="synthbench-fakes"))
    packed = Traveller(store.address, {"numpy-1234": environment}, make=True, offline=True).pack(job, 1.0)
    errand = msgspec.json.decode(packed, type=Errand)
    assert (errand.environment, errand.make) == (environment, True)


def test_a_machine_that_does_not_see_the_store_says_so_and_makes_none(store: LocalStore, plan_of, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    errand = errand_of(store, plan_of, store=str(elsewhere))
    outcome = outcome_in([*ray_carry_out(msgspec.json.encode(errand), 0)])
    assert outcome.error.startswith(f"{HERE} does not see the store {elsewhere}")
    assert not elsewhere.exists()


def test_whatever_goes_wrong_ends_with_an_outcome(store: LocalStore, plan_of) -> None:
    class Broken(InProcess):
        def run(self, job: Job, emit: object, timeout: float) -> Outcome:
            raise OSError("the disk is gone")

    outcome = outcome_in([*stream(errand_of(store, plan_of), Broken(store))])
    assert outcome.error == f"on {HERE}: OSError: the disk is gone"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "job" / INBOX).mkdir(parents=True)
    return tmp_path / "job"


def start_carrier(folder: Path, linger: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-P", "-m", "synthbench.execution.clusters.carrier", str(folder), str(linger)])


def post(folder: Path, number: int, errand: Errand) -> None:
    (folder / "new").write_bytes(msgspec.json.encode(errand))
    (folder / "new").rename(folder / INBOX / f"{number}.json")


def ended(path: Path) -> bool:
    return path.exists() and b'"done"' in path.read_bytes()


def test_a_carrier_takes_errands_until_none_comes(store: LocalStore, plan_of, folder: Path) -> None:
    carrier = start_carrier(folder, 3)
    first, broken = errand_of(store, plan_of), errand_of(store, plan_of, store=str(folder / "none"))
    post(folder, 1, first)
    post(folder, 2, broken)
    wait_for(lambda: ended(folder / "2.events"))
    assert not outcome_in((folder / "1.events").read_bytes().splitlines()).error
    assert "does not see the store" in outcome_in((folder / "2.events").read_bytes().splitlines()).error
    assert carrier.wait(60) == 0
    assert (folder / CLOSED).is_dir()
    with pytest.raises(FileNotFoundError):
        post(folder, 3, first)  # who is late notices


def test_a_carrier_that_is_told_to_stop_ends_at_once(folder: Path) -> None:
    carrier = start_carrier(folder, 600)
    (folder / STOP).touch()
    began = time.monotonic()
    assert carrier.wait(60) == 0
    assert time.monotonic() - began < 60


@needs_proc
def test_a_process_of_ray_ends_with_its_raylet_and_its_workers_with_it(store: LocalStore, plan_of, tmp_path: Path) -> None:
    """The raylet is a shell here. Ray's own processes can outlive theirs for minutes."""
    errand = tmp_path / "errand"
    errand.write_bytes(msgspec.json.encode(errand_of(store, plan_of)))
    module = "from synthbench.execution.clusters.ray_task import carry_out"
    code = f"import pathlib, time; {module}; list(carry_out(pathlib.Path({str(errand)!r}).read_bytes(), 0)); time.sleep(600)"
    raylet = subprocess.Popen(["/bin/sh", "-c", f'"{sys.executable}" -c "$0"; true', code])
    wait_for(lambda: store.get("data", msgspec.json.decode(errand.read_bytes(), type=Errand).job.key))
    assert at_work(store.root)
    raylet.kill()
    raylet.wait()
    wait_for(lambda: not at_work(store.root), 30)
