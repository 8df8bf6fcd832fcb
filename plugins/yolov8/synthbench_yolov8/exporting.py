"""The trained detector as an ONNX file, with its non-maximum suppression."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from synthbench import OnnxInput, Run
from synthbench.contract.onnx import INPUT, OUTPUTS
from torch import Tensor, nn
from torchvision.ops import nms

from synthbench_yolov8.library import contained
from synthbench_yolov8.prediction import MAX_DETECTIONS
from synthbench_yolov8.weights import rebuild

if TYPE_CHECKING:
    from synthbench_yolov8 import YOLOv8

OPSET = 17
APART = 7680.0  # pixels by which boxes of different categories are moved apart, so that they do not suppress each other


class Suppressed(nn.Module):  # type: ignore[misc]
    """The detector with the non-maximum suppression of ultralytics' predictor, for one image."""

    def __init__(self, model: nn.Module, threshold: float, iou: float) -> None:
        super().__init__()
        self.model, self.threshold, self.iou = model, threshold, iou

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, scores and labels of an image (1, 3, S, S)."""
        out = self.model(image)
        rows = (out[0] if isinstance(out, (tuple, list)) else out)[0].T  # (N, 4 + categories): centre and size, then scores
        index, labels = torch.where(rows[:, 4:] > self.threshold)
        middle, half = rows[index, :2], rows[index, 2:4] / 2
        boxes, scores = torch.cat([middle - half, middle + half], 1), rows[index, 4 + labels]
        kept = nms(boxes + labels[:, None] * APART, scores, self.iou)[:MAX_DETECTIONS]
        return boxes[kept], scores[kept], labels[kept]


def export(options: YOLOv8, fitted: Path, file: Path, run: Run) -> OnnxInput:
    """See `YOLOv8.export`."""
    with contained(run, str(run.workdir)):
        model = rebuild(fitted).eval()
        example = torch.rand(1, 3, options.image_size, options.image_size, generator=torch.Generator().manual_seed(0))
        torch.onnx.export(
            Suppressed(model, options.score_threshold, options.nms_iou).eval(),
            (example,),
            str(file),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "boxes"} for name in OUTPUTS},
            opset_version=OPSET,
            dynamo=False,  # as it needs no further package
        )
    return OnnxInput(size=options.image_size, fit="letterbox", resample="opencv")
