"""copy-paste on squares of one colour each: where a colour is seen, a box of its category must be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from synthbench import Boxes, ImageSet, Sample, SampleRequest, SynthbenchError
from synthbench.contract.options import configure
from synthbench.execution.stage_run import StageRun
from synthbench.storage.coco import write_set
from synthbench_rivals import CopyPaste
from synthbench_rivals.blending import Patch
from synthbench_rivals.cutting import find_objects, load_cutouts
from synthbench_rivals.pasting import Scene, Shown
from synthbench_rivals.references import load_references

RED, BLUE, GREEN = (230, 20, 20), (20, 20, 230), (20, 230, 20)
COLOURS = (RED, BLUE)
EXACT = {
    "masks": "box",
    "blending": "none",
    "rotation_range": (0.0, 0.0),
    "brightness_range": (1.0, 1.0),
    "contrast_range": (1.0, 1.0),
    "scale_range": (1.0, 1.0),
}


def squares(
    number: int, size: tuple[int, int], boxes: Sequence[tuple[int, ...]], labels: Sequence[int], crowd: tuple[int, ...] = ()
) -> Sample:
    """Grey noise with squares in the colours of their labels, and a green crowd."""
    image = np.random.default_rng(number).integers(90, 130, (size[1], size[0], 1)).repeat(3, 2).astype(np.uint8)
    if crowd:
        image[crowd[1] : crowd[3], crowd[0] : crowd[2]] = GREEN
    for (x1, y1, x2, y2), label in zip(boxes, labels, strict=True):
        image[y1:y2, x1:x2] = COLOURS[label]
    every = [*boxes, *([crowd] if crowd else [])]
    return Sample(image, Boxes.of(every, [*labels, *([1] if crowd else [])], crowd=[0] * len(boxes) + [1] * bool(crowd)))


SCENES = [
    squares(0, (80, 60), [(10, 10, 24, 22), (40, 30, 52, 44)], [0, 1]),
    squares(1, (80, 60), [(30, 8, 44, 20), (60, 40, 70, 52), (8, 40, 20, 50)], [0, 0, 1]),
    squares(2, (80, 60), [], []),
    squares(3, (80, 60), [(6, 6, 18, 20)], [1], crowd=(40, 20, 70, 50)),
]


def stored(samples: Sequence[Sample], folder: Path) -> ImageSet:
    return write_set(folder, ("red", "blue"), samples)


def fitted(options: CopyPaste, references: ImageSet, folder: Path, **about: int) -> Path:
    folder.mkdir(exist_ok=True)
    options.fit(references, StageRun(folder, **about))  # type: ignore[arg-type]
    return folder


def sampled(options: CopyPaste, folder: Path, start: int, stop: int, seed: int = 0) -> list[Sample]:
    return list(options.sample(folder, SampleRequest(start, stop, ("red", "blue")), StageRun(folder, seed=seed)))


@pytest.fixture
def scenes(tmp_path: Path) -> ImageSet:
    return stored(SCENES, tmp_path / "references")


def pixels_of(sample: Sample) -> np.ndarray:
    assert isinstance(sample.image, np.ndarray)
    return sample.image


def boxes_of(sample: Sample) -> Boxes:
    assert sample.boxes is not None
    return sample.boxes


@pytest.mark.parametrize("emptied_share", [0.0, 1.0])
@pytest.mark.parametrize("max_occlusion", [0.0, 0.6])
def test_boxes_enclose_what_is_seen_of_each_object_and_no_object_is_without(
    tmp_path: Path, scenes: ImageSet, emptied_share: float, max_occlusion: float
) -> None:
    options = CopyPaste(**EXACT, emptied_share=emptied_share, max_occlusion=max_occlusion)  # type: ignore[arg-type]
    for sample in sampled(options, fitted(options, scenes, tmp_path / "fit"), 0, 24):
        boxes = boxes_of(sample)
        for label, colour in enumerate(COLOURS):
            seen = (pixels_of(sample) == colour).all(2)
            left = seen.copy()
            for x1, y1, x2, y2 in boxes.keep((boxes.labels == label) & ~boxes.crowd).xyxy.astype(int):
                inside = seen[y1:y2, x1:x2]
                assert inside.any()
                assert inside[0].any(), "the box is not higher than the object"
                assert inside[-1].any()
                assert inside[:, 0].any()
                assert inside[:, -1].any()
                left[y1:y2, x1:x2] = False
            assert not left.any(), "a part of an object is outside of all boxes of its category"


@pytest.mark.parametrize("blending", ["gaussian", "poisson", "mixed", "none"])
def test_with_the_usual_options_a_box_has_the_colour_of_its_label(tmp_path: Path, scenes: ImageSet, blending: str) -> None:
    options = CopyPaste(blending=blending)  # type: ignore[arg-type]
    for sample in sampled(options, fitted(options, scenes, tmp_path / "fit"), 0, 16):
        image, boxes = pixels_of(sample).astype(float), boxes_of(sample)
        redder = image[..., 0] - image[..., 2]
        left = np.abs(redder)
        for (x1, y1, x2, y2), label, crowd in zip(boxes.xyxy.round().astype(int), boxes.labels, boxes.crowd, strict=True):
            if not crowd:
                assert np.median(redder[y1:y2, x1:x2]) * (1 if label == 0 else -1) > 60
                left[max(y1 - 2, 0) : y2 + 2, max(x1 - 2, 0) : x2 + 2] = 0
        assert (left > 60).sum() < 10


def test_an_image_depends_on_the_seed_and_its_number_alone(tmp_path: Path, scenes: ImageSet) -> None:
    options = CopyPaste()
    folder = fitted(options, scenes, tmp_path / "fit")
    series, alone, again = sampled(options, folder, 0, 6), sampled(options, folder, 5, 6), sampled(options, folder, 0, 6)
    other = sampled(options, folder, 0, 6, seed=1)
    assert np.array_equal(pixels_of(series[5]), pixels_of(alone[0]))
    assert np.array_equal(boxes_of(series[5]).xyxy, boxes_of(alone[0]).xyxy)
    assert all(np.array_equal(pixels_of(a), pixels_of(b)) for a, b in zip(series, again, strict=True))
    assert not any(np.array_equal(pixels_of(a), pixels_of(b)) for a, b in zip(series, other, strict=True))


def test_a_second_fit_gives_the_same(tmp_path: Path, scenes: ImageSet) -> None:
    options = CopyPaste()
    cv2.setRNGSeed(5)
    first = sampled(options, fitted(options, scenes, tmp_path / "one"), 0, 4)
    cv2.setRNGSeed(9)
    second = sampled(options, fitted(options, scenes, tmp_path / "two"), 0, 4)
    assert all(np.array_equal(pixels_of(a), pixels_of(b)) for a, b in zip(first, second, strict=True))


def scene_with_a_square(max_occlusion: float) -> Scene:
    """An object of 10 x 10 pixels at 20, 20 in 60 x 60."""
    shown = Shown(20, 20, np.ones((10, 10), bool), 100, np.array([20.0, 20.0, 30.0, 30.0]), 1)
    return Scene(np.zeros((60, 60, 3), np.uint8), [shown], np.empty((0, 4)), max_occlusion)


def patch_of(side: int) -> Patch:
    return Patch(np.full((side, side, 3), 200, np.uint8), np.ones((side, side), bool), np.zeros((side, side), bool))


def test_nothing_is_pasted_where_it_would_hide_too_much() -> None:
    scene = scene_with_a_square(0.3)
    before = scene.pixels.copy()
    assert not scene.paste(patch_of(10), 26, 20, 0, "none"), "40 % would be hidden"
    assert np.array_equal(scene.pixels, before)
    assert scene.paste(patch_of(10), 28, 20, 0, "none"), "20 % are hidden"
    assert [each.visible_box().tolist() for each in scene.shown] == [[20, 20, 28, 30], [28, 20, 38, 30]]
    assert not scene.paste(patch_of(10), 12, 20, 0, "none"), "20 % more would be 40 %"
    assert scene.paste(patch_of(10), 11, 20, 0, "none"), "10 % more are 30 %"
    assert scene.shown[0].visible_box().tolist() == [21, 20, 28, 30]


def test_the_edge_of_the_image_hides_too() -> None:
    scene = scene_with_a_square(0.3)
    assert not scene.paste(patch_of(10), -4, 40, 0, "none")
    assert not scene.paste(patch_of(10), 70, 40, 0, "none")
    assert scene.paste(patch_of(10), -3, 40, 0, "none")
    assert scene.shown[-1].visible_box().tolist() == [0, 40, 7, 50]


def test_crowds_stay_as_they_are(tmp_path: Path) -> None:
    references = stored([SCENES[3]], tmp_path / "references")
    options = CopyPaste(**EXACT, horizontal_flip=0.0, placement="anywhere")  # type: ignore[arg-type]
    samples = sampled(options, fitted(options, references, tmp_path / "fit"), 0, 20)
    assert {sample.about["emptied"] for sample in samples} == {0, 1}
    for sample in samples:
        boxes, green = boxes_of(sample), (pixels_of(sample) == GREEN).all(2)
        assert boxes.keep(boxes.crowd).xyxy.tolist() == [[40, 20, 70, 50]]
        assert boxes.labels[boxes.crowd].tolist() == [1]
        assert green[20:50, 40:70].all(), "nothing is pasted on it"
        assert green.sum() == 900, "it is not pasted"


def test_a_mirrored_background_has_mirrored_boxes(tmp_path: Path) -> None:
    references = stored([SCENES[3]], tmp_path / "references")
    options = CopyPaste(**EXACT, horizontal_flip=1.0, emptied_share=0.0)  # type: ignore[arg-type]
    for sample in sampled(options, fitted(options, references, tmp_path / "fit"), 0, 3):
        boxes = boxes_of(sample)
        assert boxes.xyxy[0].tolist() == [62, 6, 74, 20]
        assert boxes.keep(boxes.crowd).xyxy.tolist() == [[10, 20, 40, 50]]
        assert (pixels_of(sample)[20:50, 10:40] == GREEN).all()


def test_sizes_and_numbers_follow_the_references(tmp_path: Path) -> None:
    small = squares(0, (64, 64), [(10, 10, 22, 22), (30, 30, 42, 42)], [0, 1])
    large = squares(1, (128, 128), [(20, 20, 44, 44), (80, 60, 104, 84)], [0, 1])
    options = CopyPaste(**EXACT, emptied_share=1.0, max_occlusion=0.0, placement="anywhere")  # type: ignore[arg-type]
    folder = fitted(options, stored([small, large], tmp_path / "references"), tmp_path / "fit")
    samples = sampled(options, folder, 0, 10)
    assert sorted(pixels_of(sample).shape[0] for sample in samples) == [64] * 5 + [128] * 5
    for sample in samples:
        boxes = boxes_of(sample)
        assert len(boxes) == 2
        sides = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
        assert np.abs(sides / pixels_of(sample).shape[0] - 12 / 64).max() < 0.03


def test_an_object_that_the_edge_cuts_off_is_pasted_only_for_want_of_a_whole_one(tmp_path: Path) -> None:
    cut, whole = (0, 10, 5, 22), (30, 30, 42, 42)
    options = CopyPaste(**EXACT, emptied_share=1.0, max_occlusion=0.0)  # type: ignore[arg-type]
    for number, (labels, widths) in enumerate((([0, 0], {12.0}), ([0, 1], {5.0, 12.0}))):
        references = stored([squares(0, (64, 64), [cut, whole], labels)], tmp_path / f"references {number}")
        samples = sampled(options, fitted(options, references, tmp_path / f"fit {number}"), 0, 12)
        assert {float(x2 - x1) for sample in samples for x1, _, x2, _ in boxes_of(sample).xyxy} == widths


def test_grabcut_finds_a_disc_in_its_box(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(60, 120, (90, 90, 3)).astype(np.uint8)
    disc = np.hypot(*(np.mgrid[:90, :90] + 0.5 - 45)) < 20
    image[disc] = np.random.default_rng(1).integers(-15, 15, (disc.sum(), 3)) + RED
    owner, failed = find_objects(image, image, np.array([[25.0, 25, 65, 65]]), "grabcut")
    assert failed == 0
    assert ((owner == 1) & disc).sum() / ((owner == 1) | disc).sum() > 0.93


def test_where_grabcut_finds_nothing_the_mask_is_the_ellipse_in_the_box(tmp_path: Path) -> None:
    image = np.full((60, 80, 3), 100, np.uint8)
    owner, failed = find_objects(image, image, np.array([[20.0, 10, 60, 30]]), "grabcut")
    assert failed == 1
    assert owner[10:30, 20:60].mean() == pytest.approx(np.pi / 4, abs=0.03)
    assert owner.sum() == owner[10:30, 20:60].sum()
    assert not owner[10, 20]


def test_each_pixel_belongs_to_one_object() -> None:
    image = np.full((60, 80, 3), 100, np.uint8)
    boxes = np.array([[10.0, 10, 40, 40], [30, 10, 60, 40], [10, 10, 40, 40]])
    owner, _ = find_objects(image, image, boxes, "box")
    assert set(np.unique(owner)) == {0, 1, 2}, "a box that is there twice has one object"
    assert (owner[10:40, 10:35] == 1).all()
    assert (owner[10:40, 35:60] == 2).all()


ODD = {
    "tiny": [(5, 5, 6, 6), (20, 20, 22, 21)],
    "all of the image": [(0, 0, 80, 60)],
    "doubled": [(10, 10, 30, 30), (10, 10, 30, 30)],
    "one in the other": [(10, 10, 50, 50), (25, 25, 35, 35)],
    "at the edges": [(0, 0, 10, 10), (70, 50, 80, 60), (0, 55, 80, 60)],
}


@pytest.mark.parametrize("name", ODD)
def test_odd_boxes_are_no_error(tmp_path: Path, name: str) -> None:
    references = stored([squares(0, (80, 60), ODD[name], [0] * len(ODD[name]))], tmp_path / "references")
    options = CopyPaste()
    folder = fitted(options, references, tmp_path / "fit")
    for sample in sampled(options, folder, 0, 6):
        corners = boxes_of(sample).xyxy
        assert (corners[:, 2:] > corners[:, :2]).all()
        assert (corners >= 0).all()
        assert (corners <= (80, 60, 80, 60)).all()


def test_fractions_of_pixels_in_the_references_boxes_are_kept(tmp_path: Path) -> None:
    sample = squares(0, (80, 60), [(10, 10, 24, 24)], [0])
    sample = Sample(sample.image, Boxes.of([[10.25, 9.75, 24.5, 24.25]]))
    options = CopyPaste(emptied_share=0.0, max_occlusion=0.0, horizontal_flip=0.0)
    folder = fitted(options, stored([sample], tmp_path / "references"), tmp_path / "fit")
    assert boxes_of(sampled(options, folder, 0, 1)[0]).xyxy[0].tolist() == [10.25, 9.75, 24.5, 24.25]
    (cutout,) = load_cutouts(load_references(folder)[0], folder, 0)
    assert cutout.mask.sum() == pytest.approx(14 * 14, rel=0.1)


def test_references_without_labels_or_objects_are_errors(tmp_path: Path, scenes: ImageSet) -> None:
    unlabelled = stored([*SCENES, Sample(SCENES[0].image, None)], tmp_path / "unlabelled")
    with pytest.raises(SynthbenchError, match=r"copy-paste: 1 of 5 references have no labels, such as 000004\.png; label them"):
        fitted(CopyPaste(), unlabelled, tmp_path / "one")
    crowded = Sample(SCENES[0].image, Boxes.of([[0, 0, 40, 40]], crowd=[True]))
    with pytest.raises(SynthbenchError, match="copy-paste: none of the 2 references has an object to paste"):
        fitted(CopyPaste(), stored([SCENES[2], crowded], tmp_path / "empty"), tmp_path / "two")
    speck = Sample(SCENES[0].image, Boxes.of([[9.5, 9.5, 10.5, 10.5]]))  # no pixel's centre is in the ellipse in its box
    with pytest.raises(SynthbenchError, match="copy-paste: none of the 1 references has an object to paste"):
        fitted(CopyPaste(masks="ellipse"), stored([speck], tmp_path / "speck"), tmp_path / "three")


def test_a_range_in_the_wrong_order_is_an_error() -> None:
    _, problems = configure(CopyPaste, {"scale_range": [2.0, 0.5]})
    assert problems == ["scale_range: 2 is above 0.5; write the smaller number first, [0.5, 2]"]


def test_the_number_of_opencvs_threads_is_restored(tmp_path: Path, scenes: ImageSet) -> None:
    before = cv2.getNumThreads()
    options = CopyPaste()
    folder = fitted(options, scenes, tmp_path / "fit", threads=1)
    samples = options.sample(folder, SampleRequest(0, 2, ("red", "blue")), StageRun(folder, threads=1))
    next(samples)
    assert cv2.getNumThreads() == 1
    list(samples)
    assert cv2.getNumThreads() == before


def test_importing_the_plugin_is_light() -> None:
    program = "import synthbench_rivals, sys; sys.exit(any(name in sys.modules for name in ('numpy', 'PIL', 'cv2', 'torch')))"
    subprocess.run([sys.executable, "-c", program], check=True)
