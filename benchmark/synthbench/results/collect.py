"""From a plan and the state of its stages to the results."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal

from synthbench.contract.environment import environment_of
from synthbench.contract.stages import cost_headings
from synthbench.execution.provenance import commit
from synthbench.execution.state import RunState, read_data_facts, refer_to
from synthbench.planning.plan import Cell as PlannedCell
from synthbench.planning.plan import Judged as PlannedJudged
from synthbench.planning.plan import Plan, PlannedSet
from synthbench.planning.stage import Stage
from synthbench.results import model
from synthbench.results.ap_table import Scored
from synthbench.results.by_class import figures_by_class
from synthbench.results.describe import describe_data, describe_draw, describe_suite, describe_training_set
from synthbench.results.labelled import describe_labelled
from synthbench.results.prove import prove
from synthbench.results.similarity import describe_similarity
from synthbench.storage.boxes import REASON
from synthbench.storage.coco import read_groups
from synthbench.storage.matches import MATCHES, read_matches
from synthbench.storage.references import find
from synthbench.storage.store import Artifact
from synthbench.storage.views import BOXES
from synthbench.text import without_machine

if TYPE_CHECKING:
    from synthbench.metrics import Matches


def collect(
    plan: Plan, state: RunState, *, command: str = "", workers: int | None = None, wall_seconds: float | None = None
) -> model.Results:
    """Everything there is to say of a run. command: what a person typed. Raises DamagedArtifact."""
    data = find(state.store, refer_to(plan.data)) if plan.data.key in state.artifacts else None
    suite = describe_suite(plan.suite)
    sets = [describe_training_set(row) for row in plan.suite.rows]
    about = describe_data(read_data_facts(data)) if data else None
    matches = read_all_matches(plan, state, about)
    classes = {key: figures_by_class(each, about.categories) for key, each in matches.items() if about}
    cells = [describe_cell(cell, state, classes.get(cell.score.key, [])) for cell in plan.cells]
    return model.Results(
        suite=suite,
        data=about,
        training_sets=sets,
        cells=cells,
        generated=[describe_generated(planned, state) for planned in plan.sets if planned.training_set.kind == "generated"],
        judged=[describe_judged(judged, state) for judged in plan.judged],
        similarity=describe_similarity(plan, state, cells),
        labelled=[describe_labelled(each, state) for each in plan.labellings],
        stages=[describe_stage(stage, state) for stage in plan.stages],
        costs={row.name: cost([each for each in plan.sets if each.training_set.name == row.name], state) for row in plan.suite.rows},
        failures=[describe_failure(stage, plan, state) for stage in plan.stages if stage.key in state.failures],
        environment=describe_environment(plan, state, workers, wall_seconds),
        replicates_planned=plan.planned,
        evidence=prove(cells, sets, suite, about, scored(plan, state, data, matches, len(about.categories) if about else 0)),
        command=command,
    )


def read_all_matches(plan: Plan, state: RunState, about: model.DataInfo | None) -> dict[str, Matches]:
    """The matches of each score, by its key; none where nothing is made of them: of one category in one replicate."""
    if about is None or (len(plan.suite.seeds) == 1 and len(about.categories) == 1):
        return {}
    stages = {cell.score.key: cell.score for cell in plan.cells if cell.score.key in state.artifacts}
    return {key: read_matches(find(state.store, refer_to(stage)).folder / MATCHES) for key, stage in stages.items()}


def scored(plan: Plan, state: RunState, data: Artifact | None, matches: Mapping[str, Matches], categories: int) -> Scored:
    """What the evidence is made of; without the matches where there is one replicate, which proves nothing."""
    if data is None or len(plan.suite.seeds) == 1:
        return Scored({}, 0)
    predicted = {cell.predict.key: cell.predict for cell in plan.cells if cell.predict.key in state.artifacts}
    # Where nothing is random, equal boxes say nothing.
    seeded = {key: stage for key, stage in predicted.items() if stage.entry and getattr(stage.entry.info.cls, "seeded", True)}
    return Scored(
        matches=matches,
        categories=categories,
        groups=read_groups(data.folder / "test"),
        predictions={key: state.artifacts[key].record.files[BOXES].sha256 for key in seeded},
    )


def seconds(stages: Iterable[Stage], state: RunState) -> float:
    """The seconds that finished stages took when they were run, each counted once."""
    done = {stage.key: state.artifacts[stage.key].record for stage in stages if stage.key in state.artifacts}
    return round(sum(record.seconds for record in done.values()), 3)


def describe_cell(cell: PlannedCell, state: RunState, classes: list[model.ClassFigures]) -> model.Cell:
    """A cell with its metrics, or with the stage that kept it from having any."""
    failed = next((each.key for each in (cell.train, cell.predict, cell.score) if each.key in state.failures), None)
    blocker = state.blocked.get(cell.train.key) or state.blocked.get(cell.score.key)
    waits = state.waiting.get(cell.score.key)
    scored, trained = state.artifacts.get(cell.score.key), state.artifacts.get(cell.train.key)
    held_out = state.artifacts.get(cell.held_out.key) if cell.held_out else None
    training = None
    if trained is not None:
        facts = trained.record.facts
        training = model.Training(
            images=count(facts["images"]),
            boxes=count(facts["boxes"]),
            metrics=trained.record.metrics,
            curves=trained.record.curves or {},
        )
    return model.Cell(
        training_set=cell.training_set.name,
        detector=cell.detector,
        seed=cell.seed,
        replicate=cell.replicate,
        draw=describe_draw(cell.draw),
        metrics=figures(scored),
        classes=classes,
        held_out_ap=figures(held_out).get("AP"),
        training=training,
        train_seconds=seconds([cell.train], state),
        predict_seconds=seconds([cell.predict], state),
        keys=model.CellKeys(train=cell.train.key, predict=cell.predict.key, score=cell.score.key),
        failed=failed or (blocker.key if blocker else None),
        waiting=waits.key if waits else None,
    )


def figures(scored: Artifact | None) -> dict[str, float]:
    """What a score stage measured; nothing if it did not finish."""
    return {name: float(value) for name, value in scored.record.facts.items() if value is not None} if scored else {}


def count(value: object) -> int:
    """A fact that is a whole number."""
    assert isinstance(value, int), "the core counts in whole numbers"
    return value


def describe_generated(planned: PlannedSet, state: RunState) -> model.Generated:
    """What sampling and annotating gave."""
    row = planned.training_set
    stages = [stage for stage in (planned.sample, planned.annotate) if stage is not None]
    records = [state.artifacts[stage.key].record for stage in stages if stage.key in state.artifacts]
    facts = {name: value for record in records for name, value in record.facts.items()}
    whole = {name: facts[name] for name in ("images", "boxes", "images_without_boxes") if name in facts}
    return model.Generated(
        training_set=row.name,
        generator=row.generator,
        annotator=row.annotator,
        draw=describe_draw(planned.draw),
        rejected={
            name.removeprefix(REASON): int(value) for name, value in facts.items() if name.startswith(REASON) and isinstance(value, int)
        },
        metrics={plugin: metrics for record in records for plugin, metrics in record.metrics.items()},
        **{name: count(value) for name, value in whole.items()},
    )


def describe_judged(judged: PlannedJudged, state: RunState) -> model.Judged:
    """An annotator's precision and recall."""
    artifact = state.artifacts.get(judged.judge.key)
    facts: dict[str, Any] = dict(artifact.record.facts) if artifact else {}
    return model.Judged(annotator=judged.annotator, generator=judged.generator, draw=describe_draw(judged.draw), **facts)


