"""COCO's AP of a detector of the DETR family with one category, by synthbench's own metrics."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from synthbench import Boxes
from synthbench.metrics import evaluate
from torch import Tensor


def average_precision(truth: Sequence[Tensor], scores: Tensor, boxes: Tensor) -> dict[str, float]:
    """AP and AP50.

    truth: of each image, boxes (M, 4), xyxy in pixels. scores: of the queries, (N, Q). boxes: of the queries, centre and size in
    pixels, (N, Q, 4).
    """
    corners = torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)
    found = [Boxes.of(some.numpy(), scores=score.numpy()) for some, score in zip(corners, scores, strict=True)]
    figures = evaluate([Boxes.of(each.numpy()) for each in truth], found, 1)
    return {name: -1.0 if (value := figures[name]) is None else round(value, 4) for name in ("AP", "AP50")}  # -1: nothing to find
