"""The trained detector as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from synthbench import OnnxInput
from synthbench.contract.onnx import INPUT, OUTPUTS
from torch import Tensor, nn

from synthbench_fasterrcnn.data import MIN_SIDE
from synthbench_fasterrcnn.model import MODEL, SPEC, Spec, build

if TYPE_CHECKING:
    from synthbench_fasterrcnn import FasterRCNN

OPSET = 17


class Flat(nn.Module):  # type: ignore[misc]
    """The detector with tensors for lists and dictionaries, and labels from 0."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, scores and labels of one image (1, 3, H, W)."""
        (found,) = self.model([image[0]])
        return found["boxes"], found["scores"], found["labels"] - 1


def export(options: FasterRCNN, fitted: Path, file: Path) -> OnnxInput:
    """See `FasterRCNN.export`. Width and height of the input are free, since images keep their shape."""
    spec = Spec.load(fitted / SPEC)
    model = build(spec, options)
    model.load_state_dict(load_file(fitted / MODEL))
    example = torch.rand(1, 3, spec.image_size, spec.image_size, generator=torch.Generator().manual_seed(0))
    torch.onnx.export(
        Flat(model).eval(),
        (example,),
        str(file),
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        dynamic_axes={INPUT: {2: "height", 3: "width"}, **{name: {0: "boxes"} for name in OUTPUTS}},
        opset_version=OPSET,
        dynamo=False,  # torch.export cannot trace torchvision's selection of proposals
    )
    return OnnxInput(size=spec.image_size, fit="longest", min_side=MIN_SIDE)
