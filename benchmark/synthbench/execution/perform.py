"""Running one job: builds the artifact, calls the stage's function, publishes. Runs in a worker, or in the caller's process."""

from __future__ import annotations

import errno
import gc
import importlib
import os
import platform
import re
import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import requires
from pathlib import Path
from typing import Any

from msgspec import UNSET

from synthbench.contract.environment import environment_of
from synthbench.contract.fetching import Interrupted
from synthbench.contract.options import configure
from synthbench.contract.stages import PLUGIN_KINDS, STAGES, StageKind
from synthbench.contract.types import ImageSet
from synthbench.errors import SynthbenchError
from synthbench.execution.jobs import FEATURES, Job, Outcome
from synthbench.execution.processor import processor
from synthbench.execution.provenance import versions
from synthbench.execution.sharing import shared_folder
from synthbench.execution.stage_run import Event, StageRun
from synthbench.registry import installed
from synthbench.storage.references import ArtifactRef, find
from synthbench.storage.store import Artifact, Busy, DamagedArtifact, StageRecord, Store, Value
from synthbench.storage.views import read_views
from synthbench.text import cut

TRACE_LINES = 30
ACCELERATORS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA, AMD, either under WSL


@dataclass
class Task:
    """A job as a stage's function gets it.

    plugin: configured; None for the core's own stages. run: for the plugin. facts: the core's figures, stored with the artifact.
    """

    job: Job
    store: Store
    plugin: Any
    run: StageRun
    facts: dict[str, Value] = field(default_factory=dict)

    def images(self, name: str) -> ImageSet:
        """The images of a view. Raises SynthbenchError if they are not in the store."""
        return read_views(self.store, self.job.views[name])

    def described(self, name: str, features: str) -> ImageSet:
        """The images of a view with their features, if the job reads those. Raises SynthbenchError as `images` and `folder`."""
        import numpy as np

        images = self.images(name)
        return images.with_features(np.load(self.folder(features) / FEATURES)) if features in self.job.reads else images

    def annotated(self, name: str) -> list[Artifact]:
        """The artifacts that a view has its boxes from, where that is another stage's. Raises SynthbenchError as `folder`."""
        boxes = dict.fromkeys(view.boxes for view in self.job.views[name] if isinstance(view.boxes, ArtifactRef))
        return [find(self.store, each) for each in boxes]

    def folder(self, name: str) -> Path:
        """The folder of an artifact that it reads. Raises SynthbenchError if it is not in the store."""
        return find(self.store, self.job.reads[name]).folder


def perform(job: Job, store: Store, emit: Callable[[Event], None]) -> Outcome:
    """Runs a job and stores its result. Whatever goes wrong is in the outcome; Ctrl-C passes through."""
    kind = STAGES[job.kind]
    started = time.monotonic()
    run = StageRun(Path(), job.seed, "cpu", job.resources.threads, job.allow_pickle, emit, job.offline)
    if "recipe" in job.about:  # without one nobody can tell what a folder depends on
        run.share = partial(shared_folder, job, store)
    task = Task(job, store, None, run)
    error = trace = ""
    disk_full = fixable = False
    try:
        if kind.gpu:
            run.device = pick_device(job.resources.device)
        peak_gpu_memory(run.device, reset=True)
        limit_threads(job.resources.threads)
        task.plugin, distribution = plugin_of(job)
        with store.build(job.kind, job.key, resumable=kind.resumable, series=job.series) as build:
            if (earlier := store.get(job.kind, job.key)) is not None:  # another process has just made it
                return Outcome(record=earlier.record)
            run.workdir = build.folder
            function_of(kind)(task)
            packages = packages_of(task.plugin, distribution) if distribution else {}
            return Outcome(record=build.publish(record_of(task, time.monotonic() - started, packages)).record)
    except Busy:
        return Outcome(busy=True)
    except DamagedArtifact as problem:
        return Outcome(error=cut(str(problem)), damaged=(problem.kind, problem.key))
    except SynthbenchError as problem:
        error = str(problem)
        fixable = not isinstance(problem.__cause__, Interrupted)  # a network is another the next time
        disk_full = is_disk_full(problem.__cause__) or (isinstance(problem.__cause__, OSError) and not store.has_room())
    except Exception as problem:  # a plugin may raise anything
        error = f"{type(problem).__name__}: {problem}"
        disk_full = is_disk_full(problem) and not store.has_room()  # else the plugin filled another disk
        trace = "\n".join(shorten_paths(traceback.format_exc()).splitlines()[-TRACE_LINES:])
    record = record_of(task, time.monotonic() - started, {})
    return Outcome(error=cut(error), trace=cut(trace), fixable=fixable, disk_full=disk_full, record=record)


