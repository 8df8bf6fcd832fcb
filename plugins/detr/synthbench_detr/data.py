"""Pictures and boxes as the models take them: squares, and boxes as fractions of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from synthbench import Boxes, ImageSet, Picture
from torch import Tensor
from torch.nn import functional as F

from synthbench_detr.models import IMAGENET_MEAN, IMAGENET_STD

# A box is kept where this share of it is still in the crop: less is hardly to be recognised.
SEEN = 0.35


@dataclass(frozen=True)
class Squares:
    """Images uint8 (N, 3, S, S), held in memory, and for each its boxes.

    boxes: float32 (M, 4) a picture, corners x1, y1, x2, y2 as fractions of the image; labels: int64 (M,).
    """

    images: Tensor
    boxes: list[Tensor]
    labels: list[Tensor]

    @classmethod
    def of(cls, data: ImageSet, size: int) -> Squares:
        """Reads every picture. Crowd regions and boxes without area are left out: DETR's losses know neither."""
        images = torch.stack([square(picture, size) for picture in data]) if len(data) else torch.zeros(0, 3, size, size, dtype=torch.uint8)
        kept = [_usable(picture) for picture in data]
        return cls(images, [torch.from_numpy(boxes.xyxy) for boxes in kept], [torch.from_numpy(boxes.labels) for boxes in kept])

    def __len__(self) -> int:
        return len(self.images)


def square(picture: Picture, size: int) -> Tensor:
    """A picture stretched to uint8 (3, size, size)."""
    image = Image.fromarray(picture.pixels()).resize((size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(image, np.uint8).copy()).permute(2, 0, 1)


def pixel_values(images: Tensor, *, normalised: bool) -> Tensor:
    """Images uint8 (N, 3, S, S) as float32: 0..1, or ImageNet's normalisation."""
    values = images.float() / 255
    if not normalised:
        return values
    mean, std = (torch.tensor(each, device=images.device).view(3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
    return (values - mean) / std


def targets(boxes: list[Tensor], labels: list[Tensor], device: torch.device) -> list[dict[str, Tensor]]:
    """What transformers' losses compare with: centre and size as fractions, and classes."""
    centred = [torch.cat([(box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]], -1) for box in boxes]
    return [{"boxes": box.to(device), "class_labels": label.to(device)} for box, label in zip(centred, labels, strict=True)]


def augment(
    values: Tensor, boxes: list[Tensor], labels: list[Tensor], *, flip: float, zoom: float, chance: torch.Generator
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Mirrors a share `flip` of the images, scales all by 1/zoom to zoom, and moves them; what was outside becomes 0."""
    count = len(values)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=chance)

    # From places in the new image to places in the old one, both -1..1: old = scale * new + shift.
    size = zoom ** uniform(-1, 1)
    scale = torch.stack([torch.where(uniform(0, 1) < flip, -size, size), size], -1)
    shift = uniform(-1, 1, 2) * (1 - size).abs()[:, None]
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale[:, 0], scale[:, 1], shift
    grid = F.affine_grid(theta.to(values.device), list(values.shape), align_corners=False)
    moved, named = [], []
    for old, label, by, to in zip(boxes, labels, scale, shift, strict=True):
        corners = ((old.view(-1, 2, 2) * 2 - 1 - to) / by + 1) / 2
        corners = torch.stack([corners.amin(1), corners.amax(1)], 1)
        cut = corners.clamp(0, 1)
        seen = (cut[:, 1] - cut[:, 0]).prod(-1) > SEEN * (corners[:, 1] - corners[:, 0]).prod(-1)
        moved.append(cut.flatten(1)[seen])
        named.append(label[seen])
    return F.grid_sample(values, grid, align_corners=False), moved, named


def _usable(picture: Picture) -> Boxes:
    boxes = picture.boxes or Boxes.none()
    sides = np.array([picture.width, picture.height, picture.width, picture.height], np.float32)
    corners = np.clip(boxes.xyxy / sides, 0, 1)
    keep = (corners[:, 2:] > corners[:, :2]).all(-1) & ~boxes.crowd
    return Boxes.of(corners, boxes.labels).keep(keep)
