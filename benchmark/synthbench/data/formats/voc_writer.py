"""Writes Pascal VOC: `JPEGImages/`, `Annotations/`, `ImageSets/Main/`, and `classes.txt` for the order of the classes."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from synthbench.data.formats.dataset import SPLITS, Dataset, Photograph
from synthbench.data.formats.finishing import DECIMALS
from synthbench.data.formats.tree import stem
from synthbench.data.formats.writing import decimal, put_images
from synthbench.text import printable


def write_voc(dataset: Dataset, folder: Path, *, copy: bool = False) -> None:
    """Writes a data set to a folder. Corners count from 1; `xmax` and `ymax` are those of the last pixel. Crowd regions get an
    element `iscrowd` and are difficult, which scoring ignores too."""
    put_images(dataset, folder, [f"JPEGImages/{photo.name}" for photo in dataset.photos], copy=copy)
    boxes, starts = dataset.boxes, dataset.boxes.starts(len(dataset.photos))
    corners, labels = boxes.xyxy.tolist(), boxes.label.tolist()
    flags = [(bool(crowd or difficult), bool(crowd)) for crowd, difficult in zip(boxes.crowd, boxes.difficult, strict=True)]
    names = [text(name) for name in dataset.categories]
    made: set[Path] = set()
    for photo, first, end in zip(dataset.photos, starts[:-1], starts[1:], strict=True):
        objects = "".join(object_xml(names[labels[i]], corners[i], *flags[i]) for i in range(first, end))
        file = folder / "Annotations" / f"{stem(photo.name)}.xml"
        if file.parent not in made:
            file.parent.mkdir(parents=True, exist_ok=True)
            made.add(file.parent)
        file.write_text(photo_xml(dataset, photo, objects), encoding="utf-8")
    (folder / "classes.txt").write_text("".join(f"{printable(name)}\n" for name in dataset.categories), encoding="utf-8")
    sets = folder / "ImageSets" / "Main"
    for split in SPLITS:
        if members := [stem(photo.name) for photo in dataset.photos if photo.split == split]:
            sets.mkdir(parents=True, exist_ok=True)
            (sets / f"{split}.txt").write_text("".join(f"{name}\n" for name in members), encoding="utf-8")


def photo_xml(dataset: Dataset, photo: Photograph, objects: str) -> str:
    """The XML file of an image."""
    width, height = photo.size
    folder, _, name = f"JPEGImages/{photo.name}".rpartition("/")
    return (
        f"<annotation>\n  <folder>{text(folder)}</folder>\n  <filename>{text(name)}</filename>\n"
        f"  <source>\n    <database>{text(dataset.source)}</database>\n    <license>{text(dataset.license)}</license>\n  </source>\n"
        f"  <size>\n    <width>{width}</width>\n    <height>{height}</height>\n    <depth>3</depth>\n  </size>\n"
        f"  <segmented>0</segmented>\n{objects}</annotation>\n"
    )


def object_xml(name: str, corners: list[float], difficult: bool, crowd: bool) -> str:
    """The XML of a box."""
    x1, y1, x2, y2 = (decimal(value, DECIMALS) for value in (corners[0] + 1, corners[1] + 1, corners[2], corners[3]))
    return (
        f"  <object>\n    <name>{name}</name>\n    <pose>Unspecified</pose>\n    <truncated>0</truncated>\n"
        f"    <difficult>{int(difficult)}</difficult>\n{'    <iscrowd>1</iscrowd>' + chr(10) if crowd else ''}"
        f"    <bndbox>\n      <xmin>{x1}</xmin>\n      <ymin>{y1}</ymin>\n      <xmax>{x2}</xmax>\n      <ymax>{y2}</ymax>\n"
        "    </bndbox>\n  </object>\n"
    )


def text(value: str) -> str:
    """Text for XML."""
    return escape(printable(value))
