"""Prompts that say nothing of what the photographs show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from synthbench.suite.model import Suite
from synthbench.text import named

PLACEHOLDER = "{classes}"
"""Where a prompt has this, a generator that makes images of several classes puts those that an image shows."""
PASSED = ("negative", "background")
"""How the names of options begin whose prompts need not name an object."""


def prompts_without_category(suite: Suite, categories: Sequence[str]) -> list[str]:
    """A warning for each prompt of a generator that names none of the categories, with how to change it."""
    words = {stem for name in categories for stem in stems(name)}
    warnings = []
    for entry in suite.generators:
        for option, prompt in prompts_of(entry.plugin):
            if PLACEHOLDER not in prompt and not words & set(stems(prompt)):
                key = f"generators.{entry.name}.{option}" if "." not in entry.name else f"generators[{entry.name}].{option}"
                example = f"a photo of {' and '.join(map(named, categories[:3]))}"
                listed = ", ".join(map(named, categories[:10]))
                warnings.append(f'{key}: "{prompt}" names none of the categories ({listed}); change it, as in --set {key}="{example}"')
    return warnings


def prompts_of(plugin: Any) -> list[tuple[str, str]]:
    """The options of a generator that are prompts of objects, with their values.

    A class prompt counts only with prior preservation, or if it was changed.
    """
    prior = getattr(plugin, "with_prior_preservation", False)
    found = []
    for field in fields(plugin):
        value = getattr(plugin, field.name)
        if "prompt" not in field.name or field.name.startswith(PASSED):
            continue
        if field.name.startswith("class") and value == field.default and not prior:
            continue
        texts = value if isinstance(value, tuple) else (value,)
        found += [(field.name, each) for each in texts if isinstance(each, str) and each.strip()]
    return found


def stems(text: str) -> list[str]:
    """The words of a text in lower case, without the endings of an English plural."""
    words = re.findall(r"[^\W\d_]+", text.casefold())
    found = []
    for word in words:
        if len(word) > 4 and word.endswith("ies"):
            found.append(f"{word[:-3]}y")
        elif len(word) > 4 and word.endswith(("ches", "shes", "xes", "ses", "zes", "oes")):
            found.append(word[:-2])
        else:
            found.append(word.removesuffix("s") if len(word) > 3 else word)
    return found
