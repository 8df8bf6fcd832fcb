"""Prediction with a fine-tuned model, or with one as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from synthbench_zeroshot.finding import find
from synthbench_zeroshot.grounding import Grounding
from synthbench_zeroshot.training import LEARNED, prompts_of

if TYPE_CHECKING:
    from synthbench import Boxes, ImageSet, Run

    from synthbench_zeroshot import GroundingDinoDetector

MAX_DETECTIONS = 100  # boxes per image; COCO's evaluation counts no more


def predict(options: GroundingDinoDetector, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """Yields at most 100 boxes per image, highest score first, clipped to the image."""
    weights = options.weights if (fitted / LEARNED).is_file() else fitted
    finder = Grounding.open(weights, options.image_size, run)
    pictures = run.track(images, "predict", unit="images")
    # One at a time: in a batch, the last digits would depend on the other images.
    for boxes in find(finder, pictures, prompts_of(options, images), batch_size=1, nms_iou=options.nms_iou):
        yield boxes.keep(np.flatnonzero(boxes.scores >= options.score_threshold)[:MAX_DETECTIONS])
