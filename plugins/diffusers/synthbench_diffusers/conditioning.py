"""What the UNet is told beside the latents: text states, and for SDXL the pooled text and the size and crop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

ENCODERS = ("text_encoder", "text_encoder_2")
SizeAndCrop = tuple[int, int, int, int, int, int]
"""SDXL's `add_time_ids`: original height and width, top and left of the crop, target height and width, in pixels."""


@dataclass(frozen=True)
class Condition:
    """states: float (B, tokens, D). pooled: float (B, P), SDXL only."""

    states: Any
    pooled: Any = None

    @classmethod
    def joined(cls, parts: Iterable[Condition]) -> Condition:
        """Several conditions as one batch."""
        held = list(parts)
        pooled = None if held[0].pooled is None else torch.cat([part.pooled for part in held])
        return cls(torch.cat([part.states for part in held]), pooled)

    def repeated(self, count: int) -> Condition:
        """This condition `count` times in a row."""
        return Condition.joined([self] * count)

    def arguments(self, sizes: Sequence[SizeAndCrop]) -> dict[str, Any]:
        """The keyword arguments of the UNet; `sizes`, one an image, are for SDXL."""
        if self.pooled is None:
            return {"encoder_hidden_states": self.states}
        time_ids = torch.tensor(sizes, dtype=self.pooled.dtype, device=self.pooled.device)
        return {"encoder_hidden_states": self.states, "added_cond_kwargs": {"text_embeds": self.pooled, "time_ids": time_ids}}


def encode(pipe: Any, prompt: str) -> Condition:
    """The prompt as the pipeline's text encoders see it, a batch of one; gradients flow if they are on."""
    made = pipe.encode_prompt(prompt, device=pipe.device, num_images_per_prompt=1, do_classifier_free_guidance=False)
    return Condition(made[0], made[2] if len(made) == 4 else None)


def encode_negative(pipe: Any, prompt: str) -> Condition:
    """What guidance leads away from; SDXL takes zeros where the prompt is empty, if its configuration says so."""
    if not prompt and pipe.config.get("force_zeros_for_empty_prompt", False):
        empty = encode(pipe, "")
        return Condition(torch.zeros_like(empty.states), torch.zeros_like(empty.pooled))
    return encode(pipe, prompt)


def token_weights(tokenizer: Any, prompt: str, word: str) -> Any:
    """How much each token's attention map counts towards `word`: float32 (tokens,), the word's tokens share 1.

    None where the word is not in the prompt, or lies behind the last token that the text encoder reads.
    """
    length = tokenizer.model_max_length
    inside = tokenizer(prompt, truncation=True, max_length=length).input_ids
    wanted = tokenizer(word, add_special_tokens=False).input_ids
    ends = [token.endswith("</w>") for token in tokenizer.convert_ids_to_tokens(inside)]
    weights = torch.zeros(length)
    for start in range(1, len(inside) - len(wanted) + 1):
        begins_a_word = start == 1 or ends[start - 1]  # "apples" is not in "pineapples", whose last tokens may be the same
        if begins_a_word and inside[start : start + len(wanted)] == wanted:
            weights[start : start + len(wanted)] = 1
    return weights / weights.sum() if weights.any() else None
