"""Builds the detector from what `model.json` holds, and fills it with weights."""

from __future__ import annotations

import json
import pickle
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from synthbench.errors import SynthbenchError
from synthbench.hub import hub_file, is_hub_id
from torch import Tensor, nn
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
    wanted = model.state_dict()
    held = {key: tensor for key, tensor in _open(weights, run).items() if key in wanted and wanted[key].shape == tensor.shape}
    missing = sorted(wanted.keys() - held.keys())
    if len(missing) == len(wanted):
        raise SynthbenchError(f"weights: {weights} holds nothing that fits this model; is it of another size?")
    if missing:
        run.note(f"yolox: {len(missing)} of {len(wanted)} tensors are not in {weights} or differ in shape: {', '.join(missing)}")
    model.load_state_dict(held, strict=False)


def _open(weights: str, run: Run) -> dict[str, Tensor]:
    path = hub_file(weights, MODEL) if is_hub_id(weights) else Path(weights)
    path = path / MODEL if path.is_dir() else path
    if not path.is_file():
        raise SynthbenchError(f"weights: {path}: no such file")
    if path.suffix != ".safetensors" and not run.allow_pickle:
        raise SynthbenchError(f"weights: {path} is a pickle: convert it to .safetensors, or run with --allow-pickle if you trust it")
    try:
        held = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise SynthbenchError(f"weights: {path}: not a state dict that opens ({str(error).splitlines()[0]})") from None
    held = held.get("model", held) if isinstance(held, dict) else held  # YOLOX's checkpoints hold the optimiser beside the model
    if not isinstance(held, dict) or not all(isinstance(tensor, Tensor) for tensor in held.values()):
        raise SynthbenchError(f"weights: {path}: not a state dict of the whole model, names with tensors")
    return held
