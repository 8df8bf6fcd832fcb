"""Puts images together: a background, and objects pasted on it where they do not hide each other too much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from synthbench import Boxes, Picture, Run, Sample, SampleRequest

from synthbench_rivals.blending import Look, Patch, blend, bounds_of, transform
from synthbench_rivals.cutting import Cutout, crowd_boxes, ellipse, emptied_file, load_cutouts, opencv, whole_pixels
from synthbench_rivals.references import load_references, reference_of

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from synthbench_rivals import CopyPaste

TRIES = 20  # places that are tried for an object
JITTER = 0.1  # standard deviation of a place around a reference's box, as a share of the image's sides
BLENDINGS = ("gaussian", "poisson", "none")
MIN_SIDE = 3  # pixels; an object that would be smaller is not pasted


@dataclass(eq=False)
class Shown:
    """An object in an image.

    x, y: the top left corner of its masks. visible: bool (H, W), what later objects and the image's edge leave of it.
    area: pixels of the whole object. box: xyxy, of the object before anything was pasted on it.
    """

    x: int
    y: int
    visible: NDArray[np.bool_]
    area: int
    box: NDArray[np.float64]
    label: int
    bounds: tuple[int, int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        """Notes the bounds of what is visible at first."""
        self.bounds = bounds_of(self.visible)

    def overlap(self, mask: NDArray[np.bool_], x: int, y: int) -> NDArray[np.bool_]:
        """What a mask at x, y hides of it, bool of the shape of `visible`."""
        hidden = np.zeros_like(self.visible)
        left, top = max(x, self.x), max(y, self.y)
        right, bottom = min(x + mask.shape[1], self.x + hidden.shape[1]), min(y + mask.shape[0], self.y + hidden.shape[0])
        if right > left and bottom > top:
            part = mask[top - y : bottom - y, left - x : right - x]
            hidden[top - self.y : bottom - self.y, left - self.x : right - self.x] = part
        return hidden & self.visible

    def visible_box(self) -> NDArray[np.float64]:
        """Its box, each side moved as far inwards as what is visible has moved."""
        moved = np.subtract(bounds_of(self.visible), self.bounds)
        x1, y1, x2, y2 = self.box + moved
        return np.array([x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)])


class Scene:
    """An image that objects are pasted on. pixels: uint8 (H, W, 3). shown: its objects. crowds: boxes (N, 4) to leave alone."""

    def __init__(self, pixels: NDArray[np.uint8], shown: list[Shown], crowds: NDArray[np.float64], max_occlusion: float) -> None:
        self.pixels = pixels
        self.shown = shown
        self.max_occlusion = max_occlusion
        self.taboo: NDArray[np.bool_] = np.zeros(pixels.shape[:2], np.bool_)
        self.objects: NDArray[np.bool_] = np.zeros(pixels.shape[:2], np.bool_)
        for box in crowds:
            x1, y1, x2, y2 = whole_pixels(box, pixels.shape)
            self.taboo[y1:y2, x1:x2] = True
        for each in shown:
            x1, y1, x2, y2 = whole_pixels(each.box, pixels.shape)
            self.objects[y1:y2, x1:x2] = True

    def paste(self, patch: Patch, x: int, y: int, label: int, blending: str) -> bool:
        """Pastes a patch with its top left corner at x, y, unless that hides too much of it or of another object, or touches a crowd."""
        height, width = self.taboo.shape
        high, wide = patch.mask.shape
        left, top, right, bottom = max(x, 0), max(y, 0), min(x + wide, width), min(y + high, height)
        if right <= left or bottom <= top:
            return False
        visible = patch.mask[top - y : bottom - y, left - x : right - x]
        area = int(patch.mask.sum())
        if not visible.any() or self.hidden_too_much(area, visible) or (visible & self.taboo[top:bottom, left:right]).any():
            return False
        hidden = [each.overlap(visible, left, top) for each in self.shown]
        if any(part.any() and self.hidden_too_much(each.area, each.visible & ~part) for each, part in zip(self.shown, hidden, strict=True)):
            return False
        for each, part in zip(self.shown, hidden, strict=True):
            each.visible = each.visible & ~part
        blend(self.pixels, patch, x, y, blending, self.objects)
        self.objects[top:bottom, left:right] |= visible
        box = np.add(bounds_of(visible), [left, top, left, top]).astype(np.float64)
        self.shown.append(Shown(left, top, visible, area, box, label))
        return True

    def hidden_too_much(self, area: int, visible: NDArray[np.bool_]) -> bool:
        """Whether too little of an object of `area` pixels is visible."""
        count = int(visible.sum())
        return count == 0 or count < (1 - self.max_occlusion) * area


@dataclass(frozen=True, eq=False)
class Material:
    """What images are made of.

    pictures: the references. cutouts: of each reference. loose: the cutouts that can be pasted. counts: objects in each reference
    that has any. places: centres of objects, float (N, 2), as shares of the image's sides.
    """

    pictures: tuple[Picture, ...]
    cutouts: tuple[list[Cutout], ...]
    loose: list[Cutout]
    counts: list[int]
    places: NDArray[np.float64]

    @classmethod
    def load(cls, fitted: Path) -> Material:
        """What a fit has left."""
        pictures = load_references(fitted).pictures
        cutouts = tuple(load_cutouts(picture, fitted, number) for number, picture in enumerate(pictures))
        found = [each for some in cutouts for each in some if each.mask.any()]
        whole = {each.label for each in found if each.whole}
        loose = [each for each in found if each.whole or each.label not in whole]  # cut off ones for want of better only
        places = [
            (each.box[:2] + each.box[2:]) / 2 / (picture.width, picture.height)
            for picture, some in zip(pictures, cutouts, strict=True)
            for each in some
        ]
        return cls(pictures, cutouts, loose, [len(some) for some in cutouts if some], np.array(places))


def paste_objects(options: CopyPaste, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
    """See `CopyPaste.sample`."""
    with opencv(run):
        material = Material.load(fitted)
        for number in run.track(range(request.start, request.stop), "sample", unit="images"):
            rng = np.random.default_rng([run.seed, number])
            which = reference_of(number, len(material.pictures), run.seed)
            yield compose(options, material, fitted, which, rng)


def compose(options: CopyPaste, material: Material, fitted: Path, which: int, rng: Generator) -> Sample:
    """An image with reference `which` as its background."""
    picture = material.pictures[which]
    empty = bool(rng.random() < options.emptied_share)
    mirrored = bool(rng.random() < options.horizontal_flip)
    pixels = np.array(Image.open(fitted / emptied_file(which))) if empty else picture.pixels().copy()
    shown = [] if empty else [as_shown(each, picture.width, mirrored) for each in material.cutouts[which]]
    crowds = flipped(crowd_boxes(picture), picture.width) if mirrored else crowd_boxes(picture)
    scene = Scene(np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels, shown, crowds, options.max_occlusion)
    count = material.counts[rng.integers(len(material.counts))]
    count = count if empty else int(rng.integers(1, count + 1))
    pasted = sum(paste_one(options, material, scene, rng) for _ in range(count))
    assert picture.boxes is not None, "`require_labels`"
    kept = picture.boxes.labels[picture.boxes.crowd].tolist()
    boxes = Boxes.of(
        np.array([*(each.visible_box() for each in scene.shown), *crowds]).reshape(-1, 4),
        [*(each.label for each in scene.shown), *kept],
        crowd=[False] * len(scene.shown) + [True] * len(kept),
    )
    return Sample(scene.pixels, boxes, {"reference": which, "emptied": int(empty), "pasted": pasted})


def paste_one(options: CopyPaste, material: Material, scene: Scene, rng: Generator) -> bool:
    """Pastes a random object somewhere, if one of `TRIES` places suits it."""
    height, width = scene.pixels.shape[:2]
    cutout = material.loose[rng.integers(len(material.loose))]
    relative = (width * height) ** 0.5 / cutout.size
    look = Look(
        float(np.exp(rng.uniform(*np.log(options.scale_range)))) * relative,
        float(rng.uniform(*options.rotation_range)),
        bool(rng.random() < options.horizontal_flip),
        float(rng.uniform(*options.brightness_range)),
        float(rng.uniform(*options.contrast_range)),
    )
    blending = str(rng.choice(BLENDINGS)) if options.blending == "mixed" else options.blending
    patch = transform(cutout, look)
    if patch is None:
        return False
    x1, y1, x2, y2 = patch.bounds()
    if min(x2 - x1, y2 - y1) < MIN_SIDE:
        return False
    for _ in range(TRIES):
        place = rng.uniform(0, 1, 2)
        if options.placement == "references":
            place = material.places[rng.integers(len(material.places))] + rng.normal(0, JITTER, 2)
        x, y = np.rint(place * (width, height) - ((x1 + x2) / 2, (y1 + y2) / 2)).astype(int).tolist()
        if scene.paste(patch, x, y, cutout.label, blending):
            return True
    return False


def as_shown(cutout: Cutout, width: int, mirrored: bool) -> Shown:
    """An object of a reference in its place; with the ellipse in its box as its mask if all its pixels belong to others."""
    mask, x, box = cutout.mask, cutout.x, cutout.box
    high, wide = mask.shape
    if not mask.any():
        mask = ellipse(box, x, cutout.y, x + wide, cutout.y + high) <= 1
        mask = mask if mask.any() else np.ones_like(mask)
    if mirrored:
        mask, x, box = mask[:, ::-1], width - x - wide, flipped(box[None], width)[0]
    return Shown(x, cutout.y, mask, int(mask.sum()), box, cutout.label)


def flipped(boxes: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Boxes (N, 4) of an image that was mirrored left to right."""
    return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
