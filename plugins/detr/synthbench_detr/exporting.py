"""The trained detector as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from synthbench import OnnxInput, Run
from synthbench.contract.onnx import INPUT, OUTPUTS
from torch import Tensor, nn

from synthbench_detr.models import IMAGENET_MEAN, IMAGENET_STD, VARIANTS, Variant, load, quiet
from synthbench_detr.prediction import MAX_DETECTIONS

if TYPE_CHECKING:
    from synthbench_detr import Detr

OPSET = 17


class Decoded(nn.Module):  # type: ignore[misc]
    """The detector with what `prediction.decode` does to its outputs, for one image."""

    def __init__(self, model: Any, kind: Variant, size: int, threshold: float) -> None:
        super().__init__()
        self.model, self.kind, self.size, self.threshold = model, kind, size, threshold
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, scores and labels of an image (1, 3, S, S)."""
        out = self.model(pixel_values=(image - self.mean) / self.std if self.kind.normalised else image)
        logits, centred = out.logits[0], out.pred_boxes[0]
        if self.kind.sigmoid:
            categories = logits.shape[1]
            scores, index = logits.sigmoid().flatten().topk(min(logits.numel(), MAX_DETECTIONS))
            query, labels = torch.div(index, categories, rounding_mode="floor"), index % categories
        else:
            best, categories_of_best = logits.softmax(-1)[:, :-1].max(-1)
            scores, query = best.topk(min(len(best), MAX_DETECTIONS))
            labels = categories_of_best[query]
        middle, half = centred[query, :2], centred[query, 2:] / 2
        boxes = torch.cat([middle - half, middle + half], -1).clamp(0, 1) * self.size
        kept = (scores >= self.threshold).nonzero().squeeze(1)
        return boxes[kept], scores[kept], labels[kept]


def export(options: Detr, fitted: Path, file: Path, run: Run) -> OnnxInput:
    """See `Detr.export`."""
    quiet()
    model = load(fitted, options.variant, run).eval()
    decoded = Decoded(model, VARIANTS[options.variant], options.image_size, options.score_threshold).eval()
    example = torch.rand(1, 3, options.image_size, options.image_size, generator=torch.Generator().manual_seed(0))
    torch.onnx.export(
        decoded,
        (example,),
        str(file),
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        dynamic_axes={name: {0: "boxes"} for name in OUTPUTS},
        opset_version=OPSET,
        dynamo=False,  # as it needs no further package
    )
    return OnnxInput(size=options.image_size, fit="stretch")
