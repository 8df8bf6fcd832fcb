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

NOBODY = ImageSet(("apple", "leaf"), ())


def images(*boxes: Boxes | None) -> ImageSet:
    return ImageSet(NOBODY.categories, tuple(Picture(Path(f"{number}.png"), 100, 80, given) for number, given in enumerate(boxes)))


def test_whose_boxes_they_ask_for() -> None:
    assert Teacher(detector="yolo").boxes_from == FromDetector("yolo")
    assert Native().boxes_from == FromGenerator()
    assert configure(Teacher, {})[1] == ["detector: missing"]
    assert configure(Teacher, {"detector": "yolo", "score": 1.5})[0] is None


def test_the_teacher_keeps_the_sure_boxes_once(tmp_path: Path) -> None:
    given = Boxes.of(
        [[10, 10, 30, 30], [11, 10, 31, 30], [11, 10, 31, 30], [50, 50, 60, 60], [70, 10, 90, 30]],
        labels=[0, 0, 1, 0, 0],
        scores=[0.7, 0.9, 0.6, 0.4, 0.5],
    )
    run = StageRun(tmp_path)
    first, second = Teacher(detector="yolo").annotate(images(given, Boxes.none()), NOBODY, run)
    assert first.xyxy.tolist() == [[11, 10, 31, 30], [11, 10, 31, 30], [70, 10, 90, 30]]
    assert (first.labels.tolist(), first.scores.round(3).tolist()) == ([0, 1, 0], pytest.approx([0.9, 0.6, 0.5]))
    assert len(second) == 0
    assert run.metrics == {"boxes": 3, "images_without_boxes": 1}
    (surest,) = Teacher(detector="yolo", max_boxes=1).annotate(images(given), NOBODY, run)
    assert surest.scores.tolist() == pytest.approx([0.9])


def test_the_teacher_needs_boxes(tmp_path: Path) -> None:
    with pytest.raises(SynthbenchError, match=r"0\.png came without boxes of the detector 'yolo'"):
        list(Teacher(detector="yolo").annotate(images(None), NOBODY, StageRun(tmp_path)))


def test_the_native_boxes_are_taken_over_within_the_image(tmp_path: Path) -> None:
    given = Boxes.of([[-5, 10, 20, 30], [90, 70, 120, 95], [99, 0, 130, 50], [200, 0, 230, 50], [40, 40, 60, 60], [40, 40, 60, 61]])
    (taken,) = Native().annotate(images(given), NOBODY, StageRun(tmp_path))
    assert taken.xyxy.tolist() == [[0, 10, 20, 30], [90, 70, 100, 80], [40, 40, 60, 60]]
    (taken,) = Native(min_side=0, nms=1).annotate(images(given), NOBODY, StageRun(tmp_path))
    assert len(taken) == 5


def test_the_native_boxes_can_be_held_to_a_score(tmp_path: Path) -> None:
    given = Boxes.of([[0, 0, 20, 20], [40, 40, 60, 60]], scores=[0.2, 0.8])
    (taken,) = Native(score=0.5).annotate(images(given), NOBODY, StageRun(tmp_path))
    assert taken.xyxy.tolist() == [[40, 40, 60, 60]]
    (taken,) = Native().annotate(images(Boxes.none()), NOBODY, StageRun(tmp_path))
    assert len(taken) == 0


def test_a_generator_without_boxes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SynthbenchError, match=r"the generator gave no boxes with 1\.png; set boxes = true"):
        list(Native().annotate(images(Boxes.none(), None), NOBODY, StageRun(tmp_path)))
