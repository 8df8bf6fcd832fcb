"""Cross-attention maps: where in the picture the UNet reads a word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from torch.nn import functional

if TYPE_CHECKING:
    from synthbench_diffusers.recipe import Recipe


class AttentionMaps:
    """Collects the maps of chosen tokens from the UNet's cross-attention layers while `recording`.

    The layers' results stay what they are: the maps are computed beside them. In a batch with guidance the
    unconditional half comes first, and the last images of the batch are looked at.
    """

    def __init__(self, unet: Any, recipe: Recipe) -> None:
        self.recording = False
        self._scales = recipe.map_scales
        blocks = tuple(f"{block}_block" for block in recipe.map_blocks)
        for name, module in unet.named_modules():
            if name.endswith("attn2") and name.startswith(blocks):
                module.set_processor(_Listener(self))

    def watch(self, weights: Any, size: tuple[int, int]) -> None:
        """Begins anew. weights: float (B, tokens), see `token_weights`; size: (h, w) of the latents."""
        self.weights, self.size = weights, size
        self.total = torch.zeros(len(weights), 1, *size, device=weights.device)
        self.layers = 0

    def add(self, attention: Any, hidden: Any, text: Any) -> None:
        """Adds one layer's softmax(QK), the mean over heads and chosen tokens, resized to the latents' size."""
        count, positions = len(self.weights), hidden.shape[1]
        scale, height, width = _map_size(self.size, positions)
        if self._scales and scale not in self._scales:
            return
        query = attention.head_to_batch_dim(attention.to_q(hidden[-count:]))
        key = attention.head_to_batch_dim(attention.to_k(text[-count:]))
        scores = attention.get_attention_scores(query, key).view(count, attention.heads, positions, -1)
        found = torch.einsum("bhpt,bt->bp", scores.float(), self.weights) / attention.heads
        self.total += functional.interpolate(found.view(count, 1, height, width), self.size, mode="bilinear")
        self.layers += 1

    def read(self, height: int, width: int) -> Any:
        """The mean map of each image in pixels of the image: float32 (B, height, width) on the processor.

        None where no layer and time step was heard.
        """
        if not self.layers:
            return None
        return functional.interpolate(self.total / self.layers, (height, width), mode="bilinear")[:, 0].cpu()


class _Listener:
    """The usual attention processor; it shows what it is given to the maps."""

    def __init__(self, maps: AttentionMaps) -> None:
        self.maps, self.usual = maps, AttnProcessor2_0()

    def __call__(self, attn: Any, hidden_states: Any, encoder_hidden_states: Any = None, *rest: Any, **named: Any) -> Any:
        if self.maps.recording:
            self.maps.add(attn, hidden_states, encoder_hidden_states)
        return self.usual(attn, hidden_states, encoder_hidden_states, *rest, **named)


def _map_size(latents: Sequence[int], positions: int) -> tuple[int, int, int]:
    """Scale, height and width of a map: each level of the UNet halves the latents, rounding up."""
    height, width = latents
    scale = 1
    while height * width > positions:
        height, width, scale = math.ceil(height / 2), math.ceil(width / 2), scale * 2
    return scale, height, width
