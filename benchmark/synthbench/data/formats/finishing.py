"""From a draft to a data set: every image is looked at, every box brought into the upright image, and what cannot be used is listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from synthbench.data.formats.dataset import Dataset, Draft, Table
from synthbench.data.formats.faults import Faults
from synthbench.data.formats.headers import look_at
from synthbench.data.formats.placing import Frames, placed
from synthbench.data.formats.tree import encodable

if TYPE_CHECKING:
    from numpy.typing import NDArray

DECIMALS = 4  # of a pixel; every format that we write can say so much, so that nothing moves when one is read and written again
ROUNDING = 0.5  # pixels by which a box may exceed its image without a fault, since files contain rounded numbers
NO_SIZE = 0.01  # pixels, as in `synthbench.data.photos`
TINY = 3.0  # pixels
MIXERS = np.random.default_rng(0).integers(1, 2**63, 7, np.uint64) | np.uint64(1)
Track = Callable[[Iterable[str], int], Iterable[str]]


def finish(draft: Draft, faults: Faults, track: Track = lambda paths, _count: paths, min_side: float = 0.0) -> Dataset:
    """The data set of a draft. track: shows the progress over the paths of so many images. min_side: of a box, in pixels."""
    base = str(draft.root)
    looks = look_at(track((f"{base}/{photo.path}" for photo in draft.photos), len(draft.photos)))
    frames = Frames(len(draft.photos))
    for number, (photo, look) in enumerate(zip(draft.photos, looks, strict=True)):
        frames.place(number, photo, look, faults)
    boxes = placed(draft, frames)
    license, source, *names = (encodable(text) for text in (draft.license, draft.source, *draft.categories))
    dataset = Dataset(draft.root, draft.format, tuple(names), draft.photos, boxes, license, source)
    dataset = dataset.keep(np.flatnonzero(frames.good))
    before = dataset.boxes
    dataset.boxes = checked(dataset, faults, min_side)
    dataset = without_bare(dataset, before, faults)
    order = np.array(sorted(range(len(dataset.photos)), key=lambda i: dataset.photos[i].path), np.intp)
    dataset = dataset.keep(order)
    name_photos(dataset, faults)
    list_names_alike(dataset, faults)
    return dataset


def without_bare(dataset: Dataset, before: Table, faults: Faults) -> Dataset:
    """The data set without the images that had boxes, and lost them all: objects are there, so these images are not empty.

    before: the boxes that the labels have, without those that their reader has left out already.
    """
    many = len(dataset.photos)
    told = np.bincount(before.photo, minlength=many) + np.array([photo.lost for photo in dataset.photos], np.int64)
    bare = (told > 0) & (np.bincount(dataset.boxes.photo, minlength=many) == 0)
    for number in np.flatnonzero(bare).tolist():
        photo = dataset.photos[number]
        faults.add("no box left", photo.path, text=f"{photo.labels}: none of its {told[number]} can be used")
    return dataset.keep(np.flatnonzero(~bare))


def checked(dataset: Dataset, faults: Faults, min_side: float) -> Table:
    """The boxes that can be used: clipped, with a size, each once. What is left out or changed is listed."""
    boxes, photos = dataset.boxes, dataset.photos
    sizes = np.array([photo.size for photo in photos], np.float64).reshape(-1, 2)
    limits = np.hstack([sizes, sizes])[boxes.photo]

    def report(kind: str, mask: Any) -> None:
        for index in np.flatnonzero(mask).tolist():
            photo = photos[boxes.photo[index]]
            where, corners = place_of(dataset.format, int(boxes.where[index])), "x".join(f"{side:g}" for side in sides[index].tolist())
            faults.add(kind, photo.path, where, f"{photo.labels}: {corners}" if photo.labels else corners)

    sides = np.round(boxes.xyxy[:, 2:] - boxes.xyxy[:, :2], DECIMALS)
    if (swapped := (sides < -NO_SIZE).any(1)).any():
        report("swapped corners", swapped)
        low, high = np.minimum(boxes.xyxy[:, :2], boxes.xyxy[:, 2:]), np.maximum(boxes.xyxy[:, :2], boxes.xyxy[:, 2:])
        boxes.xyxy = np.hstack([low, high])
        sides = np.abs(sides)
    clipped = np.clip(boxes.xyxy, 0, limits)
    flat = (sides < NO_SIZE).any(1)
    away = ~flat & ((clipped[:, 2:] - clipped[:, :2]) < NO_SIZE).any(1)
    over = ~flat & ~away & (np.abs(clipped - boxes.xyxy) > ROUNDING).any(1)
    for kind, mask in (("no size", flat), ("wholly outside", away), ("outside", over)):
        report(kind, mask)
    boxes.xyxy = np.round(clipped, DECIMALS)
    sides = np.round(boxes.xyxy[:, 2:] - boxes.xyxy[:, :2], DECIMALS)
    good = ~flat & ~away
    small = good & (sides.min(1, initial=np.inf) < min_side)
    report("too small", small)
    good &= ~small
    repeated = good.copy()
    repeated[good] = repeats(boxes.keep(good))
    report("given twice", repeated)
    good &= ~repeated
    report("tiny", good & (sides.min(1, initial=np.inf) <= TINY))
    report("crowd", good & boxes.crowd)
    return boxes.keep(good)


def repeats(boxes: Table) -> NDArray[np.bool_]:
    """Which boxes repeat an earlier one of the same image and category: bool (N,)."""
    keys = np.column_stack([np.rint(boxes.xyxy * 10**DECIMALS), boxes.photo, boxes.label, boxes.crowd]).astype(np.int64)
    same = np.zeros(len(keys), np.bool_)
    mixed = keys.astype(np.uint64) @ MIXERS  # sorting one number is ten times as fast as sorting seven
    by_mixed = np.argsort(mixed, kind="stable")
    twin = np.zeros(len(keys) + 1, np.bool_)
    twin[1:-1] = mixed[by_mixed[1:]] == mixed[by_mixed[:-1]]
    suspects = np.sort(by_mixed[twin[1:] | twin[:-1]])
    order = suspects[np.lexsort(keys[suspects].T)]  # stable, so that the first of equal ones comes first
    same[order[1:]] = (keys[order[1:]] == keys[order[:-1]]).all(1)
    return same


def place_of(format: str, where: int) -> str:
    """Where a box stands in its file."""
    return f"{ {'coco': 'annotation', 'yolo': 'line', 'voc': 'object'}[format] } {where}".strip()


def list_names_alike(dataset: Dataset, faults: Faults) -> None:
    """Lists the classes that have boxes, and the name of another one that has some, but for case and blanks."""
    known: dict[str, str] = {}
    for name, count in zip(dataset.categories, dataset.class_counts().tolist(), strict=True):
        if count and (other := known.setdefault(" ".join(name.split()).casefold(), name)) != name:
            faults.add("category names alike", name, text=f"and '{other}'")


def name_photos(dataset: Dataset, faults: Faults) -> None:
    """Gives each image the name it will have: its path, without folders called after images or splits where it stays unique."""
    from synthbench.data.formats.naming import names_for

    for photo, name in zip(dataset.photos, names_for([photo.path for photo in dataset.photos]), strict=True):
        photo.name = name
        if encodable(photo.path) != photo.path:
            faults.add("other encoding", encodable(photo.path), text=name)
    by_last: dict[str, list[str]] = {}
    for photo in dataset.photos:
        by_last.setdefault(photo.path.rpartition("/")[2], []).append(photo.path)
    for paths in by_last.values():
        for path in paths[1:]:
            faults.add("equal names", path, text=f"and {paths[0]}")
