"""Reads a COCO detection JSON file and checks everything that needs no image file."""

from __future__ import annotations

import errno
import json
import math
import posixpath
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

import msgspec

Row = TypeVar("Row")


class Image(msgspec.Struct, frozen=True):
    """An entry of `images`. file_name is relative to the folder of images."""

    id: int
    file_name: str
    width: int
    height: int


class Annotation(msgspec.Struct, frozen=True):
    """An entry of `annotations`. bbox is x, y, width, height in pixels."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int | bool = 0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.bbox)):  # json accepts NaN and Infinity
            raise ValueError(f"bbox {list(self.bbox)} is not of finite numbers")
        if self.iscrowd not in (0, 1):
            raise ValueError(f"iscrowd is {self.iscrowd}, and should be 0 or 1")


class Category(msgspec.Struct, frozen=True):
    """An entry of `categories`."""

    id: int
    name: str


class Reference(msgspec.Struct, frozen=True):
    """An entry of `licenses`, or `info`."""

    name: str | None = None
    description: str | None = None
    url: str | None = None

    def __str__(self) -> str:
        words, url = self.name or self.description or "", self.url or ""
        return f"{words} ({url})" if words and url else words or url


@dataclass(frozen=True)
class CocoFile:
    """The content of an annotation file. annotations: lists by image id. categories: names by id."""

    name: str
    images: tuple[Image, ...]
    annotations: dict[int, list[Annotation]]
    categories: dict[int, str]
    license: str
    source: str


def read_coco(folder: Path, name: str, problems: list[str]) -> CocoFile | None:
    """Reads the valid entries of the annotation file `name` in `folder` and appends all errors to `problems`.

    Returns None if the file cannot be read or is not a JSON object.
    """
    try:
        if (folder / name).exists() and not (folder / name).is_file():
            raise OSError(errno.EINVAL, "not a file")
        content = json.loads((folder / name).read_bytes(), object_pairs_hook=_unique)
    except OSError as error:
        problems.append(f"{name}: no such annotation file" if isinstance(error, FileNotFoundError) else f"{name}: {error.strerror}")
        return None
    except json.JSONDecodeError as error:
        problems.append(f"{name}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}")
        return None
    except DoubledKey as error:
        problems.append(f"{name}: {error}")
        return None
    except (ValueError, RecursionError) as error:  # not text, a number of thousands of digits, or too deeply nested
        problems.append(f"{name}: not JSON: {error}")
        return None
    if not isinstance(content, dict):
        problems.append(f"{name}: holds a {type(content).__name__}, not an object with images, annotations and categories")
        return None
    wrong: list[str] = []
    images = _rows(content, "images", Image, wrong)
    annotations = _rows(content, "annotations", Annotation, wrong)
    categories = {row.id: row.name for row in _rows(content, "categories", Category, wrong)}
    if not wrong:  # otherwise each reference to an invalid entry would be reported as well
        wrong += _contradictions(images, annotations, categories)
    problems += [f"{name}: {problem}" for problem in wrong]
    by_image: dict[int, list[Annotation]] = {image.id: [] for image in images}
    for row in annotations:
        by_image.setdefault(row.image_id, []).append(row)
    return CocoFile(name, images, by_image, categories, references(content.get("licenses")), references([content.get("info")]))


class DoubledKey(Exception):
    """An object has a key twice; JSON readers take the last one in silence."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        doubled = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise DoubledKey(f"the key '{doubled}' is there twice in one object; remove one of them")
    return found


def references(rows: object) -> str:
    """Licences or sources as text: `CC BY 4.0 (https://…); …`. Ignores entries that are not in COCO's format."""
    said = []
    for row in rows if isinstance(rows, list) else []:
        try:
            said.append(str(msgspec.convert(row, Reference)))
        except (msgspec.ValidationError, UnicodeEncodeError):  # the text is only shown, so an invalid entry is no error
            continue
    return joined(said)


def joined(words: Iterable[str]) -> str:
    """The texts that are not empty, each once, separated by semicolons."""
    return "; ".join(dict.fromkeys(word for word in words if word))


def leads_out(name: str) -> bool:
    """Whether a path leads out of its folder. Files outside the folder are not part of the data's hash."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts


def _rows(content: dict[str, object], key: str, kind: type[Row], problems: list[str]) -> tuple[Row, ...]:
    entries = content.get(key)
    if not isinstance(entries, list):
        problems.append(f"no list '{key}'" if key not in content else f"'{key}' is not a list")
        return ()
    rows = []
    for number, row in enumerate(entries):
        try:
            rows.append(msgspec.convert(row, kind))
        except UnicodeEncodeError:
            problems.append(f"{key}[{number}]: contains half of a surrogate pair, which is no text")
        except msgspec.ValidationError as error:
            problems.append(f"{key}[{number}]: {str(error)[0].lower()}{str(error)[1:]}")
    ids = Counter(getattr(row, "id", None) for row in rows)
    if key != "annotations":  # nothing refers to an annotation
        problems += [f"{key}: id {number} is there {count} times" for number, count in ids.items() if count > 1]
    return tuple(rows)


def _contradictions(images: tuple[Image, ...], annotations: tuple[Annotation, ...], categories: dict[int, str]) -> list[str]:
    known = {image.id for image in images}
    files = Counter(posixpath.normpath(image.file_name) for image in images)
    wrong = [] if images else ["no images"]
    wrong += [f"image {file} is listed {count} times" for file, count in files.items() if count > 1]
    wrong += [f"image {file} leads out of the folder" for file in files if leads_out(file)]
    if annotations and all(max(row.bbox) <= 1 for row in annotations):
        wrong.append("every bbox is of numbers up to 1, as if they were shares of the image; COCO's are pixels: multiply them by its size")
    for row in annotations:
        if row.image_id not in known:
            wrong.append(f"annotation {row.id} is of image {row.image_id}, which is not listed")
        if row.category_id not in categories:
            wrong.append(f"annotation {row.id} is of category {row.category_id}, which is not listed")
    return wrong
