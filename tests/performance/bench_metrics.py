"""Times our COCO figures against pycocotools', and faster_coco_eval's where it is installed, on the same boxes.

Run by hand: `python tests/performance/bench_metrics.py [--repeats 3]`. Prints seconds and ratios, and stops where the
figures differ.
"""

import argparse
import contextlib
import importlib
import importlib.util
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from synthbench.contract.types import Boxes, ImageSet, Picture
from synthbench.metrics import evaluate
from synthbench.storage.coco import annotations_of

IMAGES, BOXES, DETECTIONS = 331, 40, 60


def orchard(seed: int) -> tuple[list[Boxes], list[Boxes]]:
    """About 13,000 apples in 331 images, and 20,000 detections: most near an apple, the rest anywhere."""
    rng = np.random.default_rng(seed)
    truth, predictions = [], []
    for _ in range(IMAGES):
        corners = rng.uniform(0, 960, (rng.poisson(BOXES), 2))
        apples = np.hstack([corners, corners + rng.uniform(12, 120, (len(corners), 1))])
        near = apples.repeat(2, axis=0)[rng.permutation(2 * len(apples))[: round(DETECTIONS * 0.8)]]
        near = near + rng.normal(0, 0.08, near.shape) * (near[:, 2:3] - near[:, :1])
        loose = rng.uniform(0, 960, (DETECTIONS - len(near), 2))
        found = np.vstack([near, np.hstack([loose, loose + rng.uniform(12, 120, (len(loose), 1))])])
        truth.append(Boxes.of(apples))
        predictions.append(Boxes.of(found, scores=rng.random(len(found))))
    return truth, predictions


def cocoeval(coco: Any, scorer: Any, truth: list[Boxes], predictions: list[Boxes]) -> tuple[float, list[float]]:
    """Seconds that the COCOeval of either package takes, its reading of the annotations not counted, and its figures."""
    sides = []
    with contextlib.redirect_stdout(io.StringIO()):
        for side in (truth, predictions):
            images = ImageSet(("apple",), tuple(Picture(Path(), 1, 1, boxes) for boxes in side))
            held = coco()
            held.dataset = {
                "images": [{"id": number, "width": 1080, "height": 1080} for number in range(len(images))],
                "annotations": annotations_of(images),
                "categories": [{"id": 1, "name": "apple"}],
            }
            held.createIndex()
            sides.append(held)
        start = time.perf_counter()
        run = scorer(*sides, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
        return time.perf_counter() - start, list(run.stats)[:12]


def ours(truth: list[Boxes], predictions: list[Boxes]) -> tuple[float, list[float]]:
    """Seconds that we take, and our figures."""
    start = time.perf_counter()
    figures = evaluate(truth, predictions, 1)
    return time.perf_counter() - start, [-1.0 if value is None else value for value in figures.values()]


def main() -> None:
    """Times every evaluator `--repeats` times, in turn, and compares the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    boxes = orchard(0)
    rivals: dict[str, Callable[[], tuple[float, list[float]]]] = {"synthbench": lambda: ours(*boxes)}
    if importlib.util.find_spec("pycocotools"):
        reader, scorer = importlib.import_module("pycocotools.coco"), importlib.import_module("pycocotools.cocoeval")
        rivals["pycocotools"] = lambda: cocoeval(reader.COCO, scorer.COCOeval, *boxes)
    if importlib.util.find_spec("faster_coco_eval"):
        faster = importlib.import_module("faster_coco_eval")
        rivals["faster_coco_eval"] = lambda: cocoeval(faster.COCO, faster.COCOeval_faster, *boxes)

    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(repeats):
        _, expected = ours(*boxes)
        for name, rival in rivals.items():
            took, figures = rival()
            seconds[name].append(took)
            np.testing.assert_allclose(figures, expected, rtol=0, atol=1e-9, err_msg=name)
    print(f"{IMAGES} images, {sum(map(len, boxes[0]))} boxes, {sum(map(len, boxes[1]))} detections, {repeats} repeats")
    own = float(np.median(seconds["synthbench"]))
    for name, taken in seconds.items():
        median = float(np.median(taken))
        print(f"{name:17} {median:7.3f} s  {median / own:6.1f} x our time")


if __name__ == "__main__":
    main()
