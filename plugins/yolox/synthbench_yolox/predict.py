"""Prediction with the files that `train` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from synthbench import Boxes
from torch import Tensor
from yolox.utils import postprocess

from synthbench_yolox.data import padded, read
from synthbench_yolox.model import MODEL, SPEC, Spec, on_device

if TYPE_CHECKING:
    from synthbench import ImageSet, Run

    from synthbench_yolox import YOLOX

MAX_DETECTIONS = 100  # boxes per image; COCO's evaluation counts no more


def predict(options: YOLOX, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """See `YOLOX.predict`. One image at a time, so that its boxes do not depend on the other images."""
    spec = Spec.load(fitted / SPEC)
    model = spec.experiment().get_model()
    model.load_state_dict(load_file(fitted / MODEL))
    device, current = on_device(run.device)
    model.to(device).eval()
    for picture in run.track(images, "predict", unit="images"):
        image = read(picture, spec.image_size)
        with current, torch.inference_mode():
            raw = model(padded(image, spec.image_size)[None].to(device))
            (found,) = postprocess(raw, len(spec.categories), options.score_threshold, options.nms_iou)
        high, wide = image.shape[:2]
        yield _boxes(found, picture.width / wide, picture.height / high, picture.width, picture.height)


def _boxes(found: Tensor | None, across: float, down: float, width: int, height: int) -> Boxes:
    """Boxes in pixels of the image file.

    found: float32 (N, 7), highest score first: corners at `image_size`, objectness, class score, label. None: no boxes.
    """
    if found is None:
        return Boxes.none()
    # YOLOX computes sizes as exponentials, which can overflow after a training that failed to learn.
    rows = found[torch.isfinite(found).all(1)][:MAX_DETECTIONS].cpu().numpy()
    boxes = Boxes.of(rows[:, :4], rows[:, 6], rows[:, 4] * rows[:, 5]).scaled(across, down)
    clipped = boxes.xyxy.clip(0, [width, height] * 2)
    return Boxes.of(clipped, boxes.labels, boxes.scores).keep((clipped[:, 2:] > clipped[:, :2]).all(1))
