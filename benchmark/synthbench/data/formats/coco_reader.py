"""Reads COCO detection JSON, one file or several, wherever its images are."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from synthbench.data.coco_file import joined as joined_words
from synthbench.data.coco_file import references
from synthbench.data.formats.dataset import UNKNOWN, Draft, Photograph
from synthbench.data.formats.faults import Faults
from synthbench.data.formats.tree import Tree, slashes, split_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Row = TypeVar("Row", bound=msgspec.Struct)
Id = int | str
ABSENT = -2  # instead of a position; -1 stands for an image that was left out


class Image(msgspec.Struct, gc=False):
    """An entry of `images`."""

    id: Id
    file_name: str
    width: float | None = 0
    height: float | None = 0


class Annotation(msgspec.Struct, gc=False):
    """An entry of `annotations`. bbox: x, y, width, height."""

    image_id: Id
    category_id: Id
    bbox: tuple[float, float, float, float]
    id: Id = 0
    iscrowd: int | bool | None = 0


class Category(msgspec.Struct, gc=False):
    """An entry of `categories`."""

    id: Id
    name: str


class Content(msgspec.Struct, gc=False):
    """A whole file whose every entry is as it should be."""

    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category]
    licenses: Any = None
    info: Any = None


class Keys(msgspec.Struct, gc=False):
    """Whether a JSON file is COCO's: the two lists are there."""

    images: msgspec.Raw
    annotations: msgspec.Raw


def coco_files(tree: Tree, faults: Faults | None = None) -> list[str]:
    """The JSON files of a folder that have `images` and `annotations`. Those that are no JSON are faults.

    COCO's own folders have captions and keypoints beside `instances_*.json`; only the latter are taken then.
    """
    found = []
    for file in tree.labels:
        if not file.lower().endswith(".json"):
            continue
        content = (tree.root / file).read_bytes().removeprefix(b"\xef\xbb\xbf")
        try:
            keys = msgspec.json.decode(content, type=Keys)
            if bytes(keys.images).startswith(b"[") and bytes(keys.annotations).startswith(b"["):
                found.append(file)
        except msgspec.ValidationError:
            continue
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if looks_like_coco(content):
                found.append(file)
            elif faults is not None:
                faults.add("unreadable labels", file, text=error)
    instances = [file for file in found if file.rpartition("/")[2].startswith("instances_")]
    return instances or found


def looks_like_coco(content: bytes) -> bool:
    """Whether a file that strict JSON refuses, for a NaN, is COCO's for Python's reader."""
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(whole, dict) and isinstance(whole.get("images"), list) and isinstance(whole.get("annotations"), list)


def read_coco_folder(tree: Tree, faults: Faults, files: Sequence[str]) -> Draft:
    """All annotation files of a folder as one draft."""
    draft = Draft(tree.root, "coco", [])
    reader = Reader(tree, faults, draft)
    for file in files:
        reader.read(file)
    draft.license, draft.source = joined_words(reader.licenses), joined_words(reader.sources)
    listed = {photo.path for photo in draft.photos}
    for image in tree.images:
        if image not in listed:
            faults.add("not listed", image)
    return draft


