"""The references as a fit leaves them: their files byte for byte, and their boxes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from synthbench import Boxes, ImageSet, Picture, Run, SynthbenchError, derive_seed

REFERENCES = "references.json"


@dataclass(frozen=True)
class StoredBoxes:
    """The arrays of `Boxes` as lists."""

    xyxy: list[tuple[float, float, float, float]]
    labels: list[int]
    scores: list[float]
    crowd: list[bool]


@dataclass(frozen=True)
class StoredPicture:
    """A reference: its file in the same folder, its size in pixels, and its boxes, None if nobody labelled it."""

    file: str
    width: int
    height: int
    boxes: StoredBoxes | None


def require_labels(references: ImageSet, plugin: str) -> None:
    """Raises SynthbenchError if a reference is not labelled: its objects would be in images without boxes."""
    unlabelled = [picture.path.name for picture in references if picture.boxes is None]
    if unlabelled:
        raise SynthbenchError(
            f"{plugin}: {len(unlabelled)} of {len(references)} references have no labels, such as {unlabelled[0]}; label them or leave "
            "them out of the training images (an image without objects needs an empty list of boxes)"
        )


def store_references(references: ImageSet, run: Run) -> None:
    """Copies the references to `run.workdir`. Raises SynthbenchError if one cannot be read."""
    stored = []
    for number, picture in enumerate(run.track(references, "fit", unit="images")):
        picture.pixels()  # a damaged file ends the fit, not the sampling
        file = f"{number:06d}{picture.path.suffix.lower()}"
        shutil.copyfile(picture.path, run.workdir / file)
        stored.append(StoredPicture(file, picture.width, picture.height, None if picture.boxes is None else as_lists(picture.boxes)))
    (run.workdir / REFERENCES).write_bytes(msgspec.json.encode(stored))


def load_references(fitted: Path) -> tuple[Picture, ...]:
    """The references that `store_references` left in `fitted`."""
    stored = msgspec.json.decode((fitted / REFERENCES).read_bytes(), type=list[StoredPicture])
    return tuple(
        Picture(
            fitted / each.file,
            each.width,
            each.height,
            None if each.boxes is None else Boxes.of(each.boxes.xyxy, each.boxes.labels, each.boxes.scores, each.boxes.crowd),
        )
        for each in stored
    )


def as_lists(boxes: Boxes) -> StoredBoxes:
    """Boxes as they are stored."""
    corners = [(x1, y1, x2, y2) for x1, y1, x2, y2 in boxes.xyxy.tolist()]
    return StoredBoxes(corners, boxes.labels.tolist(), boxes.scores.tolist(), boxes.crowd.tolist())


def reference_of(number: int, count: int, seed: int) -> int:
    """Which of `count` references image `number` uses: each once in every `count` images, in an order that `seed` decides."""
    turn, place = divmod(number, count)
    return int(np.random.default_rng(derive_seed(seed, "references", turn)).permutation(count)[place])
