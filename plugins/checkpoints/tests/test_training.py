"""The parts of the training scripts that do not need a training: captions, saved states, distances."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

TRAINING = Path(__file__).parents[1] / "training"


@pytest.fixture
def script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The training script that the test names."""
    monkeypatch.syspath_prepend(str(TRAINING))
    for name in ("scenes", "photographs", "state", "distance", "autoencoder"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(request.param)


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("script", [name], indirect=True)


def photograph(colour: tuple[int, int, int], sky: tuple[int, int, int], rows: int, boxes: np.ndarray) -> np.ndarray:
    image = np.full((64, 64, 3), (40, 90, 30), np.uint8)
    image[:rows] = sky
    for left, top, right, bottom in boxes.astype(int):
        image[top:bottom, left:right] = colour
    return image


@of("photographs")
@pytest.mark.parametrize(
    ("colour", "sky", "rows", "count", "caption"),
    [
        ((200, 40, 40), (250, 250, 250), 32, 2, "a photo of few red apples on a tree, white sky"),
        ((180, 150, 120), (60, 120, 220), 32, 8, "a photo of some pink apples on a tree, blue sky"),
        ((140, 180, 90), (250, 250, 250), 6, 20, "a photo of many green apples on a tree, some sky"),
        ((140, 180, 90), (40, 90, 30), 0, 20, "a photo of many green apples on a tree, leaves"),
    ],
)
def test_a_caption_says_what_is_in_the_pixels_and_boxes(
    script: Any, colour: tuple[int, int, int], sky: tuple[int, int, int], rows: int, count: int, caption: str
) -> None:
    corners = np.array([(number % 8 * 8, 40 + number // 8 * 8) for number in range(count)], np.float32)
    boxes = np.concatenate([corners, corners + 7], 1)
    assert script.caption(photograph(colour, sky, rows, boxes), boxes) == caption


@of("photographs")
def test_all_photographs_of_a_tree_are_on_one_side_and_are_read_once(script: Any, tmp_path: Path) -> None:
    names = [f"DSC_{number}_17kv{number % 5}r{number % 4}k_{part}.jpg" for number in range(20) for part in range(2)]
    (tmp_path / "images").mkdir()
    for name in names:
        Image.new("RGB", (16, 16), (40, 90, 30)).save(tmp_path / "images" / name)
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    boxes = [{"image_id": number, "bbox": [1, 1, 4, 4]} for number in range(len(names))]
    (tmp_path / "annotations.json").write_text(json.dumps({"images": images, "annotations": boxes}))
    training, testing = script.load(tmp_path, tmp_path / "cache")
    assert len(training.images) == 36
    assert len(testing.images) == 4, "two of twenty trees"
    for file in (tmp_path / "images").iterdir():
        file.unlink()
    again, _ = script.load(tmp_path, tmp_path / "cache")
    assert np.array_equal(again.images, training.images)
    assert again.captions == training.captions
    assert np.array_equal(again.boxes[0], [[1, 1, 5, 5]])


@of("state")
def test_a_training_that_goes_on_ends_as_an_uninterrupted_one(script: Any, tmp_path: Path) -> None:
    def train(parts: list[int], folder: Path) -> list[torch.Tensor]:
        for until in parts:
            torch.manual_seed(9)
            model = nn.Linear(3, 2)
            optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
            average = script.Average(model.parameters(), 0.9)
            facts = script.load(folder, model, optimizer, average)
            for step in range(facts["step"], until):
                script.seed_step(0, step)
                optimizer.zero_grad()
                model(torch.randn(4, 3)).square().mean().backward()
                optimizer.step()
                average.update()
            script.save(folder, model, optimizer, average, {"step": until, "seconds": 0.0})
        return [*(weight.detach() for weight in model.parameters()), *average.values]

    whole, parts = train([6], tmp_path / "whole"), train([2, 5, 6], tmp_path / "parts")
    assert all(torch.equal(one, other) for one, other in zip(whole, parts, strict=True))
    assert sorted(file.name for file in (tmp_path / "parts").iterdir()) == ["state-6.safetensors", "state.json"]


@of("state")
def test_swapping_the_average_in_and_out_changes_nothing(script: Any) -> None:
    model = nn.Linear(2, 2)
    average = script.Average(model.parameters(), 0.5)
    with torch.no_grad():
        model.weight.add_(1)
    average.update()
    before, mean = model.weight.detach().clone(), average.values[0].clone()
    average.swap()
    assert torch.equal(model.weight, mean)
    average.swap()
    assert torch.equal(model.weight, before)


@of("distance")
def test_distances_grow_with_the_difference(script: Any) -> None:
    rng = np.random.default_rng(0)
    one, same, other = (rng.normal(shift, 1, (60, 8)) for shift in (0, 0, 2))
    assert script.kernel(one, same) < script.kernel(one, other) / 10
    assert script.frechet(one, same) < script.frechet(one, other) / 5
