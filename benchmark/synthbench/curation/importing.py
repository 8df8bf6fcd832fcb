"""`synthbench data import`, `check` and `export`, as functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from synthbench.curation.cleaning import Ask, chosen_classes, list_unlabelled, treat_difficult, without_empty_classes, without_unlabelled
from synthbench.curation.duplicates import SEARCHED, drop_across, drop_same_files, fingerprints, list_alike
from synthbench.curation.fault_list import write_faults
from synthbench.curation.sheet import draw_sheet
from synthbench.curation.splitting import make_split, use_split
from synthbench.curation.summary import Summary, summarise
from synthbench.data.formats.coco_writer import write_coco
from synthbench.data.formats.dataset import Dataset
from synthbench.data.formats.faults import Faults, Unclear
from synthbench.data.formats.grouping import Groups, find_groups, list_across
from synthbench.data.formats.reading import Reading, read_folder
from synthbench.data.formats.tree import SHEET
from synthbench.data.formats.voc_writer import write_voc
from synthbench.data.formats.writing import refuse_nested
from synthbench.data.formats.yolo_writer import write_yolo
from synthbench.files import new_folder

FAULTS = "faults.csv"
Track = Callable[[Iterable[str], int, str], Iterable[str]]


@dataclass(frozen=True)
class Choices:
    """What a user says of an import.

    unlabelled: what images without a label file are: `empty` (looked at, and nothing there), `skip` (not labelled; left out), or "" to
    ask. classes: those to keep; empty for all that have boxes. test: share of the images. group: see `find_groups`. duplicates:
    whether images are compared by their looks; None: if they are not too many. difficult: what boxes marked so are.
    """

    reading: Reading = field(default_factory=Reading)
    unlabelled: Literal["", "empty", "skip"] = ""
    classes: tuple[str, ...] = ()
    test: float = 0.3
    resplit: bool = False
    group: str = ""
    seed: int = 0
    duplicates: bool | None = None
    difficult: Literal["keep", "ignore", "drop"] = "keep"
    copy: bool = False


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of it: the data set, what was odd in the folder, how images were grouped for the split that was made."""

    dataset: Dataset
    faults: Faults
    summary: Summary
    groups: Groups | None = None
    resplit: bool = False


def no_track(paths: Iterable[str], count: int, label: str) -> Iterable[str]:  # noqa: ARG001 - shows nothing
    """Shows no progress."""
    return paths


def refuse(question: str, _answers: tuple[str, ...]) -> str:
    """Where nobody can be asked. Raises Unclear."""
    raise Unclear(question)


def check_folder(source: Path, choices: Choices, out: Path | None, track: Track = no_track) -> Outcome:
    """Reads a folder, and lists everything that is odd in it; writes the list and a contact sheet to `out`.

    A split that is there stays; copies and images that look the same are listed, and nothing is asked.
    """
    if out is not None:
        refuse_nested(source, out)
    faults = Faults()
    dataset = read_folder(source, choices.reading, faults, lambda paths, count: track(paths, count, "read"))
    list_unlabelled(dataset, faults)
    whole = dataset
    dataset = drop_same_files(dataset, faults)
    given = {photo.path: photo.split for photo in dataset.photos}
    split = use_split(dataset, faults)
    prints = None
    if searches(dataset, choices, faults):
        dataset, prints = fingerprints(dataset, faults, lambda paths, count: track(paths, count, "compare"))
        if split:
            drop_across(dataset, prints, faults)
        list_alike(dataset, prints, faults)
    if split:
        list_across(dataset, find_groups(dataset, choices.group), faults)
        list_one_sided(dataset, faults)
        faults.add_if_few(test_images(dataset))
        for photo in whole.photos:
            photo.split = given.get(photo.path, photo.split)
    else:
        faults.add_if_few(round(choices.test * len(dataset.photos)))  # that an import would make
    damaged = {each.file for each in faults.of("damaged image")}
    whole = whole.keep(np.flatnonzero([photo.path not in damaged for photo in whole.photos]))
    if out is not None:
        write_faults(faults, out / FAULTS)
        draw_sheet(whole, out / SHEET)
    return Outcome(whole, faults, summarise(whole))


