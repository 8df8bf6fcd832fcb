"""The options, and, in the plugin's own environment with pytest added, training on small images of coloured squares on noise."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import pytest
from synthbench import Boxes, ImageSet, Picture, SynthbenchError
from synthbench.contract.images import write_image
from synthbench.contract.options import configure
from synthbench.execution.stage_run import StageRun
from synthbench.metrics import evaluate
from synthbench_yolox import YOLOX

needs_library = pytest.mark.skipif(not any(distributions(name="yolox")), reason="needs yolox, which is in the plugin's own environment")
QUICK = YOLOX(image_size=64, max_train_steps=2, batch_size=4, score_threshold=0.0)
COLOURS = ((220, 30, 30), (30, 30, 220))


def draw(path: Path, seed: int, *, count: int = 3, wide: int = 64, high: int = 64, kinds: int = 1) -> Picture:
    rng = np.random.default_rng([7, seed])
    pixels = rng.integers(0, 120, (high, wide, 3)).astype(np.uint8)
    boxes, labels = [], []
    for _ in range(count):
        side, label = int(rng.integers(10, 21)), int(rng.integers(kinds))
        x, y = int(rng.integers(0, wide - side + 1)), int(rng.integers(0, high - side + 1))
        pixels[y : y + side, x : x + side] = COLOURS[label]
        boxes.append((x, y, x + side, y + side))
        labels.append(label)
    write_image(path, pixels)
    return Picture(path, wide, high, Boxes.of(boxes, labels))


def drawn(folder: Path, count: int, kinds: int = 1) -> ImageSet:
    pictures = tuple(draw(folder / f"{seed}.png", seed, count=1 + seed % 3, kinds=kinds) for seed in range(count))
    return ImageSet(("red", "blue")[:kinds], pictures)


def trained(options: YOLOX, data: ImageSet, folder: Path, **about: object) -> StageRun:
    folder.mkdir()
    run = StageRun(folder, **about)  # type: ignore[arg-type]
    options.train(data, run)
    return run


def found(options: YOLOX, fitted: Path, images: ImageSet) -> list[Boxes]:
    return list(options.predict(fitted, images.without_boxes(), StageRun(fitted)))


def test_importing_the_plugin_is_light() -> None:
    code = "import sys, synthbench_yolox; print([name for name in ('torch', 'numpy', 'cv2', 'yolox') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_the_environment_is_exact() -> None:
    environment = YOLOX().environment
    assert all("==" in each for each in environment.dependencies)
    assert {each.split("==")[0] for each in environment.dependencies} >= {"yolox", "torch", "numpy", *environment.no_build_isolation}


def test_wrong_options_are_reported() -> None:
    _, problems = configure(YOLOX, {"image_size": 100, "model": "yolox-small", "mosaic_scale": [0.5], "train_steps": 3})
    message = "\n".join(problems)
    assert all(part in message for part in ("image_size: ", "did you mean 'yolox-s", "mosaic_scale: ", "did you mean 'max_train_steps'"))
    assert configure(YOLOX, YOLOX.smoke_options)[1] == []


def test_old_names_are_reported_with_the_new_ones() -> None:
    assert configure(YOLOX, {"batch": 4, "flip": 0.5})[1] == ["batch: renamed to 'batch_size'", "flip: renamed to 'horizontal_flip'"]
    for gone in ("epochs", "min_steps"):
        (problem,) = configure(YOLOX, {gone: 4})[1]
        assert problem.startswith(f"{gone}: replaced by 'max_train_steps'")


@needs_library
def test_learns_with_its_smoke_options(tmp_path: Path) -> None:
    toys = drawn(tmp_path, 24, kinds=2)
    options, _ = configure(YOLOX, YOLOX.smoke_options)
    assert options is not None
    run = trained(options, toys, tmp_path / "fitted")
    assert run.metrics == {"steps": 168}
    assert 0 < run.shown["loss"] < 10
    scores = evaluate([picture.boxes or Boxes.none() for picture in toys], found(options, tmp_path / "fitted", toys), 2)
    assert (scores["AP"] or 0) >= 0.3


@needs_library
@pytest.mark.parametrize("images", [1, 9])
def test_every_training_set_gets_exactly_the_steps_that_were_asked_for(images: int, tmp_path: Path, rates: list[float]) -> None:
    options = replace(QUICK, max_train_steps=25, learning_rate=1e-3, validation_split=0.3)
    run = trained(options, drawn(tmp_path, images), tmp_path / "fitted")
    assert len(rates) == run.metrics["steps"] == 25
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(1e-3 / 20), "the decay to a twentieth ends before the plain steps"
    assert run.curves.keys() == {"loss", "validation_loss"}
    for points in run.curves.values():
        assert len(points) == 20
        assert points[-1][0] == 25


@needs_library
def test_training_is_repeatable_and_writes_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    toys = drawn(tmp_path / "data", 6)
    pictures = [(str(picture.path), np.asarray(picture.boxes and picture.boxes.xyxy).tolist()) for picture in toys]
    code = """
import json, sys
from pathlib import Path
from synthbench import Boxes, ImageSet, Picture
from synthbench.execution.stage_run import StageRun
from synthbench_yolox import YOLOX
pictures = json.loads(sys.argv[1])
data = ImageSet(("red",), tuple(Picture(Path(path), 64, 64, Boxes.of(boxes)) for path, boxes in pictures))
for folder, seed in zip(sys.argv[2:], (3, 4)):
    YOLOX(image_size=64, max_train_steps=2, batch_size=4, mixup=1.0).train(data, StageRun(Path(folder), seed=seed))
