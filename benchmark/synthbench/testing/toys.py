"""Toy pictures: one to three squares on noise, and image files of all formats that cameras and editors write.

Each set exists with one category, red squares, and with two: red and blue squares (the set's name plus `IN_TWO`), or only
blue squares, which are of the second category (plus `OF_SECOND`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench.contract.types import Boxes, Sample

if TYPE_CHECKING:
    import numpy as np

Colours = Sequence[Sequence[int]]
CATEGORIES = ("square",)
TWO_CATEGORIES = ("red square", "blue square")
IN_TWO, OF_SECOND = " in two categories", " of the second category"
RED, BLUE = (200, 30, 30), (30, 30, 200)
SIZES = ((64, 64), (64, 64), (80, 64), (56, 72))
MANY, DOZEN, FEW = 24, 12, 4
UPRIGHT_AFTER_TURNING_RIGHT = 6  # EXIF orientation


def paint(number: int, size: tuple[int, int] = (64, 64), colours: Colours = (RED,), most: int = 3) -> Sample:
    """Picture `number`, of `size` (width, height): up to `most` squares with sides of 10 to 20 pixels, less if the picture is narrower.

    A square's label is the position of its colour in `colours`.
    """
    import numpy as np

    rng = np.random.default_rng([2024, number])
    width, height = size
    image = rng.integers(0, 90, (height, width, 3)).astype(np.uint8)
    boxes: list[tuple[int, int, int, int]] = []
    for _ in range(rng.integers(1, most + 1)):
        side = int(rng.integers(10, 21))
        boxes += place(rng, (width, height), (min(side, width), min(side, height)), boxes)
    labels = rng.integers(len(colours), size=len(boxes))
    for (x1, y1, x2, y2), label in zip(boxes, labels, strict=True):
        image[y1:y2, x1:x2] = np.clip(np.array(colours[label]) + rng.normal(0, 15, (y2 - y1, x2 - x1, 3)), 0, 255)
    return Sample(image, Boxes.of(boxes, labels))


def place(
    rng: np.random.Generator, size: tuple[int, int], sides: tuple[int, int], taken: Sequence[tuple[int, ...]]
) -> list[tuple[int, int, int, int]]:
    """A list with a random box of these sides that does not overlap `taken`, empty if there is no space."""
    for _ in range(100):
        x, y = (int(rng.integers(0, whole - side + 1)) for whole, side in zip(size, sides, strict=True))
        box = (x, y, x + sides[0], y + sides[1])
        if all(box[2] <= x1 or x2 <= box[0] or box[3] <= y1 or y2 <= box[1] for x1, y1, x2, y2 in taken):
            return [box]
    return []


def displaced(number: int, sample: Sample) -> Sample:
    """The same picture with each box moved to a place without a square."""
    import numpy as np

    assert not isinstance(sample.image, Path), "painted"
    assert sample.boxes is not None, "painted"
    rng = np.random.default_rng([2025, number])
    height, width = sample.image.shape[:2]
    true = [tuple(map(int, box)) for box in sample.boxes.xyxy]
    boxes, labels = [], []
    for (x1, y1, x2, y2), label in zip(true, sample.boxes.labels.tolist(), strict=True):
        found = place(rng, (width, height), (x2 - x1, y2 - y1), true)
        boxes += found
        labels += [label] * len(found)
    return Sample(sample.image, Boxes.of(boxes, labels))


def painted(count: int, colours: Colours = (RED,)) -> list[Sample]:
    """`count` pictures of several sizes."""
    return [paint(number, SIZES[number % len(SIZES)], colours) for number in range(count)]


def suggested(colours: Colours) -> Iterator[Sample]:
    """Pictures with suggested boxes for an annotator: correct ones with scores of 0.6 to 1, wrong ones with 0 to 0.4."""
    import numpy as np

    for number, sample in enumerate(painted(FEW, colours)):
        wrong = displaced(number, sample).boxes
        assert sample.boxes is not None, "painted"
        assert wrong is not None, "painted"
        rng = np.random.default_rng([2026, number])
        scores = np.concatenate([rng.uniform(0.6, 1, len(sample.boxes)), rng.uniform(0, 0.4, len(wrong))])
        labels = np.concatenate([sample.boxes.labels, wrong.labels])
        yield Sample(sample.image, Boxes.of(np.concatenate([sample.boxes.xyxy, wrong.xyxy]), labels, scores))


def odd(folder: Path, colours: Colours) -> Iterator[Sample]:
    """Files of all formats, with rare sizes and contents."""
    import numpy as np
    from PIL import Image

    for number, (name, write) in enumerate(WRITERS.items()):
        sample = paint(110 + number, (72, 56), colours)
        assert not isinstance(sample.image, Path), "painted"
        folder.mkdir(parents=True, exist_ok=True)
        write(Image.fromarray(sample.image), folder / name)
        yield Sample(folder / name, sample.boxes)
    yield Sample(np.random.default_rng(1).integers(0, 90, (64, 64, 3)).astype(np.uint8), Boxes.none())
    yield Sample(np.full((64, 64, 3), 128, np.uint8), Boxes.none())
    yield paint(100, (64, 17), colours, most=1)
    yield paint(101, (131, 97), colours)


def few_odd(folder: Path, colours: Colours) -> Iterator[Sample]:
    """Three formats that are often read wrongly and a picture without objects: only four, so that training is short."""
    pictures = list(odd(folder, colours))
    yield from (*pictures[:3], next(each for each in pictures if not len(each.boxes or ())))


def plain(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The same pictures as plain PNG files: upright, eight bits, RGB."""
    from synthbench.contract.images import read_image

    for sample in samples:
        image = read_image(sample.image) if isinstance(sample.image, Path) else sample.image
        yield Sample(image, sample.boxes)


