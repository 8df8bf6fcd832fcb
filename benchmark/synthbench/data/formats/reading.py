"""Reads a folder of labelled photographs in any of the formats, detected or told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthbench.data.formats.coco_reader import coco_files, read_coco_folder
from synthbench.data.formats.dataset import Dataset, Draft
from synthbench.data.formats.faults import KINDS, Faults, Unclear
from synthbench.data.formats.finishing import Track, finish
from synthbench.data.formats.tree import Tree, read_tree
from synthbench.data.formats.voc_reader import read_voc_folder, voc_files
from synthbench.data.formats.yolo_names import data_file
from synthbench.data.formats.yolo_reader import label_files, read_yolo_folder
from synthbench.errors import SynthbenchError
from synthbench.text import named

FORMATS = ("coco", "yolo", "voc")


@dataclass(frozen=True)
class Reading:
    """What a user says of a folder. format: one of FORMATS, "" to detect it. names: of the classes.

    voc_base: what corners of Pascal VOC count from; None to find out. min_side: of a box, in pixels.
    """

    format: str = ""
    names: tuple[str, ...] = ()
    voc_base: int | None = None
    min_side: float = 0.0


def read_folder(root: Path, options: Reading, faults: Faults, track: Track = lambda paths, _count: paths) -> Dataset:
    """Reads a folder. Raises SynthbenchError if there is none, or nothing in it to read; Unclear if several formats are in it."""
    if not root.is_dir():
        raise SynthbenchError(f"{root}: {'not a folder; name the folder that has the images' if root.exists() else 'no such folder'}")
    tree = read_tree(root)
    if not tree.images:
        others = f"; {KINDS['unread format'][1]} ({len(tree.unread)}, such as {tree.unread[0]})" if tree.unread else ""
        raise SynthbenchError(f"{root}: no images in it{others}")
    for file in tree.unread:
        faults.add("unread format", file)
    dataset = finish(draft_of(tree, options, faults), faults, track, options.min_side)
    if not dataset.photos:
        kinds = ", ".join(f"{kind}: {count}" for kind, count in faults.counts().items())
        raise SynthbenchError(f"{root}: no image of it can be used ({kinds})")
    for number, count in enumerate(dataset.class_counts().tolist()):
        if not count and dataset.categories[number] != f"class {number}":  # which a reader has made up to fill a gap
            faults.add("category without boxes", dataset.categories[number])
    return dataset


def draft_of(tree: Tree, options: Reading, faults: Faults) -> Draft:
    """The draft of a folder in the format that it has or is said to have."""
    format = options.format or detect(tree)
    if format == "yolo":
        return read_yolo_folder(tree, faults, options.names)
    if format == "voc":
        return read_voc_folder(tree, faults, options.names, options.voc_base)
    files = coco_files(tree, faults)
    if not files:
        broken = "; ".join(f"{each.file}: {each.text}" for each in faults.found)
        raise SynthbenchError(f"{tree.root}: no JSON file with images and annotations{f' ({broken})' if broken else ''}")
    draft = read_coco_folder(tree, faults, files)
    if options.names:
        draft.categories = renamed(draft.categories, options.names)
        for name in draft.unite():
            faults.add("category name twice", "--names", text=name)
    return draft


def renamed(categories: Sequence[str], names: Sequence[str]) -> list[str]:
    """The categories under other names, in their order. Raises SynthbenchError if the numbers differ."""
    if len(categories) != len(names):
        known = ", ".join(map(named, categories))
        raise SynthbenchError(f"--names: {len(names)} names, but there are {len(categories)} categories: {known}")
    return list(names)


def detect(tree: Tree) -> str:
    """The format of a folder. Raises Unclear if it may be several, SynthbenchError if it is none."""
    evidence = {
        "coco": coco_files(tree)[:1],
        "yolo": [file] if (file := data_file(tree)[0]) else label_files(tree)[0][:1],
        "voc": voc_files(tree)[:1],
    }
    found = {format: files[0] for format, files in evidence.items() if files}
    if len(found) == 1:
        return next(iter(found))
    if found:
        listed = ", ".join(f"{format} ({file})" for format, file in found.items())
        raise Unclear(f"{tree.root}: labels of several formats: {listed}; say which to read with --format {'|'.join(found)}")
    raise SynthbenchError(
        f"{tree.root}: {len(tree.images)} images and no labels: no JSON file with images and annotations (COCO), no data.yaml or text "
        "files beside images or in labels/ (YOLO), no XML files (Pascal VOC)"
    )
