"""How many SLURM jobs a run has at a time."""

from __future__ import annotations

from pathlib import Path

from synthbench.execution.clusters.needs import Experience
from synthbench.execution.clusters.remote import Traveller
from synthbench.execution.clusters.slurm_commands import Slurm
from synthbench.execution.clusters.slurm_engine import Post, SlurmEngine
from synthbench.execution.engines import Engine


class SlurmCrew:
    """As many engines as the table allows jobs; how many of them run, SLURM decides.

    folder: for the files of this run. limit: of stages at a time, in place of the table's.
    """

    remote = True

    def __init__(
        self, slurm: Slurm, folder: Path, traveller: Traveller, experience: Experience, *, limit: int | None, threads: int | None
    ) -> None:
        self.post, self.traveller, self.experience = Post(slurm, folder), traveller, experience
        self.limit, self.threads = limit or slurm.table.jobs, threads or slurm.table.threads

    def engines(self) -> list[Engine]:
        """One for each job at a time."""
        return [SlurmEngine(self.post, self.traveller, self.experience) for _ in range(self.limit)]

    def more(self) -> list[Engine]:
        """None: the table says how many."""
        return []

    def close(self) -> None:
        """Does nothing: each engine ends its job."""