def sixteen_bits(image: Image.Image, path: Path) -> None:
    """Grey, 16 bits per pixel."""
    import numpy as np
    from PIL import Image

    Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(path)


def with_alpha(image: Image.Image, path: Path) -> None:
    """RGBA, half transparent."""
    image.putalpha(128)
    image.save(path)


def rotated(image: Image.Image, path: Path) -> None:
    """Like a photograph taken in portrait: the pixels are stored rotated, with an EXIF orientation."""
    from PIL import ExifTags, Image

    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = UPRIGHT_AFTER_TURNING_RIGHT
    image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)


if TYPE_CHECKING:
    from PIL import Image

WRITERS: Mapping[str, Callable[[Image.Image, Path], None]] = {
    "rotated.jpg": rotated,
    "sixteen bits.png": sixteen_bits,
    "cmyk.jpg": lambda image, path: image.convert("CMYK").save(path, quality=95),
    "palette.png": lambda image, path: image.quantize(64).save(path),
    "alpha.png": with_alpha,
    "grey.png": lambda image, path: image.convert("L").save(path),
}


def thin(colours: Colours) -> Iterator[Sample]:
    """Two pictures, one of them one pixel high."""
    yield paint(120, colours=colours)
    yield paint(121, (64, 1), colours, most=1)


MAKERS: Mapping[str, Callable[[Path, Colours], Iterable[Sample]]] = {
    "many": lambda _, colours: painted(MANY, colours),
    "dozen": lambda _, colours: painted(DOZEN, colours),
    "few": lambda _, colours: painted(FEW, colours),
    "one": lambda _, colours: painted(1, colours),
    "displaced": lambda _, colours: (displaced(number, sample) for number, sample in enumerate(painted(FEW, colours))),
    "blue": lambda *_: painted(FEW, (BLUE,)),
    "suggested": lambda _, colours: suggested(colours),
    "odd": odd,
    "plain": lambda folder, colours: plain(odd(folder, colours)),
    "few odd": few_odd,
    "few plain": lambda folder, colours: plain(few_odd(folder, colours)),
    "thin": lambda _, colours: thin(colours),
    # `testing.damaged` damages a file in each of these.
    "truncated": lambda _, colours: painted(FEW, colours),
    "missing": lambda _, colours: painted(FEW, colours),
    "suggested truncated": lambda _, colours: suggested(colours),
    "suggested missing": lambda _, colours: suggested(colours),
}


def write_toys(folder: Path, name: str, files: Path) -> None:
    """Stores a set of toy pictures, by its name in `MAKERS` plus optional suffix. files: a folder for image files to copy.

    Also writes an `annotations.json` beside the pictures, to detect plugins that read it.
    """
    from synthbench.storage.coco import ANNOTATIONS, write_set

    images = write_set(folder, *toy_set(name, files))
    (images[0].path.parent / ANNOTATIONS).write_bytes((folder / ANNOTATIONS).read_bytes())


def toy_set(name: str, folder: Path) -> tuple[tuple[str, ...], Iterable[Sample]]:
    """The categories and the pictures of a set."""
    if name.endswith(IN_TWO):
        return TWO_CATEGORIES, MAKERS[name.removesuffix(IN_TWO)](folder, (RED, BLUE))
    if name.endswith(OF_SECOND):
        samples = MAKERS[name.removesuffix(OF_SECOND)](folder, (BLUE,))
        return TWO_CATEGORIES, (replace(each, boxes=each.boxes and replace(each.boxes, labels=each.boxes.labels + 1)) for each in samples)
    return CATEGORIES, MAKERS[name](folder, (RED,))
