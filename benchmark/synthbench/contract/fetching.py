"""Fetching files over the network: in parts, going on after a break, and checked. Callers ask `run.offline` before.

What was fetched so far is in `NAME.part` beside the file, so a broken or stopped download goes on where it was (HTTP Range).
A file gets its name when its size and checksum are right, so a file that is there is complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from synthbench.errors import SynthbenchError

if TYPE_CHECKING:
    from synthbench.contract.types import Run

PIECE = 1 << 20  # bytes read at a time, and the unit of progress
TRIES = 5  # in a row without a new byte
PAUSE = 1.0  # seconds before the second try, doubled for each further one
LONGEST_PAUSE = 60.0  # seconds, also where a server asks for more
TIMEOUT = 60.0  # seconds without a byte
LARGEST = 64 << 30  # bytes of a file whose size is not known here; weights and data sets have less in one file
# Some archives refuse clients that do not look like a browser.
AGENT = "Mozilla/5.0 (compatible; synthbench)"
MIRROR = "SYNTHBENCH_MIRROR"
"""Environment variable: an address to fetch from in place of each file's own scheme and host."""
DIGITS = re.compile("[0-9]{1,18}")  # of a number in a header, which may contain anything
BUSY = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses after which it is worth to try again


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file at an address.

    name: what it is called here, perhaps below a folder. size: bytes; 0 where it is not known.
    digest: `sha256:` or `md5:` and hexadecimal digits, all or the first ones; empty where no checksum is known.
    """

    name: str
    address: str
    size: int = 0
    digest: str = ""


class Interrupted(Exception):
    """The connection broke, or the server is busy: it is worth to try again. after: seconds that the server asks for."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


