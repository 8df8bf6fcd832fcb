"""Toy pictures: one to three red squares over noise, and files of every sort that cameras and editors write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench.contract.types import Boxes, Sample

if TYPE_CHECKING:
    import numpy as np

CATEGORIES = ("square",)
RED, BLUE = (200, 30, 30), (30, 30, 200)
SIZES = ((64, 64), (64, 64), (80, 64), (56, 72))
MANY, FEW = 24, 4
UPRIGHT_AFTER_TURNING_RIGHT = 6  # EXIF's orientation


def paint(number: int, size: tuple[int, int] = (64, 64), colour: Sequence[int] = RED, most: int = 3) -> Sample:
    """Picture `number`, `size` wide and high: up to `most` squares with sides of 10 to 20 pixels, less where it is narrow."""
    import numpy as np

    rng = np.random.default_rng([2024, number])
    width, height = size
    image = rng.integers(0, 90, (height, width, 3)).astype(np.uint8)
    boxes: list[tuple[int, int, int, int]] = []
    for _ in range(rng.integers(1, most + 1)):
        side = int(rng.integers(10, 21))
        boxes += place(rng, (width, height), (min(side, width), min(side, height)), boxes)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = np.clip(np.array(colour) + rng.normal(0, 15, (y2 - y1, x2 - x1, 3)), 0, 255)
    return Sample(image, Boxes.of(boxes))


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
    boxes = [box for x1, y1, x2, y2 in true for box in place(rng, (width, height), (x2 - x1, y2 - y1), true)]
    return Sample(sample.image, Boxes.of(boxes))


def painted(count: int, colour: Sequence[int] = RED) -> list[Sample]:
    """So many pictures of several sizes."""
    return [paint(number, SIZES[number % len(SIZES)], colour) for number in range(count)]


def suggested() -> Iterator[Sample]:
    """Pictures with boxes that somebody suggests, some sure and right, some not, for an annotator to choose from."""
    import numpy as np

    for number, sample in enumerate(painted(FEW)):
        wrong = displaced(number, sample).boxes
        assert sample.boxes is not None, "painted"
        assert wrong is not None, "painted"
        rng = np.random.default_rng([2026, number])
        scores = np.concatenate([rng.uniform(0.6, 1, len(sample.boxes)), rng.uniform(0, 0.4, len(wrong))])
        yield Sample(sample.image, Boxes.of(np.concatenate([sample.boxes.xyxy, wrong.xyxy]), scores=scores))


def odd(folder: Path) -> Iterator[Sample]:
    """Every sort of file, in sizes and with contents that are rare."""
    import numpy as np
    from PIL import Image

    yield Sample(np.full((64, 64, 3), 128, np.uint8), Boxes.none())
    yield Sample(np.random.default_rng(1).integers(0, 90, (64, 64, 3)).astype(np.uint8), Boxes.none())
    yield paint(100, (64, 17), most=1)
    yield paint(101, (131, 97))
    for number, (name, write) in enumerate(WRITERS.items()):
        sample = paint(110 + number, (72, 56))
        assert not isinstance(sample.image, Path), "painted"
        folder.mkdir(parents=True, exist_ok=True)
        write(Image.fromarray(sample.image), folder / name)
        yield Sample(folder / name, sample.boxes)


def plain(folder: Path) -> Iterator[Sample]:
    """The same pictures as plain PNG files: upright, eight bits, RGB."""
    from synthbench.contract.images import read_image

    for sample in odd(folder):
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
    "grey.png": lambda image, path: image.convert("L").save(path),
    "sixteen bits.png": sixteen_bits,
    "cmyk.jpg": lambda image, path: image.convert("CMYK").save(path, quality=95),
    "palette.png": lambda image, path: image.quantize(64).save(path),
    "alpha.png": see_through,
    "turned.jpg": turned,
}


def thin(_folder: Path) -> Iterator[Sample]:
    """Pictures, one of them a pixel high."""
    yield paint(120)
    yield paint(121, (64, 1), most=1)


MAKERS: Mapping[str, Callable[[Path], Iterator[Sample]]] = {
    "many": lambda _: iter(painted(MANY)),
    "few": lambda _: iter(painted(FEW)),
    "one": lambda _: iter(painted(1)),
    "displaced": lambda _: (displaced(number, sample) for number, sample in enumerate(painted(FEW))),
    "blue": lambda _: iter(painted(FEW, BLUE)),
    "suggested": lambda _: suggested(),
    "odd": odd,
    "plain": plain,
    "thin": thin,
}
