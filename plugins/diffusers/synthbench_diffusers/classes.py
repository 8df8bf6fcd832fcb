"""Several classes: what prompts call each, which of them an image shows, and which words its boxes come from. Imports nothing heavy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench import SynthbenchError, derive_seed

if TYPE_CHECKING:
    from synthbench import Boxes, ImageSet

    from synthbench_diffusers.native import NativeBoxes
    from synthbench_diffusers.recipe import Recipe

PLACEHOLDER = "{classes}"
"""Where a prompt has this, the words of the classes that the image shows are put."""
LETTER = r"[^\W\d_]"
FITTED = "fitted.json"  # what a fit says of itself
Shown = tuple[int, ...]
"""Classes, as indices into the data's categories, in their order."""


def words_of(recipe: Recipe, categories: Sequence[str]) -> tuple[str, ...]:
    """What prompts call each category. Raises SynthbenchError if `class_words` has a category that the data have not."""
    if unknown := [name for name in recipe.class_words if name not in categories]:
        raise SynthbenchError(
            f"{recipe.name}: class_words names {listed(unknown)}, but the data have {listed(categories)}; write the categories as there"
        )
    return tuple(recipe.class_words.get(name, name) for name in categories)


def listed(words: Sequence[str]) -> str:
    """`red apples, green apples and plums`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def filled(prompt: str, words: Sequence[str], shown: Shown) -> str:
    """The prompt with the words of the shown classes at its placeholder."""
    return prompt.replace(PLACEHOLDER, listed([words[label] for label in shown]))


def named_in(prompt: str, words: Sequence[str]) -> Shown:
    """The classes whose words stand in a prompt."""
    return tuple(label for label, word in enumerate(words) if is_in(word, prompt))


def is_in(word: str, text: str) -> bool:
    """Whether a word, or several, stands in a text as it is, and not as a part of other words.

    As for CLIP's tokenizer, words are of letters alone: each digit is a word of its own, so "class 1" stands in "class 12".
    """
    found = re.escape(word.casefold())
    return bool(re.search(rf"(?<!{LETTER}(?={LETTER})){found}(?!(?<={LETTER}){LETTER})", text.casefold()))


def shown_in(boxes: Boxes | None, count: int) -> Shown:
    """The classes, of `count`, that an image has boxes of; all of them if it has none, or if nobody labelled it."""
    return tuple(sorted({*boxes.labels.tolist()})) if boxes is not None and len(boxes) else tuple(range(count))


def prompts_of(recipe: Recipe, references: ImageSet) -> list[str]:
    """The prompt that each reference is trained with. Raises SynthbenchError as `words_of`."""
    words = words_of(recipe, references.categories)
    return [filled(recipe.instance_prompt, words, shown_in(each.boxes, len(words))) for each in references]


def summary_of(recipe: Recipe, references: ImageSet) -> dict[str, list[list[str]]]:
    """What a fit keeps for `Prompts`: the classes that each labelled reference shows, if its prompt named them; else nothing."""
    if PLACEHOLDER not in recipe.instance_prompt:
        return {}
    names = references.categories
    shown = [shown_in(each.boxes, len(names)) for each in references if each.boxes is not None and len(each.boxes)]
    return {"classes": [[names[label] for label in labels] for labels in shown or [tuple(range(len(names)))]]}


@dataclass(frozen=True)
class Prompts:
    """The prompt of each image and the classes that it names. mixture: the sets of classes that are drawn from for a placeholder."""

    recipe: NativeBoxes
    seed: int
    words: tuple[str, ...]
    mixture: tuple[Shown, ...]

    @classmethod
    def of(cls, recipe: NativeBoxes, fitted: Path, categories: Sequence[str], seed: int) -> Prompts:
        """For sampling from a fit. Raises SynthbenchError as `words_of`."""
        words = recipe.words(categories)
        return cls(recipe, seed, words, mixture_of(recipe, fitted, categories))

    def __getitem__(self, number: int) -> tuple[str, Shown]:
        """Of image `number`."""
        prompts = self.recipe.sampled_prompts
        prompt = prompts[derive_seed(self.seed, number, "prompt") % len(prompts)]
        return self._named(prompt, self.mixture[derive_seed(self.seed, number, "classes") % len(self.mixture)])

    def every(self) -> dict[tuple[str, Shown], None]:
        """All that images may have, each once."""
        return dict.fromkeys(self._named(prompt, shown) for prompt in self.recipe.sampled_prompts for shown in self.mixture)

    def to_locate(self) -> list[tuple[str, Shown]]:
        """Prompts that name every class once: for each class the first that does, filled with all of them."""
        everything = tuple(range(len(self.words)))
        prompts = [self._named(prompt, everything) for prompt in self.recipe.sampled_prompts]
        first = {label: next((prompt for prompt, named in prompts if label in named), None) for label in everything}
        return [
            (prompt, tuple(label for label in everything if first[label] == prompt))
            for prompt in dict.fromkeys(first.values())
            if prompt is not None
        ]

    def _named(self, prompt: str, shown: Shown) -> tuple[str, Shown]:
        if PLACEHOLDER in prompt:
            return filled(prompt, self.words, shown), shown
        # One class is that of `class_word`, which the options were checked for.
        return prompt, (0,) if len(self.words) == 1 else named_in(prompt, self.words)


def mixture_of(recipe: NativeBoxes, fitted: Path, categories: Sequence[str]) -> tuple[Shown, ...]:
    """The sets of classes that images may show."""
    everything = tuple(range(len(categories)))
    if recipe.class_mixture == "single":
        return tuple((label,) for label in everything)
    if recipe.class_mixture == "all" or PLACEHOLDER not in recipe.instance_prompt:
        return (everything,)
    kept: list[list[str]] = json.loads((fitted / FITTED).read_text())["classes"]
    return tuple(tuple(categories.index(name) for name in names) for names in kept)


def check_boxes(recipe: NativeBoxes, categories: Sequence[str]) -> None:
    """See `NativeBoxes.check_boxes`."""
    if not recipe.boxes:
        raise SynthbenchError(
            f"{recipe.name}: boxes = false, so its images come without boxes, and 'native' has none to use; set boxes = true, or leave the "
            "rows with 'native' out"
        )
    words = recipe.words(categories)
    if len(words) == 1:
        return
    if parts := [(one, other) for one in words for other in words if one != other and is_in(one, other)]:
        raise SynthbenchError(
            f"{recipe.name}: the word {parts[0][0]!r} of a class is a part of another's, {parts[0][1]!r}, so their attention cannot be "
            f"told apart; give each words of its own: {example(categories)}"
        )
    prompts = [prompt for prompt in recipe.sampled_prompts if PLACEHOLDER not in prompt]
    if silent := [prompt for prompt in prompts if not named_in(prompt, words)]:
        raise SynthbenchError(
            f"{recipe.name}: boxes come from the attention to the word of each class, and the prompt {silent[0]!r} names none of "
            f"{listed([repr(word) for word in words])}; write {PLACEHOLDER} where it names the objects, in instance_prompt and prompts, or "
            f"the words themselves (what a class is called, {example(categories)} says), or leave the rows with 'native' out"
        )
    never = [] if len(prompts) < len(recipe.sampled_prompts) else [*unnamed(words, prompts)]
    if never:
        raise SynthbenchError(
            f"{recipe.name}: no prompt names {listed([repr(word) for word in never])}, so no box of it could come with the images; name "
            f"every class in one prompt at least, or write {PLACEHOLDER}"
        )


def unnamed(words: Sequence[str], prompts: Iterable[str]) -> list[str]:
    """The words that stand in none of the prompts."""
    found = {label for prompt in prompts for label in named_in(prompt, words)}
    return [word for label, word in enumerate(words) if label not in found]


def example(categories: Sequence[str]) -> str:
    """The option `class_words` for these categories, as a suite has it."""
    pairs = ", ".join(f'"{name}" = "…"' for name in categories[:3])
    return f"class_words = {{ {pairs}{', …' if len(categories) > 3 else ''} }}"


def problems(recipe: Recipe, prompts: Sequence[str]) -> list[str]:
    """What is wrong with the options about classes, before anything is known of the data."""
    found = [f"class_words: {name!r} has no word" for name, word in recipe.class_words.items() if not word.strip()]
    found += [
        f"{option}: {PLACEHOLDER} is not filled in there, since it is one prompt for all data; name the classes in it"
        for option in ("class_prompt", "negative_prompt")
        if PLACEHOLDER in getattr(recipe, option)
    ]
    if PLACEHOLDER in recipe.instance_prompt or any(PLACEHOLDER in prompt for prompt in prompts):
        return found
    if recipe.class_words and not any(is_in(word, prompt) for word in recipe.class_words.values() for prompt in prompts):
        found.append(f"class_words: no prompt has {PLACEHOLDER} or one of these words, so they would do nothing")
    return found
