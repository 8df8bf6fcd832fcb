"""Builds the detector from what `model.json` holds, and fills it with weights."""

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
    """What makes the layers: kept beside the weights, so that `predict` builds the same ones."""

    model: str
    categories: tuple[str, ...]
    image_size: int

    def save(self, path: Path) -> None:
        """Writes JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Spec:
        """Reads what `save` wrote."""
        held = json.loads(path.read_text())
        return cls(**{**held, "categories": tuple(held["categories"])})

    def experiment(self) -> Any:
        """YOLOX's `Exp`, which makes the model and what it is trained with."""
        made = get_exp(exp_name=self.model)
        made.num_classes = len(self.categories)
        return made


def on_device(device: str) -> tuple[str, AbstractContextManager[Any]]:
    """The device to compute on, and a context that makes it the current one, where YOLOX puts tensors of its own.

    It names tensor types that only processors and CUDA have, so anything else is computed on the processor.
    """
    return (device, torch.cuda.device(device)) if device.startswith("cuda") else ("cpu", nullcontext())


def fill(model: nn.Module, weights: str, run: Run) -> None:
    """Copies what fits, and says what does not. Raises SynthbenchError where weights are missing, do not open or do not fit."""
    given, wanted = read_weights(find_weights(weights, run), run), model.state_dict()
    held = {key: tensor for key, tensor in given.items() if key in wanted and wanted[key].shape == tensor.shape}
    missing = sorted(wanted.keys() - held.keys())
    if len(missing) == len(wanted):
        raise SynthbenchError(f"weights: {weights} holds nothing that fits this model; is it of another size?")
    if missing:
        run.note(f"yolox: {len(missing)} of {len(wanted)} tensors are not in {weights} or differ in shape: {', '.join(missing)}")
    model.load_state_dict(held, strict=False)
