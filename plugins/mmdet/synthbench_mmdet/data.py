"""Images in the form that mmdet needs: resized once, kept in memory, and augmented each time they are used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from synthbench_mmdet.library import DetDataSample, InstanceData

if TYPE_CHECKING:
    from synthbench import ImageSet, Picture

    from synthbench_mmdet import Mmdet

SMALLEST = 32  # pixels per side: the coarsest features of most networks have this stride
MIN_SIDE = 1.0  # pixels of a box
MIN_VISIBLE = 0.3  # share of a box that a crop must leave


@dataclass(frozen=True)
class Example:
    """pixels: uint8 (3, H, W) RGB. boxes: float32 (N, 4). labels: int64 (N,). crowd: bool (N,)."""

    pixels: Tensor
    boxes: Tensor
    labels: Tensor
    crowd: Tensor


def read(picture: Picture, image_size: int) -> tuple[Tensor, tuple[float, float]]:
    """The picture as uint8 (3, H, W), its longer side `image_size`, and the factors of its width and height.

    Narrow images are padded with black, on the right and at the bottom, to `SMALLEST` pixels per side.
    """
    pixels = torch.from_numpy(picture.pixels().copy()).permute(2, 0, 1)
    high, wide = pixels.shape[-2:]
    scale = image_size / max(high, wide)
    new_high, new_wide = max(round(high * scale), 1), max(round(wide * scale), 1)
    resized = _resize(pixels.float(), new_high, new_wide).round().to(torch.uint8)
    return _padded(resized), (new_wide / wide, new_high / high)


def load(images: Iterable[Picture], image_size: int) -> list[Example]:
    """Each labelled picture as `read` returns it, with its boxes."""
    return [_example(picture, image_size) for picture in images]


def packed(image: Tensor, boxes: Tensor, labels: Tensor, crowd: Tensor) -> dict[str, Any]:
    """The output of a pipeline of mmdet. image: (3, H, W) RGB in 0..255, turned to BGR, which mmdet's detectors expect."""
    shape = tuple(image.shape[-2:])
    sample = DetDataSample(metainfo={"img_shape": shape, "ori_shape": shape, "scale_factor": (1.0, 1.0), "img_id": 0, "flip": False})
    sample.gt_instances = InstanceData(bboxes=boxes[~crowd], labels=labels[~crowd])
    sample.ignored_instances = InstanceData(bboxes=boxes[crowd], labels=labels[crowd])
    return {"inputs": image.flip(0), "data_samples": sample}


class TrainingData(Dataset[Any]):  # type: ignore[misc]  # mypy does not follow torch
    """Examples, augmented anew each time they are read."""

    def __init__(self, data: ImageSet, options: Mmdet, seed: int) -> None:
        self.metainfo = {"classes": data.categories}
        self._examples: Sequence[Example] = load(data, options.image_size)
        self._options = options
        self._rng = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        options = self._options
        return packed(*augment(self._examples[index], options.horizontal_flip, options.scale_jitter, options.image_size, self._rng))


def augment(
    example: Example, horizontal_flip: float, scale_jitter: float, image_size: int, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mirrors with the probability `horizontal_flip`, scales by a factor from 1 / `scale_jitter` to `scale_jitter`, and crops to
    `image_size` at a random position where the image has become larger.

    Returns the image as float32 (3, H, W) in 0..255, and the boxes, labels and crowd flags that are still in it.
    """
    image, boxes = example.pixels.float(), example.boxes
    high, wide = image.shape[-2:]
    draw = torch.rand(4, generator=rng).tolist()
    if draw[0] < horizontal_flip:
        image = image.flip(-1)
        boxes = torch.stack([wide - boxes[:, 2], boxes[:, 1], wide - boxes[:, 0], boxes[:, 3]], 1)
    if scale_jitter == 1:
        return image, boxes, example.labels, example.crowd
    factor = scale_jitter ** (2 * draw[1] - 1)
    new_high, new_wide = max(round(high * factor), 1), max(round(wide * factor), 1)
    image = _resize(image, new_high, new_wide)
    left, top = (int(share * (max(side - image_size, 0) + 1)) for share, side in ((draw[2], new_wide), (draw[3], new_high)))
    image = image[:, top : top + image_size, left : left + image_size]
    scaled = boxes * torch.tensor([new_wide / wide, new_high / high] * 2) - torch.tensor([left, top] * 2)
    boxes, kept = clip(scaled, image.shape[-1], image.shape[-2])
    kept &= _area(boxes) >= MIN_VISIBLE * _area(scaled)
    return _padded(image), boxes[kept], example.labels[kept], example.crowd[kept]


def clip(boxes: Tensor, wide: int, high: int) -> tuple[Tensor, Tensor]:
    """The boxes (N, 4) clipped to the image, and which of them (N,) are still at least `MIN_SIDE` wide and high."""
    cut = torch.stack([boxes[:, 0].clamp(0, wide), boxes[:, 1].clamp(0, high), boxes[:, 2].clamp(0, wide), boxes[:, 3].clamp(0, high)], 1)
    return cut, ((cut[:, 2:] - cut[:, :2]) >= MIN_SIDE).all(1)


def _example(picture: Picture, image_size: int) -> Example:
    assert picture.boxes is not None, "the core leaves unlabelled images out"
    pixels, (across, down) = read(picture, image_size)
    boxes, kept = clip(torch.from_numpy(picture.boxes.scaled(across, down).xyxy).float(), *reversed(pixels.shape[-2:]))
    return Example(pixels, boxes[kept], torch.from_numpy(picture.boxes.labels)[kept], torch.from_numpy(picture.boxes.crowd)[kept])


def _padded(image: Tensor) -> Tensor:
    high, wide = image.shape[-2:]
    return functional.pad(image, (0, max(SMALLEST - wide, 0), 0, max(SMALLEST - high, 0)))


def _resize(image: Tensor, high: int, wide: int) -> Tensor:
    """Bilinear, with antialiasing when it shrinks. image: float32 (3, H, W)."""
    return functional.interpolate(image[None], size=(high, wide), mode="bilinear", antialias=True)[0]


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
