from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from synthbench.contract.options import configure
from synthbench.execution.stage_run import StageRun
from synthbench_orchard import Kind, Orchard
from synthbench_orchard.draw import MIN_VISIBLE, visible_boxes


def scenes(tmp_path: Path, **options: object) -> list[tuple[np.ndarray, np.ndarray]]:
    splits = Orchard(**{"train": 6, "test": 2, **options}).load(StageRun(tmp_path))  # type: ignore[arg-type]
    return [(np.asarray(sample.image), sample.boxes.xyxy) for sample in splits.train if sample.boxes is not None]


def test_scenes_are_the_same_for_the_same_seed_and_others_for_another(tmp_path: Path) -> None:
    first, again, other = scenes(tmp_path), scenes(tmp_path), scenes(tmp_path, seed=1)
    for (a, boxes), (b, same) in zip(first, again, strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(boxes, same)
    assert not any(np.array_equal(a, b) for (a, _), (b, _) in zip(first, other, strict=True))


def test_asking_for_more_scenes_keeps_the_first(tmp_path: Path) -> None:
    few, many = scenes(tmp_path, train=2), scenes(tmp_path, train=4)
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(few, many, strict=False))


def test_train_and_test_differ(tmp_path: Path) -> None:
    splits = Orchard(train=2, test=2).load(StageRun(tmp_path))
    train, test = list(splits.train), list(splits.test)
    assert splits.rendered
    assert not np.array_equal(np.asarray(train[0].image), np.asarray(test[0].image))


@pytest.mark.parametrize("size", [64, 160])
def test_boxes_lie_in_the_image_and_hold_fruit(tmp_path: Path, size: int) -> None:
    for image, boxes in scenes(tmp_path, size=size):
        assert image.shape == (size, size, 3)
        assert len(boxes)
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert boxes.min() >= 0
        assert boxes.max() <= size
        red = image[..., 0].astype(float) - image[..., 1]
        inside = np.mean([red[int(y1) : int(y2), int(x1) : int(x2)].mean() for x1, y1, x2, y2 in boxes])
        assert inside > red.mean() + 20, "boxes of red apples are redder than the picture"


def test_the_two_domains_differ(tmp_path: Path) -> None:
    broad = [image.mean((0, 1)) for image, _ in scenes(tmp_path, domain="broad", train=24)]
    orchard = [image.mean((0, 1)) for image, _ in scenes(tmp_path, train=24)]
    assert np.std(broad, axis=0).mean() > 1.5 * np.std(orchard, axis=0).mean(), "one orchard varies less than all of them"


def test_a_box_encloses_what_is_seen_of_a_fruit() -> None:
    seen = np.zeros((30, 30), np.int32)
    seen[6:12, 3:9] = 1  # 36 pixels of a disc with radius 3.4
    seen[20:22, 20:22] = 2  # 4 pixels: mostly hidden
    boxes, numbers = visible_boxes(seen, [3.4, 3.4], 10)
    assert (boxes.tolist(), numbers) == ([[1.0, 2.0, 3.0, 4.0]], [1])
    assert MIN_VISIBLE * np.pi * 3.4**2 > 4


def test_importing_the_plugin_is_light() -> None:
    program = "import synthbench_orchard, sys; sys.exit(any(name in sys.modules for name in ('numpy', 'PIL')))"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_each_kind_of_fruit_can_be_a_category_of_its_own(tmp_path: Path) -> None:
    kinds: tuple[Kind, ...] = ("red apples", "green apples", "plums")
    splits = Orchard(train=12, test=1, fruit=kinds).load(StageRun(tmp_path))
    assert splits.categories == kinds
    sums, shown = {0: np.zeros(3), 1: np.zeros(3), 2: np.zeros(3)}, set()
    for sample in splits.train:
        assert sample.boxes is not None
        shown.add(tuple(sorted({*sample.boxes.labels.tolist()})))
        for label, (x1, y1, x2, y2) in zip(sample.boxes.labels.tolist(), sample.boxes.xyxy.astype(int), strict=True):
            sums[label] += np.asarray(sample.image, float)[y1:y2, x1:x2].mean((0, 1)) / 255
    red, green, plum = (each / each.sum() for each in sums.values())
    assert red[0] > green[0] > green[2]
    assert plum[2] > green[2]
    assert {len(each) for each in shown} > {1}, "scenes have one kind or several"
    assert "twice" in configure(Orchard, {"fruit": ["plums", "plums"]})[1][0]
