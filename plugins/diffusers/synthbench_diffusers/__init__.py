"""Stable Diffusion generators, fine-tuned on a few references the way diffusers' training examples do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import Generator, Weights, hookimpl, option

from synthbench_diffusers.recipe import Recipe

SMOKE_OPTIONS: Mapping[str, object] = {"steps": 3, "resolution": 64, "checkpoint_every": 2, "sampler_steps": 2}


@dataclass(frozen=True, kw_only=True)
class SD15DreamBooth(Recipe):
    """DreamBooth (arXiv 2208.12242) of Stable Diffusion 1.5, or of any checkpoint that is a `StableDiffusionPipeline`.

    Defaults: diffusers `examples/dreambooth/train_dreambooth.py` and `train_dreambooth_lora.py`.
    """

    name: ClassVar[str] = "sd15-dreambooth"
    pipeline: ClassVar[str] = "StableDiffusionPipeline"
    smoke_options: ClassVar[Mapping[str, object]] = {"checkpoint": "small-sd15", **SMOKE_OPTIONS}

    checkpoint: Weights = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    method: Literal["full", "lora"] = "full"
    """Train the UNet's own weights, or LoRA matrices beside its attention projections."""

    @property
    def full(self) -> bool:
        """Whether whole weights are trained."""
        return self.method == "full"


@dataclass(frozen=True, kw_only=True)
class SDXLLora(Recipe):
    """LoRA DreamBooth of Stable Diffusion XL (arXiv 2307.01952).

    Defaults: diffusers `examples/dreambooth/train_dreambooth_lora_sdxl.py` and its README.
    """

    name: ClassVar[str] = "sdxl-lora"
    pipeline: ClassVar[str] = "StableDiffusionXLPipeline"
    smoke_options: ClassVar[Mapping[str, object]] = {"checkpoint": "small-sdxl", "accumulation": 1, **SMOKE_OPTIONS}

    checkpoint: Weights = "stabilityai/stable-diffusion-xl-base-1.0"
    vae: Weights = ""
    """Another autoencoder, such as `madebyollin/sdxl-vae-fp16-fix`: it runs in `precision`, the checkpoint's in fp32."""
    resolution: Annotated[int, Meta(ge=8)] = 1024
    accumulation: Annotated[int, Meta(ge=1)] = 4
    precision: Literal["fp32", "fp16", "bf16"] = "fp16"
    guidance: float = option(5.0, stage="sample")
    """Of classifier-free guidance; 1 or less is without. diffusers' default for SDXL is 5."""

    @property
    def separate_vae(self) -> str:
        """Where the VAE comes from; empty: the checkpoint."""
        return self.vae


@hookimpl
def synthbench_generators() -> Sequence[type[Generator]]:
    """The two generators."""
    return (SD15DreamBooth, SDXLLora)
