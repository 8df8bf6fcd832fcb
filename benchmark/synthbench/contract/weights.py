"""Helpers for plugins with an option of the type `Weights`: find the file of the starting weights, and read it.

Nothing is downloaded without `--download`, and no pickle is opened without `--allow-pickle`.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench.errors import SynthbenchError
from synthbench.files import sha256_of

if TYPE_CHECKING:
    from torch import Tensor

    from synthbench.contract.types import Run

MODEL = "model.safetensors"
ADDRESS = re.compile(r"https://[^\s?#]+/[^\s/?#]+-[0-9a-f]{8,64}\.(?:pth|pt|safetensors)")
STATE_DICT_KEYS = ("state_dict", "model")  # under which checkpoints contain the weights, beside the optimizer's state and the like


def is_hub_id(weights: str) -> bool:
    """Whether a `Weights` option is a hub id: `owner/name` or `owner/name@revision`, and no file or folder has that path."""
    name, _ = split_revision(weights)
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(weights).exists()


def split_revision(weights: str) -> tuple[str, str | None]:
    """A hub id without its revision, and the revision: None if there is none, or if `weights` is a path that exists."""
    name, at, revision = weights.partition("@")
    return (name, revision) if at and revision and not Path(weights).exists() else (weights, None)


def is_address(weights: str) -> bool:
    """Whether a `Weights` option is an https address whose file name ends with the first digits of the file's SHA-256.

    As in `-047c8118.pth`.
    """
    return ADDRESS.fullmatch(weights) is not None


def find_weights(weights: str, run: Run) -> Path:
    """The file that a `Weights` option names: a file, the file at an address, or `model.safetensors` of a folder or a hub repository.

    Raises SynthbenchError if there is no such file.
    """
    if is_address(weights):
        return fetched(weights, run)
    path = hub_file(weights, MODEL, run) if is_hub_id(weights) else Path(weights).expanduser()
    path = path / MODEL if path.is_dir() else path
    if not path.is_file():
        raise SynthbenchError(f"weights: {path}: no such file; name a file, a folder with {MODEL} or a hub id")
    return path


def hub_file(repository: str, name: str, run: Run) -> Path:
    """The file `name` of a repository on the Hugging Face hub, `owner/name` or `owner/name@revision`, downloaded only with `--download`.

    Raises SynthbenchError, which says how to get the file, if it is not in the hub's cache and cannot be downloaded.
    """
    from huggingface_hub import hf_hub_download

    repository, revision = split_revision(repository)
    try:
        return Path(hf_hub_download(repository, name, revision=revision, local_files_only=run.offline))
    except Exception as error:  # the hub's errors have no common base class
        raise SynthbenchError(
            f"weights: {name} of {repository} is not in the hub's cache; get it with `hf download {repository} {name}"
            f"{f' --revision {revision}' if revision else ''}` or run with --download ({type(error).__name__})"
        ) from error


def fetched(address: str, run: Run) -> Path:
    """The file at an address that `is_address` accepts, from torch hub's folder; downloaded only with `--download`. Needs torch.

    Raises SynthbenchError if it is missing, or its SHA-256 does not begin with the digits in its name.
    """
    import torch

    from synthbench.contract.fetching import RemoteFile, fetch, mismatch

    name = address.rsplit("/", 1)[-1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    file = RemoteFile(name=name, address=address, digest=f"sha256:{name.rsplit('-', 1)[-1].split('.')[0]}")
    if not path.is_file():
        if run.offline:
            raise SynthbenchError(f"weights: {path} is missing: run with --download, or get {address} and put it there")
        try:
            fetch(file, path, run)
        except SynthbenchError as error:
            raise SynthbenchError(f"weights: {error}") from error
    if mismatch(file, path):
        raise SynthbenchError(f"weights: {path}: its SHA-256 {sha256_of(path)[:8]}… is not the one in its name: get {address} again")
    return path


def check_pickle(path: Path, run: Run) -> None:
    """Raises SynthbenchError if the file is a pickle, unless the run allows pickles (`--allow-pickle`)."""
    if path.suffix != ".safetensors" and not run.allow_pickle:
        raise SynthbenchError(f"weights: {path} is a pickle: convert it to .safetensors, or run with --allow-pickle if you trust it")


def read_weights(path: Path, run: Run) -> dict[str, Tensor]:
    """The state dict in a .safetensors file or in a pickle that torch saved, on the CPU. Needs torch and safetensors.

    Raises SynthbenchError if the file cannot be read or contains something else, and as `check_pickle` does.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_pickle(path, run)
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        # With weights_only, torch refuses pickles that would create other objects or run code.
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise SynthbenchError(f"weights: {path}: not a readable checkpoint ({str(error).splitlines()[0]})") from None
    if isinstance(checkpoint, dict):
        checkpoint = next((checkpoint[key] for key in STATE_DICT_KEYS if key in checkpoint), checkpoint)
    if not isinstance(checkpoint, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in checkpoint.values()):
        raise SynthbenchError(f"weights: {path}: does not contain a state dict, which maps names to tensors")
    return checkpoint
