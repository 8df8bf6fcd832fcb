"""Training images and their targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from synthbench import Boxes, Picture
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


def example(picture: Picture, mirrored: bool) -> tuple[NDArray[np.uint8], Boxes]:
    """The image uint8 (H, W, 3) and the boxes that are learned, as fractions of the image. Crowd regions are left out."""
    boxes, sides = picture.boxes or Boxes.none(), np.array([picture.width, picture.height] * 2, np.float64)
    corners = (boxes.xyxy / sides).clip(0, 1)
    image = picture.pixels()
    if mirrored:
        image = np.ascontiguousarray(image[:, ::-1])
        corners = np.column_stack([1 - corners[:, 2], corners[:, 1], 1 - corners[:, 0], corners[:, 3]])
    kept = (corners[:, 2:] > corners[:, :2]).all(-1) & ~boxes.crowd
    return image, Boxes.of(corners[kept], boxes.labels[kept])


def targets(boxes: Sequence[Boxes], device: torch.device) -> list[dict[str, Tensor]]:
    """The targets of transformers' loss, one dictionary per image: centre and size as fractions (M, 4), and classes (M,)."""
    made = []
    for each in boxes:
        middle, size = (each.xyxy[:, :2] + each.xyxy[:, 2:]) / 2, each.xyxy[:, 2:] - each.xyxy[:, :2]
        centred = torch.from_numpy(np.hstack([middle, size])).float()
        made.append({"boxes": centred.to(device), "class_labels": torch.from_numpy(each.labels).to(device)})
    return made
