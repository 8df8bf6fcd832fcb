"""Stable Diffusion generators, fine-tuned on a few references as diffusers' DreamBooth scripts do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import Generator, Weights, hookimpl, option

from synthbench_diffusers.classes import PLACEHOLDER
from synthbench_diffusers.native import NativeBoxes
from synthbench_diffusers.recipe import RENAMED_OPTIONS, Recipe

if TYPE_CHECKING:
    from pathlib import Path

    from synthbench import ImageSet, Run, Sample, SampleRequest

SMOKE_OPTIONS: Mapping[str, object] = {"max_train_steps": 3, "resolution": 64, "checkpointing_steps": 2, "num_inference_steps": 2}


@dataclass(frozen=True, kw_only=True)
class SD15(Recipe):
    """A recipe for checkpoints of a `StableDiffusionPipeline`."""

    pipeline: ClassVar[str] = "StableDiffusionPipeline"
    loading_options: ClassVar[tuple[str, ...]] = (*Recipe.loading_options, "method")

    pretrained_model_name_or_path: Weights = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    method: Literal["full", "lora"] = "full"
    """Train the full weights of the UNet, or LoRA matrices for its attention projections."""

    @property
    def full(self) -> bool:
        """Whether full weights are trained."""
        return self.method == "full"


@dataclass(frozen=True, kw_only=True)
class SD15DreamBooth(SD15, NativeBoxes):
    """DreamBooth (arXiv 2208.12242) of Stable Diffusion 1.5, or of any other checkpoint of a `StableDiffusionPipeline`.

    Defaults: diffusers `examples/dreambooth/train_dreambooth.py` and `train_dreambooth_lora.py`.
    """

    name: ClassVar[str] = "sd15-dreambooth"
    smoke_options: ClassVar[Mapping[str, object]] = {"pretrained_model_name_or_path": "small-sd15", **SMOKE_OPTIONS}


@dataclass(frozen=True, kw_only=True)
class SDXLLora(NativeBoxes):
    """LoRA DreamBooth of Stable Diffusion XL (arXiv 2307.01952).

    Defaults: diffusers `examples/dreambooth/train_dreambooth_lora_sdxl.py` and its README.
    """

    name: ClassVar[str] = "sdxl-lora"
    pipeline: ClassVar[str] = "StableDiffusionXLPipeline"
    pipeline_guidance: ClassVar[float] = 5.0
    loading_options: ClassVar[tuple[str, ...]] = (*NativeBoxes.loading_options, "pretrained_vae_model_name_or_path")
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
    """Forward passes in one optimizer step. `batch_size = 4` with 1 here is the same effective batch in one pass: it needs
    `gradient_checkpointing` on a card of 24 GB, or one of more than 40 GB."""
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


@dataclass(frozen=True, kw_only=True)
class Inpaint(SD15):
    """References of which a `StableDiffusionPipeline` makes a part anew, so that real objects or real surroundings stay.

    The known part is set to its noised original after each denoising step, as in RePaint (arXiv 2201.09865) without its
    resampling, so any checkpoint will do. By default the checkpoint is not fine-tuned.
    """

    name: ClassVar[str] = "inpaint"
    version: ClassVar[int] = 1
    smoke_options: ClassVar[Mapping[str, object]] = {**SD15DreamBooth.smoke_options, "max_train_steps": 1, "sample_batch_size": 2}

    max_train_steps: Annotated[int, Meta(ge=0)] | None = 0
    """Optimizer steps of fine-tuning on the references before. Default: none."""
    part: Literal["background", "objects", "everything"] = option("background", stage="sample")
    """What is made anew: everything outside the boxes, everything inside them, or the whole image (image-to-image)."""
    background_prompt: str = option("a photo of leaves on a tree", stage="sample")
    """The prompt for `part = "background"`, unless there are `prompts`. It must not name the objects: new ones would have no boxes."""
    strength: Annotated[float, Meta(gt=0, le=1)] = option(0.7, stage="sample")
    """The share of the denoising steps that are taken: near 0 the part stays as it is, 1 starts it from noise alone."""
    margin: Annotated[float, Meta(ge=0)] = option(0.1, stage="sample")
    """By how much boxes are widened on each side, as a share of their longer side."""
    random_flip: bool = True
    """Flip images horizontally with probability 0.5, those that are trained on and those that are yielded."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.part == "background" and any(PLACEHOLDER in prompt for prompt in self.sampled_prompts):
            option = "prompts" if self.prompts else "background_prompt"
            raise ValueError(f"{option}: {PLACEHOLDER} names the objects, and new ones in the background would have no boxes; leave it out")

    @property
    def sampled_prompts(self) -> tuple[str, ...]:
        """`prompts`, or their default."""
        return self.prompts or ((self.background_prompt,) if self.part == "background" else (self.instance_prompt,))

    def fit(self, references: ImageSet, run: Run) -> None:
        """Keeps the references, and fine-tunes on them if `max_train_steps` says so."""
        from synthbench_diffusers.inpainting import keep_references

        keep_references(self, references, run)
        super().fit(references, run)

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        """References with a new part, and their boxes."""
        from synthbench_diffusers.inpainting import inpaint

        return inpaint(self, fitted, request, run)


@hookimpl
def synthbench_generators() -> Sequence[type[Generator]]:
    """The generators of this distribution."""
    return (SD15DreamBooth, SDXLLora, Inpaint)
