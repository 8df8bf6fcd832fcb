"""Runs stages as Ray tasks, on a cluster that is there or on one that is started on this machine for the run."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import msgspec

from synthbench.contract.stages import STAGES
from synthbench.errors import SynthbenchError
from synthbench.execution.clusters.needs import Experience, Needs, needs_of
from synthbench.execution.clusters.ray_task import carry_out
from synthbench.execution.clusters.remote import Traveller
from synthbench.execution.jobs import Job, Outcome, Place
from synthbench.execution.stage_run import Event

PATIENCE = 10.0  # seconds
MISSING = "--engine ray needs Ray, which is not installed: pip install 'synthbench[ray]'"


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: what Ray may give away there. memory: bytes."""

    processors: int
    gpus: int
    memory: int


class RayCluster:
    """A connection to a cluster of Ray.

    address: as `ray.init` takes it; empty: `RAY_ADDRESS`, else a cluster on this machine, which ends with this process.
    Raises SynthbenchError if Ray is missing, or no cluster answers.
    """

    def __init__(self, address: str = "") -> None:
        if find_spec("ray") is None:
            raise SynthbenchError(MISSING)
        address = address or os.environ.get("RAY_ADDRESS", "")
        if "ray" not in sys.modules:  # it reads these when it is imported
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            # Under `uv run` Ray would copy the folder to each node and put a uv above each worker, which outlives its raylet.
            os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
            if not address:
                require_token()
        check_reached(address)
        import ray

        self.ray: Any = ray
        if not ray.is_initialized():
            try:
                ray.init(address=address or "local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
            except Exception as error:  # Ray raises what it likes
                where = f"the Ray cluster at {address}" if address else "a Ray cluster on this machine"
                raise SynthbenchError(
                    f"{where} cannot be used: {type(error).__name__}: {error}\nIf it asks for a token, set RAY_AUTH_MODE=token, and "
                    "RAY_AUTH_TOKEN_PATH to the file with the token that it was started with"
                ) from error
        self.task = ray.remote(max_retries=0, num_returns="streaming")(carry_out)

    def nodes(self) -> list[Node]:
        """The machines that are there now and take tasks."""
        found = [each["Resources"] for each in self.ray.nodes() if each["Alive"]]
        return [Node(int(each["CPU"]), int(each.get("GPU", 0)), int(each.get("memory", 0))) for each in found if each.get("CPU", 0) >= 1]

    def close(self) -> None:
        """Ends the connection, and the cluster if it was started for it."""
        self.ray.shutdown()


class RayEngine:
    """Runs one job at a time, each as a task of its own.

    gpus: whether the cluster has any; heavy: whether this engine runs the stages that need one.
    """

    def __init__(self, cluster: RayCluster, traveller: Traveller, experience: Experience, *, gpus: bool, heavy: bool) -> None:
        self.cluster, self.traveller, self.experience = cluster, traveller, experience
        self.gpus, self.heavy = gpus, heavy
        self.closed = False
        self._stream: Any = None
        self._lock = threading.Lock()  # between submitting and closing, which another thread does

    def run(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
        """Runs a job on a machine that has what it needs, as soon as there is one."""
        exceptions = self.cluster.ray.exceptions
        try:
            return self._follow(job, emit, timeout)
        except exceptions.OutOfMemoryError as error:
            return Outcome(error=f"Ray stopped its task, since its machine ran out of memory: {first_line(error)}")
        except exceptions.TaskCancelledError:
            return Outcome(error="stopped")
        except exceptions.RayTaskError as error:  # raised by the task itself
            return Outcome(error=f"its Ray task failed: {first_line(error.cause)}", trace=str(error))
        except exceptions.RayError as error:  # its process or its machine is gone
            return Outcome(error=f"its Ray task was lost: {type(error).__name__}: {first_line(error)}", lost=True)
        finally:
            self._stream = None

    def _follow(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
        """Submits the task and passes on its events. Raises what Ray raises."""
        with self._lock:
            if self.closed:
                return Outcome(error="stopped before it began")
            self._stream = self._submit(job, timeout)
        for each in self._stream:
            event: Event = msgspec.json.decode(self.cluster.ray.get(each))
            if event["event"] == "done":
                return msgspec.convert(event["outcome"], Outcome)
            emit(event)
        return Outcome(error="its Ray task ended without an outcome", lost=True)

    def suits(self, kind: str) -> bool:
        """Whether stages of this kind are for it."""
        return self.heavy or not STAGES[kind].gpu

    def is_warm_for(self, place: Place) -> bool:  # noqa: ARG002 - Ray chooses the process
        """Always: which process runs it is not known before."""
        return True

    def close(self) -> None:
        """Cancels the task under way; its workers end with it."""
        with self._lock:
            self.closed = True
            stream = self._stream
        if stream is not None and self.cluster.ray.is_initialized():
            with suppress(Exception):  # the task has ended, or the cluster is gone
                self.cluster.ray.cancel(stream, force=True)

    def _submit(self, job: Job, timeout: float) -> Any:
        needs = self._within_reach(needs_of(job, self.experience, gpus=self.gpus))
        options = {"num_cpus": needs.processors, "num_gpus": needs.gpus, "memory": needs.memory, "name": f"{job.kind} {job.key[:10]}"}
        return self.cluster.task.options(**options).remote(self.traveller.pack(job, timeout), needs.gpus)

    def _within_reach(self, needs: Needs) -> Needs:
        """The needs, with no more memory than the largest machine has: Ray would wait for ever for one that has it."""
        largest = max((each.memory for each in self.cluster.nodes() if each.gpus >= needs.gpus), default=0)
        return Needs(gpus=needs.gpus, processors=needs.processors, memory=min(needs.memory, largest))


def check_reached(address: str) -> None:
    """Raises SynthbenchError if nothing listens at `HOST:PORT`: Ray itself tries for minutes. Other addresses are left to Ray."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise SynthbenchError(f"no Ray cluster at {address}: {error}; `ray start --head` prints the address of one") from None


def require_token() -> None:
    """Has a cluster of our own ask for a token, which no file has, unless the user has one or said otherwise: it runs what it is told."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if os.environ["RAY_AUTH_MODE"] == "token" and not os.environ.get("RAY_AUTH_TOKEN_PATH"):
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def first_line(error: object) -> str:
    """The first line of an error of Ray's, which tends to be followed by a page."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
