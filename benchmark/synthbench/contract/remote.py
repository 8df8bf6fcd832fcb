"""Data that a plugin fetches under `--download`: told before, fetched once, made ready in a folder, and checked whenever it is used.

~/.cache/synthbench/data/NAME/downloads/     what is being fetched; files put there by hand are taken as well
~/.cache/synthbench/data/NAME/files/         made of it by the plugin
~/.cache/synthbench/data/NAME/record.json    checksums of both
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from synthbench.contract.fetching import RemoteFile, fetch, mismatch
from synthbench.errors import SynthbenchError
from synthbench.files import sha256_of, write_bytes

if TYPE_CHECKING:
    from synthbench.contract.types import Run

FOLDER = "SYNTHBENCH_DATA"
"""Environment variable: the folder of fetched data, in place of the user's cache."""
AT_ONCE = 8  # connections, where there are many files
LISTED = 20  # checksums in a note; of more files a checksum of all


class Fetched(msgspec.Struct, frozen=True):
    """A file as it was fetched. checked: against which known checksum, such as `md5:…`; empty where none is known."""

    address: str
    size: int
    sha256: str
    checked: str


class Record(msgspec.Struct, frozen=True):
    """What is known of fetched data. version: of `Remote`. date: of the first download. made: SHA-256 by name."""

    version: int
    date: str
    fetched: dict[str, Fetched]
    made: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Remote:
    """Data at addresses.

    name: of its folder. title, size, license, terms: as a person is told before it is fetched; size in words, such as `about 3 GB`;
    terms says what the licence asks for.
    version: of what a plugin makes of it; raised when that changes.
    """

    name: str
    title: str
    files: Sequence[RemoteFile]
    license: str
    terms: str
    size: str = ""
    version: int = 1

    @property
    def folder(self) -> Path:
        """Where it is kept on this machine."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        return Path(os.environ.get(FOLDER) or cache / "synthbench" / "data").expanduser() / self.name

    @property
    def missing(self) -> list[RemoteFile]:
        """What would be fetched; nothing if it was made ready before."""
        if self._record() is not None:
            return []
        return [file for file in self.files if not (self.folder / "downloads" / file.name).is_file()]

    def told(self) -> str:
        """What would be fetched, from where and under which licence, for a person."""
        missing = self.missing
        hosts = ", ".join(dict.fromkeys(urlsplit(file.address).netloc for file in missing))
        files = (
            f"{len(missing)} file{'s' * (len(missing) > 1)}{f' ({self.size})' if self.size else ''} from {hosts}" if missing else "nothing"
        )
        return f"{self.title}: fetches {files} to {self.folder}. Licence: {self.license}. {self.terms}"

    def ready(self, run: Run, make: Callable[[Path, Path], None]) -> Path:
        """The folder of files that `make(downloads, folder)` made of what was fetched; fetched now if `--download` allows.

        Notes the licence and the checksums for the report. What was fetched is deleted when the folder is complete.
        Raises SynthbenchError if it is missing and may not be fetched, cannot be fetched, or was altered since.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.folder / "lock"):
            record = self._record()
            if record is None:
                self._fetch(run)
                record = self._make(make)
            else:
                self._check(record)
        for note in (f"{self.title}: licence {self.license}. {self.terms}", *self._notes(record)):
            run.note(note)
        return self.folder / "files"

    def _record(self) -> Record | None:
        """The record of data that is complete; None if it is not, or was made by another version."""
        try:
            record = msgspec.json.decode((self.folder / "record.json").read_bytes(), type=Record)
        except (OSError, msgspec.MsgspecError):
            return None
        return record if record.version == self.version and (self.folder / "files").is_dir() else None

    def _fetch(self, run: Run) -> None:
        missing, downloads = self.missing, self.folder / "downloads"
        if missing and run.offline:
            one = f"{missing[0].address}{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}"
            raise SynthbenchError(f"{self.title} is not on this machine: run with --download, or get {one} and put it in {downloads}")
        if len(missing) < AT_ONCE:
            for file in missing:
                fetch(file, downloads / file.name, run)
            return
        with ThreadPoolExecutor(AT_ONCE) as pool:
            done = [pool.submit(fetch, file, downloads / file.name) for file in missing]
            try:
                for each in run.track(done, f"fetch {self.name}", unit="files"):
                    each.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _make(self, make: Callable[[Path, Path], None]) -> Record:
        """Checks what was fetched, and makes the folder of it."""
        downloads, files = self.folder / "downloads", self.folder / "files"
        fetched = {}
        for file in self.files:  # those put there by hand too
            path = downloads / file.name
            if problem := mismatch(file, path):
                raise SynthbenchError(f"{path}: {problem}; delete it, and run with --download or get {file.address} again")
            fetched[file.name] = Fetched(file.address, path.stat().st_size, sha256_of(path), file.digest)
        new = self.folder / "new"
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(files, ignore_errors=True)
        new.mkdir()
        make(downloads, new)
        made = {path.relative_to(new).as_posix(): sha256_of(path) for path in sorted(new.rglob("*")) if path.is_file()}
        new.rename(files)
        record = Record(self.version, time.strftime("%Y-%m-%d", time.gmtime()), fetched, made)
        write_bytes(self.folder / "record.json", msgspec.json.format(msgspec.json.encode(record), indent=1))
        shutil.rmtree(downloads, ignore_errors=True)
        return record

    def _check(self, record: Record) -> None:
        """Raises SynthbenchError if a file is not what it was when it was made."""
        for name, expected in record.made.items():
            path = self.folder / "files" / name
            if not path.is_file() or sha256_of(path) != expected:
                raise SynthbenchError(f"{path}: is not what it was when it was fetched: delete {self.folder} and run with --download")

    def _notes(self, record: Record) -> Iterator[str]:
        """What was checked, and the checksums of what could not be."""
        known = {name: file for name, file in record.fetched.items() if file.checked}
        unknown = {name: file.sha256 for name, file in record.fetched.items() if not file.checked}
        if known:
            yield f"{self.title}: {len(known)} of {len(record.fetched)} files have the checksums that this version of the plugin states"
        if len(unknown) > LISTED:
            lines = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(unknown.items()))
            unknown = {f"of {len(unknown)} files together": hashlib.sha256(lines.encode()).hexdigest()}
        for name, sha256 in unknown.items():
            yield f"{self.title}: no checksum is known to compare with; SHA-256 at the first download, {record.date}: {sha256} ({name})"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lets one process at a time do it."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
