"""Images and boxes in the form that the models need: square images, and boxes as fractions of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from synthbench import Boxes, ImageSet, Picture
from torch import Tensor
from torch.nn import functional as F

from synthbench_detr.models import IMAGENET_MEAN, IMAGENET_STD

MIN_VISIBLE = 0.35  # a box is kept if at least this share of it is in the crop: an object that shows less is hard to recognise


@dataclass(frozen=True)
class Squares:
    """A data set in memory: images uint8 (N, 3, S, S), and the boxes of each.

    boxes: float32 (M, 4) per image, corners x1, y1, x2, y2 as fractions of the image; labels: int64 (M,) per image.
    """

    images: Tensor
    boxes: list[Tensor]
    labels: list[Tensor]

    @classmethod
    def of(cls, data: ImageSet, size: int) -> Squares:
        """Reads every picture. Crowd regions and boxes without area are left out: DETR's losses support neither."""
        images = torch.stack([square(picture, size) for picture in data]) if len(data) else torch.zeros(0, 3, size, size, dtype=torch.uint8)
        kept = [_usable(picture) for picture in data]
        return cls(images, [torch.from_numpy(boxes.xyxy).float() for boxes in kept], [torch.from_numpy(boxes.labels) for boxes in kept])

    def __len__(self) -> int:
        return len(self.images)


def square(picture: Picture, size: int) -> Tensor:
    """A picture stretched to uint8 (3, size, size)."""
    image = Image.fromarray(picture.pixels()).resize((size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(image, np.uint8).copy()).permute(2, 0, 1)


def pixel_values(images: Tensor, *, normalised: bool) -> Tensor:
    """Images uint8 (N, 3, S, S) as float32: in 0..1, or `normalised` with ImageNet's mean and standard deviation."""
    values = images.float() / 255
    if not normalised:
        return values
    mean, std = (torch.tensor(each, device=images.device).view(3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
    return (values - mean) / std


def targets(boxes: list[Tensor], labels: list[Tensor], device: torch.device) -> list[dict[str, Tensor]]:
    """The targets of transformers' losses, one dictionary per image: centre and size as fractions (M, 4), and classes (M,)."""
    centred = [torch.cat([(box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]], -1) for box in boxes]
    return [{"boxes": box.to(device), "class_labels": label.to(device)} for box, label in zip(centred, labels, strict=True)]


def augment(
    values: Tensor, boxes: list[Tensor], labels: list[Tensor], *, horizontal_flip: float, scale_jitter: float, rng: torch.Generator
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Mirrors images with the probability `horizontal_flip`, scales them by 1 / `scale_jitter` to `scale_jitter`, and shifts them.

    Pixels from outside of the old image are 0. Arguments and results are as in `Squares`, values float32 (N, 3, S, S).
    """
    count = len(values)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=rng)

    # From coordinates in the new image to those in the old one, both -1..1: old = scale * new + shift.
    size = scale_jitter ** uniform(-1, 1)
    scale = torch.stack([torch.where(uniform(0, 1) < horizontal_flip, -size, size), size], -1)
    shift = uniform(-1, 1, 2) * (1 - size).abs()[:, None]
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale[:, 0], scale[:, 1], shift
    grid = F.affine_grid(theta.to(values.device), list(values.shape), align_corners=False)
    new_boxes, new_labels = [], []
    for old, label, factor, offset in zip(boxes, labels, scale, shift, strict=True):
        corners = ((old.view(-1, 2, 2) * 2 - 1 - offset) / factor + 1) / 2
        corners = torch.stack([corners.amin(1), corners.amax(1)], 1)
        clipped = corners.clamp(0, 1)
        visible = (clipped[:, 1] - clipped[:, 0]).prod(-1) > MIN_VISIBLE * (corners[:, 1] - corners[:, 0]).prod(-1)
        new_boxes.append(clipped.flatten(1)[visible])
        new_labels.append(label[visible])
    return F.grid_sample(values, grid, align_corners=False), new_boxes, new_labels


def _usable(picture: Picture) -> Boxes:
    boxes = picture.boxes or Boxes.none()
    sides = np.array([picture.width, picture.height, picture.width, picture.height], np.float32)
    corners = np.clip(boxes.xyxy.astype(np.float32) / sides, 0, 1)
    keep = (corners[:, 2:] > corners[:, :2]).all(-1) & ~boxes.crowd
    return Boxes.of(corners, boxes.labels).keep(keep)