def record_of(task: Task, seconds: float, packages: dict[str, str]) -> StageRecord:
    """What is stored of a stage."""
    job, run = task.job, task.run
    return StageRecord(
        label=job.label,
        seconds=round(seconds, 3),
        peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        peak_gpu_memory=peak_gpu_memory(run.device),
        notes=tuple(map(cut, run.notes)),
        facts=task.facts,
        metrics={job.plugin[1]: dict(run.metrics)} if job.plugin and run.metrics else {},
        curves=run.curves or UNSET,
        python=platform.python_version(),
        packages=packages,
        device=name_device(run.device, job.resources.threads) if job.plugin else "",
        **job.about,
    )


def peak_gpu_memory(device: str, *, reset: bool = False) -> int:
    """Bytes that torch had allocated on a CUDA device at once since the last reset; 0 if this process has not used it."""
    torch: Any = sys.modules.get("torch")
    if not device.startswith("cuda") or torch is None or not torch.cuda.is_initialized():
        return 0
    if reset:
        gc.collect()  # what the last stage left in cycles would count for this one
        torch.cuda.reset_peak_memory_stats(device)
    return int(torch.cuda.max_memory_allocated(device))


def function_of(kind: StageKind) -> Callable[[Task], None]:
    """The function that runs a kind of stage."""
    module, _, name = kind.function.partition(":")
    function: Callable[[Task], None] = getattr(importlib.import_module(module), name)
    return function


def is_disk_full(problem: BaseException | None) -> bool:
    """Whether a write failed because the disk is full; safetensors says so in words only."""
    return getattr(problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(problem)


def shorten_paths(trace: str) -> str:
    """A traceback without the folders that say more of a machine than of an error: it may end in a published report."""
    return re.sub(r'File "([^"]+)"', lambda found: f'File "{"/".join(Path(found[1]).parts[-3:])}"', trace)


def pick_device(wanted: str) -> str:
    """`auto` becomes the accelerator that torch sees, if torch is installed and sees one."""
    if wanted != "auto":
        return wanted
    if sys.platform == "linux" and not any(Path(sign).exists() for sign in ACCELERATORS):
        return "cpu"  # without the seconds that torch takes to import: not every plugin needs it
    try:
        import torch
    except ImportError:
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def name_device(device: str, threads: int) -> str:
    """The device with what moves the last digits on it: a CUDA device's product name, the processor's and the number of threads."""
    if device.startswith("cuda") and (torch := sys.modules.get("torch")) and torch.cuda.is_available():
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({processor()}, {threads} thread{'s' * (threads > 1)})" if device == "cpu" else device


def limit_threads(threads: int) -> None:
    """Limits torch to `threads`, whatever an earlier stage's library has set."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # for a torch that is not loaded yet
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)


def plugin_of(job: Job) -> tuple[Any, str]:
    """The configured plugin of a job and its distribution; None and nothing for the core's own stages."""
    if job.plugin is None:
        return None, ""
    kind = next(each for each in PLUGIN_KINDS if each == job.plugin[0])
    info = installed(job.place.distribution).get(kind, job.plugin[1])
    plugin, problems = configure(info.cls, job.options)
    if plugin is None:
        raise SynthbenchError("; ".join(problems))
    return plugin, info.distribution


def packages_of(plugin: Any, distribution: str) -> dict[str, str]:
    """The versions of what a plugin depends on: its distribution, what that requires or its environment consists of, and numpy."""
    environment = environment_of(plugin)
    required = environment.dependencies if environment is not None else requires(distribution) or ()
    found = dict(versions(["numpy", distribution, *(() if distribution == "synthbench" else required)]))
    found.pop("synthbench", None)  # its release and commit are recorded for the run
    return found