"""
    folders = [tmp_path / name for name in "abc"]
    trained(replace(QUICK, mixup=1.0), toys, folders[0], seed=3)
    for folder in folders[1:]:
        folder.mkdir()
    variables = {"HOME": str(tmp_path / "elsewhere"), "TMPDIR": str(tmp_path / "elsewhere"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code, json.dumps(pictures), *map(str, folders[1:])]
    subprocess.run(command, check=True, cwd=tmp_path / "elsewhere", env={**os.environ, **variables})
    files = [(folder / "model.safetensors").read_bytes() for folder in folders]
    assert files[0] == files[1] != files[2]
    assert {each.name for each in folders[1].iterdir()} == {"model.safetensors", "model.json"}
    assert list((tmp_path / "elsewhere").rglob("*")) == []
    assert len(list((tmp_path / "data").iterdir())) == 6
    here, again = (found(QUICK, tmp_path / name, toys) for name in "ab")
    assert sum(map(len, here)) > 0
    for one, other in zip(here, again, strict=True):
        np.testing.assert_array_equal(one.xyxy, other.xyxy)


@needs_library
def test_trains_on_odd_training_sets(tmp_path: Path) -> None:
    wide = draw(tmp_path / "wide.png", 0, wide=71, high=33)
    thin = draw(tmp_path / "thin.png", 1, count=0, wide=300, high=2)
    empty = draw(tmp_path / "empty.png", 2, count=0)
    outside = replace(wide, boxes=Boxes.of([(-5, -5, 90, 90), (3, 3, 3, 9), (0, 0, 70, 30)], crowd=[False, False, True]))
    for number, pictures in enumerate([(wide,), (empty,), (wide, empty, thin), (outside, empty)]):
        data = ImageSet(("red",), pictures)
        trained(replace(QUICK, max_train_steps=3, mixup=0.5), data, tmp_path / str(number))
        for picture, boxes in zip(data, found(QUICK, tmp_path / str(number), data), strict=True):
            assert len(boxes) <= 100
            assert (boxes.xyxy >= 0).all()
            assert (boxes.xyxy <= [picture.width, picture.height] * 2).all()
            assert (np.diff(boxes.scores) <= 0).all()
    assert sum(map(len, found(replace(QUICK, score_threshold=1.0), tmp_path / "0", data))) == 0


@needs_library
def test_boxes_follow_their_pixels(tmp_path: Path) -> None:
    from synthbench_yolox.data import Augmented

    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:22, 30:46] = (255, 0, 0)
    write_image(tmp_path / "a.png", pixels)
    picture = Picture(tmp_path / "a.png", 60, 40, Boxes.of([(30, 10, 46, 22)]))
    plain = Augmented([picture], replace(QUICK, image_size=128, horizontal_flip=0.0))
    images, targets = plain.batch([0], plain=True)
    assert images.shape == (1, 3, 128, 128)
    expected = np.array([0, 38, 16, 16, 12]) * 128 / 60
    np.testing.assert_allclose(targets[0].numpy(), [expected], atol=0.2)  # images have whole pixels
    _, x, y, w, h = targets[0, 0].int().tolist()
    inside = images[0, :, y - h // 2 + 3 : y + h // 2 - 3, x - w // 2 + 3 : x + w // 2 - 3].mean((1, 2))
    assert inside[2] > 180  # blue, green, red
    assert inside[0] < 60
    mixed = Augmented([picture] * 3, replace(QUICK, image_size=128, mixup=1.0)).batch([0, 1, 2], plain=False)
    assert mixed[0].shape == (3, 3, 128, 128)
    rows = mixed[1].reshape(-1, 5)
    assert ((rows[:, 3:] > 1).all(1) | (rows == 0).all(1)).all()


@needs_library
def test_starts_from_weights_and_refuses_others(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    toys = drawn(tmp_path, 4)
    trained(QUICK, toys, tmp_path / "before")
    old = load_file(tmp_path / "before" / "model.safetensors")
    torch.save({"model": old, "start_epoch": 1}, tmp_path / "official.pth")
    save_file({"another": torch.ones(1)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    same = replace(QUICK, weights=str(tmp_path / "before"), learning_rate=1e-9)
    two = ImageSet(("red", "blue"), toys.pictures)
    run = trained(same, two, tmp_path / "after")
    assert len(run.notes) == 1
    assert "6 of" in run.notes[0]
    assert "head.cls_preds.0.weight" in run.notes[0]
    name = "backbone.backbone.stem.conv.conv.weight"
    torch.testing.assert_close(load_file(tmp_path / "after" / "model.safetensors")[name], old[name], atol=1e-5, rtol=0)
    official = replace(same, weights=str(tmp_path / "official.pth"))
    assert trained(official, toys, tmp_path / "again", allow_pickle=True).notes == []
    for weights, message in (
        ("official.pth", "is a pickle"),
        ("other.safetensors", "has no tensor that fits"),
        ("broken.safetensors", "not a readable checkpoint"),
        ("missing.safetensors", "no such file"),
    ):
        with pytest.raises(SynthbenchError, match=message):
            trained(replace(QUICK, weights=str(tmp_path / weights)), toys, tmp_path / weights.replace(".", "-"))
