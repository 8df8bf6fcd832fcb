"""The UNet's conditioning: text states, and for SDXL also pooled text, size and crop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from synthbench import Run

ENCODERS = ("text_encoder", "text_encoder_2")
SizeAndCrop = tuple[int, int, int, int, int, int]
"""SDXL's `add_time_ids`: original height and width, top and left of the crop, target height and width, in pixels."""


@dataclass(frozen=True)
class Condition:
    """Encoded prompts. states: float (B, tokens, D). pooled: float (B, P), SDXL only."""

    states: Any
    pooled: Any = None

    @classmethod
    def joined(cls, conditions: Iterable[Condition]) -> Condition:
        """Several conditions as one batch."""
        parts = list(conditions)
        pooled = None if parts[0].pooled is None else torch.cat([part.pooled for part in parts])
        return cls(torch.cat([part.states for part in parts]), pooled)

    def repeated(self, count: int) -> Condition:
        """This condition `count` times in a row."""
        return Condition.joined([self] * count)

    def arguments(self, sizes: Sequence[SizeAndCrop]) -> dict[str, Any]:
        """Keyword arguments for the UNet. sizes: one for each image; used by SDXL only."""
        if self.pooled is None:
            return {"encoder_hidden_states": self.states}
        time_ids = torch.tensor(sizes, dtype=self.pooled.dtype, device=self.pooled.device)
        return {"encoder_hidden_states": self.states, "added_cond_kwargs": {"text_embeds": self.pooled, "time_ids": time_ids}}


def encode(pipe: Any, prompt: str) -> Condition:
    """The prompt, encoded by the pipeline's text encoders: a batch of one, with gradients if they are enabled."""
    encoded = pipe.encode_prompt(prompt, device=pipe.device, num_images_per_prompt=1, do_classifier_free_guidance=False)
    return Condition(encoded[0], encoded[2] if len(encoded) == 4 else None)  # SDXL's returns four: the third is pooled


def encode_negative(pipe: Any, prompt: str) -> Condition:
    """The encoded negative prompt. For an empty one SDXL uses zeros, if the pipeline's configuration says so."""
    if not prompt and pipe.config.get("force_zeros_for_empty_prompt", False):
        empty = encode(pipe, "")
        return Condition(torch.zeros_like(empty.states), torch.zeros_like(empty.pooled))
    return encode(pipe, prompt)


def note_cut(pipe: Any, prompts: Iterable[str], run: Run) -> None:
    """Notes in the report what the text encoder does not read of prompts that are too long for it."""
    tokenizer = pipe.tokenizer
    read = tokenizer.model_max_length - 2  # between the tokens of start and end
    for prompt in prompts:
        if unread := tokenizer(prompt, add_special_tokens=False).input_ids[read:]:
            run.note(f"the text encoder reads {read} tokens of a prompt, and not its end: {tokenizer.decode(unread).strip()!r}")


def token_weights(tokenizer: Any, prompt: str, word: str) -> Any:
    """The weight of each token's attention map in the map of `word`: float32 (tokens,), with sum 1.

    None if the word is not in the prompt, or comes after the last token that the text encoder reads.
    """
    length = tokenizer.model_max_length
    tokens = tokenizer(prompt, truncation=True, max_length=length).input_ids
    searched = tokenizer(word, add_special_tokens=False).input_ids
    ends = [token.endswith("</w>") for token in tokenizer.convert_ids_to_tokens(tokens)]
    weights = torch.zeros(length)
    for start in range(1, len(tokens) - len(searched) + 1):
        is_word_start = start == 1 or ends[start - 1]  # the last tokens of "pineapples" may be those of "apples"
        if is_word_start and tokens[start : start + len(searched)] == searched:
            weights[start : start + len(searched)] = 1
    return weights / weights.sum() if weights.any() else None
