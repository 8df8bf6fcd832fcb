"""The options that both generators have. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import Weights, option

if TYPE_CHECKING:
    from synthbench import Boxes, ImageSet, Run, Sample, SampleRequest

Count = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Fine-tuning of a Stable Diffusion checkpoint on the references, and sampling from it.

    The defaults are those of diffusers' training examples at full size. Fields marked `stage="sample"` change what is
    sampled and located; the fitted weights stay.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    pipeline: ClassVar[str]
    """The class of diffusers that the checkpoint must be of."""

    checkpoint: Weights
    """A shipped checkpoint's name, a folder in diffusers' layout, or a hub id."""
    instance_prompt: str = "a photo of sks apples on a tree"
    """What the references are called: a rare token, and the class."""
    steps: Count | None = None
    """Optimiser steps; none given: 400 for full weights, 800 with prior preservation, 500 for LoRA."""
    learning_rate: Annotated[float, Meta(gt=0)] | None = None
    """None given: 5e-6 for full weights, 1e-4 for LoRA."""
    schedule: Literal["constant", "cosine"] = "constant"
    batch: Count = 1
    """References in a forward pass; with prior preservation as many class images go with them."""
    accumulation: Count = 1
    """Forward passes in a step."""
    resolution: Annotated[int, Meta(ge=8)] = 512
    """Side of the training squares in pixels."""
    crop: Literal["random", "center"] = "random"
    flip: bool = False
    """Mirror half of the references."""
    rank: Count = 4
    """Of the LoRA matrices; alpha is the same."""
    train_text_encoder: bool = False
    min_snr_gamma: Annotated[float, Meta(gt=0)] | None = None
    """Weigh time steps by min(SNR, gamma) (arXiv 2303.09556); 5 is usual."""
    prior_preservation: bool = False
    """Learn from images of the class too, which the checkpoint samples first, so that it does not forget the class."""
    class_prompt: str = "a photo of apples on a tree"
    class_images: Count = 200
    prior_weight: Annotated[float, Meta(ge=0)] = 1.0
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    """Of the passes and of weights that are not trained; what is trained stays fp32. fp16 on a processor is fp32."""
    gradient_checkpointing: bool = False
    adam_8bit: bool = False
    """AdamW with 8-bit state; needs bitsandbytes and a CUDA device."""
    checkpoint_every: Annotated[int, Meta(ge=0)] = 200
    """Steps between two states from which an interrupted fit goes on; 0: none."""

    prompts: tuple[str, ...] = option((), stage="sample")
    """Each image takes one of them by its number; none given: the instance prompt."""
    negative_prompt: str = option("", stage="sample")
    scheduler: Literal["ddim", "dpm++", "euler"] = option("ddim", stage="sample")
    sampler_steps: Annotated[int, Meta(ge=1)] = option(30, stage="sample")
    guidance: float = option(7.5, stage="sample")
    """Of classifier-free guidance; 1 or less is without."""
    sampling_batch: Annotated[int, Meta(ge=1)] = option(4, stage="sample")
    """Images at once on a GPU; on a processor it is always one."""
    sampling_resolution: Annotated[int, Meta(ge=8)] | None = option(None, stage="sample")
    """Side of the sampled images in pixels; none given: that of training."""
    boxes: bool = option(True, stage="sample")
    """Give boxes with the images, from the cross-attention of `class_word`."""
    class_word: str = option("apples", stage="sample")
    """The word, or words, of the prompts that name what the boxes enclose."""
    map_scales: tuple[Annotated[int, Meta(ge=1)], ...] = option((), stage="sample")
    """Which layers' maps count, by latent side over map side: 1 is the finest; none given: all."""
    map_blocks: tuple[Literal["down", "mid", "up"], ...] = option(("down", "mid", "up"), stage="sample")
    """Which parts of the UNet count."""
    map_times: tuple[Annotated[float, Meta(ge=0, le=1)], Annotated[float, Meta(ge=0, le=1)]] = option((0.2, 0.8), stage="sample")
    """Which time steps count: from 0, no noise, to 1, noise alone."""
    locate_steps: Annotated[int, Meta(ge=1)] = option(4, stage="sample")
    """Time steps, spread over `map_times`, at which an image that was not sampled here is looked at."""
    box_threshold: Annotated[float, Meta(ge=0, le=1)] | Literal["otsu"] = option(0.5, stage="sample")
    """Of a map that is stretched to 0..1 per image; or Otsu's choice for each image."""
    box_area: Annotated[float, Meta(ge=0, le=1)] = option(0.0003, stage="sample")
    """The smallest box region, as a share of the image's area."""

    def __post_init__(self) -> None:
        if not self.checkpoint:
            raise ValueError("checkpoint: empty; give a shipped checkpoint's name, a folder or a hub id")
        if self.map_times[0] >= self.map_times[1]:
            raise ValueError(f"map_times: from {self.map_times[0]} to {self.map_times[1]} there is no time step; the first must be smaller")
        without = [prompt for prompt in self.sampled_prompts if self.class_word.lower() not in prompt.lower()]
        if self.boxes and (without or not self.class_word):
            raise ValueError(
                f"class_word: boxes are taken from the attention of {self.class_word!r}, which is not in the prompt "
                f"{self.sampled_prompts[0] if not without else without[0]!r}; change one of them, or set boxes = false"
            )

    @property
    def full(self) -> bool:
        """Whether whole weights are trained, and not LoRA matrices beside them."""
        return False

    @property
    def separate_vae(self) -> str:
        """Where the VAE comes from; empty: the checkpoint."""
        return ""

    @property
    def total_steps(self) -> int:
        """Steps as given, or the recipe's."""
        return self.steps or (500 if not self.full else 800 if self.prior_preservation else 400)

    @property
    def rate(self) -> float:
        """Learning rate as given, or the recipe's."""
        return self.learning_rate or (5e-6 if self.full else 1e-4)

    @property
    def sampled_prompts(self) -> tuple[str, ...]:
        """The prompts that images are sampled with."""
        return self.prompts or (self.instance_prompt,)

    @property
    def side(self) -> int:
        """Side of the sampled images in pixels."""
        return self.sampling_resolution or self.resolution

    def fit(self, references: ImageSet, run: Run) -> None:
        """Fine-tunes on the references' pixels; their boxes are not used."""
        from synthbench_diffusers.training import fit

        fit(self, references, run)

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        """Samples images; their boxes, where asked for, are those of the one category."""
        from synthbench_diffusers.sampling import sample

        return sample(self, fitted, request, run)

    def locate(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Boxes from the cross-attention while the fitted model removes noise from these images."""
        from synthbench_diffusers.locating import locate

        return locate(self, fitted, images, run)
