"""`synthbench export`."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from synthbench.cli.store import open_existing
from synthbench.cli.tables import one_line


def command(arguments: argparse.Namespace) -> int:
    """`synthbench export`."""
    from synthbench.exporting.writing import export
    from synthbench.registry import installed

    target = Path(arguments.output)
    done = export(
        Path(arguments.results),
        open_existing(arguments),
        target,
        installed(),
        training_set=arguments.training_set,
        detector=arguments.detector,
        trained_on=arguments.trained_on,
    )
    if done.chosen_set and done.images is not None:
        name = done.chosen_set.cell.training_set
        print(f"{target / 'dataset'}: {len(done.images)} images of {one_line(name)} for COCO and YOLO; README.md is its data card")
        if rival := done.chosen_set.rival:
            own = one_line(shlex.quote(rival))
            print(f"{one_line(rival)}, made without a generative model, reached a higher AP; --training-set {own} exports it")
    else:
        print("no generated set has a score, so there is no data set to export")
    cell, onnx = done.chosen_detector.cell, done.onnx
    print(f"{target / 'detector'}: {one_line(cell.detector)}, trained on {one_line(cell.training_set)}; README.md says how to use it")
    if done.chosen_set and done.apart:
        own = one_line(shlex.quote(done.chosen_set.cell.training_set))
        print(f"the detector was trained on {one_line(done.apart)}; --trained-on {own} exports one that learned from this set alone")
    if onnx.written and onnx.checked:
        print(f"{target / 'detector' / 'detector.onnx'}: checked with onnxruntime, {onnx.checked}")
    else:
        print(f"{'ONNX file ' if onnx.written else 'no ONNX file: '}{one_line(onnx.problem)}")
    return 0
