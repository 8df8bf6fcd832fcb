"""The results of a run as one plain dictionary: all that a report says is in it, and nothing else is needed.

The layout is described in ARCHITECTURE.md; `SCHEMA` is raised when it changes.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from synthbench.contract.options import option_values
from synthbench.execution.provenance import commit
from synthbench.execution.runner import RunState, read_data_facts
from synthbench.plan.planner import Cell, Plan, Stage
from synthbench.suite.reader import BASELINES, TABLES, Entry, Suite

SCHEMA = 1


def collect(plan: Plan, state: RunState, conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Everything there is to say of a run. `conditions`: workers, wall_seconds."""
    data = state.artifacts.get(plan.data.key)
    return {
        "schema": SCHEMA,
        "suite": describe_suite(plan.suite),
        "data": read_data_facts(data) if data else {},
        "rows": [{"name": name, "kind": kind_of(name, plan)} for name in plan.training_sets],
        "cells": [describe_cell(cell, state) for cell in plan.cells],
        "generated": [
            {"name": each.name, "generator": each.generator, "annotator": each.annotator}
            | records(each.sample, state)
            | records(each.annotate, state)
            for each in plan.generated
        ],
        "judged": [{"annotator": each.annotator, "generator": each.generator, **records(each.judge, state)} for each in plan.judged],
        "stages": [describe_stage(stage, state) for stage in plan.stages],
        "costs": {row: cost(row, plan, state) for row in plan.training_sets},
        "failures": [describe_failure(stage, plan, state) for stage in plan.stages if stage.key in state.failures],
        "environment": environment(plan, state) | dict(conditions),
        "command": shlex.join(["synthbench", *(tidy_argument(argument) for argument in sys.argv[1:])]),
    }


def describe_suite(suite: Suite) -> dict[str, Any]:
    """What was compared, every default spelled out, as JSON has it."""
    made = {
        "name": suite.name,
        "file": tidy(suite.file),
        **asdict(suite.settings),
        "data": describe_entry(suite.data),
        **{table: [describe_entry(entry) for entry in getattr(suite, table)] for table in TABLES},
        "mixes": [asdict(mix) for mix in suite.mixes],
    }
    plain: dict[str, Any] = json.loads(json.dumps(made))
    return plain


def kind_of(row: str, plan: Plan) -> str:
    """`real`, `references`, `generated` or `mix`."""
    if row in BASELINES:
        return row
    return "mix" if row in {mix.name for mix in plan.suite.mixes} else "generated"


def describe_entry(entry: Entry) -> dict[str, Any]:
    """A configured plugin: where it comes from, and every option with its value."""
    found = entry.found
    return {
        "name": entry.name,
        "plugin": found.name,
        "version": found.plugin.version,
        "license": found.plugin.license,
        "distribution": found.distribution,
        "release": found.release,
        "options": {name: tidy(value) for name, value in option_values(entry.plugin, late=True).items()},
    }


def tidy_argument(argument: str) -> str:
    """An argument of the command line, a path outside the current folder being cut to its name."""
    key, equals, value = argument.rpartition("=")
    return f"{key}{equals}{Path(value).name if value.startswith('../') else tidy(value)}"


def tidy(value: object) -> object:
    """A path without the folders that say more of a machine than of a result."""
    if isinstance(value, str) and Path(value).is_absolute():
        with suppress(ValueError):
            return Path(value).relative_to(Path.cwd()).as_posix()
        return Path(value).name
    return value


def records(stage: Stage, state: RunState) -> dict[str, Any]:
    """What a finished stage recorded."""
    artifact = state.artifacts.get(stage.key)
    return dict(artifact.about["records"]) if artifact else {}


def seconds(stages: Iterable[Stage], state: RunState) -> float:
    """The seconds that finished stages took when they were carried out."""
    done = {stage.key: state.artifacts[stage.key] for stage in stages if stage.key in state.artifacts}
    return round(sum(float(artifact.about["seconds"]) for artifact in done.values()), 3)


