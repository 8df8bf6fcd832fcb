"""Which images a report shows: read from the store once, at the end of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from synthbench.contract.types import Boxes, ImageSet, Picture
from synthbench.execution.state import RunState, refer_to, refer_to_view
from synthbench.metrics import precision_recall
from synthbench.planning.plan import Cell, Plan, PlannedSet
from synthbench.planning.stage import HiddenBoxes, OwnBoxes, View
from synthbench.reporting import THRESHOLD
from synthbench.reporting.scores import Pick, Scores
from synthbench.reporting.tiles import Gallery, TileRow
from synthbench.results.model import Results
from synthbench.storage.boxes import read_boxes
from synthbench.storage.coco import read_set
from synthbench.storage.references import find
from synthbench.storage.views import BOXES, read_view

LEARNED, TESTED = 6, 3  # images in a row; a telephone shows three beside each other
IOU = 0.5


def gather(plan: Plan, state: RunState, results: Results) -> Gallery:
    """The rows of training images, of test images with what the best detectors find, and of those where one detector does better."""
    scores = Scores(results)
    return Gallery(
        samples=learned_from(plan, state),
        predictions=found_in(plan, state, scores),
        opposed=opposed(plan, state, scores),
        categories=results.data.categories if results.data else (),
    )


def learned_from(plan: Plan, state: RunState) -> list[TileRow]:
    """The first images of the references and of every generated training set, with their boxes."""
    rows = []
    if images := read(plan.references, state):
        what = "references" if plan.references.images.parameters.get("count") is not None else "real"
        rows.append(TileRow(f"{what}: real images, true boxes", images.pictures[:LEARNED], machine=False))
    shown = set()
    for planned in plan.sets:
        if planned.sample is None or planned.training_set.name in shown or planned.training_set.whole:  # a part has the first of the same
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
    if planned.annotate.key in state.waiting:
        return replace(view, boxes=HiddenBoxes()), f"{planned.training_set.name}: people have not labelled them yet"
    return replace(view, boxes=OwnBoxes()), f"{planned.training_set.name}: annotating failed, so without boxes"


def found_in(plan: Plan, state: RunState, scores: Scores) -> list[TileRow]:
    """Test images with true boxes, then with those of the best detector trained on real, generated and reference images."""
    generated = max(scores.each_closest(scores.detectors), key=lambda pick: pick.score.mean, default=None)
    picks = [pick for pick in (scores.best("real"), generated, scores.best("references")) if pick]
    if plan.data.key not in state.artifacts or not picks:
        return []
    test = test_images(plan, state)
    chosen = [number * len(test) // TESTED for number in range(TESTED)] if len(test) > TESTED else list(range(len(test)))
    rows = [TileRow("true boxes", test.subset(chosen).pictures, machine=False)]
    for pick in picks:
        cell = best_cell(plan.cells, pick, state)
        if cell is not None:
            found = test.with_boxes(sure_boxes(cell, state)).subset(chosen)
            rows.append(
                TileRow(f"{pick.detector} trained on {pick.row}: AP {pick.score.mean:.3f} on all test images", found.pictures, machine=True)
            )
    return rows


def opposed(plan: Plan, state: RunState, scores: Scores) -> list[TileRow]:
    """Test images on which real images serve the best detector of a generated set much better than that set does, and the reverse."""
    picks = scores.each_closest(scores.detectors)
    pick, real = max(picks, key=lambda each: each.score.mean, default=None), scores.of_kind("real")
    score = scores.of(real, pick.detector) if pick and real else None
    if pick is None or real is None or score is None or plan.data.key not in state.artifacts:
        return []
    cells = [best_cell(plan.cells, each, state) for each in (Pick(real, pick.detector, score), pick)]
    test = test_images(plan, state)
    found = [test.with_boxes(sure_boxes(cell, state)) for cell in cells if cell is not None]
    if len(found) < len(cells):
        return []
    gaps = {number: f1(test[number], found[0][number]) - f1(test[number], found[1][number]) for number in range(len(test))}
    rows = []
    for row, sign in ((real, 1), (pick.row, -1)):
        chosen = [number for number in sorted(gaps, key=lambda number: -sign * gaps[number])[:TESTED] if sign * gaps[number] > 0]
        if chosen:
            rows.append(TileRow(f"{pick.detector} does better after {row}: true boxes", test.subset(chosen).pictures, machine=False))
            for trained, images in zip((real, pick.row), found, strict=True):
                rows.append(TileRow(f"trained on {trained}", images.subset(chosen).pictures, machine=True))
    return rows


def f1(true: Picture, found: Picture) -> float:
    """F1 of the boxes found in one image; 1 if there are none to find and none are found."""
    value = precision_recall([true.boxes or Boxes.none()], [found.boxes or Boxes.none()], IOU).f1
    return 1.0 if value is None else value


def test_images(plan: Plan, state: RunState) -> ImageSet:
    """The test images with their true boxes."""
    return read_set(find(state.store, refer_to(plan.data)).folder / "test")


def sure_boxes(cell: Cell, state: RunState) -> list[Boxes]:
    """The boxes of a cell on the test images, without those of low scores."""
    return [boxes.keep(boxes.scores >= THRESHOLD) for boxes in read_boxes(find(state.store, refer_to(cell.predict)).folder / BOXES)]


def best_cell(cells: Sequence[Cell], pick: Pick, state: RunState) -> Cell | None:
    """The first cell of a pick that has a score and its predictions."""
    of_pick = [cell for cell in cells if (cell.training_set.name, cell.detector) == (pick.row, pick.detector)]
    return next((cell for cell in of_pick if cell.score.key in state.artifacts and cell.predict.key in state.artifacts), None)


def read(view: View, state: RunState) -> ImageSet | None:
    """The images of a view, or None if a stage failed, which the report says elsewhere."""
    return read_view(state.store, refer_to_view(view)) if all(stage.key in state.artifacts for stage in view.stages) else None
