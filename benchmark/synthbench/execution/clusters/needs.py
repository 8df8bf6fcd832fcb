"""What a stage needs of a machine, and what stages like it took before."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import islice

from synthbench.contract.stages import STAGES
from synthbench.execution.jobs import Job
from synthbench.storage.store import Store

READ = 50  # records of a kind that are read: the newest tell enough
MARGIN = 1.5  # of memory: other images, other batches


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Whole GPUs, since a share of one does not limit its memory; processors; bytes of memory, 0 where nobody knows."""

    gpus: int = 0
    processors: int = 1
    memory: int = 0


@dataclass
class Experience:
    """The most that stages took, by their kind and their plugin's name (empty for the core's own): seconds, bytes of memory."""

    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    memory: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, kind: str, plugin: str, seconds: float, memory: int) -> None:
        """Notes what a stage took."""
        key = (kind, plugin)
        self.seconds[key] = max(self.seconds.get(key, 0.0), seconds)
        self.memory[key] = max(self.memory.get(key, 0), memory)

    def seconds_of(self, job: Job) -> float | None:
        """The longest that a stage like this one took; None if there was none."""
        return self.seconds.get(kind_of(job))

    def memory_of(self, job: Job) -> int:
        """Bytes that a stage like this one may take; 0 if there was none."""
        return math.ceil(self.memory.get(kind_of(job), 0) * MARGIN)


def kind_of(job: Job) -> tuple[str, str]:
    """By what experience is kept: the kind of a job, and its plugin's name."""
    return job.kind, job.plugin[1] if job.plugin else ""


def experience_in(store: Store) -> Experience:
    """What the latest records of a store tell."""
    found = Experience()
    for kind in STAGES:
        for record in islice(store.recent(kind), READ):
            found.add(kind, str(record.recipe.get("plugin", "")), record.seconds, record.peak_memory)
    return found


def needs_of(job: Job, experience: Experience, *, gpus: bool) -> Needs:
    """What a job needs. gpus: whether the cluster has any."""
    wants = gpus and STAGES[job.kind].gpu and job.resources.device != "cpu"
    return Needs(gpus=int(wants), processors=job.resources.threads, memory=experience.memory_of(job))
