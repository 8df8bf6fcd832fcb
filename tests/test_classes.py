"""Several classes: figures, pictures and refusals, end to end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs
from PIL import Image
from synthbench.builtin import Teacher
from synthbench.contract.images import write_image
from synthbench.contract.types import Boxes, ImageSet, Picture
from synthbench.execution.conditions import Conditions
from synthbench.execution.engines import InProcess
from synthbench.execution.jobs import Outcome
from synthbench.execution.listener import Listener
from synthbench.execution.runner import Runner
from synthbench.execution.stage_run import StageRun
from synthbench.execution.state import look_up
from synthbench.metrics import evaluate, match, summarize, summarize_each
from synthbench.planning.making import make_plan
from synthbench.planning.plan import Plan
from synthbench.publishing.images import images_of
from synthbench.publishing.opening import Bundle
from synthbench.publishing.rescoring import compare, rescore, score_again
from synthbench.publishing.site import svg
from synthbench.publishing.submission import Author
from synthbench.publishing.writing import pack, write_bundle
from synthbench.registry import installed
from synthbench.reporting import write_report
from synthbench.reporting.gallery import gather
from synthbench.reporting.legend import COLOURS, Legend, colour_of
from synthbench.reporting.pictures import MACHINE, TRUE, save_grid
from synthbench.reporting.tiles import Gallery, TileRow, load_tiles, save_tiles
from synthbench.results.by_class import figures_by_class
from synthbench.results.collect import collect
from synthbench.results.files import read_results
from synthbench.results.model import Results
from synthbench.storage.local import LocalStore
from synthbench.suite.reader import read_suite

FRUIT = ["red apples", "green apples", "plums"]
SUITE: Mapping[str, Any] = {
    "title": "Fruit",
    "references": 5,
    "images": 6,
    "data": {"use": "orchard", "fruit": FRUIT, "train": 8, "test": 6, "size": 64},
    "generators": [{"use": "fake-stamps", "name": "stamps"}, {"use": "copy-paste"}],
    "annotators": [{"use": "native"}, {"use": "teacher", "detector": "hues", "score_threshold": 0.5}],
    "detectors": [{"use": "fake-hues", "name": "hues"}],
}


class Quiet(Listener):
    """Hears which stages a run starts."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def started(self, stage: Any) -> None:
        self.begun.append(stage.label)


