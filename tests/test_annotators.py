"""The annotators `teacher` and `native`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from synthbench import FromDetector, FromGenerator, Rejected
from synthbench.builtin import Native, Review, Teacher
from synthbench.contract.options import configure
from synthbench.contract.types import Boxes, ImageSet, Picture
from synthbench.errors import SynthbenchError
from synthbench.execution.stage_run import StageRun

NONE = ImageSet(("apple", "leaf"), ())


def images(*boxes: Boxes | None) -> ImageSet:
    return ImageSet(NONE.categories, tuple(Picture(Path(f"{number}.png"), 100, 80, each) for number, each in enumerate(boxes)))


def test_whose_boxes_they_ask_for() -> None:
    assert Teacher(detector="yolo").boxes_from == FromDetector("yolo")
    assert Native().boxes_from == FromGenerator()
    assert configure(Teacher, {})[1] == ["detector: missing"]
    assert configure(Teacher, {"detector": "yolo", "score_threshold": 1.5})[0] is None


def test_old_names_are_reported_with_the_new_ones() -> None:
    assert configure(Teacher, {"detector": "yolo", "score": 0.2, "nms": 0.5, "max_boxes": 9})[1] == [
        "score: renamed to 'score_threshold'",
        "nms: renamed to 'nms_iou'",
        "max_boxes: renamed to 'max_detections'",
    ]
    assert configure(Native, {"score": 0.2, "nms": 0.5})[1] == ["score: renamed to 'score_threshold'", "nms: renamed to 'nms_iou'"]


def test_the_teacher_keeps_each_box_with_a_high_score_once(tmp_path: Path) -> None:
    detected = Boxes.of(
        [[10, 10, 30, 30], [11, 10, 31, 30], [11, 10, 31, 30], [50, 50, 60, 60], [70, 10, 90, 30]],
        labels=[0, 0, 1, 0, 0],
        scores=[0.7, 0.9, 0.6, 0.4, 0.5],
    )
    run = StageRun(tmp_path)
    first, second = Teacher(detector="yolo").annotate(images(detected, Boxes.none()), NONE, run)
    assert first.xyxy.tolist() == [[11, 10, 31, 30], [11, 10, 31, 30], [70, 10, 90, 30]]
    assert (first.labels.tolist(), first.scores.round(3).tolist()) == ([0, 1, 0], pytest.approx([0.9, 0.6, 0.5]))
    assert len(second) == 0
    (best,) = Teacher(detector="yolo", max_detections=1).annotate(images(detected), NONE, run)
    assert best.scores.tolist() == pytest.approx([0.9])


def test_the_teacher_needs_boxes(tmp_path: Path) -> None:
    with pytest.raises(SynthbenchError, match=r"0\.png has no boxes of the detector 'yolo'"):
        list(Teacher(detector="yolo").annotate(images(None), NONE, StageRun(tmp_path)))


def test_the_native_boxes_are_clipped_to_the_image(tmp_path: Path) -> None:
    generated = Boxes.of([[-5, 10, 20, 30], [90, 70, 120, 95], [99, 0, 130, 50], [200, 0, 230, 50], [40, 40, 60, 60], [40, 40, 60, 61]])
    (kept,) = Native().annotate(images(generated), NONE, StageRun(tmp_path))
    assert kept.xyxy.tolist() == [[0, 10, 20, 30], [90, 70, 100, 80], [40, 40, 60, 60]]
    (kept,) = Native(min_side=0, nms_iou=1).annotate(images(generated), NONE, StageRun(tmp_path))
    assert len(kept) == 5


def test_the_native_boxes_can_have_a_least_score(tmp_path: Path) -> None:
    generated = Boxes.of([[0, 0, 20, 20], [40, 40, 60, 60]], scores=[0.2, 0.8])
    (kept,) = Native(score_threshold=0.5).annotate(images(generated), NONE, StageRun(tmp_path))
    assert kept.xyxy.tolist() == [[40, 40, 60, 60]]
    (kept,) = Native().annotate(images(Boxes.none()), NONE, StageRun(tmp_path))
    assert len(kept) == 0


def test_a_generator_without_boxes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SynthbenchError, match=r"the generator returned no boxes with 1\.png; use a generator that returns boxes"):
        list(Native().annotate(images(Boxes.none(), None), NONE, StageRun(tmp_path)))


def reviewed(options: Review, tmp_path: Path, *boxes: Boxes) -> tuple[list[Boxes | Rejected], StageRun]:
    run = StageRun(tmp_path)
    return list(options.annotate(images(*boxes), REFERENCES, run)), run


# Pictures are 100 x 80, so a square of 20 has a size of 20 / sqrt(8000).
REFERENCES = images(
    Boxes.of([[0, 0, 20, 20], [0, 0, 30, 30], [0, 0, 99, 79]], crowd=[0, 0, 1]), Boxes.of([[0, 0, 20, 20], [40, 0, 70, 30]]), None
)


def test_a_review_drops_boxes_unlike_the_references_and_says_why(tmp_path: Path) -> None:
    found = Boxes.of(
        [[0, 0, 9, 9], [0, 0, 11, 11], [0, 0, 59, 59], [0, 0, 61, 61], [5, 5, 30, 30], [0, 0, 3, 3]],
        labels=[0, 0, 0, 0, 0, 1],
        scores=[0.9, 0.8, 0.7, 0.6, 0.1, 0.5],
    )
    (kept,), run = reviewed(Review(annotator="teacher", score_threshold=0.2), tmp_path, found)
    assert isinstance(kept, Boxes)
    assert kept.xyxy[:, 2].tolist() == [11, 59, 3], "the references have no box of category 1, so its size is not judged"
    listed = json.loads((tmp_path / "dropped.json").read_text())
    assert [(each["image"], each["box"][2], each["reason"]) for each in listed] == [
        ("0.png", 9, "smaller than in the references"),
        ("0.png", 61, "larger than in the references"),
        ("0.png", 30, "low score"),
    ]
    assert run.metrics == {
        "dropped_boxes": 3,
        "low score": 1,
        "smaller than in the references": 1,
        "larger than in the references": 1,
    }
    (note,) = run.notes
    assert note.startswith("3 boxes were dropped: ")


def test_a_review_rejects_images_with_another_number_of_boxes(tmp_path: Path) -> None:
    def some(count: int) -> Boxes:
        return Boxes.of([[0, 0, 25, 25]] * count)

    found, run = reviewed(Review(annotator="teacher"), tmp_path, some(0), some(1), some(4), some(5))
    assert [each.reason if isinstance(each, Rejected) else len(each) for each in found] == [
        "fewer boxes than a reference has",
        1,
        4,
        "more boxes than a reference has",
    ]
    assert run.metrics == {"dropped_boxes": 0}
    with pytest.raises(SynthbenchError, match="the references have no boxes"):
        list(Review(annotator="teacher").annotate(images(some(1)), images(None, Boxes.none()), run))


def test_a_review_rejects_images_that_are_unlike_each_reference(tmp_path: Path) -> None:
    references = REFERENCES.with_features(np.array([[0, 0], [3, 4], [3, 5]], np.float32))  # the first is the loneliest: 5 away
    some = [Boxes.of([[0, 0, 25, 25]])] * 3
    seen = images(*some).with_features(np.array([[3, 15.1], [3, 14.9], [0, -9.9]], np.float32))
    options = Review(annotator="teacher", feature_factor=2)
    assert options.needs_features
    assert not Review(annotator="teacher").needs_features
    found = list(options.annotate(seen, references, StageRun(tmp_path)))
    assert [each.reason if isinstance(each, Rejected) else len(each) for each in found] == ["unlike each reference", 1, 1]
    with pytest.raises(SynthbenchError, match="feature_factor needs two references to compare, and there is 1"):
        list(options.annotate(seen, references[:1], StageRun(tmp_path)))


def test_rejected_images_are_trained_on_by_no_detector(tmp_path: Path) -> None:
    import synthbench
    from synthbench_fakes import SUITE

    annotators = (
        'annotators=[{ use = "native" }, { use = "review", annotator = "native", count_factor = 1, size_factor = 1 }, '
        '{ use = "fake-shrink", annotator = "review" }]'
    )
    changes = (annotators, "mix=[]", "images=12", "references=2", 'baselines=["references"]')
    results = synthbench.run(SUITE, changes=changes, store=tmp_path / "store", out=tmp_path, device="cpu", in_process=True)
    assert not results.failures
    native, review, shrunk = results.generated
    assert native.rejected == {}
    assert sum(review.rejected.values()) > 0
    assert review.rejected.keys() <= {"fewer boxes than a reference has", "more boxes than a reference has"}
    assert shrunk.rejected == {"rejected by the annotator before": sum(review.rejected.values())}
    assert (review.images, shrunk.boxes) == (12, review.boxes)
    trained = {stage.label: stage.facts["images"] for stage in results.stages if stage.kind == "train"}
    assert trained["train threshold on paint x review"] == 12 - sum(review.rejected.values())
    notes = [note for stage in results.stages if stage.label == "annotate paint x review" for note in stage.notes]
    assert any(note.startswith(f"{sum(review.rejected.values())} of 12 images were rejected") for note in notes)
    assert f"annotate paint x review: {sum(review.rejected.values())} of 12 images were rejected" in (tmp_path / "squares.md").read_text()
    (file,) = [
        file
        for file in (tmp_path / "store" / "annotate").glob("*/*/rejected.json")
        if "rejected by" not in file.read_text() and len(json.loads(file.read_text())) == sum(review.rejected.values())
    ]
    assert {each["reason"] for each in json.loads(file.read_text())} == {*review.rejected}
