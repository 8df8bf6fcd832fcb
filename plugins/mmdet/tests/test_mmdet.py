"""mmdet's detectors on toy pictures: red and blue squares on noise."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from synthbench import Boxes, ImageSet, Picture, SynthbenchError
from synthbench.contract.images import write_image
from synthbench.contract.options import configure, option_values
from synthbench.execution.stage_run import StageRun
from synthbench.metrics import evaluate
from synthbench_mmdet import DETRMmdet, FasterRCNNMmdet, Mmdet
from synthbench_mmdet.zoo import zoo

COLOURS = ((210, 30, 40), (40, 40, 210))
FASTER = FasterRCNNMmdet(config="small-faster-rcnn", image_size=64, max_train_steps=2, batch_size=4)
DETR = DETRMmdet(config="small-deformable-detr", image_size=64, max_train_steps=2, batch_size=4)


def draw(path: Path, seed: int, *, count: int = 2, wide: int = 64, high: int = 64) -> Picture:
    rng = np.random.default_rng([7, seed])
    pixels = rng.integers(0, 110, (high, wide, 3)).astype(np.uint8)
    boxes, labels = [], []
    for _ in range(count):
        side, label = int(rng.integers(10, 21)), int(rng.integers(0, 2))
        x, y = int(rng.integers(0, wide - side + 1)), int(rng.integers(0, high - side + 1))
        pixels[y : y + side, x : x + side] = COLOURS[label]
        boxes.append((x, y, x + side, y + side))
        labels.append(label)
    write_image(path, pixels)
    return Picture(path, wide, high, Boxes.of(boxes, labels))


@pytest.fixture
def toys(tmp_path: Path) -> ImageSet:
    return ImageSet(("red", "blue"), tuple(draw(tmp_path / f"{seed}.png", seed) for seed in range(6)))


def trained(options: Mmdet, data: ImageSet, folder: Path, **about: object) -> StageRun:
    folder.mkdir()
    run = StageRun(folder, **about)  # type: ignore[arg-type]
    options.train(data, run)
    return run


def found(options: Mmdet, fitted: Path, images: ImageSet) -> list[Boxes]:
    return list(options.predict(fitted, images.without_boxes(), StageRun(fitted)))


def refused(**options: object) -> str:
    detector, problems = configure(FasterRCNNMmdet, options)
    assert detector is None
    return "\n".join(problems)


def test_importing_the_plugin_is_light() -> None:
    code = (
        "import sys, synthbench_mmdet; synthbench_mmdet.FasterRCNNMmdet(overrides={'model.type': 'FasterRCNN'});"
        "print([name for name in ('torch', 'numpy', 'mmengine', 'mmdet') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("detector", [FasterRCNNMmdet, DETRMmdet])
def test_old_names_are_reported_with_the_new_ones(detector: type[Mmdet]) -> None:
    assert configure(detector, {"batch": 4, "flip": 0.5, "zoom": 1.25})[1] == [
        "batch: renamed to 'batch_size'",
        "flip: renamed to 'horizontal_flip'",
        "zoom: renamed to 'scale_jitter'",
    ]
    for gone in ("epochs", "min_steps"):
        (problem,) = configure(detector, {gone: 4})[1]
        assert problem.startswith(f"{gone}: replaced by 'max_train_steps'")


@pytest.mark.parametrize(("options", "images"), [(FASTER, 1), (FASTER, 6), (DETR, 6)])
def test_every_training_set_gets_exactly_the_steps_that_were_asked_for(
    options: Mmdet, images: int, toys: ImageSet, tmp_path: Path, rates: list[float]
) -> None:
    longer = replace(options, max_train_steps=25, learning_rate=1e-3)
    run = trained(replace(longer, validation_split=0.3), toys[:images], tmp_path / "fitted")
    assert len(rates) == run.metrics["steps"] == 25
    assert rates.index(max(rates)) <= 3, "the warm-up takes a tenth of the steps"
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] < 1e-5, "the decay ends with the last step"
    assert run.curves.keys() == {"loss", "validation_loss"}
    for points in run.curves.values():
        assert len(points) == 20
        assert points[-1][0] == 25
    assert run.metrics.get("validation_images", 0) == {1: 0, 6: 2}[images]


def test_measuring_on_images_held_back_changes_no_training(toys: ImageSet, tmp_path: Path) -> None:
    trained(FASTER, toys[:1], tmp_path / "alone")
    trained(replace(FASTER, validation_split=0.5), toys[:1], tmp_path / "measured")  # a single image is not held back
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("alone", "measured")]
    assert files[0] == files[1]


@pytest.mark.parametrize("options", [FASTER, DETR], ids=["faster-rcnn", "detr"])
def test_training_is_repeatable_and_leaves_no_trace(
    options: Mmdet, toys: ImageSet, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import cv2
    from mmengine.logging import MMLogger
    from mmengine.registry import DefaultScope

    before = dict(os.environ), torch.get_num_threads(), cv2.getNumThreads(), logging.root.handlers[:], sorted(tmp_path.iterdir())
    events: list[dict[str, object]] = []
    first = trained(options, toys, tmp_path / "a", seed=3, emit=events.append)
    trained(options, toys, tmp_path / "b", seed=3)
    trained(options, toys, tmp_path / "c", seed=4)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert files[0] == files[1] != files[2]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["model.json", "model.safetensors"]
    for folder in "abc":
        shutil.rmtree(tmp_path / folder)
    assert before == (dict(os.environ), torch.get_num_threads(), cv2.getNumThreads(), logging.root.handlers[:], sorted(tmp_path.iterdir()))
    assert not MMLogger._instance_dict
    assert not DefaultScope._instance_dict
    assert "".join(capfd.readouterr()) == ""
    assert {"loss", "loss_cls", "loss_bbox"} <= first.shown.keys()
    assert events[-1] == {"event": "progress", "label": "train", "done": 2, "total": 2, "unit": "steps", "figures": first.shown}
    assert not [event for event in events if event["event"] == "log"]


def test_a_fresh_process_predicts_the_same_from_a_moved_folder(toys: ImageSet, tmp_path: Path) -> None:
    anything = replace(FASTER, score_threshold=0.0)
    trained(anything, toys, tmp_path / "fitted")
    here = found(anything, tmp_path / "fitted", toys)
    assert sum(map(len, here)) > 0
    shutil.move(tmp_path / "fitted", tmp_path / "moved")
    code = (
        "import sys; from pathlib import Path; from synthbench import *; from synthbench.execution.stage_run import StageRun\n"
        "from synthbench_mmdet import FasterRCNNMmdet\n"
        "options = FasterRCNNMmdet(config='small-faster-rcnn', image_size=64, score_threshold=0.0)\n"
        "images = ImageSet(('red', 'blue'), tuple(Picture(Path(sys.argv[1]) / f'{n}.png', 64, 64) for n in range(2)))\n"
        "fitted = Path(sys.argv[1]) / 'moved'\n"
        "print([boxes.xyxy.tobytes().hex() for boxes in options.predict(fitted, images, StageRun(fitted))])"
    )
    there = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True).stdout.strip()
    assert there == str([boxes.xyxy.tobytes().hex() for boxes in here[:2]])


def test_finds_squares_of_two_kinds(tmp_path: Path) -> None:
    toys = ImageSet(("red", "blue"), tuple(draw(tmp_path / f"{seed}.png", seed) for seed in range(16)))
    trained(replace(FASTER, max_train_steps=80), toys, tmp_path / "fitted")
    figures = evaluate([picture.boxes or Boxes.none() for picture in toys], found(FASTER, tmp_path / "fitted", toys), 2)
    assert (figures["AP50"] or 0) > 0.4


@pytest.mark.parametrize("options", [FASTER, DETR], ids=["faster-rcnn", "detr"])
def test_trains_on_odd_training_sets(options: Mmdet, tmp_path: Path) -> None:
    wide = draw(tmp_path / "wide.png", 0, wide=171, high=33)
    empty = replace(draw(tmp_path / "empty.png", 1, count=0), boxes=Boxes.none())
    outside = replace(wide, boxes=Boxes.of([(-5, -5, 190, 90), (3, 3, 3, 9), (0, 0, 70, 30)], [0, 1, 1], crowd=[False, False, True]))
    Image.fromarray(np.full((1, 90), 40000, np.uint16)).save(tmp_path / "line.png")  # 16 bits, grey, a pixel high
    line = Picture(tmp_path / "line.png", 90, 1, Boxes.of([(3, 0, 30, 1)]))
    one = replace(options, score_threshold=0.0)
    for number, pictures in enumerate([(wide,), (empty,), (wide, empty), (outside, line, empty)]):
        data = ImageSet(("red", "blue"), pictures)
        trained(one, data, tmp_path / str(number))
        for picture, boxes in zip(data, found(one, tmp_path / str(number), data), strict=True):
            assert len(boxes) <= 100
            assert (boxes.xyxy >= 0).all()
            assert (boxes.xyxy <= [picture.width, picture.height] * 2).all()
            assert set(boxes.labels.tolist()) <= {0, 1}
            assert (np.diff(boxes.scores) <= 0).all()
    assert sum(map(len, found(replace(one, score_threshold=1.0), tmp_path / "0", data))) == 0


def test_boxes_follow_their_pixels(tmp_path: Path) -> None:
    from synthbench_mmdet.data import augment, load

    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:22, 30:46] = 255
    write_image(tmp_path / "a.png", pixels)
    (example,) = load([Picture(tmp_path / "a.png", 60, 40, Boxes.of([(30, 10, 46, 22)]))], 120)
    assert example.pixels.shape == (3, 80, 120)
    rng = torch.Generator().manual_seed(0)
    seen = 0
    for _ in range(20):
        image, boxes, *_ = augment(example, 0.5, 1.6, 120, rng)
        assert max(image.shape[1:]) <= 120
        for box in boxes:
            seen += 1
            x1, y1, x2, y2 = box.round().int().tolist()
            assert image[0, y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].mean() > 240
            image[:, max(y1 - 2, 0) : y2 + 2, max(x1 - 2, 0) : x2 + 2] = 0
        assert image.max() < 80
    assert seen >= 15


HARMFUL: Mapping[str, Mapping[str, object]] = {
    "only settings below model and optim_wrapper": {
        "custom_imports.imports": ["harm"],
        "custom_hooks": [{"type": "Harm"}],
        "work_dir": "elsewhere",
        "load_from": "harm",
        "visualizer.type": "Visualizer",
        "_base_": "harm",
        "model": {"type": "FasterRCNN"},
        "Model.type": "FasterRCNN",
    },
    "is not a plain word": {
        "model.type": "os.system",
        "model.backbone": {"type": "ResNet", "norm_cfg": {"type": "subprocess.run"}},
        "model.backbone.plugins": [{"cfg": {"type": "os.system"}}],
        "model.test_cfg.rcnn.nms.type": "__import__('os').system('true')",
        "model.neck.type": "$(true)",
        "model.neck.act_cfg": {"type": "{{fileDirname}}"},
        "optim_wrapper.optimizer.type": "torch.optim.Adam",
        "optim_wrapper.constructor": "builtins.exec",
        "model.backbone.name": "../elsewhere",
        "model.neck.name": "https://example.org/harm",
        "model.backbone.type": "mmdet::harm",
        "model.backbone.style": "",
    },
    "is not the name of a setting": {
        "model.backbone._scope_": "harm",
        "model.backbone": {"_scope_": "harm"},
        "model.neck": {"_delete_": True},
        "model.__class__.x": 1,
        "model..x": 1,
        "model.neck.x y": 1,
    },
    "names files": {
        "model.backbone.init_cfg": {"type": "Pretrained"},
        "model.backbone.init_cfg.checkpoint": "harm",
        "model.backbone": {"pretrained": "harm"},
        "model.teacher_config": "harm",
        "model.teacher_ckpt": "harm",
    },
    "neither a number, a word, a list nor a table": {"model.neck.num_outs": {1, 2}},
}


@pytest.mark.parametrize(("reason", "path"), [(reason, path) for reason, harms in HARMFUL.items() for path in harms])
def test_a_suite_can_run_nothing_through_overrides(reason: str, path: str) -> None:
    assert reason in refused(overrides={path: HARMFUL[reason][path]})


def test_modules_must_be_registered(toys: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harm.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    harmful: list[dict[str, Any]] = [
        {"model.neck.type": "harm"},
        {"model.backbone.plugins": [{"cfg": {"type": "harm"}}]},
        {"model.test_cfg.rcnn.nms.type": "exit"},
        {"model.test_cfg.rcnn.nms": {"type": "exit"}},
        {"optim_wrapper.constructor": "harm"},
    ]
    for number, overrides in enumerate(harmful):
        with pytest.raises(SynthbenchError, match="registered no module"):
            trained(replace(FASTER, overrides=overrides), toys, tmp_path / str(number))
    assert not (tmp_path / "ran").exists()


def test_a_language_model_opens_nothing(toys: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "config.json").write_text('{"model_type": "bert"}')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SynthbenchError, match="asked to import or open"):
        trained(replace(FASTER, overrides={"model.neck": {"type": "BertModel", "name": "evil"}}), toys, tmp_path / "out")


def test_mmengine_opens_nothing_while_a_model_is_built() -> None:
    from mmengine.config import Config
    from mmengine.runner import load_checkpoint
    from synthbench_mmdet.library import MODELS, contained

    with contained(StageRun(Path())):
        acts: list[Callable[[], object]] = [
            lambda: Config.fromfile("harm.py"),
            lambda: load_checkpoint(torch.nn.Linear(1, 1), "harm.pth"),
        ]
        for act in acts:
            with pytest.raises(SynthbenchError, match="asked to import or open"):
                act()
        with pytest.raises(RuntimeError, match=r"Failed to get os\.getcwd"):
            MODELS.build({"type": "os.getcwd"})
    assert MODELS.get("os.getcwd") is os.getcwd


def test_overrides_change_the_config() -> None:
    from synthbench_mmdet.configs import from_json, resolve, to_json

    suite = tomllib.loads(
        'overrides = { "model.rpn_head.anchor_generator.scales" = [4], "model.backbone" = { type = "ResNet", depth = 18 } }'
    )
    detector, problems = configure(FasterRCNNMmdet, suite)
    assert detector is not None, problems
    assert json.loads(json.dumps(option_values(detector, ())))["overrides"] == suite["overrides"]
    again, _ = configure(FasterRCNNMmdet, option_values(detector))
    assert again == detector
    settings = resolve(detector, 3)
    assert settings["model"]["rpn_head"]["anchor_generator"]["scales"] == [4]
    assert settings["model"]["backbone"] == {"type": "ResNet", "depth": 18}
    assert settings["model"]["roi_head"]["bbox_head"]["num_classes"] == 3
    assert from_json(to_json(settings)) == settings
    cascade = FasterRCNNMmdet(config="cascade-rcnn_r50_fpn_1x_coco", overrides={"model.roi_head.bbox_head.2.fc_out_channels": 8})
    assert [head["fc_out_channels"] for head in resolve(cascade, 1)["model"]["roi_head"]["bbox_head"]] == [1024, 1024, 8]
    for path, message in {
        "model.rpn_hed.loss_cls": r"this config has no model\.rpn_hed; there is type, data_preprocessor, backbone",
        "model.roi_head.bbox_head.3.x": r"has no model\.roi_head\.bbox_head\.3; there is 0 to 2",
        "model.backbone.depth.x": r"model\.backbone\.depth is 50 in this config",
    }.items():
        with pytest.raises(SynthbenchError, match=message):
            resolve(replace(cascade, overrides={path: 1}), 1)


def test_from_scratch_everything_learns_and_pretrained_stays_frozen() -> None:
    from synthbench_mmdet.configs import resolve

    scratch = resolve(FasterRCNNMmdet(), 1)["model"]["backbone"]
    assert "init_cfg" not in scratch
    assert "frozen_stages" not in scratch
    assert not scratch["norm_eval"]
    pretrained = resolve(FasterRCNNMmdet(weights="somewhere.safetensors"), 1)["model"]["backbone"]
    assert (pretrained["frozen_stages"], pretrained["norm_eval"], "init_cfg" in pretrained) == (1, True, False)
    assert resolve(DETRMmdet(), 1)["model"]["backbone"]["norm_cfg"]["requires_grad"]


@pytest.mark.parametrize(
    "name",
    [
        "faster-rcnn_r50_fpn_1x_coco",
        "faster-rcnn_r50-caffe-dc5_1x_coco",
        "faster-rcnn_r50_fpn_soft-nms_1x_coco",
        "faster-rcnn_x101-32x4d_fpn_1x_coco",
        "detr_r50_8xb2-150e_coco",
        "conditional-detr_r50_8xb2-50e_coco",
        "dab-detr_r50_8xb2-50e_coco",
        "deformable-detr-refine-twostage_r50_16xb2-50e_coco",
        "dino-4scale_r50_8xb2-12e_coco",
        "retinanet_r50_fpn_1x_coco",
        "fcos_r50-caffe_fpn_gn-head_1x_coco",
        "atss_r50_fpn_1x_coco",
        "yolox_tiny_8xb8-300e_coco",
        "rtmdet_tiny_8xb32-300e_coco",
        "ssd300_coco",
        "d2_faster-rcnn_r50-caffe_fpn_ms-90k_coco",
    ],
)
def test_configs_of_the_zoo_build(name: str, tmp_path: Path) -> None:
    from synthbench_mmdet.configs import build, resolve
    from synthbench_mmdet.library import contained

    options = FasterRCNNMmdet(config=name)
    with torch.device("meta"):  # shapes without values, which takes no time
        if name.startswith("d2_"):
            with contained(StageRun(tmp_path)), pytest.raises(SynthbenchError, match="Detectron2"):
                build(resolve(options, 2)["model"], name)
            return
        with contained(StageRun(tmp_path)):
            model = build(resolve(options, 2)["model"], name)
    assert sum(parameter.numel() for parameter in model.parameters()) > 1e6


def test_configs_that_cannot_be_used_are_refused() -> None:
    from synthbench_mmdet.configs import resolve

    assert len(zoo()) > 500
    assert "did you mean 'faster-rcnn_r50_fpn_1x_coco'?" in refused(config="faster-rcnn_r50_fpn_1x_cocoa")
    assert "mmdet ships no '/tmp/harm.py'" in refused(config="/tmp/harm.py")
    assert "mmdet ships no" in refused(config="../faster_rcnn/faster-rcnn_r50_fpn_1x_coco")
    for name, message in {"mask-rcnn_r50_fpn_1x_coco": "learns from masks", "centernet_tta": "no model with an optimizer"}.items():
        with pytest.raises(SynthbenchError, match=message):
            resolve(FasterRCNNMmdet(config=name), 1)


def test_starts_from_a_detector_of_other_categories(toys: ImageSet, tmp_path: Path) -> None:
    trained(FASTER, toys, tmp_path / "before")
    still = replace(FASTER, weights=str(tmp_path / "before"), learning_rate=1e-9)
    one_kind = ImageSet(("square",), tuple(replace(picture, boxes=Boxes.none()) for picture in toys))
    run = trained(still, one_kind, tmp_path / "after")
    parts = "roi_head.bbox_head.fc_cls, roi_head.bbox_head.fc_reg"
    assert run.notes == [f"4 of 130 tensors are not in {still.weights} or differ in shape: {parts}"]
    old, new = load_file(tmp_path / "before" / "model.safetensors"), load_file(tmp_path / "after" / "model.safetensors")
    torch.testing.assert_close(old["backbone.conv1.weight"], new["backbone.conv1.weight"], atol=1e-6, rtol=0)
    backbone = {name.removeprefix("backbone."): tensor for name, tensor in old.items() if name.startswith("backbone.")}
    save_file(backbone, tmp_path / "backbone.safetensors")
    run = trained(replace(still, weights=str(tmp_path / "backbone.safetensors")), toys, tmp_path / "c")
    assert run.metrics["weights_loaded"] == len(backbone)
    save_file({"another": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(SynthbenchError, match="has no tensor that fits"):
        trained(replace(still, weights=str(tmp_path / "other.safetensors")), toys, tmp_path / "d")


def test_mmengines_checkpoints_open(tmp_path: Path) -> None:
    from mmengine.logging import HistoryBuffer
    from synthbench_mmdet.weights import open_weights

    checkpoint = {"meta": {"epoch": 1}, "state_dict": {"module.a": torch.ones(2)}, "message_hub": {"loss": HistoryBuffer([0.5], [1])}}
    torch.save(checkpoint, tmp_path / "mmengine.pth")
    options = replace(FASTER, weights=str(tmp_path / "mmengine.pth"))
    assert open_weights(options, StageRun(tmp_path, allow_pickle=True)).keys() == {"a"}
    with pytest.raises(SynthbenchError, match="is a pickle"):
        open_weights(options, StageRun(tmp_path))


def test_its_own_environment_is_an_option() -> None:
    assert FASTER.environment is None
    for option, mmcv in (("isolated", "mmcv-lite==2.1.0"), ("compiled", "mmcv==2.1.0")):
        values: dict[str, Any] = {option: True}
        own = replace(FASTER, **values).environment
        assert own is not None
        assert {"torch==2.1.2", "mmdet==3.3.0", mmcv} <= set(own.dependencies)
