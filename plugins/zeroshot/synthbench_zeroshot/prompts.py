"""Prompts: what a model is told to look for, one text for each category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synthbench import SynthbenchError
from synthbench.errors import suggest


def candidates(categories: Sequence[str], prompts: Mapping[str, str | tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The prompts of each category, at least one. Raises SynthbenchError for prompts of a category that does not exist."""
    for category in prompts:
        if category not in categories:
            known = ", ".join(categories)
            raise SynthbenchError(f"prompts: no category '{category}'{suggest(category, categories)}; the data have: {known}")
    given = [prompts.get(category, readable(category)) for category in categories]
    return [(each,) if isinstance(each, str) else tuple(each) for each in given]


def readable(category: str) -> str:
    """A category's name as a text: without underscores, and without what separates prompts. Raises SynthbenchError if nothing is left."""
    text = " ".join(category.replace("_", " ").replace(".", " ").replace("?", " ").split())
    if not text:
        raise SynthbenchError(f"prompts: the category '{category}' has no name that can be looked for; give it a prompt")
    return text


def rounds(choices: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Prompts for all categories at once, so that each candidate is in one of them: the first ones, the second ones, and so on."""
    longest = max((len(each) for each in choices), default=0)
    return [tuple(each[min(number, len(each) - 1)] for each in choices) for number in range(longest)]
