"""Prediction from the saved weights, with ultralytics' functions but without its predictor.

The predictor pads an image to the largest of its batch, and stops non-maximum suppression when a time limit is reached.
Here the boxes of an image depend on that image alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from synthbench import Boxes, ImageSet, Run

from synthbench_yolov8.library import LetterBox, contained, nms, scale_boxes
from synthbench_yolov8.weights import rebuild

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch.nn import Module

    from synthbench_yolov8 import YOLOv8

MAX_DETECTIONS = 100  # boxes per image; COCO's evaluation counts no more


def predict(options: YOLOv8, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """See `YOLOv8.predict`."""
    with contained(run, str(run.workdir)):
        model = rebuild(fitted).to(run.device)
    for start in run.track(range(0, len(images), options.batch_size), "predict", unit="batches"):
        pictures = [picture.pixels() for picture in images[start : start + options.batch_size]]
        with contained(run, str(run.workdir)):
            boxes = list(_predict_batch(options, model, pictures, run.device))
        yield from boxes


def _predict_batch(options: YOLOv8, model: Module, pictures: list[NDArray[np.uint8]], device: str) -> Iterator[Boxes]:
    """Boxes of each picture, uint8 (H, W, 3) RGB, in its own pixels."""
    letterbox = LetterBox((options.image_size, options.image_size), auto=False)
    squares = np.stack([letterbox(image=pixels) for pixels in pictures])
    inputs = torch.from_numpy(squares).to(device).permute(0, 3, 1, 2).float().div_(255)
    with torch.inference_mode():
        found = nms(
            model(inputs), options.score_threshold, options.nms_iou, multi_label=True, max_det=MAX_DETECTIONS, max_time_img=math.inf
        )
    for pixels, rows in zip(pictures, found, strict=True):
        corners = scale_boxes(inputs.shape[2:], rows[:, :4].clone(), pixels.shape).cpu().numpy()
        boxes = Boxes.of(corners, rows[:, 5].cpu().numpy(), rows[:, 4].cpu().numpy())
        yield boxes.keep((corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1]))
