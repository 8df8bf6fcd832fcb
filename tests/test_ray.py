"""Stages as Ray tasks, on a real cluster of two raylets on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import synthbench
from marked import MARK, processes, stored, wait_for
from synthbench import SynthbenchError
from synthbench.execution.clusters.ray_crew import room, threads_for
from synthbench.execution.clusters.ray_engine import MISSING, Node, RayCluster
from synthbench.execution.gpus import VISIBLE
from synthbench.execution.journal import runs_in
from synthbench.execution.listener import Listener
from synthbench_fakes import SUITE
from wherever import at_work, figures, ray_cluster

if TYPE_CHECKING:
    from synthbench.execution.stage_run import Event
    from synthbench.planning.stage import Stage

SLOW = (
    'baselines=["references"]',
    "mix=[]",
    "generators.paint.slow=0.05",
    "detectors.threshold.slow=0.3",
    "detectors.strict.slow=0.3",
)


@pytest.mark.parametrize(
    ("nodes", "threads", "stages"),
    [
        ([Node(8, 0, 0)], 4, (0, 2)),
        ([Node(8, 1, 0), Node(6, 1, 0)], 3, (2, 2)),
        ([Node(16, 4, 0)], 3, (4, 1)),
        ([Node(1, 1, 0)], 1, (1, 0)),
    ],
)
def test_a_cluster_has_room_for_a_stage_on_each_gpu_and_others_beside_them(
    nodes: list[Node], threads: int, stages: tuple[int, int]
) -> None:
    assert threads_for(nodes) == threads
    assert room(nodes, threads) == stages


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SynthbenchError, match=r"pip install 'synthbench\[ray\]'"):
        synthbench.run(SUITE, store=tmp_path / "store", out=None, engine="ray")
    assert "synthbench[ray]" in MISSING


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    for arguments, message in (
        ({"engine": "rai"}, "no engine 'rai', did you mean 'ray'"),
        ({"engine": "ray", "in_process": True}, "not on ray"),
        ({"address": "auto"}, "--engine ray"),
        ({"slurm": "table.toml"}, "--engine slurm"),
        ({"device": "kuda:1"}, "no device, did you mean 'cuda'"),
        ({"device": "cpu:1"}, "no device"),
        ({"workers": 100_000}, "at most 1000 stages"),
        ({"minutes": float("nan")}, "--minutes nan: should be 0 or more"),
    ):
        with pytest.raises(SynthbenchError, match=message):
            synthbench.run(SUITE, store=tmp_path / "store", out=None, **arguments)


def test_where_no_cluster_answers_it_is_said_at_once() -> None:
    pytest.importorskip("ray")
    for address in ("127.0.0.1:1", "127.0.0.1:99999"):
        with pytest.raises(SynthbenchError, match=f"no Ray cluster at {address}"):
            RayCluster(address)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two raylets that ask for a token."""
    with ray_cluster(2) as found:
        found.add_node(num_cpus=2)
        yield found


class Striker(Listener):
    """Strikes once, when so many stages have been placed or more. `strike` says whether it struck; it must not wait, as the run does."""

    def __init__(self, after: int = 0, strike: Callable[[], bool] | None = None) -> None:
        self.after, self.strike = after, strike
        self.placed = self.postponements = 0

    def heard(self, stage: Stage, event: Event) -> None:
        if event["event"] == "placed":
            self.placed += 1
            if self.strike is not None and self.placed >= self.after and self.strike():
                self.strike = None

    def postponed(self, stage: Stage) -> None:
        self.postponements += 1


