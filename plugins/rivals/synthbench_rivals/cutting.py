"""From boxes to objects: which pixels of a reference belong to which of its objects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image
from synthbench import ImageSet, Picture, Run, SynthbenchError

from synthbench_rivals.emptying import remove_objects
from synthbench_rivals.references import load_references, require_labels, store_references

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from synthbench_rivals import CopyPaste

CONTEXT = 0.4  # share of a box's side around it that GrabCut learns the background from
ITERATIONS = 3
MIN_SIDE, MAX_SIDE = 96, 128  # pixels; smaller regions are enlarged for GrabCut, whose colour models need samples, larger ones reduced
MIN_FILLED, MIN_EXTENT = 0.35, 0.8  # shares of a box's area and sides that its object must fill
EDGE = 1.5  # pixels; a box that comes closer to the image's edge is of an object that may be cut off


@dataclass(frozen=True, eq=False)
class Cutout:
    """An object of a reference and what is around it.

    pixels: uint8 (H, W, 3) RGB. mask: bool (H, W), its pixels. others: bool (H, W), pixels of other objects.
    x, y: the top left corner in its reference. box: xyxy in pixels of the reference. label: of the box.
    size: square root of the reference's area, pixels. whole: whether the reference shows all of it.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    others: NDArray[np.bool_]
    x: int
    y: int
    box: NDArray[np.float64]
    label: int
    size: float
    whole: bool


@contextmanager
def opencv(run: Run) -> Iterator[None]:
    """OpenCV with as many threads as the stage may use."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(run.threads)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def cut_references(options: CopyPaste, references: ImageSet, run: Run) -> None:
    """See `CopyPaste.fit`."""
    require_labels(references, options.name)
    store_references(references, run)
    objects = ellipses = 0
    found = False
    with opencv(run):
        for number, picture in enumerate(run.track(load_references(run.workdir), "cut out", unit="images")):
            pixels, boxes = picture.pixels(), object_boxes(picture)
            emptied = remove_objects(pixels, boxes, crowd_boxes(picture))
            owner, failed = find_objects(pixels, emptied, boxes, options.masks)
            np.savez_compressed(run.workdir / owner_file(number), owner=owner)
            Image.fromarray(emptied).save(run.workdir / emptied_file(number))
            objects, ellipses = objects + len(boxes), ellipses + failed
            found = found or bool(owner.any())  # a box smaller than a pixel may have none
    if not found:
        raise SynthbenchError(f"{options.name}: none of the {len(references)} references has an object to paste; take more references")
    run.log_metrics(objects=objects, ellipses=ellipses)
    run.log(f"{objects} objects; the ellipse in the box is the mask of {ellipses}, where GrabCut found none")


def emptied_file(number: int) -> str:
    """The file of reference `number` without its objects."""
    return f"{number:06d}-emptied.png"


def owner_file(number: int) -> str:
    """The file with the number of the object that each pixel of reference `number` belongs to, from 1; 0: none."""
    return f"{number:06d}-objects.npz"


def object_boxes(picture: Picture) -> NDArray[np.float64]:
    """The boxes (N, 4) of single objects, clipped to the picture."""
    assert picture.boxes is not None, "`require_labels`"
    edges = [picture.width, picture.height] * 2
    return np.clip(picture.boxes.xyxy[~picture.boxes.crowd].astype(np.float64), 0, edges)


def crowd_boxes(picture: Picture) -> NDArray[np.float64]:
    """The boxes (N, 4) of crowds."""
    assert picture.boxes is not None, "`require_labels`"
    return picture.boxes.xyxy[picture.boxes.crowd].astype(np.float64)


def whole_pixels(box: NDArray[np.float64], shape: tuple[int, ...], margin: float = 0.0) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of the pixels that a box touches, within an image of `shape`. margin: pixels around the box."""
    height, width = shape[:2]
    x1, y1 = (max(int(np.floor(edge - margin)), 0) for edge in box[:2])
    return x1, y1, min(int(np.ceil(box[2] + margin)), width), min(int(np.ceil(box[3] + margin)), height)


def find_objects(
    pixels: NDArray[np.uint8], emptied: NDArray[np.uint8], boxes: NDArray[np.float64], masks: str
) -> tuple[NDArray[np.int32], int]:
    """The number of the object that each pixel belongs to, (H, W), from 1 (0: none), and how many masks GrabCut could not find.

    emptied: the image without its objects. masks: as the option.
    """
    nearest = divide(boxes, pixels.shape)
    owner = np.zeros(pixels.shape[:2], np.int32)
    failed = 0
    for number, box in enumerate(boxes, start=1):
        x1, y1, x2, y2 = whole_pixels(box, pixels.shape)
        own = nearest[y1:y2, x1:x2] == number
        if masks == "box":
            mask = own
        else:
            found = grabcut(pixels, emptied, box, nearest == number) if masks == "grabcut" else None
            failed += found is None
            mask = own & (ellipse(box, x1, y1, x2, y2) <= 1) if found is None else found[y1:y2, x1:x2]
        owner[y1:y2, x1:x2][mask] = number
    return owner, failed if masks == "grabcut" else 0


