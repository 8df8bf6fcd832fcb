"""Loading a checkpoint: a folder in diffusers' layout or a hub id. Pickles are refused unless the user allows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers
import torch
import transformers
from synthbench import SynthbenchError

from synthbench_diffusers.conditioning import ENCODERS

if TYPE_CHECKING:
    from synthbench import Run

    from synthbench_diffusers.recipe import Recipe

DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
FILES = ("*.json", "*.txt", "*model.safetensors", "*-of-*.safetensors")
"""What `from_pretrained` reads of a repository: neither fp16 and non-EMA duplicates nor single files in another layout."""
GENERATOR_OF = {"StableDiffusionPipeline": "sd15-dreambooth", "StableDiffusionXLPipeline": "sdxl-lora"}


def working_dtype(recipe: Recipe, device: str) -> Any:
    """The torch dtype of forward passes on a device. CPUs support fp16 poorly, so it is fp32 there."""
    return torch.float32 if device == "cpu" and recipe.mixed_precision == "fp16" else DTYPES[recipe.mixed_precision]


def open_pipeline(recipe: Recipe, run: Run, fitted: Path | None = None) -> Any:
    """The checkpoint's pipeline on the CPU: for training, or for sampling with the `fitted` weights.

    Full weights that are trained are fp32. So is the checkpoint's own VAE, because SDXL's overflows in fp16.
    Raises SynthbenchError if the checkpoint is missing, belongs to another pipeline class, or holds a pickle.
    """
    torch.set_num_threads(run.threads)
    _silence_libraries()
    dtype = working_dtype(recipe, run.device)
    trained = ["unet", *(ENCODERS if recipe.train_text_encoder else ())] if recipe.full else []
    dtypes = {"default": dtype, "vae": torch.float32} | ({} if fitted else dict.fromkeys(trained, torch.float32))
    parts: dict[str, Any] = {}
    if recipe.pipeline == "StableDiffusionPipeline":
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    if recipe.separate_vae:
        parts["vae"] = _open(recipe.separate_vae, run, diffusers.AutoencoderKL, dtype=dtype)
    if fitted and recipe.full:
        parts["unet"] = _open(str(fitted / "unet"), run, diffusers.UNet2DConditionModel, dtype=dtype)
        if recipe.train_text_encoder:
            parts["text_encoder"] = _open(str(fitted / "text_encoder"), run, transformers.CLIPTextModel, dtype=dtype)
    _check_kind(recipe, run)
    pipe = _open(recipe.pretrained_model_name_or_path, run, getattr(diffusers, recipe.pipeline), dtype=dtypes, **parts)
    if fitted and not recipe.full:
        pipe.load_lora_weights(str(fitted))
        pipe.fuse_lora(components=["unet", *(name for name in ENCODERS if recipe.train_text_encoder and hasattr(pipe, name))])
        pipe.unload_lora_weights()
    return pipe


def _open(source: str, run: Run, kind: Any, **options: Any) -> Any:
    try:
        return kind.from_pretrained(source, use_safetensors=None if run.allow_pickle else True, local_files_only=run.offline, **options)
    except (OSError, ValueError, KeyError) as error:
        raise _loading_error(source, error) from error


def _check_kind(recipe: Recipe, run: Run) -> None:
    """Raises SynthbenchError if the checkpoint belongs to another pipeline class, before its weights are read."""
    source = recipe.pretrained_model_name_or_path
    if Path(source).is_dir():
        index = Path(source) / "model_index.json"
        if not index.is_file():
            raise SynthbenchError(f"{index}: no such file; a checkpoint folder must be in the layout of diffusers' save_pretrained")
        found = str(json.loads(index.read_text()).get("_class_name"))
    else:
        try:
            found = str(diffusers.DiffusionPipeline.load_config(source, local_files_only=run.offline)["_class_name"])
        except (OSError, ValueError, KeyError) as error:
            raise _loading_error(source, error) from error
    if found != recipe.pipeline:
        other = GENERATOR_OF.get(found)
        raise SynthbenchError(
            f"{source}: the checkpoint of a {found}, but {recipe.name} needs that of a {recipe.pipeline}"
            + (f"; use the generator {other}" if other else "")
        )


def _loading_error(source: str, error: Exception) -> SynthbenchError:
    reason = " ".join(str(error).split())[:300]
    if Path(source).exists():
        pickles = [path for path in sorted(Path(source).rglob("*.bin")) if not list(path.parent.glob("*.safetensors"))]
        if pickles:
            return SynthbenchError(
                f"{pickles[0]}: a pickle, which can run code when it is opened, and there is no safetensors file beside it; "
                "convert the checkpoint with diffusers' save_pretrained, or run with --allow-pickle if you trust it"
            )
        return SynthbenchError(f"{source}: cannot be loaded: {reason}")
    return SynthbenchError(
        f"{source}: not a folder, and not complete in the hub's cache ({reason}); get it with "
        f"`hf download {source} --include {' '.join(map(repr, FILES))}`, or run with --download"
    )


def _silence_libraries() -> None:
    """Turns off the libraries' progress bars and advice, which would mix with the stage's own progress."""
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
