"""The stages that compare images: training with test images, generated images with references and real ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from synthbench.contract.types import ImageSet
from synthbench.errors import SynthbenchError
from synthbench.execution.border import counted
from synthbench.execution.jobs import FEATURES, PAIRS
from synthbench.execution.perform import Task
from synthbench.similarity import Fingerprint, Pair, box_distances, fingerprint, image_distances, near_duplicates
from synthbench.storage.coco import names_of, read_set

LISTED, NAMED = 50, 5  # pairs in the file, and in a message


def check_splits(task: Task) -> None:
    """Looks for test images that are near-duplicates of training images. The boxes of neither are looked at.

    Raises SynthbenchError if there are any and the suite does not allow them.
    """
    folder = task.folder("data")
    train, test = (fingerprints(task, read_set(folder / split), split) for split in ("train", "test"))
    pairs = near_duplicates(train, test)
    named = write_pairs(task, pairs, names_of(folder / "train"), names_of(folder / "test"))
    task.facts.update(count(pairs), train_images=len(train), test_images=len(test))
    if not pairs:
        return
    some = ", ".join(f"{each['second']} (test) and {each['first']} (train)" for each in named[:NAMED])
    found = f"{len(pairs)} of {len(test)} test images look the same as a training image: {some}{', …' * (len(pairs) > NAMED)}"
    if not task.job.parameters["allow_duplicates"]:
        raise SynthbenchError(
            f"{found}; a score on images that were learned means nothing: remove them from either set, or set allow_duplicates = true"
        )
    task.run.note(f"{found}; the suite allows it, but scores may mean little")


def compare_images(task: Task) -> None:
    """Counts generated images that copy a reference, and measures how far they and their boxes are from the real training images."""
    images, references, real = (task.images(name) for name in ("images", "references", "real"))
    pairs = near_duplicates(fingerprints(task, references, "references"), fingerprints(task, images, "generated images"))
    write_pairs(task, pairs, file_names(references), file_names(images))
    task.facts.update(count(pairs), images=len(images), references=len(references))
    distances = box_distances(real, images)
    if space := task.job.parameters.get("feature_space"):
        features, real_features = (np.load(task.folder(name) / FEATURES) for name in ("features", "real_features"))
        distances |= {f"{space}: {name}": value for name, value in image_distances(real_features, features).items()}
    task.facts.update({f"distance.{name}": value for name, value in distances.items()})


def describe_images(task: Task) -> None:
    """Stores the features that a plugin computes, float32 (N, D)."""
    images = task.images("images").without_boxes()
    vectors = [np.asarray(each, np.float32) for each in counted(task.plugin.features(images, task.run), len(images), np.ndarray)]
    wrong = next((number for number, each in enumerate(vectors) if each.ndim != 1 or each.shape != vectors[0].shape), None)
    if wrong is not None:
        shapes = f"{vectors[wrong].shape}, those of image 0 {vectors[0].shape}"
        raise SynthbenchError(f"{task.plugin.name}: the features of image {wrong} have shape {shapes}; expected (D,) of all images")
    features = np.stack(vectors)
    if not np.isfinite(features).all():
        raise SynthbenchError(f"{task.plugin.name}: a feature is not a finite number")
    np.save(task.run.workdir / FEATURES, features)
    task.facts.update(images=len(features), dimensions=features.shape[1])


def fingerprints(task: Task, images: ImageSet, what: str) -> list[Fingerprint]:
    """The fingerprint of each image."""
    return [fingerprint(picture.pixels()) for picture in task.run.track(images, f"look at {what}", unit="images")]


def count(pairs: Sequence[Pair]) -> dict[str, int]:
    """How many pairs there are, and of which sort."""
    return {"pairs": len(pairs), "exact": sum(each.exact for each in pairs), "mirrored": sum(each.mirrored for each in pairs)}


def write_pairs(task: Task, pairs: Sequence[Pair], first: Sequence[str], second: Sequence[str]) -> list[dict[str, object]]:
    """Stores the nearest pairs with the names of both images, and returns them."""
    nearest = sorted(pairs, key=lambda pair: (not pair.exact, -pair.correlation))[:LISTED]
    named = [asdict(pair) | {"first": first[pair.first], "second": second[pair.second]} for pair in nearest]
    (task.run.workdir / PAIRS).write_text(json.dumps(named, indent=1))
    return named


def file_names(images: ImageSet) -> list[str]:
    """The names of image files within their artifact."""
    return [Path(*picture.path.parts[-2:]).as_posix() for picture in images]
