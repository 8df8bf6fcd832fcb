"""How stages are run, and the jobs that follow from it; none of it enters a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from synthbench.contract.options import option_values
from synthbench.execution.jobs import CORE, Job, Place, Resources
from synthbench.execution.provenance import code_hash, commit
from synthbench.execution.state import refer_to, refer_to_view
from synthbench.planning.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How stages are run; none of it enters a key. timeout: seconds for one stage."""

    device: str = "auto"
    threads: int = 1
    timeout: float = 24 * 3600.0
    allow_pickle: bool = False
    offline: bool = True
    deadline: float | None = None
    """On the monotonic clock; after it no stage is started."""
    pythons: Mapping[str, str] = field(default_factory=dict)
    """The interpreters of stages, by key, that run in an environment of their plugin's own."""


def place_of(stage: Stage, conditions: Conditions) -> Place:
    """Which worker runs a stage."""
    distribution = stage.entry.info.distribution if stage.entry else CORE
    return Place(python=conditions.pythons.get(stage.key, ""), distribution=distribution)


def make_job(stage: Stage, conditions: Conditions) -> Job:
    """The job of a stage."""
    entry = stage.entry
    return Job(
        kind=stage.kind,
        key=stage.key,
        label=stage.label,
        plugin=(entry.info.kind, entry.info.name) if entry else None,
        options=option_values(entry.plugin) if entry else {},
        seed=stage.seed,
        reads={name: refer_to(each) for name, each in stage.reads.items()},
        views={name: [refer_to_view(view) for view in views] for name, views in stage.views.items()},
        parameters={**stage.parameters, **stage.told} | ({} if stage.count is None else {"count": stage.count}),
        series=stage.series,
        resources=Resources(device=conditions.device if stage.about.gpu else "cpu", threads=conditions.threads),
        allow_pickle=conditions.allow_pickle,
        offline=conditions.offline,
        about={"recipe": stage.recipe, "commit": commit(), "code": code_hash(entry.info.cls) if entry else ""},
        place=place_of(stage, conditions),
    )