def ellipse(box: NDArray[np.float64], x1: int, y1: int, x2: int, y2: int) -> NDArray[np.float64]:
    """For the pixels from x1, y1 to x2, y2: squared distance to the box's centre, where 1 is the ellipse in the box."""
    x, y = (box[:2] + box[2:]) / 2
    across, down = np.maximum((box[2:] - box[:2]) / 2, 0.5)
    ys, xs = np.mgrid[y1:y2, x1:x2]
    distance: NDArray[np.float64] = ((xs + 0.5 - x) / across) ** 2 + ((ys + 0.5 - y) / down) ** 2
    return distance


def divide(boxes: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Gives each pixel within boxes to one of them, the one whose centre is nearest in units of its sides: (H, W), from 1."""
    nearest = np.zeros(shape[:2], np.int32)
    least = np.full(shape[:2], np.inf)
    for number, box in enumerate(boxes, start=1):
        x1, y1, x2, y2 = whole_pixels(box, shape)
        distance = ellipse(box, x1, y1, x2, y2)
        closer = distance < least[y1:y2, x1:x2]
        nearest[y1:y2, x1:x2][closer] = number
        least[y1:y2, x1:x2][closer] = distance[closer]
    return nearest


def grabcut(
    pixels: NDArray[np.uint8], emptied: NDArray[np.uint8], box: NDArray[np.float64], own: NDArray[np.bool_]
) -> NDArray[np.bool_] | None:
    """The pixels of the object in a box, bool (H, W), or None if GrabCut finds nothing that fills the box.

    own: the pixels that may be the object's. Other objects are hidden behind the emptied image, since they look like this one.
    """
    margin = max(4.0, CONTEXT * float((box[2:] - box[:2]).max()))
    x1, y1, x2, y2 = whole_pixels(box, pixels.shape, margin)
    mine = own[y1:y2, x1:x2]
    if not mine.any() or mine.all():
        return None
    shown = np.where(mine[..., None], pixels[y1:y2, x1:x2], emptied[y1:y2, x1:x2])
    longest = max(mine.shape)
    factor = min(max(longest, MIN_SIDE), MAX_SIDE) / longest
    size = (max(round(mine.shape[1] * factor), 1), max(round(mine.shape[0] * factor), 1))
    likely = np.where(ellipse(box, x1, y1, x2, y2) <= 1, cv2.GC_PR_FGD, cv2.GC_PR_BGD)  # the corners of a box rarely show its object
    labels = cv2.resize(np.where(mine, likely, cv2.GC_BGD).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    resized = cv2.resize(shown, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # GrabCut starts from a random clustering
    try:
        cv2.grabCut(resized, labels, (0, 0, 1, 1), background, foreground, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # too few colours, as in an image of one colour
        return None
    found = one_piece((labels == cv2.GC_PR_FGD).astype(np.uint8))
    small = cv2.resize(found.astype(np.float32), mine.shape[::-1], interpolation=cv2.INTER_LINEAR if factor < 1 else cv2.INTER_AREA) >= 0.5
    small &= mine
    if not fills(small, mine):
        return None
    mask = np.zeros(own.shape, np.bool_)
    mask[y1:y2, x1:x2] = small
    return mask


def one_piece(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The largest connected piece of a mask (H, W), smoothed and without holes."""
    rounded = cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    outlines, _ = cv2.findContours(rounded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    piece = np.zeros_like(mask)
    if outlines:
        cv2.drawContours(piece, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return piece


def fills(mask: NDArray[np.bool_], own: NDArray[np.bool_]) -> bool:
    """Whether a mask fills what belongs to its object of the box, as a box that was drawn around the object promises."""
    if mask.sum() < MIN_FILLED * own.sum():
        return False
    return all(np.ptp(np.nonzero(mask.any(axis))[0]) + 1 >= MIN_EXTENT * (np.ptp(np.nonzero(own.any(axis))[0]) + 1) for axis in (0, 1))


def load_cutouts(picture: Picture, fitted: Path, number: int) -> list[Cutout]:
    """The objects of reference `number`, in the order of its `object_boxes`."""
    assert picture.boxes is not None, "`require_labels`"
    with np.load(fitted / owner_file(number)) as stored:
        owner = stored["owner"]
    pixels = picture.pixels()
    height, width = owner.shape
    labels = picture.boxes.labels[~picture.boxes.crowd].tolist()
    cutouts = []
    for index, (box, label) in enumerate(zip(object_boxes(picture), labels, strict=True), start=1):
        x1, y1, x2, y2 = whole_pixels(box, owner.shape, max(4.0, 0.15 * float((box[2:] - box[:2]).max())))
        region = owner[y1:y2, x1:x2]
        whole = bool(box[:2].min() >= EDGE and box[2] <= width - EDGE and box[3] <= height - EDGE)
        others = (region != index) & (region > 0)
        cutouts.append(Cutout(pixels[y1:y2, x1:x2].copy(), region == index, others, x1, y1, box, label, (width * height) ** 0.5, whole))
    return cutouts
