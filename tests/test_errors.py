"""The errors of a detector by type, compared with hotcoco, and on planted errors whose types and costs are known."""

from pathlib import Path

import numpy as np
import pytest
from synthbench.contract.types import Boxes, ImageSet, Picture
from synthbench.metrics import errors, evaluate
from synthbench.storage.coco import annotations_of

NAMES = {
    "class": "Cls",
    "place": "Loc",
    "both": "Both",
    "duplicate": "Dupe",
    "background": "Bkg",
    "missed": "Miss",
    "false_positive": "FP",
    "false_negative": "FN",
}
TYPES = ("class", "place", "both", "duplicate", "background", "missed")


def reference(truth, predictions, categories):
    """AP, counts and dAP by hotcoco, from the annotations that the store writes."""
    import hotcoco

    def read(side):
        images = ImageSet(("",) * categories, tuple(Picture(Path(), 1, 1, boxes) for boxes in side))
        return hotcoco.COCO(
            {
                "images": [{"id": number, "file_name": "", "width": 1, "height": 1} for number in range(len(images))],
                "annotations": annotations_of(images),
                "categories": [{"id": number + 1, "name": str(number)} for number in range(categories)],
            }
        )

    scorer = hotcoco.COCOeval(read(truth), read(predictions), "bbox")
    scorer.evaluate()
    return scorer.tide_errors(0.5, 0.1)


def agree(truth, predictions, categories):
    ours, theirs = errors(truth, predictions, categories), reference(truth, predictions, categories)
    assert ours.counts == {name: theirs["counts"][NAMES[name]] for name in TYPES}
    assert ours.costs == pytest.approx({name: theirs["delta_ap"][NAMES[name]] for name in NAMES}, rel=0, abs=1e-9)
    assert ours.ap == pytest.approx(theirs["ap_base"], rel=0, abs=1e-9)
    return ours


def scene(seed, categories, *, images=12, most=14, size=60.0, step=0.0, levels=0, crowds=0.0) -> tuple[list[Boxes], list[Boxes]]:
    """Crowded images with all types of errors. step: grid of the coordinates; levels: how many scores there are (0: any)."""
    rng = np.random.default_rng(seed)
    truth, predictions = [], []
    for _ in range(images):
        many, guesses = rng.integers(0, 7), rng.integers(0, most)
        corners, sides = rng.uniform(0, size, (many, 2)), rng.uniform(8, 30, (many, 2))
        real, labels = np.hstack([corners, corners + sides]), rng.integers(categories, size=many)
        truth.append(Boxes.of(snap(real, step), labels, crowd=rng.random(many) < crowds))
        found = rng.uniform(0, size, (guesses, 2))
        found, guessed = np.hstack([found, found + rng.uniform(8, 30, (guesses, 2))]), rng.integers(categories, size=guesses)
        if many:
            near, chosen = rng.random(guesses) < 0.8, rng.integers(many, size=guesses)
            shifts = np.tile(rng.normal(0, 0.25, (guesses, 2)), 2) + rng.normal(0, 0.1, (guesses, 4))
            found[near] = (real[chosen] + shifts * np.tile(sides[chosen], 2))[near]
            right = near & (rng.random(guesses) < 0.6)
            guessed[right] = labels[chosen][right]
        scores = rng.random(guesses)
        predictions.append(Boxes.of(snap(found, step), guessed, np.round(scores * levels) / levels if levels else scores))
    return truth, predictions


def snap(corners, step):
    return np.round(corners / step) * step if step else corners


@pytest.mark.parametrize("categories", [1, 2, 4])
@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"crowds": 0.3},
        {"step": 4, "levels": 4},
        {"step": 4, "levels": 3, "crowds": 0.2},
        {"step": 2, "size": 20.0, "levels": 2},
        {"images": 3, "most": 500, "levels": 40},
    ],
    ids=["plain", "crowds", "ties", "ties and crowds", "dense ties", "above the limit"],
)
def test_random_scenes_have_the_errors_that_hotcoco_finds(kind, categories) -> None:
    seen = dict.fromkeys(TYPES, 0)
    for seed in range(4):
        found = agree(*scene([seed, categories], categories, **kind), categories)
        seen = {name: seen[name] + found.counts[name] for name in TYPES}
    absent = {name for name, count in seen.items() if not count} - ({"missed"} if "most" in kind else set())
    assert absent == (set() if categories > 1 else {"class", "both"})


FIRST, SECOND, THIRD = [0, 0, 10, 10], [100, 0, 110, 10], [200, 0, 210, 10]
# A true box of each of two categories; the detections are a hit on each, and one more.
TRUE = [Boxes.of([FIRST, SECOND], [0, 1])]
HITS = [(FIRST, 0, 0.8), (SECOND, 1, 0.8)]


