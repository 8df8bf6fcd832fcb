"""What is wrong or odd in a folder of labelled photographs: a list, in which nothing is corrected in silence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from synthbench.errors import SynthbenchError
from synthbench.text import shortened

LONGEST = 300  # characters of an example
FEW = 40
"""Test images below which an answer often stays open, as docs/evidence.md measures."""
MORE = "label more, import with a larger --test, or raise `replicates`"
Level = Literal["left out", "changed", "kept"]
"""What became of it: something is not in the result, something is there in another form, or it is there as it was."""
KINDS: dict[str, tuple[Level, str]] = {
    # the labels as files
    "no class names": ("changed", "classes without a name, called after their number; --names gives them names"),
    "other names": ("left out", "lists of class names that differ from the one that was taken; --names decides it"),
    "no label file": ("kept", "images without a label file"),
    "no image": ("left out", "labels whose image is not there"),
    "listed, not there": ("left out", "folders and names of a split of which there is no image"),
    "not listed": ("left out", "images that no annotation file lists"),
    "unreadable labels": ("left out", "label files that cannot be read, and their images"),
    "unreadable entry": ("left out", "lines or entries that cannot be read"),
    "listed twice": ("changed", "images that are listed more than once; their boxes were put together"),
    "image id twice": ("left out", "images that share their id with another one, so that nobody can tell whose the boxes are"),
    "ambiguous name": ("left out", "names that fit several images; rename the images and their labels"),
    "other encoding": ("changed", "images whose name is not in UTF-8; `_` stands for what cannot be read"),
    "equal names": ("kept", "images of the same name in different folders"),
    "other spelling": ("changed", "names that are spelled otherwise on disk, in upper case or in the form of their accents"),
    "foreign path": ("changed", "paths of another machine; their last parts are looked for here"),
    "other file name": ("kept", "label files that name another image than the one beside them; the one of the same name was taken"),
    "leads out": ("left out", "paths that lead out of the folder"),
    # classes
    "category ids": ("changed", "category ids that do not count from 1 in steps of 1; they were numbered again"),
    "category id twice": ("left out", "categories whose id another one has"),
    "category name twice": ("changed", "categories of the same name, taken as one"),
    "category names alike": (
        "kept",
        "categories whose name is another's but for case or blanks; the labels or --names can give both the same",
    ),
    "unknown category": ("left out", "boxes of a category that is not listed"),
    "category without boxes": ("kept", "categories of which there is no box"),
    "category on one side": ("kept", "categories that are only in the training or only in the test images"),
    # boxes
    "no size": ("left out", "boxes without a width or height"),
    "outside": ("changed", "boxes that reach out of their image, clipped"),
    "wholly outside": ("left out", "boxes that lie outside of their image"),
    "swapped corners": ("changed", "boxes whose right or lower edge came first"),
    "pixels": ("changed", "lines in pixels where YOLO has shares of the image, read as centre and size in pixels"),
    "shares": ("changed", "boxes in shares of the image where the format has pixels, multiplied by its size"),
    "polygon": ("changed", "polygons or masks, replaced by the box around them"),
    "oriented box": ("changed", "oriented boxes, replaced by the upright box around them"),
    "keypoints": ("changed", "lines with keypoints, of which the box is used"),
    "confidence": ("changed", "lines with a confidence, as a detector writes them; it is ignored"),
    "given twice": ("left out", "boxes that repeat another one of the same category"),
    "tiny": ("kept", "boxes with a side of 3 pixels or less; --min-side leaves them out"),
    "too small": ("left out", "boxes with a side below --min-side"),
    "no box left": ("left out", "images of which every box was left out; they would count as images without objects"),
    "counted from 0": (
        "changed",
        "files with a corner at 0, where Pascal VOC counts from 1; all were read as counting from 0",
    ),
    "difficult": ("kept", "boxes marked as difficult; --difficult says whether scoring ignores them"),
    "truncated": ("kept", "boxes marked as truncated or occluded"),
    "crowd": ("kept", "crowd regions (iscrowd), which scoring ignores"),
    "crowd lost": ("left out", "crowd regions, for which the format has no word"),
    # images
    "unread format": ("left out", "images and archives in a format that is not read: save them as JPEG or PNG, or unpack them"),
    "unreadable image": ("left out", "images that cannot be read"),
    "damaged image": ("left out", "images whose file ends too early or has damaged pixels"),
    "other size": ("changed", "images of another size than their labels say, but the same shape; the boxes were scaled"),
    "wrong size": ("left out", "images of another size and shape than their labels say"),
    "turned": ("changed", "images that EXIF turns; boxes are in the upright image"),
    "turned or not": ("kept", "images that EXIF turns, and whose size does not tell how their boxes were drawn; taken as drawn upright"),
    "grey": ("kept", "grey images; they are read as RGB"),
    "16 bits": (
        "kept",
        "images with 16 bits a channel; they are read with 8, 65,535 as white, so scale those of a camera with 10 to 14 bits before",
    ),
    "CMYK": ("kept", "images in CMYK; they are read as RGB"),
    "other mode": ("kept", "images with a palette or transparency; they are read as RGB"),
    "several frames": ("kept", "images with several frames, of which the first is read"),
    "same file": ("left out", "images whose file has the same bytes as another one"),
    "same file, other boxes": ("left out", "images whose file has the same bytes as another one, but which have other boxes"),
    "near-duplicate": ("kept", "images that look the same as an earlier one; a split that is made keeps them together"),
    "near-duplicate across": ("left out", "training images that look the same as a test image"),
    "duplicates not looked for": (
        "kept",
        "images that were not compared by their looks; --duplicates does it, and takes long",
    ),
    # the split
    "no split": ("changed", "images without a split; an import makes one"),
    "validation split": ("changed", "images of a validation split"),
    "group across": ("kept", "groups, such as the crops of one photograph, with images on both sides; --resplit keeps them together"),
    "no groups": ("kept", "neither names nor times tell which images belong together; --group can say it"),
    "few test images": ("kept", f"sets of fewer than {FEW} test images, so answers may stay open; {MORE}"),
    "on both sides": ("left out", "training images that are test images too"),
}
"""Every kind of fault: what became of it, and what it is, as the heading of a list."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One finding. file: relative to the folder; where: the line or entry in it, or nothing; text: more, or nothing."""

    kind: str
    file: str
    where: str = ""
    text: str = ""


