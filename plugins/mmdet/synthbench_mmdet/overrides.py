"""What a suite may change in a config: numbers and words below the model and its optimizer, and nothing else.

A suite is data, and mmengine's configs are programs: a `type` with a dot in it is imported and called, `init_cfg` and
`teacher_config` open files, `custom_imports` and `custom_hooks` run code, and mmcv evaluates the name of an NMS. So
strings must be plain words, which can name registered modules only, and the Runner's own settings (folders, hooks,
loops, files) cannot be changed. `library.contained` makes mmengine's functions that import or open something raise, too.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from synthbench import SynthbenchError

Overrides = Mapping[str, Any]
"""Dotted paths into a config, as in `model.rpn_head.anchor_generator.scales`, with their new values: JSON."""

ROOTS = ("model", "optim_wrapper")
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
FILES = re.compile(r"init_cfg|pretrained|checkpoint|teacher_config|.*_ckpt|.*_file|.*_dir")


def check(overrides: Overrides) -> None:
    """Raises SynthbenchError for the first override that is not allowed."""
    for path, value in overrides.items():
        root, *rest = path.split(".")
        if root not in ROOTS or not rest:
            raise SynthbenchError(
                f"overrides: {path}: only settings below {' and '.join(ROOTS)} can be changed; "
                'a setting is named by its whole path in quotes, as in "model.rpn_head.anchor_generator.scales"'
            )
        for part in rest:
            if not part.isdecimal():
                _check_key(path, part)
        _check_value(path, value)


def apply(overrides: Overrides, config: dict[str, Any]) -> None:
    """Sets each value in the nested `config`. Raises SynthbenchError for a path that the config does not have."""
    for path, value in sorted(overrides.items()):
        *parents, last = path.split(".")
        node: Any = config
        for number, part in enumerate(parents):
            node = _step(node, part, ".".join(parents[: number + 1]), path)
        if isinstance(node, list):
            _step(node, last, path, path)
            node[int(last)] = copy.deepcopy(value)
        elif isinstance(node, dict):
            node[last] = copy.deepcopy(value)
        else:
            raise SynthbenchError(f"overrides: {path}: {'.'.join(parents)} is {node!r} in this config, so there is nothing below it")


def _step(node: Any, part: str, here: str, path: str) -> Any:
    if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
        return node[int(part)]
    if isinstance(node, dict) and part in node:
        return node[part]
    known = ", ".join(node) if isinstance(node, dict) else f"0 to {len(node) - 1}" if isinstance(node, list) else "nothing"
    raise SynthbenchError(f"overrides: {path}: this config has no {here}; there is {known}")


def _check_value(path: str, value: object) -> None:
    if isinstance(value, str):
        if not WORD.fullmatch(value):
            raise SynthbenchError(f"overrides: {path}: {value!r} is not a plain word; only modules that mmdet has registered can be named")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _check_key(path, key)
            _check_value(f"{path}.{key}", inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_value(path, inner)
    elif not isinstance(value, bool | int | float | None):
        raise SynthbenchError(f"overrides: {path}: {value!r} is neither a number, a word, a list nor a table")


def _check_key(path: str, key: object) -> None:
    if not isinstance(key, str) or not WORD.fullmatch(key):
        raise SynthbenchError(f"overrides: {path}: {key!r} is not the name of a setting")
    if FILES.fullmatch(key):
        raise SynthbenchError(f"overrides: {path}: {key} names files, and the only option that may name one is `weights`")