def detections(rows):
    boxes, labels, scores = zip(*rows, strict=True)
    return [Boxes.of(boxes, labels, scores)]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("class", (FIRST, 1, 0.9)),
        ("place", ([6, 0, 16, 10], 0, 0.9)),
        ("both", ([6, 0, 16, 10], 1, 0.9)),
        ("duplicate", ([0, 0, 10, 9], 0, 0.7)),
        ("background", ([50, 50, 60, 60], 0, 0.9)),
    ],
)
def test_one_planted_error_is_of_its_type_alone(name, wrong) -> None:
    found = agree(TRUE, detections([*HITS, wrong]), 2)
    assert found.counts == {each: int(each == name) for each in TYPES}
    # The error stands before one of two hits, so correcting it raises AP of its category from 1/2 to 1. A duplicate stands after it.
    cost = 0.0 if name == "duplicate" else 0.25
    assert found.costs == pytest.approx({each: cost if each in {name, "false_positive"} else 0 for each in NAMES})


def test_a_box_that_nothing_is_near_is_missed() -> None:
    found = agree(TRUE, detections(HITS[:1]), 2)
    assert found.counts == {each: int(each == "missed") for each in TYPES}
    # A category whose only true box is removed keeps the AP 0.
    assert set(found.costs.values()) == {0.0}
    two = agree([Boxes.of([FIRST, SECOND])], [Boxes.of([FIRST])], 1)
    assert two.counts["missed"] == 1
    assert two.costs["missed"] == two.costs["false_negative"] == pytest.approx(1 - 51 / 101)


def test_a_corrected_error_finds_the_box_that_nothing_matched() -> None:
    shifted = agree(TRUE, detections([HITS[1], ([6, 0, 16, 10], 0, 0.9)]), 2)
    assert shifted.counts == {each: int(each == "place") for each in TYPES}
    assert shifted.costs["place"] == pytest.approx(0.5)
    renamed = agree(TRUE, detections([HITS[1], (FIRST, 1, 0.9)]), 2)
    assert renamed.counts == {each: int(each == "class") for each in TYPES}
    assert renamed.costs["class"] == pytest.approx(0.75), "one category gains a hit, the other loses a false positive"


def test_of_two_errors_with_one_box_the_surer_is_corrected() -> None:
    truth = [Boxes.of([FIRST, THIRD, SECOND], [0, 0, 1])]
    found = agree(truth, detections([(FIRST, 1, 0.9), ([5, 5, 15, 15], 0, 0.85), (THIRD, 0, 0.6), (SECOND, 1, 0.5)]), 2)
    assert (found.counts["class"], found.counts["place"], found.counts["missed"]) == (1, 1, 0)
    # The error of place is removed, not made a hit: its true box goes to the error of class. Category 0: 51 of 101 recalls.
    assert found.costs["place"] == pytest.approx((51 / 101 - 51 / 101 / 2) / 2)


def test_detections_on_a_crowd_are_no_errors() -> None:
    crowd = [Boxes.of([FIRST, [100, 100, 200, 200]], crowd=[False, True])]
    found = agree(crowd, [Boxes.of([FIRST, [120, 120, 130, 130]], scores=[0.5, 0.9])], 1)
    assert not any(found.counts.values())
    partly = agree(crowd, [Boxes.of([FIRST, [98, 98, 102, 102]], scores=[0.5, 0.9])], 1)
    assert partly.counts["place"] == 1
    assert partly.costs["place"] == pytest.approx(0.5)


def test_only_the_surest_hundred_of_a_category_count() -> None:
    far = np.tile([[50, 50, 60, 60]], (150, 1))
    assert errors([Boxes.of([FIRST])], [Boxes.of(far)], 1).counts["background"] == 100


def test_ap_is_coco_s() -> None:
    truth, predictions = scene(7, 3, crowds=0.2)
    assert errors(truth, predictions, 3).ap == pytest.approx(evaluate(truth, predictions, 3)["AP50"])


def test_without_true_boxes_there_is_no_ap() -> None:
    found = errors([Boxes.none()], [Boxes.of([FIRST])], 1)
    assert (found.ap, found.costs) == (None, {})
    assert found.facts == {f"error_{name}_count": int(name == "background") for name in TYPES}
    assert errors([], [], 1).ap is None


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="truth, image 0: a label is not within 0 to 0"):
        errors([Boxes.of([FIRST], [1])], [Boxes.none()], 1)
    with pytest.raises(ValueError, match="1 images with true boxes, 0 with predictions"):
        errors(TRUE, [], 2)
