"""Annotating images with a model that finds what texts name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from synthbench_zeroshot.finding import Finder, find
from synthbench_zeroshot.prompts import candidates
from synthbench_zeroshot.tuning import Tuned, tune

if TYPE_CHECKING:
    from synthbench import Boxes, ImageSet, Run

    from synthbench_zeroshot import GroundingDino, Owlv2


def annotate(options: GroundingDino | Owlv2, finder: Finder, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes]:
    """See `GroundingDino.annotate`."""
    threshold = None if options.score_threshold == "tuned" else options.score_threshold
    choices = candidates(images.categories, options.prompts)
    tuned = tune(finder, references, choices, threshold, run, batch_size=options.batch_size, nms_iou=options.nms_iou)
    report(tuned, images.categories, run)
    least = np.array(tuned.thresholds)
    pictures = run.track(images, "annotate", unit="images")
    for boxes in find(finder, pictures, tuned.prompts, batch_size=options.batch_size, nms_iou=options.nms_iou):
        yield boxes.keep(np.flatnonzero(boxes.scores >= least[boxes.labels])[: options.max_detections])


def report(tuned: Tuned, categories: tuple[str, ...], run: Run) -> None:
    """Logs what was tuned."""
    pairs = list(zip(categories, tuned.prompts, tuned.thresholds, strict=True))
    run.log_metrics(
        prompts="; ".join(f"{category}: {prompt}" for category, prompt, _ in pairs),
        score_thresholds="; ".join(f"{category}: {threshold:.3f}" for category, _, threshold in pairs),
    )
    figures = {"references_f1": tuned.f1, "references_f1_untuned": tuned.f1_untuned}
    run.log_metrics(**{name: value for name, value in figures.items() if value is not None})
