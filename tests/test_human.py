"""The annotator `human`: its stage waits for people, everything else goes on, and their answers enter the keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from people import SUITE, Bench
from synthbench import Boxes, FromPeople
from synthbench.builtin import Human
from synthbench.cli import main
from synthbench.contract.types import ImageSet, Picture
from synthbench.errors import SuiteError, SynthbenchError
from synthbench.execution.stage_run import StageRun
from synthbench.labelling.batch import read_batch
from synthbench.planning.plan import Plan
from synthbench.results.model import Results
from synthbench.storage.boxes import read_boxes, read_known_boxes, write_boxes

PARTS = "generated_counts.paint x human=[2]"


def keys(plan: Plan) -> dict[str, str]:
    return {stage.label: stage.key for stage in plan.stages}


def scores(results: Results) -> dict[str, bool]:
    """Whether the cells of each training set have a score."""
    return {cell.training_set: bool(cell.metrics) for cell in results.cells}


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, int, Results, str]:
    """A first run, and its report."""
    bench = Bench(tmp_path_factory.mktemp("waiting"))
    status, results = bench.run(PARTS)
    return bench, status, results, bench.report


def test_everything_else_goes_on(waiting: tuple[Bench, int, Results, str]) -> None:
    _, status, results, report = waiting
    assert status == 3
    assert scores(results) == {"references": True, "paint x native": True, "paint x human": False, "paint x human, 2 generated": False}
    states = {stage.label: stage.state for stage in results.stages}
    late = {"label", "annotate", "train", "predict", "score", "compare"}
    assert {label for label, state in states.items() if state == "waiting"} == {
        label for label in states if "human" in label and label.split()[0] in late
    }
    assert "failed" not in states.values()
    assert "blocked" not in states.values()
    assert not results.failures
    (labelled,) = results.labelled
    assert (labelled.asked, labelled.answered, labelled.waiting, labelled.pre_labels) == (4, 0, True, "native")
    assert {cell.waiting for cell in results.cells if cell.training_set == "paint x human"} == {labelled.key}
    assert "**4 images wait for labels by people**, so 2 of 4 cells have no score yet" in report
    assert f"- `{labelled.folder}`: 4 of 4 images" in report
    assert "| `paint x human`              |     waiting |" in report


def test_people_are_asked_with_the_boxes_of_another_annotator(waiting: tuple[Bench, int, Results, str]) -> None:
    bench, _, results, _ = waiting
    batch = read_batch(bench.batch())
    assert [image.number for image in batch.images] == [0, 1, 2, 3]
    native = next(each for each in results.generated if each.annotator == "native")
    assert sum(len(image.drawn.xyxy) for image in batch.images if image.drawn) == native.boxes
    assert all((bench.batch() / image.file).read_bytes()[:4] == b"\x89PNG" for image in batch.images)
    assert {"label-studio.json", "label-studio.xml", "coco.json", "data.yaml", "README.md", "labels"} <= {
        path.name for path in bench.batch().iterdir()
    }
    assert "label-studio start" in (bench.batch() / "README.md").read_text()


def test_a_plan_says_what_waits(waiting: tuple[Bench, int, Results, str], capsys: pytest.CaptureFixture[str]) -> None:
    bench = waiting[0]
    assert main(["plan", str(bench.suite), "--store", str(bench.folder / "store"), *bench.options]) == 0
    told = capsys.readouterr().out
    assert [
        line.split()[0] for line in told.splitlines() if "label paint x human" in line or "train threshold on paint x human" in line
    ] == [
        "waits",
        "waits",
    ]
    assert "7 that wait for labels by people" in told
    assert main(["label", "list", *bench.options]) == 0
    assert "0 of 4 images have an answer" in capsys.readouterr().out


@pytest.fixture(scope="module")
def answered(waiting: tuple[Bench, int, Results, str]) -> tuple[Bench, int, Results]:
    """The run after people have answered: one box of the first image moved, all of the second removed, one added in the third."""
    bench = waiting[0]

    def correct(tasks: list[dict[str, Any]]) -> None:
        first, second, third, _ = (task["annotations"][0]["result"] for task in tasks)
        first[0]["value"]["x"] += 2.5  # a pixel of 40
        second.clear()
        third.append(json.loads(json.dumps(third[0])) | {"id": "new"})
        third[-1]["value"].update(x=0.0, y=0.0, width=2.5, height=2.5)

    bench.answer(correct)
    status, results = bench.run(PARTS)
    return bench, status, results


def test_the_next_run_goes_on_with_the_answers(answered: tuple[Bench, int, Results]) -> None:
    bench, status, results = answered
    assert status == 0
    assert all(scores(results).values())
    drawn = [image.drawn for image in read_batch(bench.batch()).images]
    counts = [len(each.xyxy) if each else 0 for each in drawn]
    (labelled,) = results.labelled
    assert (labelled.answered, labelled.waiting, labelled.empty) == (4, False, 1)
    assert labelled.boxes == sum(counts) - counts[1] + 1
    assert (labelled.timed, labelled.people_seconds, labelled.tools) == (4, 120.0, "label-studio")
    parts = {cell.training_set: cell.training for cell in results.cells}
    part = parts["paint x human, 2 generated"]
    assert part is not None
    assert (part.images, part.boxes) == (2, counts[0])


def test_the_corrections_say_how_good_the_other_annotator_is_on_generated_images(answered: tuple[Bench, int, Results]) -> None:
    bench, _, results = answered
    counts = [len(image.drawn.xyxy) if image.drawn else 0 for image in read_batch(bench.batch()).images]
    (native,) = results.labelled[0].agreement
    total = sum(counts)
    assert (native.images, native.kept, native.moved, native.removed, native.added) == (4, total - counts[1] - 1, 1, counts[1], 1)
    assert native.precision == pytest.approx((total - counts[1]) / total)
    assert native.recall == pytest.approx((total - counts[1]) / (total - counts[1] + 1))
    assert "`native`, drawn before" in bench.report
    assert "people, minutes" in bench.report
    assert "waiting" not in bench.report.split("## Made with")[0].split("## Words")[0].split("## What it cost")[1].split("## The rows")[0]


def test_the_same_answers_give_the_same_keys_and_corrected_ones_give_new_ones(answered: tuple[Bench, int, Results]) -> None:
    bench = answered[0]
    before = keys(bench.plan(PARTS))
    stored = (bench.batch() / "answers.json").read_text()
    content = json.loads(stored)
    for answer in content["answers"].values():
        answer["seconds"] = 1.0
    (bench.batch() / "answers.json").write_text(json.dumps(content))
    assert keys(bench.plan(PARTS)) == before, "how long it took changes no box"
    content["answers"]["3"]["boxes"]["xyxy"][0][0] += 1
    (bench.batch() / "answers.json").write_text(json.dumps(content))
    after = keys(bench.plan(PARTS))
    changed = {label for label in before if before[label] != after[label]}
    assert {
        "label paint x human",
        "annotate paint x human",
        "train threshold on paint x human",
        "compare paint x native with human",
    } <= changed
    assert all("human" in label for label in changed)
    assert not any("2 generated" in label or "2 of paint" in label for label in changed), "of other images"
    (bench.batch() / "answers.json").write_text(stored)
    assert keys(bench.plan(PARTS)) == before


def test_more_images_ask_for_the_missing_ones_only(answered: tuple[Bench, int, Results]) -> None:
    bench = answered[0]
    plan = bench.plan("images=6")
    (labelling,) = plan.labellings
    assert (labelling.answered, labelling.label.waits, labelling.folder) == (4, True, bench.batch())
    status, results = bench.run("images=6")
    assert status == 3
    assert results.labelled[0].answered == 4
    assert len(json.loads((bench.batch() / "label-studio.json").read_text())) == 2
    assert len(read_batch(bench.batch()).images) == 6
    assert not any(stage.waits for stage in bench.plan().stages), "the first four have their answers"


def test_images_that_nobody_looked_at_are_in_no_training(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run()

    def skip(tasks: list[dict[str, Any]]) -> None:
        tasks[0]["annotations"] = []

    with pytest.raises(SynthbenchError, match="3 of 4 images have an answer"):
        bench.answer(skip)
    bench.answer(skip, partial=True)
    status, results = bench.run()
    assert status == 0
    cell = next(each for each in results.cells if each.training_set == "paint x human")
    assert cell.training is not None
    assert cell.training.images == 3
    assert results.labelled[0].agreement[0].images == 3
    assert "1 images without labels, or that an annotator rejected, were left out of the training" in bench.report


def test_answers_to_other_pixels_are_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run()
    bench.answer()
    path = bench.batch() / "answers.json"
    content = json.loads(path.read_text())
    content["answers"]["1"]["sha256"] = "0" * 64
    path.write_text(json.dumps(content))
    status, results = bench.run()
    assert status == 1
    (failure,) = results.failures
    assert "is of another image than the one that was sampled here" in failure.error
    assert scores(results)["paint x native"]
    path.write_text("{")
    with pytest.raises(SynthbenchError, match=r"answers\.json: not answers that can be read"):
        bench.plan()


@pytest.mark.parametrize(("label", "message"), [("sqare", "no class 'sqare', did you mean 'square'?"), (None, "2 boxes and 1 labels")])
def test_answers_that_were_spoiled_by_hand_are_named(label: str | None, message: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run()
    bench.answer()
    path = bench.batch() / "answers.json"
    content = json.loads(path.read_text())
    answer = next(each for each in content["answers"].values() if each["boxes"]["labels"])
    answer["boxes"] = {"xyxy": [[1, 1, 9, 9]] * (1 if label else 2), "labels": [label or "square"]}
    path.write_text(json.dumps(content))
    (failure,) = bench.run()[1].failures
    assert failure.error.endswith(f"answers.json: image {answer['id']}: {message}")


def test_people_need_not_be_shown_boxes(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.run("annotators.human.pre_labels=")[0] == 3
    assert all(image.drawn is None for image in read_batch(bench.batch()).images)
    assert "predictions" not in json.loads((bench.batch() / "label-studio.json").read_text())[0]
    with_boxes, without = bench.plan(), bench.plan("annotators.human.pre_labels=")
    assert keys(with_boxes)["label paint x human"] == keys(without)["label paint x human"], "what was drawn before is no result"


def test_an_annotator_that_fails_is_a_failure_and_asks_nobody(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.suite.write_text(SUITE.replace('use = "native"', 'use = "teacher"\ndetector = "threshold"').replace("native", "teacher"))
    status, results = bench.run("detectors.threshold.fail=raise")
    assert status == 1
    assert {stage.label: stage.state for stage in results.stages}["label paint x human"] == "blocked"
    assert not (bench.folder / "labels").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("annotators.human.pre_labels=nativ", r"annotators\.human\.pre_labels: 'nativ' is no annotator .*did you mean 'native'"),
        ("annotators.human.pre_labels=human", r"'human' is no annotator of this suite that draws boxes by itself"),
        ('baselines=["real x human"]', "people label generated images only"),
    ],
)
def test_what_people_cannot_do_is_said_at_once(tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        Bench(tmp_path).plan(change)


def test_the_boxes_of_people_are_taken_as_they_are(tmp_path: Path) -> None:
    drawn = Boxes.of([[0, 0, 4, 4], [0, 0, 4, 4]])
    images = ImageSet(("apple",), (Picture(Path("a.png"), 8, 8, drawn), Picture(Path("b.png"), 8, 8, None)))
    assert Human(pre_labels="teacher").boxes_from == FromPeople("teacher")
    (kept,) = Human().annotate(images[:1], images, StageRun(tmp_path))
    assert kept is drawn
    with pytest.raises(SynthbenchError, match=r"b\.png has no boxes that people drew"):
        list(Human().annotate(images, images, StageRun(tmp_path)))


def test_no_boxes_and_no_answer_are_stored_as_two_things(tmp_path: Path) -> None:
    write_boxes(tmp_path / "boxes.npz", [Boxes.none(), None, Boxes.of([[0, 0, 1, 1]])])
    found = read_known_boxes(tmp_path / "boxes.npz")
    assert [None if each is None else len(each) for each in found] == [0, None, 1]
    with pytest.raises(ValueError, match="the boxes of 1 images are not known"):
        read_boxes(tmp_path / "boxes.npz")
