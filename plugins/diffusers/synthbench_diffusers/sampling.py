"""Sampling images, and boxes from the cross-attention while they are sampled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler
from synthbench import Sample, SynthbenchError, derive_seed

from synthbench_diffusers.attention import AttentionMaps
from synthbench_diffusers.boxes import boxes_of
from synthbench_diffusers.checkpoint import open_pipeline, working_dtype
from synthbench_diffusers.conditioning import Condition, encode, encode_negative, token_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from synthbench import Run, SampleRequest

    from synthbench_diffusers.recipe import Recipe

SCHEDULERS = {"ddim": DDIMScheduler, "dpm++": DPMSolverMultistepScheduler, "euler": EulerDiscreteScheduler}


@dataclass(frozen=True)
class Sampler:
    """How images are sampled: with deterministic schedulers, so that the first latents decide. `size` is in pixels."""

    pipe: Any
    dtype: Any
    size: int
    scheduler: str = "ddim"
    steps: int = 30
    guidance: float = 7.5
    negative_prompt: str = ""

    def __post_init__(self) -> None:
        check_size(self.pipe, self.size, "images")

    def images(
        self, prompts: Sequence[Condition], seeds: Sequence[int], maps: AttentionMaps | None = None, times: tuple[float, float] = (0, 1)
    ) -> NDArray[np.uint8]:
        """uint8 (B, size, size, 3) RGB, one image a prompt and seed; `maps` listens at the share `times` of the noise schedule."""
        unet, vae, device = self.pipe.unet, self.pipe.vae, self.pipe.device
        scheduler = SCHEDULERS[self.scheduler].from_config(self.pipe.scheduler.config)
        scheduler.set_timesteps(self.steps, device=device)
        guided = self.guidance > 1
        with torch.no_grad():
            told = Condition.joined([*([self._negative] * len(prompts) if guided else ()), *prompts])
            arguments = told.arguments([(self.size, self.size, 0, 0, self.size, self.size)] * len(told.states))
            latents = self._noise(seeds).to(device) * scheduler.init_noise_sigma
            for time in scheduler.timesteps:
                if maps is not None:
                    maps.recording = times[0] <= float(time) / scheduler.config.num_train_timesteps <= times[1]
                noisy = scheduler.scale_model_input(torch.cat([latents] * (1 + guided)), time)
                with torch.autocast(device.type, self.dtype, enabled=self.dtype != torch.float32):
                    noise = unet(noisy.to(self.dtype), time, **arguments).sample.float()
                if guided:
                    away, towards = noise.chunk(2)
                    noise = away + self.guidance * (towards - away)
                latents = scheduler.step(noise, time, latents).prev_sample
            pixels = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype)).sample.float()
        return np.asarray((pixels / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy(), np.uint8)

    @cached_property
    def _negative(self) -> Condition:
        return encode_negative(self.pipe, self.negative_prompt)

    def _noise(self, seeds: Sequence[int]) -> Any:
        """Drawn on the processor for each image by itself: the same on every device and in every batch."""
        side = self.size // self.pipe.vae_scale_factor
        shape = (1, self.pipe.unet.config.in_channels, side, side)
        return torch.cat([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def check_size(pipe: Any, size: int, what: str) -> None:
    """Raises SynthbenchError where latents of that many pixels do not come out even."""
    factor = pipe.vae_scale_factor
    if size % factor:
        raise SynthbenchError(
            f"{what} of {size} pixels: this checkpoint needs a multiple of {factor}, such as {size // factor * factor or factor}"
        )


def in_batches(numbers: Sequence[int], size: int, device: str) -> list[Sequence[int]]:
    """Numbers of images that are sampled at once: one on a processor, whatever the size.

    There a batch of four would save a fifth of the time (a UNet of 6 million parameters, one thread), and sums taken in
    another order would make the same image another in its last bits: up to one of 256 steps in some pixels.
    """
    size = 1 if device == "cpu" else size
    return [numbers[first : first + size] for first in range(0, len(numbers), size)]


def sample(recipe: Recipe, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
    """See `Recipe.sample`."""
    if recipe.boxes:
        check_categories(recipe, request.categories)
    pipe = open_pipeline(recipe, run, fitted).to(run.device)
    sampler = Sampler(
        pipe=pipe,
        dtype=working_dtype(recipe, run.device),
        size=recipe.side,
        scheduler=recipe.scheduler,
        steps=recipe.sampler_steps,
        guidance=recipe.guidance,
        negative_prompt=recipe.negative_prompt,
    )
    maps = AttentionMaps(pipe.unet, recipe) if recipe.boxes else None
    weights = {prompt: word_weights(recipe, pipe, prompt) for prompt in recipe.sampled_prompts} if maps else {}
    with torch.no_grad():
        conditions = {prompt: encode(pipe, prompt) for prompt in recipe.sampled_prompts}
    batches = in_batches(range(request.start, request.stop), recipe.sampling_batch, run.device)
    for batch in run.track(batches, "sample", unit="batches"):
        prompts = [recipe.sampled_prompts[derive_seed(run.seed, number, "prompt") % len(recipe.sampled_prompts)] for number in batch]
        if maps:
            side = recipe.side // pipe.vae_scale_factor
            maps.watch(torch.stack([weights[prompt] for prompt in prompts]).to(run.device), (side, side))
        seeds = [derive_seed(run.seed, number, "latents") for number in batch]
        images = sampler.images([conditions[prompt] for prompt in prompts], seeds, maps, recipe.map_times)
        heat = read_maps(recipe, maps, recipe.side, recipe.side) if maps else None
        for place, prompt in enumerate(prompts):
            boxes = None if heat is None else boxes_of(heat[place], recipe.box_threshold, recipe.box_area)
            yield Sample(images[place], boxes, {"prompt": prompt})


def check_categories(recipe: Recipe, categories: tuple[str, ...]) -> None:
    """Raises SynthbenchError where one word's boxes cannot be all."""
    if len(categories) != 1:
        raise SynthbenchError(
            f"{recipe.name}: boxes from attention are of one word, {recipe.class_word!r}, and the data have {len(categories)} categories "
            f"({', '.join(categories)}); set boxes = false and take another annotator"
        )


def word_weights(recipe: Recipe, pipe: Any, prompt: str) -> Any:
    """`token_weights` of the class word. Raises SynthbenchError where the prompt lacks it."""
    found = token_weights(pipe.tokenizer, prompt, recipe.class_word)
    if found is None:
        raise SynthbenchError(
            f"{recipe.name}: class_word {recipe.class_word!r} is no word of the prompt {prompt!r}, or too far at its end; "
            "write it in the prompt as it stands, or set boxes = false"
        )
    return found


def read_maps(recipe: Recipe, maps: AttentionMaps, height: int, width: int) -> NDArray[np.float32]:
    """The maps in pixels, float32 (B, height, width). Raises SynthbenchError where the options leave none over."""
    heat = maps.read(height, width)
    if heat is None:
        raise SynthbenchError(
            f"{recipe.name}: no attention map at map_scales {recipe.map_scales}, map_blocks {recipe.map_blocks} and map_times "
            f"{recipe.map_times}; let more of them count"
        )
    return np.asarray(heat.numpy(), np.float32)
