"""What the files of many images say of themselves, without decoding them: sizes, orientation, colours, and whether they are whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from synthbench.contract.images import FORMATS, Header, open_image, read_header
from synthbench.errors import SynthbenchError

ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}  # by Pillow's formats; files of others are decoded
HEAD = 4096  # bytes at its beginning in which the size of most JPEG files stands
COMPONENTS = {1: "L", 3: "RGB", 4: "CMYK"}
PASSED = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})  # tables, comments and what applications add
TAIL = 64  # bytes at the end of a file that show whether it is whole


@dataclass(frozen=True, slots=True)
class Look:
    """A file's header, or why there is none.

    mode: Pillow's. damaged: why its pixels cannot be read, or "". mark: of the file's size and last bytes, so that files with the same
    bytes have the same. taken: when, as EXIF says it.
    """

    header: Header | None
    mode: str = "RGB"
    error: str = ""
    damaged: str = ""
    mark: int = 0
    taken: str = ""


def look_at(paths: Iterable[str]) -> Iterator[Look]:
    """A look at each file, in order."""
    for path in paths:
        yield look(path)


def look(path: str) -> Look:
    """A look at one file. Most are JPEG without EXIF, whose headers are short."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - 100,000 of them
            plain = plain_jpeg(file.read(HEAD))
            if plain is None:
                return careful_look(path)
            size = file.seek(0, 2)
            file.seek(max(size - TAIL, 0))
            tail = file.read()
    except OSError:
        return careful_look(path)
    mode, width, height = plain
    damaged = "" if b"\xff\xd9" in tail else decoded(path)
    return Look(Header(width, height, 1, plain=mode == "RGB"), mode, damaged=damaged, mark=mark_of(size, tail))


def plain_jpeg(head: bytes) -> tuple[str, int, int] | None:
    """Pillow's mode, width and height of a JPEG file with eight bits, no EXIF and no further images; None for any other file.

    ITU-T T.81, annex B: segments of a marker, a length and content; SOF0 to SOF2 have precision, height, width and components.
    """
    if head[:3] != b"\xff\xd8\xff":
        return None
    at = 2
    while at + 10 <= len(head) and head[at] == 0xFF:
        marker, length = head[at + 1], head[at + 2] << 8 | head[at + 3]
        if 0xC0 <= marker <= 0xC2:
            height, width, mode = head[at + 5] << 8 | head[at + 6], head[at + 7] << 8 | head[at + 8], COMPONENTS.get(head[at + 9])
            return (mode, width, height) if mode and head[at + 4] == 8 and width and height else None
        if marker == 0xE1 or marker not in PASSED or head[at + 4 : at + 7] == b"MPF":
            return None
        at += 2 + length
    return None


def exif_of(image: Image.Image) -> tuple[int, str]:
    """EXIF's orientation, 1 to 8, and when the photograph was taken, "" without."""
    exif = image.getexif()
    turn = exif.get(ExifTags.Base.Orientation, 1)
    taken = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal) or ""
    return turn if turn in range(1, 9) else 1, str(taken).strip("\0 ")


def mark_of(size: int, tail: bytes) -> int:
    """A number that files with the same bytes share, and hardly any others."""
    return size << 32 | zlib.crc32(tail)


def careful_look(path: str) -> Look:
    """A look at a file of any format. Its pixels are decoded if they may be damaged."""
    try:
        header = read_header(Path(path))
        with Image.open(path, formats=FORMATS) as image:
            mode, end, taken = image.mode, ENDS.get(image.format or ""), exif_of(image)[1]
        with open(path, "rb") as file:  # noqa: PTH123
            size = file.seek(0, 2)
            file.seek(max(size - TAIL, 0))
            tail = file.read()
    except (SynthbenchError, OSError, ValueError, SyntaxError) as error:
        return Look(None, error=str(error).removeprefix(f"{path}: "))
    whole = end is not None and end in tail
    return Look(header, mode, damaged="" if whole else decoded(path), mark=mark_of(size, tail), taken=taken)


def decoded(path: str) -> str:
    """Why the pixels of a file cannot be read; "" if they can."""
    try:
        open_image(Path(path))
    except SynthbenchError as error:
        return str(error).removeprefix(f"{path}: ")
    return ""
