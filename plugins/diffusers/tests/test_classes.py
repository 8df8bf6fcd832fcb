"""Several classes: prompts that name them, and boxes of each."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthbench import Boxes, ImageSet, Picture, SampleRequest, SynthbenchError
from synthbench.contract.images import write_image
from synthbench.contract.options import configure
from synthbench.execution.stage_run import StageRun
from synthbench_diffusers import Inpaint, SD15DreamBooth, SDXLLora
from synthbench_diffusers.boxes import boxes_from_maps
from synthbench_diffusers.classes import Prompts, is_in, prompts_of
from synthbench_diffusers.native import NativeBoxes

FRUIT = ("red", "green", "plum")
WORDS = {"red": "red apples", "green": "green apples"}
SMALL: dict[str, Any] = {"resolution": 32, "max_train_steps": 2, "num_inference_steps": 3, "box_threshold": "otsu"}
SHOWN = ((0,), (0, 2), (), (0, 1, 2))


def sd15(checkpoint: str = "none", **options: Any) -> SD15DreamBooth:
    return SD15DreamBooth(pretrained_model_name_or_path=checkpoint, **{"instance_prompt": "a photo of {classes}", **options})


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    folder, pictures = tmp_path_factory.mktemp("references"), []
    for number, labels in enumerate(SHOWN):
        write_image(folder / f"{number}.png", np.random.default_rng(number).integers(0, 255, (32, 32, 3), np.uint8))
        corners = [[4 * place, 4, 4 * place + 4, 9] for place in range(len(labels))]
        pictures.append(Picture(folder / f"{number}.png", 32, 32, Boxes.of(corners, labels)))
    return ImageSet(FRUIT, tuple(pictures))


def fitted_with(tmp_path: Path, references: ImageSet, recipe: Any) -> Path:
    """A fit of no steps, which keeps what the references show."""
    run = StageRun(tmp_path, seed=3)
    recipe.fit(references, run)
    return tmp_path


def test_each_reference_is_trained_with_the_classes_that_it_shows(references: ImageSet) -> None:
    assert prompts_of(sd15(class_words=WORDS), references) == [
        "a photo of red apples",
        "a photo of red apples and plum",
        "a photo of red apples, green apples and plum",
        "a photo of red apples, green apples and plum",
    ]
    assert prompts_of(sd15(instance_prompt="sks apples"), references) == ["sks apples"] * 4
    with pytest.raises(SynthbenchError, match="class_words names pear, but the data have red, green and plum"):
        prompts_of(sd15(class_words={"pear": "pears"}), references)


def test_the_trainings_prompts_matter(checkpoints: dict[str, Path], references: ImageSet, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    found = []
    for number, text in enumerate(("{classes}", "red, green and plum")):
        options: dict[str, Any] = {**SMALL, "method": "lora", "max_train_steps": len(references), "learning_rate": 1e-2, "boxes": False}
        recipe = sd15(str(checkpoints["sd"]), **options, instance_prompt=f"a photo of {text}")
        folder = tmp_path / str(number)
        folder.mkdir()
        (path,) = fitted_with(folder, references, recipe).glob("*.safetensors")
        found.append(load_file(path))
        assert ("classes" in json.loads((folder / "fitted.json").read_text())) == (number == 0)
    assert any(not np.array_equal(found[0][name], found[1][name]) for name in found[0])


def test_images_show_the_classes_of_the_references_in_their_proportions(
    checkpoints: dict[str, Path], references: ImageSet, tmp_path: Path
) -> None:
    recipe = sd15(str(checkpoints["sd"]), **{**SMALL, "max_train_steps": 0}, class_words=WORDS)
    fitted = fitted_with(tmp_path, references, recipe)
    prompts = Prompts.of(recipe, fitted, FRUIT, 1)
    drawn = Counter(prompts[number] for number in range(300))
    assert {shown for _, shown in drawn} == {(0,), (0, 2), (0, 1, 2)}, "a reference without objects shows no class"
    assert min(drawn.values()) > 60
    assert prompts[5] == ("a photo of red apples", (0,)) or prompts[5][0].startswith("a photo of red apples")
    single = Prompts.of(dataclasses.replace(recipe, class_mixture="single"), fitted, FRUIT, 1)
    assert {single[number] for number in range(60)} == {
        ("a photo of red apples", (0,)),
        ("a photo of green apples", (1,)),
        ("a photo of plum", (2,)),
    }
    everything = Prompts.of(dataclasses.replace(recipe, class_mixture="all"), fitted, FRUIT, 1)
    assert {*everything.every()} == {("a photo of red apples, green apples and plum", (0, 1, 2))}
    written = dataclasses.replace(recipe, prompts=("plum at night", "green apples, red apples"))
    assert {*Prompts.of(written, fitted, FRUIT, 1).every()} == {("plum at night", (2,)), ("green apples, red apples", (0, 1))}
    assert Prompts.of(written, fitted, FRUIT, 1).to_locate() == [("green apples, red apples", (0, 1)), ("plum at night", (2,))]


@pytest.mark.parametrize("method", ["sd", "sdxl"])
def test_boxes_have_the_classes_that_the_prompt_names(
    method: str, checkpoints: dict[str, Path], references: ImageSet, tmp_path: Path
) -> None:
    kinds: dict[str, type[NativeBoxes]] = {"sd": SD15DreamBooth, "sdxl": SDXLLora}
    given: dict[str, Any] = {
        **SMALL,
        "max_train_steps": 0,
        "class_words": WORDS,
        "min_box_area": 0.0,
        "instance_prompt": "a photo of {classes}",
    }
    recipe = kinds[method](pretrained_model_name_or_path=str(checkpoints[method]), class_mixture="single", **given)
    recipe.check_boxes(FRUIT)
    fitted = fitted_with(tmp_path, references, recipe)
    run = StageRun(fitted, seed=1)
    prompts = Prompts.of(recipe, fitted, FRUIT, 1)
    for number, sample in enumerate(recipe.sample(fitted, SampleRequest(0, 4, FRUIT), run)):
        assert sample.boxes is not None
        assert len(sample.boxes)
        assert {*sample.boxes.labels.tolist()} == {*prompts[number][1]}
        assert sample.about["prompt"] == prompts[number][0]
    located = list(recipe.locate(fitted, references.without_boxes(), run))
    assert {label for boxes in located for label in boxes.labels.tolist()} == {0, 1, 2}
    apart = list(dataclasses.replace(recipe, class_mixture="all").sample(fitted, SampleRequest(0, 1, FRUIT), run))
    assert apart[0].boxes is not None
    assert len({*apart[0].boxes.labels.tolist()}) > 1


def test_a_pixel_belongs_to_the_class_that_is_brightest_there() -> None:
    maps = np.zeros((3, 20, 30), np.float32)
    maps[0, 2:8, 2:8] = 1.0
    maps[1, 2:8, 2:8], maps[1, 10:16, 20:28] = 0.6, 2.0
    maps[2] = 0.3
    for threshold in (0.25, "otsu"):
        found = boxes_from_maps(maps, [0, 2, 1], threshold, 0.0)
        assert [(label, *box) for label, box in zip(found.labels.tolist(), found.xyxy.tolist(), strict=True)] == [
            (0, 2, 2, 8, 8),
            (2, 20, 10, 28, 16),
        ]
    assert not len(boxes_from_maps(maps[:0], [], 0.5, 0.0))


def test_what_cannot_give_boxes_is_told_before_anything_is_fitted() -> None:
    sd15(class_words=WORDS).check_boxes(FRUIT)
    sd15(instance_prompt="a photo of red and green and plum", class_words={"plum": "plum"}).check_boxes(FRUIT)
    SD15DreamBooth().check_boxes(("apple",))
    cases: list[tuple[SD15DreamBooth, tuple[str, ...], str]] = [
        (SD15DreamBooth(), FRUIT, r"names none of 'red', 'green' and 'plum'; write \{classes\} where it names the objects"),
        (sd15(boxes=False), FRUIT, "boxes = false, so its images come without boxes.* set boxes = true"),
        (sd15(class_words={"red": "apples", "green": "green apples"}), FRUIT, "'apples' of a class is a part of another's, 'green apples'"),
        (sd15(), ("class 1", "class 10"), "'class 1' of a class is a part of another's, 'class 10'"),
        (sd15(class_words=WORDS, prompts=("red apples",), instance_prompt="sks fruit"), FRUIT, "no prompt names 'green apples' and 'plum'"),
        (sd15(class_words={"pear": "pears"}), FRUIT, "class_words names pear"),
        (sd15(class_words={"pear": "pears"}), ("apple",), "class_words names pear, but the data have apple"),
    ]
    for recipe, categories, told in cases:
        with pytest.raises(SynthbenchError, match=told) as error:
            recipe.check_boxes(categories)
        assert "set boxes = false" not in str(error.value), "no way out leads back"


def test_options_that_would_do_nothing_are_refused() -> None:
    said: dict[str, dict[str, object]] = {
        "class_prompt": {"class_prompt": "a photo of {classes}"},
        "negative_prompt": {"negative_prompt": "{classes}"},
        "class_words: no prompt has": {"class_words": {"plum": "plums"}},
        "class_words: 'plum' has no word": {"class_words": {"plum": " "}, "instance_prompt": "{classes}"},
        "class_mixture: no prompt has": {"class_mixture": "single"},
        "class_mixture: which classes each reference shows": {"prompts": ["{classes} at night"]},
    }
    for told, options in said.items():
        assert configure(SD15DreamBooth, options)[1][0].startswith(told), options
    assert not configure(SD15DreamBooth, {"prompts": ["{classes} at night"], "class_mixture": "all"})[1]
    assert not configure(Inpaint, {"part": "objects", "instance_prompt": "a photo of {classes}"})[1]
    assert (is_in("apples", "Red Apples, plums"), is_in("apples", "pineapples")) == (True, False)
    assert configure(Inpaint, {"background_prompt": "leaves and {classes}"})[1][0].startswith("background_prompt: {classes} names")
    assert configure(Inpaint, {"prompts": ["{classes}"]})[1][0].startswith("prompts: {classes} names the objects")


def test_without_words_the_images_are_sampled_all_the_same(checkpoints: dict[str, Path], references: ImageSet, tmp_path: Path) -> None:
    recipe = SD15DreamBooth(pretrained_model_name_or_path=str(checkpoints["sd"]), **{**SMALL, "max_train_steps": 0})
    run = StageRun(tmp_path, seed=1)
    recipe.fit(references, run)
    (sample,) = recipe.sample(tmp_path, SampleRequest(0, 1, FRUIT), run)
    assert sample.boxes is None
    assert any("the images come without boxes" in note and "{classes}" in note for note in run.notes)


def test_an_inpainted_reference_is_prompted_with_its_classes(checkpoints: dict[str, Path], references: ImageSet, tmp_path: Path) -> None:
    recipe = Inpaint(
        pretrained_model_name_or_path=str(checkpoints["sd"]),
        resolution=32,
        num_inference_steps=3,
        part="objects",
        instance_prompt="a photo of {classes}",
        class_words=WORDS,
    )
    run = StageRun(tmp_path, seed=1)
    recipe.fit(references, run)
    for sample in recipe.sample(tmp_path, SampleRequest(0, 4, FRUIT), run):
        assert sample.boxes is not None
        words = [WORDS.get(FRUIT[label], FRUIT[label]) for label in sorted({*sample.boxes.labels.tolist()} or {0, 1, 2})]
        assert all(word in str(sample.about["prompt"]) for word in words)
        assert len(words) == 1 + str(sample.about["prompt"]).count(",") + str(sample.about["prompt"]).count(" and ")
