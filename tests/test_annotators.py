"""The annotators `teacher` and `native`."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthbench import FromDetector, FromGenerator
from synthbench.builtin import Native, Teacher
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
