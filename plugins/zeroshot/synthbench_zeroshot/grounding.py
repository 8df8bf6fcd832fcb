"""Grounding DINO, MM Grounding DINO and LLMDet: boxes of what texts name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
import transformers
from PIL import Image
from synthbench import Boxes, Run, SynthbenchError

# MM Grounding DINO's module has the same function.
from transformers.models.grounding_dino.modeling_grounding_dino import build_label_maps

from synthbench_zeroshot.models import GROUNDING_TYPES, open_checkpoint

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Grounding:
    """A model with its processor. image_size: pixels of the shorter side, 0 for the processor's own."""

    model: Any
    processor: Any
    image_size: int
    default_threshold: ClassVar[float] = 0.3

    @classmethod
    def open(cls, weights: str | Path, image_size: int, run: Run) -> Grounding:
        """Loads a checkpoint; see `open_checkpoint`."""
        kind = transformers.AutoModelForZeroShotObjectDetection
        return cls(*open_checkpoint(weights, kind, GROUNDING_TYPES, run), image_size)

    def inputs(self, images: Sequence[NDArray[np.uint8]], prompts: Sequence[str], factor: float = 1.0) -> dict[str, Tensor]:
        """What the model is called with: images uint8 (H, W, 3), resized and padded to the largest, and one text for all of them.

        factor: times the usual size.
        """
        size = dict(self.processor.image_processor.size)
        if self.image_size:
            size = {"shortest_edge": self.image_size, "longest_edge": self.image_size * 5 // 3}
        size = {side: max(round(pixels * factor), 1) for side, pixels in size.items() if pixels}
        encoded = self.processor(
            images=[Image.fromarray(image) for image in images],  # arrays a pixel high are taken for (channels, H, W)
            text=[list(prompts)] * len(images),
            size=size,
            return_tensors="pt",
        )
        return {name: tensor.to(self.model.device) for name, tensor in encoded.items()}

    def detect(self, images: Sequence[NDArray[np.uint8]], prompts: Sequence[str]) -> list[Boxes]:
        """For each image uint8 (H, W, 3), a box for each query, in pixels, clipped; labels are positions in `prompts`."""
        found: list[list[Boxes]] = [[] for _ in images]
        for first, part in self.parts(prompts):
            inputs = self.inputs(images, part)
            with torch.inference_mode():
                out = self.model(**inputs)
            for number, image in enumerate(images):
                scores = category_scores(out.logits[number], inputs["input_ids"][number], len(part))
                found[number].append(decode(scores, out.pred_boxes[number], image.shape[1], image.shape[0], first))
        return [joined(each) for each in found]

    def parts(self, prompts: Sequence[str]) -> list[tuple[int, list[str]]]:
        """The prompts in parts that the text encoder can take at once, each with the position of its first.

        Raises SynthbenchError for a prompt that is too long, or of which the tokenizer leaves nothing.
        """
        limit = self.text_limit()
        lengths = [len(self.processor.tokenizer(prompt.lower(), add_special_tokens=False)["input_ids"]) + 1 for prompt in prompts]
        parts: list[tuple[int, list[str]]] = []
        room = 0
        for number, (prompt, length) in enumerate(zip(prompts, lengths, strict=True)):
            if not 1 < length <= limit:
                fault = "is nothing to its tokenizer" if length == 1 else f"has {length - 1} tokens, of at most {limit - 1}"
                raise SynthbenchError(f"prompts: '{prompt}' {fault}; give the category another prompt")
            if length > room:
                parts.append((number, []))
                room = limit
            parts[-1][1].append(prompt)
            room -= length
        return parts

    def text_limit(self) -> int:
        """The most tokens of prompts with their separators: without those of the text's beginning and end."""
        config = self.model.config
        return int(min(config.max_text_len, config.text_config.max_position_embeddings)) - 2


def category_scores(logits: Tensor, input_ids: Tensor, count: int) -> Tensor:
    """Scores of each query for each prompt, (Q, count), from logits for tokens, (Q, T): the mean over the prompt's tokens.

    As mmdetection's `convert_grounding_to_cls_scores`. Raises SynthbenchError if the text falls into another number of prompts.
    """
    (tokens,) = build_label_maps(logits[None], input_ids[None])  # (count, T)
    if len(tokens) != count:
        raise SynthbenchError(f"prompts: the tokenizer makes {len(tokens)} prompts of {count}; leave out what separates prompts")
    weights = tokens.to(logits.dtype) / tokens.sum(-1, keepdim=True)
    return logits.sigmoid() @ weights.T


def decode(scores: Tensor, centred: Tensor, width: int, height: int, first: int) -> Boxes:
    """Boxes from scores (Q, C) and centres with sizes as fractions of the image (Q, 4); each gets its best category."""
    best, labels = scores.max(-1)
    middle, half = centred[:, :2], centred[:, 2:] / 2
    corners = torch.cat([middle - half, middle + half], -1).clamp(0, 1).double().cpu().numpy()
    return Boxes.of(corners * np.array([width, height, width, height]), labels.cpu().numpy() + first, best.double().cpu().numpy())


def joined(parts: Sequence[Boxes]) -> Boxes:
    """The boxes of all parts."""
    return Boxes.of(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("xyxy", "labels", "scores")))
