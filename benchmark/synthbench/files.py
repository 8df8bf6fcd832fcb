"""Files: written whole, so that a full disk or a killed process leaves the earlier one as it was; and hashed."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synthbench.errors import SynthbenchError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which takes the place of `path` at the end.

    A link at `path` is replaced, and what it leads to is not touched. Raises SynthbenchError, with the path, if it cannot be written.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)  # noqa: PTH105
    except OSError as error:
        raise SynthbenchError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole. Raises SynthbenchError if it cannot be written."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def beside(folder: Path, ending: str) -> Path:
    """A path beside a folder, with its name and an ending, also where the folder is `.` or `..`. Raises SynthbenchError for the root."""
    named = folder.resolve() if folder.name in ("", "..") else folder
    if not named.name:
        raise SynthbenchError(f"{folder}: there is nothing beside it; name a folder in it")
    return named.with_name(f"{named.name}{ending}")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target`, which gets its name at the end. Raises SynthbenchError if something is there already."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise SynthbenchError(f"{target}: is there already; name a folder that is not, or remove it")
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if target.is_dir():
            target.rmdir()
        temporary.rename(target)
    except OSError as error:
        raise SynthbenchError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
