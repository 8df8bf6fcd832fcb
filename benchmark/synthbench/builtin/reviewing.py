"""Drops boxes and rejects images that are unlike the references."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from synthbench.contract.types import Boxes, Rejected
from synthbench.errors import SynthbenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthbench.builtin import Review
    from synthbench.contract.types import ImageSet, Picture, Run

LOW, SMALL, LARGE = "low score", "smaller than in the references", "larger than in the references"
UNLIKE = "unlike each reference"
FEWER, MORE = "fewer boxes than a reference has", "more boxes than a reference has"
DROPPED = "dropped.json"


def review(options: Review, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes | Rejected]:
    """See `Review.annotate`."""
    labelled = [picture for picture in references if picture.boxes is not None]
    counts = [len(objects(picture)) for picture in labelled]
    if not sum(counts):
        raise SynthbenchError("review: the references have no boxes to compare with; take references with boxes, or leave it out")
    limits = size_limits(labelled, len(images.categories), options.size_factor)
    fewest, most = min(counts) / options.count_factor, max(counts) * options.count_factor
    points, farthest = feature_limit(references, options.feature_factor) if options.needs_features else (None, np.inf)
    dropped: list[dict[str, object]] = []
    for picture in run.track(images, "review", unit="images"):
        boxes = picture.boxes or Boxes.none()
        reasons = faults(options, boxes, sizes(picture, boxes), limits)
        dropped += [
            {
                "image": picture.path.name,
                "box": [round(each, 2) for each in box.tolist()],
                "score": round(float(score), 4),
                "reason": reason,
            }
            for box, score, reason in zip(boxes.xyxy, boxes.scores, reasons, strict=True)
            if reason
        ]
        kept = boxes.keep([number for number, reason in enumerate(reasons) if not reason])
        if points is not None and distances(points, features_of(picture)).min() > farthest:
            yield Rejected(UNLIKE)
        elif fewest <= len(kept) <= most:
            yield kept
        else:
            yield Rejected(FEWER if len(kept) < fewest else MORE)
    (run.workdir / DROPPED).write_text(json.dumps(dropped, indent=1))
    told = Counter(str(each["reason"]) for each in dropped)
    run.log_metrics(dropped_boxes=len(dropped), **{reason: told[reason] for reason in (LOW, SMALL, LARGE) if told[reason]})
    if dropped:
        run.note(f"{len(dropped)} boxes were dropped: {', '.join(f'{reason} ({count})' for reason, count in told.most_common())}")


def feature_limit(references: ImageSet, factor: float) -> tuple[NDArray[np.float64], float]:
    """The references' features, (N, D), and how far from the nearest of them an image may be: `factor` times the largest distance
    between a reference and its nearest. Raises SynthbenchError if there are fewer than two."""
    if len(references) < 2:
        raise SynthbenchError(f"review: feature_factor needs two references to compare, and there is {len(references)}; set it to 0")
    points = np.stack([features_of(picture) for picture in references])
    between = np.stack([distances(points, point) for point in points])
    np.fill_diagonal(between, np.inf)
    return points, factor * float(between.min(1).max())


def features_of(picture: Picture) -> NDArray[np.float64]:
    """Where a picture lies in the feature space: (D,)."""
    assert picture.features is not None, "needs_features asked for them"
    return picture.features.astype(np.float64)


def distances(points: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Euclidean distance of each of the points, (N, D), to one: (N,)."""
    found: NDArray[np.float64] = np.linalg.norm(points - point, axis=1)
    return found


def objects(picture: Picture) -> Boxes:
    """The boxes of a picture, without crowd regions."""
    boxes = picture.boxes or Boxes.none()
    return boxes.keep(~boxes.crowd)


def sizes(picture: Picture, boxes: Boxes) -> NDArray[np.float64]:
    """The root of each box's area as a share of the root of its image's: (N,)."""
    sides = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
    found: NDArray[np.float64] = np.sqrt(sides.clip(0).prod(1) / (picture.width * picture.height))
    return found


def size_limits(references: list[Picture], categories: int, factor: float) -> NDArray[np.float64]:
    """The smallest and largest size that a box of each category may have, (C, 2): any for a category that the references lack."""
    limits = np.tile([0.0, np.inf], (categories, 1))
    labels = np.concatenate([objects(picture).labels for picture in references])
    every = np.concatenate([sizes(picture, objects(picture)) for picture in references])
    for category in range(categories):
        if len(own := every[labels == category]):
            limits[category] = own.min() / factor, own.max() * factor
    return limits


def faults(options: Review, boxes: Boxes, size: NDArray[np.float64], limits: NDArray[np.float64]) -> list[str]:
    """Why each box is dropped; empty for one that is kept."""
    low = boxes.scores < options.score_threshold
    small, large = size < limits[boxes.labels, 0], size > limits[boxes.labels, 1]
    return np.select([low, small, large], [LOW, SMALL, LARGE], "").tolist()  # type: ignore[no-any-return]
