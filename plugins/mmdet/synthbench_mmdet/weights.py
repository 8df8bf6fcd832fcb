"""Starting weights: reads them, and loads the tensors that fit a model."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from synthbench import SynthbenchError, find_weights, read_weights
from torch import Tensor, nn

if TYPE_CHECKING:
    from synthbench import Run

    from synthbench_mmdet import Mmdet

State = dict[str, Tensor]


def open_weights(options: Mmdet, run: Run) -> State:
    """The state dict to start from, or an empty one. Raises SynthbenchError if it is missing, altered or cannot be opened."""
    if not options.weights:
        return {}
    with _placeholders():
        state = read_weights(find_weights(options.weights, run), run)
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def fill(model: nn.Module, state: State, source: str, run: Run) -> None:
    """Loads the tensors whose names and shapes match, and notes the others: a head for other categories starts at random.

    If no name matches, the state dict is loaded as that of the backbone alone, such as torchvision's ResNets.
    Raises SynthbenchError if no tensor fits.
    """
    own = model.state_dict()
    if not state.keys() & own.keys():
        state = {f"backbone.{name}": tensor for name, tensor in state.items()}
    matching = {name: tensor for name, tensor in state.items() if name in own and own[name].shape == tensor.shape}
    needed = [name for name in own if not name.endswith("num_batches_tracked")]
    missing = [name for name in needed if name not in matching]
    if len(missing) == len(needed):
        raise SynthbenchError(f"weights: {source} has no tensor that fits; check `config`")
    model.load_state_dict(matching, strict=False)
    run.log_metrics(weights_loaded=len(matching), weights_expected=len(own))
    if missing:
        parts = sorted({name.rsplit(".", 1)[0] for name in missing})
        run.note(f"{len(missing)} of {len(needed)} tensors are not in {source} or differ in shape: {', '.join(parts)}")


class _Placeholder:
    """Is created for the losses of a training, in numpy arrays, which mmengine writes beside the weights and nobody needs here."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


PLACEHOLDERS = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",
    "numpy.ndarray",
    "numpy.dtype",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
)


def _placeholders() -> AbstractContextManager[None]:
    """Inside of it, torch creates a placeholder for each of `PLACEHOLDERS` instead of refusing the file."""
    if not hasattr(torch.serialization, "safe_globals"):
        return nullcontext()  # before PyTorch 2.5 such files are refused
    context: AbstractContextManager[None] = torch.serialization.safe_globals([(_Placeholder, name) for name in PLACEHOLDERS])
    return context
