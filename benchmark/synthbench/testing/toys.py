"""Toy pictures: one to three squares over noise, and files of every sort that cameras and editors write.

Each set comes in one category, red squares, and in two: with red and blue ones (`IN_TWO` after its name), or with blue ones
alone, which are of the second category (`OF_SECOND`).
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
MANY, FEW = 24, 4
UPRIGHT_AFTER_TURNING_RIGHT = 6  # EXIF's orientation


def paint(number: int, size: tuple[int, int] = (64, 64), colours: Colours = (RED,), most: int = 3) -> Sample:
    """Picture `number`, `size` wide and high: up to `most` squares with sides of 10 to 20 pixels, less where it is narrow.

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
    """A box with these sides that meets none of those `taken`, or none where there is no room."""
    for _ in range(100):
        x, y = (int(rng.integers(0, whole - side + 1)) for whole, side in zip(size, sides, strict=True))
        box = (x, y, x + sides[0], y + sides[1])
        if all(box[2] <= x1 or x2 <= box[0] or box[3] <= y1 or y2 <= box[1] for x1, y1, x2, y2 in taken):
            return [box]
    return []


def displaced(number: int, sample: Sample) -> Sample:
    """The same picture with each box where no square is."""
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
    """So many pictures of several sizes."""
    return [paint(number, SIZES[number % len(SIZES)], colours) for number in range(count)]


def suggested(colours: Colours) -> Iterator[Sample]:
    """Pictures with boxes that somebody suggests, some sure and right, some not, for an annotator to choose from."""
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
    """Every sort of file, in sizes and with contents that are rare."""
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
    """Three sorts of file that readers get wrong, and a picture without an object: four, so that a training on them is short."""
    pictures = list(odd(folder, colours))
    yield from (*pictures[:3], next(each for each in pictures if not len(each.boxes or ())))


def plain(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The same pictures as plain PNG files: upright, eight bits, RGB."""
    from synthbench.contract.images import read_image

    for sample in samples:
        image = read_image(sample.image) if isinstance(sample.image, Path) else sample.image
        yield Sample(image, sample.boxes)


def sixteen_bits(image: Image.Image, path: Path) -> None:
    """Grey with 16 bits a pixel."""
    import numpy as np
    from PIL import Image

    Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(path)


def see_through(image: Image.Image, path: Path) -> None:
    """With an alpha channel, half transparent."""
    image.putalpha(128)
    image.save(path)


def turned(image: Image.Image, path: Path) -> None:
    """As a camera writes it that was held upright: the pixels lie on their side, and EXIF says so."""
    from PIL import ExifTags, Image

    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = UPRIGHT_AFTER_TURNING_RIGHT
    image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)


if TYPE_CHECKING:
    from PIL import Image

WRITERS: Mapping[str, Callable[[Image.Image, Path], None]] = {
    "turned.jpg": turned,
    "sixteen bits.png": sixteen_bits,
    "cmyk.jpg": lambda image, path: image.convert("CMYK").save(path, quality=95),
    "palette.png": lambda image, path: image.quantize(64).save(path),
    "alpha.png": see_through,
    "grey.png": lambda image, path: image.convert("L").save(path),
}


def thin(colours: Colours) -> Iterator[Sample]:
    """Pictures, one of them a pixel high."""
    yield paint(120, colours=colours)
    yield paint(121, (64, 1), colours, most=1)


MAKERS: Mapping[str, Callable[[Path, Colours], Iterable[Sample]]] = {
    "many": lambda _, colours: painted(MANY, colours),
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
    # `testing.damaged` damages a file of each of these.
    "truncated": lambda _, colours: painted(FEW, colours),
    "missing": lambda _, colours: painted(FEW, colours),
    "suggested truncated": lambda _, colours: suggested(colours),
    "suggested missing": lambda _, colours: suggested(colours),
}


def write_toys(folder: Path, name: str, files: Path) -> None:
    """Stores a set of toy pictures, by its name in `MAKERS`, perhaps with an ending. files: a folder for files to take over.

    A second `annotations.json` lies beside the pictures, for plugins that look for one.
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
