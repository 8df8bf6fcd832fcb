"""Starting weights, as an option of the type `Weights` names them: where they lie, and what is in them. For plugins.

Nothing is fetched and no pickle opened unless the command line allows it.
"""

from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench.errors import SynthbenchError

if TYPE_CHECKING:
    from torch import Tensor

    from synthbench.contract.types import Run

MODEL = "model.safetensors"
ADDRESS = re.compile(r"https://[^\s?#]+/[^\s/?#]+-[0-9a-f]{8,64}\.(?:pth|pt|safetensors)")
INSIDE = ("state_dict", "model")  # where checkpoints keep the weights, beside optimisers and the like


def is_hub_id(weights: str) -> bool:
    """Whether a `Weights` option can only be a hub id: `owner/name`, and no file or folder."""
    return weights.count("/") == 1 and not weights.startswith((".", "/", "~")) and not Path(weights).exists()


def is_address(weights: str) -> bool:
    """Whether a `Weights` option is an https address that ends with the beginning of the file's SHA-256, as in `-047c8118.pth`."""
    return ADDRESS.fullmatch(weights) is not None


def find_weights(weights: str, run: Run) -> Path:
    """The file that a `Weights` option names: itself, that of an address, or `model.safetensors` in a folder or of a hub's repository.

    Raises SynthbenchError where there is none.
    """
    if is_address(weights):
        return fetched(weights, run)
    path = hub_file(weights, MODEL, run) if is_hub_id(weights) else Path(weights).expanduser()
    path = path / MODEL if path.is_dir() else path
    if not path.is_file():
        raise SynthbenchError(f"weights: {path}: no such file; name a file, a folder with {MODEL} or a hub id")
    return path


def hub_file(repository: str, name: str, run: Run) -> Path:
    """The file `name` of a repository on the Hugging Face hub; the network is used only under `--download`.

    Raises SynthbenchError that says which file is missing and how to get it.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, name, local_files_only=run.offline))
    except Exception as error:  # the hub's errors have no base of their own
        raise SynthbenchError(
            f"weights: {name} of {repository} is not in the hub's cache; get it with `hf download {repository} {name}` "
            f"or run with --download ({type(error).__name__})"
        ) from error


def fetched(address: str, run: Run) -> Path:
    """The file of an address that `is_address`, in torch hub's folder; fetched only under `--download`. Needs torch.

    Raises SynthbenchError where it is missing, or its SHA-256 does not begin as its name ends.
    """
    import torch

    name = address.rsplit("/", 1)[-1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    wanted = name.rsplit("-", 1)[-1].split(".")[0]
    if not path.is_file():
        if run.offline:
            raise SynthbenchError(f"weights: {path} is missing: run with --download, or get {address} and put it there")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(address, str(path), wanted, progress=False)
        except (OSError, RuntimeError) as error:
            raise SynthbenchError(f"weights: {address} cannot be fetched ({error})") from error
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(wanted):
        raise SynthbenchError(f"weights: {path}: its SHA-256 {found[:8]}… is not the one in its name: get {address} again")
    return path


def check_pickle(path: Path, run: Run) -> None:
    """Raises SynthbenchError for a file that is a pickle, unless the run allows pickles (`--allow-pickle`)."""
    if path.suffix != ".safetensors" and not run.allow_pickle:
        raise SynthbenchError(f"weights: {path} is a pickle: convert it to .safetensors, or run with --allow-pickle if you trust it")


def read_weights(path: Path, run: Run) -> dict[str, Tensor]:
    """The state dict in a .safetensors file or a pickle of torch's, on the CPU. Needs torch and safetensors.

    Raises SynthbenchError where it does not open or holds something else; see `check_pickle`.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_pickle(path, run)
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        # Whatever else a pickle would make or run is refused by torch.
        held = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise SynthbenchError(f"weights: {path}: not a checkpoint that opens ({str(error).splitlines()[0]})") from None
    if isinstance(held, dict):
        held = next((held[name] for name in INSIDE if name in held), held)
    if not isinstance(held, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in held.values()):
        raise SynthbenchError(f"weights: {path}: holds no state dict of the whole model, names with tensors")
    return held
