"""Carries out a plan: whatever is not in the store yet, as many stages at a time as there are engines."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from synthbench.contract.options import option_values
from synthbench.errors import SynthbenchError
from synthbench.execution.engines import Engine
from synthbench.execution.jobs import Job, Outcome
from synthbench.execution.provenance import code_hash, commit
from synthbench.execution.stage_run import Event
from synthbench.plan.planner import Plan, Stage, View
from synthbench.storage.local import Artifact, Store, told_disk_errors
from synthbench.storage.views import ViewRef


class Listener(Protocol):
    """Hears what a run does; called from several threads, one call at a time."""

    def started(self, stage: Stage) -> None:
        """A stage begins."""

    def heard(self, stage: Stage, event: Event) -> None:
        """A stage tells how far it is, or logs a line."""

    def finished(self, stage: Stage, outcome: Outcome) -> None:
        """A stage ended, well or not."""


@dataclass
class RunState:
    """Where every stage stands, by key."""

    artifacts: dict[str, Artifact] = field(default_factory=dict)
    failures: dict[str, Outcome] = field(default_factory=dict)
    blocked: dict[str, Stage] = field(default_factory=dict)
    """Stages that could not begin, and the failed stage they wait for."""
    cached: set[str] = field(default_factory=set)

    @property
    def settled(self) -> int:
        """How many stages there is nothing more to do for."""
        return len(self.artifacts) + len(self.failures) + len(self.blocked)


def look_up(plan: Plan, store: Store) -> RunState:
    """What the store already holds of a plan."""
    held = {stage.key: artifact for stage in plan.stages if (artifact := store.get(stage.kind, stage.key)) is not None}
    return RunState(artifacts=held, cached=set(held))


def changed_plugins(plan: Plan, state: RunState) -> list[str]:
    """The entries whose plugin's code is not what it was when stages that are in the store were made."""
    held = ((stage.entry, state.artifacts[stage.key].about.get("code")) for stage in plan.stages if stage.key in state.cached)
    return sorted({entry.name for entry, code in held if entry is not None and code and code != code_hash(entry.found.plugin)})


@dataclass(frozen=True)
class Conditions:
    """How stages are carried out; none of it enters a key."""

    device: str = "auto"
    threads: int = 1
    timeout: float = 24 * 3600.0
    allow_pickle: bool = False
    pythons: Mapping[str, str] = field(default_factory=dict)
    """The interpreters of stages, by key, that run in an environment of their plugin's own."""