def fetch(file: RemoteFile, path: Path, run: Run | None = None) -> None:
    """Downloads a file to `path`, unless it is there; goes on with what an earlier attempt left. run: to show the progress.

    Raises SynthbenchError if the address cannot be read, the connection breaks again and again, or size or checksum are not
    those of `file`; what was fetched is kept after a break, and deleted if it is wrong.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _part(path) as part:
        if path.is_file():  # another process has just fetched it
            return
        transfer = Transfer(file, part)
        pieces = transfer.pieces()
        next(pieces, None)  # connects, so that the size is known
        if run is None:
            for _ in pieces:
                pass
        else:
            for _ in run.track(pieces, f"fetch {Path(file.name).name}", -(-transfer.total // PIECE) or None, "MB"):
                pass
        part.flush()
        if problem := mismatch(file, Path(part.name)):
            Path(part.name).unlink()
            raise SynthbenchError(f"{file.address}: {problem}: the file there is another one, or it was altered on its way")
        Path(part.name).rename(path)


def mismatch(file: RemoteFile, path: Path) -> str:
    """In what way a file here is not the one that was meant: in size or checksum. Empty if it is, as far as is known."""
    if file.size and (size := path.stat().st_size) != file.size:
        return f"{size} bytes in place of {file.size}"
    algorithm, _, expected = file.digest.partition(":")
    if not expected:
        return ""
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, algorithm).hexdigest()
    return "" if digest.startswith(expected) else f"its {algorithm.upper()} is {digest}, not {expected}"


def mirrored(address: str) -> str:
    """Where to fetch an address from: below the mirror that the environment names, if it names one."""
    mirror = os.environ.get(MIRROR, "").rstrip("/")
    return f"{mirror}{address[len('https://') + len(urlsplit(address).netloc) :]}" if mirror and address.startswith("https://") else address


class Transfer:
    """One download into an open file, which may hold the beginning of it. total: bytes of the whole file, once it is known."""

    def __init__(self, file: RemoteFile, part: IO[bytes]) -> None:
        self.file = file
        self.part = part
        self.total = file.size
        self.tag = ""  # the server's name for this version of the file: what is there is continued only if it is still the same

    def pieces(self) -> Iterator[None]:
        """Fetches the file; yields once when connected, then after each piece. Raises SynthbenchError."""
        failures, connected = 0, False
        while True:
            before = self.part.tell()
            try:
                with self._open() as response:
                    for _ in range(0 if connected else 1 + self.part.tell() // PIECE):
                        yield
                    connected = True
                    while piece := _read(response):
                        self.part.write(piece)
                        if self.total and self.part.tell() > self.total:  # a server may send without end
                            self._refuse(f"more than {self.total} bytes came: the file there is another one")
                        self._check_limit(self.part.tell())
                        yield
                if self.total and self.part.tell() < self.total:
                    raise Interrupted("the connection was closed")
                return
            except Interrupted as problem:
                failures = 0 if self.part.tell() > before else failures + 1
                if failures >= TRIES:
                    done = f"{self.part.tell() / PIECE:.1f} of {self.total / PIECE:.1f} MB" if self.total else "some of it"
                    kept = f"; {done} is kept, so run again to go on" if self.part.tell() else ""
                    raise SynthbenchError(f"{self.file.address}: cannot be downloaded ({problem}){kept}") from problem
                time.sleep(min(LONGEST_PAUSE, max(problem.after, PAUSE * 2**failures)))

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """Asks for what is missing. Empties the file if the server sends it from its beginning."""
        have = self.part.seek(0, os.SEEK_END)
        if have and not self.tag and not self.file.digest:
            have = self._empty()  # nothing would tell whether the rest belongs to the same file
        headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            headers |= {"If-Range": self.tag} if self.tag else {}
        request = urllib.request.Request(mirrored(self.file.address), headers=headers)
        try:
            response = urllib.request.urlopen(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # there is nothing after what is here: it is complete, or of another file
                self.total = self.total or have
                if have != self.total:
                    self._empty()
                    raise Interrupted("the file there is shorter") from error
                yield _NOTHING
                return
            if error.code in BUSY:
                raise Interrupted(f"{error.code} {error.reason}", _seconds(error.headers.get("Retry-After"))) from error
            raise SynthbenchError(f"{self.file.address}: cannot be downloaded ({error.code} {error.reason})") from error
        except ValueError as error:  # from an address that the server named
            raise SynthbenchError(f"{self.file.address}: leads to an address that cannot be read ({error})") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, FileNotFoundError):
                raise SynthbenchError(f"{self.file.address}: cannot be downloaded ({reason})") from error
            raise Interrupted(str(reason)) from error
        with response:
            self._begin(response, have)
            yield response

    def _begin(self, response: Any, have: int) -> None:
        """Takes the size and the version from the answer's headers."""
        if self.file.address.startswith("https:") and urlsplit(response.geturl()).scheme != "https" and not os.environ.get(MIRROR):
            raise SynthbenchError(f"{self.file.address}: leads to an address without encryption, {response.geturl()}")
        continues = getattr(response, "status", 200) == 206
        if have and not continues:
            have = self._empty()
        length = response.headers.get("Content-Length")
        if length is not None and DIGITS.fullmatch(length):
            total = have + int(length)
            if self.file.size and total != self.file.size:
                self._refuse(f"the file there has {total} bytes, not {self.file.size}: it is another one")
            self._check_limit(total)
            self.total = total
        tag = response.headers.get("ETag") or ""
        self.tag = "" if tag.startswith("W/") else tag  # a weak one says nothing about bytes

    def _check_limit(self, size: int) -> None:
        """Raises SynthbenchError if so many bytes are too many for a file whose size is not known here."""
        if not self.file.size and size > LARGEST:
            self._refuse(f"more than {LARGEST // PIECE} MB, the limit of a file whose size is not known; get it by other means")

    def _refuse(self, why: str) -> NoReturn:
        self._empty()
        raise SynthbenchError(f"{self.file.address}: {why}")

    def _empty(self) -> int:
        self.part.seek(0)
        self.part.truncate()
        return 0


class _Nothing:
    """An answer without a byte."""

    def read(self, count: int) -> bytes:
        """Nothing."""
        del count
        return b""


_NOTHING = _Nothing()


def _read(response: Any) -> bytes:
    try:
        piece: bytes = response.read(PIECE)
    except (OSError, http.client.HTTPException) as error:
        raise Interrupted(str(error) or type(error).__name__) from error
    return piece


def _seconds(text: str | None) -> float:
    return float(text) if text and DIGITS.fullmatch(text) else 0.0


@contextmanager
def _part(path: Path) -> Iterator[IO[bytes]]:
    """`NAME.part` beside the file, at its end, locked: a second process waits here for the first."""
    name = path.with_name(f"{path.name}.part")
    while True:
        part = name.open("ab")
        fcntl.flock(part, fcntl.LOCK_EX)
        if _is(part, name):
            break
        part.close()  # the one that it waited for has given the file its name, or deleted it
    try:
        yield part
    finally:
        if not part.tell() and _is(part, name):
            name.unlink()
        part.close()


def _is(opened: IO[bytes], path: Path) -> bool:
    """Whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(opened.fileno()), path.stat())
    except FileNotFoundError:
        return False
