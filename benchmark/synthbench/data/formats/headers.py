"""What the files of many images say of themselves, without decoding them: sizes, orientation, colours, and whether they are whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from synthbench.contract.images import FORMATS, Header, open_image, read_header
from synthbench.errors import SynthbenchError

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
    """A look at one file. JPEG, by far the most frequent, is read by the shortest way."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - 100,000 of them
            with Image.open(file, formats=FORMATS) as image:
                if image.format != "JPEG":
                    return careful_look(path)
                turn, taken = exif_of(image) if "exif" in image.info or "xmp" in image.info else (1, "")
                mode, (width, height) = image.mode, image.size
            size = file.seek(0, 2)
            file.seek(max(size - TAIL, 0))
            tail = file.read()
    except Exception:  # Pillow raises many kinds: the careful way says which
        return careful_look(path)
    damaged = "" if b"\xff\xd9" in tail else decoded(path)
    return Look(Header(width, height, turn, plain=mode == "RGB"), mode, damaged=damaged, mark=mark_of(size, tail), taken=taken)


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
            mode, whole, taken = image.mode, image.format == "PNG", exif_of(image)[1]
        with open(path, "rb") as file:  # noqa: PTH123
            size = file.seek(0, 2)
            file.seek(max(size - TAIL, 0))
            tail = file.read()
    except (SynthbenchError, OSError, ValueError, SyntaxError) as error:
        return Look(None, error=str(error).removeprefix(f"{path}: "))
    whole = whole and b"IEND" in tail
    return Look(header, mode, damaged="" if whole else decoded(path), mark=mark_of(size, tail), taken=taken)


def decoded(path: str) -> str:
    """Why the pixels of a file cannot be read; "" if they can."""
    try:
        open_image(Path(path))
    except SynthbenchError as error:
        return str(error).removeprefix(f"{path}: ")
    return ""
