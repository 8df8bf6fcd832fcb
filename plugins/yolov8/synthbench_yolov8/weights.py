"""Starting weights, and the two files a training leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import load_file, save_file
from synthbench import SynthbenchError, check_pickle, find_weights, read_weights

from synthbench_yolov8.library import DetectionModel, architecture, load_checkpoint

if TYPE_CHECKING:
    from synthbench import Run
    from torch import Tensor
    from torch.nn import Module

WEIGHTS, ABOUT = "model.safetensors", "model.json"


def save(folder: Path, state: dict[str, Tensor], model: str, categories: tuple[str, ...]) -> None:
    """Writes the weights as they are, in float32, and what is needed to build the model around them."""
    save_file(state, folder / WEIGHTS)
    (folder / ABOUT).write_text(json.dumps({"model": model, "categories": categories}))


def rebuild(folder: Path) -> Module:
    """The model that `save` left in `folder`, on the CPU and ready to predict."""
    about = json.loads((folder / ABOUT).read_text())
    model: Module = DetectionModel(architecture(about["model"]), nc=len(about["categories"]), verbose=False)
    model.load_state_dict(load_file(folder / WEIGHTS))
    return model.eval()


def start_from(weights: str, model: Module, run: Run) -> None:
    """Takes over the tensors whose name and shape are the model's own, and records how many those are.

    Raises SynthbenchError where the file cannot be read, may not be, or holds nothing that fits.
    """
    given, own = _read(find_weights(weights, run), run), model.state_dict()
    fitting = {name: tensor for name, tensor in given.items() if name in own and tensor.shape == own[name].shape}
    if not fitting:
        raise SynthbenchError(f"weights: {weights}: none of its {len(given)} tensors has a name and shape of this model; check `model`")
    model.load_state_dict(fitting, strict=False)
    run.log_metrics(weights_taken=len(fitting), weights_wanted=len(own))
    run.log(f"{weights}: {len(fitting)} of the model's {len(own)} tensors taken over, the others start from scratch")


def _read(path: Path, run: Run) -> dict[str, Tensor]:
    if path.suffix not in (".safetensors", ".pt"):
        raise SynthbenchError(f"weights: {path}: neither a .safetensors nor a .pt file")
    if path.suffix == ".safetensors":
        return read_weights(path, run)
    check_pickle(path, run)
    try:
        checkpoint, _ = load_checkpoint(path)
    except Exception as error:  # unpickling can raise anything
        raise SynthbenchError(f"weights: {path}: not an ultralytics checkpoint that opens ({error})") from error
    state: dict[str, Tensor] = checkpoint.state_dict()
    return state
