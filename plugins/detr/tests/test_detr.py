"""The DETR family on toy pictures: discs on noise."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest
from synthbench import Boxes, ImageSet, Sample, SynthbenchError
from synthbench.contract.options import configure
from synthbench.execution.stage_run import StageRun
from synthbench.storage.coco import write_set
from synthbench_detr import Detr

Variant = Literal["detr", "conditional-detr", "deformable-detr", "rt-detr"]
VARIANTS = get_args(Variant)
TINY = Detr(width=32, queries=8, image_size=64, max_train_steps=3, batch_size=4, score_threshold=0.0)


def discs(count: int, seed: int, width: int = 80, height: int = 50) -> list[Sample]:
    """Images with one to three discs, red (0) or blue (1)."""
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(count):
        image = rng.integers(60, 120, (height, width, 3), dtype=np.uint8)
        boxes, labels = [], []
        for _ in range(rng.integers(1, 4)):
            x, y, r = rng.integers(12, width - 12), rng.integers(12, height - 12), rng.integers(6, 11)
            label = int(rng.integers(0, 2))
            down, across = np.ogrid[:height, :width]
            image[(across - x) ** 2 + (down - y) ** 2 < r * r] = ((230, 30, 30), (30, 30, 230))[label]
            boxes.append((x - r, y - r, x + r, y + r))
            labels.append(label)
        samples.append(Sample(image, Boxes.of(boxes, labels)))
    return samples


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Nine pictures: of odd sizes, one without boxes, one unlabelled, one with a crowd and an empty box."""
    samples = discs(5, 0) + discs(1, 1, 33, 97)
    samples.append(Sample(samples[0].image, Boxes.none()))
    samples.append(Sample(samples[1].image, None))
    samples.append(Sample(samples[2].image, Boxes.of([(0, 0, 40, 40), (5, 5, 5, 9), (-4, 2, 20, 30)], crowd=[1, 0, 0])))
    return write_set(tmp_path_factory.mktemp("data"), ("red", "blue"), samples)


def trained(options: Detr, data: ImageSet, folder: Path, seed: int = 0) -> list[Boxes]:
    folder.mkdir()
    options.train(data, StageRun(folder, seed))
    return list(options.predict(folder, data.without_boxes(), StageRun(folder)))


def test_old_names_and_values_are_reported_with_the_new_ones() -> None:
    old = {"amp": True, "backbone_rate": 0.1, "batch": 4, "flip": 0.5, "gradient_norm": 0.1, "validation": 0.0, "zoom": 1.25}
    assert configure(Detr, old)[1] == [
        "amp: renamed to 'mixed_precision'",
        "backbone_rate: renamed to 'backbone_learning_rate_factor'",
        "batch: renamed to 'batch_size'",
        "flip: renamed to 'horizontal_flip'",
        "gradient_norm: renamed to 'max_grad_norm'",
        "validation: renamed to 'validation_split'",
        "zoom: renamed to 'scale_jitter'",
    ]
    for gone in ("epochs", "min_steps"):
        (problem,) = configure(Detr, {gone: 4})[1]
        assert problem.startswith(f"{gone}: replaced by 'max_train_steps'")
    assert configure(Detr, {"mixed_precision": True})[1] == ["mixed_precision: unknown value True; known: bf16, no"]


def test_images_are_held_back_only_to_be_used(data: ImageSet, tmp_path: Path) -> None:
    always = {"steps", "parameters", "kept_step"}
    run = StageRun(tmp_path)
    TINY.train(data, run)
    assert run.metrics.keys() == always
    assert run.metrics["steps"] == 3
    for keep in ("last", "best"):
        some = {"width": 32, "queries": 8, "image_size": 64, "max_train_steps": 2, "keep": keep, "validation_split": 0.3}
        options, _ = configure(Detr, some)
        assert options is not None
        run = StageRun(tmp_path)
        options.train(data, run)
        assert run.metrics.keys() == always | {"validation_images", "validation_loss"}
        assert run.metrics["validation_images"] == 3
    (problem,) = configure(Detr, {"keep": "best"})[1]
    assert "set validation_split above 0" in problem


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_trains_and_gives_boxes_inside_the_pictures(variant: Variant, data: ImageSet, tmp_path: Path) -> None:
    options = replace(TINY, variant=variant)
    found = trained(options, data, tmp_path / "one")
    assert {"config.json", "model.safetensors"} <= {file.name for file in (tmp_path / "one").iterdir()}
    for picture, boxes in zip(data, found, strict=True):
        assert 0 < len(boxes) <= 100
        assert (boxes.xyxy >= 0).all()
        assert (boxes.xyxy <= [picture.width, picture.height] * 2).all()
        assert set(boxes.labels.tolist()) <= {0, 1}
        assert (np.diff(boxes.scores) <= 0).all()
    again = list(options.predict(tmp_path / "one", data[3:4].without_boxes(), StageRun(tmp_path)))
    np.testing.assert_array_equal(again[0].xyxy, found[3].xyxy)