def describe_stage(stage: Stage, state: RunState) -> model.StageInfo:
    """A stage: its key, its state, and what it took when it was run."""
    artifact = state.artifacts.get(stage.key)
    if artifact is None:
        return model.StageInfo(kind=stage.kind, label=stage.label, key=stage.key, state=unfinished(stage, state))
    record = artifact.record
    return model.StageInfo(
        kind=stage.kind,
        label=stage.label,
        key=stage.key,
        state="done",
        cached=stage.key in state.cached,
        seconds=record.seconds,
        peak_memory=record.peak_memory,
        peak_gpu_memory=record.peak_gpu_memory or None,
        notes=[without_machine(note) for note in record.notes],
        facts=record.facts,
        metrics=record.metrics,
    )


def unfinished(stage: Stage, state: RunState) -> Literal["failed", "waiting", "blocked"]:
    """Why a stage has no result."""
    if stage.key in state.failures:
        return "failed"
    return "waiting" if stage.key in state.waiting else "blocked"


def describe_failure(stage: Stage, plan: Plan, state: RunState) -> model.Failure:
    """A failed stage, its last lines, and the cells that have no score because of it."""
    outcome = state.failures[stage.key]
    lost = [
        f"{cell.training_set.name} / {cell.detector} / seed {cell.seed}"
        for cell in plan.cells
        if stage.key in (cell.train.key, cell.predict.key, cell.score.key) or state.blocked.get(cell.score.key) is stage
    ]
    return model.Failure(
        key=stage.key,
        label=stage.label,
        error=without_machine(outcome.error),
        trace=without_machine(outcome.trace),
        cells=list(dict.fromkeys(lost)),
        fixable=outcome.fixable,
    )


