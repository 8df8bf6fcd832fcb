"""Sampling images, and boxes from their cross-attention maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, LCMScheduler
from synthbench import Sample, SynthbenchError, derive_seed

from synthbench_diffusers.attention import AttentionMaps
from synthbench_diffusers.boxes import boxes_from_map
from synthbench_diffusers.checkpoint import open_pipeline, working_dtype
from synthbench_diffusers.conditioning import Condition, encode, encode_negative, token_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from synthbench import Run, SampleRequest

    from synthbench_diffusers.recipe import Recipe

SCHEDULERS: Mapping[str, tuple[Any, Mapping[str, str]]] = {
    "ddim": (DDIMScheduler, {}),
    "dpm++": (DPMSolverMultistepScheduler, {}),
    "euler": (EulerDiscreteScheduler, {}),
    "euler-trailing": (EulerDiscreteScheduler, {"timestep_spacing": "trailing"}),
    "lcm": (LCMScheduler, {}),
}
TILED_ABOVE = 1024  # pixels a side, above which the VAE decodes an image in tiles


@dataclass(frozen=True)
class Original:
    """Images to start from, and which parts of them to make anew.

    latents: scaled, float (B, C, h, w). mask: float (B, 1, h, w), 1 where the image is made anew. strength: the share of the
    denoising steps that are taken, 0..1, as in diffusers' image-to-image pipelines.
    """

    latents: Any
    mask: Any
    strength: float


@dataclass(frozen=True)
class Sampler:
    """Samples images. size: (height, width) in pixels, or the side of a square.

    An image depends on its seed; the scheduler `lcm` draws more noise from the seed, the others are deterministic.
    """

    pipe: Any
    dtype: Any
    size: int | tuple[int, int]
    scheduler: str = "dpm++"
    num_inference_steps: int = 20
    guidance_scale: float = 7.5
    negative_prompt: str = ""

    def __post_init__(self) -> None:
        for side in self._sides:
            check_size(self.pipe, side, "images")
        if max(self._sides) > TILED_ABOVE:
            self.pipe.vae.enable_tiling()

    @property
    def _sides(self) -> tuple[int, int]:
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def images(
        self,
        prompts: Sequence[Condition],
        seeds: Sequence[int],
        maps: AttentionMaps | None = None,
        times: tuple[float, float] = (0, 1),
        original: Original | None = None,
    ) -> NDArray[np.uint8]:
        """uint8 (B, height, width, 3) RGB, one image for each prompt and seed.

        maps: record at timesteps within `times`, as shares of the scheduler's timesteps.
        """
        unet, device = self.pipe.unet, self.pipe.device
        kind, changes = SCHEDULERS[self.scheduler]
        scheduler = kind.from_config(self.pipe.scheduler.config, **changes)
        scheduler.set_timesteps(self.num_inference_steps, device=device)
        guided = self.guidance_scale > 1
        conditions = Condition.joined([*([self._negative] * len(prompts) if guided else ()), *prompts])
        arguments = conditions.arguments([(*self._sides, 0, 0, *self._sides)] * len(conditions.states))
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        noise = self._noise(generators).to(device)
        latents, steps = self._first(scheduler, noise, original)
        for number, time in enumerate(steps):
            if maps is not None:
                maps.recording = times[0] <= float(time) / scheduler.config.num_train_timesteps <= times[1]
            noisy = scheduler.scale_model_input(torch.cat([latents] * (1 + guided)), time).to(self.dtype)
            # Autocast only for weights that are in another precision: it would cast each weight again at each step.
            with torch.autocast(device.type, self.dtype, enabled=unet.dtype != self.dtype):
                predicted = unet(noisy, time, **arguments).sample.float()
            if guided:
                unconditional, conditional = predicted.chunk(2)
                predicted = unconditional + self.guidance_scale * (conditional - unconditional)
            more = {"generator": generators} if self.scheduler == "lcm" else {}
            latents = scheduler.step(predicted, time, latents, **more).prev_sample
            if original is not None:
                kept = original.latents
                if number + 1 < len(steps):
                    kept = scheduler.add_noise(kept, noise, steps[number + 1].repeat(len(seeds)))
                latents = original.mask * latents + (1 - original.mask) * kept
        return self._decoded(latents)

    def _first(self, scheduler: Any, noise: Any, original: Original | None) -> tuple[Any, Any]:
        """The first latents, and the timesteps to take."""
        if original is None:
            return noise * scheduler.init_noise_sigma, scheduler.timesteps
        first = min(self.num_inference_steps - 1, round(self.num_inference_steps * (1 - original.strength)))
        scheduler.set_begin_index(first)
        steps = scheduler.timesteps[first:]
        return scheduler.add_noise(original.latents, noise, steps[:1].repeat(len(noise))), steps

    def _decoded(self, latents: Any) -> NDArray[np.uint8]:
        vae = self.pipe.vae
        pixels = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype)).sample.float()
        return np.asarray((pixels / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy(), np.uint8)

    @cached_property
    def _negative(self) -> Condition:
        return encode_negative(self.pipe, self.negative_prompt)

    def _noise(self, generators: Sequence[Any]) -> Any:
        """The first latents, drawn on the CPU for each image separately: the same on every device and in every batch."""
        height, width = (side // self.pipe.vae_scale_factor for side in self._sides)
        shape = (1, self.pipe.unet.config.in_channels, height, width)
        return torch.cat([torch.randn(shape, generator=generator) for generator in generators])


def check_size(pipe: Any, size: int, what: str) -> None:
    """Raises SynthbenchError if `size`, in pixels, is not a multiple of the VAE's downscaling factor."""
    factor = pipe.vae_scale_factor
    if size % factor:
        raise SynthbenchError(
            f"{what} of {size} pixels: this checkpoint needs a multiple of {factor}, such as {size // factor * factor or factor}"
        )


