"""Unpacking archives from elsewhere: only files that are wanted, only below the folder, only so many bytes."""

from __future__ import annotations

import gzip
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from synthbench.errors import SynthbenchError

PIECE = 1 << 20  # bytes
Wanted = Callable[[str], str | None]
"""From a member's name to the name that it gets here, relative and with slashes; None: it is left in the archive."""


def unpack(archive: Path, folder: Path, wanted: Wanted, *, largest: int) -> Iterator[str]:
    """Writes members of a .zip, .tar or .tar.gz below `folder`, and yields the name of each when it is written.

    Links, devices and members that lead out of the folder are never written, whatever `wanted` says; neither is a member twice.
    largest: bytes that all of it may have. Raises SynthbenchError if it has more, a name leads out of the folder, or the archive is
    damaged.
    """
    left, seen = largest, set[str]()
    try:
        for name, size, opened in _members(archive):
            target = wanted(name)
            if target is None:
                continue
            path = _below(folder, target, archive, name)
            left -= size
            if left < 0:
                raise SynthbenchError(f"{archive}: unpacks to more than {largest >> 20} MB")
            if target in seen:
                raise SynthbenchError(f"{archive}: holds {target} twice")
            seen.add(target)
            path.parent.mkdir(parents=True, exist_ok=True)
            with opened() as source, path.open("xb") as written:
                shutil.copyfileobj(_Limited(source, size, archive), written, PIECE)
            yield target
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise SynthbenchError(f"{archive}: is not a complete archive ({error})") from error


class _Limited:
    """Reads a member, which may not have more bytes than its header says."""

    def __init__(self, source: IO[bytes], size: int, archive: Path) -> None:
        self.source, self.left, self.archive = source, size, archive

    def read(self, count: int = -1) -> bytes:
        """The next bytes. Raises SynthbenchError if there are too many."""
        piece = self.source.read(count)
        self.left -= len(piece)
        if self.left < 0:
            raise SynthbenchError(f"{self.archive}: a member is larger than it says")
        return piece


def _members(archive: Path) -> Iterable[tuple[str, int, Callable[[], IO[bytes]]]]:
    """Name, size and content of each regular file."""
    if zipfile.is_zipfile(archive):
        return _zip_members(archive)
    return _tar_members(archive)


def _zip_members(archive: Path) -> Iterator[tuple[str, int, Callable[[], IO[bytes]]]]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            kind = info.external_attr >> 16 & 0o170000
            if not info.is_dir() and kind in (0, 0o100000):
                yield info.filename, info.file_size, lambda info=info: opened.open(info)  # type: ignore[misc]


def _tar_members(archive: Path) -> Iterator[tuple[str, int, Callable[[], IO[bytes]]]]:
    with tarfile.open(archive, "r:*") as opened:
        for member in opened:
            if member.isreg():
                yield member.name, member.size, lambda member=member: opened.extractfile(member)  # type: ignore[misc]


def _below(folder: Path, target: str, archive: Path, name: str) -> Path:
    """The path of a member. Raises SynthbenchError if it is not below the folder."""
    parts = PurePosixPath(target).parts
    if not parts or target.startswith("/") or ".." in parts or re.search(r"[\x00-\x1f\\:]", target):
        raise SynthbenchError(f"{archive}: its member {name!r} leads out of the folder")
    return folder.joinpath(*parts)
