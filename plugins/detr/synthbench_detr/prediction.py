"""Prediction with a trained model: boxes in pixels of the image files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from synthbench import Boxes, ImageSet, Picture, Run

from synthbench_detr.data import pixel_values, square
from synthbench_detr.models import VARIANTS, Variant, load, quiet

if TYPE_CHECKING:
    from synthbench_detr import Detr

MAX_DETECTIONS = 100  # boxes per image; COCO's evaluation counts no more


def predict(options: Detr, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """Yields at most 100 boxes per image, highest score first, clipped to the image."""
    quiet()
    torch.set_num_threads(run.threads)
    kind = VARIANTS[options.variant]
    model = load(fitted, options.variant, run).to(run.device).eval()
    with torch.inference_mode():
        # One at a time: in a batch, the last digits would depend on the other images.
        for picture in run.track(images, "predict", unit="images"):
            values = pixel_values(square(picture, options.image_size)[None].to(run.device), normalised=kind.normalised)
            out = model(pixel_values=values)
            yield decode(out.logits[0], out.pred_boxes[0], picture, kind, options.score_threshold)


def decode(logits: Any, centred: Any, picture: Picture, kind: Variant, threshold: float) -> Boxes:
    """Boxes of one image from logits (Q, C, one more for `no object` with a softmax) and boxes (Q, 4).

    As transformers' `post_process_object_detection`: with a softmax a query yields one box, of its best category; with
    sigmoids it yields a box for each category.
    """
    if kind.sigmoid:
        categories = logits.shape[1]
        scores, index = logits.sigmoid().flatten().sort(descending=True, stable=True)
        query, labels = index // categories, index % categories
    else:
        best, categories_of_best = logits.softmax(-1)[:, :-1].max(-1)
        scores, query = best.sort(descending=True, stable=True)
        labels = categories_of_best[query]
    middle, half = centred[query, :2], centred[query, 2:] / 2
    corners = torch.cat([middle - half, middle + half], -1).clamp(0, 1)
    sides = np.array([picture.width, picture.height, picture.width, picture.height], np.float32)
    boxes = Boxes.of(corners.float().cpu().numpy() * sides, labels.cpu().numpy(), scores.float().cpu().numpy())
    kept = (boxes.scores >= threshold) & (boxes.xyxy[:, 2:] > boxes.xyxy[:, :2]).all(-1)
    return boxes.keep(np.flatnonzero(kept)[:MAX_DETECTIONS])
