"""Reads Pascal VOC: one XML file an image, with corners that count from 1 and include the last pixel."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from synthbench.data.formats.dataset import UNKNOWN, Draft, Photograph
from synthbench.data.formats.faults import Faults
from synthbench.data.formats.fields import number_of
from synthbench.data.formats.tree import IMAGES, Tree, folded, slashes, split_of, stem
from synthbench.data.formats.yolo_names import listed_names
from synthbench.text import named

Element = ElementTree.Element
SETS = {"trainval": "train", "train": "train", "val": "val", "test": "test"}  # later ones win


@dataclass(frozen=True)
class Found:
    """An object of an XML file. corners: as they stand there."""

    photo: int
    name: str
    corners: tuple[float, float, float, float]
    number: int
    difficult: bool
    crowd: bool


def voc_files(tree: Tree) -> list[str]:
    """The XML files."""
    return [file for file in tree.labels if file.lower().endswith(".xml")]


def read_voc_folder(tree: Tree, faults: Faults, names: Sequence[str] = (), base: int | None = None) -> Draft:
    """All images of a folder with the boxes of their XML files.

    names: the order of the classes. base: what corners count from; None: 1, or 0 if a corner lies at 0.
    """
    draft = Draft(tree.root, "voc", list(names))
    reader = Reader(tree, faults, draft, read_sets(tree, faults))
    for file in voc_files(tree):
        reader.read(file)
    for image in tree.images:
        if image not in reader.positions:
            draft.photos.append(Photograph(image, split=reader.split_of(image), usable=image not in reader.unread))
    if not draft.categories:
        listed = listed_names(tree, faults)
        used = {each.name for each in reader.objects}
        draft.categories = list(filter(None, listed[0][0])) if listed else []
        draft.categories += sorted(used - set(draft.categories))
    draft.license, draft.source = ("; ".join(sorted(each)) for each in (reader.licenses, reader.sources))
    add_boxes(draft, reader.objects, faults, base)
    return draft


def add_boxes(draft: Draft, objects: Sequence[Found], faults: Faults, base: int | None) -> None:
    """Adds the boxes, with corners from 0 and ends exclusive."""
    zeros = Counter(each.photo for each in objects if not in_shares(each) and any(0 <= corner < 1 for corner in each.corners[:2]))
    if base is None:
        base = 0 if zeros else 1
        for photo, count in zeros.items():
            faults.add("counted from 0", draft.photos[photo].labels, text=f"{count} boxes with a corner at 0")
    labels = {name: number for number, name in enumerate(draft.categories)}
    for each in objects:
        file = draft.photos[each.photo].labels
        if each.name not in labels:
            faults.add("unknown category", file, f"object {each.number}", each.name)
            draft.photos[each.photo].lost += 1
            continue
        x1, y1, x2, y2 = each.corners
        if share := in_shares(each):
            faults.add("shares", file, f"object {each.number}")
        moved = 0 if share else base
        draft.rows.add(each.photo, labels[each.name], (x1 - moved, y1 - moved, x2, y2), each.number, share, each.crowd, each.difficult)


def in_shares(found: Found) -> bool:
    """Whether the corners of an object are shares of the image."""
    return max(found.corners) <= 1 and any(corner % 1 for corner in found.corners)


class Reader:
    """Reads one XML file after the other."""

    def __init__(self, tree: Tree, faults: Faults, draft: Draft, sets: dict[str, str]) -> None:
        self.tree, self.faults, self.draft, self.sets = tree, faults, draft, sets
        self.positions: dict[str, int] = {}
        self.objects: list[Found] = []
        self.unread: set[str] = set()  # images whose file cannot be read
        self.licenses: set[str] = set()
        self.sources: set[str] = set()

    def split_of(self, image: str) -> str:
        """The split of an image: that of ImageSets, else of its folders."""
        parts = folded(stem(image)).split("/")
        tails = ("/".join(parts[at:]) for at in range(len(parts)))
        return next((self.sets[tail] for tail in tails if tail in self.sets), "") or split_of(image)

    def read(self, file: str) -> None:
        """Adds a file's objects. XML of another kind is passed over, as an editor's settings would be."""
        root = self._parsed(file)
        if root is None:
            return
        image = self._image(file, root)
        if image is None:
            return
        if image in self.positions:
            photo = self.positions[image]
            self.faults.add("listed twice", image, text=f"{self.draft.photos[photo].labels} and {file}")
        else:
            photo = self.positions[image] = len(self.draft.photos)
            self.draft.photos.append(Photograph(image, size_of(root), self.split_of(image), file))
        for key, texts in (("source/license", self.licenses), ("source/database", self.sources)):
            if text := (root.findtext(key) or "").strip():
                texts.add(text)
        for number, each in enumerate(root.findall("object"), start=1):
            self._object(file, photo, number, each)

    def _parsed(self, file: str) -> Element | None:
        try:
            with open(f"{self.tree.root}/{file}", "rb") as opened:  # noqa: PTH123 - 100,000 of them
                content = opened.read()
            if b"<!ENTITY" in content or "<!ENTITY".encode("utf-16-le") in content:
                raise ValueError("it defines entities, which labels have no use for")
            root = ElementTree.fromstring(content)
        except (OSError, ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
            self.faults.add("unreadable labels", file, text=error)
            self.unread |= {*self._own(file)}
            return None
        if root.tag == "annotation":
            return root
        if own := self._own(file):
            self.faults.add("unreadable labels", file, text=f"its root is <{named(root.tag)}>, not <annotation>")
            self.unread |= {*own}
        return None

    def _own(self, file: str) -> list[str]:
        """The images of the same name in a folder beside an XML file: in the same spelling, if there is one."""
        name = stem(file).rpartition("/")[2]
        own = [each for each in self.tree.by_stem.get(folded(name), ()) if parallel(file, each)]
        return [each for each in own if stem(each).rpartition("/")[2] == name] or own

    def _image(self, file: str, root: Element) -> str | None:
        """The image of an XML file: of the same name in a folder beside it, or of the name that it states."""
        stated = slashes((root.findtext("filename") or "").strip())
        own = self._own(file)
        if len(own) == 1:
            if stem(own[0]).rpartition("/")[2] != stem(file).rpartition("/")[2]:
                self.faults.add("other spelling", file, text=own[0])
            if stated and folded(stem(stated).rpartition("/")[2]) != folded(stem(own[0]).rpartition("/")[2]):
                self.faults.add("other file name", file, text=stated)
            elif (path := slashes((root.findtext("path") or "").strip())).startswith("/") or ":" in path[:3]:
                self.faults.add("foreign path", file, "path", path)
            return own[0]
        if not stated or ".." in stated.split("/"):
            self.faults.add("leads out" if stated else "no image", file, text=stated)
            return None
        found, fault = self.tree.find(stated, (file.rpartition("/")[0],), split_of(file))
        if fault:
            self.faults.add(fault, file, text=stated)
        return found

    def _object(self, file: str, photo: int, number: int, element: Element) -> None:
        where = f"object {number}"
        try:
            name = (element.findtext("name") or "").strip()
            if not name:
                raise ValueError("it has no name")
            corners, kind = corners_of(element)
        except ValueError as error:
            self.faults.add("unreadable entry", file, where, error)
            self.draft.photos[photo].lost += 1
            return
        if kind:
            self.faults.add(kind, file, where)
        difficult = flag(element, "difficult")
        for key, present in (("difficult", difficult), ("truncated", flag(element, "truncated") or flag(element, "occluded"))):
            if present:
                self.faults.add(key, file, where)
        self.objects.append(Found(photo, name, corners, number, difficult, flag(element, "iscrowd")))


def flag(element: Element, key: str) -> bool:
    """Whether an element has a child of this name that says yes."""
    return (element.findtext(key) or "").strip() not in ("", "0", "false", "False", "Unspecified")


def size_of(root: Element) -> tuple[int, int]:
    """Width and height as the file states them; UNKNOWN without."""
    try:
        size = (int(float(root.findtext("size/width") or 0)), int(float(root.findtext("size/height") or 0)))
    except (ValueError, OverflowError):
        return UNKNOWN
    return size if min(size) > 0 else UNKNOWN


def corners_of(element: Element) -> tuple[tuple[float, float, float, float], str]:
    """xmin, ymin, xmax, ymax of an object, and the kind of fault that it is. Raises ValueError if there are none."""
    if len(element.findall("bndbox")) > 1:
        raise ValueError("it has several bndboxes; each box is an object of its own")
    if (box := element.find("bndbox")) is not None:
        return (number(box, "xmin"), number(box, "ymin"), number(box, "xmax"), number(box, "ymax")), ""
    if (box := element.find("robndbox")) is not None:
        x, y, width, height, angle = (number(box, key) for key in ("cx", "cy", "w", "h", "angle"))
        across = abs(width * math.cos(angle)) + abs(height * math.sin(angle))
        down = abs(width * math.sin(angle)) + abs(height * math.cos(angle))
        return (x - across / 2, y - down / 2, x + across / 2, y + down / 2), "oriented box"
    if (polygon := element.find("polygon")) is not None:
        xs, ys = ([number_of((each.text or "").strip()) for each in polygon if each.tag.startswith(axis)] for axis in "xy")
        points = polygon.findall("pt")
        xs, ys = xs + [number(each, "x") for each in points], ys + [number(each, "y") for each in points]
        if xs and ys:
            return (min(xs), min(ys), max(xs), max(ys)), "polygon"
    raise ValueError("it has no bndbox")


def number(element: Element, key: str) -> float:
    """The number of a child. Raises ValueError if there is none."""
    text = element.findtext(key)
    if text is None:
        raise ValueError(f"it has no {key}")
    try:
        return number_of(text.strip())
    except ValueError as error:
        raise ValueError(f"its {key}: {error}") from None


def parallel(file: str, image: str) -> bool:
    """Whether an XML file and an image of the same name lie in folders that belong together.

    Those are the same folder, or two that differ in one part, such as `Annotations/` and `JPEGImages/`.
    """
    first, second = file.split("/")[:-1], image.split("/")[:-1]
    if len(first) == len(second):
        return sum(one != other for one, other in zip(first, second, strict=True)) <= 1
    longer, shorter = (first, second) if len(first) > len(second) else (second, first)
    return len(longer) - len(shorter) == 1 and any(longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer)))


def read_sets(tree: Tree, faults: Faults) -> dict[str, str]:
    """The split of each image by the folded end of its path, without suffix, as `ImageSets/Main/train.txt` and the like list them."""
    found: dict[str, str] = {}
    listed: dict[tuple[str, str], str] = {}  # the list that an image is in, of those in one folder
    for kind, split in SETS.items():
        for file in tree.labels:
            folder, _, last = file.lower().rpartition("/")
            if last != f"{kind}.txt" or "imagesets" not in folder.split("/"):
                continue
            for number, line in enumerate((tree.root / file).read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
                if not (name := line.strip()):
                    continue
                key = folded(stem(name) if f".{name.rpartition('.')[2].lower()}" in IMAGES else name)
                images = tree.by_stem.get(key.rpartition("/")[2], [])
                found[key] = split
                if not images:
                    faults.add("listed, not there", file, f"line {number}", name)
                elif kind != "trainval":  # which repeats the others
                    if other := listed.get((folder, key)):
                        faults.add("on both sides", images[0], text=f"{other} and {file}")
                    listed[folder, key] = file
    return found
