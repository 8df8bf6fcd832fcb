"""Detectors of known AP on simulated test images, to measure how often intervals contain the truth.

An image holds a negative binomial number of objects, has a difficulty of its own and a tendency to false positives; an object has a
difficulty that all detectors share. A detector is a skill, on which its hits, their overlap with the truth, their scores and
its false positives depend. Its true AP is that on a very large test set. Scores have 64 levels, so AP over all images and
resamples is a product of matrices. AP is the area under the envelope of precision, over COCO's ten IoU thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

IOUS = np.linspace(0.5, 0.95, 10)
LEVELS = 64
OBJECTS, DISPERSION = 6.0, 2.0
"""Objects of an image: their mean, and the negative binomial's size; the variance is 6 + 6^2 / 2 = 24."""
SKILLS = np.linspace(-3.0, 3.5, 27)


@dataclass(frozen=True)
class Photos:
    """N test images with G objects. image: (G,), the objects' image. hardness: (G,), of objects. image_hardness, clutter: (N,)."""

    count: int
    image: NDArray[np.int64]
    hardness: Floats
    image_hardness: Floats
    clutter: Floats


def draw_photos(count: int, rng: np.random.Generator) -> Photos:
    """New test images."""
    objects = rng.negative_binomial(DISPERSION, DISPERSION / (DISPERSION + OBJECTS), count)
    image_hardness = 0.8 * rng.normal(size=count)
    image = np.repeat(np.arange(count), objects)
    hardness = image_hardness[image] + rng.normal(size=len(image))
    return Photos(count, image, hardness, image_hardness, rng.gamma(1.5, 1 / 1.5, count))


@dataclass(frozen=True)
class Detections:
    """D detections of one detector: image, level (0: the highest score), and the IoU with the truth, 0 of a false positive."""

    image: NDArray[np.int64]
    level: NDArray[np.int64]
    iou: Floats


def detect(photos: Photos, skill: float, rng: np.random.Generator) -> Detections:
    """What a detector of this skill finds: most of what it finds depends on the images, some on its own seed."""
    ease = skill - photos.hardness + 0.7 * rng.normal(size=len(photos.hardness))
    found = ease + rng.logistic(size=len(ease)) * 0.5 > -1.2
    iou = 0.5 + 0.5 / (1 + np.exp(-(0.5 * ease[found] + 0.6 + 0.6 * rng.normal(size=int(found.sum())))))
    false = rng.poisson(photos.clutter * 4 * np.exp(-0.3 * skill))
    false_image = np.repeat(np.arange(photos.count), false)
    scores = np.concatenate([0.6 * ease[found] + 0.8, 0.4 * rng.normal(size=len(false_image)) - 0.3 - 0.1 * skill])
    scores += 0.5 * rng.normal(size=len(scores))
    level = np.clip((LEVELS * (1 - 1 / (1 + np.exp(-scores)))).astype(np.int64), 0, LEVELS - 1)
    return Detections(np.concatenate([photos.image[found], false_image]), level, np.concatenate([iou, np.zeros(len(false_image))]))


def average_precision(photos: Photos, detections: Detections, weights: NDArray[np.float32]) -> Floats:
    """AP of W weightings of the N images, (W, N): float64 (W,)."""
    thresholds = len(IOUS)
    passed = (detections.iou[:, None] >= IOUS).sum(axis=1)  # how many thresholds each reaches
    cells = (detections.image * LEVELS + detections.level) * (thresholds + 1) + passed
    counts = np.bincount(cells, minlength=photos.count * LEVELS * (thresholds + 1)).astype(np.float32)
    tables = (weights @ counts.reshape(photos.count, -1)).reshape(-1, LEVELS, thresholds + 1).cumsum(axis=1)
    reached = tables[..., ::-1].cumsum(axis=2)[..., ::-1]
    seen, hits = reached[..., :1], reached[..., 1:]
    truths = weights @ np.bincount(photos.image, minlength=photos.count).astype(np.float32)
    precision = np.maximum.accumulate((hits / np.maximum(seen, 1e-9))[:, ::-1], axis=1)[:, ::-1]
    gained = np.diff(hits, axis=1, prepend=np.float32(0))
    area = (gained * precision).sum(axis=1) / np.maximum(truths, 1e-9)[:, None]
    result: Floats = area.mean(axis=1).astype(np.float64)
    return result


@cache
def true_ap() -> Floats:
    """AP of each of SKILLS on 20,000 images."""
    rng = np.random.default_rng(99)
    photos = draw_photos(20_000, rng)
    # AP does not depend on which image a detection is in, so all can be in one.
    together = Photos(1, photos.image * 0, photos.hardness, photos.image_hardness, photos.clutter)
    found = []
    for skill in SKILLS:
        detections = detect(photos, skill, rng)
        merged = Detections(detections.image * 0, detections.level, detections.iou)
        found.append(average_precision(together, merged, np.ones((1, 1), np.float32))[0])
    return np.maximum.accumulate(found)


def skill_of(ap: float) -> float:
    """The skill that has this true AP."""
    return float(np.interp(ap, true_ap(), SKILLS))


def resample_weights(images: int, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """How often each image is in each resample: float32 (count + 1, images); the first is the images themselves."""
    drawn = rng.multinomial(images, np.full(images, 1 / images), count)
    return np.concatenate([np.ones((1, images)), drawn]).astype(np.float32)


@dataclass(frozen=True)
class Row:
    """A training set of true mean AP `mean`; sd between replicates, AP, of references and generator (0: it has none)."""

    mean: float
    references: float = 0.0
    generator: float = 0.0


def simulate(
    rows: list[Row], detector: float, replicates: int, images: int, resamples: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """AP of one detector, whose seed has the sd `detector`: (rows, K), and (rows, K, R) on resamples.

    Within a replicate all rows share the references.
    """
    photos = draw_photos(images, rng)
    weights = resample_weights(images, resamples, rng)
    shared = rng.normal(size=replicates)
    found = np.empty((len(rows), replicates, resamples + 1))
    for number, row in enumerate(rows):
        for replicate in range(replicates):
            ap = row.mean + row.references * shared[replicate] + row.generator * rng.normal() + detector * rng.normal()
            found[number, replicate] = average_precision(photos, detect(photos, skill_of(ap), rng), weights)
    return found[..., 0], found[..., 1:]
