import contextlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthbench.contract.types import Boxes, ImageSet, Picture
from synthbench.metrics import evaluate, iou_matrix, match, nms, precision_recall, summarize
from synthbench.storage.coco import annotations_of

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def reference(truth, predictions, categories):
    """The same figures by pycocotools, undefined ones -1, from the annotations that the store writes."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    sides = []
    with contextlib.redirect_stdout(io.StringIO()):
        for side in (truth, predictions):
            images = ImageSet(("",) * categories, tuple(Picture(Path(), 1, 1, boxes) for boxes in side))
            coco = COCO()
            coco.dataset = {
                "images": [{"id": number} for number in range(len(images))],
                "annotations": annotations_of(images),
                "categories": [{"id": number + 1} for number in range(categories)],
            }
            coco.createIndex()
            sides.append(coco)
        scorer = COCOeval(*sides, "bbox")
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    return dict(zip(NAMES, scorer.stats, strict=True))


def agree(truth, predictions, categories):
    ours = evaluate(truth, predictions, categories)
    in_coco = {name: -1 if value is None else value for name, value in ours.items()}
    assert in_coco == pytest.approx(reference(truth, predictions, categories), rel=0, abs=1e-9)
    return ours


Scene = tuple[list[Boxes], list[Boxes]]


def scene(
    rng, *, categories, images, boxes, detections, size=300.0, step=0.0, levels=0, crowds=0.1, empty=0.1
) -> tuple[list[Boxes], list[Boxes]]:
    """Random truth and predictions near it. step: grid of the coordinates; levels: how many scores there are (0: any)."""
    truth, predictions = [], []
    for _ in range(images):
        many = 0 if rng.random() < empty else rng.integers(boxes + 1)
        corners = rng.uniform(0, size, (many, 2))
        sides = np.exp(rng.uniform(0, np.log(size), (many, 2)))
        real = _snap(np.hstack([corners, corners + sides]), step)
        truth.append(Boxes.of(real, rng.integers(categories, size=many), crowd=rng.random(many) < crowds))

        guesses = 0 if rng.random() < empty else rng.integers(detections + 1)
        loose = rng.uniform(0, size, (guesses, 2))
        found = np.hstack([loose, loose + rng.uniform(0, size / 2, (guesses, 2))])
        labels = rng.integers(categories, size=guesses)
        if many:
            chosen = rng.integers(many, size=guesses)
            near = rng.random(guesses) < 0.8
            found[near] = (real[chosen] + rng.normal(0, 0.1, (guesses, 4)) * np.tile(sides[chosen], 2))[near]
            labels[near] = truth[-1].labels[chosen][near]
        scores = rng.random(guesses)
        predictions.append(Boxes.of(_snap(found, step), labels, np.round(scores * levels) / levels if levels else scores))
    return truth, predictions


def _snap(corners, step):
    return np.round(corners / step) * step if step else corners


@pytest.mark.parametrize("seed", range(6))
def test_random_scenes_score_as_in_pycocotools(seed) -> None:
    rng = np.random.default_rng(seed)
    agree(*scene(rng, categories=1 + seed % 3, images=60, boxes=12, detections=30), 1 + seed % 3)


@pytest.mark.parametrize("seed", range(6))
def test_ties_in_scores_and_overlaps_fall_as_in_pycocotools(seed) -> None:
    rng = np.random.default_rng([1, seed])
    agree(*scene(rng, categories=2, images=60, boxes=10, detections=25, size=60, step=4, levels=3, crowds=0.3), 2)


@pytest.mark.parametrize(("second", "hits"), [([0, 0, 10, 10], 2), ([4, 0, 14, 10], 1)])
def test_of_two_equally_good_boxes_the_last_is_taken(second, hits) -> None:
    truth = [Boxes.of([[0, 0, 10, 10], [4, 0, 14, 10]])]
    predictions = [Boxes.of([[2, 0, 12, 10], second], scores=[0.9, 0.8])]
    assert agree(truth, predictions, 1)["AR100"] < 1
    assert precision_recall(truth, predictions).hits == hits


def test_more_than_a_hundred_detections_in_an_image() -> None:
    rng = np.random.default_rng(2)
    figures = agree(*scene(rng, categories=2, images=6, boxes=80, detections=400, size=200, levels=50), 2)
    assert figures["AR1"] < figures["AR10"] < figures["AR100"]


def test_several_hundred_images() -> None:
    rng = np.random.default_rng(3)
    agree(*scene(rng, categories=4, images=400, boxes=6, detections=10, empty=0.3), 5)


coordinates = st.integers(0, 12).map(lambda value: value * 8.0) | st.floats(0, 100, width=32)
corners = st.lists(st.tuples(coordinates, coordinates, coordinates, coordinates), max_size=6)


@st.composite
def boxes(draw):
    """Boxes of any kind: inside out, empty, equal, on the area bounds."""
    xyxy = draw(corners)
    rows = [draw(st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.5, 1.0]), st.booleans())) for _ in xyxy]
    labels, scores, crowd = zip(*rows, strict=True) if rows else ((), (), ())
    return Boxes.of(xyxy, labels, scores, crowd)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.tuples(boxes(), boxes()), min_size=1, max_size=4))
def test_whatever_the_boxes_the_figures_are_those_of_pycocotools(images) -> None:
    truth, predictions = zip(*images, strict=True)
    agree(truth, predictions, 2)
    agree(truth, truth, 2)


@pytest.mark.parametrize("side", [32.0, np.nextafter(np.float32(32), np.float32(33)), 96.0, np.nextafter(np.float32(96), np.float32(97))])
def test_boxes_on_the_area_bounds(side) -> None:
    truth = [Boxes.of([[0, 0, side, side], [100, 100, 100 + side, 100 + side]])]
    agree(truth, [Boxes.of([[0, 0, side, side], [100, 100, 101 + side, 100 + side]], scores=[0.4, 0.8])], 1)


def test_a_box_on_a_bound_is_in_both_ranges() -> None:
    square = [Boxes.of([[0, 0, 32, 32]])]
    figures = evaluate(square, square, 1)
    assert figures["APs"] == figures["APm"] == pytest.approx(1)
    assert figures["APl"] is None


@pytest.mark.parametrize(
    ("truth", "predictions"),
    [
        ([], []),
        ([Boxes.none()], [Boxes.none()]),
        ([Boxes.of([[0, 0, 9, 9]])], [Boxes.none()]),
        ([Boxes.none()], [Boxes.of([[0, 0, 9, 9]])]),
        ([Boxes.of([[0, 0, 9, 9]], crowd=[True])], [Boxes.of([[0, 0, 9, 9]])]),
        ([Boxes.of([[5, 5, 5, 9], [9, 9, 2, 2]])], [Boxes.of([[5, 5, 5, 9], [9, 9, 2, 2]])]),
        ([Boxes.of([[0, 0, 2e5, 2e5]])], [Boxes.of([[0, 0, 2e5, 2e5]])]),
        ([Boxes.of([[0.1, 1e6, 0.3, 1e6 + 8]])], [Boxes.of([[0.1, 1e6, 0.2, 1e6 + 8]])]),
    ],
    ids=["no image", "nothing", "no detection", "no truth", "crowds alone", "degenerate", "huge", "rounded"],
)
def test_the_corners(truth, predictions) -> None:
    agree(truth, predictions, 1)


def test_undefined_figures_are_none_and_missed_ones_zero() -> None:
    one = [Boxes.of([[0, 0, 9, 9]])]
    assert set(evaluate([Boxes.none()], one, 1).values()) == {None}
    assert evaluate(one, [Boxes.none()], 1)["AP"] == 0
    assert tuple(evaluate(one, one, 1)) == NAMES


def test_wrong_input_is_refused() -> None:
    one = [Boxes.of([[0, 0, 9, 9]], [3])]
    with pytest.raises(ValueError, match="predictions, image 0: a label is not within 0 to 2"):
        evaluate([Boxes.none()], one, 3)
    with pytest.raises(ValueError, match="1 images with true boxes, 2 with predictions"):
        evaluate(one, one * 2, 4)


def test_matches_of_some_images_are_the_matches_of_these_alone() -> None:
    truth, predictions = scene(np.random.default_rng(5), categories=2, images=12, boxes=8, detections=12)
    whole, part = match(truth, predictions), match(truth[4:9], predictions[4:9])
    drawn = (whole.image >= 4) & (whole.image < 9)
    shown = (whole.truth_image >= 4) & (whole.truth_image < 9)
    assert part.images == 5
    for name in ("label", "score", "rank", "hit", "ignored"):
        assert np.array_equal(getattr(whole, name)[..., drawn], getattr(part, name))
    assert np.array_equal(whole.truth_counts[:, shown], part.truth_counts)
    assert summarize(part, 2) == evaluate(truth[4:9], predictions[4:9], 2)


def test_precision_and_recall_at_one_iou() -> None:
    truth = [
        Boxes.of([[0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 90, 90]], [0, 1, 0], crowd=[False, False, True]),
        Boxes.of([[0, 0, 10, 10]]),
    ]
    predictions = [
        # The sure one hits, its double is wrong, the next has the wrong label, and what lies in a crowd does not count.
        Boxes.of([[1, 0, 10, 10], [0, 0, 10, 10], [20, 0, 30, 10], [55, 55, 60, 60]], [0, 0, 0, 0], [0.9, 0.8, 0.7, 0.6]),
        Boxes.none(),
    ]
    counts = precision_recall(truth, predictions)
    assert (counts.hits, counts.false_positives, counts.misses) == (1, 2, 2)
    assert counts.precision == pytest.approx(1 / 3)
    assert counts.recall == pytest.approx(1 / 3)
    assert precision_recall(truth, predictions, iou=0.95).hits == 1, "the double is the better box"
    assert precision_recall(truth[:1], truth[:1], iou=1.0).misses == 0
    nothing = precision_recall([Boxes.none()], [Boxes.none()])
    assert nothing.precision is None
    assert nothing.recall is None


def test_precision_and_recall_count_every_detection() -> None:
    many = Boxes.of(np.tile([[0, 0, 9, 9]], (150, 1)))
    assert precision_recall([Boxes.none()], [many]).false_positives == 150


def test_iou() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 5, 5, 9]], np.float32)
    others = np.array([[5, 0, 15, 10], [0, 0, 20, 20], [10, 0, 20, 10]], np.float32)
    assert iou_matrix(boxes, others) == pytest.approx(np.array([[1 / 3, 1 / 4, 0], [0, 0, 0]]))
    assert iou_matrix(boxes, others, np.array([False, True, True])) == pytest.approx(np.array([[1 / 3, 1, 0], [0, 0, 0]]))
    assert iou_matrix(boxes[:0], others).shape == (0, 3)


def test_nms_keeps_the_best_of_each_cluster_and_label() -> None:
    boxes = Boxes.of(
        [[0, 0, 10, 10], [1, 0, 11, 10], [2, 0, 12, 10], [0, 0, 10, 10], [50, 0, 60, 10]],
        labels=[0, 0, 0, 1, 0],
        scores=[0.6, 0.9, 0.5, 0.3, 0.7],
    )
    kept = nms(boxes, 0.5)
    assert kept.scores.tolist() == pytest.approx([0.9, 0.7, 0.3])
    assert kept.labels.tolist() == [0, 0, 1]
    # A box is dropped by one that is kept, not by one that was dropped itself.
    chain = Boxes.of([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], scores=[0.9, 0.8, 0.7])
    assert nms(chain, 0.4).scores.tolist() == pytest.approx([0.9, 0.7])
    assert len(nms(Boxes.none(), 0.5)) == 0


def test_the_core_scores_without_pycocotools() -> None:
    code = "import sys, synthbench.metrics; sys.exit('pycocotools' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
