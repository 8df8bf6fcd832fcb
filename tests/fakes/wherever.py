"""What of a suite's results must be the same, wherever its stages ran."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from synthbench import Results

TOKEN = uuid.uuid4().hex * 2  # Ray reads it once in a process


def figures(results: Results) -> list[object]:
    """Every figure, and the key of every stage."""
    cells = [structs.replace(cell, train_seconds=0.0, predict_seconds=0.0) for cell in results.cells]
    return [*cells, *results.judged, *results.generated, sorted((stage.label, stage.key) for stage in results.stages)]


@contextmanager
def ray_cluster(processors: int) -> Iterator[Any]:
    """A cluster of Ray with one raylet, which asks for a token; nodes can be added. Without Ray the test is skipped."""
    if find_spec("ray") is None:
        pytest.skip("needs Ray")
    settings = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    settings["RAY_worker_niceness"] = "0"  # else its processes wait for everything else that is at work here
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster  # not before: it reads them when it is imported

        found = Cluster(initialize_head=True, head_node_args={"num_cpus": processors, "include_dashboard": False})
        yield found
        found.shutdown()


def at_work(store: Path) -> list[int]:
    """The worker processes of synthbench for a store that run on this machine, whoever started them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, state = (folder / "cmdline").read_bytes().split(b"\0"), (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if str(store).encode() in words and b"synthbench.execution.worker" in words and state != "Z":
            found.append(int(folder.name))
    return found
