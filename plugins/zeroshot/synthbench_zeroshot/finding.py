"""Running a model that finds what texts name over a set of images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Protocol

from synthbench.metrics import nms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from synthbench import Boxes, Picture


class Finder(Protocol):
    """A model that finds what texts name. default_threshold: the score from which its authors' examples keep boxes."""

    default_threshold: ClassVar[float]

    def detect(self, images: Sequence[NDArray[np.uint8]], prompts: Sequence[str]) -> list[Boxes]:
        """The boxes in each image uint8 (H, W, 3), with all scores; labels are positions in `prompts`."""


def find(finder: Finder, pictures: Iterable[Picture], prompts: Sequence[str], *, batch_size: int, nms_iou: float) -> Iterator[Boxes]:
    """Yields the boxes in each picture, highest score first, without those that NMS drops and those without area."""
    for batch in batches(pictures, batch_size):
        for boxes in finder.detect([picture.pixels() for picture in batch], prompts):
            yield nms(boxes.keep((boxes.xyxy[:, 2:] > boxes.xyxy[:, :2]).all(-1)), nms_iou)


def batches(pictures: Iterable[Picture], size: int) -> Iterator[list[Picture]]:
    """The pictures in lists of `size`, the last of which may be shorter."""
    rest = iter(pictures)
    while batch := list(islice(rest, size)):
        yield batch
