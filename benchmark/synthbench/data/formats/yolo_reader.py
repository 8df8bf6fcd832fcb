"""Reads YOLO labels, with and without `data.yaml`: one text file an image, a line a box: class, centre and size in shares."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from synthbench.data.formats.dataset import Draft, Photograph
from synthbench.data.formats.faults import Faults
from synthbench.data.formats.fields import number_of, read_text
from synthbench.data.formats.tree import Tree, folded, split_of, stem
from synthbench.data.formats.yolo_names import Layout, read_layout
from synthbench.text import named

NOT_LABELS = frozenset(
    {"classes.txt", "labels.txt", "obj.names", "train.txt", "val.txt", "valid.txt", "test.txt", "labelmap.txt", "notes.txt"}
)
OTHER_FOLDERS = ("label", "annotations", "annotation", "txt")
"""What people call the folder of label files that ultralytics calls `labels`."""
IN_PIXELS = 2.0  # a share may exceed 1 a little, by rounding or where an object leaves the image


def label_files(tree: Tree) -> tuple[list[str], str]:
    """The text files that may have boxes, in folders called `labels` (or as `label_folder` says) and beside images; and that name.

    Of those beside images, one must look like labels, or none is: they may be captions. Then every one that has the name of an image
    is a label file, also one that cannot be read.
    """
    texts = [file for file in tree.labels if file.lower().endswith(".txt") and file.rpartition("/")[2].lower() not in NOT_LABELS]
    texts = [file for file in texts if not file.rpartition("/")[2].lower().startswith("readme")]
    folder = label_folder(tree, texts)
    inside = within(texts, folder)
    images = {folded(stem(image)) for image in tree.images}
    if inside:
        known = set(inside)
        others = (file for file in texts if file not in known and folded(stem(file)) in images and looks_like_labels(tree, file))
        return [*inside, *others], folder
    folders = {image.rpartition("/")[0] for image in tree.images}
    labels = [file for file in texts if file.rpartition("/")[0] in folders and looks_like_labels(tree, file)]
    return sorted({*labels, *(file for file in texts if folded(stem(file)) in images)}) if labels else [], folder


def within(files: Sequence[str], folder: str) -> list[str]:
    """The files that lie in a folder of this name, in small letters, or deeper."""
    return [file for file in files if folder in file.lower().split("/")[:-1]]


def label_folder(tree: Tree, texts: Sequence[str]) -> str:
    """What the folder of label files is called: `labels`, or one of `OTHER_FOLDERS` if none is and that has labels of images."""
    if not within(texts, "labels"):
        for word in OTHER_FOLDERS:
            of_images = (file for file in within(texts, word) if folded(stem(file).rpartition("/")[2]) in tree.by_stem)
            if any(looks_like_labels(tree, file) for file in of_images):
                return word
    return "labels"


def looks_like_labels(tree: Tree, file: str) -> bool:
    """Whether a text file is empty, or begins with a line of five numbers or more."""
    with (tree.root / file).open("rb") as opened:
        fields = opened.readline(10_000).split()
    try:
        return not fields or (len(fields) >= 5 and all(math.isfinite(float(field)) for field in fields))
    except ValueError:
        return False


def read_yolo_folder(tree: Tree, faults: Faults, names: Sequence[str] = ()) -> Draft:
    """All images of a folder with the boxes of their label files. names: of the classes, in place of those that the folder gives."""
    layout = read_layout(tree, faults, names)
    draft = Draft(tree.root, "yolo", list(names or layout.names), license=layout.license, source=layout.source)
    files, folder = label_files(tree)
    own = own_labels(tree, files, folder)
    known = {folded(file): file for file in files}
    used: set[str] = set()
    claimed = set(own.values())
    reader = LineReader(draft, faults, layout)
    for image in tree.images:
        labels = own.get(image) or next((known[key] for each in candidates(image, folder) if (key := folded(each)) in known), "")
        if labels in used or (labels in claimed and image not in own):  # of a.jpg and a.png, or a.jpg and A.jpg
            faults.add("ambiguous name", labels, text=image)
            labels = ""
        elif labels and image not in own:
            faults.add("other spelling", labels, text=image)
        draft.photos.append(Photograph(image, split=layout.splits.get(image) or split_of(image), labels=labels))
        if labels:
            used.add(labels)
            reader.read(labels, len(draft.photos) - 1)
    for file in files:
        if file not in used:
            faults.add("no image", file)
    reader.finish()
    return draft


def own_labels(tree: Tree, files: Sequence[str], folder: str) -> dict[str, str]:
    """The label file of each image that has one of its own name in the same spelling, so that `a.jpg` does not take that of `A.jpg`."""
    known = {spelling(file): file for file in files}
    found = (
        (image, next((known[key] for each in candidates(image, folder) if (key := spelling(each)) in known), "")) for image in tree.images
    )
    return {image: file for image, file in found if file}


def spelling(file: str) -> str:
    """A file without its suffix, with folders folded: `Labels/A.TXT` is spelled as `labels/A.txt`, not as `labels/a.txt`."""
    folder, _, name = file.rpartition("/")
    return f"{folded(folder)}/{stem(name)}"


def candidates(image: str, folder: str) -> list[str]:
    """Where the labels of an image may be: `images` in its path replaced by their folder's name, from the last one on, or beside it."""
    parts = stem(image).split("/")
    found = [
        "/".join([*parts[:at], folder, *parts[at + 1 :]]) + ".txt"
        for at in range(len(parts) - 2, -1, -1)
        if parts[at].lower() in ("images", "jpegimages", "imgs")
    ]
    beside = "/".join([*parts[:-1], folder, parts[-1]])
    return [*found, "/".join(parts) + ".txt", f"{beside}.txt", f"{folder}/{'/'.join(parts)}.txt"]


