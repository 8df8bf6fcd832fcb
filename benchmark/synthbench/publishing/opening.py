"""Opens bundles, which come from strangers: nothing is unpacked to disk, and every member is checked before it is used."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, TypeVar

import msgspec

from synthbench.contract.types import Boxes
from synthbench.errors import SynthbenchError
from synthbench.publishing.predictions import decode_predictions
from synthbench.publishing.submission import (
    ARTIFACTS,
    BUNDLE,
    LARGEST_BUNDLE,
    LARGEST_JSON,
    LARGEST_MEMBER,
    MEMBER,
    MOST_MEMBERS,
    RESULTS,
    SCHEMA,
    TRUTH,
    StageFiles,
    Submission,
)
from synthbench.publishing.truth import Truth
from synthbench.results.model import SCHEMA as RESULTS_SCHEMA
from synthbench.results.model import Results
from synthbench.text import printable

Content = TypeVar("Content")
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""`synthbench bundle` writes all characters as UTF-8."""


class Bundle:
    """A bundle that is open for reading. Every method raises SynthbenchError, with the member, if that is not what it should be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.stat().st_size > LARGEST_BUNDLE:
                self.refuse(f"larger than {LARGEST_BUNDLE >> 20} MB")
            if (listed := members_listed(path)) > MOST_MEMBERS:
                self.refuse(f"{listed} members, more than {MOST_MEMBERS}")
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError, UnicodeError) as error:
            raise SynthbenchError(f"{path}: no bundle that can be opened ({error}); `synthbench bundle` writes them") from None
        try:
            self._infos = self._listed()
            self.submission = self._submission()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._zip.close()

    def refuse(self, what: str) -> NoReturn:
        """Raises SynthbenchError with the bundle's name."""
        raise SynthbenchError(f"{self.path}: {' '.join(printable(what).split())}")

    @cached_property
    def results(self) -> Results:
        """The results, of today's schema. Nothing in them was scored again yet."""
        results = self._json(RESULTS, Results)
        if results.schema != RESULTS_SCHEMA:
            self.refuse(f"{RESULTS}: of schema {results.schema}, not {RESULTS_SCHEMA} as this version's")
        return results

    @cached_property
    def truth(self) -> Truth | None:
        """The truth about the test images, if the bundle has it."""
        if not self.submission.test.included:
            return None
        truth = self._json(TRUTH, Truth)
        if truth.fingerprint != self.submission.test.fingerprint:
            self.refuse(f"{TRUTH}: is of other test images than {BUNDLE} says")
        return truth

    @cached_property
    def artifacts(self) -> Mapping[str, StageFiles]:
        """What each stage left, by its key."""
        return self._json(ARTIFACTS, dict[str, StageFiles])

    def predictions(self, key: str, truth: Truth) -> list[Boxes]:
        """The boxes that a `predict` stage found on the test images."""
        name = f"predictions/{key}.npy"
        content = self.read(name)
        try:
            return decode_predictions(content, [(image.width, image.height) for image in truth.images], len(truth.categories))
        except SynthbenchError as error:
            self.refuse(f"{name}: {error}")

    def check(self) -> None:
        """Reads every member, and compares it with the size and hash that `bundle.json` states."""
        for name in self.submission.members:
            self.read(name)

    def read(self, name: str) -> bytes:
        """A member's content, checked."""
        member = self.submission.members.get(name)
        if member is None or name not in self._infos:
            self.refuse(f"{name}: is missing")
        content = self._unpacked(name, member.size)
        if len(content) != member.size or hashlib.sha256(content).hexdigest() != member.sha256:
            self.refuse(f"{name}: is not what {BUNDLE} says; it was changed or damaged")
        return content

    def _listed(self) -> dict[str, zipfile.ZipInfo]:
        """The members. Everything a name, a size or a kind can be wrong in is refused before anything is read."""
        infos = self._zip.infolist()
        if len(infos) > MOST_MEMBERS:
            self.refuse(f"{len(infos)} members, more than {MOST_MEMBERS}")
        found: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            name = info.filename
            if not MEMBER.fullmatch(name) or info.orig_filename != name:
                self.refuse(f"{name[:120]!r}: not a name that a member of a bundle has")
            if name in found:
                self.refuse(f"{name}: is there twice")
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                self.refuse(f"{name}: is encrypted, or packed in another way than `synthbench bundle` does")
            if (kind := stat.S_IFMT(info.external_attr >> 16)) not in (0, stat.S_IFREG):
                self.refuse(f"{name}: is not a file but a link or the like ({kind:o})")
            if info.file_size > (LARGEST_JSON if name.endswith(".json") else LARGEST_MEMBER):
                self.refuse(f"{name}: {info.file_size} bytes are too many")
            found[name] = info
        if sum(info.file_size for info in infos) > LARGEST_BUNDLE:
            self.refuse(f"more than {LARGEST_BUNDLE >> 20} MB when it is unpacked")
        return found

    def _submission(self) -> Submission:
        """`bundle.json`, and whether the members are those that it names."""
        if BUNDLE not in self._infos:
            self.refuse(f"{BUNDLE}: is missing; `synthbench bundle` writes bundles")
        submission = self._parsed(BUNDLE, self._unpacked(BUNDLE, self._infos[BUNDLE].file_size), Submission)
        if submission.schema != SCHEMA:
            self.refuse(f"{BUNDLE}: of schema {submission.schema}, not {SCHEMA} as this version's")
        if submission.checksum != submission.expected_checksum:
            self.refuse(f"{BUNDLE}: its checksum is that of another content; it was changed or damaged")
        stated, there = {*submission.members}, {*self._infos} - {BUNDLE}
        needed = {RESULTS, ARTIFACTS, *([TRUTH] if submission.test.included else [])}
        for names, what in ((stated - there | needed - there, "is missing"), (there - stated, f"is not one of the members {BUNDLE} names")):
            if names:
                self.refuse(f"{min(names)}: {what}")
        return submission

    def _unpacked(self, name: str, size: int) -> bytes:
        """At most `size` bytes of a member and one more, whatever the archive says of it."""
        try:
            with self._zip.open(self._infos[name]) as file:
                return file.read(size + 1)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            self.refuse(f"{name}: cannot be unpacked ({error})")

    def _json(self, name: str, kind: type[Content]) -> Content:
        return self._parsed(name, self.read(name), kind)

    def _parsed(self, name: str, content: bytes, kind: type[Content]) -> Content:
        """Strict JSON: no key twice, no NaN, no other fields than those that are known."""
        try:
            if SURROGATE.search(content):
                raise ValueError("half of a character, written as \\ud800 or the like")
            read = json.loads(content, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_exact)
            return msgspec.convert(read, kind)
        except (ValueError, TypeError, RecursionError, OverflowError, msgspec.MsgspecError) as error:
            self.refuse(f"{name}: {error}")


def members_listed(path: Path) -> int:
    """At most how many members the list at the end of an archive has room for: `zipfile` reads all of it before it can be asked."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65_557))
        end = file.read()
    place = end.rfind(b"PK\x05\x06")
    return 0 if place < 0 or len(end) < place + 16 else int.from_bytes(end[place + 12 : place + 16], "little") // 46


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises ValueError if a key is there twice: readers would disagree on which counts."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:100]!r} is there twice")
        found[key] = value
    return found


def _exact(text: str) -> int:
    """A whole number that every reader reads alike. Raises ValueError for a larger one."""
    if len(text) > 17 or abs(int(text)) > 2**53:
        raise ValueError(f"{text[:20]}… is too large a number")
    return int(text)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")
