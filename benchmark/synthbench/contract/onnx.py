"""What a detector's ONNX file takes and gives, the same for all detectors, so that one short script runs any of them.

Input `image`: float32 (1, 3, H, W), RGB, from 0 to 1. Outputs, best score first, after non-maximum suppression: `boxes` float32 (N, 4),
x1, y1, x2, y2 in pixels of the input; `scores` float32 (N,); `labels` int64 (N,), positions in the detector's categories.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

INPUT, OUTPUTS = "image", ("boxes", "scores", "labels")


@dataclass(frozen=True, kw_only=True)
class OnnxInput:
    """How a photograph becomes the input.

    size: pixels. fit: `stretch`, to a square of this size; `longest`, its longer side gets this size; `letterbox`, the same, then in
    the middle of a square of the grey value 114. resample: bilinear, as Pillow does it (with antialiasing), or as OpenCV does.
    min_side: pixels of the photograph; boxes whose width or height in it is smaller are dropped, and empty ones always.
    """

    size: int
    fit: Literal["stretch", "longest", "letterbox"]
    resample: Literal["pillow", "opencv"] = "pillow"
    min_side: float = 0.0