@dataclass
class Faults:
    """The findings, in the order in which they were made. decided: what became of kinds of which a user has decided it."""

    found: list[Fault] = field(default_factory=list)
    decided: dict[str, Level] = field(default_factory=dict)

    def add(self, kind: str, file: object, where: object = "", text: object = "") -> None:
        """Adds one. Raises KeyError for a kind that is not in `KINDS`."""
        KINDS[kind]
        self.found.append(Fault(kind, str(file), str(where), str(text)))

    def add_if_few(self, tests: int, what: str = "test images") -> None:
        """Adds that there are few test images, or groups of them, if there are."""
        if tests < FEW:
            self.add("few test images", ".", text=f"{tests} {what}")

    def counts(self) -> Counter[str]:
        """How many there are of each kind, in the order of `KINDS`."""
        counted = Counter(each.kind for each in self.found)
        return Counter({kind: counted[kind] for kind in KINDS if counted[kind]})

    def became(self, kind: str) -> Level:
        """What became of one kind."""
        return self.decided.get(kind, KINDS[kind][0])

    def of(self, kind: str) -> list[Fault]:
        """All of one kind."""
        return [each for each in self.found if each.kind == kind]


class Unclear(SynthbenchError):
    """A question that only the owner of the data can answer: the message says with which option."""


def describe(kind: str, faults: Faults) -> str:
    """One kind in a line: how many there are, what they are, what became of them, and the first."""
    found, words = faults.of(kind), KINDS[kind][1]
    file = "" if found[0].file == "." else found[0].file
    first = shortened(" ".join(filter(None, (file, found[0].where, found[0].text and f"({found[0].text})"))), LONGEST)
    return f"{kind}: {len(found)} {words}; {faults.became(kind)}; {'such as ' if len(found) > 1 else ''}{first}"
