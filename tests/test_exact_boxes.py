"""Boxes are scored exactly as a COCO file gives them: figures equal pycocotools' on the raw file, at any IoU and any decimals."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from synthbench.contract.types import Boxes, ImageSet, Picture, Run
from synthbench.data.coco import CocoFolder
from synthbench.execution.border import Border
from synthbench.metrics import evaluate
from synthbench.metrics.overlap import xywh
from synthbench.storage.boxes import read_boxes, write_boxes
from synthbench.storage.coco import _boxes, annotations_of, read_set, write_set

SIDE = 1000


class Quiet:
    """What `CocoFolder.load` needs of a run."""

    def track(self, items, *_, **__):
        return iter(items)

    def note(self, message: str) -> None:
        """Notes are not looked at."""

    log = note


def on_the_edge(rng, decimals: int) -> tuple[list[float], list[float]]:
    """A box and a detection, as x, y, width, height, whose IoU is exactly a threshold, if decimals were computed with exactly.

    A detection within the box and of a share of its width has that share as its IoU; one that is larger has the inverse.
    """
    unit = 10.0**-decimals
    share = int(rng.integers(10, 20))  # in twentieths: .50 to .95
    x, y, wide, high = (round(int(number) * unit, decimals) for number in rng.integers(1, 400 * 10**decimals, 4))
    part = int(wide / unit / 40) + 1
    whole = [x, y, round(20 * part * unit, decimals), high]
    less = [x, y, round(share * part * unit, decimals), high]
    if rng.random() < 0.3:  # the same at the other edge
        less[0] = round(x + (20 - share) * part * unit, decimals)
    return (whole, less) if rng.random() < 0.5 else (less, whole)


def raw_files(rng, folder, decimals: int, images: int):
    """Annotations and detections in JSON. Each image has a few pairs, far from one another only by chance."""
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number in range(images):
        for _ in range(int(rng.integers(1, 5))):
            real, guess = on_the_edge(rng, decimals)
            truth.append(
                {"id": len(truth) + 1, "image_id": number, "category_id": 1, "bbox": real, "iscrowd": 0, "area": real[2] * real[3]}
            )
            found.append({"image_id": number, "category_id": 1, "bbox": guess, "score": round(float(rng.random()), 3)})
    listed = [{"id": number, "file_name": f"{number}.png", "width": SIDE, "height": SIDE} for number in range(images)]
    content = {"images": listed, "annotations": truth, "categories": [{"id": 1, "name": "apple"}]}
    (folder / "test.json").write_text(json.dumps(content))
    (folder / "found.json").write_text(json.dumps(found))
    return content


def by_pycocotools(folder) -> list[float]:
    """The twelve figures from the raw files."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(folder / "test.json")
        scorer = COCOeval(truth, truth.loadRes(str(folder / "found.json")), "bbox")
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    return list(scorer.stats)


def corners(rows: list[list[float]]) -> np.ndarray:
    """As a reader adds them: x, y, x + width, y + height."""
    return np.array([[x, y, x + wide, y + high] for x, y, wide, high in rows]).reshape(-1, 4)


def as_the_core_reads(folder, content) -> tuple[list[Boxes], list[Boxes]]:
    """Truth and detections after the store's files and the border."""
    border = Border(1)
    truth, found = [], []
    detections = json.loads((folder / "found.json").read_text())
    for number in range(len(content["images"])):
        rows = [row["bbox"] for row in content["annotations"] if row["image_id"] == number]
        truth.append(border.truth(Boxes.of(corners(rows)), SIDE, SIDE))
        mine = [row for row in detections if row["image_id"] == number]
        boxes = Boxes.of(corners([row["bbox"] for row in mine]), scores=[row["score"] for row in mine])
        found.append(border.boxes(boxes, SIDE, SIDE))
    write_boxes(folder / "boxes.npz", found)
    return truth, read_boxes(folder / "boxes.npz")


@pytest.mark.parametrize("decimals", [0, 1, 2, 3, 6])
@pytest.mark.parametrize("seed", range(20))
def test_overlaps_on_a_threshold_match_as_in_pycocotools_on_the_raw_file(tmp_path, seed, decimals) -> None:
    content = raw_files(np.random.default_rng([seed, decimals]), tmp_path, decimals, images=4)
    figures = evaluate(*as_the_core_reads(tmp_path, content), 1)
    ours = [-1.0 if value is None else value for value in figures.values()]
    np.testing.assert_allclose(ours, by_pycocotools(tmp_path), rtol=0, atol=1e-9)


def test_the_data_source_and_the_store_keep_a_file_s_boxes(tmp_path) -> None:
    content = raw_files(np.random.default_rng(5), tmp_path, 2, images=3)
    content["images"] = [dict(image, file_name=f"train{image['id']}.png") for image in content["images"]]
    (tmp_path / "train.json").write_text(json.dumps(content))
    (tmp_path / "images").mkdir()
    for number in range(len(content["images"])):
        for shade, name in ((10, f"{number}.png"), (150, f"train{number}.png")):
            Image.new("L", (SIDE, SIDE), shade + number).save(tmp_path / "images" / name)
    run: Run = Quiet()  # type: ignore[assignment]
    splits = CocoFolder(path=tmp_path).load(run)
    stored = tmp_path / "stored"
    write_set(stored, splits.categories, Border(1).samples(splits.test))
    truth = [picture.boxes for picture in read_set(stored)]
    found = as_the_core_reads(tmp_path, content)[1]
    figures = evaluate([boxes or Boxes.none() for boxes in truth], found, 1)
    np.testing.assert_allclose(np.array([*figures.values()], float), by_pycocotools(tmp_path), rtol=0, atol=1e-9)
    widths = [row["bbox"][2:] for row in json.loads((stored / "annotations.json").read_text())["annotations"]]
    assert widths == [row["bbox"][2:] for row in content["annotations"]]


numbers = st.floats(0, 9999) | st.integers(0, 9_999_999).map(lambda number: number / 1000) | st.floats(0, 9999, width=32)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(arrays(np.float64, st.tuples(st.integers(0, 6), st.just(4)), elements=numbers))
def test_the_store_keeps_any_corners(xyxy) -> None:
    images = ImageSet(("leaf",), (Picture(Path("a.png"), 8192, 8192, Boxes.of(xyxy)),))
    rows = json.loads(json.dumps(annotations_of(images)))
    assert np.array_equal(_boxes(rows).xyxy, xyxy)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(*[st.integers(0, 4_000_000_000).map(lambda number: number / 1e6)] * 2)
def test_a_width_of_six_decimals_is_found_again(x: float, width: float) -> None:
    assert xywh(np.array([[x, 0, x + width, 1]]))[2, 0] == width


def test_a_width_without_few_decimals_is_the_difference() -> None:
    third = np.float64(np.float32(1 / 3))
    assert xywh(np.array([[16, 0, 16 + third, 1]]))[2, 0] == third
    assert np.isfinite(xywh(np.array([[0, 0, 1e300, 1.0]]))).all()
