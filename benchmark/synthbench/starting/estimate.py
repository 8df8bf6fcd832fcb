"""About how long a suite takes on a CPU, from what its stages took in the reports of this repository.

Those reports were made by two workers with one thread each, on two cores of a 2.5 GHz Xeon. Costs are taken as proportional to
pixels: of a batch for a step, of an image for a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from synthbench.execution.crews import default_workers
from synthbench.planning.making import make_plan
from synthbench.planning.stage import Stage
from synthbench.registry import Registry
from synthbench.starting.folder import Facts
from synthbench.storage.store import Store
from synthbench.suite.reader import read_suite

START = 4.0  # seconds in which a stage loads its libraries
TRAIN: Mapping[str, float] = {
    "fasterrcnn": 1.9e-6,
    "yolov8": 0.95e-6,
    "detr": 1.27e-6,
    "fasterrcnn-mmdet": 1.32e-6,
}
"""Seconds a pixel of a batch and step, `reports/detectors-photos.json`: 200 photographs at 256 pixels, DETR's (RT-DETR) at 224."""
PREDICT: Mapping[str, float] = {
    "fasterrcnn": 0.89e-6,
    "yolov8": 0.29e-6,
    "detr": 0.56e-6,
    "fasterrcnn-mmdet": 0.69e-6,
    "detr-mmdet": 0.69e-6,
}
"""Seconds a pixel of an image, the same report: 120 photographs."""
FIT, SAMPLE = 9.8e-6, 6.3e-6
"""Seconds a pixel and step of the small diffusion models, `reports/photos.json`: 250 steps on 4 images of 128 pixels; 60 images in 16
steps, with guidance."""
RIVALS: Mapping[str, float] = {"copy-paste": 0.7, "augment": 0.25}
"""Seconds an image, `reports/apples.json`: copy-paste cuts out the objects of 20 references in 7 to 10 seconds, and augment makes 48
images in 12."""
DATA, DESCRIBE = 0.02, 0.08
"""Seconds to read a photograph, `reports/detectors-photos.json` (320 in 6.3); to describe it, `reports/apples.json` (160 in 12.7)."""


class Unhashed:
    """In place of a store: a plan for an estimate needs no hashes of photographs."""

    def content_hash(self, path: object, only: object = None) -> str:  # noqa: ARG002 - a store's
        """The same for all."""
        return ""


def minutes(suite: Mapping[str, Any], registry: Registry, facts: Facts, tiles: int) -> float:
    """How many minutes a suite takes, if two cores like those of the reports run it. tiles: images that a photograph is cut into."""
    plan = make_plan(read_suite(suite, registry), registry, cast("Store", Unhashed()))
    counts = {"train": facts.train * tiles, "test": facts.test * tiles, "holdout": plan.suite.settings.holdout}
    seconds = sum(cost(stage, counts, facts) for stage in plan.stages)
    return seconds / min(2, default_workers()) / 60


def cost(stage: Stage, counts: Mapping[str, int], facts: Facts) -> float:
    """Seconds of one stage; those of the core take next to none. counts: images of the splits."""
    if stage.kind == "data":
        return (facts.train + facts.test) * DATA
    if stage.entry is None or stage.kind == "annotate":
        return 0.0
    name: str = stage.entry.info.name
    options: Any = stage.entry.plugin
    if stage.kind == "features":
        return START + images_of(stage, counts) * DESCRIBE
    if name in RIVALS:
        return START + (stage.count or 0) * RIVALS[name]
    if name in TRAIN:
        images = options.max_train_steps * options.batch_size if stage.kind == "train" else images_of(stage, counts)
        rate = TRAIN[name] if stage.kind == "train" else PREDICT[name]
        return float(START + images * options.image_size**2 * facts.aspect * rate)
    images = options.total_steps * options.batch_size if stage.kind == "fit" else (stage.count or 0) * options.num_inference_steps
    return float(START + images * options.resolution**2 * (FIT if stage.kind == "fit" else SAMPLE))


def images_of(stage: Stage, counts: Mapping[str, int]) -> int:
    """How many images a stage is given."""
    total = 0
    for view in stage.views["images"]:
        drawn = view.images.count if view.images.kind == "sample" else view.images.parameters["count"]
        total += view.first or drawn or counts[view.images.parameters["split"]]
    return total
