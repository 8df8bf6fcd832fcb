"""Random crops, rotations, colours and sharpness, by torchvision's transforms."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from synthbench import Boxes, Picture, Run, Sample, SampleRequest, derive_seed
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from synthbench_rivals.references import load_references, reference_of

if TYPE_CHECKING:
    from synthbench_rivals import Augment

TRIES = 10  # crops that are drawn to find one without a fragment of an object
MIN_SIDE = 1.0  # pixels; smaller boxes are dropped


@dataclass(frozen=True, eq=False)
class View:
    """A part of a reference: image uint8 (3, H, W), boxes float32 (N, 4) that may reach out of it, and the share of each in it, (N,)."""

    image: Tensor
    boxes: Tensor
    visible: Tensor


def augment_references(options: Augment, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
    """See `Augment.sample`."""
    references = load_references(fitted)
    for number in run.track(range(request.start, request.stop), "sample", unit="images"):
        which = reference_of(number, len(references), run.seed)
        with torch_state(derive_seed(run.seed, "augment", number)):
            sample = augmented(options, references[which], which)
        yield sample


@contextmanager
def torch_state(seed: int) -> Iterator[None]:
    """torch's random numbers on the CPU from `seed`, which torchvision's transforms use, and one thread; restored at the end.

    More threads cost more than they gain: two were eight times slower on a busy machine of two cores.
    """
    state, before = torch.random.get_rng_state(), torch.get_num_threads()
    torch.random.default_generator.manual_seed(seed)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.random.set_rng_state(state)
        torch.set_num_threads(before)


def augmented(options: Augment, picture: Picture, which: int) -> Sample:
    """A reference, changed at random."""
    assert picture.boxes is not None, "`require_labels`"
    crowd = torch.from_numpy(picture.boxes.crowd)
    image = torch.from_numpy(picture.pixels().copy()).permute(2, 0, 1)
    for _ in range(TRIES):
        view = draw_view(options, image, torch.from_numpy(picture.boxes.xyxy).float())
        fragments = (view.visible > 0) & (view.visible < options.min_visible) & ~crowd
        if not fragments.any() and bool((view.visible > 0).any()) == bool(len(view.visible)):
            break
    high, wide = view.image.shape[-2:]
    boxes = view.boxes.clamp(min=0).minimum(torch.tensor([wide, high] * 2))
    kept = ((boxes[:, 2:] - boxes[:, :2]) >= MIN_SIDE).all(1) & ((view.visible >= options.min_visible) | crowd)
    changed = recolour(options, view.image).permute(1, 2, 0).numpy()
    labelled = Boxes.of(boxes.numpy(), picture.boxes.labels, crowd=picture.boxes.crowd)
    return Sample(np.ascontiguousarray(changed), labelled.keep(kept.numpy()), {"reference": which})


def draw_view(options: Augment, image: Tensor, boxes: Tensor) -> View:
    """Rotates, crops, resizes and mirrors an image, uint8 (3, H, W), with its boxes, (N, 4)."""
    high, wide = image.shape[-2:]
    angle = float(torch.empty(1).uniform_(-options.rotation, options.rotation))
    turned, moved = rotate(image, boxes, angle, round_objects=options.rotated_boxes == "ellipse")
    aspect = turned.shape[-1] / turned.shape[-2]
    geometry = v2.Compose(
        [
            v2.RandomResizedCrop(
                (high, wide),
                scale=(options.min_scale, 1.0),
                ratio=(aspect / options.aspect_jitter, aspect * options.aspect_jitter),
                antialias=True,
            ),
            v2.RandomHorizontalFlip(options.horizontal_flip),
        ]
    )
    box_tensor = tv_tensors.BoundingBoxes(moved, format="XYXY", canvas_size=tuple(turned.shape[-2:]), clamping_mode=None)
    seen, found = geometry(tv_tensors.Image(turned), box_tensor)
    found = found.as_subclass(Tensor)
    inside = found.clamp(min=0).minimum(torch.tensor([wide, high] * 2))
    visible = area(inside) / area(found).clamp(min=1e-6)
    return View(seen.as_subclass(Tensor), found, visible)


def rotate(image: Tensor, boxes: Tensor, angle: float, *, round_objects: bool) -> tuple[Tensor, Tensor]:
    """An image rotated by `angle` degrees to the left, cropped to the largest part of its shape without empty corners, and its boxes.

    round_objects: boxes are those of the ellipses in the boxes, instead of their corners.
    """
    if angle == 0:
        return image, boxes
    high, wide = image.shape[-2:]
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turned = functional.rotate(image, angle, interpolation=v2.InterpolationMode.BILINEAR)
    share = min(wide / (wide * cosine + high * abs(sine)), high / (wide * abs(sine) + high * cosine))
    new_wide, new_high = max(int(wide * share), 1), max(int(high * share), 1)
    left, top = (wide - new_wide) // 2, (high - new_high) // 2
    middle = torch.tensor([wide / 2, high / 2])
    x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2 - middle).T
    centres = torch.stack([x * cosine + y * sine, y * cosine - x * sine], 1) + middle - torch.tensor([left, top])
    across, down = ((boxes[:, 2:] - boxes[:, :2]) / 2).T
    pairs = [(across * cosine, down * sine), (across * sine, down * cosine)]
    halves = torch.stack([torch.hypot(a, b) if round_objects else a.abs() + b.abs() for a, b in pairs], 1)
    return functional.crop(turned, top, left, new_high, new_wide), torch.cat([centres - halves, centres + halves], 1)


def recolour(options: Augment, image: Tensor) -> Tensor:
    """An image, uint8 (3, H, W), with other colours, perhaps blurred."""
    changed = v2.ColorJitter(options.brightness, options.contrast, options.saturation, options.hue)(image)
    reach = min(math.ceil(2.5 * options.blur_sigma), *(side - 1 for side in image.shape[-2:]))
    if reach > 0:
        changed = v2.RandomApply([v2.GaussianBlur(2 * reach + 1, (min(0.1, options.blur_sigma), options.blur_sigma))], options.blur)(
            changed
        )
    found: Tensor = changed
    return found


def area(boxes: Tensor) -> Tensor:
    """The areas (N,) of boxes (N, 4); 0 for boxes without size."""
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
