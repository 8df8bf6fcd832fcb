"""The pictures of a report: small files beside it, drawn from artifacts where they are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

from synthbench.contract.images import open_image
from synthbench.contract.types import Boxes, ImageSet, Picture
from synthbench.errors import SynthbenchError
from synthbench.execution.runner import RunState, refer
from synthbench.plan.planner import Cell, Plan, View
from synthbench.report.scores import Pick, Scores
from synthbench.storage.boxes import read_boxes
from synthbench.storage.views import BOXES, see

TILE = 176  # pixels of an image's longer side
GAP = 6
TITLE = 26  # pixels of a line of text above a row
LEARNED, TESTED = 6, 5  # images in a row
LARGEST = 240_000  # bytes; reports are kept in git
THRESHOLD = 0.5
TRUE, MACHINE = (0, 229, 255), (255, 225, 0)  # cyan and yellow stand out from foliage, and for the colour-blind

Row = tuple[str, list[Image.Image]]


def draw_pictures(plan: Plan, state: RunState, held: Mapping[str, Any], folder: Path) -> dict[str, dict[str, Any]]:
    """Draws what there is something to draw of into `folder`, over earlier files of the same names.

    Gives for each picture its `file`, relative to the report, and what its caption needs.
    """
    from synthbench.report.charts import draw_bars, draw_costs

    folder.mkdir(parents=True, exist_ok=True)
    scores = Scores(held)
    made: dict[str, dict[str, Any]] = {}
    if rows := learned(plan, state):
        made["samples"] = {"file": save_grid(rows, folder / "samples.jpg")}
    if rows := found(plan, state, scores):
        made["predictions"] = {"file": save_grid(rows, folder / "predictions.jpg"), "threshold": THRESHOLD}
    if scores.picks():
        made["bars"] = {"file": draw_bars(scores, folder / "ap.png")}
        made["costs"] = {"file": draw_costs(scores, held["costs"], folder / "costs.png")}
    return made


def learned(plan: Plan, state: RunState) -> list[Row]:
    """The first images of the references and of every generated training set, with their boxes."""
    references = next((stage.views["references"][0] for stage in plan.stages if "references" in stage.views), None)
    views = [("references: real images, true boxes", references or plan.training_sets.get("references", (View(plan.data, "train"),))[0])]
    for each in plan.generated:
        annotated = each.annotate.key in state.artifacts
        title = each.name if annotated else f"{each.name}: annotating failed, so without boxes"
        views.append((title, View(each.sample, boxes=each.annotate if annotated else None)))
    rows = []
    for number, (title, view) in enumerate(views):
        images = seen(view, state)
        if images:
            rows.append((title, [tile(picture, picture.boxes, MACHINE if number else TRUE) for picture in images[:LEARNED]]))
    return rows


def found(plan: Plan, state: RunState, scores: Scores) -> list[Row]:
    """Test images with true boxes, then with those of the best detector trained on real, generated and reference images."""
    test = seen(View(plan.data, "test"), state)
    picks = [pick for kind in ("real", "generated", "references") if (pick := scores.best(kind))]
    if not test or not picks:
        return []
    shown = [number * len(test) // TESTED for number in range(TESTED)] if len(test) > TESTED else list(range(len(test)))
    rows = [("true boxes", [tile(test[number], test[number].boxes, TRUE) for number in shown])]
    for pick in picks:
        cell = next((cell for cell in plan.cells if is_of(cell, pick) and cell.score.key in state.artifacts), None)
        if cell is not None and cell.predict.key in state.artifacts:
            boxes = read_boxes(state.artifacts[cell.predict.key].folder / BOXES)
            sure = {number: boxes[number].keep(boxes[number].scores >= THRESHOLD) for number in shown}
            title = f"{pick.detector} trained on {pick.row}: AP {pick.score.mean:.3f}"
            rows.append((title, [tile(test[number], sure[number], MACHINE) for number in shown]))
    return rows


def is_of(cell: Cell, pick: Pick) -> bool:
    """Whether a cell is one of a pick's seeds."""
    return (cell.training_set, cell.detector) == (pick.row, pick.detector)


def seen(view: View, state: RunState) -> ImageSet | None:
    """The images of a view, or None where they are not there, which the failures tell."""
    if not all(stage.key in state.artifacts for stage in view.stages):
        return None
    try:
        return see(refer(view, state.artifacts))
    except SynthbenchError:
        return None


def tile(picture: Picture, boxes: Boxes | None, colour: tuple[int, int, int]) -> Image.Image:
    """A picture at `TILE` pixels with boxes on it."""
    small = ImageOps.contain(open_image(picture.path), (TILE, TILE), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(small)
    scaled = (boxes or Boxes.none()).scaled(small.width / picture.width, small.height / picture.height)
    for x1, y1, x2, y2 in scaled.xyxy.tolist():
        pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour)
    return small


def save_grid(rows: Sequence[Row], path: Path) -> str:
    """Writes rows of tiles, each below its title, and gives the file's name relative to the report."""
    font = ImageFont.load_default(16)
    widths = [_across(image.width for image in images) for _, images in rows]
    heights = [TITLE + max(image.height for image in images) + GAP for _, images in rows]
    width = max(*widths, *(round(font.getlength(title)) + 2 * GAP for title, _ in rows))
    sheet = Image.new("RGB", (width, sum(heights) + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    top = 0
    for (title, images), height in zip(rows, heights, strict=True):
        pen.text((GAP, top + 5), title, fill="black", font=font)
        left = GAP
        for image in images:
            sheet.paste(image, (left, top + TITLE))
            left += image.width + GAP
        top += height
    for quality in (85, 75, 60):
        sheet.save(path, quality=quality, optimize=True)
        if path.stat().st_size < LARGEST:
            break
    return f"{path.parent.name}/{path.name}"


def _across(widths: Iterable[int]) -> int:
    return GAP + sum(width + GAP for width in widths)