class LineReader:
    """Reads label files line by line into a draft."""

    def __init__(self, draft: Draft, faults: Faults, layout: Layout) -> None:
        self.draft, self.faults, self.layout = draft, faults, layout
        self.classes: Counter[int] = Counter()
        self.first: dict[int, str] = {}

    def read(self, file: str, photo: int) -> None:
        """Adds the boxes of a file."""
        try:
            lines = read_text(f"{self.draft.root}/{file}").splitlines()
        except (OSError, ValueError) as error:
            self.faults.add("unreadable labels", file, text=error)
            self.draft.photos[photo].usable = False
            return
        for number, line in enumerate(lines, start=1):
            if line.strip():
                self._line(file, number, line, photo)

    def _line(self, file: str, number: int, line: str, photo: int) -> None:
        first, *rest = line.split()
        try:
            label = self._label(first)
            values = [number_of(field) for field in rest]
            corners, kind = corners_of(values, self.layout.keypoints)
        except ValueError as error:
            self.faults.add("unreadable entry", file, f"line {number}", error)
            self.draft.photos[photo].lost += 1
            return
        if kind:
            self.faults.add(kind, file, f"line {number}")
        pixels = max(map(abs, corners)) > IN_PIXELS
        if pixels:
            self.faults.add("pixels", file, f"line {number}")
        self.classes[label] += 1
        self.first.setdefault(label, file)
        self.draft.rows.add(photo, label, corners, number, share=not pixels)

    def _label(self, field: str) -> int:
        """The class of a line: a number, or a name that is listed. Raises ValueError."""
        try:
            number = number_of(field)
        except ValueError:
            if field in self.draft.categories:
                return self.draft.categories.index(field)
            hint = "; blanks separate the numbers of a line" if re.search("[,;]", field) else ""
            raise ValueError(f"'{named(field)}' is no class number{hint}") from None
        if not 0 <= number < 100_000 or number != int(number):
            raise ValueError(f"{field} is no class number")
        return int(number)

    def finish(self) -> None:
        """Names the classes that have no name, after their number."""
        names = self.draft.categories
        known = len(names)
        for label in sorted(self.classes):
            if label >= known or not names[label]:
                self.faults.add("no class names", self.first[label], text=f"class {label}, {self.classes[label]} boxes")
        names += [""] * (max(self.classes, default=-1) + 1 - known)
        names[:] = [name or f"class {number}" for number, name in enumerate(names)]
        for name in self.draft.unite():
            self.faults.add("category name twice", self.layout.file, text=name)


def corners_of(values: list[float], keypoints: int) -> tuple[tuple[float, float, float, float], str]:
    """x1, y1, x2, y2 of a line's numbers after the class, and the kind of fault that they are ("" for a plain box).

    keypoints: how many numbers the keypoints of a line take, 0 if it has none. Raises ValueError for any other number of numbers.
    """
    count = len(values)
    kind = ""
    if count == 5:
        kind = "confidence"
    elif keypoints and count == 4 + keypoints:
        kind = "keypoints"
    elif count >= 6 and count % 2 == 0:
        xs, ys = values[::2], values[1::2]
        return (min(xs), min(ys), max(xs), max(ys)), "oriented box" if count == 8 else "polygon"
    elif count != 4:
        raise ValueError(f"{count + 1} numbers; a box has 5, a polygon an odd number from 7 on")
    x, y, width, height = values[:4]
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2), kind
