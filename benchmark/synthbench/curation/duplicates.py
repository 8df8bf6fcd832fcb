"""Images that are there twice: the same bytes, or the same look."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from synthbench.contract.images import open_image
from synthbench.data.formats.dataset import Dataset
from synthbench.data.formats.faults import Faults
from synthbench.errors import SynthbenchError
from synthbench.similarity.duplicates import Fingerprint, alike, fingerprint, near_duplicates

AT_LEAST = 256  # pixels of the image that is looked at: JPEG is decoded faster at an eighth of its size
SEARCHED = 20_000  # images that are compared by their looks unless told otherwise: each with each
Track = Callable[[Iterable[str], int], Iterable[str]]


def drop_same_files(dataset: Dataset, faults: Faults) -> Dataset:
    """The data set without the images whose file has the same bytes as another one's.

    Of copies in the test and the training images the test image stays, else the first; one with labels before one without.
    """
    by_mark: dict[int, list[int]] = defaultdict(list)
    for number, photo in enumerate(dataset.photos):
        by_mark[photo.mark].append(number)
    dropped: set[int] = set()
    starts = dataset.boxes.starts(len(dataset.photos))
    for numbers in by_mark.values():
        if len(numbers) == 1:
            continue
        by_content: dict[str, list[int]] = defaultdict(list)
        for number in numbers:
            with (dataset.root / dataset.photos[number].path).open("rb") as file:
                by_content[hashlib.file_digest(file, "sha256").hexdigest()].append(number)
        for same in by_content.values():
            first, *others = sorted(same, key=lambda number: preference(dataset, number))
            for number in others:
                equal = contents(dataset, starts, first) == contents(dataset, starts, number)
                kept = dataset.photos[first]
                text = f"and {kept.path}{f' ({kept.split})' if kept.split else ''}"
                faults.add("same file" if equal else "same file, other boxes", dataset.photos[number].path, text=text)
                dropped.add(number)
    return dataset.keep(np.array([i for i in range(len(dataset.photos)) if i not in dropped], np.intp)) if dropped else dataset


def preference(dataset: Dataset, number: int) -> tuple[bool, bool, int]:
    """What sorts the copy that stays before the others."""
    photo = dataset.photos[number]
    return not photo.labels, photo.split != "test", number


def contents(dataset: Dataset, starts: list[int], number: int) -> list[tuple[float, ...]]:
    """The boxes of an image with their categories, sorted."""
    part = slice(starts[number], starts[number + 1])
    return sorted((label, *box) for label, box in zip(dataset.boxes.label[part].tolist(), dataset.boxes.xyxy[part].tolist(), strict=True))


def fingerprints(dataset: Dataset, faults: Faults, track: Track) -> tuple[Dataset, list[Fingerprint]]:
    """The fingerprint of every image, and the data set without images whose pixels turn out to be damaged."""

    def looked(path: str) -> Fingerprint | str:
        try:
            return fingerprint(np.asarray(open_image(Path(path), AT_LEAST), np.uint8))
        except SynthbenchError as error:
            return str(error).removeprefix(f"{path}: ")

    paths = [str(dataset.root / photo.path) for photo in dataset.photos]
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:  # Pillow decodes without Python's lock
        found = list(ahead(pool, looked, track(paths, len(paths))))
    good = np.array([number for number, each in enumerate(found) if isinstance(each, Fingerprint)], np.intp)
    for photo, each in zip(dataset.photos, found, strict=True):
        if isinstance(each, str):
            faults.add("damaged image", photo.path, text=each)
    prints = [each for each in found if isinstance(each, Fingerprint)]
    return (dataset if len(good) == len(found) else dataset.keep(good)), prints


def ahead(pool: ThreadPoolExecutor, function: Callable[[str], Fingerprint | str], items: Iterable[str]) -> Iterator[Fingerprint | str]:
    """What a function returns for each item, in order, some items ahead of the one that is asked for."""
    waiting = []
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > 64:
            yield waiting.pop(0).result()
    for each in waiting:
        yield each.result()


def drop_across(dataset: Dataset, prints: list[Fingerprint], faults: Faults) -> Dataset:
    """A data set that is split, without the training images that look the same as a test image."""
    sides = np.array([photo.split for photo in dataset.photos])
    train, test = np.flatnonzero(sides == "train"), np.flatnonzero(sides == "test")
    pairs = near_duplicates([prints[i] for i in test], [prints[i] for i in train])
    for pair in pairs:
        kept = dataset.photos[test[pair.first]]
        faults.add("near-duplicate across", dataset.photos[train[pair.second]].path, text=f"and {kept.path} (test)")
    dropped = train[[pair.second for pair in pairs]]
    return dataset.keep(np.setdiff1d(np.arange(len(dataset.photos)), dropped)) if pairs else dataset


def list_alike(dataset: Dataset, prints: list[Fingerprint], faults: Faults) -> list[int]:
    """Lists the images that look the same as an earlier one. Returns for each image the number of its set of images that look alike."""
    sets, earlier = alike(prints)
    for number, first in earlier.items():
        faults.add("near-duplicate", dataset.photos[number].path, text=f"and {dataset.photos[first].path}")
    return sets
