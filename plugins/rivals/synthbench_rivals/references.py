"""The references as a fit leaves them: their files byte for byte, and their boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from synthbench import ImageSet, Run, Sample, SynthbenchError, derive_seed
from synthbench.storage.coco import read_set, write_set

REFERENCES = "references"  # the folder of a fit that has them


def require_labels(references: ImageSet, plugin: str) -> None:
    """Raises SynthbenchError if a reference is not labelled: its objects would be in images without boxes."""
    unlabelled = [picture.path.name for picture in references if picture.boxes is None]
    if unlabelled:
        raise SynthbenchError(
            f"{plugin}: {len(unlabelled)} of {len(references)} references have no labels, such as {unlabelled[0]}; label them or leave "
            "them out of the training images (an image without objects needs an empty list of boxes)"
        )


def store_references(references: ImageSet, run: Run) -> None:
    """Copies the references into `run.workdir`. Raises SynthbenchError if one cannot be read."""
    samples = (Sample(picture.path, picture.boxes) for picture in run.track(references, "fit", unit="images"))
    write_set(run.workdir / REFERENCES, references.categories, samples)


def load_references(fitted: Path) -> ImageSet:
    """The references that `store_references` left in `fitted`."""
    return read_set(fitted / REFERENCES)


def reference_of(number: int, count: int, seed: int) -> int:
    """Which of `count` references image `number` uses: each once in every `count` images, in an order that `seed` decides."""
    turn, place = divmod(number, count)
    return int(np.random.default_rng(derive_seed(seed, "references", turn)).permutation(count)[place])
