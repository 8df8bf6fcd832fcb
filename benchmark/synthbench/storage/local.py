"""Artifacts on disk: one folder for each, named by the key of what made it.

An artifact is built in a sibling folder and published by one rename, so what is there is whole. Beside its files lies
`stage.json`: the key as readable text, what the stage recorded, and how long it took.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from synthbench.errors import SynthbenchError

SCHEMA = 1  # of keys: raised when the same stage would be described otherwise
MARK = "synthbench-store.json"
STAGE = "stage.json"
SETTLED = 2 * 10**9  # ns; a file changed a moment ago may change again within one tick of the clock (git: "racy")


@dataclass(frozen=True)
class Artifact:
    """A published folder and what `stage.json` says of it."""

    folder: Path
    about: Mapping[str, Any]


class Store:
    """The artifacts below one folder."""

    def __init__(self, root: Path) -> None:
        """Opens the store in `root`, making it where there is none.

        Raises SynthbenchError where the folder holds something else, so nothing foreign is ever touched.
        """
        self.root = root.resolve()
        mark = self.root / MARK
        with told_disk_errors(self.root):
            if not mark.exists():
                if self.root.exists() and any(self.root.iterdir()):
                    raise SynthbenchError(f"{root}: not a store of synthbench and not empty; name another folder with --store")
                self.root.mkdir(parents=True, exist_ok=True)
                mark.write_text(json.dumps({"schema": SCHEMA}))
        self._hashes = FileHashes(self.root / "hashes.json")

    def folder(self, stage: str, key: str) -> Path:
        """Where the artifact of a stage with this key lies, or would."""
        return self.root / stage / key[:2] / key

    def get(self, stage: str, key: str) -> Artifact | None:
        """The artifact, or None where there is none or its description cannot be read."""
        folder = self.folder(stage, key)
        try:
            about = json.loads((folder / STAGE).read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: no JSON, or no text at all
            return None
        return Artifact(folder, about) if isinstance(about, dict) else None

    @contextmanager
    def building(self, stage: str, key: str, *, resumable: bool = False) -> Iterator[Path]:
        """A folder to build an artifact in, gone afterwards unless it was published.

        A `resumable` one stays where the work was not finished, and the next maker finds in it what is there.
        """
        parent = self.folder(stage, key).parent
        with told_disk_errors(self.root):
            parent.mkdir(parents=True, exist_ok=True)
            lock = (parent / f"{key[:12]}.lock").open("w") if resumable else None
            if lock is not None and take_lock(lock):
                made = parent / f"{key[:12]}.partial"
                made.mkdir(exist_ok=True)
            else:  # also where another run is at the same stage: the first to finish publishes
                resumable = False
                made = Path(tempfile.mkdtemp(prefix=f"{key[:12]}.{os.getpid()}.", suffix=".building", dir=parent))
        try:
            yield made
        finally:
            if not resumable:
                shutil.rmtree(made, ignore_errors=True)
            if lock is not None:
                lock.close()

    def sweep(self) -> None:
        """Removes what runs that were killed left half built; their process is gone."""
        for folder in self.root.glob("*/*/*.building"):
            owner = folder.name.split(".")[1]
            if owner.isdigit() and not process_exists(int(owner)):
                shutil.rmtree(folder, ignore_errors=True)

    def publish(self, stage: str, key: str, built: Path, about: Mapping[str, Any]) -> Artifact:
        """Makes a built folder the artifact. Of two makers of the same one the first stays."""
        with told_disk_errors(self.root):
            (built / STAGE).write_text(json.dumps(about, indent=1))
            folder = self.folder(stage, key)
            if folder.exists() and self.get(stage, key) is None:  # damaged: set aside, not deleted
                folder.replace(tempfile.mkdtemp(prefix=f"{key[:12]}.", suffix=".damaged", dir=folder.parent))
            built.chmod(0o755)
            with suppress(OSError):  # another run published it first
                built.rename(folder)
        found = self.get(stage, key)
        if found is None:
            raise SynthbenchError(f"{folder}: could not be published")
        return found

    def content_hash(self, path: Path) -> str:
        """SHA-256 of a file, or of a folder's files and their names, but for hidden ones. Raises SynthbenchError where nothing is there."""
        if path.is_dir():
            files = sorted(each for each in files_below(path) if each.is_file() and not is_hidden(each.relative_to(path)))
            parts = [f"{each.relative_to(path).as_posix()} {self._hashes.of(each)}" for each in files]
            self._hashes.save()
            return hashlib.sha256("\n".join(parts).encode()).hexdigest()
        if not path.is_file():
            raise SynthbenchError(f"{path}: no such file or folder")
        value = self._hashes.of(path)
        self._hashes.save()
        return value


def files_below(folder: Path) -> Iterator[Path]:
    """All files in a folder and the folders in it, through links too, but into each folder once."""
    seen = {os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, followlinks=True):
        yield from (Path(place, name) for name in names)
        for name in sorted(folders):
            target = os.path.realpath(Path(place, name))
            if target in seen:
                folders.remove(name)  # so that it is not walked into
            seen.add(target)


def take_lock(file: IO[str]) -> bool:
    """Locks an open file until it is closed, unless another process has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def process_exists(number: int) -> bool:
    """Whether a process of this machine has this number."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def is_hidden(path: Path) -> bool:
    """Whether a file or one of its folders is what desktops and editors leave behind."""
    return any(part.startswith(".") for part in path.parts)


class FileHashes:
    """SHA-256 of files, remembered by place, size and time of change, as git's index does."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._changed = False
        try:
            self._known: dict[str, list[Any]] = json.loads(file.read_text())
        except (OSError, json.JSONDecodeError):
            self._known = {}

    def of(self, path: Path) -> str:
        """The hash of one file's content."""
        state = path.stat()
        mark = [state.st_size, state.st_mtime_ns, state.st_ino]
        held = self._known.get(str(path.resolve()))
        if held is not None and held[:3] == mark:
            return str(held[3])
        with path.open("rb") as file:
            value = hashlib.file_digest(file, "sha256").hexdigest()
        if time.time_ns() - state.st_mtime_ns > SETTLED:
            self._known[str(path.resolve())] = [*mark, value]
            self._changed = True
        return value

    def save(self) -> None:
        """Writes what is known, in one rename."""
        if self._changed:
            with suppress(OSError):  # a memory of hashes saves time, nothing more
                temporary = self._file.with_suffix(f".{os.getpid()}")
                temporary.write_text(json.dumps(self._known))
                temporary.replace(self._file)
                self._changed = False


@contextmanager
def told_disk_errors(root: Path) -> Iterator[None]:
    """Turns a full or read-only disk into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise SynthbenchError(
            f"{root}: cannot be written ({error.strerror or error}); make room or name another folder with --store. "
            "What is finished stays, and the next run goes on from there"
        ) from error


def key_of(recipe: Mapping[str, Any]) -> str:
    """The key of a stage: SHA-256 of its recipe as canonical JSON."""
    text = json.dumps({"schema": SCHEMA, **recipe}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
