"""The plugin on toy pictures: red discs on noisy green."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from synthbench import Boxes, ImageSet, Picture, SynthbenchError
from synthbench.contract.options import configure
from synthbench.execution.stage_run import StageRun
from synthbench_yolov8 import YOLOv8

TINY = YOLOv8(image_size=64, max_train_steps=4, batch_size=4, mosaic=0.5, close_mosaic_share=0.5, validation_split=0.25)


def discs(folder: Path, count: int, *, seed: int = 0, width: int = 64, height: int = 64, categories: int = 1) -> ImageSet:
    """Pictures with a red disc (category 0) or, where there is a second category, a blue one."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[:height, :width]
    pictures = []
    for number in range(count):
        radius = rng.integers(9, 14)
        x, y = rng.integers(radius, width - radius), rng.integers(radius, height - radius)
        label = int(rng.integers(categories))
        image = rng.integers(0, 60, (height, width, 3), np.uint8) + np.array([20, 90, 20], np.uint8)
        image[(across - x) ** 2 + (down - y) ** 2 <= radius**2] = [(220, 30, 30), (40, 40, 230)][label]
        path = folder / f"{number}.png"
        Image.fromarray(image).save(path)
        corners = [[x - radius, y - radius, x + radius + 1, y + radius + 1]]
        pictures.append(Picture(path, width, height, Boxes.of(corners, [label])))
    return ImageSet(("red disc", "blue disc äöü: #1")[:categories], tuple(pictures))


def stage(folder: Path, *, seed: int = 1, allow_pickle: bool = False) -> StageRun:
    folder.mkdir(parents=True)
    return StageRun(folder, seed=seed, threads=1, allow_pickle=allow_pickle)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = np.prod(np.clip(high - low, 0, None))
    return float(shared / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - shared))


def test_import_is_light() -> None:
    code = "import sys, synthbench_yolov8; sys.exit(str({'torch', 'numpy', 'ultralytics'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr.strip() == "set()"


def test_options_out_of_bounds_are_refused() -> None:
    for wrong in ({"image_size": 100}, {"model": "yolov9n"}, {"validation_split": 1.0}, {"optimizer": "auto"}):
        assert configure(YOLOv8, wrong)[1]


def test_old_names_and_values_are_reported_with_the_new_ones() -> None:
    old = {"batch": 4, "final_learning_rate": 0.1, "flip_horizontal": 0.5, "flip_vertical": 0.0, "validation": 0.0}
    assert configure(YOLOv8, old)[1] == [
        "batch: renamed to 'batch_size'",
        "final_learning_rate: renamed to 'final_learning_rate_factor'",
        "flip_horizontal: renamed to 'horizontal_flip'",
        "flip_vertical: renamed to 'vertical_flip'",
        "validation: renamed to 'validation_split'",
    ]
    for gone, new in (("epochs", "max_train_steps"), ("warmup_epochs", "warmup_share"), ("close_mosaic", "close_mosaic_share")):
        (problem,) = configure(YOLOv8, {gone: 4})[1]
        assert problem.startswith(f"{gone}: replaced by '{new}'")
    assert configure(YOLOv8, {"optimizer": "AdamW"})[1] == ["optimizer: unknown value 'AdamW', did you mean 'adamw'?"]
    assert configure(YOLOv8, {"mixed_precision": True})[1] == ["mixed_precision: unknown value True; known: bf16, no"]


def test_images_are_held_back_only_to_be_used(tmp_path: Path) -> None:
    data, shares = discs(tmp_path / "train", 8), {}
    for name, options in {
        "best": replace(TINY, keep="best"),
        "last": replace(TINY, validation_split=0.0),
        "last with a share": replace(TINY, validation_split=0.5),
    }.items():
        run = stage(tmp_path / name)
        options.train(data, run)
        shares[name] = run.metrics.get("validation_images", 0)
        assert ("validation_ap" in run.metrics) == (name != "last")
        assert run.metrics["kept_step"] == 4 or name == "best"
    assert shares == {"best": 2, "last": 0, "last with a share": 4}
    (problem,) = configure(YOLOv8, {"keep": "best"})[1]
    assert "set validation_split above 0" in problem


