"""Which weights are trained, and how they are saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers.training_utils import cast_training_params
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from synthbench_diffusers.checkpoint import working_dtype
from synthbench_diffusers.conditioning import ENCODERS

if TYPE_CHECKING:
    from synthbench import Run

    from synthbench_diffusers.recipe import Recipe

# The attention's projections, as in diffusers' scripts.
UNET_TARGETS = ["to_k", "to_q", "to_v", "to_out.0"]
ENCODER_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj"]


def trained_parts(recipe: Recipe, pipe: Any) -> list[str]:
    """Names of the pipeline's components that are trained."""
    return ["unet", *(name for name in ENCODERS if recipe.train_text_encoder and hasattr(pipe, name))]


def add_trainable(recipe: Recipe, pipe: Any, seed: int) -> dict[str, Any]:
    """Prepares the pipeline for training. Returns the trained weights, fp32, by name."""
    for name in ("vae", "unet", *ENCODERS):
        if hasattr(pipe, name):
            getattr(pipe, name).requires_grad_(False)
    trained: dict[str, Any] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in trained_parts(recipe, pipe):
            part = getattr(pipe, name)
            if recipe.full:
                part.requires_grad_(True)
            else:
                part.cpu().add_adapter(_lora(recipe.rank, UNET_TARGETS if name == "unet" else ENCODER_TARGETS))
            cast_training_params(part, torch.float32)
            part.train()
            if recipe.gradient_checkpointing:
                _checkpoint_gradients(part, name)
            trained |= {f"{name}.{key}": weight for key, weight in part.named_parameters() if weight.requires_grad}
    return trained


def save_fitted(recipe: Recipe, pipe: Any, run: Run) -> None:
    """Writes the trained weights into `run.workdir`, in the dtype that they are sampled with.

    LoRA: `pytorch_lora_weights.safetensors`, as diffusers loads it. Full: a folder for each component.
    """
    folder = run.workdir
    parts = {name: getattr(pipe, name) for name in trained_parts(recipe, pipe)}
    if recipe.full:
        for name, part in parts.items():
            part.to(working_dtype(recipe, run.device)).save_pretrained(folder / name)
    else:
        layers = {f"{name}_lora_layers": convert_state_dict_to_diffusers(get_peft_model_state_dict(part)) for name, part in parts.items()}
        pipe.save_lora_weights(folder, **layers)


def _lora(rank: int, targets: list[str]) -> Any:
    return LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=targets)


def _checkpoint_gradients(part: Any, name: str) -> None:
    if name == "unet":
        part.enable_gradient_checkpointing()
    else:
        part.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
