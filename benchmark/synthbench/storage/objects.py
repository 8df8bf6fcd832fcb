"""Objects below a prefix of a file system that fsspec knows, such as a bucket of S3: read, written whole, listed, and created if absent.

Credentials, endpoints and profiles are those that fsspec and its libraries find by themselves; none is taken or kept here.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cached_property
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from synthbench.errors import SynthbenchError
from synthbench.files import write_bytes
from synthbench.storage.leases import create

AT_ONCE = 16  # requests
SETTLE = 2.0  # seconds that a write may take to arrive where writes under a condition are not known
SECRET = re.compile(r"[^/]*://[^/@]*:[^/@]*@")
TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")
"""What file systems call the time of the last change."""
CREDENTIALS = "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"
ANSWERS_LATER = "ConditionalRequestConflict", "OperationAborted"  # S3: two conditional writes, or a delete, at the same moment


class Objects:
    """The objects below an address, by their names relative to it."""

    def __init__(self, address: str) -> None:
        """Raises SynthbenchError if the address is of an unknown kind, or a package that it needs is not installed."""
        if SECRET.match(address):  # the address is shown, and ends in reports
            raise SynthbenchError("--store: the address contains a password; leave it out, and give it where fsspec looks for credentials")
        self.address = address.rstrip("/")
        if self.address.endswith(":"):
            raise SynthbenchError(f"{address}: names no bucket or folder")
        with self.errors_explained():
            from fsspec.core import url_to_fs

            self._files, self._root = url_to_fs(self.address, use_listings_cache=False)  # others change what is there
        protocols = self._files.protocol
        self.is_folder = "file" in ((protocols,) if isinstance(protocols, str) else protocols)
        # s3fs asks for an object's size first, so as to read a large one in parts; those read here are small
        self._reading = {"max_concurrency": 1} if hasattr(self._files, "max_concurrency") else {}
        self._root = self._root.rstrip("/")

    @property
    def packages(self) -> tuple[str, ...]:
        """The distributions, other than fsspec, that hold the class of the file system."""
        module = type(self._files).__module__.partition(".")[0]
        return tuple(sorted({*packages_distributions().get(module, [])} - {"fsspec"}))

    def read(self, name: str) -> bytes | None:
        """The content of an object; None if there is none."""
        with self.errors_explained():
            try:
                return bytes(self._files.cat_file(self._path(name), **self._reading))
            except FileNotFoundError:
                return None

    def read_many(self, names: Sequence[str]) -> dict[str, bytes]:
        """The contents of objects, several at a time; those that are not there are left out."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            contents = dict(zip(names, threads.map(self.read, names), strict=True))
        return {name: content for name, content in contents.items() if content is not None}

    def write(self, name: str, content: bytes) -> None:
        """Writes an object whole, in place of an earlier one."""
        with self.errors_explained():
            if self.is_folder:
                write_bytes(Path(self._path(name)), content)
            else:
                self._files.pipe_file(self._path(name), content)

    def create(self, name: str, content: bytes) -> bool:
        """Writes an object if there is none by this name, and says whether it holds this content now.

        The store decides who is first, if it knows writes under a condition (`is_conditional`). Elsewhere the last one wins who writes
        within `SETTLE` seconds, and everybody looks again after that time: two win if a write takes longer to arrive.
        """
        if not self.is_conditional:
            if self.read(name) is not None:
                return False
            self.write(name, content)
            time.sleep(SETTLE)
            return self.read(name) == content
        while True:
            with self.errors_explained():
                try:
                    self._create(name, content)
                    return True
                except FileExistsError:
                    return self.read(name) == content  # a request that was repeated after its answer was lost meets itself
                except OSError as error:
                    if code_of(error) not in ANSWERS_LATER:
                        raise
            time.sleep(0.1)

    @cached_property
    def is_conditional(self) -> bool:
        """Whether `create` is one step. Some stores that speak S3's protocol ignore the condition, so it is tried."""
        probe = f"probe-{uuid.uuid4().hex}"
        with self.errors_explained():
            try:
                self._create(probe, b"1")
                self._create(probe, b"2")
            except FileExistsError:
                return True
            except (NotImplementedError, TypeError, ValueError):
                return False
            finally:
                self.delete([probe])
        return False

    def delete(self, names: Iterable[str]) -> None:
        """Removes objects. What is gone already is none the worse."""
        with self.errors_explained():
            for name in names:
                with suppress(FileNotFoundError):
                    self._files.rm_file(self._path(name))

    def find(self, folder: str) -> dict[str, tuple[int, float]]:
        """The names of all objects below a folder, with the size in bytes and the time of the last change in seconds since 1970."""
        start = len(self._root) + 1
        with self.errors_explained():
            if self.is_folder:
                return {path[start:]: about for path, about in sorted(files_below(self._path(folder)))}
            try:
                found = self._files.find(self._path(folder), detail=True)
            except FileNotFoundError:
                return {}
        return {path[start:]: (int(about["size"] or 0), time_of(about)) for path, about in sorted(found.items())}

    def has_below(self, folder: str) -> bool:
        """Whether there is a folder by this name, or an object below it."""
        with self.errors_explained():
            return bool(self._files.exists(self._path(folder)))

    def has_others(self, name: str) -> bool:
        """Whether there is anything but one object by this name."""
        with self.errors_explained():
            try:
                found = self._files.ls(self._root, detail=False)
            except FileNotFoundError:
                return False
        return any(each.rstrip("/") not in (self._root, self._path(name)) for each in found)

    def time_of(self, name: str) -> float | None:
        """When an object was last changed, by the store's clock, in seconds since 1970; None if there is none."""
        with self.errors_explained():
            try:
                return time_of(self._files.info(self._path(name)))
            except FileNotFoundError:
                return None

    def now(self) -> float:
        """Now, by the store's clock, in seconds since 1970."""
        probe = f"clock-{uuid.uuid4().hex}"
        try:
            self.write(probe, b"")
            return self.time_of(probe) or time.time()
        finally:
            self.delete([probe])

    def upload(self, files: Mapping[str, Path]) -> None:
        """Writes files as objects, several at a time."""
        if files:
            with self.errors_explained():
                if self.is_folder:
                    for name in files:
                        Path(self._path(name)).parent.mkdir(parents=True, exist_ok=True)
                self._files.put([str(path) for path in files.values()], [self._path(name) for name in files])

    def download(self, files: Mapping[str, Path]) -> None:
        """Writes objects to files, several at a time. Raises FileNotFoundError if one is not there."""
        for path in files.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        if files:
            with self.errors_explained(absent=True):
                self._files.get([self._path(name) for name in files], [str(path) for path in files.values()])

    def sha256(self, name: str) -> str | None:
        """The SHA-256 of an object, which is read for that; None if there is none."""
        with self.errors_explained():
            try:
                with self._files.open(self._path(name), "rb") as file:
                    return hashlib.file_digest(file, "sha256").hexdigest()
            except (FileNotFoundError, IsADirectoryError):
                return None

    @contextmanager
    def errors_explained(self, *, absent: bool = False) -> Iterator[None]:
        """Turns what goes wrong on the way to a store into an error that says what to do.

        absent: lets FileNotFoundError pass.
        """
        try:
            yield
        except SynthbenchError:
            raise
        except FileNotFoundError as error:
            if absent:
                raise
            raise SynthbenchError(f"{self.address}: there is no such bucket or folder ({error}); make it, or correct --store") from error
        except Exception as error:  # each kind of store has errors of its own
            raise SynthbenchError(f"{self.address}: {explain(error)}") from error

    def _create(self, name: str, content: bytes) -> None:
        if not self.is_folder:
            self._files.pipe_file(self._path(name), content, mode="create")
            return
        path = Path(self._path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        if not create(path, content):  # fsspec would look first and write then
            raise FileExistsError(name)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def files_below(folder: str) -> Iterator[tuple[str, tuple[int, float]]]:
    """The paths of all files below a folder, with size and time. fsspec would take a folder that cannot be listed for empty."""

    def told(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise error

    for parent, _, names in os.walk(folder, onerror=told):
        for path in (Path(parent, name) for name in names):
            with suppress(FileNotFoundError):  # another process removed it just now
                about = path.stat()
                yield str(path), (about.st_size, about.st_mtime)


def time_of(about: Mapping[str, Any]) -> float:
    """The time of the last change in what a file system says of a file; 0 if it does not say."""
    for name in TIMES:
        value = about.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, (int, float)):
            return float(value)
        if isinstance(value, str):
            with suppress(ValueError):
                return datetime.fromisoformat(value).timestamp()
    return 0.0


def code_of(error: BaseException) -> str:
    """The code by which S3 names an error; empty if it has none."""
    response = getattr(error.__cause__ or error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, Mapping) else ""


def explain(error: Exception) -> str:
    """What went wrong, and what to do about it."""
    name = type(error).__name__
    if isinstance(error, ImportError):
        return f"its kind of store needs a package that is not installed ({error}); for S3: pip install 'synthbench[s3]'"
    if isinstance(error, ValueError) and "rotocol" in str(error):
        return f"no known kind of store ({error}); an address is like s3://bucket/prefix"
    if name in CREDENTIALS:
        return f"no credentials were found ({error}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    if isinstance(error, PermissionError):
        return f"access was refused ({error}); these credentials must be allowed to list, read, write and delete there"
    if "Connect" in name or "Timeout" in name or isinstance(error, (ConnectionError, TimeoutError)):
        return f"cannot be reached ({error}); the next run goes on from what is there. AWS_ENDPOINT_URL names a server other than Amazon's"
    return f"{name}: {error}"
