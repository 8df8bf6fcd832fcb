"""Boxes from the UNet's cross-attention: of images while they are sampled, and of others.

To an image that was not sampled noise is added, and the attention maps are read while the UNet predicts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import DDPMScheduler
from PIL import Image
from synthbench import Sample, SynthbenchError, derive_seed

from synthbench_diffusers.attention import AttentionMaps
from synthbench_diffusers.boxes import boxes_from_maps
from synthbench_diffusers.checkpoint import open_pipeline, working_dtype
from synthbench_diffusers.classes import Prompts, Shown
from synthbench_diffusers.conditioning import encode, note_cut, token_weights
from synthbench_diffusers.references import to_batch
from synthbench_diffusers.sampling import in_batches, sampler_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from synthbench import Boxes, ImageSet, Run, SampleRequest

    from synthbench_diffusers.native import NativeBoxes


def sample(recipe: NativeBoxes, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
    """See `NativeBoxes.sample`."""
    prompts = Prompts.of(recipe, fitted, request.categories, run.seed)
    pipe = open_pipeline(recipe, run, fitted).to(run.device)
    sampler = sampler_of(recipe, pipe, run)
    maps = AttentionMaps(pipe.unet, recipe) if gives_boxes(recipe, request.categories, run) else None
    weights = {named: word_weights(recipe, pipe, prompts.words, *named) for named in prompts.every()} if maps else {}
    with torch.no_grad():
        conditions = {prompt: encode(pipe, prompt) for prompt, _ in prompts.every()}
    note_cut(pipe, conditions, run)
    for batch in run.track(in_batches(request.start, request.stop, recipe.sample_batch_size), "sample", unit="batches"):
        drawn = [prompts[number] for number in batch]
        if maps:
            side = recipe.side // pipe.vae_scale_factor
            maps.reset(torch.stack([weights[named] for named in drawn]).to(run.device), (side, side))
        seeds = [derive_seed(run.seed, number, "latents") for number in batch]
        images = sampler.images([conditions[prompt] for prompt, _ in drawn], seeds, maps, recipe.map_times)
        heatmaps = read_maps(recipe, maps, recipe.side, recipe.side) if maps else None
        for index, (number, (prompt, shown)) in enumerate(zip(batch, drawn, strict=True)):
            if request.start <= number < request.stop:
                boxes = None if heatmaps is None else boxes_of(recipe, heatmaps[index, list(shown)], shown)
                yield Sample(images[index], boxes, {"prompt": prompt})


def locate(recipe: NativeBoxes, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """See `NativeBoxes.locate`."""
    labels = range(len(images.categories))
    for heatmap in heatmaps(recipe, fitted, images, run):
        yield boxes_of(recipe, heatmap, labels)


def boxes_of(recipe: NativeBoxes, heatmaps: NDArray[np.float32], labels: Sequence[int]) -> Boxes:
    """`boxes_from_maps` with the recipe's options."""
    return boxes_from_maps(heatmaps, labels, recipe.box_threshold, recipe.min_box_area)


def heatmaps(recipe: NativeBoxes, fitted: Path, images: ImageSet, run: Run) -> Iterator[NDArray[np.float32]]:
    """For each image, float32 (classes, height, width), the attention to each class's word while the fitted model denoises it.

    Uses for each class the first of the prompts that names it. Images keep their aspect ratio; the shorter side is resized to
    `recipe.side`.
    """
    recipe.check_boxes(images.categories)
    prompts = Prompts.of(recipe, fitted, images.categories, run.seed)
    pipe = open_pipeline(recipe, run, fitted).to(run.device)
    maps = AttentionMaps(pipe.unet, recipe)
    readings = prompts.to_locate()
    steps = recipe.locate_steps
    weights = [word_weights(recipe, pipe, prompts.words, *each).to(run.device).repeat(steps, 1, 1) for each in readings]
    with torch.no_grad():
        conditions = [encode(pipe, prompt).repeated(steps) for prompt, _ in readings]
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
            size = (*pixels.shape[:2], 0, 0, *pixels.shape[:2])
            found = np.zeros((len(prompts.words), picture.height, picture.width), np.float32)
            for (_, shown), condition, its_weights in zip(readings, conditions, weights, strict=True):
                maps.reset(its_weights, (clean.shape[2], clean.shape[3]))
                maps.recording = True
                with torch.autocast(pipe.device.type, dtype, enabled=pipe.unet.dtype != dtype):
                    pipe.unet(noisy.to(run.device, dtype), times.to(run.device), **condition.arguments([size] * len(times)))
                found[list(shown)] = read_maps(recipe, maps, picture.height, picture.width).mean(0)[list(shown)]
        yield found


def _resized(pixels: NDArray[np.uint8], shorter: int, pipe: Any) -> NDArray[np.uint8]:
    """The image with about this shorter side, in pixels. Both sides are multiples of the VAE's and UNet's total downscaling."""
    factor = pipe.vae_scale_factor * 2 ** (len(pipe.unet.config.block_out_channels) - 1)
    height, width = pixels.shape[:2]
    sides = [max(round(side * shorter / min(height, width) / factor), 1) * factor for side in (height, width)]
    return np.asarray(Image.fromarray(pixels).resize((sides[1], sides[0]), Image.Resampling.BILINEAR), np.uint8)


def gives_boxes(recipe: NativeBoxes, categories: tuple[str, ...], run: Run) -> bool:
    """Whether boxes come with the images. If the options ask for them in vain, the images are sampled all the same: others label them."""
    if not recipe.boxes:
        return False
    try:
        recipe.check_boxes(categories)
    except SynthbenchError as error:
        run.note(f"the images come without boxes: {error}")
        return False
    return True


def word_weights(recipe: NativeBoxes, pipe: Any, words: Sequence[str], prompt: str, shown: Shown) -> Any:
    """`token_weights` of the words of the shown classes, zeros for the others: float32 (classes, tokens).

    Raises SynthbenchError if a word is not found.
    """
    found = torch.zeros(len(words), pipe.tokenizer.model_max_length)
    for label in shown:
        weights = token_weights(pipe.tokenizer, prompt, words[label])
        if weights is None:
            option = "class_words" if recipe.by_class or len(words) > 1 else "class_word"
            raise SynthbenchError(
                f"{recipe.name}: {option}: {words[label]!r} is not a word of the prompt {prompt!r}, or comes after the last token that "
                "is read; put it into the prompt as it is written, nearer to the start"
            )
        found[label] = weights
    return found


def read_maps(recipe: NativeBoxes, maps: AttentionMaps, height: int, width: int) -> NDArray[np.float32]:
    """The mean maps, float32 (B, classes, height, width) in pixels. Raises SynthbenchError if the options exclude all maps."""
    heatmaps = maps.read(height, width)
    if heatmaps is None:
        raise SynthbenchError(
            f"{recipe.name}: no attention map has map_scales {recipe.map_scales}, map_blocks {recipe.map_blocks} and map_times "
            f"{recipe.map_times}; allow more of them"
        )
    return np.asarray(heatmaps.numpy(), np.float32)
