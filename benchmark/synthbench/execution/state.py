"""Where every stage of a plan stands."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from synthbench.execution.jobs import DATA, Outcome
from synthbench.execution.provenance import code_hash
from synthbench.planning.plan import Plan
from synthbench.planning.stage import BoxesOf, HiddenBoxes, Stage, View
from synthbench.storage.references import HIDDEN, OWN, ArtifactRef, ViewRef
from synthbench.storage.store import Artifact, DamagedArtifact, Store


@dataclass
class RunState:
    """The stages by key: their artifacts in `store`, their failures, and what could not start."""

    store: Store
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    failures: dict[str, Outcome] = field(default_factory=dict)
    blocked: dict[str, Stage] = field(default_factory=dict)
    """Stages that could not start, and the failed stage that they need."""
    waiting: dict[str, Stage] = field(default_factory=dict)
    """Stages that wait for people, and those that could not start because of one, with the one that they need."""
    cached: set[str] = field(default_factory=set)
    damaged: list[DamagedArtifact] = field(default_factory=list)
    """What was found when the state was looked up; these stages are run again."""

    def copy(self) -> RunState:
        """The state as it is now, for who reads it while a run goes on."""
        return replace(
            self,
            artifacts={**self.artifacts},
            failures={**self.failures},
            blocked={**self.blocked},
            waiting={**self.waiting},
            cached={*self.cached},
        )

    def is_settled(self, stage: Stage) -> bool:
        """Whether a stage needs nothing more; one that needs a stage that failed or waits is marked as blocked or waiting here."""
        if any(stage.key in each for each in (self.artifacts, self.failures, self.blocked, self.waiting)):
            return True
        for needed in stage.needs:
            if needed.key in self.failures or needed.key in self.blocked:
                self.blocked[stage.key] = self.blocked.get(needed.key, needed)
                return True
        for needed in stage.needs:
            if needed.key in self.waiting:
                self.waiting[stage.key] = self.waiting[needed.key]
                return True
        return False

    def skip_what_serves_nothing(self, plan: Plan, refused: Stage, running: Collection[str]) -> None:
        """After a refusal, marks as blocked what leads only to stages that are blocked. running: keys of stages that go on."""
        served: dict[str, list[Stage]] = {}
        for stage in plan.stages:
            self.is_settled(stage)  # marks what needs the refused stage
            for needed in stage.needs:
                served.setdefault(needed.key, []).append(stage)
        for stage in reversed(plan.stages):
            ends = served.get(stage.key, [])
            if ends and stage.key not in running and not self.is_settled(stage) and all(each.key in self.blocked for each in ends):
                self.blocked[stage.key] = refused

    def can_be_asked(self, stage: Stage) -> bool:
        """Whether a stage waits for people, and everything that they must be shown is there."""
        return stage.waits and stage.key not in self.waiting and all(each.key in self.artifacts for each in stage.needs)


def look_up(plan: Plan, store: Store) -> RunState:
    """What the store already has of a plan. What comes after a check counts from when the check has passed."""
    state = RunState(store)
    unchecked: set[str] = set()
    present = store.present((stage.kind, stage.key) for stage in plan.stages)
    for stage in plan.stages:
        if any(each.key not in state.artifacts for each in stage.after) or any(each.key in unchecked for each in stage.needs):
            unchecked.add(stage.key)
            continue
        try:
            if (stage.kind, stage.key) in present and (artifact := store.get(stage.kind, stage.key)) is not None:
                state.artifacts[stage.key] = artifact
        except DamagedArtifact as error:
            state.damaged.append(error)
    state.cached = set(state.artifacts)
    return state


def changed_plugins(plan: Plan, state: RunState) -> list[str]:
    """The entries whose plugin's code has changed since stages in the store were computed."""
    cached = ((stage.entry, state.artifacts[stage.key].record.code) for stage in plan.stages if stage.key in state.cached)
    return sorted({entry.name for entry, code in cached if entry is not None and code and code != code_hash(entry.info.cls)})


def refer_to(stage: Stage) -> ArtifactRef:
    """A stage's result, as a job names it."""
    return ArtifactRef(kind=stage.kind, key=stage.key)


def refer_to_view(view: View) -> ViewRef:
    """A view, as a job names it."""
    boxes = refer_to(view.boxes.stage) if isinstance(view.boxes, BoxesOf) else HIDDEN if isinstance(view.boxes, HiddenBoxes) else OWN
    return ViewRef(images=refer_to(view.images), boxes=boxes, first=view.first)


def read_data_facts(artifact: Artifact) -> dict[str, Any]:
    """What the data stage wrote about the data."""
    facts: dict[str, Any] = json.loads((artifact.folder / DATA).read_text())
    return facts