def in_batches(start: int, stop: int, size: int) -> list[range]:
    """The batches that contain the images from `start` to `stop`: always whole ones, from multiples of `size`.

    Floating-point sums are in another order in a batch of another size, which changes some pixels by one of 256 levels. In
    whole batches, an image is the same whichever others are asked for.
    """
    return [range(first, first + size) for first in range(start // size * size, stop, size)]


def sample(recipe: Recipe, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
    """See `Recipe.sample`."""
    if recipe.boxes:
        check_categories(recipe, request.categories)
    pipe = open_pipeline(recipe, run, fitted).to(run.device)
    sampler = sampler_of(recipe, pipe, recipe.side, run)
    maps = AttentionMaps(pipe.unet, recipe) if recipe.boxes else None
    weights = {prompt: word_weights(recipe, pipe, prompt) for prompt in recipe.sampled_prompts} if maps else {}
    with torch.no_grad():
        conditions = {prompt: encode(pipe, prompt) for prompt in recipe.sampled_prompts}
    for batch in run.track(in_batches(request.start, request.stop, recipe.sample_batch_size), "sample", unit="batches"):
        prompts = [prompt_of(recipe, run, number) for number in batch]
        if maps:
            side = recipe.side // pipe.vae_scale_factor
            maps.reset(torch.stack([weights[prompt] for prompt in prompts]).to(run.device), (side, side))
        seeds = [derive_seed(run.seed, number, "latents") for number in batch]
        images = sampler.images([conditions[prompt] for prompt in prompts], seeds, maps, recipe.map_times)
        heatmaps = read_maps(recipe, maps, recipe.side, recipe.side) if maps else None
        for index, (number, prompt) in enumerate(zip(batch, prompts, strict=True)):
            if request.start <= number < request.stop:
                boxes = None if heatmaps is None else boxes_from_map(heatmaps[index], recipe.box_threshold, recipe.min_box_area)
                yield Sample(images[index], boxes, {"prompt": prompt})


def sampler_of(recipe: Recipe, pipe: Any, size: int | tuple[int, int], run: Run) -> Sampler:
    """A sampler with the recipe's options. Compiles the UNet if they say so."""
    if recipe.torch_compile:
        pipe.unet.compile_repeated_blocks(dynamic=False)
    return Sampler(
        pipe=pipe,
        dtype=working_dtype(recipe, run.device),
        size=size,
        scheduler=recipe.scheduler,
        num_inference_steps=recipe.num_inference_steps,
        guidance_scale=recipe.guidance_scale,
        negative_prompt=recipe.negative_prompt,
    )


def prompt_of(recipe: Recipe, run: Run, number: int) -> str:
    """The prompt of image `number`."""
    return recipe.sampled_prompts[derive_seed(run.seed, number, "prompt") % len(recipe.sampled_prompts)]


def check_categories(recipe: Recipe, categories: tuple[str, ...]) -> None:
    """Raises SynthbenchError unless there is exactly one category: boxes come from one word."""
    if len(categories) != 1:
        raise SynthbenchError(
            f"{recipe.name}: boxes come from the attention to one word, {recipe.class_word!r}, but the data have {len(categories)} "
            f"categories ({', '.join(categories)}); set boxes = false and use another annotator than 'native'"
        )


def word_weights(recipe: Recipe, pipe: Any, prompt: str) -> Any:
    """`token_weights` of the class word. Raises SynthbenchError if they are None."""
    weights = token_weights(pipe.tokenizer, prompt, recipe.class_word)
    if weights is None:
        raise SynthbenchError(
            f"{recipe.name}: class_word {recipe.class_word!r} is not a word of the prompt {prompt!r}, or comes after the last token that "
            "is read; put it into the prompt as it is written, nearer to the start, or set boxes = false"
        )
    return weights


def read_maps(recipe: Recipe, maps: AttentionMaps, height: int, width: int) -> NDArray[np.float32]:
    """The mean maps, float32 (B, height, width) in pixels. Raises SynthbenchError if the options exclude all maps."""
    heatmaps = maps.read(height, width)
    if heatmaps is None:
        raise SynthbenchError(
            f"{recipe.name}: no attention map has map_scales {recipe.map_scales}, map_blocks {recipe.map_blocks} and map_times "
            f"{recipe.map_times}; allow more of them"
        )
    return np.asarray(heatmaps.numpy(), np.float32)
