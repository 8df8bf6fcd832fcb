"""What objects of a store are called, and where its cache is."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from synthbench.storage.store import StageRecord

RECORDS, FILES, SERIES, DAMAGED = "records", "files", "series", "damaged"
RECORD = re.compile(rf"{RECORDS}/([a-z]+)/([0-9a-f]{{64}})\.json")
FILE = re.compile(rf"{FILES}/([a-z]+)/([0-9a-f]{{64}})/([0-9a-f]{{16}})/(.+)")
ASIDE = re.compile(rf"{DAMAGED}/([a-z]+)/([0-9a-f]{{64}})-[0-9a-f]{{16}}\.json")
"""What is called otherwise, synthbench did not write."""


def record_name(kind: str, key: str) -> str:
    """The object of an artifact's record."""
    return f"{RECORDS}/{kind}/{key}.json"


def files_name(record: StageRecord) -> str:
    """Where the files of an artifact are."""
    return f"{FILES}/{record.kind}/{record.key}/{mark_of(record)}"


def mark_of(record: StageRecord) -> str:
    """What the files of this record are told by from those of another of the same stage."""
    return record.checksum[:16]


def aside_name(kind: str, key: str, checksum: str) -> str:
    """The object of a record that was set aside."""
    return f"{DAMAGED}/{kind}/{key}-{checksum[:16]}.json"


def cache_root() -> Path:
    """Where caches of object stores are: `$SYNTHBENCH_STORE_CACHE`, or below the user's folder of caches."""
    given = os.environ.get("SYNTHBENCH_STORE_CACHE")
    return Path(given or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "synthbench" / "stores").expanduser()


def cache_name(address: str, identity: str) -> str:
    """The folder of one store's cache. A store that was removed and made again has another identity, and another cache."""
    readable = re.sub(r"[^a-z0-9]+", "-", address.lower()).strip("-")[:40]
    return f"{readable}-{hashlib.sha256(f'{address} {identity}'.encode()).hexdigest()[:16]}"