class Reader:
    """Reads one annotation file after the other into a draft."""

    def __init__(self, tree: Tree, faults: Faults, draft: Draft) -> None:
        self.tree, self.faults, self.draft = tree, faults, draft
        self.positions: dict[str, int] = {}
        self.licenses: list[str] = []
        self.sources: list[str] = []
        self.unread: list[Id] = []  # the images of annotations that cannot be read, by their ids in the file

    def read(self, file: str, split: str = "", images: str = "images") -> None:
        """Adds a file's images and boxes. split: "" for what its name says. images: the folder that holds them, if there is one."""
        content = self._content(file)
        self.licenses.append(references(content.licenses))
        self.sources.append(references([content.info]))
        labels = self._categories(file, content.categories)
        photos = self._images(file, content.images, split or split_of(file), images)
        self._lost(photos.get(number, ABSENT) for number in self.unread)
        self._boxes(file, content.annotations, photos, labels)

    def _content(self, file: str) -> Content:
        raw = (self.tree.root / file).read_bytes().removeprefix(b"\xef\xbb\xbf")
        self.unread = []
        try:
            return msgspec.json.decode(raw, type=Content)
        except msgspec.MsgspecError:
            loose = json.loads(raw)
        lists = {key: loose.get(key) if isinstance(loose.get(key), list) else [] for key in ("images", "annotations", "categories")}
        return Content(
            self._entries(file, "images", lists["images"], Image),
            self._entries(file, "annotations", [boxed(row, file, self.faults) for row in lists["annotations"]], Annotation),
            self._entries(file, "categories", lists["categories"], Category),
            loose.get("licenses"),
            loose.get("info"),
        )

    def _entries(self, file: str, key: str, entries: Sequence[object], kind: type[Row]) -> list[Row]:
        rows = []
        for number, entry in enumerate(entries):
            try:
                rows.append(msgspec.convert(entry, kind, strict=False))
            except (msgspec.ValidationError, UnicodeEncodeError, RecursionError) as error:
                self.faults.add("unreadable entry", file, f"{key}[{number}]", error)
                if isinstance(entry, dict) and isinstance(image := entry.get("image_id"), int | str):
                    self.unread.append(image)
        return rows

    def _categories(self, file: str, rows: Sequence[Category]) -> Mapping[Id, int]:
        """The position in the draft of each category id of this file."""
        names = self.draft.categories
        labels: dict[Id, int] = {}
        seen: set[str] = set()
        for row in sorted(rows, key=lambda row: (isinstance(row.id, str), row.id)):
            if row.id in labels:
                if names[labels[row.id]] != row.name:
                    self.faults.add("category id twice", file, f"category {row.id}", f"'{row.name}' and '{names[labels[row.id]]}'")
                continue
            if row.name in seen:
                self.faults.add("category name twice", file, f"category {row.id}", row.name)
            seen.add(row.name)
            if row.name not in names:
                names.append(row.name)
            labels[row.id] = names.index(row.name)
        if list(labels) != list(range(1, len(labels) + 1)):
            self.faults.add("category ids", file, text=", ".join(map(str, list(labels)[:10])))
        return labels

    def _images(self, file: str, rows: Sequence[Image], split: str, images: str) -> dict[Id, int]:
        """The position in the draft of each image id of this file; -1 where the image is not there or nobody knows which it is."""
        folder = file.rpartition("/")[0]
        tree, faults, draft = self.tree, self.faults, self.draft
        inner = (f"{folder}/{name}".strip("/") for name in (images, split) if name)
        prefixes = tuple(dict.fromkeys((*inner, folder, images, "")))
        photos: dict[Id, int] = {}
        for row in rows:
            name = slashes(row.file_name)
            if row.id in photos:
                faults.add("image id twice", file, f"image {row.id}", name)
                photos[row.id] = -1
                continue
            photos[row.id] = -1
            if "\0" in name or ".." in name.split("/"):
                faults.add("leads out", file, f"image {row.id}", name)
                continue
            path, fault = tree.find(name, prefixes, split)
            if fault:
                faults.add(fault, file, f"image {row.id}", name)
            if path is None:
                continue
            known = self.positions.get(path)
            if known is None:
                known = self.positions[path] = len(draft.photos)
                draft.photos.append(Photograph(path, size_of(row), split or split_of(path), file))
            else:
                self._listed_again(draft.photos[known], file, split, row.id)
            photos[row.id] = known
        return photos

    def _listed_again(self, photo: Photograph, file: str, split: str, number: Id) -> None:
        if split and photo.split and split != photo.split:
            self.faults.add("on both sides", photo.path, text=f"{photo.labels} and {file}")
            photo.split = "test" if "test" in (split, photo.split) else "val"
        else:
            photo.split = photo.split or split
            self.faults.add("listed twice", photo.path, f"image {number}", file)

    def _boxes(self, file: str, rows: Sequence[Annotation], photos: Mapping[Id, int], labels: Mapping[Id, int]) -> None:
        faults = self.faults
        boxes = np.array([row.bbox for row in rows], np.float64).reshape(-1, 4)
        shares, finite = in_shares(boxes), np.asarray(np.isfinite(boxes).all(1))
        boxes[:, 2:] += boxes[:, :2]
        photo = np.fromiter((photos.get(row.image_id, ABSENT) for row in rows), np.int64, len(rows))
        label = np.fromiter((labels.get(row.category_id, ABSENT) for row in rows), np.int64, len(rows))
        where = [row.id if isinstance(row.id, int) and abs(row.id) < 2**62 else index for index, row in enumerate(rows)]
        there = photo >= 0
        lost = Counter(rows[index].image_id for index in np.flatnonzero(photo == ABSENT).tolist())
        for number, count in lost.items():
            faults.add("no image", file, f"image {number}", f"{count} annotations of an image that is not listed")
        for index in np.flatnonzero(there & (label < 0)).tolist():
            faults.add("unknown category", file, f"annotation {where[index]}", f"category {rows[index].category_id}")
        for index in np.flatnonzero(there & (label >= 0) & ~finite).tolist():
            faults.add("unreadable entry", file, f"annotation {where[index]}", "its bbox is not of finite numbers")
        good = there & (label >= 0) & finite
        self._lost(photo[there & ~good].tolist())
        for index in np.flatnonzero(good & shares).tolist():
            faults.add("shares", file, f"annotation {where[index]}")
        crowd = np.fromiter((bool(row.iscrowd) for row in rows), np.int8, len(rows))
        numbers = np.array(where, np.int64)
        self.draft.rows.extend(photo[good], label[good], boxes[good], numbers[good], shares[good], crowd[good])

    def _lost(self, photos: Iterable[int]) -> None:
        """Counts a box that was left out for each of these positions in the draft."""
        for photo in photos:
            if photo >= 0:
                self.draft.photos[photo].lost += 1


def size_of(row: Image) -> tuple[int, int]:
    """Width and height as an entry states them; UNKNOWN without, and where they are no numbers of pixels."""
    width, height = row.width or 0, row.height or 0
    return (int(width), int(height)) if 1 <= width < math.inf and 1 <= height < math.inf else UNKNOWN


def in_shares(boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of COCO's boxes (N, 4) are in shares of the image: all, if no number is above 1; else those of fractions up to 1."""
    small: NDArray[np.bool_] = np.asarray((boxes <= 1).all(1))
    return small if small.all() else small & (boxes != np.floor(boxes)).any(1)


def boxed(row: object, file: str, faults: Faults) -> object:
    """An annotation without a bbox, but with polygons, gets the box around them."""
    if not isinstance(row, dict) or row.get("bbox"):
        return row
    polygons = row.get("segmentation")
    if not isinstance(polygons, list) or not all(isinstance(each, list) for each in polygons):
        return row
    numbers = [[value for value in each if isinstance(value, int | float) and math.isfinite(value)] for each in polygons]
    xs, ys = [x for each in numbers for x in each[::2]], [y for each in numbers for y in each[1::2]]
    if not xs or not ys:
        return row
    faults.add("polygon", file, f"annotation {row.get('id')}")
    return row | {"bbox": [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]}
