"""Writes YOLO labels in the layout of ultralytics: `images/`, `labels/` and `data.yaml`."""

from __future__ import annotations

from pathlib import Path

import yaml

from synthbench.data.formats.dataset import SPLITS, Dataset
from synthbench.data.formats.faults import Faults
from synthbench.data.formats.tree import stem
from synthbench.data.formats.writing import decimal, folder_of, put_images

DIGITS = 10  # a box of an image of 50,000 pixels then comes back to 1e-5 of a pixel


def write_yolo(dataset: Dataset, folder: Path, faults: Faults, *, copy: bool = False) -> None:
    """Writes a data set to a folder. Crowd regions are left out and listed: a plain box around many objects would be wrong."""
    names = [f"{folder_of(photo.split)}{photo.name}" for photo in dataset.photos]
    put_images(dataset, folder, [f"images/{name}" for name in names], copy=copy)
    boxes, starts = dataset.boxes, dataset.boxes.starts(len(dataset.photos))
    corners, labels, crowd = boxes.xyxy.tolist(), boxes.label.tolist(), boxes.crowd.tolist()
    made: set[Path] = set()
    for photo, name, first, end in zip(dataset.photos, names, starts[:-1], starts[1:], strict=True):
        lines = []
        for index in range(first, end):
            if crowd[index]:
                faults.add("crowd lost", photo.path)
            else:
                lines.append(f"{labels[index]} {share_line(corners[index], photo.size)}\n")
        file = folder / "labels" / f"{stem(name)}.txt"
        if file.parent not in made:
            file.parent.mkdir(parents=True, exist_ok=True)
            made.add(file.parent)
        file.write_text("".join(lines))  # an empty file says: looked at, and nothing there
    (folder / "data.yaml").write_text(data_yaml(dataset), encoding="utf-8")


def share_line(corners: list[float], size: tuple[int, int]) -> str:
    """Centre, width and height as shares of an image's size."""
    (x1, y1, x2, y2), (width, height) = corners, size
    values = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    return " ".join(decimal(value, DIGITS) for value in values)


def data_yaml(dataset: Dataset) -> str:
    """`data.yaml`. Without `path`, so that it can be moved. ultralytics demands `train` and `val`."""
    found = {photo.split for photo in dataset.photos}
    sides = {split: f"images/{split}" for split in SPLITS if split in found} or {"train": "images"}
    sides.setdefault("val", sides.get("test", next(iter(sides.values()))))
    sides.setdefault("train", sides["val"])
    content: dict[str, object] = {split: sides[split] for split in SPLITS if split in sides}
    content |= {"nc": len(dataset.categories), "names": list(dataset.categories)}
    content |= {key: value for key, value in (("license", dataset.license), ("source", dataset.source)) if value}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)