class Runner:
    """Runs one plan once."""

    def __init__(self, plan: Plan, store: Store, engines: Sequence[Engine], listener: Listener, conditions: Conditions) -> None:
        self.plan = plan
        self.store = store
        self.engines = engines
        self.listener = listener
        self.conditions = conditions
        self.state = look_up(plan, store)
        self._running: set[str] = set()
        self._changed = threading.Condition()
        self._trouble: BaseException | None = None
        self._stopping = False

    def run(self) -> RunState:
        """Carries out every stage that can be. A stage that fails costs itself and what needs it.

        Raises SynthbenchError where the store cannot be written, KeyboardInterrupt on Ctrl-C; what is finished stays.
        """
        threads = [threading.Thread(target=self._work, args=(engine,), daemon=True) for engine in self.engines]
        if self.state.settled < len(self.plan.stages):
            for thread in threads:
                thread.start()
        try:
            with self._changed:
                while self.state.settled < len(self.plan.stages) and self._trouble is None:
                    self._changed.wait(0.5)  # wakes up now and then, so that Ctrl-C is heard
        finally:
            self._stopping = True
            for engine in self.engines:
                engine.close()
            for thread in threads:
                if thread.is_alive():
                    thread.join(5)
        if self._trouble is not None:
            raise self._trouble
        return self.state

    def _work(self, engine: Engine) -> None:
        try:
            while (stage := self._next()) is not None:
                self._carry_out(stage, engine)
        except BaseException as error:  # told by the main thread
            with self._changed:
                self._trouble = self._trouble or error
                self._changed.notify_all()

    def _next(self) -> Stage | None:
        """The first stage that can begin, waiting for one if need be; None when nothing is left."""
        with self._changed:
            while not self._stopping and self._trouble is None:
                open_stages = [stage for stage in self.plan.stages if not self._is_settled(stage)]
                if not open_stages:
                    self._changed.notify_all()
                    return None
                for stage in open_stages:
                    if stage.key not in self._running and all(each.key in self.state.artifacts for each in stage.needs):
                        self._running.add(stage.key)
                        return stage
                self._changed.wait(0.5)
            return None

    def _is_settled(self, stage: Stage) -> bool:
        """Whether there is nothing more to do for a stage; one that needs a failed one is found blocked here."""
        state = self.state
        if stage.key in state.artifacts or stage.key in state.failures or stage.key in state.blocked:
            return True
        for needed in stage.needs:
            if needed.key in state.failures or needed.key in state.blocked:
                state.blocked[stage.key] = state.blocked.get(needed.key, needed)
                return True
        return False

    def _carry_out(self, stage: Stage, engine: Engine) -> None:
        with self.store.building(stage.kind, stage.key, resumable=stage.kind == "fit") as folder:
            with self._changed:
                self.listener.started(stage)
            job = make_job(stage, folder, self.state.artifacts, self.conditions)
            outcome = engine.carry_out(job, lambda event: self._hear(stage, event), self.conditions.timeout)
            if self._stopping:
                return
            if outcome.disk_full:
                with told_disk_errors(self.store.root):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            artifact = None
            if not outcome.error:
                artifact = self.store.publish(stage.kind, stage.key, folder, describe(stage, outcome))
        with self._changed:
            self._running.discard(stage.key)
            if artifact is None:
                self.state.failures[stage.key] = outcome
            else:
                self.state.artifacts[stage.key] = artifact
            self.listener.finished(stage, outcome)
            self._changed.notify_all()

    def _hear(self, stage: Stage, event: Event) -> None:
        with self._changed:
            self.listener.heard(stage, event)


def describe(stage: Stage, outcome: Outcome) -> dict[str, Any]:
    """What is kept in `stage.json`."""
    return {
        "label": stage.label,
        "recipe": stage.recipe,
        "seconds": outcome.seconds,
        "peak_memory": outcome.peak_memory,
        "notes": list(outcome.notes),
        "records": dict(outcome.records),
        "python": outcome.python,
        "packages": dict(outcome.packages),
        "device": outcome.device,
        "commit": commit(),
        "code": code_hash(stage.entry.found.plugin) if stage.entry else "",
    }


def refer(view: View, artifacts: Mapping[str, Artifact]) -> ViewRef:
    """Where a view lies, its stages being all there."""
    boxes = None if view.boxes is None else str(artifacts[view.boxes.key].folder)
    return ViewRef(folder=str(artifacts[view.images.key].folder / view.split), choose=view.choose, boxes=boxes)


def make_job(stage: Stage, folder: Path, artifacts: Mapping[str, Artifact], conditions: Conditions) -> Job:
    """The job of a stage whose needs are all there."""

    def place(needed: Stage | None) -> str | None:
        return None if needed is None else str(artifacts[needed.key].folder)

    entry = stage.entry
    return Job(
        stage=stage.kind,
        label=stage.label,
        workdir=str(folder),
        python=conditions.pythons.get(stage.key, ""),
        plugin=(entry.found.kind, entry.found.name) if entry else None,
        options=option_values(entry.plugin, late=True) if entry else {},
        seed=stage.seed,
        fitted=place(stage.fitted),
        predictions=place(stage.predictions),
        views={name: [refer(view, artifacts) for view in views] for name, views in stage.views.items()},
        extra=stage.extra,
        device=conditions.device,
        threads=conditions.threads,
        allow_pickle=conditions.allow_pickle,
    )


def read_data_facts(artifact: Artifact) -> dict[str, Any]:
    """What the data stage wrote of the data. Raises SynthbenchError where it cannot be read."""
    try:
        facts: dict[str, Any] = json.loads((artifact.folder / "data.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise SynthbenchError(f"{artifact.folder}: damaged ({error}); remove this folder and run again") from None
    return facts
