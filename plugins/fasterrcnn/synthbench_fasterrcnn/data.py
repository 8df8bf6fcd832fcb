"""Images as tensors: resized once, kept in memory, and augmented each time they are used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from synthbench import Picture

Target = dict[str, Tensor]
Example = tuple[Tensor, Target]
MIN_SIDE = 1.0  # pixels; torchvision refuses boxes without area
MIN_VISIBLE = 0.3  # share of a box that a crop must leave


def read(picture: Picture, image_size: int) -> Tensor:
    """The picture as uint8 (3, H, W), its longer side `image_size`."""
    pixels = torch.from_numpy(picture.pixels().copy()).permute(2, 0, 1)
    high, wide = pixels.shape[-2:]
    scale = image_size / max(high, wide)
    return _resize(pixels.float(), max(round(high * scale), 1), max(round(wide * scale), 1)).round().to(torch.uint8)


def load(images: Iterable[Picture], image_size: int) -> list[Example]:
    """Each picture as `read` returns it, with its boxes: `boxes` float32 (N, 4) in pixels, `labels` int64 (N,) from 1."""
    return [(pixels := read(picture, image_size), _target(picture, pixels)) for picture in images]


def augment(example: Example, horizontal_flip: float, scale_jitter: float, image_size: int, rng: torch.Generator) -> Example:
    """Mirrors with the probability `horizontal_flip`, scales by a factor from 1 / `scale_jitter` to `scale_jitter`, and crops to
    `image_size` at a random position where the image has become larger.

    Returns the image as float32 (3, H, W) in 0..1, with the boxes that are still in it.
    """
    pixels, target = example
    image, boxes, labels = pixels.float() / 255, target["boxes"], target["labels"]
    high, wide = image.shape[-2:]
    draw = torch.rand(4, generator=rng).tolist()
    if draw[0] < horizontal_flip:
        image = image.flip(-1)
        boxes = torch.stack([wide - boxes[:, 2], boxes[:, 1], wide - boxes[:, 0], boxes[:, 3]], 1)
    if scale_jitter > 1:
        factor = scale_jitter ** (2 * draw[1] - 1)
        new_high, new_wide = max(round(high * factor), 1), max(round(wide * factor), 1)
        image = _resize(image, new_high, new_wide)
        left, top = (int(share * (max(side - image_size, 0) + 1)) for share, side in ((draw[2], new_wide), (draw[3], new_high)))
        image = image[:, top : top + image_size, left : left + image_size]
        scaled = boxes * torch.tensor([new_wide / wide, new_high / high] * 2) - torch.tensor([left, top] * 2)
        boxes, kept = clip(scaled, image.shape[-1], image.shape[-2])
        kept &= _area(boxes) >= MIN_VISIBLE * _area(scaled)
        boxes, labels = boxes[kept], labels[kept]
    return image, {"boxes": boxes, "labels": labels}


def clip(boxes: Tensor, wide: int, high: int) -> tuple[Tensor, Tensor]:
    """The boxes (N, 4) clipped to the image, and which of them (N,) are still at least `MIN_SIDE` wide and high."""
    cut = torch.stack([boxes[:, 0].clamp(0, wide), boxes[:, 1].clamp(0, high), boxes[:, 2].clamp(0, wide), boxes[:, 3].clamp(0, high)], 1)
    return cut, ((cut[:, 2:] - cut[:, :2]) >= MIN_SIDE).all(1)


def typical_sizes(examples: Sequence[Example], image_size: int, count: int = 3) -> tuple[float, ...]:
    """Anchor sizes in pixels: `count` quantiles of the square roots of the boxes' areas.

    Without boxes: from a sixteenth to half of `image_size`.
    """
    sides = torch.cat([_area(target["boxes"]).sqrt() for _, target in examples])
    if not len(sides):
        return tuple(image_size * share for share in (1 / 16, 1 / 6, 1 / 2))
    shares = (torch.arange(count) + 0.5) / count
    return tuple(round(size, 1) for size in torch.quantile(sides, shares).tolist())


def _target(picture: Picture, pixels: Tensor) -> Target:
    assert picture.boxes is not None, "the core leaves unlabelled images out"
    objects = picture.boxes.keep(~picture.boxes.crowd)
    high, wide = pixels.shape[-2:]
    boxes, kept = clip(torch.from_numpy(objects.scaled(wide / picture.width, high / picture.height).xyxy).float(), wide, high)
    return {"boxes": boxes[kept], "labels": torch.from_numpy(objects.labels)[kept] + 1}


def _resize(image: Tensor, high: int, wide: int) -> Tensor:
    """Bilinear, with antialiasing when it shrinks. image: float32 (3, H, W)."""
    return functional.interpolate(image[None], size=(high, wide), mode="bilinear", antialias=True)[0]


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
