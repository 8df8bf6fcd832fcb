"""Prediction with the files that `train` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from synthbench import Boxes, ImageSet, Picture, Run
from torch import nn

from synthbench_mmdet.configs import build, from_json, with_threshold
from synthbench_mmdet.data import clip, packed, read
from synthbench_mmdet.library import contained
from synthbench_mmdet.training import ABOUT, MODEL

if TYPE_CHECKING:
    from synthbench_mmdet import Mmdet

MAX_DETECTIONS = 100  # boxes per image; COCO's evaluation counts no more


def predict(options: Mmdet, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """See `Mmdet.predict`. One image at a time, so that its boxes do not depend on the other images."""
    about = from_json((fitted / ABOUT).read_text())
    with contained(run):
        model = build(with_threshold(about["model"], options.score_threshold), about["config"])
        model.load_state_dict(load_file(fitted / MODEL))
        model.to(run.device).eval()
    for picture in run.track(images, "predict", unit="images"):
        with contained(run), torch.inference_mode():
            boxes = _detect(model, picture, options)
        yield boxes


def _detect(model: nn.Module, picture: Picture, options: Mmdet) -> Boxes:
    pixels, (across, down) = read(picture, options.image_size)
    empty = torch.zeros(0)
    inputs = packed(pixels, empty.reshape(0, 4), empty.long(), empty.bool())
    (sample,) = model.test_step({name: [value] for name, value in inputs.items()})
    found = sample.pred_instances.cpu()
    scale = torch.tensor([1 / across, 1 / down] * 2, dtype=torch.float64)
    boxes, kept = clip((found.bboxes * scale).float(), picture.width, picture.height)
    kept &= found.scores >= options.score_threshold
    order = found.scores[kept].argsort(descending=True, stable=True)[:MAX_DETECTIONS]
    return Boxes.of(boxes[kept][order], found.labels[kept][order], found.scores[kept][order])