def test_the_same_seed_gives_the_same_boxes_and_another_seed_others(data: ImageSet, tmp_path: Path) -> None:
    first, same, other = (trained(TINY, data, tmp_path / name, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    np.testing.assert_array_equal(np.concatenate([b.xyxy for b in first]), np.concatenate([b.xyxy for b in same]))
    assert not np.array_equal(first[0].scores, other[0].scores)


@pytest.mark.parametrize("variant", VARIANTS)
def test_trains_on_images_without_boxes(variant: Variant, data: ImageSet, tmp_path: Path) -> None:
    nothing = data.subset([6, 7])
    options = replace(TINY, variant=variant, score_threshold=1.0)
    found = trained(options, nothing, tmp_path / "nothing")
    assert [len(boxes) for boxes in found] == [0, 0]


@pytest.mark.parametrize("images", [1, 9])
def test_every_training_set_gets_exactly_the_steps_that_were_asked_for(
    images: int, data: ImageSet, tmp_path: Path, rates: list[float]
) -> None:
    run = StageRun(tmp_path)
    replace(TINY, max_train_steps=25, learning_rate=1e-3, validation_split=0.3).train(data[:images], run)
    assert len(rates) == run.metrics["steps"] == 25
    assert rates.index(max(rates)) <= 3, "the warm-up takes a tenth of the steps"
    assert max(rates) == pytest.approx(1e-3, rel=0.05)
    assert rates[-1] < 1e-5, "the decay ends with the last step"
    assert run.curves.keys() == {"loss", "validation_loss"}
    for points in run.curves.values():
        assert len(points) == 20
        assert points[-1][0] == 25


def test_one_picture_is_enough(data: ImageSet, tmp_path: Path) -> None:
    run = StageRun(tmp_path)
    replace(TINY, keep="best", validation_split=0.2).train(data[:1], run)
    assert run.metrics["steps"] == 3
    assert "validation_images" not in run.metrics, "a single image is trained on"
    assert 1 <= int(run.metrics["kept_step"]) <= 3
    assert float(run.metrics["validation_loss"]) > 0


def test_no_pictures_are_an_error(data: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(SynthbenchError, match="no images"):
        TINY.train(data[:0], StageRun(tmp_path))


@pytest.fixture(scope="module")
def base(data: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    TINY.train(data, StageRun(folder))
    return folder


def test_starts_from_weights_and_gives_other_categories_a_new_head(data: ImageSet, base: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    messages: list[str] = []
    run = StageRun(tmp_path, emit=lambda event: messages.append(str(event.get("message", ""))))
    one = data.with_boxes([Boxes.of(picture.boxes.xyxy) if picture.boxes else Boxes.none() for picture in data])
    start = replace(TINY, weights=str(base), learning_rate=1e-9, backbone_learning_rate_factor=0.0)
    start.train(replace(one, categories=("disc",)), run)
    old, new = load_file(base / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    changed = {name for name in old if old[name].shape != new[name].shape}
    assert changed == {"class_labels_classifier.weight", "class_labels_classifier.bias"}
    assert any("class_labels_classifier.weight" in message for message in messages)
    assert all(np.allclose(old[name], new[name], atol=1e-6) for name in set(old) - changed)
    assert all(np.array_equal(old[name], new[name]) for name in old if ".backbone." in name)


def test_says_what_is_wrong_with_weights(data: ImageSet, base: Path, tmp_path: Path) -> None:
    run = StageRun(tmp_path / "run")
    empty = tmp_path / "empty"
    empty.mkdir()
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text((base / "config.json").read_text())
    (pickled / "pytorch_model.bin").write_bytes(b"no")
    cases = {
        str(empty): "has no config.json",
        str(base / "model.safetensors"): "is a file; name the folder",
        str(pickled): "--allow-pickle",
        "nobody/nothing": "hf download nobody/nothing",
    }
    for weights, message in cases.items():
        with pytest.raises(SynthbenchError, match=message):
            replace(TINY, weights=weights).train(data, run)
    with pytest.raises(SynthbenchError, match="set variant = 'detr'"):
        replace(TINY, weights=str(base), variant="rt-detr").train(data, run)


def test_float16_weights_are_trained_in_float32(data: ImageSet, base: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    half = tmp_path / "half"
    half.mkdir()
    config = json.loads((base / "config.json").read_text()) | {"dtype": "float16"}
    (half / "config.json").write_text(json.dumps(config))
    tensors = {name: value.astype(np.float16) for name, value in load_file(base / "model.safetensors").items()}
    save_file(tensors, half / "model.safetensors", metadata={"format": "pt"})
    trained(replace(TINY, weights=str(half)), data, tmp_path / "tuned")
    assert {str(value.dtype) for value in load_file(tmp_path / "tuned" / "model.safetensors").values()} == {"float32"}


def test_augmented_boxes_stay_on_their_discs() -> None:
    import torch
    from synthbench_detr.data import augment

    values = torch.zeros(6, 1, 64, 64)
    values[:, :, 20:36, 40:52] = 1
    boxes, labels = [torch.tensor([[40, 20, 52, 36]]) / 64] * 6, [torch.tensor([1])] * 6
    augmented = augment(values, boxes, labels, horizontal_flip=0.5, scale_jitter=1.25, rng=torch.Generator().manual_seed(3))
    for image, box, label in zip(*augmented, strict=True):
        assert label.tolist() == [1]
        down, across = torch.nonzero(image[0] > 0.5, as_tuple=True)
        visible = torch.stack([across.min(), down.min(), across.max() + 1, down.max() + 1]) / 64
        assert (visible - box[0]).abs().max() < 1.1 / 64


def test_importing_the_plugin_is_light() -> None:
    code = "import sys, synthbench_detr; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'transformers', 'PIL')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
