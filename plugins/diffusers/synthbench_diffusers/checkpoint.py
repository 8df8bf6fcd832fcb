"""Opening a checkpoint: a folder in diffusers' layout or a hub id, safetensors only, with errors that say what to do."""

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

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
GENERATOR_OF = {"StableDiffusionPipeline": "sd15-dreambooth", "StableDiffusionXLPipeline": "sdxl-lora"}


def working_dtype(recipe: Recipe, device: str) -> Any:
    """The torch dtype of passes on a device: processors have no useful fp16, so there it is fp32."""
    return torch.float32 if device == "cpu" and recipe.precision == "fp16" else DTYPES[recipe.precision]


def open_pipeline(recipe: Recipe, run: Run, fitted: Path | None = None) -> Any:
    """The checkpoint's pipeline on the processor, for training, or with `fitted` weights put in, for sampling.

    What is trained whole is fp32, and so is the checkpoint's own VAE, which overflows in fp16 (SDXL's does).
    Raises SynthbenchError for what is missing, of another kind, or a pickle.
    """
    torch.set_num_threads(run.threads)
    _be_quiet()
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
    pipe = _open(recipe.checkpoint, run, getattr(diffusers, recipe.pipeline), dtype=dtypes, **parts)
    if fitted and not recipe.full:
        pipe.load_lora_weights(str(fitted))
        pipe.fuse_lora(components=["unet", *(name for name in ENCODERS if recipe.train_text_encoder and hasattr(pipe, name))])
        pipe.unload_lora_weights()
    return pipe


def _open(place: str, run: Run, kind: Any, **options: Any) -> Any:
    try:
        return kind.from_pretrained(place, use_safetensors=None if run.allow_pickle else True, local_files_only=run.offline, **options)
    except (OSError, ValueError, KeyError) as error:
        raise _trouble(place, error) from error


def _check_kind(recipe: Recipe, run: Run) -> None:
    """Raises SynthbenchError where the checkpoint is a pipeline of another class, before its weights are read."""
    place = Path(recipe.checkpoint)
    if place.is_dir():
        index = place / "model_index.json"
        if not index.is_file():
            raise SynthbenchError(f"{index}: no such file; a checkpoint is a folder as diffusers' save_pretrained writes it")
        found = str(json.loads(index.read_text()).get("_class_name"))
    else:
        try:
            found = str(diffusers.DiffusionPipeline.load_config(recipe.checkpoint, local_files_only=run.offline)["_class_name"])
        except (OSError, ValueError, KeyError) as error:
            raise _trouble(recipe.checkpoint, error) from error
    if found != recipe.pipeline:
        other = GENERATOR_OF.get(found)
        raise SynthbenchError(
            f"{recipe.checkpoint}: is a {found}, and {recipe.name} fine-tunes a {recipe.pipeline}"
            + (f"; use the generator {other}" if other else "")
        )


def _trouble(place: str, error: Exception) -> SynthbenchError:
    reason = " ".join(str(error).split())[:300]
    if Path(place).exists():
        pickles = [path for path in sorted(Path(place).rglob("*.bin")) if not list(path.parent.glob("*.safetensors"))]
        if pickles:
            return SynthbenchError(
                f"{pickles[0]}: a pickle, which runs code when it is opened, and no safetensors beside it; convert the checkpoint with "
                "diffusers' save_pretrained, or run with --allow-pickle if you trust it"
            )
        return SynthbenchError(f"{place}: does not open: {reason}")
    return SynthbenchError(
        f"{place}: no such folder, and not complete among the downloaded checkpoints ({reason}); get it with "
        f'`hf download {place} --include "*.json" "*.txt" "*/*.safetensors"`, or run with --download'
    )


def _be_quiet() -> None:
    """Their progress bars and advice would be mixed with the stage's own progress."""
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
