"""Stable Diffusion generators, fine-tuned on a few references as diffusers' DreamBooth scripts do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import Generator, Weights, hookimpl, option

from synthbench_diffusers.recipe import RENAMED_OPTIONS, Recipe

SMOKE_OPTIONS: Mapping[str, object] = {"max_train_steps": 3, "resolution": 64, "checkpointing_steps": 2, "num_inference_steps": 2}


@dataclass(frozen=True, kw_only=True)
class SD15DreamBooth(Recipe):
    """DreamBooth (arXiv 2208.12242) of Stable Diffusion 1.5, or of any other checkpoint of a `StableDiffusionPipeline`.

    Defaults: diffusers `examples/dreambooth/train_dreambooth.py` and `train_dreambooth_lora.py`.
    """

    name: ClassVar[str] = "sd15-dreambooth"
    pipeline: ClassVar[str] = "StableDiffusionPipeline"
    smoke_options: ClassVar[Mapping[str, object]] = {"pretrained_model_name_or_path": "small-sd15", **SMOKE_OPTIONS}

    pretrained_model_name_or_path: Weights = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    method: Literal["full", "lora"] = "full"
    """Train the full weights of the UNet, or LoRA matrices for its attention projections."""

    @property
    def full(self) -> bool:
        """Whether full weights are trained."""
        return self.method == "full"


@dataclass(frozen=True, kw_only=True)
class SDXLLora(Recipe):
    """LoRA DreamBooth of Stable Diffusion XL (arXiv 2307.01952).

    Defaults: diffusers `examples/dreambooth/train_dreambooth_lora_sdxl.py` and its README.
    """

    name: ClassVar[str] = "sdxl-lora"
    pipeline: ClassVar[str] = "StableDiffusionXLPipeline"
    pipeline_guidance: ClassVar[float] = 5.0
    interpolation: ClassVar[Literal["bilinear", "lanczos"]] = "lanczos"
    weight_decay: ClassVar[tuple[float, float]] = (1e-4, 1e-3)
    renamed_options: ClassVar[Mapping[str, str]] = {**RENAMED_OPTIONS, "vae": "pretrained_vae_model_name_or_path"}
    smoke_options: ClassVar[Mapping[str, object]] = {
        "pretrained_model_name_or_path": "small-sdxl",
        "gradient_accumulation_steps": 1,
        **SMOKE_OPTIONS,
    }

    pretrained_model_name_or_path: Weights = "stabilityai/stable-diffusion-xl-base-1.0"
    pretrained_vae_model_name_or_path: Weights = ""
    """Another VAE, such as `madebyollin/sdxl-vae-fp16-fix`. It runs in `mixed_precision`; the checkpoint's own VAE runs in fp32."""
    resolution: Annotated[int, Meta(ge=8)] = 1024
    gradient_accumulation_steps: Annotated[int, Meta(ge=1)] = 4
    guidance_scale: float = option(5.0, stage="sample")
    """Scale of classifier-free guidance; 1 or less turns it off. 5 is the default of diffusers' SDXL pipeline."""

    @property
    def separate_vae(self) -> str:
        """The folder or hub id of another VAE; empty: the checkpoint's own VAE is used."""
        return self.pretrained_vae_model_name_or_path

    @property
    def text_encoder_rate(self) -> float:
        """`text_encoder_lr`, or its default."""
        return self.text_encoder_lr or 5e-6


@hookimpl
def synthbench_generators() -> Sequence[type[Generator]]:
    """The two generators."""
    return (SD15DreamBooth, SDXLLora)
