"""Builds the detector from its description, which `model.json` contains, and loads weights."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from synthbench import SynthbenchError, find_weights, read_weights
from torch import nn
from yolox.exp import get_exp

if TYPE_CHECKING:
    from synthbench import Run

MODEL, SPEC = "model.safetensors", "model.json"


@dataclass(frozen=True)
class Spec:
    """What determines the layers: written beside the weights, so that `predict` builds the same ones."""

    model: str
    categories: tuple[str, ...]
    image_size: int

    def save(self, path: Path) -> None:
        """Writes JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Spec:
        """Reads what `save` wrote."""
        fields = json.loads(path.read_text())
        return cls(**{**fields, "categories": tuple(fields["categories"])})

    def experiment(self) -> Any:
        """YOLOX's `Exp`, which builds the model, its optimizer and its schedule."""
        experiment = get_exp(exp_name=self.model)
        experiment.num_classes = len(self.categories)
        return experiment


def on_device(device: str) -> tuple[str, AbstractContextManager[Any]]:
    """The device to compute on, and a context that makes it the current CUDA device, on which YOLOX creates tensors.

    YOLOX uses tensor types that exist for the CPU and CUDA only, so with any other device the CPU computes.
    """
    return (device, torch.cuda.device(device)) if device.startswith("cuda") else ("cpu", nullcontext())


def fill(model: nn.Module, weights: str, run: Run) -> None:
    """Loads the tensors whose names and shapes match, and notes the others, which stay random.

    Raises SynthbenchError if the weights are missing or cannot be opened, or if no tensor fits.
    """
    state, own = read_weights(find_weights(weights, run), run), model.state_dict()
    matching = {key: tensor for key, tensor in state.items() if key in own and own[key].shape == tensor.shape}
    missing = sorted(own.keys() - matching.keys())
    if len(missing) == len(own):
        raise SynthbenchError(f"weights: {weights} has no tensor that fits this model; check `model`")
    if missing:
        run.note(f"yolox: {len(missing)} of {len(own)} tensors are not in {weights} or differ in shape: {', '.join(missing)}")
    model.load_state_dict(matching, strict=False)
