"""Faster R-CNN on toy pictures: red discs, some of them blue, on noisy green."""

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from synthbench import Boxes, ImageSet, Picture, SynthbenchError
from synthbench.context import StageRun
from synthbench.formats.images import write_image
from synthbench_fasterrcnn import FasterRCNN
from synthbench_fasterrcnn.data import clip, load, read, typical_sizes, vary

SMALL = FasterRCNN(backbone="small", image_size=48, stride=4, epochs=1, batch=4)
COLOURS = ((210, 30, 40), (40, 40, 210))


def draw(path: Path, seed: int, *, count: int = 3, wide: int = 48, high: int = 48) -> Picture:
    rng = np.random.default_rng([7, seed])
    pixels = rng.integers(60, 110, (high, wide, 3)).astype(np.uint8) * np.array([0, 1, 0], np.uint8)
    down, across = np.mgrid[:high, :wide] + 0.5
    boxes, labels = [], []
    for _ in range(count):
        radius, label = rng.integers(4, 8), rng.integers(0, 2)
        x, y = rng.integers(radius, wide - radius + 1), rng.integers(radius, high - radius + 1)
        pixels[(across - x) ** 2 + (down - y) ** 2 <= radius**2] = COLOURS[label]
        boxes.append((x - radius, y - radius, x + radius, y + radius))
        labels.append(label)
    write_image(path, pixels)
    return Picture(path, wide, high, Boxes.of(boxes, labels))


@pytest.fixture
def toys(tmp_path: Path) -> ImageSet:
    return ImageSet(("red", "blue"), tuple(draw(tmp_path / f"{seed}.png", seed) for seed in range(6)))


def trained(options: FasterRCNN, data: ImageSet, folder: Path, **about: object) -> StageRun:
    folder.mkdir()
    run = StageRun(folder, **about)  # type: ignore[arg-type]
    options.train(data, run)
    return run


def found(options: FasterRCNN, fitted: Path, images: ImageSet) -> list[Boxes]:
    return list(options.predict(fitted, images.unlabelled(), StageRun(fitted)))


def test_importing_the_plugin_is_light() -> None:
    code = "import sys, synthbench_fasterrcnn; print([name for name in ('torch', 'numpy', 'torchvision') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"
