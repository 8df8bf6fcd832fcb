"""Inpainting keeps what it should: the objects with their boxes, or the surroundings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthbench import Boxes, ImageSet, Picture, Sample, SampleRequest, SynthbenchError
from synthbench.contract.images import write_image
from synthbench.execution.stage_run import StageRun
from synthbench.registry import installed
from synthbench_diffusers import Inpaint
from synthbench_diffusers.inpainting import new_part, turn_of

BOX = (20, 8, 32, 20)


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Two wide pictures with a red square each."""
    folder = tmp_path_factory.mktemp("references")
    pictures = []
    for number in range(2):
        image = np.random.default_rng(number).integers(0, 90, (32, 48, 3), np.uint8)
        image[BOX[1] : BOX[3], BOX[0] : BOX[2]] = [220, 30, 30 * number]
        write_image(folder / f"{number}.png", image)
        pictures.append(Picture(folder / f"{number}.png", 48, 32, Boxes.of([BOX])))
    return ImageSet(("apple",), tuple(pictures))


def recipe(checkpoints: dict[str, Path], **options: Any) -> Inpaint:
    few: dict[str, Any] = {"resolution": 32, "num_inference_steps": 4, "sample_batch_size": 3, "random_flip": False}
    return Inpaint(pretrained_model_name_or_path=str(checkpoints["sd"]), **few, **options)


def samples(inpaint: Inpaint, references: ImageSet, folder: Path, start: int = 0, stop: int = 4) -> list[Sample]:
    folder.mkdir(exist_ok=True)
    if not list(folder.iterdir()):
        inpaint.fit(references, StageRun(folder, seed=5))
    return list(inpaint.sample(folder, SampleRequest(start, stop, ("apple",)), StageRun(folder, seed=5)))


@pytest.mark.parametrize("part", ["background", "objects", "everything"])
def test_what_is_kept_has_the_references_own_pixels_and_boxes(
    part: Any, checkpoints: dict[str, Path], references: ImageSet, tmp_path: Path
) -> None:
    made = samples(recipe(checkpoints, part=part, margin=0.0), references, tmp_path / part)
    originals = [picture.pixels()[:, 8:40].astype(int) for picture in references]  # the central squares
    x1, y1, x2, y2 = BOX[0] - 8, BOX[1], BOX[2] - 8, BOX[3]
    inside = np.zeros((32, 32), bool)
    inside[y1:y2, x1:x2] = True
    assert sorted(turn_of(5, number, 2) for number in (0, 1)) == [0, 1]
    for number, sample in enumerate(made):
        assert sample.boxes is not None
        assert sample.boxes.xyxy.tolist() == [[x1, y1, x2, y2]]
        changed = np.abs(np.asarray(sample.image).astype(int) - originals[turn_of(5, number, 2)]).sum(-1) > 0
        if part == "background":
            assert not changed[inside].any()
            assert changed[~inside].mean() > 0.9
        elif part == "objects":
            assert not changed[~inside].any()
            assert changed[inside].mean() > 0.5
        else:
            assert changed.mean() > 0.9


def test_an_image_depends_on_seed_and_number_alone(checkpoints: dict[str, Path], references: ImageSet, tmp_path: Path) -> None:
    inpaint = recipe(checkpoints, max_train_steps=1)
    whole = samples(inpaint, references, tmp_path / "fit")
    (last,) = samples(inpaint, references, tmp_path / "fit", start=3)
    assert np.array_equal(np.asarray(last.image), np.asarray(whole[3].image))


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "lcm"])
def test_every_scheduler_keeps_the_objects(scheduler: Any, checkpoints: dict[str, Path], references: ImageSet, tmp_path: Path) -> None:
    (made,) = samples(recipe(checkpoints, scheduler=scheduler, margin=0.0), references, tmp_path / "fit", stop=1)
    original = references[turn_of(5, 0, 2)].pixels()[:, 8:40]
    changed = np.asarray(made.image) != original
    assert not changed[BOX[1] : BOX[3], BOX[0] - 8 : BOX[2] - 8].any()
    assert changed.mean() > 0.5


def test_a_low_strength_stays_nearer_to_the_reference(references: ImageSet, tmp_path: Path) -> None:
    shipped = {"sd": installed().checkpoints["small-sd15"]}  # its autoencoder can draw

    def blocks(pixels: Any) -> Any:
        """Means of 8 x 8 pixels: what remains of noise behind an autoencoder."""
        return np.asarray(pixels, float).reshape(4, 8, 4, 8, 3).mean((1, 3))

    def distance(strength: float) -> float:
        made = samples(recipe(shipped, part="everything", strength=strength), references, tmp_path / "fit")
        originals = [blocks(references[turn_of(5, number, 2)].pixels()[:, 8:40]) for number in range(len(made))]
        return float(np.mean([np.abs(blocks(each.image) - original).mean() for each, original in zip(made, originals, strict=True)]))

    assert distance(0.25) < 0.9 * distance(1.0)


def test_references_without_labels_or_boxes_are_refused(checkpoints: dict[str, Path], references: ImageSet, tmp_path: Path) -> None:
    for boxes, told in ((None, "2 references have no labels, 0.png for one"), (Boxes.none(), "no reference has a box")):
        pictures = tuple(Picture(each.path, each.width, each.height, boxes) for each in references)
        with pytest.raises(SynthbenchError, match=told):
            recipe(checkpoints).fit(ImageSet(("apple",), pictures), StageRun(tmp_path))


def test_a_margin_that_is_wider_than_the_image_keeps_all_of_it(checkpoints: dict[str, Path]) -> None:
    assert not new_part(recipe(checkpoints, margin=1e308), Boxes.of([BOX])).any()


def test_boxes_are_cut_and_turned_with_their_image() -> None:
    from synthbench_diffusers.inpainting import flipped, square

    image = np.zeros((10, 30, 3), np.uint8)
    pixels, boxes = square(image, Boxes.of([(8, 2, 12, 6), (6, 2, 10.4, 6), (14, 2, 16, 10)]), 20)
    assert pixels.shape == (20, 20, 3)
    assert boxes.xyxy.tolist() == [[0, 4, 4, 12], [8, 4, 12, 20]]  # of the second less than a pixel is inside
    assert flipped(pixels, boxes)[1].xyxy.tolist() == [[16, 4, 20, 12], [8, 4, 12, 20]]