@pytest.mark.parametrize("images", [1, 9])
def test_every_training_set_gets_exactly_the_steps_that_were_asked_for(
    images: int, tmp_path: Path, rates: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthbench_yolov8.training import Trainer

    sizes: list[int] = []
    closed: list[int] = []

    def remember(self: Trainer, batch: dict[str, object]) -> dict[str, object]:
        prepared: dict[str, Any] = preprocess(self, batch)
        sizes.append(len(prepared["img"]))
        return prepared

    preprocess = Trainer.preprocess_batch
    monkeypatch.setattr(Trainer, "preprocess_batch", remember)
    monkeypatch.setattr(Trainer, "_close_dataloader_mosaic", lambda self: closed.append(self.steps))
    run, options = stage(tmp_path / "run"), replace(TINY, max_train_steps=25, warmup_share=0.12, close_mosaic_share=0.2)
    options.train(discs(tmp_path / "train", images), run)
    assert len(rates) == run.metrics["steps"] == 25
    assert sizes == [4] * 25
    assert closed == [20]
    assert rates.index(max(rates)) == 3, "the warm-up takes its share of the steps"
    assert rates[-1] == pytest.approx(0.002 * (0.01 + 0.99 / 25)), "the decay ends with the last step"
    held_back = {"validation_loss", "validation_ap"} if images > 1 else set()
    assert run.curves.keys() == {"loss", *held_back}
    for points in run.curves.values():
        assert len(points) == 20
        assert points[-1][0] == 25


def test_it_learns_and_leaves_two_files_and_a_clean_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import torch

    def offline(*address: object, **options: object) -> None:
        raise AssertionError(f"the network was asked for {address}")

    for call in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, call, offline)
    threads, saving, environment = torch.get_num_threads(), torch.save, dict(os.environ)
    events: list[dict[str, object]] = []
    run = stage(tmp_path / "run")
    run.emit = events.append
    options = replace(TINY, max_train_steps=84, mosaic=0.0, validation_split=0.0, warmup_share=0.07, learning_rate=0.005)
    options.train(discs(tmp_path / "train", 24, width=96, height=48), run)
    assert sorted(path.name for path in run.workdir.iterdir()) == ["model.json", "model.safetensors"]
    assert run.metrics == {"steps": 84, "kept_step": 84}
    assert [event for event in events if event.get("label") == "train"][-1]["done"] == 84

    test = discs(tmp_path / "test", 10, seed=9, width=96, height=48)
    found = list(options.predict(run.workdir, test.without_boxes(), stage(tmp_path / "predict")))
    hits = [overlap(boxes.xyxy[0], picture.boxes.xyxy[0]) for boxes, picture in zip(found, test, strict=True) if picture.boxes]
    assert np.mean(np.array(hits) > 0.5) >= 0.6
    for boxes in found:
        assert len(boxes) <= 100
        assert (boxes.xyxy >= 0).all()
        assert (boxes.xyxy <= [96, 48, 96, 48]).all()
        assert (np.diff(boxes.scores) <= 0).all()
    alone = next(options.predict(run.workdir, test.without_boxes()[3:4], stage(tmp_path / "alone")))
    np.testing.assert_allclose(alone.xyxy, found[3].xyxy, atol=0.01)
    strict = replace(options, score_threshold=1.0)
    assert all(len(boxes) == 0 for boxes in strict.predict(run.workdir, test.without_boxes(), stage(tmp_path / "strict")))

    assert (torch.get_num_threads(), torch.save) == (threads, saving)
    assert not torch.are_deterministic_algorithms_enabled()
    assert dict(os.environ) == environment
    assert capfd.readouterr() == ("", "")


