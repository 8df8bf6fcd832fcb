"""From a trained model to boxes in the pictures' own pixels."""

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

MOST = 100  # boxes of an image that COCO scores


def predict(options: Detr, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """Yields at most 100 boxes an image, best first, clipped to the image."""
    quiet()
    torch.set_num_threads(run.threads)
    kind = VARIANTS[options.variant]
    model = load(fitted, options.variant, run).to(run.device).eval()
    with torch.inference_mode():
        # One at a time: in batches, the last digits would depend on which images go together.
        for picture in run.track(images, "predict", unit="images"):
            values = pixel_values(square(picture, options.image_size)[None].to(run.device), normalised=kind.normalised)
            out = model(pixel_values=values)
            yield decode(out.logits[0], out.pred_boxes[0], picture, kind, options.score_threshold)


def decode(logits: Any, centred: Any, picture: Picture, kind: Variant, threshold: float) -> Boxes:
    """Boxes of one image from logits (Q, C, one more for `no object` with a softmax) and boxes (Q, 4).

    As transformers' `post_process_object_detection`: a softmax gives each query its best category, sigmoids let a
    query appear once for each category.
    """
    if kind.sigmoid:
        categories = logits.shape[1]
        scores, place = logits.sigmoid().flatten().sort(descending=True, stable=True)
        query, labels = place // categories, place % categories
    else:
        best, named = logits.softmax(-1)[:, :-1].max(-1)
        scores, query = best.sort(descending=True, stable=True)
        labels = named[query]
    middle, half = centred[query, :2], centred[query, 2:] / 2
    corners = torch.cat([middle - half, middle + half], -1).clamp(0, 1)
    sides = np.array([picture.width, picture.height, picture.width, picture.height], np.float32)
    boxes = Boxes.of(corners.float().cpu().numpy() * sides, labels.cpu().numpy(), scores.float().cpu().numpy())
    good = (boxes.scores >= threshold) & (boxes.xyxy[:, 2:] > boxes.xyxy[:, :2]).all(-1)
    return boxes.keep(np.flatnonzero(good)[:MOST])
