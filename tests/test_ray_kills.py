"""Kills at random on a cluster: of workers, Ray's processes, raylets, all of a node, and the run itself."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import synthbench
from marked import MARK, processes, stored, wait_for
from synthbench_fakes import SUITE
from wherever import at_work, figures, ray_cluster

KILLS = int(os.environ.get("SYNTHBENCH_TEST_KILLS", "20"))
VICTIMS = {"a worker": "synthbench.execution.worker", "a process of Ray": "ray::", "a raylet": "raylet/raylet", "a node": "", "the run": ""}
SLOW = ("generators.paint.slow=0.05", "detectors.threshold.slow=0.2", "detectors.strict.slow=0.2")
AGAIN = 30  # commands in a row that may end without the whole result; each gets on by a stage at least

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


class Bystanders:
    """A cluster with a head that lives, and two nodes that may be killed and are replaced."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.nodes: list[tuple[Any, str]] = []
        self.lost: list[str] = []  # their marks

    def replenish(self) -> None:
        """Takes out nodes without a raylet, and brings the number to two."""
        for node, mark in [*self.nodes]:
            if not processes(mark, VICTIMS["a raylet"]):
                self.nodes.remove((node, mark))
                self.lost.append(mark)
                self.cluster.remove_node(node, allow_graceful=False)
        while len(self.nodes) < 2:
            os.environ[MARK] = mark = uuid.uuid4().hex  # the node's processes have it, and so has what they start
            self.nodes.append((self.cluster.add_node(num_cpus=2), mark))
            del os.environ[MARK]

    def processes(self, word: str) -> list[int]:
        """Those of the nodes whose command contains the word."""
        return [each for _, mark in self.nodes for each in processes(mark, word)]


@pytest.fixture
def bystanders() -> Iterator[Bystanders]:
    with ray_cluster(1) as cluster:
        found = Bystanders(cluster)
        found.replenish()
        yield found


def strike(kind: str, nodes: Bystanders, run: subprocess.Popen[bytes], draw: random.Random) -> bool:
    """Kills one of a kind. False if there is none just now."""
    if kind == "the run":
        victims = [run.pid]
    elif kind == "a node":
        victims = processes(draw.choice(nodes.nodes)[1])
    else:
        victims = [draw.choice(found)] if (found := nodes.processes(VICTIMS[kind])) else []
    for each in victims:
        try:
            os.kill(each, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return bool(victims)


def wait_until_stored(store: Path, more: int, run: subprocess.Popen[bytes]) -> None:
    """Waits until the store has so many more results, or the run has ended."""
    enough = stored(store) + more
    wait_for(lambda: stored(store) >= enough or run.poll() is not None, 300)


def test_whatever_is_killed_whenever_the_figures_are_the_same(bystanders: Bystanders, tmp_path: Path) -> None:
    here = synthbench.run(SUITE, changes=SLOW, store=tmp_path / "here", out=None, in_process=True, device="cpu", threads=1)
    changes = [part for change in SLOW for part in ("--set", change)]
    where = ["--engine", "ray", "--address", bystanders.cluster.address, "--device", "cpu", "--threads", "1"]
    draw, sent, number = random.Random(0), Counter[str](), 0
    while sent.total() < KILLS:
        number += 1
        store = tmp_path / f"{number}"
        command = [sys.executable, "-m", "synthbench", "run", str(SUITE), "--store", str(store), "--out", str(tmp_path / "out"), *where]
        for _ in range(AGAIN):
            bystanders.replenish()
            run = subprocess.Popen([*command, *changes], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while run.poll() is None:
                wait_until_stored(store, draw.randint(1, 5), run)  # so that each command gets on, however slow the machine
                time.sleep(draw.uniform(0, 0.3))
                kind = draw.choice([*VICTIMS])
                if run.poll() is None and strike(kind, bystanders, run, draw):
                    sent[kind] += 1
                    if kind in ("a raylet", "a node"):
                        bystanders.replenish()
            wait_for(lambda store=store: not at_work(store))  # type: ignore[misc]
            if run.returncode == 0:
                break
        else:
            pytest.fail(f"{AGAIN} commands did not end well; kills so far: {dict(sent)}")
        again = synthbench.run(SUITE, changes=SLOW, store=store, out=None, in_process=True, device="cpu", threads=1)
        assert not again.failures
        assert all(stage.cached for stage in again.stages), "nothing was missing"
        assert figures(again) == figures(here)
    wait_for(lambda: not any(processes(mark) for mark in bystanders.lost))  # nothing of a lost node holds memory
    assert set(sent) == set(VICTIMS) or KILLS < 50, dict(sent)
    print(dict(sent), number)  # noqa: T201 - for who runs it by hand
