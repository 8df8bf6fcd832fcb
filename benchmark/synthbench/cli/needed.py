"""What suites and reports need of a store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from synthbench.execution.sharing import SHARED, recipe_of
from synthbench.planning.making import make_plan
from synthbench.registry import installed
from synthbench.results.files import read_results
from synthbench.storage.inventory import ManagedStore
from synthbench.storage.store import DamagedArtifact
from synthbench.suite.reader import read_suite

Stages = dict[tuple[str, str], Any]


def needed(names: Sequence[str], store: ManagedStore) -> set[tuple[str, str]]:
    """Kind and key of every artifact that the named suites and reports need, whether or not the store has it.

    names: TOML files of suites, and the JSON files beside reports. Raises SynthbenchError if one of them cannot be read.
    """
    stages: Stages = {}
    for name in names:
        stages |= of_report(Path(name), store) if name.endswith(".json") else of_suite(Path(name), store)
    return set(stages) | shared_by(stages.values(), store)


def of_suite(path: Path, store: ManagedStore) -> Stages:
    """The stages of a suite, with their recipes."""
    registry = installed()
    return {(stage.kind, stage.key): stage.recipe for stage in make_plan(read_suite(path, registry), registry, store).stages}


def of_report(path: Path, store: ManagedStore) -> Stages:
    """The stages that a report was made of, with the recipes of those that the store has."""
    return {(stage.kind, stage.key): recipe_in(store, stage.kind, stage.key) for stage in read_results(path).stages}


def shared_by(recipes: Iterable[Any], store: ManagedStore) -> set[tuple[str, str]]:
    """The shared folders in the store that stages with these recipes use. No plan names them: see `execution.sharing`."""
    using = [each for each in recipes if each and each.get("options") is not None]
    found = set()
    for kind, key in store.contents():
        shared = recipe_in(store, kind, key) if kind == SHARED else None
        if shared and any(is_used(shared, each) for each in using):
            found.add((kind, key))
    return found


def is_used(shared: dict[str, Any], stage: dict[str, Any]) -> bool:
    """Whether a stage with this recipe asks for the shared folder with that one."""
    options = list(shared.get("options", {}))
    return set(options) <= set(stage["options"]) and recipe_of(stage, shared["shared"], options) == shared


def recipe_in(store: ManagedStore, kind: str, key: str) -> Any:
    """The recipe in a stored record; None if there is none, or it is damaged."""
    try:
        artifact = store.get(kind, key)
    except DamagedArtifact:
        return None
    return artifact.record.recipe if artifact else None