def describe_cell(cell: Cell, state: RunState) -> dict[str, Any]:
    """A cell with its metrics, or with the stage that kept it from having any."""
    failed = next((each.key for each in (cell.train, cell.predict, cell.score) if each.key in state.failures), None)
    blocker = state.blocked.get(cell.train.key) or state.blocked.get(cell.score.key)
    return {
        "training_set": cell.training_set,
        "detector": cell.detector,
        "seed": cell.seed,
        "metrics": records(cell.score, state),
        "training": records(cell.train, state),
        "seconds": {"train": seconds([cell.train], state), "predict": seconds([cell.predict], state)},
        "keys": {"train": cell.train.key, "predict": cell.predict.key, "score": cell.score.key},
        "failed": failed or (blocker.key if blocker else None),
    }


def describe_stage(stage: Stage, state: RunState) -> dict[str, Any]:
    """A stage: its key, its state, and what it cost when it was carried out."""
    made: dict[str, Any] = {"kind": stage.kind, "label": stage.label, "key": stage.key}
    if artifact := state.artifacts.get(stage.key):
        about = artifact.about
        made |= {"state": "done", "cached": stage.key in state.cached}
        return made | {name: about[name] for name in ("seconds", "peak_memory", "notes", "records")}
    return made | {"state": "failed" if stage.key in state.failures else "blocked"}


def describe_failure(stage: Stage, plan: Plan, state: RunState) -> dict[str, Any]:
    """A failed stage, its last lines, and the cells it cost."""
    outcome = state.failures[stage.key]
    lost = [
        f"{cell.training_set} / {cell.detector} / seed {cell.seed}"
        for cell in plan.cells
        if stage.key in (cell.train.key, cell.predict.key, cell.score.key) or state.blocked.get(cell.score.key) is stage
    ]
    return {"key": stage.key, "label": stage.label, "error": outcome.error, "trace": outcome.trace, "cells": lost}


def cost(row: str, plan: Plan, state: RunState) -> dict[str, float]:
    """Seconds it took to have a training set: everything below it but the loading of the data."""
    stages: dict[str, Stage] = {}

    def gather(stage: Stage) -> None:
        if stage.kind != "data" and stage.key not in stages:
            stages[stage.key] = stage
            for needed in stage.needs:
                gather(needed)

    for view in plan.training_sets[row]:
        for stage in view.stages:
            gather(stage)
    kinds = ("fit", "sample", "train", "predict", "annotate")
    return {kind: seconds([stage for stage in stages.values() if stage.kind == kind], state) for kind in kinds}


def environment(plan: Plan, state: RunState) -> dict[str, Any]:
    """Versions and commits of everything that the results stand on, and the machine; where several were at work, all of them."""
    packages: dict[str, set[str]] = {}
    own: dict[str, dict[str, Any]] = {}
    devices: set[str] = set()
    commits: set[str] = set()
    for stage in plan.stages:
        if artifact := state.artifacts.get(stage.key):
            if stage.entry is not None and getattr(stage.entry.plugin, "environment", None) is not None:
                own[stage.entry.name] = {"python": artifact.about["python"], "packages": artifact.about["packages"]}
            else:
                for name, its_version in artifact.about["packages"].items():
                    packages.setdefault(name, set()).add(its_version)
            devices |= {artifact.about.get("device", "")} - {""}  # the core's own stages have none
            commits |= {artifact.about.get("commit", "")} - {""}
    try:
        release = version("synthbench")
    except PackageNotFoundError:
        release = "?"
    return {
        "synthbench": release,
        "commit": ", ".join(sorted(commits)) or commit(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "device": ", ".join(sorted(devices)),
        "packages": {name: " and ".join(sorted(packages[name])) for name in sorted(packages)},
        "own_environments": own,
    }