def import_folder(source: Path, target: Path, choices: Choices, track: Track = no_track, ask: Ask = refuse) -> Outcome:
    """Writes a folder's photographs as the data source `coco` reads them, with the list of faults and a contact sheet.

    ask: is asked what only the owner of the data knows. Raises SynthbenchError if there is nothing to read, or Unclear.
    """
    refuse_nested(source, target)
    with new_folder(target) as folder:
        outcome = prepare(source, choices, track, ask)
        write_coco(outcome.dataset, folder, copy=choices.copy)
        write_faults(outcome.faults, folder / FAULTS)
        draw_sheet(outcome.dataset, folder / SHEET)
    return outcome


def prepare(source: Path, choices: Choices, track: Track, ask: Ask) -> Outcome:
    """A folder's photographs, cleaned and split."""
    faults = Faults()
    dataset = read_folder(source, choices.reading, faults, lambda paths, count: track(paths, count, "read"))
    dataset = chosen_classes(dataset, choices.classes)
    dataset = without_unlabelled(dataset, choices.unlabelled, faults, ask)
    treat_difficult(dataset, choices.difficult, faults)
    dataset = drop_same_files(dataset, faults)
    prints, alike = None, list(range(len(dataset.photos)))
    if searches(dataset, choices, faults):
        dataset, prints = fingerprints(dataset, faults, lambda paths, count: track(paths, count, "compare"))
        alike = list_alike(dataset, prints, faults)
    groups = find_groups(dataset, choices.group)
    resplit = choices.resplit or not use_split(dataset, faults)
    if resplit:
        if not groups.rule:
            faults.add("no groups", ".", text=f"{len(dataset.photos)} images, split one by one")
        make_split(dataset, groups, alike, choices.test, choices.seed)
    else:
        list_across(dataset, groups, faults)
        if prints is not None:
            dataset = drop_across(dataset, prints, faults)
    list_one_sided(dataset, faults)
    faults.add_if_few(test_images(dataset))
    dataset = without_empty_classes(dataset)
    return Outcome(dataset, faults, summarise(dataset), groups, resplit)


def export_folder(source: Path, target: Path, format: str, choices: Choices, track: Track = no_track) -> Outcome:
    """Writes a folder's photographs in another format, with the splits that they have. Empty categories stay.

    Images without a label file are left out, since every format that is written would say that they were looked at.
    """
    refuse_nested(source, target)
    faults = Faults()
    with new_folder(target) as folder:
        dataset = read_folder(source, choices.reading, faults, lambda paths, count: track(paths, count, "read"))
        dataset = without_unlabelled(dataset, choices.unlabelled or "skip", faults, refuse)
        if format == "coco":
            write_coco(dataset, folder, copy=choices.copy)
        elif format == "yolo":
            write_yolo(dataset, folder, faults, copy=choices.copy)
        else:
            write_voc(dataset, folder, copy=choices.copy)
    return Outcome(dataset, faults, summarise(dataset))


def searches(dataset: Dataset, choices: Choices, faults: Faults) -> bool:
    """Whether images are compared by their looks. Says so if they are not."""
    if choices.duplicates is None and len(dataset.photos) <= SEARCHED:
        return True
    if not choices.duplicates:
        faults.add("duplicates not looked for", ".", text=f"{len(dataset.photos)} images")
    return bool(choices.duplicates)


def test_images(dataset: Dataset) -> int:
    """How many images are test images."""
    return sum(photo.split == "test" for photo in dataset.photos)


def list_one_sided(dataset: Dataset, faults: Faults) -> None:
    """Lists the categories that only one side of the split has."""
    for name, counts in summarise(dataset).classes.items():
        sides = [split for split, count in counts.items() if count]
        if len(sides) == 1 and len(counts) > 1:
            faults.add("category on one side", name, text=f"{counts[sides[0]]} boxes, all in {sides[0]} images")
