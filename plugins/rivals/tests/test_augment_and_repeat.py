"""augment and repeat on squares and discs of one colour each."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from synthbench import Boxes, Generator, ImageSet, Picture, Sample, SampleRequest, SynthbenchError
from synthbench.execution.stage_run import StageRun
from synthbench.storage.coco import read_set, write_set
from synthbench_rivals import Augment, Repeat
from synthbench_rivals.references import reference_of

COLOURS = np.array([(230, 20, 20), (20, 20, 230)])
GEOMETRY_ONLY: dict[str, Any] = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "blur": 0.0}
CATEGORIES = ("red", "blue")


def discs(number: int, size: tuple[int, int], *, square: bool = False) -> Sample:
    """Grey noise with a red and a blue disc, or square, of 20 pixels that do not touch."""
    rng = np.random.default_rng(number)
    image = rng.integers(90, 130, (size[1], size[0], 1)).repeat(3, 2).astype(np.uint8)
    boxes = []
    for label in (0, 1):
        x, y = int(rng.integers(2, size[0] // 2 - 24)) + label * size[0] // 2, int(rng.integers(2, size[1] - 24))
        ys, xs = np.mgrid[:20, :20] + 0.5 - 10
        shape = np.ones((20, 20), bool) if square else np.hypot(xs, ys) < 10
        image[y : y + 20, x : x + 20][shape] = COLOURS[label]
        boxes.append((x, y, x + 20, y + 20))
    return Sample(image, Boxes.of(boxes, [0, 1]))


def fitted(plugin: Generator, samples: list[Sample], folder: Path) -> Path:
    references = write_set(folder / "references", CATEGORIES, samples)
    (folder / "fit").mkdir()
    plugin.fit(references, StageRun(folder / "fit"))
    return folder / "fit"


def sampled(plugin: Generator, folder: Path, start: int, stop: int, seed: int = 0) -> list[Sample]:
    return list(plugin.sample(folder, SampleRequest(start, stop, CATEGORIES), StageRun(folder, seed=seed)))


def unpacked(sample: Sample) -> tuple[np.ndarray, Boxes]:
    assert isinstance(sample.image, np.ndarray)
    assert sample.boxes is not None
    return sample.image, sample.boxes


def like(image: np.ndarray, label: int) -> np.ndarray:
    """Where an image has the colour of a label."""
    seen: np.ndarray = (image[..., 2 * label].astype(int) - image[..., 2 - 2 * label]) > 100
    return seen


def extent(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


@pytest.mark.parametrize(("rotation", "square", "tolerance"), [(0.0, True, 1.6), (20.0, False, 2.1)])
def test_boxes_enclose_their_objects_after_every_change_of_place(tmp_path: Path, rotation: float, square: bool, tolerance: float) -> None:
    plugin = Augment(**GEOMETRY_ONLY, rotation=rotation, min_scale=0.4)
    folder = fitted(plugin, [discs(number, (120, 80), square=square) for number in range(4)], tmp_path)
    checked = 0
    for sample in sampled(plugin, folder, 0, 40):
        image, boxes = unpacked(sample)
        assert image.shape == (80, 120, 3)
        for box, label in zip(boxes.xyxy, boxes.labels.tolist(), strict=True):
            cut = bool((box[:2] < 0.5).any() or (box[2:] > (119.5, 79.5)).any())
            if not cut:  # where the edge cuts a disc, the box around the rest is a bit smaller than the ellipse's
                assert np.abs(extent(like(image, label)) - box).max() < tolerance
                checked += 1
        for label in (0, 1):
            if label not in boxes.labels:
                assert like(image, label).mean() < 0.25 * 0.15, "a whole object has no box"
    assert checked > 10


def test_boxes_of_corners_hold_all_of_a_rotated_square(tmp_path: Path) -> None:
    plugin = Augment(**GEOMETRY_ONLY, rotation=20.0, rotated_boxes="corners", min_visible=0.0)
    folder = fitted(plugin, [discs(number, (120, 80), square=True) for number in range(4)], tmp_path)
    for sample in sampled(plugin, folder, 0, 30):
        image, boxes = unpacked(sample)
        for box, label in zip(boxes.xyxy, boxes.labels.tolist(), strict=True):
            if like(image, label).any():
                seen = extent(like(image, label))
                assert (seen[:2] >= box[:2] - 1.5).all()
                assert (seen[2:] <= box[2:] + 1.5).all()


def test_boxes_of_which_little_is_left_are_dropped(tmp_path: Path) -> None:
    samples = [discs(number, (120, 80), square=True) for number in range(4)]
    shapes = {**GEOMETRY_ONLY, "rotation": 0.0, "aspect_jitter": 1.0, "min_scale": 0.2}
    plugins = {share: Augment(**shapes, min_visible=share) for share in (0.0, 1.0)}
    folder = fitted(plugins[0.0], samples, tmp_path)
    differences = {}
    for share, plugin in plugins.items():
        sides = [boxes.xyxy[:, 2:] - boxes.xyxy[:, :2] for _, boxes in map(unpacked, sampled(plugin, folder, 0, 40))]
        differences[share] = np.abs(np.subtract(*np.concatenate(sides).T))
    assert (differences[0.0] > 5).sum() > 5, "the edge cuts squares"
    assert differences[1.0].max() < 2
    assert len(differences[1.0]) > 20


def test_fragments_of_objects_without_a_box_are_rare(tmp_path: Path) -> None:
    plugin = Augment(**GEOMETRY_ONLY, rotation=0.0)
    folder = fitted(plugin, [discs(number, (120, 80), square=True) for number in range(4)], tmp_path)
    images = [unpacked(sample) for sample in sampled(plugin, folder, 0, 60)]
    assert sum(like(image, label).any() and label not in boxes.labels for image, boxes in images for label in (0, 1)) <= 2
    assert sum(len(boxes) == 0 for _, boxes in images) == 0, "a crop shows an object, if the reference has one"


def test_colours_change_and_labels_stay(tmp_path: Path) -> None:
    plugin = Augment()
    folder = fitted(plugin, [discs(number, (120, 80)) for number in range(4)], tmp_path)
    means = []
    for sample in sampled(plugin, folder, 0, 30):
        image, boxes = unpacked(sample)
        means.append(image.mean())
        for (x1, y1, x2, y2), label in zip(boxes.xyxy.round().astype(int), boxes.labels.tolist(), strict=True):
            colour = np.median(image[y1:y2, x1:x2].reshape(-1, 3).astype(int), 0)
            assert colour[2 * label] > colour[2 - 2 * label]
    assert np.std(means) > 10


def test_crowds_stay_crowds(tmp_path: Path) -> None:
    sample = discs(0, (120, 80))
    assert sample.boxes is not None
    marked = Sample(sample.image, Boxes.of(sample.boxes.xyxy, [0, 1], crowd=[False, True]))
    plugin = Augment(**GEOMETRY_ONLY)
    for each in sampled(plugin, fitted(plugin, [marked], tmp_path), 0, 10):
        _, boxes = unpacked(each)
        assert boxes.crowd.tolist() == (boxes.labels == 1).tolist()


def test_an_image_depends_on_the_seed_and_its_number_alone_and_torch_is_left_as_it_was(tmp_path: Path) -> None:
    plugin = Augment()
    folder = fitted(plugin, [discs(number, (120, 80)) for number in range(3)], tmp_path)
    torch.manual_seed(3)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    series = sampled(plugin, folder, 0, 5)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    torch.manual_seed(4)
    alone, other = sampled(plugin, folder, 4, 5), sampled(plugin, folder, 0, 5, seed=1)
    assert np.array_equal(unpacked(series[4])[0], unpacked(alone[0])[0])
    assert np.array_equal(unpacked(series[4])[1].xyxy, unpacked(alone[0])[1].xyxy)
    assert not any(np.array_equal(unpacked(a)[0], unpacked(b)[0]) for a, b in zip(series, other, strict=True))


@pytest.mark.parametrize("size", [(64, 1), (1, 64), (3, 3)])
def test_narrow_images_are_no_error(tmp_path: Path, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
    plugin = Augment(blur=1.0)
    for sample in sampled(plugin, fitted(plugin, [Sample(image, Boxes.of([[0, 0, 1, 1]]))], tmp_path), 0, 5):
        assert unpacked(sample)[0].shape == image.shape


def test_references_without_labels_are_an_error_for_augment(tmp_path: Path) -> None:
    with pytest.raises(SynthbenchError, match=r"augment: 1 of 2 references have no labels, such as 000001\.png"):
        fitted(Augment(), [discs(0, (120, 80)), Sample(discs(1, (120, 80)).image, None)], tmp_path)


def test_every_reference_is_used_equally_often_in_an_order_of_the_seed() -> None:
    for seed in range(5):
        for start in (0, 7, 14):
            assert sorted(reference_of(number, 7, seed) for number in range(start, start + 7)) == [*range(7)]
    orders = {tuple(reference_of(number, 7, seed) for number in range(start, start + 7)) for seed in range(5) for start in (0, 7)}
    assert len(orders) == 10


def photographs(folder: Path) -> ImageSet:
    """A photograph taken in portrait, which EXIF says, one that nobody labelled, and one with a crowd."""
    folder.mkdir()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    pictures = []
    for number, boxes in enumerate((Boxes.of([[1.5, 2, 9, 12]], [1], [0.5], [True]), None, Boxes.none())):
        pixels = np.random.default_rng(number).integers(0, 255, (24, 32, 3)).astype(np.uint8)
        path = folder / f"{number}.JPG"
        Image.fromarray(pixels).save(path, "JPEG", exif=exif if number == 0 else Image.Exif())
        pictures.append(Picture(path, *((24, 32) if number == 0 else (32, 24)), boxes))
    return ImageSet(CATEGORIES, tuple(pictures))


def test_repeat_gives_the_pixels_and_boxes_of_the_references(tmp_path: Path) -> None:
    references = photographs(tmp_path / "photographs")
    fit = tmp_path / "fit"
    fit.mkdir()
    Repeat().fit(references, StageRun(fit))
    samples = sampled(Repeat(), fit, 0, 6)
    write_set(tmp_path / "sample", CATEGORIES, samples, link=True)
    shutil.rmtree(fit)  # as when the store is cleaned
    stored = read_set(tmp_path / "sample")
    assert Counter(sample.about["reference"] for sample in samples) == {0: 2, 1: 2, 2: 2}
    for sample, picture in zip(samples, stored, strict=True):
        reference = references[int(sample.about["reference"])]
        assert picture.path.read_bytes() == reference.path.read_bytes()
        assert (picture.width, picture.height) == (reference.width, reference.height)
        assert np.array_equal(picture.pixels(), reference.pixels())
        if reference.boxes is None:
            assert picture.boxes is None
        else:
            assert picture.boxes is not None
            for name in ("xyxy", "labels", "scores", "crowd"):
                assert np.array_equal(getattr(picture.boxes, name), getattr(reference.boxes, name))


def test_a_later_part_of_a_series_is_the_same_alone(tmp_path: Path) -> None:
    folder = fitted(Repeat(), [discs(number, (120, 80)) for number in range(5)], tmp_path)
    assert [each.image for each in sampled(Repeat(), folder, 0, 9)][6:] == [each.image for each in sampled(Repeat(), folder, 6, 9)]
