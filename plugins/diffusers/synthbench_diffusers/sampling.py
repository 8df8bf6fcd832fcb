"""Sampling images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, LCMScheduler
from synthbench import SynthbenchError, derive_seed

from synthbench_diffusers.checkpoint import working_dtype
from synthbench_diffusers.conditioning import Condition, encode_negative

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from synthbench import Run

    from synthbench_diffusers.attention import AttentionMaps
    from synthbench_diffusers.recipe import Recipe

SCHEDULERS: Mapping[str, tuple[Any, Mapping[str, str | bool]]] = {
    "ddim": (DDIMScheduler, {"clip_sample": False}),  # its default, for images, would clip latents where a checkpoint says nothing
    "dpm++": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++"}),  # a checkpoint may name a random one
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
    """Samples square images. size: their side in pixels.

    An image depends on its seed; the scheduler `lcm` draws more noise from the seed, the others are deterministic.
    """

    pipe: Any
    dtype: Any
    size: int
    scheduler: str = "dpm++"
    num_inference_steps: int = 20
    guidance_scale: float = 7.5
    negative_prompt: str = ""

    def __post_init__(self) -> None:
        check_size(self.pipe, self.size, "images")
        if self.size > TILED_ABOVE:
            self.pipe.vae.enable_tiling()

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def images(
        self,
        prompts: Sequence[Condition],
        seeds: Sequence[int],
        maps: AttentionMaps | None = None,
        times: tuple[float, float] = (0, 1),
        original: Original | None = None,
    ) -> NDArray[np.uint8]:
        """uint8 (B, size, size, 3) RGB, one image for each prompt and seed.

        maps: record at timesteps within `times`, as shares of the scheduler's timesteps.
        """
        unet, device = self.pipe.unet, self.pipe.device
        kind, changes = SCHEDULERS[self.scheduler]
        scheduler = kind.from_config(self.pipe.scheduler.config, **changes)
        try:
            scheduler.set_timesteps(self.num_inference_steps, device=device)
        except ValueError as error:
            told = f"num_inference_steps: {self.num_inference_steps} are too many for scheduler = {self.scheduler!r} ({error})"
            raise SynthbenchError(told) from None
        told_guidance = unet.config.time_cond_proj_dim  # of distilled models, such as LCM's own: guidance is an input of the UNet
        guided = self.guidance_scale > 1 and told_guidance is None
        conditions = Condition.joined([*([self._negative] * len(prompts) if guided else ()), *prompts])
        arguments = conditions.arguments([(self.size, self.size, 0, 0, self.size, self.size)] * len(conditions.states))
        if told_guidance is not None:
            scales = torch.full((len(prompts),), self.guidance_scale - 1)
            embedded = self.pipe.get_guidance_scale_embedding(scales, embedding_dim=told_guidance)
            arguments["timestep_cond"] = embedded.to(device, self.dtype)
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
            latents = scheduler.step(predicted, time, latents, generator=generators).prev_sample
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
        if hasattr(scheduler, "set_begin_index"):  # DDIM reads all from the timestep
            scheduler.set_begin_index(first)
        steps = scheduler.timesteps[first:]
        return scheduler.add_noise(original.latents, noise, steps[:1].repeat(len(noise))), steps

    def _decoded(self, latents: Any) -> NDArray[np.uint8]:
        vae = self.pipe.vae
        pixels = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype)).sample.float()
        if not bool(torch.isfinite(pixels).all()):  # they would be black
            raise SynthbenchError(
                "sampled images have pixels that are not finite: the weights diverged, guidance_scale is too large, or a part overflows in "
                "half precision; lower learning_rate or guidance_scale, or set mixed_precision to another"
            )
        return np.asarray((pixels / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy(), np.uint8)

    @cached_property
    def _negative(self) -> Condition:
        return encode_negative(self.pipe, self.negative_prompt)

    def _noise(self, generators: Sequence[Any]) -> Any:
        """The first latents, drawn on the CPU for each image separately: the same on every device and in every batch."""
        side = self.size // self.pipe.vae_scale_factor
        shape = (1, self.pipe.unet.config.in_channels, side, side)
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


def sampler_of(recipe: Recipe, pipe: Any, run: Run) -> Sampler:
    """A sampler with the recipe's options. Compiles the UNet if they say so."""
    if recipe.torch_compile:
        pipe.unet.compile_repeated_blocks(dynamic=False)
    return Sampler(
        pipe=pipe,
        dtype=working_dtype(recipe, run.device),
        size=recipe.side,
        scheduler=recipe.scheduler,
        num_inference_steps=recipe.num_inference_steps,
        guidance_scale=recipe.guidance_scale,
        negative_prompt=recipe.negative_prompt,
    )


def prompt_of(recipe: Recipe, run: Run, number: int) -> str:
    """The prompt of image `number`."""
    return recipe.sampled_prompts[derive_seed(run.seed, number, "prompt") % len(recipe.sampled_prompts)]
