"""Times the paired bootstrap of AP, beside evaluating the resampled images again: ours, and pycocotools' where it is installed.

Run by hand: `python tests/performance/bench_bootstrap.py [--repeats 5] [--resamples 1000]`. Two detectors, 331 images, 13,000
true boxes and 20,000 detections each. The bar: 1,000 resamples in 0.5 s of one core, compiled and warm. Prints processor
seconds and ratios, and stops where AP differs.
"""

import argparse
import importlib
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from bench_metrics import IMAGES, cocoeval, orchard
from synthbench.contract.types import Boxes
from synthbench.metrics import evaluate, match
from synthbench.metrics.bootstrap import draws, resample

BAR = 0.5  # seconds for 1,000 resamples
Evaluator = Callable[[list[Boxes], list[Boxes]], float]


def jittered(boxes: list[Boxes], seed: int) -> list[Boxes]:
    """The boxes of a worse detector: moved by about 3 pixels, with other scores."""
    rng = np.random.default_rng(seed)
    return [Boxes.of(each.xyxy + rng.normal(0, 3, each.xyxy.shape), each.labels, rng.random(len(each))) for each in boxes]


def ours(truth: list[Boxes], predictions: list[Boxes]) -> float:
    """AP by matching again."""
    return evaluate(truth, predictions, 1)["AP"] or 0.0


def by_pycocotools(truth: list[Boxes], predictions: list[Boxes]) -> float:
    """AP by pycocotools."""
    coco, scorer = importlib.import_module("pycocotools.coco").COCO, importlib.import_module("pycocotools.cocoeval").COCOeval
    return cocoeval(coco, scorer, truth, predictions)[1][0]


def rivals() -> dict[str, Evaluator]:
    """The evaluators that are installed."""
    return {"synthbench evaluate": ours, **({"pycocotools": by_pycocotools} if importlib.util.find_spec("pycocotools") else {})}


def seconds(work: Callable[[], Any], repeats: int) -> list[float]:
    """Processor seconds of each repeat; unlike the clock's, they hardly depend on what else runs."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return taken


def main() -> None:
    """Times `resample`, then one resample by every evaluator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    truth, first = orchard(0)
    detectors = [first, jittered(first, 1)]
    matches = [match(truth, predictions) for predictions in detectors]
    weights = draws(IMAGES, options.resamples, 0)
    print(f"{IMAGES} images, {sum(map(len, truth))} boxes, 2 x {sum(map(len, first))} detections, {options.resamples} resamples")
    print(f"first call, which compiles or loads: {seconds(lambda: resample(matches, 1, weights[:1]), 1)[0]:.2f} s")
    taken = seconds(lambda: resample(matches, 1, weights), options.repeats)
    own, bar = float(np.median(taken)), BAR * options.resamples / 1000
    print(f"resample: median {own:.3f} s, best {min(taken):.3f} s; the bar of {bar:.3f} s is {bar / own:.2f} x the median")
    print(f"draws: {seconds(lambda: draws(IMAGES, options.resamples, 0), 1)[0]:.3f} s")

    expected = resample(matches, 1, weights[:1])[:, 0]
    numbers = np.repeat(np.arange(IMAGES), weights[0])
    for name, evaluator in rivals().items():
        start, found = time.process_time(), []
        for predictions in detectors:
            found.append(evaluator([truth[number] for number in numbers], [predictions[number] for number in numbers]))
        again = (time.process_time() - start) * options.resamples
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9, err_msg=name)
        print(f"{name:20} {again:9.1f} s, of which one resample was done  {again / own:8.0f} x our time")


if __name__ == "__main__":
    main()
