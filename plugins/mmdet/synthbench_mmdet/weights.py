"""Starting weights: from a file, a folder, a hub, or mmdet's addresses. Nothing is downloaded unasked."""

from __future__ import annotations

import hashlib
import pickle
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from synthbench.errors import SynthbenchError
from synthbench.hub import hub_file, is_hub_id
from torch import Tensor, nn

if TYPE_CHECKING:
    from synthbench.types import Run

    from synthbench_mmdet import Mmdet

State = dict[str, Tensor]
MODEL = "model.safetensors"


def open_weights(options: Mmdet, run: Run) -> State:
    """The state dict to start from, empty for none. Raises SynthbenchError where it is missing, altered or does not open."""
    if options.weights_url:
        return _unpickled(fetch(options.weights_url), run)
    if not options.weights:
        return {}
    path = hub_file(options.weights, MODEL) if is_hub_id(options.weights) else Path(options.weights).expanduser()
    path = path / MODEL if path.is_dir() else path
    if not path.is_file():
        raise SynthbenchError(f"weights: {path}: no such file")
    if path.suffix != ".safetensors":
        return _unpickled(path, run)
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise SynthbenchError(f"weights: {path}: not a safetensors file that opens ({error})") from None


def fetch(url: str) -> Path:
    """The file of that address in torch hub's folder, where mmengine keeps it too; fetched only under `--download`.

    Raises SynthbenchError where it is missing or its SHA-256 does not begin as its name says.
    """
    from huggingface_hub import constants  # says whether the command line allowed downloads

    name = url.rsplit("/", 1)[-1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    wanted = name.removesuffix(".pth").rsplit("-", 1)[-1]
    if not path.is_file():
        if constants.HF_HUB_OFFLINE:
            raise SynthbenchError(f"weights_url: {path} is missing: run with --download, or get {url} and put it there")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), wanted, progress=False)
        except (OSError, RuntimeError) as error:
            raise SynthbenchError(f"weights_url: {url} cannot be fetched ({error})") from error
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(wanted):
        raise SynthbenchError(f"weights_url: {path}: its SHA-256 {found[:8]}… is not the one in its name: get {url} again")
    return path


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
    run.record(weights_taken=len(fitting), weights_wanted=len(wanted))
    if missing:
        parts = sorted({name.rsplit(".", 1)[0] for name in missing})
        run.note(f"{len(missing)} of {len(needed)} tensors are not in {source} or differ in shape: {', '.join(parts)}")


def _unpickled(path: Path, run: Run) -> State:
    """The weights in a pickle; whatever else it would run or make is refused by torch."""
    if not run.allow_pickle:
        raise SynthbenchError(f"weights: {path} is a pickle: convert it to .safetensors, or run with --allow-pickle if you trust it")
    try:
        with _blanks():
            held = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise SynthbenchError(f"weights: {path}: not a checkpoint that opens ({str(error).splitlines()[0]})") from None
    held = held.get("state_dict", held) if isinstance(held, dict) else held
    if not isinstance(held, dict) or not all(isinstance(tensor, Tensor) for tensor in held.values()):
        raise SynthbenchError(f"weights: {path}: holds no state dict, names with tensors")
    return {name.removeprefix("module."): tensor for name, tensor in held.items()}


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
