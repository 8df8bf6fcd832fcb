"""Training with equal effort: batches and measured points that depend on the number of steps, not on the size of the training set."""

from __future__ import annotations

from synthbench.contract.types import derive_seed


def training_batches(images: int, batch_size: int, steps: int, seed: int) -> list[list[int]]:
    """The indices of the images of each step: `steps` lists of exactly `batch_size` indices below `images`.

    The images are drawn in passes, each in a new random order, and a batch goes on across the end of a pass. So every training
    set gives the same number of optimizer steps, each on the same number of images, also if it is smaller than a batch.
    Raises ValueError if a number is below 1.
    """
    import numpy as np

    if min(images, batch_size, steps) < 1:
        raise ValueError(f"batches need images, and sizes above 0: {images} images, batches of {batch_size}, {steps} steps")
    rng = np.random.default_rng(derive_seed("training batches", seed))
    order: list[int] = []
    while len(order) < steps * batch_size:
        order += rng.permutation(images).tolist()
    return [order[first : first + batch_size] for first in range(0, steps * batch_size, batch_size)]


def curve_steps(steps: int, points: int = 20) -> frozenset[int]:
    """The steps, counted from 1, after which a training of `steps` steps measures a point of its learning curves.

    At most `points`, evenly spaced; the last step is one of them.
    """
    return frozenset(round(steps * number / points) for number in range(1, points + 1)) - {0}
