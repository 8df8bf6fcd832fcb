"""`--set KEY=VALUE`: changes to a suite's content before it is checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from synthbench.errors import SuiteError, suggest
from synthbench.text import printable


def apply_change(content: dict[str, Any], change: str) -> None:
    """Applies one `KEY=VALUE`: `data.path=photos`, `detectors.yolov8.batch_size=3`, `detectors[0].batch_size=3`, `seeds=[0, 1]`.

    An entry whose name has a dot in it goes in brackets: `detectors[yolo.v8].batch_size=3`. The value is read as TOML if it is
    TOML, and as a string otherwise. Raises SuiteError if the key leads nowhere.
    """
    if printable(change) != change:
        raise SuiteError([f"--set {change}: contains a control character, or is not UTF-8"])
    path, equals, text = change.partition("=")
    keys = [bracketed or plain for bracketed, plain in re.findall(r"\[([^\]]+)\]|([^.\[\]]+)", path.strip())]
    if not equals or not keys:
        raise SuiteError([f"--set {change}: expected KEY=VALUE, as in --set data.path=photos"])
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        value = text
    target: Any = content
    for number, key in enumerate(keys):
        last = number == len(keys) - 1
        if isinstance(target, list):
            names = {str(index): index for index in range(len(target))}
            names |= {label_of(each): index for index, each in enumerate(target) if isinstance(each, dict)}
            if key in names and last:
                example = f"{path.strip()}.{next(iter(target[names[key]]), 'KEY')}=VALUE" if isinstance(target[names[key]], dict) else ""
                raise SuiteError([f"--set {change}: '{path.strip()}' is a table; name one of its keys, as in --set {example}"])
            if key not in names:
                raise SuiteError([f"--set {change}: no entry '{key}'{suggest(key, names)}"])
            target = target[names[key]]
        elif not isinstance(target, dict):
            raise SuiteError([f"--set {change}: '{keys[number - 1]}' is a value, it has no '{key}'"])
        elif last:
            target[key] = value
        else:
            target = target.setdefault(key, {})


def label_of(table: Mapping[str, Any]) -> str:
    """The name that an entry's table goes by: its own, or its plugin's."""
    return str(table.get("name", table.get("use")))
