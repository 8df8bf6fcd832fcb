"""What the owner of the data decides: images without labels, difficult boxes, classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from synthbench.data.formats.dataset import Dataset
from synthbench.data.formats.faults import Faults
from synthbench.errors import SynthbenchError, suggest

Ask = Callable[[str, tuple[str, ...]], str]
"""Puts a question with its possible answers."""


def list_unlabelled(dataset: Dataset, faults: Faults) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Lists the images without labels. Returns which they are: bool (N,)."""
    for photo in dataset.photos:
        if not photo.labels:
            faults.add("no label file", photo.path)
    return np.array([not photo.labels for photo in dataset.photos], np.bool_)


def without_unlabelled(dataset: Dataset, answer: str, faults: Faults, ask: Ask) -> Dataset:
    """The data set without the images that nobody labelled, if that is what images without a label file are."""
    missing = list_unlabelled(dataset, faults)
    count = int(missing.sum())
    if count == 0:
        return dataset
    if count == len(missing):
        raise SynthbenchError(f"{dataset.root}: none of the {count} images has a label file")
    answer = answer or ask(
        f"{count} of {len(missing)} images have no label file, such as {faults.of('no label file')[0].file}: are they empty (somebody "
        "looked, and there is nothing to label), or not labelled and to be skipped? Say --unlabelled empty or --unlabelled skip",
        ("empty", "skip"),
    )
    if answer != "skip":
        return dataset
    faults.decided["no label file"] = "left out"
    return dataset.keep(np.flatnonzero(~missing))


def treat_difficult(dataset: Dataset, answer: str, faults: Faults) -> None:
    """Boxes marked as difficult stay as they are, become crowd regions, which scoring ignores, or are left out."""
    if answer == "ignore":
        faults.decided["difficult"] = "changed"
        dataset.boxes.crowd = dataset.boxes.crowd | dataset.boxes.difficult
    elif answer == "drop":
        faults.decided["difficult"] = "left out"
        dataset.boxes = dataset.boxes.keep(~dataset.boxes.difficult)


def chosen_classes(dataset: Dataset, classes: tuple[str, ...]) -> Dataset:
    """The data set with the boxes of these classes only, in their order; with all if none is named. Raises SynthbenchError."""
    unknown = [name for name in classes if name not in dataset.categories]
    if unknown:
        raise SynthbenchError(f"--classes: no class '{unknown[0]}'{suggest(unknown[0], dataset.categories)}")
    return relabelled(dataset, tuple(dict.fromkeys(classes))) if classes else dataset


def without_empty_classes(dataset: Dataset) -> Dataset:
    """The data set without the categories of which there is no box; they were listed when it was read."""
    counts = dataset.class_counts().tolist()
    return relabelled(dataset, tuple(name for name, count in zip(dataset.categories, counts, strict=True) if count))


def relabelled(dataset: Dataset, names: tuple[str, ...]) -> Dataset:
    """The data set with these categories of its own only."""
    label = np.array([names.index(name) if name in names else -1 for name in dataset.categories], np.int64)
    boxes = dataset.boxes
    boxes.label = label[boxes.label] if len(boxes) else boxes.label
    return replace(dataset, categories=names, boxes=boxes.keep(boxes.label >= 0))
