"""Boxes from the UNet's cross-attention: of images while they are sampled, and of others.

To an image that was not sampled noise is added, and the attention maps are read while the UNet predicts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import DDPMScheduler
from PIL import Image
from synthbench import Sample, SynthbenchError, derive_seed

from synthbench_diffusers.attention import AttentionMaps
from synthbench_diffusers.boxes import boxes_from_map
from synthbench_diffusers.checkpoint import open_pipeline, working_dtype
from synthbench_diffusers.conditioning import encode, token_weights
from synthbench_diffusers.references import to_batch
from synthbench_diffusers.sampling import in_batches, prompt_of, sampler_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from synthbench import Boxes, ImageSet, Run, SampleRequest

    from synthbench_diffusers.native import NativeBoxes


def sample(recipe: NativeBoxes, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
    """See `NativeBoxes.sample`."""
    if recipe.boxes:
        check_categories(recipe, request.categories)
    pipe = open_pipeline(recipe, run, fitted).to(run.device)
    sampler = sampler_of(recipe, pipe, run)
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


def locate(recipe: NativeBoxes, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """See `NativeBoxes.locate`."""
    for heatmap in heatmaps(recipe, fitted, images, run):
        yield boxes_from_map(heatmap, recipe.box_threshold, recipe.min_box_area)


def heatmaps(recipe: NativeBoxes, fitted: Path, images: ImageSet, run: Run) -> Iterator[NDArray[np.float32]]:
    """For each image, float32 (height, width), the attention to the class word while the fitted model denoises it.

    Uses the first of the prompts. Images keep their aspect ratio; the shorter side is resized to `recipe.side`.
    """
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
            with torch.autocast(pipe.device.type, dtype, enabled=pipe.unet.dtype != dtype):
                pipe.unet(noisy.to(run.device, dtype), times.to(run.device), **condition.arguments([size] * len(times)))
        yield read_maps(recipe, maps, picture.height, picture.width).mean(0)


def _resized(pixels: NDArray[np.uint8], shorter: int, pipe: Any) -> NDArray[np.uint8]:
    """The image with about this shorter side, in pixels. Both sides are multiples of the VAE's and UNet's total downscaling."""
    factor = pipe.vae_scale_factor * 2 ** (len(pipe.unet.config.block_out_channels) - 1)
    height, width = pixels.shape[:2]
    sides = [max(round(side * shorter / min(height, width) / factor), 1) * factor for side in (height, width)]
    return np.asarray(Image.fromarray(pixels).resize((sides[1], sides[0]), Image.Resampling.BILINEAR), np.uint8)


def check_categories(recipe: NativeBoxes, categories: tuple[str, ...]) -> None:
    """Raises SynthbenchError unless there is exactly one category: boxes come from one word."""
    if len(categories) != 1:
        raise SynthbenchError(
            f"{recipe.name}: boxes come from the attention to one word, {recipe.class_word!r}, but the data have {len(categories)} "
            f"categories ({', '.join(categories)}); set boxes = false and use another annotator than 'native'"
        )


def word_weights(recipe: NativeBoxes, pipe: Any, prompt: str) -> Any:
    """`token_weights` of the class word. Raises SynthbenchError if they are None."""
    weights = token_weights(pipe.tokenizer, prompt, recipe.class_word)
    if weights is None:
        raise SynthbenchError(
            f"{recipe.name}: class_word {recipe.class_word!r} is not a word of the prompt {prompt!r}, or comes after the last token that "
            "is read; put it into the prompt as it is written, nearer to the start, or set boxes = false"
        )
    return weights


def read_maps(recipe: NativeBoxes, maps: AttentionMaps, height: int, width: int) -> NDArray[np.float32]:
    """The mean maps, float32 (B, height, width) in pixels. Raises SynthbenchError if the options exclude all maps."""
    heatmaps = maps.read(height, width)
    if heatmaps is None:
        raise SynthbenchError(
            f"{recipe.name}: no attention map has map_scales {recipe.map_scales}, map_blocks {recipe.map_blocks} and map_times "
            f"{recipe.map_times}; allow more of them"
        )
    return np.asarray(heatmaps.numpy(), np.float32)
