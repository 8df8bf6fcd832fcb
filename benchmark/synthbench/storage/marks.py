"""The mark that makes a folder or a prefix a store: its schema, and whose it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress

from synthbench.errors import SynthbenchError
from synthbench.storage.ownership import is_ours, new_mark, secret_file

SCHEMA = 3
MARK = "synthbench-store.json"


def make_mark(place: object, *, trust: bool) -> bytes:
    """The content of a new store's mark. Raises SynthbenchError if the store could not be known again as this user's."""
    mark = new_mark()
    if not mark["seal"] and not trust:
        raise SynthbenchError(
            f"{place}: no store is made, since {secret_file()}, by which it would be known as yours, cannot be written; "
            "set XDG_DATA_HOME to a folder that can, or give --trust-store"
        )
    return json.dumps({"schema": SCHEMA, **mark}).encode()


def read_mark(content: bytes) -> dict[str, object]:
    """What a mark says; empty if it is none."""
    with suppress(ValueError, RecursionError):
        mark = json.loads(content)
        if isinstance(mark, dict):
            return mark
    return {}


def check_mark(mark: Mapping[str, object], place: object, kind: str, *, trust: bool) -> None:
    """Raises SynthbenchError if a store is of another schema, or another user made it and it is not trusted. kind: `folder`, `address`."""
    schema = mark.get("schema")
    if schema != SCHEMA:
        raise SynthbenchError(f"{place}: a store of schema {schema!r}, not {SCHEMA} as this version's; name another {kind} with --store")
    if not trust and not is_ours(mark):
        raise SynthbenchError(
            f"{place}: this store was not made by this user on this machine, and its results may be forged: "
            f"use it with --trust-store, or name another {kind} with --store"
        )