def test_a_seed_says_everything_whatever_the_set_holds(tmp_path: Path) -> None:
    data = discs(tmp_path / "train", 7, width=70, height=41, categories=2)
    empty = replace(data[0], boxes=Boxes.none())
    unknown = replace(data[1], boxes=None)
    data = ImageSet(data.categories, (*data.pictures, empty, unknown))
    weights = []
    for number, seed in enumerate((1, 1, 2)):
        run = stage(tmp_path / str(number), seed=seed)
        TINY.train(data, run)
        weights.append((run.workdir / "model.safetensors").read_bytes())
        assert {"steps", "kept_step", "validation_images", "validation_ap", "validation_ap50"} == set(run.metrics)
    assert weights[0] == weights[1] != weights[2]


def test_one_picture_is_enough_and_no_box_is_too_little(tmp_path: Path) -> None:
    data = discs(tmp_path / "train", 1)
    run = stage(tmp_path / "run")
    replace(TINY, max_train_steps=3).train(data, run)
    assert run.metrics == {"steps": 3, "kept_step": 3}
    assert run.notes == ["yolov8: too few images with boxes to hold any back, so it trains on all of them and keeps the last weights"]
    assert len(list(TINY.predict(run.workdir, data.without_boxes(), run))) == 1
    bare = ImageSet(data.categories, tuple(replace(picture, boxes=Boxes.none()) for picture in data))
    with pytest.raises(SynthbenchError, match="none of its 1 images has a box"):
        TINY.train(bare, stage(tmp_path / "bare"))


def test_starting_weights(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    data, once = discs(tmp_path / "train", 4), replace(TINY, max_train_steps=1)
    first = stage(tmp_path / "first")
    once.train(data, first)
    for weights in (first.workdir, first.workdir / "model.safetensors"):
        run = stage(tmp_path / f"from {weights.name}")
        replace(once, weights=str(weights)).train(data, run)
        assert run.metrics["weights_loaded"] == run.metrics["weights_expected"] == 355
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"broken")
    torch.save({"model": torch.zeros(1)}, tmp_path / "pickle.pt")
    for named, trusted, message in (
        ("owner/repository", True, "hf download owner/repository model.safetensors"),
        (tmp_path / "other.safetensors", True, "none of its 1 tensors"),
        (tmp_path / "broken.safetensors", True, "not a readable checkpoint"),
        (tmp_path / "pickle.pt", False, "--allow-pickle"),
        (tmp_path / "pickle.pt", True, "cannot be opened as an ultralytics checkpoint"),
    ):
        run = stage(tmp_path / message.replace("/", "-"), allow_pickle=trusted)
        with pytest.raises(SynthbenchError, match=message):
            replace(once, weights=str(named)).train(data, run)
        assert not list(run.workdir.iterdir())


def test_a_loss_that_is_not_finite_and_an_interruption_end_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from safetensors.torch import save_file

    data, broken = discs(tmp_path / "train", 4), tmp_path / "broken.safetensors"
    save_file({"model.0.conv.weight": torch.full((16, 3, 3, 3), torch.nan)}, broken)
    with pytest.raises(SynthbenchError, match="diverged"):
        replace(TINY, weights=str(broken)).train(data, stage(tmp_path / "diverged"))

    def interrupt(self: StageRun, **metrics: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(StageRun, "show_metrics", interrupt)
    run = stage(tmp_path / "interrupted")
    with pytest.raises(KeyboardInterrupt):
        TINY.train(data, run)
    assert not list(run.workdir.iterdir())


def test_importing_it_leaves_pillow_as_it_was(tmp_path: Path) -> None:
    from PIL import Image, UnidentifiedImageError
    from synthbench_yolov8 import library  # noqa: F401

    (tmp_path / "no.png").write_bytes(b"no image")
    with pytest.raises(UnidentifiedImageError):
        Image.open(tmp_path / "no.png")
