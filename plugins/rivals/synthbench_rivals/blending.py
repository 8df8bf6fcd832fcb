"""Turns a cut-out object into a patch of another size, angle and light, and puts it on an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthbench_rivals.cutting import Cutout

SOFT = 0.04, 0.6, 3.0  # standard deviation of a soft edge: share of the object's side, least and most pixels
BORDER = 0.08, 2, 8  # what Poisson blending takes along around an object: share of its side, least and most pixels
PAD = 2  # pixels; Poisson blending needs a frame around what it blends
MAX_SHIFT = 40.0  # of 255; where Poisson blending would change an object's mean colour more, its edge is soft instead


@dataclass(frozen=True)
class Look:
    """How an object is changed: factors of size, brightness and contrast, degrees, and whether it is mirrored."""

    scale: float
    angle: float
    mirrored: bool
    brightness: float
    contrast: float


@dataclass(frozen=True, eq=False)
class Patch:
    """An object to paste: pixels uint8 (H, W, 3), its mask bool (H, W), and the pixels of other objects beside it, bool (H, W)."""

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    others: NDArray[np.bool_]

    def bounds(self) -> tuple[int, int, int, int]:
        """x1, y1, x2, y2 of the mask, exclusive at the end."""
        return bounds_of(self.mask)


def bounds_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of a mask with at least one pixel, exclusive at the end."""
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def transform(cutout: Cutout, look: Look) -> Patch | None:
    """The object with another look, or None if nothing is left of it."""
    high, wide = (max(round(side * look.scale), 1) for side in cutout.mask.shape)
    shrinking = cv2.INTER_AREA if look.scale < 1 else cv2.INTER_CUBIC
    pixels = cv2.resize(cutout.pixels, (wide, high), interpolation=shrinking)
    layers = [
        cv2.resize(each.astype(np.float32), (wide, high), interpolation=cv2.INTER_AREA if look.scale < 1 else cv2.INTER_LINEAR)
        for each in (cutout.mask, cutout.others)
    ]
    turn = cv2.getRotationMatrix2D(((wide - 1) / 2, (high - 1) / 2), look.angle, 1.0)
    cosine, sine = abs(turn[0, 0]), abs(turn[0, 1])
    size = int(np.ceil(wide * cosine + high * sine)), int(np.ceil(wide * sine + high * cosine))
    turn[:, 2] += [(size[0] - wide) / 2, (size[1] - high) / 2]
    pixels = cv2.warpAffine(pixels, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask, others = (cv2.warpAffine(each, turn, size, flags=cv2.INTER_LINEAR) for each in layers)
    if look.mirrored:
        pixels, mask, others = pixels[:, ::-1], mask[:, ::-1], others[:, ::-1]
    solid = mask >= 0.5
    if not solid.any():
        return None
    return Patch(relit(np.ascontiguousarray(pixels), solid, look), solid, (others > 0.1) & ~solid)


def relit(pixels: NDArray[np.uint8], mask: NDArray[np.bool_], look: Look) -> NDArray[np.uint8]:
    """The pixels in another light; the contrast is that around the mean of the mask."""
    mean = pixels[mask].mean(0)
    changed = ((pixels - mean) * look.contrast + mean) * look.brightness
    lit: NDArray[np.uint8] = np.rint(changed.clip(0, 255)).astype(np.uint8)
    return lit


def blend(image: NDArray[np.uint8], patch: Patch, x: int, y: int, blending: str, objects: NDArray[np.bool_]) -> None:
    """Puts a patch on an image (H, W, 3), in place, with its top left corner at x, y, which may be outside.

    objects: bool (H, W), where the image shows objects: Poisson blending would mix their colour into this one.
    """
    high, wide = patch.mask.shape
    top, left, bottom, right = max(y, 0), max(x, 0), min(y + high, image.shape[0]), min(x + wide, image.shape[1])
    inner = (slice(top - y, bottom - y), slice(left - x, right - x))
    outer = (slice(top, bottom), slice(left, right))
    if blending == "poisson":
        cloned = poisson(image, patch, inner, outer, objects)
        if cloned is not None:
            image[outer] = cloned
            return
    soft = patch.mask.astype(np.float32) if blending == "none" else softened(patch.mask)
    alpha = soft[inner][..., None]
    image[outer] = np.rint(image[outer] * (1 - alpha) + patch.pixels[inner] * alpha).astype(np.uint8)


def softened(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A soft edge, float32 (H, W) in 0..1, which ends where the mask ends, so that no surroundings come along."""
    share, least, most = SOFT
    sigma = min(max(share * float(mask.sum()) ** 0.5, least), most)
    blurred = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    soft: NDArray[np.float32] = np.where(mask, np.clip(2 * blurred - 0.8, 0, 1), 0).astype(np.float32)
    return soft


def poisson(
    image: NDArray[np.uint8], patch: Patch, inner: tuple[slice, slice], outer: tuple[slice, slice], objects: NDArray[np.bool_]
) -> NDArray[np.uint8] | None:
    """The part `outer` of the image with the part `inner` of the patch blended in, or None where Poisson blending does not suit.

    A border of the object's old surroundings is blended too, so that its edge keeps its contrast to them.
    """
    share, least, most = BORDER
    border = round(min(max(share * float(patch.mask.sum()) ** 0.5, least), most))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * border + 1, 2 * border + 1))
    wide = (cv2.dilate(patch.mask.astype(np.uint8), kernel) > 0) & ~patch.others
    mask = np.pad(wide[inner].astype(np.uint8), PAD)
    ring = cv2.dilate(mask, np.ones((3, 3), np.uint8)) > mask
    if not patch.mask[inner].any() or (ring & np.pad(objects[outer], PAD)).any():
        return None
    source, target = (cv2.copyMakeBorder(each, PAD, PAD, PAD, PAD, cv2.BORDER_REPLICATE) for each in (patch.pixels[inner], image[outer]))
    left, top, width, height = cv2.boundingRect(mask)
    try:
        cloned = cv2.seamlessClone(source, target, mask * 255, (left + width // 2, top + height // 2), cv2.NORMAL_CLONE)
    except cv2.error:
        return None
    found: NDArray[np.uint8] = cloned[PAD:-PAD, PAD:-PAD].astype(np.uint8)
    solid = patch.mask[inner]
    shift = np.abs(found[solid].astype(np.float64).mean(0) - patch.pixels[inner][solid].mean(0)).max()
    return found if shift <= MAX_SHIFT else None
