"""Loading a checkpoint: a folder in diffusers' layout or a hub id. Pickles are refused unless the user allows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers
import torch
import transformers
from synthbench import SynthbenchError
from synthbench.contract.weights import split_revision

from synthbench_diffusers.conditioning import ENCODERS

if TYPE_CHECKING:
    from synthbench import Run

    from synthbench_diffusers.recipe import Recipe

DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
GENERATOR_OF = {"StableDiffusionPipeline": "sd15-dreambooth", "StableDiffusionXLPipeline": "sdxl-lora"}


def working_dtype(recipe: Recipe, device: str) -> Any:
    """The torch dtype of forward passes on a device. CPUs support fp16 poorly, so it is fp32 there.

    bf16 pays on processors that multiply it (AMX, AVX512-BF16): a small UNet is sampled in half to two thirds of the time.
    """
    if recipe.mixed_precision == "auto":
        if not device.startswith("cuda"):
            multiplied = device == "cpu" and any(torch.cpu.get_capabilities().get(each) for each in ("amx_bf16", "avx512_bf16"))
            return torch.bfloat16 if multiplied else torch.float32
        with torch.cuda.device(device):
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.float32 if device == "cpu" and recipe.mixed_precision == "fp16" else DTYPES[recipe.mixed_precision]


def set_precision(recipe: Recipe, run: Run) -> Any:
    """`working_dtype`, noted in the report unless it is fp32 on a CPU; on CUDA, fp32 multiplications may use TF32."""
    dtype = working_dtype(recipe, run.device)
    on_cuda = run.device.startswith("cuda")
    if on_cuda:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    if run.device != "cpu" or dtype != torch.float32:
        run.note(f"forward passes in {str(dtype).removeprefix('torch.')}{', fp32 parts with TF32' if on_cuda else ''}")
    return dtype


def open_pipeline(recipe: Recipe, run: Run, fitted: Path | None = None) -> Any:
    """The checkpoint's pipeline on the CPU: for training, or for sampling with the `fitted` weights.

    Full weights that are trained are fp32. So is the checkpoint's own VAE, because SDXL's overflows in fp16.
    LoRA weights are merged into fp32 weights and kept beside half-precision ones, whose rounding would lose a part of them.
    Raises SynthbenchError if the checkpoint is missing, belongs to another pipeline class, holds a pickle or has parts that
    this plugin does not support.
    """
    torch.set_num_threads(run.threads)
    _silence_libraries()
    dtype = set_precision(recipe, run)
    trained = ["unet", *(ENCODERS if recipe.train_text_encoder else ())] if recipe.full else []
    dtypes = {"default": dtype, "vae": torch.float32} | ({} if fitted else dict.fromkeys(trained, torch.float32))
    parts: dict[str, Any] = {}
    if recipe.pipeline == "StableDiffusionPipeline":
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    if recipe.separate_vae:
        parts["vae"] = _open(recipe.separate_vae, run, diffusers.AutoencoderKL, dtype=dtype)
    is_tuned = fitted is not None and recipe.total_steps > 0
    if fitted and is_tuned and recipe.full:
        parts["unet"] = _open(str(fitted / "unet"), run, diffusers.UNet2DConditionModel, dtype=dtype)
        if recipe.train_text_encoder:
            parts["text_encoder"] = _open(str(fitted / "text_encoder"), run, transformers.CLIPTextModel, dtype=dtype)
    _check_kind(recipe, run)
    source = recipe.pretrained_model_name_or_path
    pipe = _open(source, run, getattr(diffusers, recipe.pipeline), recipe.variant, dtype=dtypes, **parts)
    _check_parts(pipe, source)
    if is_tuned and not recipe.full:
        pipe.load_lora_weights(str(fitted))
        if dtype == torch.float32:
            pipe.fuse_lora(components=["unet", *(name for name in ENCODERS if recipe.train_text_encoder and hasattr(pipe, name))])
            pipe.unload_lora_weights()
    pipe.vae.enable_slicing()
    if fitted is not None and run.device.startswith("cuda"):  # on CPUs it gains nothing, and saved states would have to keep it
        pipe.unet.to(memory_format=torch.channels_last)
    return pipe


def _open(source: str, run: Run, kind: Any, variant: str = "", **options: Any) -> Any:
    name, revision = split_revision(source)
    options |= {"use_safetensors": None if run.allow_pickle else True, "local_files_only": run.offline}
    try:
        return kind.from_pretrained(name, revision=revision, variant=variant or None, **options)
    except (OSError, ValueError, KeyError) as error:
        raise _loading_error(source, error, variant) from error


def _check_parts(pipe: Any, source: str) -> None:
    """Raises SynthbenchError for schedulers and VAEs that would be trained and sampled wrongly in silence."""
    scheduler, vae = type(pipe.scheduler).__name__, pipe.vae.config
    if scheduler.startswith(("EDM", "FlowMatch")):
        raise SynthbenchError(f"{source}: its scheduler is a {scheduler}; supported: checkpoints that predict noise or velocity over betas")
    for part in ("latents_mean", "latents_std", "shift_factor"):
        if vae.get(part) is not None:
            raise SynthbenchError(f"{source}: its VAE has {part}; supported: VAEs whose latents are scaled by scaling_factor alone")


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
            name, revision = split_revision(source)
            found = str(diffusers.DiffusionPipeline.load_config(name, revision=revision, local_files_only=run.offline)["_class_name"])
        except (OSError, ValueError, KeyError) as error:
            raise _loading_error(source, error, recipe.variant) from error
    if found != recipe.pipeline:
        other = GENERATOR_OF.get(found)
        raise SynthbenchError(
            f"{source}: the checkpoint of a {found}, but {recipe.name} needs that of a {recipe.pipeline}"
            + (f"; use the generator {other}" if other else "")
        )


def files_of(variant: str) -> tuple[str, ...]:
    """Patterns of the files that `from_pretrained` reads of a repository: no duplicates of other variants or in other layouts."""
    middle = f".{variant}" if variant else ""
    return ("*.json", "*.txt", f"*model{middle}.safetensors", f"*{middle}-*-of-*.safetensors" if variant else "*-of-*.safetensors")


def _loading_error(source: str, error: Exception, variant: str = "") -> SynthbenchError:
    reason = " ".join(str(error).split())[:300]
    if Path(source).exists():
        pickles = [path for path in sorted(Path(source).rglob("*.bin")) if not list(path.parent.glob("*.safetensors"))]
        if pickles:
            return SynthbenchError(
                f"{pickles[0]}: a pickle, which can run code when it is opened, and there is no safetensors file beside it; "
                "convert the checkpoint with diffusers' save_pretrained, or run with --allow-pickle if you trust it"
            )
        return SynthbenchError(f"{source}: cannot be loaded: {reason}")
    name, revision = split_revision(source)
    command = f"hf download {name}{f' --revision {revision}' if revision else ''} --include {' '.join(map(repr, files_of(variant)))}"
    return SynthbenchError(
        f"{source}: not a folder, and not complete in the hub's cache ({reason}); get it with `{command}`, or run with --download"
    )


def _silence_libraries() -> None:
    """Turns off the libraries' progress bars and advice, which would mix with the stage's own progress."""
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
