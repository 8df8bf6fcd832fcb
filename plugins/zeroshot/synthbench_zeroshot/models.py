"""Opening a checkpoint: a model and its processor from a folder or from the hub's cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from synthbench import Run, SynthbenchError, split_revision

CONFIG = "config.json"
GROUNDING_TYPES = ("grounding-dino", "mm-grounding-dino")


def open_checkpoint(
    weights: str | Path, kind: Any, types: Sequence[str], run: Run, *, processor: Any = transformers.AutoProcessor
) -> tuple[Any, Any]:
    """The model, in float32 and in evaluation mode on the run's device, and its processor. Nothing is fetched if `run.offline`.

    kind, processor: the classes that load them. types: the `model_type`s that the model may have.
    Raises SynthbenchError if a file is missing or a pickle that may not be opened, a tensor is missing, or it is of another type.
    """
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(run.threads)
    folder, where = Path(weights), f"weights: {weights}"
    if folder.is_dir() and not (folder / CONFIG).is_file():
        raise SynthbenchError(f"{where} has no {CONFIG}; name the folder that transformers' save_pretrained wrote")
    if folder.is_file():
        raise SynthbenchError(f"{where} is a file; name the folder that contains it and its {CONFIG}")
    name, revision = split_revision(str(weights))
    source: dict[str, Any] = {"revision": revision, "local_files_only": run.offline}
    try:
        config, _ = transformers.PretrainedConfig.get_config_dict(name, **source)
        if (actual := config.get("model_type")) not in types:
            raise SynthbenchError(f"{where} is a model of the type {actual!r}; it must be {' or '.join(types)}")
        model, info = kind.from_pretrained(
            name, **source, use_safetensors=None if run.allow_pickle else True, dtype="float32", output_loading_info=True
        )
        prepare = processor.from_pretrained(name, **source)
    except ImportError as error:
        raise SynthbenchError(f"{where} needs a library that is not installed: {' '.join(str(error).split())}") from error
    except (OSError, ValueError, KeyError) as error:
        raise SynthbenchError(f"{where}: {advice(folder, name, revision)} ({' '.join(str(error).split())[:300]})") from error
    absent = {*info["missing_keys"], *(key[0] if isinstance(key, tuple) else key for key in info["mismatched_keys"])}
    if missing := sorted(absent & {weight for weight, _ in model.named_parameters()}):  # they would be random numbers
        raise SynthbenchError(f"{where} lacks tensors of a {type(model).__name__}, such as {missing[0]}; get the checkpoint again")
    return model.to(run.device).eval(), prepare


def advice(folder: Path, name: str, revision: str | None) -> str:
    """How to get what could not be loaded."""
    if folder.is_dir():
        return (
            "no complete model and processor there, as save_pretrained writes them with safetensors; "
            "a checkpoint that consists of pickles needs --allow-pickle"
        )
    return (
        f"not complete in the hub's cache; get it with `hf download {name}{f' --revision {revision}' if revision else ''}`, "
        "or run with --download"
    )
