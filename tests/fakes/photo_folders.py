"""Folders of labelled photographs for the tests of `synthbench data`, small and with one fault each."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (60, 40)
BOX = (10, 5, 20, 10)  # x, y, width, height


def pixels(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Coarse noise, so that two seeds look different, also as small thumbnails."""
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def seed_of(name: str) -> int:
    """A seed, so that images of other names look different."""
    return zlib.crc32(os.fsencode(name))


def photo(path: Path, seed: int = 0, size: tuple[int, int] = SIZE, **save: Any) -> Path:
    """Writes an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, size)).save(path, **save)
    return path


def turned_photo(path: Path, orientation: int, seed: int = 0, size: tuple[int, int] = SIZE) -> Path:
    """Writes an image that EXIF turns."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return photo(path, seed, size, exif=exif)


def yolo(root: Path, labels: Mapping[str, str | None], names: Sequence[str] | None = ("apple",), **more: Any) -> Path:
    """`images/NAME.jpg` and `labels/NAME.txt`; None for no label file. more: keys of data.yaml."""
    for name, text in labels.items():
        photo(root / "images" / f"{name}.jpg", seed_of(name))
        if text is not None:
            file = root / "labels" / f"{name}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    if names is not None:
        content = {"train": "images", "val": "images", "nc": len(names), "names": list(names), **more}
        (root / "data.yaml").write_text(json.dumps(content))  # JSON is YAML
    return root


def coco(root: Path, boxes: Mapping[str, Sequence[Sequence[float]]], file: str = "annotations.json", **changes: Any) -> Path:
    """`images/NAME` and an annotation file; changes: replace its lists."""
    for name in boxes:
        if not (root / "images" / name).exists():
            photo(root / "images" / name, seed_of(name))
    rows = [(image, box) for image, its in enumerate(boxes.values(), start=1) for box in its]
    content = {
        "images": [{"id": i, "file_name": name, "width": SIZE[0], "height": SIZE[1]} for i, name in enumerate(boxes, start=1)],
        "annotations": [
            {"id": i, "image_id": image, "category_id": 1, "bbox": list(box), "iscrowd": 0} for i, (image, box) in enumerate(rows, start=1)
        ],
        "categories": [{"id": 1, "name": "apple"}],
    } | changes
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(json.dumps(content))
    return root


def voc(root: Path, objects: Mapping[str, str], *, filename: str = "", size: tuple[int, int] = SIZE, path: str = "") -> Path:
    """`JPEGImages/NAME.jpg` and `Annotations/NAME.xml` with the XML of its objects."""
    (root / "Annotations").mkdir(parents=True, exist_ok=True)
    for name, inner in objects.items():
        photo(root / "JPEGImages" / f"{name}.jpg", seed_of(name))
        (root / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{filename or name + '.jpg'}</filename><path>{path}</path>"
            f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>{inner}</annotation>"
        )
    return root


def voc_object(corners: Sequence[float] = (11, 6, 30, 15), name: str = "apple", more: str = "") -> str:
    """The XML of an object."""
    box = "".join(f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
    return f"<object><name>{name}</name>{more}<bndbox>{box}</bndbox></object>"


LINE = "0 0.333333333 0.25 0.333333333 0.25\n"  # BOX, in shares of SIZE
