"""A folder of photographs with COCO annotations: all files are checked first, then images are read one at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from synthbench.contract.images import open_image
from synthbench.contract.types import Run, Sample, Splits
from synthbench.data.coco_file import CocoFile, joined, leads_out, read_coco
from synthbench.data.photos import Photo, PhotoCheck
from synthbench.data.tiling import boxes_in, new_size, resize, tiles
from synthbench.errors import SynthbenchError, suggest
from synthbench.text import named

if TYPE_CHECKING:
    from pathlib import Path

    from synthbench.data.coco import CocoFolder

LISTED = 20  # largest number of problems in an error message


def load(options: CocoFolder, run: Run) -> Splits:
    """See `synthbench.data.coco.CocoFolder.load`."""
    problems = _misplaced(options)
    _refuse(options.path, problems)
    files = {name: read_coco(options.path, name, problems) for name in (options.train, options.test)}
    read = [file for file in files.values() if file]
    categories = _categories(options, files[options.train], read, problems)
    photos: dict[str, list[Photo]] = {}
    notes: list[str] = []
    for file in read:
        labels = {number: categories.index(name) for number, name in file.categories.items() if name in categories}
        check = PhotoCheck(options.path / options.images, file, labels)
        photos[file.name] = list(check.photos(run))
        problems += check.problems
        notes += check.notes()
        if not problems and not any(len(photo.boxes) for photo in photos[file.name]):
            problems.append(f"{file.name}: no boxes of {', '.join(map(named, categories)) or 'any category'}")
        elif not problems and file.name == options.test and all(photo.boxes.crowd.all() for photo in photos[file.name]):
            problems.append(f"{file.name}: every box is a crowd (iscrowd = 1), and none of these is scored")
    _refuse(options.path, problems)
    for note in notes:
        run.note(note)
    return Splits(
        categories=categories,
        train=_samples(options, photos[options.train]),
        test=_samples(options, photos[options.test]),
        license=joined(file.license for file in read),
        source=joined(file.source for file in read),
    )


def _misplaced(options: CocoFolder) -> list[str]:
    """Problems with the folders and paths, after which nothing else can be checked."""
    if not options.path.is_dir():
        return ["no such folder"]
    names = {"train": options.train, "test": options.test, "images": options.images}
    problems = [f"{option}: '{name}' leads out of the folder" for option, name in names.items() if leads_out(name)]
    if not (options.path / options.images).is_dir():
        problems.append(f"images: no such folder '{options.images}'")
    return problems


def _refuse(folder: Path, problems: list[str]) -> None:
    if problems:
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
        more = [f"and {len(problems) - LISTED} more"] * (len(problems) > LISTED)
        raise SynthbenchError("\n  ".join([f"coco: {folder}: {count}", *problems[:LISTED], *more]))


def _categories(options: CocoFolder, train: CocoFile | None, read: list[CocoFile], problems: list[str]) -> tuple[str, ...]:
    """The categories that the suite names, or all of the training file in the order of their ids."""
    chosen = tuple(dict.fromkeys(options.categories))
    for file in read if chosen else ():
        names = set(file.categories.values())
        problems += [f"{file.name}: no category '{name}'{suggest(name, names)}" for name in chosen if name not in names]
    if chosen or train is None:
        return chosen
    known = tuple(dict.fromkeys(train.categories[number] for number in sorted(train.categories)))
    for file in read:
        strange = [name for name in file.categories.values() if name not in known]
        problems += [f"{file.name}: category '{named(name)}' is not in {train.name}{suggest(name, known)}" for name in strange]
    return known


def _samples(options: CocoFolder, photos: Iterable[Photo]) -> Iterator[Sample]:
    for photo in photos:
        size = (photo.width, photo.height)
        windows = tiles(*size, options.tile, options.tile_overlap)
        whole = windows == [(0, 0, *size)]
        if whole and photo.plain and new_size(*size, options.resize) == size:
            yield Sample(photo.path, photo.boxes, _about(options, photo, cut=False))
            continue
        image = open_image(photo.path)
        for window in windows:
            boxes = photo.boxes if whole else boxes_in(photo.boxes, window, options.min_visible)
            part, boxes = resize(image.crop(window), boxes, options.resize)
            about = _about(options, photo, cut=not whole)
            yield Sample(np.asarray(part), boxes, {**about, "left": window[0], "top": window[1]})


def _about(options: CocoFolder, photo: Photo, *, cut: bool) -> dict[str, str | int | float]:
    """What is stored with an image: its file and, if there is one, its group. The tiles of an image are one."""
    if not options.group:
        return {"file": photo.name, **({"group": photo.name} if cut else {})}
    found = re.search(options.group, photo.name)
    if found is None:
        raise SynthbenchError(f"coco: {options.path}: group: {options.group!r} does not match the file name {photo.name}")
    return {"file": photo.name, "group": found[1] if found.re.groups else found[0]}