def cost(sets: Sequence[PlannedSet], state: RunState) -> dict[str, float]:
    """Seconds by kind of stage that it took to make a training set, a mean over its draws; the loading of the data is not counted."""
    stages: dict[str, Stage] = {}
    shares: dict[str, float] = {}  # of a sampling, which a training set may use in part

    def gather(stage: Stage) -> None:
        if stage.key not in stages:
            stages[stage.key] = stage
            for needed in stage.needs:
                gather(needed)

    for planned in sets:
        for view in planned.views:
            if view.first is not None and view.images.count is not None:
                shares[view.images.key] = view.first / view.images.count
            for stage in view.stages:
                gather(stage)
    spent = dict.fromkeys(cost_headings(), 0.0)
    for stage in stages.values():
        if stage.kind in spent:
            spent[stage.kind] += seconds([stage], state) * shares.get(stage.key, 1) / len(sets)
    return {kind: round(each, 3) for kind, each in spent.items()}


def describe_environment(plan: Plan, state: RunState, workers: int | None, wall_seconds: float | None) -> model.Environment:
    """Versions and commits of everything that the results depend on, and the machine; if there were several, all of them."""
    packages: dict[str, set[str]] = {}
    own: dict[str, model.OwnEnvironment] = {}
    devices: set[str] = set()
    commits: set[str] = set()
    for stage in plan.stages:
        if (artifact := state.artifacts.get(stage.key)) is None:
            continue
        record = artifact.record
        if stage.entry is not None and environment_of(stage.entry.plugin) is not None:
            own[stage.entry.name] = model.OwnEnvironment(python=record.python, packages=record.packages)
        else:
            for name, its_version in record.packages.items():
                packages.setdefault(name, set()).add(its_version)
        devices |= {record.device} - {""}  # the core's own stages have none
        commits |= {record.commit} - {""}
    try:
        release = version("synthbench")
    except PackageNotFoundError:
        release = "?"
    return model.Environment(
        synthbench=release,
        commit=", ".join(sorted(commits)) or commit(),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        processors=os.cpu_count(),
        device=", ".join(sorted(devices)),
        packages={name: " and ".join(sorted(packages[name])) for name in sorted(packages)},
        own_environments=own,
        workers=workers,
        wall_seconds=wall_seconds,
    )
