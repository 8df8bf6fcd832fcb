"""Cross-attention maps: how much each position of the image attends to a word of the prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from torch.nn import functional

if TYPE_CHECKING:
    from synthbench_diffusers.native import NativeBoxes


class AttentionMaps:
    """Collects the maps of chosen words from the UNet's cross-attention layers while `recording` is true.

    The layers' outputs do not change: the maps are computed separately. In a batch with guidance the unconditional half
    comes first, so only the last images of the batch are used.
    """

    def __init__(self, unet: Any, recipe: NativeBoxes) -> None:
        self.recording = False
        self._scales = recipe.map_scales
        if recipe.torch_compile:  # what is collected is no part of the compiled network
            self.add = torch.compiler.disable(self.add)  # type: ignore[method-assign]
        blocks = tuple(f"{block}_block" for block in recipe.map_blocks)
        for name, module in unet.named_modules():
            if name.endswith("attn2") and name.startswith(blocks):
                module.set_processor(_RecordingProcessor(self))

    def reset(self, weights: Any, size: tuple[int, int]) -> None:
        """Starts a new mean. weights: float (B, words, tokens), see `token_weights`; size: (height, width) of the latents."""
        self.weights, self.size = weights, size
        self.total = torch.zeros(*weights.shape[:2], *size, device=weights.device)
        self.layers = 0

    def add(self, attention: Any, hidden: Any, text: Any) -> None:
        """Adds the map of one layer: softmax(QK), averaged over heads and each word's tokens, resized to the latents' size."""
        count, positions = len(self.weights), hidden.shape[1]
        scale, height, width = _map_size(self.size, positions)
        if self._scales and scale not in self._scales:
            return
        query = attention.head_to_batch_dim(attention.to_q(hidden[-count:]))
        key = attention.head_to_batch_dim(attention.to_k(text[-count:]))
        scores = attention.get_attention_scores(query, key).view(count, attention.heads, positions, -1)
        # One word after the other, so that sums have the same order whatever the number of words.
        maps = torch.stack([torch.einsum("bhpt,bt->bp", scores.float(), word) for word in self.weights.unbind(1)], 1) / attention.heads
        self.total += functional.interpolate(maps.view(count, -1, height, width), self.size, mode="bilinear")
        self.layers += 1

    def read(self, height: int, width: int) -> Any:
        """The mean maps of each image, resized to its pixels: float32 (B, words, height, width) on the CPU.

        None if no map was recorded.
        """
        if not self.layers:
            return None
        return functional.interpolate(self.total / self.layers, (height, width), mode="bilinear").cpu()


class _RecordingProcessor:
    """diffusers' default attention processor, which also passes its inputs to the maps."""

    def __init__(self, maps: AttentionMaps) -> None:
        self.maps, self.default = maps, AttnProcessor2_0()

    def __call__(self, attn: Any, hidden_states: Any, encoder_hidden_states: Any = None, *args: Any, **kwargs: Any) -> Any:
        if self.maps.recording:
            self.maps.add(attn, hidden_states, encoder_hidden_states)
        return self.default(attn, hidden_states, encoder_hidden_states, *args, **kwargs)


def _map_size(latents: Sequence[int], positions: int) -> tuple[int, int, int]:
    """Scale, height and width of a map with this many positions. Each level of the UNet halves the latents, rounding up."""
    height, width = latents
    scale = 1
    while height * width > positions:
        height, width, scale = math.ceil(height / 2), math.ceil(width / 2), scale * 2
    return scale, height, width