def ran(tmp_path: Path, *changes: str, out: Path | None = None, **parts: Any) -> tuple[Results, Plan, list[str]]:
    store = LocalStore(tmp_path / "store")
    plan = make_plan(read_suite({**SUITE, **parts}, installed(), changes), installed(), store)
    heard = Quiet()
    state = Runner(plan, store, [InProcess(store)], heard, Conditions(device="cpu", timeout=120.0)).run()
    results = collect(plan, state)
    if out is not None:
        write_report(results, out, lambda: gather(plan, state, results))
    return results, plan, heard.begun


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the suite of fruit, of two replicates, with its store beside them."""
    folder = tmp_path_factory.mktemp("fruit")
    (folder / "out").mkdir()
    ran(folder, out=folder / "out" / "fruit.json", replicates=2)
    return folder / "out" / "fruit.json"


def test_a_suite_of_three_classes_runs_from_data_to_report(report: Path) -> None:
    results = read_results(report)
    assert not results.failures
    assert results.data is not None
    assert results.data.categories == FRUIT
    assert {cell.training_set for cell in results.cells} == {
        "real",
        "references",
        *(f"{generator} x {annotator}" for generator in ("stamps", "copy-paste") for annotator in ("native", "teacher")),
    }
    for cell in results.cells:
        assert [each.name for each in cell.classes] == FRUIT
        known = [each.metrics["AP"] for each in cell.classes if each.objects]
        assert cell.metrics["AP"] == pytest.approx(np.mean(known))
        assert sum(each.objects for each in cell.classes) == results.data.test.boxes
    assert len({each.metrics["AP50"] for each in results.cells[0].classes}) > 1, "classes are not all alike"
    text = report.with_suffix(".md").read_text()
    section = text.split("## Each class")[1].split("\n## ")[0]
    assert all(f"{each.name} ({each.objects})" in section for each in results.cells[0].classes)
    rows = [cell.classes[2].metrics["AP"] for cell in results.cells if cell.training_set == "copy-paste x native"]
    assert f"{np.mean(rows):.3f}" in next(line for line in section.splitlines() if "copy-paste x native" in line)
    tiles = json.loads((report.with_suffix("") / "tiles.json").read_bytes())
    assert tiles["categories"] == FRUIT
    assert {label for row in tiles["samples"] for tile in row["tiles"] for label in tile.get("labels", [])} == {0, 1, 2}


def test_a_bundles_figures_of_classes_are_scored_again(report: Path, tmp_path: Path) -> None:
    store = LocalStore(report.parents[1] / "store")
    write_bundle(pack(report, store, list(store.contents()), Author(name="A. Person", date="2026-01-31")), tmp_path / "a.zip")
    with Bundle(tmp_path / "a.zip") as bundle:
        truth = bundle.truth
        assert truth is not None
        found = rescore(bundle, truth)
        assert not found.wrong
        results, again = bundle.results, score_again(bundle, truth)
    cell = results.cells[0]
    better = structs.replace(cell.classes[1], metrics={**cell.classes[1].metrics, "AP": 0.99})
    forged = structs.replace(results, cells=[structs.replace(cell, classes=[cell.classes[0], better, cell.classes[2]]), *results.cells[1:]])
    assert [each.place for each in compare(forged, again).wrong] == ["cells[0].classes[1].metrics.AP"]
    fewer = structs.replace(results, cells=[structs.replace(cell, classes=cell.classes[:1]), *results.cells[1:]])
    assert [each.place for each in compare(fewer, again).wrong] == ["cells[0].classes"]
    older = structs.replace(results, cells=[structs.replace(each, classes=[]) for each in results.cells])
    assert not compare(older, again).wrong, "results of earlier versions have no classes"
    assert compare(older, again).numbers < found.numbers


def test_a_leaderboards_thumbnails_have_the_classes_colours(report: Path, tmp_path: Path) -> None:
    store = LocalStore(report.parents[1] / "store")
    write_bundle(pack(report, store, list(store.contents()), Author(name="A. Person", date="2026-01-31")), tmp_path / "a.zip")
    with Bundle(tmp_path / "a.zip") as bundle:
        images, _ = images_of(bundle, [])
    assert images.categories == FRUIT
    tile = next(tile for row in images.samples for tile in row.tiles if 2 in tile.labels)
    drawn = str(svg.tile("sheet.webp", images.sheet_size, tile, "an image"))
    assert drawn.count(f'stroke="{svg.hexadecimal(2)}"') == tile.labels.count(2)
    assert 'class="box"' not in drawn
    bare = structs.replace(tile, labels=[])
    assert str(svg.tile("sheet.webp", images.sheet_size, bare, "an image")).count('class="box"') == len(tile.boxes)
    assert svg.hexadecimal(2) in str(svg.swatch(2))


def test_one_class_has_no_figures_beside_those_of_the_cell() -> None:
    boxes = [Boxes.of([[0, 0, 9, 9]])]
    assert figures_by_class(match(boxes, boxes), ["apple"]) == []


def test_figures_of_a_class_are_those_of_its_boxes_alone() -> None:
    rng = np.random.default_rng(0)
    truth, found = ([boxes_of(rng, 12, labels=2) for _ in range(9)] for _ in range(2))
    matches = match(truth, found)
    each = summarize_each(matches, 3)
    for label in (0, 1):
        mine, its = ([alone(boxes, label) for boxes in side] for side in (truth, found))
        assert each[label] == pytest.approx(evaluate(mine, its, 1))
    assert set(each[2].values()) == {None}, "a class without a true box"
    whole = summarize(matches, 3)
    assert whole["AP"] == pytest.approx(np.mean([value for one in each if (value := one["AP"]) is not None]))
    assert [(one.name, one.objects, len(one.metrics)) for one in figures_by_class(matches, ["a", "b", "c"])][2] == ("c", 0, 0)


def alone(boxes: Boxes, label: int) -> Boxes:
    """The boxes of one class, as if there were no other."""
    kept = boxes.keep(boxes.labels == label)
    return Boxes.of(kept.xyxy, scores=kept.scores)


def boxes_of(rng: np.random.Generator, count: int, labels: int) -> Boxes:
    low = rng.uniform(0, 60, (count, 2))
    return Boxes.of(np.hstack([low, low + rng.uniform(20, 60, low.shape)]), rng.integers(labels, size=count), rng.random(count))


def test_boxes_have_the_colour_of_their_class_and_a_legend_says_which(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.full((60, 60, 3), 90, np.uint8))
    shown = Picture(tmp_path / "a.png", 60, 60, Boxes.of([[2, 2, 20, 20], [30, 30, 55, 55]], [0, 2]))
    row = TileRow("found", [shown], machine=True)
    save_tiles(tmp_path / "several", Gallery(samples=[row], categories=("apple", "leaf", "pear")), 0.5)
    loaded = load_tiles(tmp_path / "several")
    assert loaded is not None
    tiles, sheet = loaded
    assert tiles.samples[0].tiles[0].labels == [0, 2]
    save_grid(tiles.samples, sheet, tmp_path / "several.png", tiles.categories)
    seen = np.asarray(Image.open(tmp_path / "several.png").convert("RGB"), int)
    counts = [int((np.abs(seen - colour).sum(2) < 30).sum()) for colour in COLOURS[:3]]
    assert counts[0] > 100
    assert counts[2] > 100
    assert counts[1] == 0, "no box is a leaf, so the legend has none"
    save_tiles(tmp_path / "one", Gallery(samples=[row], categories=("apple",)), 0.5)
    single = load_tiles(tmp_path / "one")
    assert single is not None
    assert "labels" not in (tmp_path / "one" / "tiles.json").read_text()
    save_grid(single[0].samples, single[1], tmp_path / "one.png", single[0].categories)
    seen = np.asarray(Image.open(tmp_path / "one.png").convert("RGB"), int)
    assert [int((np.abs(seen - colour).sum(2) < 30).sum()) > 100 for colour in (MACHINE, TRUE)] == [True, False]


def test_a_legend_of_many_names_has_several_lines_and_no_two_colours_are_equal() -> None:
    few, many = Legend([(0, "apple"), (1, "pear")], 300), Legend([(number, f"a kind of fruit {number}") for number in range(30)], 300)
    assert few.height < many.height
    assert max(left for left, *_ in many.places) < 300
    assert Legend([], 300).height == 0
    assert len({colour_of(label) for label in range(80)}) == 80


def test_a_generator_that_refuses_costs_its_own_boxes_alone_and_before_it_is_fitted(tmp_path: Path) -> None:
    results, _, begun = ran(tmp_path, "generators.stamps.refuse=true")
    (failure,) = results.failures
    assert failure.error == "fake-stamps: no boxes of 3 classes; set refuse = false"
    assert failure.cells == ["stamps x native / hues / seed 0"]
    assert {cell.training_set for cell in results.cells if not cell.metrics} == {"stamps x native"}
    assert begun.index("ask stamps about its boxes") < begun.index("fit stamps")


def test_what_only_refused_boxes_need_is_not_run(tmp_path: Path) -> None:
    results, plan, begun = ran(tmp_path, "generators.stamps.refuse=true", leave_out=["stamps x teacher"])
    assert {cell.training_set for cell in results.cells if not cell.metrics} == {"stamps x native"}
    assert not [label for label in begun if label.startswith(("fit stamps", "sample stamps", "locate stamps"))]
    states = {stage.label: stage.state for stage in results.stages}
    assert (states["ask stamps about its boxes"], states["fit stamps"], states["sample stamps"]) == ("failed", "blocked", "blocked")
    assert len(states) == len(plan.stages)
    results, _, begun = ran(tmp_path, leave_out=["stamps x teacher"])
    assert not results.failures, "the next run, with other options, goes on"
    assert "fit stamps" in begun


def test_nobody_is_asked_without_rows_that_have_its_boxes(tmp_path: Path) -> None:
    for parts, asked in (({"leave_out": ["stamps x native"]}, False), ({}, True)):
        plan = make_plan(read_suite({**SUITE, **parts}, installed()), installed(), LocalStore(tmp_path / "store"))
        assert any(stage.kind == "ask" for stage in plan.stages) == asked
        fit = next(stage for stage in plan.stages if stage.label == "fit stamps")
        assert [stage.kind for stage in fit.behind] == ["ask"] * asked


def test_a_stage_that_runs_goes_on_after_a_refusal(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    plan = make_plan(read_suite({**SUITE, "leave_out": ["stamps x teacher"]}, installed()), installed(), store)
    state = look_up(plan, store)
    fit, ask = (next(stage for stage in plan.stages if stage.label.startswith(begin)) for begin in ("fit stamps", "ask stamps"))
    state.failures[ask.key] = Outcome(error="no")
    state.skip_what_serves_nothing(plan, ask, {fit.key})
    assert fit.key not in state.blocked
    state.skip_what_serves_nothing(plan, ask, set())
    assert state.blocked[fit.key] is ask


def test_a_teacher_without_a_sure_box_names_the_option(tmp_path: Path) -> None:
    results, _, _ = ran(tmp_path, "annotators.teacher.score_threshold=0.99", generators=[{"use": "copy-paste"}])
    (failure,) = results.failures
    assert failure.label == "train hues on copy-paste x teacher"
    assert "there is not one box in the training set" in failure.error
    assert "score_threshold = 0.99 (highest score: red apples 0." in failure.error
    assert "lower score_threshold, or train the detector longer" in failure.error


def test_a_teacher_says_which_classes_it_has_no_box_of(tmp_path: Path) -> None:
    def notes(*scores: float, categories: tuple[str, ...] = ("apple", "pear")) -> list[str]:
        corners = [[20 * place, 0, 20 * place + 10, 10] for place in range(len(scores))]
        found = Boxes.of(corners, range(len(scores)), scores)
        run = StageRun(tmp_path)
        list(
            Teacher(detector="yolo").annotate(ImageSet(categories, (Picture(Path("a.png"), 99, 80, found),)), ImageSet(categories, ()), run)
        )
        return run.notes

    assert notes(0.7, 0.5) == []
    assert "no box of some classes that the detector 'yolo' found in 1 images reaches" in notes(0.7, 0.2)[0]
    assert "(highest score: pear 0.2)" in notes(0.7, 0.2)[0]
    assert "(highest score: pear no box)" in notes(0.7)[0]
    assert "(highest score: 0.3)" in notes(0.3, categories=("apple",))[0]


def test_an_added_option_changes_no_key_until_it_is_set(tmp_path: Path) -> None:
    def data_of(**options: Any) -> Any:
        suite = {**SUITE, "data": {"use": "orchard", **options}, "detectors": [{"use": "fake-hues", "name": "hues"}]}
        return make_plan(read_suite(suite, installed()), installed(), LocalStore(tmp_path / "store")).data

    assert data_of().key == data_of(fruit=[]).key
    assert "fruit" not in data_of().recipe["options"]
    assert data_of(fruit=["plums"]).recipe["options"]["fruit"] == ("plums",)
