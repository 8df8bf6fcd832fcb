"""Sampling images, and boxes from their cross-attention maps."""

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
from synthbench_diffusers.boxes import boxes_from_map
from synthbench_diffusers.checkpoint import open_pipeline, working_dtype
from synthbench_diffusers.conditioning import Condition, encode, encode_negative, token_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from synthbench import Run, SampleRequest

    from synthbench_diffusers.recipe import Recipe

SCHEDULERS = {"ddim": DDIMScheduler, "dpm++": DPMSolverMultistepScheduler, "euler": EulerDiscreteScheduler}


@dataclass(frozen=True)
class Sampler:
    """Samples images. All schedulers are deterministic, so an image depends on its first latents. size: in pixels."""

    pipe: Any
    dtype: Any
    size: int
    scheduler: str = "ddim"
    num_inference_steps: int = 30
    guidance_scale: float = 7.5
    negative_prompt: str = ""

    def __post_init__(self) -> None:
        check_size(self.pipe, self.size, "images")

    def images(
        self, prompts: Sequence[Condition], seeds: Sequence[int], maps: AttentionMaps | None = None, times: tuple[float, float] = (0, 1)
    ) -> NDArray[np.uint8]:
        """uint8 (B, size, size, 3) RGB, one image for each prompt and seed.

        maps: record at timesteps within `times`, as shares of the scheduler's timesteps.
        """
        unet, vae, device = self.pipe.unet, self.pipe.vae, self.pipe.device
        scheduler = SCHEDULERS[self.scheduler].from_config(self.pipe.scheduler.config)
        scheduler.set_timesteps(self.num_inference_steps, device=device)
        guided = self.guidance_scale > 1
        with torch.no_grad():
            conditions = Condition.joined([*([self._negative] * len(prompts) if guided else ()), *prompts])
            arguments = conditions.arguments([(self.size, self.size, 0, 0, self.size, self.size)] * len(conditions.states))
            latents = self._noise(seeds).to(device) * scheduler.init_noise_sigma
            for time in scheduler.timesteps:
                if maps is not None:
                    maps.recording = times[0] <= float(time) / scheduler.config.num_train_timesteps <= times[1]
                noisy = scheduler.scale_model_input(torch.cat([latents] * (1 + guided)), time)
                with torch.autocast(device.type, self.dtype, enabled=self.dtype != torch.float32):
                    noise = unet(noisy.to(self.dtype), time, **arguments).sample.float()
                if guided:
                    unconditional, conditional = noise.chunk(2)
                    noise = unconditional + self.guidance_scale * (conditional - unconditional)
                latents = scheduler.step(noise, time, latents).prev_sample
            pixels = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype)).sample.float()
        return np.asarray((pixels / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy(), np.uint8)

    @cached_property
    def _negative(self) -> Condition:
        return encode_negative(self.pipe, self.negative_prompt)

    def _noise(self, seeds: Sequence[int]) -> Any:
        """The first latents, drawn on the CPU for each image separately: the same on every device and in every batch."""
        side = self.size // self.pipe.vae_scale_factor
        shape = (1, self.pipe.unet.config.in_channels, side, side)
        return torch.cat([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def check_size(pipe: Any, size: int, what: str) -> None:
    """Raises SynthbenchError if `size`, in pixels, is not a multiple of the VAE's downscaling factor."""
    factor = pipe.vae_scale_factor
    if size % factor:
        raise SynthbenchError(
            f"{what} of {size} pixels: this checkpoint needs a multiple of {factor}, such as {size // factor * factor or factor}"
        )


def in_batches(numbers: Sequence[int], size: int, device: str) -> list[Sequence[int]]:
    """Image numbers, split into batches of `size`; of one image on a CPU, whatever the size.

    On a CPU a batch of four would take a fifth less time (UNet of 6 million parameters, one thread). But floating-point
    sums in another order would change some pixels by one of 256 levels, so images would depend on the batch size.
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
        num_inference_steps=recipe.num_inference_steps,
        guidance_scale=recipe.guidance_scale,
        negative_prompt=recipe.negative_prompt,
    )
    maps = AttentionMaps(pipe.unet, recipe) if recipe.boxes else None
    weights = {prompt: word_weights(recipe, pipe, prompt) for prompt in recipe.sampled_prompts} if maps else {}
    with torch.no_grad():
        conditions = {prompt: encode(pipe, prompt) for prompt in recipe.sampled_prompts}
    batches = in_batches(range(request.start, request.stop), recipe.sample_batch_size, run.device)
    for batch in run.track(batches, "sample", unit="batches"):
        prompts = [recipe.sampled_prompts[derive_seed(run.seed, number, "prompt") % len(recipe.sampled_prompts)] for number in batch]
        if maps:
            side = recipe.side // pipe.vae_scale_factor
            maps.reset(torch.stack([weights[prompt] for prompt in prompts]).to(run.device), (side, side))
        seeds = [derive_seed(run.seed, number, "latents") for number in batch]
        images = sampler.images([conditions[prompt] for prompt in prompts], seeds, maps, recipe.map_times)
        heatmaps = read_maps(recipe, maps, recipe.side, recipe.side) if maps else None
        for index, prompt in enumerate(prompts):
            boxes = None if heatmaps is None else boxes_from_map(heatmaps[index], recipe.box_threshold, recipe.min_box_area)
            yield Sample(images[index], boxes, {"prompt": prompt})


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
