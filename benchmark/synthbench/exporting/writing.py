"""`synthbench export`: everything into one new folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from synthbench.contract.types import ImageSet
from synthbench.errors import SynthbenchError
from synthbench.exporting.cards import data_card, detector_card
from synthbench.exporting.choosing import Choice, apart, best_detector, best_set, views_of
from synthbench.exporting.dataset import write_dataset
from synthbench.exporting.detector import Onnx, copy_own, write_onnx
from synthbench.files import new_folder
from synthbench.registry import Registry
from synthbench.results.files import read_results
from synthbench.results.model import Results
from synthbench.storage.boxes import read_boxes
from synthbench.storage.coco import read_set
from synthbench.storage.references import ArtifactRef, find
from synthbench.storage.store import Store
from synthbench.storage.views import BOXES, read_views


@dataclass(frozen=True)
class Exported:
    """What was written. images: None where the report has no generated set. apart: what the detector learned from if not from these."""

    chosen_set: Choice | None
    images: ImageSet | None
    chosen_detector: Choice
    onnx: Onnx
    apart: str


def export(
    path: Path, store: Store, target: Path, registry: Registry, *, training_set: str = "", detector: str = "", trained_on: str = ""
) -> Exported:
    """Writes `dataset/` and `detector/` below a new folder `target`, which is there whole or not at all.

    path: the JSON file of a report. training_set, detector, trained_on: names, in place of the best ones.
    Raises SynthbenchError if a name is not in the report, a stage is not in the store any more, or `target` is not empty.
    """
    results = read_results(path)
    chosen, trained = best_set(results, training_set), best_detector(results, detector, trained_on)
    other = apart(results, chosen, trained) if chosen else ""
    with new_folder(target) as folder:
        images = write_set(results, chosen, store, folder / "dataset", other) if chosen else None
        onnx = write_detector(results, trained, store, folder / "detector", registry)
    return Exported(chosen, images, trained, onnx, other)


def write_set(results: Results, chosen: Choice, store: Store, folder: Path, other: str) -> ImageSet:
    """Writes the images that the chosen cell was trained on, and returns them. other: see `data_card`."""
    cell = find(store, ArtifactRef(kind="train", key=chosen.cell.keys.train))
    sampled = read_views(store, views_of(results, cell, store))
    license = results.data.license if results.data else ""
    images = write_dataset(folder, sampled, license or "see README.md", f"generated: {chosen.cell.training_set}, by synthbench")
    (folder / "README.md").write_text(data_card(results, chosen, images, len(sampled) - len(images), other))
    return images


def write_detector(results: Results, chosen: Choice, store: Store, folder: Path, registry: Registry) -> Onnx:
    """Writes the detector of the chosen cell."""
    cell = chosen.cell
    entry = next(entry for entry in results.suite.detectors if entry.name == cell.detector)
    trained = find(store, ArtifactRef(kind="train", key=cell.keys.train)).folder
    predicted = read_boxes(find(store, ArtifactRef(kind="predict", key=cell.keys.predict)).folder / BOXES)
    data = next((stage for stage in results.stages if stage.kind == "data"), None)
    if data is None:
        raise SynthbenchError("the report names no stage 'data'; run the suite again to renew it")
    images = read_set(find(store, ArtifactRef(kind="data", key=data.key)).folder / "test").without_boxes()
    copy_own(trained, folder / "own")
    files = sorted(file.relative_to(folder / "own").as_posix() for file in (folder / "own").rglob("*") if file.is_file())
    onnx = write_onnx(entry, trained, folder, images, predicted, registry)
    (folder / "README.md").write_text(detector_card(results, chosen, entry, onnx, files))
    return onnx
