"""Prior preservation: images of the class, sampled from the checkpoint before it is fine-tuned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from synthbench import derive_seed
from synthbench.contract.images import read_image, write_image

from synthbench_diffusers.checkpoint import working_dtype
from synthbench_diffusers.conditioning import encode
from synthbench_diffusers.sampling import Sampler, in_batches

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from synthbench import Run

    from synthbench_diffusers.recipe import Recipe

SAMPLE_BATCH_SIZE = 4  # as in diffusers' scripts; the option of this name must not affect `fit`
OPTIONS = ("class_prompt", "num_class_images", "resolution")
"""What the images depend on, besides `Recipe.loading_options` and the seed."""


def class_images(recipe: Recipe, pipe: Any, run: Run) -> list[NDArray[np.uint8]]:
    """uint8 (resolution, resolution, 3) RGB images of `class_prompt`, shared by fits that differ in other options or in references.

    pipe: the checkpoint's, before anything in it is trained.
    """
    folder = run.shared("class_images", (*recipe.loading_options, *OPTIONS), lambda folder: sample_missing(recipe, pipe, run, folder))
    return [read_image(path) for path in _paths(recipe, folder)]


def sample_missing(recipe: Recipe, pipe: Any, run: Run, folder: Path) -> None:
    """Samples the images that are not in the folder yet."""
    paths = _paths(recipe, folder)
    missing = [number for number, path in enumerate(paths) if not path.is_file()]
    if not missing:
        return
    sampler = Sampler(pipe, working_dtype(recipe, run.device), recipe.resolution, guidance_scale=recipe.pipeline_guidance)
    with torch.no_grad():
        condition = encode(pipe, recipe.class_prompt)
    for batch in run.track(in_batches(missing[0], len(paths), SAMPLE_BATCH_SIZE), "class images", unit="batches"):
        seeds = [derive_seed(run.seed, "class image", number) for number in batch]
        for path, image in zip(paths[batch.start :], sampler.images([condition] * len(batch), seeds), strict=False):
            part = folder / "part.png"
            write_image(part, image)
            part.rename(path)
    pipe.vae.disable_tiling()  # a fit that samples none encodes as this one does


def _paths(recipe: Recipe, folder: Path) -> list[Path]:
    return [folder / f"{number:06d}.png" for number in range(recipe.num_class_images)]
