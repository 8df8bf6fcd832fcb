"""Which images a report shows: read from the store once, at the end of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from synthbench.contract.types import ImageSet
from synthbench.execution.state import RunState, refer_to, refer_to_view
from synthbench.planning.planner import Cell, Plan, PlannedSet
from synthbench.planning.stage import OwnBoxes, View
from synthbench.reporting import THRESHOLD
from synthbench.reporting.scores import Pick, Scores
from synthbench.reporting.tiles import TileRow
from synthbench.results.model import Results
from synthbench.storage.boxes import read_boxes
from synthbench.storage.coco import read_set
from synthbench.storage.references import find
from synthbench.storage.views import BOXES, read_view

LEARNED, TESTED = 6, 5  # images in a row


def gather(plan: Plan, state: RunState, results: Results) -> tuple[list[TileRow], list[TileRow]]:
    """The rows of training images, and the rows of test images with what the best detectors find in them."""
    return learned_from(plan, state), found_in(plan, state, Scores(results))


def learned_from(plan: Plan, state: RunState) -> list[TileRow]:
    """The first images of the references and of every generated training set, with their boxes."""
    rows = []
    if images := read(plan.references, state):
        what = "references" if plan.references.images.parameters.get("count") is not None else "real"
        rows.append(TileRow(f"{what}: real images, true boxes", images.pictures[:LEARNED], machine=False))
    shown = set()
    for planned in plan.sets:
        if planned.sample is None or planned.training_set.name in shown:
            continue
        shown.add(planned.training_set.name)
        view, title = view_of(planned, state)
        if images := read(view, state):
            rows.append(TileRow(title, images.pictures[:LEARNED], machine=True))
    return rows


def view_of(planned: PlannedSet, state: RunState) -> tuple[View, str]:
    """A generated set, or its images without boxes if annotating them failed, and a title."""
    (view,) = planned.views
    assert planned.annotate is not None, "a generated set is annotated"
    if planned.annotate.key in state.artifacts:
        return view, planned.training_set.name
    return replace(view, boxes=OwnBoxes()), f"{planned.training_set.name}: annotating failed, so without boxes"


def found_in(plan: Plan, state: RunState, scores: Scores) -> list[TileRow]:
    """Test images with true boxes, then with those of the best detector trained on real, generated and reference images."""
    picks = [pick for kind in ("real", "generated", "references") if (pick := scores.best(kind))]
    if plan.data.key not in state.artifacts or not picks:
        return []
    test = read_set(find(state.store, refer_to(plan.data)).folder / "test")
    chosen = [number * len(test) // TESTED for number in range(TESTED)] if len(test) > TESTED else list(range(len(test)))
    rows = [TileRow("true boxes", test.subset(chosen).pictures, machine=False)]
    for pick in picks:
        cell = best_cell(plan.cells, pick, state)
        if cell is not None:
            boxes = read_boxes(find(state.store, refer_to(cell.predict)).folder / BOXES)
            sure = [boxes[number].keep(boxes[number].scores >= THRESHOLD) for number in chosen]
            title = f"{pick.detector} trained on {pick.row}: AP {pick.score.mean:.3f}"
            rows.append(TileRow(title, test.subset(chosen).with_boxes(sure).pictures, machine=True))
    return rows


def best_cell(cells: Sequence[Cell], pick: Pick, state: RunState) -> Cell | None:
    """The first cell of a pick that has a score and its predictions."""
    of_pick = [cell for cell in cells if (cell.training_set.name, cell.detector) == (pick.row, pick.detector)]
    return next((cell for cell in of_pick if cell.score.key in state.artifacts and cell.predict.key in state.artifacts), None)


def read(view: View, state: RunState) -> ImageSet | None:
    """The images of a view, or None if a stage failed, which the report says elsewhere."""
    return read_view(state.store, refer_to_view(view)) if all(stage.key in state.artifacts for stage in view.stages) else None
