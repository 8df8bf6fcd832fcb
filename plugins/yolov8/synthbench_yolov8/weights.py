"""Starting weights, and the two files that training writes."""

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
    """Loads the tensors whose name and shape match the model's, and logs how many those are.

    Raises SynthbenchError if the file is missing, cannot be read, is a pickle that may not be opened, or has no matching tensor.
    """
    state, own = _read(find_weights(weights, run), run), model.state_dict()
    matching = {name: tensor for name, tensor in state.items() if name in own and tensor.shape == own[name].shape}
    if not matching:
        raise SynthbenchError(f"weights: {weights}: none of its {len(state)} tensors has a name and shape of this model; check `model`")
    model.load_state_dict(matching, strict=False)
    run.log_metrics(weights_loaded=len(matching), weights_expected=len(own))
    run.log(f"{weights}: {len(matching)} of the model's {len(own)} tensors are loaded, the others start at random")


def _read(path: Path, run: Run) -> dict[str, Tensor]:
    if path.suffix not in (".safetensors", ".pt"):
        raise SynthbenchError(f"weights: {path}: neither a .safetensors nor a .pt file")
    if path.suffix == ".safetensors":
        return read_weights(path, run)
    check_pickle(path, run)
    try:
        checkpoint, _ = load_checkpoint(path)
    except Exception as error:  # unpickling can raise anything
        raise SynthbenchError(f"weights: {path}: cannot be opened as an ultralytics checkpoint ({error})") from error
    state: dict[str, Tensor] = checkpoint.state_dict()
    return state