def run_there(cluster: Any, store: Path, listener: Listener, *changes: str) -> synthbench.Results:
    """The suite of squares on the cluster."""
    where: dict[str, Any] = {"engine": "ray", "address": cluster.address, "device": "cpu", "threads": 1}
    return synthbench.run(SUITE, changes=changes, store=store, out=None, listener=listener, **where)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_nodes_give_the_same_digits_as_this_process(cluster: Any, tmp_path: Path) -> None:
    here = synthbench.run(SUITE, store=tmp_path / "here", out=None, in_process=True, device="cpu", threads=1)
    listener = Striker()
    there = run_there(cluster, tmp_path / "there", listener)
    assert not there.failures
    assert listener.placed == len(there.stages), "each stage says where it runs"
    assert figures(there) == figures(here)
    assert there.environment.workers == 4


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("victim", ["raylet/raylet", "ray::", "synthbench.execution.worker"])
def test_what_is_killed_costs_at_most_the_stages_under_way(
    cluster: Any, tmp_path: Path, victim: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    node = cluster.add_node(num_cpus=2)  # its processes have the mark, and so has what they start
    monkeypatch.delenv(MARK)
    here = synthbench.run(SUITE, changes=SLOW, store=tmp_path / "here", out=None, in_process=True, device="cpu", threads=1)
    killed: list[int] = []

    def strike() -> bool:
        if processes(mark, "synthbench.execution.worker"):
            for each in processes(mark, victim):
                os.kill(each, signal.SIGKILL)
                killed.append(each)
        return bool(killed)

    listener = Striker(12, strike)
    there = run_there(cluster, tmp_path / "there", listener, *SLOW)
    assert killed
    if victim == "synthbench.execution.worker":  # a stage's own process: that may be the stage's fault
        assert len([each for each in there.stages if each.state == "failed"]) <= 2
        there = run_there(cluster, tmp_path / "there", Listener(), *SLOW)
    else:
        assert listener.placed <= len(there.stages) + 2, "the stages of one node are done again, by the run itself"
    assert not there.failures
    assert figures(there) == figures(here)
    cluster.remove_node(node, allow_graceful=False)  # also one without a raylet: as a zombie of this process it would count as alive
    wait_for(lambda: not at_work(tmp_path / "there"))
    wait_for(lambda: not processes(mark))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_stage_that_uses_a_gpu_gets_a_whole_one_and_no_other(cluster: Any, tmp_path: Path) -> None:
    """Ray is told of GPUs that are not there, and gives them away all the same."""
    node = cluster.add_node(num_cpus=3, num_gpus=2)
    seen: set[str] = set()

    class Looker(Listener):
        def heard(self, stage: Stage, event: Event) -> None:
            if event["event"] == "log" and stage.kind == "train":  # its worker is at it
                for each in at_work(tmp_path):
                    variables = []
                    with suppress(OSError):  # it ended just now
                        variables = Path(f"/proc/{each}/environ").read_bytes().split(b"\0")
                    seen.update(word.decode().partition("=")[2] for word in variables if word.startswith(VISIBLE.encode()))

    where: dict[str, Any] = {"engine": "ray", "address": cluster.address, "threads": 1}
    results = synthbench.run(SUITE, changes=SLOW, store=tmp_path, out=None, listener=Looker(), **where)
    cluster.remove_node(node)
    assert not results.failures
    assert results.environment.workers == 2
    assert seen - {""} <= {"0", "1"}
    assert seen & {"0", "1"}
    wait_for(lambda: not at_work(tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_run_leaves_nothing_at_work_and_goes_on(cluster: Any, tmp_path: Path) -> None:
    store = tmp_path / "store"
    changes = [part for change in SLOW for part in ("--set", change)]
    where = ["--engine", "ray", "--address", cluster.address, "--device", "cpu", "--threads", "1"]
    command = [sys.executable, "-m", "synthbench", "run", str(SUITE), "--store", str(store), *where, *changes]
    run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    wait_for(lambda: stored(store) >= 10, 300)
    assert at_work(store)
    run.kill()
    run.wait()
    wait_for(lambda: not at_work(store))
    (seen,) = runs_in(store)
    assert not seen.going
    assert seen.ended is None, "it was killed"
    assert len(seen.in_state("done")) >= 8
    there = run_there(cluster, store, Listener(), *SLOW)
    here = synthbench.run(SUITE, changes=SLOW, store=tmp_path / "here", out=None, in_process=True, device="cpu", threads=1)
    assert not there.failures
    assert figures(there) == figures(here)
