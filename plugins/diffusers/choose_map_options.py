"""Which options of `native` find the objects of the references best: the images a suite's generator was fitted on, and no others.

    synthbench run suites/apples.toml                # leaves the fitted generators in the store
    python plugins/diffusers/choose_map_options.py suites/apples.toml --generator sd15-dreambooth [--store .synthbench] [--set K=V]

Prints precision, recall and F1 at IoU 0.5 of the best settings, and those of the suite's own. They flatter, since the model was
fitted on these images and the best of many is taken; they serve to choose, without a look at any test image.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from synthbench.contract.types import Boxes
from synthbench.errors import SynthbenchError
from synthbench.execution.stage_run import StageRun
from synthbench.execution.state import refer_to, refer_to_view
from synthbench.metrics.scores import precision_recall
from synthbench.planning.making import make_plan
from synthbench.registry import installed
from synthbench.storage.local import LocalStore
from synthbench.storage.references import find
from synthbench.storage.views import read_view
from synthbench.suite.reader import read_suite
from synthbench_diffusers.boxes import boxes_from_maps
from synthbench_diffusers.locating import heatmaps
from tabulate import tabulate

if TYPE_CHECKING:
    from synthbench import ImageSet
    from synthbench_diffusers.native import NativeBoxes

SCALES = ((), (1,), (2,), (1, 2))
BLOCKS: tuple[tuple[Literal["down", "mid", "up"], ...], ...] = (("up",), ("down", "up"), ("down", "mid", "up"))
TIMES = ((0.02, 0.2), (0.1, 0.4), (0.2, 0.8))
THRESHOLDS: tuple[float | Literal["otsu"], ...] = (0.3, 0.4, 0.5, 0.6, 0.7, "otsu")
OPTIONS = ("map_scales", "map_blocks", "map_times", "box_threshold")
SHOWN = 8


def main() -> None:
    """Prints a table, best first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path)
    parser.add_argument("--generator", required=True, help="its name in the suite")
    parser.add_argument("--store", type=Path, default=Path(".synthbench"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for `synthbench run`")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    store = LocalStore(given.store)
    plan = make_plan(read_suite(given.suite, installed(), given.set), installed(), store)
    sampled = next(each.sample for each in plan.sets if each.sample and each.training_set.generator == given.generator)
    references = read_view(store, refer_to_view(plan.references))
    fitted = find(store, refer_to(sampled.reads["fitted"])).folder
    recipe = plan.suite.generator(given.generator).plugin
    rows: list[list[Any]] = [[*values, *figures] for values, figures in measured(recipe, fitted, references, given.device)]
    rows.sort(key=lambda row: -row[-1])
    own = [row for row in rows if tuple(row[:4]) == tuple(getattr(recipe, name) for name in OPTIONS)]
    last = "the last line is the suite's own" if own else "the suite's own is not among them"
    told = tabulate([*rows[:SHOWN], *own], headers=[*OPTIONS, "precision", "recall", "F1"], floatfmt=".3f")
    sys.stdout.write(f"{told}\n{len(rows)} settings on {len(references)} references; {last}\n")


def measured(
    recipe: NativeBoxes, fitted: Path, references: ImageSet, device: str
) -> list[tuple[tuple[object, ...], tuple[float, float, float]]]:
    """Each setting with precision, recall and F1. Settings without any map are left out."""
    truth = [picture.boxes or Boxes.none() for picture in references]
    found: list[tuple[tuple[object, ...], tuple[float, float, float]]] = []
    for scales, blocks, times in itertools.product(SCALES, BLOCKS, TIMES):
        setting = dataclasses.replace(recipe, map_scales=scales, map_blocks=blocks, map_times=times)
        run = StageRun(Path(tempfile.gettempdir()), device=device)
        try:
            maps = list(heatmaps(setting, fitted, references.without_boxes(), run))
        except SynthbenchError as error:
            sys.stdout.write(f"{scales} {blocks} {times}: {error}\n")
            continue
        for threshold in THRESHOLDS:
            labels = range(len(references.categories))
            counts = precision_recall(truth, [boxes_from_maps(each, labels, threshold, recipe.min_box_area) for each in maps])
            found.append(((scales, blocks, times, threshold), (counts.precision or 0.0, counts.recall or 0.0, counts.f1 or 0.0)))
    return found


if __name__ == "__main__":
    main()
