"""Hashes of the files that a suite names, remembered between runs."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from synthbench.errors import SynthbenchError
from synthbench.files import sha256_of, write_bytes

SETTLED = 2 * 10**9  # ns; a file changed a moment ago may change again within one tick of the clock (git: "racy")
LEFTOVERS = frozenset({".DS_Store", ".git", ".cache", ".ipynb_checkpoints", "Thumbs.db", "desktop.ini"})
"""What desktops, editors and download tools leave in folders; nothing else is passed over, hidden or not."""
SYSTEM = ("/proc", "/sys", "/dev")  # their files have no end


class FileHashes:
    """SHA-256 of files, remembered by path, size and times of change, as git's index does."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._changed = False
        self._known: dict[str, list[Any]] = {}
        with suppress(OSError, ValueError, RecursionError):
            known = json.loads(file.read_text())
            self._known = known if isinstance(known, dict) else {}

    def of_content(self, path: Path, only: Sequence[Path] | None = None) -> str:
        """SHA-256 of a file, or of a folder's files and their names.

        only: the files of the folder that count; None: all. Raises SynthbenchError if there is nothing.
        """
        if path.as_posix().startswith(SYSTEM) or path in (Path("/"), Path.home()):
            raise SynthbenchError(f"{path}: contains far more than what you mean; name a folder in it")
        if path.is_dir():
            files = sorted(files_below(path) if only is None else {each for each in only if is_file(each)})
            digest = hashlib.sha256()
            for each in files:
                digest.update(os.fsencode(os.path.relpath(each, path)) + f"\0{self.of(each)}\n".encode())
            value = digest.hexdigest()
        elif path.is_file():
            value = self.of(path)
        else:
            raise SynthbenchError(f"{path}: no such file or folder" if not path.exists() else f"{path}: neither a file nor a folder")
        self.save()
        return value

    def of(self, path: Path) -> str:
        """The hash of one file's content. Raises SynthbenchError if it cannot be read."""
        try:
            state = path.stat()
            # The time of status change, too: an archive that is unpacked over a file may restore size and date.
            mark = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
            name = os.fsencode(path.resolve()).hex()
            known = self._known.get(name)
            if isinstance(known, list) and known[:4] == mark:
                return str(known[4])
            value = sha256_of(path)
        except OSError as error:
            raise SynthbenchError(f"{path}: cannot be read ({error.strerror or error})") from None
        if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) > SETTLED:
            self._known[name] = [*mark, value]
            self._changed = True
        return value

    def save(self) -> None:
        """Writes what is known, in one rename."""
        if self._changed:
            with suppress(SynthbenchError):  # remembering hashes saves time, nothing more
                write_bytes(self._file, json.dumps(self._known).encode())
                self._changed = False


def is_file(path: Path) -> bool:
    """Whether there is a file that can be read; False for a name that no file can have."""
    with suppress(OSError, ValueError):
        return path.is_file()
    return False


def files_below(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """All files in a folder and the folders in it, through links too, but never into a folder again that this one is in.

    What tools leave behind is left out.
    """
    real = os.path.realpath(folder)
    if real not in above:
        for path in sorted(folder.iterdir()):
            if path.name in LEFTOVERS:
                continue
            if path.is_dir():
                yield from files_below(path, above | {real})
            elif path.is_file():
                yield path
