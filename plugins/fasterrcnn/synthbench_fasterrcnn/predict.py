"""Prediction with the files that `train` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from synthbench import Boxes

from synthbench_fasterrcnn.data import clip, read
from synthbench_fasterrcnn.model import MODEL, SPEC, Spec, build

if TYPE_CHECKING:
    from synthbench import ImageSet, Run

    from synthbench_fasterrcnn import FasterRCNN


def predict(options: FasterRCNN, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """See `FasterRCNN.predict`. One image at a time, so that its boxes do not depend on the other images."""
    spec = Spec.load(fitted / SPEC)
    model = build(spec, options)
    model.load_state_dict(load_file(fitted / MODEL))
    model.to(run.device).eval()
    for picture in run.track(images, "predict", unit="images"):
        pixels = read(picture, spec.image_size)
        with torch.inference_mode():
            (found,) = model([pixels.to(run.device).float() / 255])
        scale = torch.tensor([picture.width / pixels.shape[-1], picture.height / pixels.shape[-2]] * 2)
        boxes, kept = clip(found["boxes"].cpu() * scale, picture.width, picture.height)
        yield Boxes.of(boxes[kept], found["labels"].cpu()[kept] - 1, found["scores"].cpu()[kept])
