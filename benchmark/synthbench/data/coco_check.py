"""What is wrong or odd in the folder of the data source `coco`, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from synthbench.contract.types import DataCheck
from synthbench.data.coco_folder import load
from synthbench.data.formats.coco_reader import Reader
from synthbench.data.formats.dataset import Dataset, Draft
from synthbench.data.formats.faults import KINDS, Faults, describe
from synthbench.data.formats.finishing import TINY, finish
from synthbench.data.formats.grouping import find_groups, list_across
from synthbench.data.formats.tree import read_tree
from synthbench.errors import SynthbenchError

if TYPE_CHECKING:
    from synthbench.contract.types import Run
    from synthbench.data.coco import CocoFolder

QUIET = frozenset({"not listed", "equal names", "category ids", "no groups"})
"""What changes nothing for a suite."""


class Silent:
    """As much of a run as `load` asks for before it reads pixels."""

    def track(self, items: Iterable[Any], _label: str, **_more: object) -> Iterator[Any]:
        """Yields the items."""
        return iter(items)

    def note(self, message: str) -> None:
        """Drops a note: the faults say the same."""


def check(options: CocoFolder) -> DataCheck:
    """See `synthbench.data.coco.CocoFolder.check`."""
    try:
        categories = load(options, cast("Run", Silent())).categories
    except SynthbenchError as error:
        return DataCheck(options.categories, problems=(str(error),))
    faults = Faults()
    draft = Draft(options.path, "coco", [])
    reader = Reader(read_tree(options.path), Faults(), draft)
    for file, split in ((options.train, "train"), (options.test, "test")):
        reader.read(file, split, options.images)
    dataset = finish(draft, faults)
    shared = set(reader.faults.of("on both sides"))
    faults.found += shared
    list_across(dataset, find_groups(dataset, options.group), faults)
    units = find_groups(dataset, options.group or "none").of  # intervals are made by drawing these
    tests = {unit for photo, unit in zip(dataset.photos, units, strict=True) if photo.split == "test"}
    faults.add_if_few(len(tests), "groups of test images" if options.group else "test images")
    list_sides(dataset, categories, faults)
    if options.resize:
        faults.found = [each for each in faults.found if each.kind != "tiny"]
        list_tiny(dataset, options, faults)
    return DataCheck(categories, warnings=tuple(describe(kind, faults) for kind in faults.counts() if kind in KINDS.keys() - QUIET))


def list_sides(dataset: Dataset, categories: tuple[str, ...], faults: Faults) -> None:
    """Lists the chosen categories without boxes, or with boxes on one side only."""
    split_of = np.array([photo.split for photo in dataset.photos], str)[dataset.boxes.photo]
    for label, name in enumerate(dataset.categories):
        if name not in categories:
            continue
        sides = np.unique(split_of[dataset.boxes.label == label]).tolist()
        if not sides:
            faults.add("category without boxes", name)
        elif len(sides) == 1:
            faults.add("category on one side", name, text=f"only in {sides[0]} images")


def list_tiny(dataset: Dataset, options: CocoFolder, faults: Faults) -> None:
    """Lists the boxes that are tiny once images, or their tiles, are resized."""
    longest = np.array([min(max(photo.size), options.tile or max(photo.size)) for photo in dataset.photos], np.float64)
    sides = (dataset.boxes.xyxy[:, 2:] - dataset.boxes.xyxy[:, :2]).min(1, initial=np.inf) * options.resize / longest[dataset.boxes.photo]
    for index in np.flatnonzero(sides <= TINY).tolist():
        photo, where = dataset.photos[dataset.boxes.photo[index]], int(dataset.boxes.where[index])
        faults.add("tiny", photo.path, f"annotation {where}", f"{sides[index]:.1f} pixels with resize = {options.resize}")
