"""References of which a part is made anew: the surroundings of the objects, the objects, or everything at low strength."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from synthbench import Boxes, ImageSet, Sample, SynthbenchError, derive_seed
from synthbench.storage.coco import read_set, write_set

from synthbench_diffusers.checkpoint import open_pipeline
from synthbench_diffusers.classes import filled, shown_in, words_of
from synthbench_diffusers.conditioning import encode
from synthbench_diffusers.references import to_batch
from synthbench_diffusers.sampling import Original, in_batches, prompt_of, sampler_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from synthbench import Run, SampleRequest

    from synthbench_diffusers import Inpaint

REFERENCES = "references"  # the folder of a fit that holds them
FEATHER = 2  # pixels over which kept and new pixels blend


def keep_references(recipe: Inpaint, references: ImageSet, run: Run) -> None:
    """Copies the references with their boxes into the fit. Raises SynthbenchError if one has no labels or all have no boxes."""
    unlabelled = [picture.path.name for picture in references if picture.boxes is None]
    if unlabelled:
        raise SynthbenchError(f"{recipe.name}: {len(unlabelled)} references have no labels, {unlabelled[0]} for one; it needs their boxes")
    if not any(len(picture.boxes or ()) for picture in references):
        raise SynthbenchError(f"{recipe.name}: no reference has a box, so there is nothing to keep or to make anew")
    samples = (Sample(picture.path, picture.boxes) for picture in references)
    write_set(run.workdir / REFERENCES, references.categories, samples)


def inpaint(recipe: Inpaint, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
    """Yields references with a new part. Image i shows the i-th reference in an order that the seed shuffles anew in each round.

    Its boxes are the reference's own: they are exact for `background`, and where the objects were for the other parts.
    """
    references = read_set(fitted / REFERENCES)
    pipe = open_pipeline(recipe, run, fitted).to(run.device)
    squares = [square(picture.pixels(), picture.boxes or Boxes.none(), recipe.side) for picture in references]
    words = words_of(recipe, references.categories)
    shown = [shown_in(boxes, len(words)) for _, boxes in squares]
    prompts_of_square = [{prompt: filled(prompt, words, each) for prompt in recipe.sampled_prompts} for each in shown]
    with torch.no_grad():
        several = dict.fromkeys(prompt for some in prompts_of_square for prompt in some.values())
        conditions = {prompt: encode(pipe, prompt) for prompt in several}
    sampler = sampler_of(recipe, pipe, run)
    for batch in run.track(in_batches(request.start, request.stop, recipe.sample_batch_size), "sample", unit="batches"):
        turns = [turn_of(run.seed, number, len(squares)) for number in batch]
        chosen = [squares[turn] for turn in turns]
        flips = [bool(derive_seed(run.seed, number, "flip") % 2) and recipe.random_flip for number in batch]
        pairs = [flipped(*each) if flip else each for each, flip in zip(chosen, flips, strict=True)]
        masks = [new_part(recipe, boxes) for _, boxes in pairs]
        original = Original(latents_of(pipe, [pixels for pixels, _ in pairs]), latent_masks(pipe, masks), recipe.strength)
        prompts = [prompts_of_square[turn][prompt_of(recipe, run, number)] for turn, number in zip(turns, batch, strict=True)]
        seeds = [derive_seed(run.seed, number, "latents") for number in batch]
        images = sampler.images([conditions[prompt] for prompt in prompts], seeds, original=original)
        for number, image, (pixels, boxes), mask, prompt in zip(batch, images, pairs, masks, prompts, strict=True):
            if request.start <= number < request.stop:
                yield Sample(blended(pixels, image, mask), boxes, {"prompt": prompt})


def turn_of(seed: int, number: int, count: int) -> int:
    """Which of `count` references image `number` shows."""
    order = np.random.default_rng([seed, number // count]).permutation(count)
    return int(order[number % count])


def square(pixels: NDArray[np.uint8], boxes: Boxes, side: int) -> tuple[NDArray[np.uint8], Boxes]:
    """The central square of an image, resized to `side` pixels, with the boxes of which a pixel at least is inside."""
    height, width = pixels.shape[:2]
    length = min(height, width)
    left, top = (width - length) // 2, (height - length) // 2
    cut = Image.fromarray(pixels[top : top + length, left : left + length]).resize((side, side), Image.Resampling.LANCZOS)
    clipped = np.clip(boxes.xyxy - np.array([left, top] * 2), 0, length) * (side / length)
    seen = (clipped[:, 2:] - clipped[:, :2] >= 1).all(1)
    kept = boxes.keep(seen)
    return np.asarray(cut, np.uint8), Boxes(clipped[seen], kept.labels, kept.scores, kept.crowd)


def flipped(pixels: NDArray[np.uint8], boxes: Boxes) -> tuple[NDArray[np.uint8], Boxes]:
    """An image and its boxes, mirrored horizontally."""
    x1, y1, x2, y2 = boxes.xyxy.T
    width = pixels.shape[1]
    return pixels[:, ::-1], Boxes(np.stack([width - x2, y1, width - x1, y2], 1), boxes.labels, boxes.scores, boxes.crowd)


def new_part(recipe: Inpaint, boxes: Boxes) -> NDArray[np.bool_]:
    """Which pixels are made anew: bool (side, side)."""
    inside = np.zeros((recipe.side, recipe.side), bool)
    for x1, y1, x2, y2 in boxes.xyxy:
        margin = min(recipe.margin * float(max(x2 - x1, y2 - y1)), float(recipe.side))
        rows = slice(max(int(np.floor(y1 - margin)), 0), max(int(np.ceil(y2 + margin)), 0))
        inside[rows, max(int(np.floor(x1 - margin)), 0) : max(int(np.ceil(x2 + margin)), 0)] = True
    return {"background": ~inside, "objects": inside, "everything": np.ones_like(inside)}[recipe.part]


def latents_of(pipe: Any, images: list[NDArray[np.uint8]]) -> Any:
    """Scaled latents float (B, C, h, w) of images of one size."""
    pixels = torch.cat([to_batch(image) for image in images]).to(pipe.device, pipe.vae.dtype)
    with torch.inference_mode():
        return pipe.vae.encode(pixels).latent_dist.mean.float() * pipe.vae.config.scaling_factor


def latent_masks(pipe: Any, masks: list[NDArray[np.bool_]]) -> Any:
    """Masks float (B, 1, h, w) of latents: 1 where any of the pixels is made anew."""
    pixels = torch.from_numpy(np.stack(masks)[:, None]).float()
    return torch.nn.functional.max_pool2d(pixels, pipe.vae_scale_factor).to(pipe.device)


def blended(old: NDArray[np.uint8], new: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The new pixels where the mask is true and the old ones elsewhere, which the VAE would have blurred; a soft edge between."""
    soft = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(FEATHER))
    share = np.where(mask, np.asarray(soft, np.float32) / 255, 0)[..., None]  # no kept pixel changes
    return np.asarray((share * new + (1 - share) * old).round(), np.uint8)
