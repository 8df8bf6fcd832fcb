"""What stages ask SLURM for: a TOML file of the user's, and what stages like them took before."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from synthbench.contract.stages import STAGES
from synthbench.errors import SynthbenchError, suggest
from synthbench.execution.clusters.needs import Experience, Needs, kind_of
from synthbench.execution.jobs import Job

LONGEST = 1e6  # minutes or seconds that a table may ask for
LONGER = 3.0  # times as long as the longest stage like it may a stage take, and STARTING minutes
STARTING = 5.0
UNITS = {"": 1, "K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}
"""Of memory, in MiB, as sbatch has them."""
MEMORY = re.compile("([0-9]+)([KMGT]?)")
BESIDES = 1024  # MiB for what runs beside the stage's own process


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for some stages; None: what is learned, or the default. memory: as sbatch writes it, as in `16G`."""

    minutes: Annotated[float, Meta(gt=0, le=LONGEST)] | None = None
    memory: str | None = None
    gpus: Annotated[int, Meta(ge=0)] | None = None
    options: tuple[str, ...] | None = None


class SlurmTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file of `--slurm`.

    partition, account, options: of sbatch, for every job. setup: lines of shell before the worker, as `module load cuda`.
    gpus: whether the cluster has GPUs for stages that use one. threads: processors for each stage.
    linger: seconds that a job waits for the next stage. group_minutes: how long a job goes on taking stages.
    default, stages: see `Asked`; stages by their kind, or by kind and plugin, as in `train yolov8`. runner: for `--detach`.
    """

    partition: str = ""
    account: str = ""
    options: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    gpus: bool = False
    threads: int = 2
    jobs: int = 20
    linger: Annotated[float, Meta(ge=0, le=LONGEST)] = 30.0
    group_minutes: Annotated[float, Meta(ge=0, le=LONGEST)] = 30.0
    default: Asked = Asked(minutes=240.0)
    stages: dict[str, Asked] = {}
    runner: Asked = Asked(minutes=24 * 60.0, memory="2G")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one job asks SLURM for. minutes: for one stage. memory: MiB; 0: the cluster's default."""

    minutes: int
    memory: int
    gpus: int
    processors: int
    options: tuple[str, ...]


def read_table(path: Path | None) -> SlurmTable:
    """The table in a file; None: all defaults. Raises SynthbenchError with what is wrong in it."""
    if path is None:
        return SlurmTable()
    try:
        table = msgspec.convert(tomllib.loads(path.read_text()), SlurmTable)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise SynthbenchError(f"{path}: {error}") from None
    for name in table.stages:
        if (kind := name.split(" ")[0]) not in STAGES:
            raise SynthbenchError(f"{path}: stages: no kind of stage '{kind}'{suggest(kind, STAGES)}")
    for row in (table.default, table.runner, *table.stages.values()):
        if row.memory is not None and not re.fullmatch(MEMORY, row.memory):
            raise SynthbenchError(f"{path}: memory '{row.memory}': a number and K, M, G or T, as in 16G")
    if min(table.threads, table.jobs) < 1:
        raise SynthbenchError(f"{path}: threads and jobs are at least 1")
    return table


def mebibytes(memory: str) -> int:
    """What sbatch would read, in MiB."""
    found = re.fullmatch(MEMORY, memory)
    assert found is not None, "checked when the table was read"
    return math.ceil(int(found[1]) * UNITS[found[2]])


def request_for(job: Job, needs: Needs, table: SlurmTable, experience: Experience) -> Request:
    """What a job asks for: what the table says of its kind and plugin, then of its kind, then what was learned, then the default."""
    kind, plugin = kind_of(job)
    rows = [table.stages[name] for name in (f"{kind} {plugin}", kind) if name in table.stages]
    said = Asked(*(next((value for row in rows if (value := getattr(row, name)) is not None), None) for name in Asked.__struct_fields__))
    seconds = experience.seconds_of(job)
    learned = None if seconds is None else LONGER * seconds / 60 + STARTING
    minutes = next(each for each in (said.minutes, learned, table.default.minutes, 240.0) if each is not None)
    remembered = BESIDES * (1 + math.ceil(needs.memory / 2**30)) if needs.memory else 0
    written = said.memory if said.memory is not None else table.default.memory
    options = said.options if said.options is not None else table.default.options or ()
    return Request(
        minutes=max(1, math.ceil(minutes)),
        memory=remembered if written is None else mebibytes(written),
        gpus=needs.gpus if said.gpus is None else said.gpus,
        processors=needs.processors,
        options=(*table.options, *options),
    )
