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
    import numpy as np
    from numpy.typing import NDArray
    from synthbench import Run

    from synthbench_diffusers.recipe import Recipe

SAMPLE_BATCH_SIZE = 4  # as in diffusers' scripts; the option of this name must not affect `fit`


def class_images(recipe: Recipe, pipe: Any, run: Run) -> list[NDArray[np.uint8]]:
    """uint8 (resolution, resolution, 3) RGB images of `class_prompt`. A resumed fit samples only those that are missing."""
    folder = run.workdir / "class_images"
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number:06d}.png" for number in range(recipe.num_class_images)]
    missing = [number for number, path in enumerate(paths) if not path.is_file()]
    if missing:
        sampler = Sampler(pipe, working_dtype(recipe, run.device), recipe.resolution, guidance_scale=recipe.pipeline_guidance)
        with torch.no_grad():
            condition = encode(pipe, recipe.class_prompt)
        for batch in run.track(in_batches(missing[0], len(paths), SAMPLE_BATCH_SIZE), "class images", unit="batches"):
            seeds = [derive_seed(run.seed, "class image", number) for number in batch]
            for path, image in zip(paths[batch.start :], sampler.images([condition] * len(batch), seeds), strict=False):
                part = folder / "part.png"
                write_image(part, image)
                part.rename(path)
        pipe.vae.disable_tiling()  # a resumed fit, which samples none, encodes as this one does
    return [read_image(path) for path in paths]
