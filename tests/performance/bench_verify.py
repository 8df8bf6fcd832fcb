"""Times `synthbench verify` on a bundle of 54 cells with 100 boxes on each of 331 images: the size of the paper's test set.

Run by hand: `python tests/performance/bench_verify.py`. Prints seconds and the peak memory; the goal is 10 s on two cores, under 1 GB.
"""

import argparse
import hashlib
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import structs
from synthbench.contract.types import Boxes
from synthbench.planning.stage import METRICS_VERSION
from synthbench.publishing.opening import Bundle
from synthbench.publishing.predictions import encode_predictions
from synthbench.publishing.rescoring import score_again
from synthbench.publishing.submission import Author, Member, StageFiles, Submission, TestData, Tries
from synthbench.publishing.truth import TrueImage, Truth
from synthbench.publishing.verifying import verify
from synthbench.publishing.writing import Packed, write_bundle
from synthbench.results.claims import Evidence
from synthbench.results.model import Results

IMAGES, SIDE, APPLES, DETECTIONS = 331, 1080, 40, 100
SETS, DETECTORS, REPLICATES = 6, 3, 3


def main() -> None:
    """Prints a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.zip")
        write_bundle(honest(Path(folder, "draft.zip")), path)
        started = time.perf_counter()
        found = verify(path, processes=given.processes)
        took = time.perf_counter() - started
        assert not found.problems, found.problems[:3]
        assert found.rescored
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
        sys.stdout.write(
            f"{found.rescored.cells} cells, {found.rescored.numbers} numbers, {path.stat().st_size / 2**20:.0f} MB: {took:.1f} s, "
            f"peak {peak:.0f} MB a process (that of writing it included)\n"
        )


def honest(draft: Path) -> Packed:
    """A bundle whose numbers are those of its predictions: `draft` is a file to score them from."""
    rng = np.random.default_rng(0)
    truth = Truth(
        categories=["apple"],
        images=[TrueImage.of(f"{number}.jpg", (SIDE, SIDE), "", Boxes.of(apples(rng, APPLES))) for number in range(IMAGES)],
    )
    cells = [(row, column, seed) for row in range(SETS) for column in range(DETECTORS) for seed in range(REPLICATES)]
    predictions = {key_of(*cell): encode_predictions(guesses(truth, rng)) for cell in cells}
    results = results_of(cells, truth)
    write_bundle(packed(results, truth, predictions), draft)
    with Bundle(draft) as bundle:
        found = score_again(bundle, truth)
    scored = [structs.replace(cell, metrics=dict(found.figures[cell.keys.score])) for cell in results.cells]
    return packed(structs.replace(results, cells=scored, evidence=msgspec.convert(found.evidence, Evidence)), truth, predictions)


def packed(results: Results, truth: Truth, predictions: dict[str, bytes]) -> Packed:
    """The bundle of these parts."""
    stages = {key: StageFiles(kind="predict", label="", files={}) for key in predictions}
    members = {
        "results.json": msgspec.json.encode(results),
        "truth.json": msgspec.json.encode(truth),
        "artifacts.json": msgspec.json.encode(stages),
        **{f"predictions/{key}.npy": content for key, content in predictions.items()},
    }
    stated = {name: Member.of(content) for name, content in members.items()}
    boxes = sum(len(image.boxes) for image in truth.images)
    test = TestData(fingerprint=truth.fingerprint, images=IMAGES, boxes=boxes, included=True)
    submission = Submission(
        synthbench="0",
        metrics=METRICS_VERSION,
        author=Author(),
        test=test,
        tries=Tries(report=len(predictions), store=len(predictions)),
        members=stated,
    ).sealed
    return Packed(submission, members)


def apples(rng: np.random.Generator, count: int) -> Any:
    """Boxes (count, 4) anywhere in an image."""
    corners = rng.uniform(0, SIDE - 120, (count, 2))
    return np.hstack([corners, corners + rng.uniform(12, 120, (count, 1))])


def guesses(truth: Truth, rng: np.random.Generator) -> list[Boxes]:
    """Detections of each image: most near an apple, the rest anywhere."""
    found = []
    for boxes in truth.boxes:
        near = np.repeat(boxes.xyxy, 2, axis=0)
        near = near + rng.normal(0, 0.1, near.shape) * (near[:, 2:3] - near[:, :1])
        every = np.vstack([near, apples(rng, DETECTIONS - len(near))]).clip(0, SIDE)
        every = every[(every[:, 2:] > every[:, :2]).all(1)]
        found.append(Boxes.of(every, scores=rng.random(len(every))))
    return found


def key_of(row: int, column: int, seed: int) -> str:
    """A key for a cell's stages."""
    return hashlib.sha256(f"{row} {column} {seed}".encode()).hexdigest()


def results_of(cells: list[tuple[int, int, int]], truth: Truth) -> Results:
    """Results whose figures are still to be found."""
    names = ["real", "references", "a x teacher", "b x teacher", "c x teacher", "d x teacher"]
    seeds = list(range(REPLICATES))
    origin = {"version": 1, "license": "", "distribution": "", "release": "", "options": {}}
    keys = {cell: key_of(*cell) for cell in cells}
    boxes = sum(len(image.boxes) for image in truth.images)
    content = {
        "suite": {
            "name": "bench",
            "file": "bench",
            "title": "",
            "about": "",
            "seeds": {"references": seeds, "generators": seeds, "detectors": seeds},
            "references": 20,
            "images": 100,
            "timeout": 1.0,
            "data": {"name": "x", "plugin": "x", **origin},
            "generators": [{"name": name, "plugin": name, **origin} for name in "abcd"],
            "annotators": [{"name": "teacher", "plugin": "teacher", **origin}],
            "detectors": [{"name": str(column), "plugin": str(column), **origin} for column in range(DETECTORS)],
        },
        "data": {
            "categories": ["apple"],
            "rendered": True,
            "license": "CC0",
            "source": "",
            "train": {"images": 100, "boxes": 1},
            "test": {"images": IMAGES, "boxes": boxes},
        },
        "training_sets": [
            {"name": name, "kind": name}
            if name in ("real", "references")
            else {"name": name, "kind": "generated", "generator": name[0], "annotator": "teacher", "images": 100}
            for name in names
        ],
        "cells": [
            {
                "training_set": names[row],
                "detector": str(column),
                "seed": seed,
                "replicate": seed,
                "draw": {},
                "metrics": {"AP": 0.0},
                "training": None,
                "train_seconds": 1.0,
                "predict_seconds": 1.0,
                "keys": {"train": key, "predict": key, "score": key},
            }
            for (row, column, seed), key in keys.items()
        ],
        "generated": [],
        "judged": [],
        "stages": [],
        "costs": {},
        "failures": [],
        "environment": {"synthbench": "", "commit": "", "python": "", "platform": "", "processors": 2, "device": "", "packages": {}},
        "command": "",
    }
    return msgspec.convert(content, Results)


if __name__ == "__main__":
    main()
