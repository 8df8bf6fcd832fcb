"""Starting weights, for what of a model they fit."""

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
    """The state dict to start from, empty for none. Raises SynthbenchError where it is missing, altered or does not open."""
    if not options.weights:
        return {}
    with _blanks():
        held = read_weights(find_weights(options.weights, run), run)
    return {name.removeprefix("module."): tensor for name, tensor in held.items()}


def fill(model: nn.Module, held: State, source: str, run: Run) -> None:
    """Copies what fits, and says what does not: a head for other categories starts at random.

    A state dict without any of the model's names is tried as that of its backbone alone, such as torchvision's ResNets.
    """
    wanted = model.state_dict()
    if not held.keys() & wanted.keys():
        held = {f"backbone.{name}": tensor for name, tensor in held.items()}
    fitting = {name: tensor for name, tensor in held.items() if name in wanted and wanted[name].shape == tensor.shape}
    needed = [name for name in wanted if not name.endswith("num_batches_tracked")]
    missing = [name for name in needed if name not in fitting]
    if len(missing) == len(needed):
        raise SynthbenchError(f"weights: {source} holds nothing that fits; is it of another config?")
    model.load_state_dict(fitting, strict=False)
    run.log_metrics(weights_taken=len(fitting), weights_wanted=len(wanted))
    if missing:
        parts = sorted({name.rsplit(".", 1)[0] for name in missing})
        run.note(f"{len(missing)} of {len(needed)} tensors are not in {source} or differ in shape: {', '.join(parts)}")


class _Blank:
    """Stands for what mmengine writes beside the weights: the losses of a training, in numpy's arrays. It is not needed."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


BESIDE = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",
    "numpy.ndarray",
    "numpy.dtype",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
)


def _blanks() -> AbstractContextManager[None]:
    """While it lasts, torch takes a blank for each of those instead of refusing the file."""
    if not hasattr(torch.serialization, "safe_globals"):
        return nullcontext()  # before PyTorch 2.5 such files are refused
    context: AbstractContextManager[None] = torch.serialization.safe_globals([(_Blank, name) for name in BESIDE])
    return context
