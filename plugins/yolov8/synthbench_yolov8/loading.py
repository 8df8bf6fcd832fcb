"""The training images in batches that are one ultralytics epoch each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Protocol

import torch
from torch.utils.data import Sampler

from synthbench_yolov8.library import InfiniteDataLoader, seed_worker

PREFETCHED = 4  # batches a worker process prepares, as in ultralytics


class Counter(Protocol):
    """Something that counts steps."""

    steps: int


class Order(Sampler[int]):  # type: ignore[misc]
    """The indices of the images of all batches that are still to come. Its length is that of one batch, so that an epoch is one."""

    def __init__(self, batches: Sequence[Sequence[int]], counter: Counter) -> None:
        self._batches, self._counter = batches, counter

    def __len__(self) -> int:
        return len(self._batches[0])

    def __iter__(self) -> Iterator[int]:
        """Begins with the next step: ultralytics starts a new iterator when it stops making mosaics."""
        return chain.from_iterable(self._batches[self._counter.steps :])


def step_loader(dataset: Any, order: Order, workers: int, seed: int, *, pin: bool) -> InfiniteDataLoader:
    """A loader of the batches of `order`. workers: processes; 0 reads in this process. pin: for copies to a GPU."""
    return InfiniteDataLoader(
        dataset=dataset,
        batch_size=len(order),
        sampler=order,
        num_workers=workers,
        prefetch_factor=PREFETCHED if workers else None,
        pin_memory=pin,
        collate_fn=dataset.collate_fn,
        worker_init_fn=seed_worker,
        generator=torch.Generator().manual_seed(seed),
    )
