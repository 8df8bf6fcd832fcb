"""OWLv2: boxes of what texts name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import transformers
from PIL import Image
from synthbench import Boxes, Run, SynthbenchError

from synthbench_zeroshot.models import open_checkpoint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Owl:
    """A model with its processor."""

    model: Any
    processor: Any
    default_threshold: ClassVar[float] = 0.1

    @classmethod
    def open(cls, weights: str, run: Run) -> Owl:
        """Loads a checkpoint; see `open_checkpoint`."""
        return cls(*open_checkpoint(weights, transformers.AutoModelForZeroShotObjectDetection, ("owlv2",), run))

    def detect(self, images: Sequence[NDArray[np.uint8]], prompts: Sequence[str]) -> list[Boxes]:
        """For each image uint8 (H, W, 3), a box for each patch, in pixels, clipped; labels are positions in `prompts`.

        Raises SynthbenchError for a prompt that is too long.
        """
        limit = self.model.config.text_config.max_position_embeddings
        for prompt in prompts:
            if (length := len(self.processor.tokenizer(prompt)["input_ids"])) > limit:
                raise SynthbenchError(f"prompts: '{prompt}' has {length} tokens with its beginning and end, of at most {limit}; shorten it")
        inputs = self.processor(
            images=[Image.fromarray(image) for image in images],
            text=[list(prompts)] * len(images),
            max_length=limit,
            return_tensors="pt",
        ).to(self.model.device)
        with torch.inference_mode():
            out = self.model(**inputs)
        return self.decode(out, [(image.shape[0], image.shape[1]) for image in images])

    def decode(self, out: Any, sizes: Sequence[tuple[int, int]]) -> list[Boxes]:
        """The boxes of each image from the model's output; sizes: height and width of each image.

        The processor pads images to squares at the right and below, and its post-processing takes that into account (transformers
        4.41 and later, pull request 30686), so a box can reach into the padding.
        """
        results = self.processor.post_process_grounded_object_detection(out, threshold=0.0, target_sizes=list(sizes))
        found = []
        for result, (height, width) in zip(results, sizes, strict=True):
            corners = result["boxes"].double().cpu().numpy().clip(0, [width, height, width, height])
            inside = (corners[:, 2:] > corners[:, :2]).all(-1)
            boxes = Boxes.of(corners, result["labels"].cpu().numpy(), result["scores"].double().cpu().numpy())
            found.append(boxes.keep(inside))
        return found
