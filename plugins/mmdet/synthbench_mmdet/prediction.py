"""Predicting with what `train` left."""

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

MOST = 100  # boxes an image, COCO's rule


def predict(options: Mmdet, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """See `Mmdet.predict`. One image at a time, so what is found in it does not depend on the others."""
    about = from_json((fitted / ABOUT).read_text())
    with contained(run):
        model = build(with_threshold(about["model"], options.score_threshold), about["config"])
        model.load_state_dict(load_file(fitted / MODEL))
        model.to(run.device).eval()
    for picture in run.track(images, "predict", unit="images"):
        with contained(run), torch.inference_mode():
            boxes = _find(model, picture, options)
        yield boxes


def _find(model: nn.Module, picture: Picture, options: Mmdet) -> Boxes:
    pixels, (across, down) = read(picture, options.image_size)
    nothing = torch.zeros(0)
    made = packed(pixels, nothing.reshape(0, 4), nothing.long(), nothing.bool())
    (sample,) = model.test_step({"inputs": [made["inputs"]], "data_samples": [made["data_samples"]]})
    found = sample.pred_instances.cpu()
    scale = torch.tensor([1 / across, 1 / down] * 2, dtype=torch.float64)
    boxes, kept = clip((found.bboxes * scale).float(), picture.width, picture.height)
    kept &= found.scores >= options.score_threshold
    order = found.scores[kept].argsort(descending=True, stable=True)[:MOST]
    return Boxes.of(boxes[kept][order], found.labels[kept][order], found.scores[kept][order])
