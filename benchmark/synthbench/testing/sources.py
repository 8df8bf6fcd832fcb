"""Checks of data sources."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from synthbench.contract.types import ImageSet
from synthbench.testing.bench import Bench, Views
from synthbench.testing.checks import Failure
from synthbench.testing.subject import Answer, Subject, of_images

SPLITS = ("train", "test")


class Sources(Subject):
    """Data sources load what their options name and do not use the toy pictures."""

    stage = "data"

    def views(self, bench: Bench, data: str) -> Views:
        """No views."""
        return {}

    def use(self, bench: Bench, folder: Path, data: str, seed: int, options: Mapping[str, object] | None = None) -> Answer:
        """The images of both splits."""
        return [each for images in splits(folder).values() for each in of_images(images)]


SOURCES = Sources()


def splits(folder: Path) -> dict[str, ImageSet]:
    """The splits of a loaded data source."""
    from synthbench.storage.coco import read_set

    return {split: read_set(folder / split) for split in SPLITS}


def boxes_are_inside(bench: Bench) -> None:
    """Fails if a box is empty or not inside its image, or its label is not a category: the core drops or cuts such boxes."""
    SOURCES.learn(bench)
    if note := bench.unsound_boxes(SOURCES.stage):
        raise Failure(note, bench.method("load"))


def splits_are_apart(bench: Bench) -> None:
    """Fails if a picture is in both the training set and the test set."""
    seen: dict[str, dict[str, int]] = {split: {} for split in SPLITS}
    for split, images in splits(SOURCES.learn(bench).folder).items():
        for number, picture in enumerate(images):
            pixels = picture.pixels()
            seen[split].setdefault(hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest(), number)
    for shared in seen["train"].keys() & seen["test"].keys():
        numbers = " and ".join(f"{split} image {seen[split][shared]}" for split in SPLITS)
        raise Failure(f"{numbers} are the same picture, so scores on the test set are not valid", bench.method("load"))
