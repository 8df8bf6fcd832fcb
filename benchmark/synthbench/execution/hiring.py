"""From what was asked for to the engines of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench.contract.environment import Environment
from synthbench.errors import SynthbenchError, suggest
from synthbench.execution.crews import Crew, LocalCrew
from synthbench.execution.journal import RUNS, new_name
from synthbench.storage.store import Store

if TYPE_CHECKING:
    from synthbench.execution.clusters.remote import Traveller

ENGINES = ("local", "ray", "slurm")
DEVICES = ("auto", "cpu", "cuda", "mps", "xpu", "hpu", "npu", "mtia", "xla")
"""As torch calls them; all but the first two may have a number."""
MOST = 1000  # stages at a time on one machine


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where stages are to run.

    engine: one of `ENGINES`. address: of a Ray cluster; empty: see `RayCluster`. slurm: the file of `SlurmTable`; None: its defaults.
    device: as in `Resources`. workers: stages at a time, on one machine for each GPU; None chooses. threads: processors for each
    stage; None chooses. in_process: in this process.
    """

    engine: str = "local"
    address: str = ""
    slurm: Path | None = None
    device: str = "auto"
    workers: int | None = None
    threads: int | None = None
    in_process: bool = False

    def check(self) -> None:
        """Raises SynthbenchError if this is not possible."""
        if self.engine not in ENGINES:
            raise SynthbenchError(f"no engine '{self.engine}'{suggest(self.engine, ENGINES)}")
        kind, colon, number = self.device.partition(":")
        if kind not in DEVICES or (colon and (kind in ("auto", "cpu") or not number.isdecimal())):
            raise SynthbenchError(f"--device {self.device}: no device{suggest(kind, DEVICES)}; such as cpu, cuda, cuda:1 or mps")
        if (self.workers or 0) > MOST:
            raise SynthbenchError(f"--workers {self.workers}: at most {MOST} stages run at a time on one machine")
        if self.engine != "local" and self.in_process:
            raise SynthbenchError(f"--in-process runs stages in this process, not on {self.engine}: leave one of the two away")
        if self.address and self.engine != "ray":
            raise SynthbenchError("--address is that of a Ray cluster: give --engine ray as well")
        if self.slurm is not None and self.engine != "slurm":
            raise SynthbenchError("--slurm is a table for SLURM: give --engine slurm as well")


def hire(where: Where, store: Store, environments: Mapping[str, Environment], *, make: bool, offline: bool) -> Crew:
    """The engines. environments: those of plugins' own, by name; make: whether other machines may make them.

    Raises SynthbenchError if there is no such engine, or it cannot be used.
    """
    where.check()
    if store.address.startswith("memory://") and not where.in_process:
        raise SynthbenchError(
            f"{store.address}: this process's memory, which no worker sees; name another with --store, or give --in-process"
        )
    if where.engine == "local":
        return LocalCrew(
            store, device=where.device, workers=where.workers, threads=where.threads, in_process=where.in_process, offline=offline
        )
    from synthbench.execution.clusters.remote import Traveller

    traveller = Traveller(store.address, dict(environments), make=make, offline=offline)
    return hire_ray(where, store, traveller) if where.engine == "ray" else hire_slurm(where, store, traveller)


def hire_ray(where: Where, store: Store, traveller: Traveller) -> Crew:
    """Engines on a cluster of Ray. Raises SynthbenchError."""
    from synthbench.execution.clusters.needs import experience_in
    from synthbench.execution.clusters.ray_crew import RayCrew
    from synthbench.execution.clusters.ray_engine import RayCluster

    cluster = RayCluster(where.address)
    try:
        return RayCrew(cluster, traveller, experience_in(store), device=where.device, limit=where.workers, threads=where.threads)
    except BaseException:
        cluster.close()
        raise


def hire_slurm(where: Where, store: Store, traveller: Traveller) -> Crew:
    """Engines that submit SLURM jobs. Raises SynthbenchError."""
    from synthbench.execution.clusters.needs import experience_in
    from synthbench.execution.clusters.slurm_commands import Slurm
    from synthbench.execution.clusters.slurm_crew import SlurmCrew
    from synthbench.execution.clusters.slurm_table import read_table

    if "://" in store.address:
        raise SynthbenchError(f"{store.address}: --engine slurm needs a store in a folder that all machines share; name one with --store")
    slurm = Slurm(read_table(where.slurm))
    folder = store.root / RUNS / f"{new_name()}.slurm"
    return SlurmCrew(slurm, folder, traveller, experience_in(store), limit=where.workers, threads=where.threads)
