"""Files of a model hub's repositories, from the cache, or fetched where the command line allows it."""

from __future__ import annotations

from pathlib import Path

from synthbench.errors import SynthbenchError


def is_hub_id(weights: str) -> bool:
    """Whether a `Weights` option can only be a hub id: `owner/name`, and no file or folder."""
    return weights.count("/") == 1 and not weights.startswith((".", "/", "~")) and not Path(weights).exists()


def hub_file(repository: str, name: str) -> Path:
    """The file `name` of a repository on the Hugging Face hub; workers ask the network only under `--download`.

    Raises SynthbenchError that says which file is missing and how to get it.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, name))
    except Exception as error:  # the hub's errors have no base of their own
        raise SynthbenchError(
            f"weights: {name} of {repository} is not in the hub's cache; get it with `hf download {repository} {name}` "
            f"or run with --download ({type(error).__name__})"
        ) from error
