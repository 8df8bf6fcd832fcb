"""Hashes of the files that a suite names, remembered between runs."""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from synthbench.errors import SynthbenchError

SETTLED = 2 * 10**9  # ns; a file changed a moment ago may change again within one tick of the clock (git: "racy")


class FileHashes:
    """SHA-256 of files, remembered by path, size and time of change, as git's index does."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._changed = False
        self._known: dict[str, list[Any]] = {}
        with suppress(OSError, ValueError):
            known = json.loads(file.read_text())
            self._known = known if isinstance(known, dict) else {}

    def of_content(self, path: Path) -> str:
        """SHA-256 of a file, or of a folder's files and their names without the hidden ones. Raises SynthbenchError if nothing is there."""
        if path.is_dir():
            files = sorted(each for each in files_below(path) if each.is_file() and not is_hidden(each.relative_to(path)))
            parts = [f"{each.relative_to(path).as_posix()} {self.of(each)}" for each in files]
            self.save()
            return hashlib.sha256("\n".join(parts).encode()).hexdigest()
        if not path.is_file():
            raise SynthbenchError(f"{path}: no such file or folder")
        value = self.of(path)
        self.save()
        return value

    def of(self, path: Path) -> str:
        """The hash of one file's content."""
        state = path.stat()
        mark = [state.st_size, state.st_mtime_ns, state.st_ino]
        known = self._known.get(str(path.resolve()))
        if known is not None and known[:3] == mark:
            return str(known[3])
        with path.open("rb") as file:
            value = hashlib.file_digest(file, "sha256").hexdigest()
        if time.time_ns() - state.st_mtime_ns > SETTLED:
            self._known[str(path.resolve())] = [*mark, value]
            self._changed = True
        return value

    def save(self) -> None:
        """Writes what is known, in one rename."""
        if self._changed:
            with suppress(OSError):  # remembering hashes saves time, nothing more
                temporary = self._file.with_suffix(f".{uuid.uuid4().hex}")
                temporary.write_text(json.dumps(self._known))
                temporary.replace(self._file)
                self._changed = False


def files_below(folder: Path) -> Iterator[Path]:
    """All files in a folder and the folders in it, through links too, but into each folder once."""
    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True):
        yield from (Path(parent, name) for name in names)
        for name in sorted(folders):
            target = os.path.realpath(Path(parent, name))
            if target in seen:
                folders.remove(name)  # so that it is not walked into
            seen.add(target)


def is_hidden(path: Path) -> bool:
    """Whether a file or one of its folders is what desktops and editors leave behind."""
    return any(part.startswith(".") for part in path.parts)
