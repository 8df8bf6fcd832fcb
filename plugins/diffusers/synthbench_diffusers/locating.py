"""Boxes in images that were not sampled: noise is added, and the attention maps are read while the UNet predicts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import DDPMScheduler
from PIL import Image
from synthbench import derive_seed

from synthbench_diffusers.attention import AttentionMaps
from synthbench_diffusers.boxes import boxes_from_map
from synthbench_diffusers.checkpoint import open_pipeline, working_dtype
from synthbench_diffusers.conditioning import encode
from synthbench_diffusers.references import to_batch
from synthbench_diffusers.sampling import check_categories, read_maps, word_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from synthbench import Boxes, ImageSet, Run

    from synthbench_diffusers.recipe import Recipe


def locate(recipe: Recipe, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """See `Recipe.locate`. Uses the first of the prompts. Images keep their aspect ratio; the shorter side is resized to `recipe.side`."""
    check_categories(recipe, images.categories)
    pipe = open_pipeline(recipe, run, fitted).to(run.device)
    maps = AttentionMaps(pipe.unet, recipe)
    prompt = recipe.sampled_prompts[0]
    weights = word_weights(recipe, pipe, prompt).to(run.device).repeat(recipe.locate_steps, 1)
    with torch.no_grad():
        condition = encode(pipe, prompt).repeated(recipe.locate_steps)
    schedule = DDPMScheduler.from_config(pipe.scheduler.config)
    latest = schedule.config.num_train_timesteps - 1
    times = torch.linspace(recipe.map_times[0] * latest, recipe.map_times[1] * latest, recipe.locate_steps).round().long()
    dtype = working_dtype(recipe, run.device)
    for number, picture in enumerate(run.track(images, "locate", unit="images")):
        pixels = _resized(picture.pixels(), recipe.side, pipe)
        generator = torch.Generator().manual_seed(derive_seed(run.seed, number, "locate"))
        with torch.no_grad():
            clean = pipe.vae.encode(to_batch(pixels).to(run.device, pipe.vae.dtype)).latent_dist.mean.float().cpu()
            clean = clean.repeat(len(times), 1, 1, 1) * pipe.vae.config.scaling_factor
            noisy = schedule.add_noise(clean, torch.randn(clean.shape, generator=generator), times)
            maps.reset(weights, (clean.shape[2], clean.shape[3]))
            maps.recording = True
            size = (*pixels.shape[:2], 0, 0, *pixels.shape[:2])
            with torch.autocast(pipe.device.type, dtype, enabled=dtype != torch.float32):
                pipe.unet(noisy.to(run.device, dtype), times.to(run.device), **condition.arguments([size] * len(times)))
        heatmap = read_maps(recipe, maps, picture.height, picture.width).mean(0)
        yield boxes_from_map(heatmap, recipe.box_threshold, recipe.min_box_area)


def _resized(pixels: NDArray[np.uint8], shorter: int, pipe: Any) -> NDArray[np.uint8]:
    """The image with about this shorter side, in pixels. Both sides are multiples of the VAE's and UNet's total downscaling."""
    factor = pipe.vae_scale_factor * 2 ** (len(pipe.unet.config.block_out_channels) - 1)
    height, width = pixels.shape[:2]
    sides = [max(round(side * shorter / min(height, width) / factor), 1) * factor for side in (height, width)]
    return np.asarray(Image.fromarray(pixels).resize((sides[1], sides[0]), Image.Resampling.BILINEAR), np.uint8)
