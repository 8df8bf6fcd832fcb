"""Results as files: written at once, read whatever version wrote them.

uv run python -m synthbench.results.files      renews schema.json, the JSON Schema of the results
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from synthbench.errors import SynthbenchError
from synthbench.files import write_bytes
from synthbench.results.migrate import migrated
from synthbench.results.model import SCHEMA, Results

SCHEMA_FILE = Path(__file__).with_name("schema.json")
WAY_OUT = "run the suite again to renew it"


def read_results(path: Path) -> Results:
    """The results in a file. Raises SynthbenchError if it cannot be read, or was written by a version that stored other things."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SynthbenchError(f"{path}: no results that can be read ({error}); `synthbench run` writes them") from None
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema not in range(1, SCHEMA + 1) or isinstance(schema, bool):
        raise SynthbenchError(f"{path}: not results of schema 1 to {SCHEMA}, which this version reads, but of {schema!r}; {WAY_OUT}")
    try:
        return msgspec.convert(migrated(content), Results)
    except (msgspec.ValidationError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise SynthbenchError(f"{path}: not complete results of schema {schema} ({type(error).__name__}: {error}); {WAY_OUT}") from None


def is_current(path: Path) -> bool:
    """Whether a file has results of today's schema, and so may be written again."""
    return bool(json.loads(path.read_bytes()).get("schema") == SCHEMA)


def write_results(path: Path, results: Results) -> None:
    """Writes results by one rename, so that nobody reads half of them."""
    write_bytes(path, indented_json(results))


def indented_json(value: object) -> bytes:
    """A value as the lines of a JSON file."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of results. Versions of msgspec differ in whether they keep the indentation of docstrings."""
    schema = msgspec.json.schema(Results)
    for each in schema["$defs"].values():
        if "description" in each:
            each["description"] = inspect.cleandoc(each["description"])
    return schema


if __name__ == "__main__":
    SCHEMA_FILE.write_text(json.dumps(json_schema(), indent=1) + "\n")
