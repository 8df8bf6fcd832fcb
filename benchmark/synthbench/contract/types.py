"""What crosses the border between the core and a plugin: arrays, paths and plain values, no framework's types.

This module is imported by every plugin, so it imports nothing heavy itself: numpy and Pillow are loaded when the
first array is made or the first image read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of one image.

    xyxy: float32 (N, 4), pixels, origin at the top left corner of the image, x2 and y2 exclusive.
    labels: int64 (N,), positions in the image set's categories.
    scores: float32 (N,), 1 for boxes that somebody drew.
    crowd: bool (N,), regions that hold several objects; a prediction there counts neither way (COCO's `iscrowd`).
    """

    xyxy: NDArray[np.float32]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    crowd: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        xyxy: ArrayLike,
        labels: ArrayLike | None = None,
        scores: ArrayLike | None = None,
        crowd: ArrayLike | None = None,
    ) -> Boxes:
        """Boxes from anything array-like; labels are 0, scores 1 and nothing is a crowd unless given.

        Raises ValueError where the boxes are not four numbers each, the lengths differ or a number is not finite.
        """
        import numpy as np

        given = np.asarray(xyxy, np.float32)
        if given.size and given.shape[-1:] != (4,):
            raise ValueError(f"boxes must be (N, 4), not {given.shape}")
        corners = given.reshape(-1, 4)
        count = len(corners)
        made = cls(
            corners,
            np.zeros(count, np.int64) if labels is None else np.asarray(labels, np.int64).reshape(-1),
            np.ones(count, np.float32) if scores is None else np.asarray(scores, np.float32).reshape(-1),
            np.zeros(count, np.bool_) if crowd is None else np.asarray(crowd, np.bool_).reshape(-1),
        )
        if not len(made.labels) == len(made.scores) == len(made.crowd) == count:
            raise ValueError(f"{count} boxes, {len(made.labels)} labels, {len(made.scores)} scores, {len(made.crowd)} crowd flags")
        if not (np.isfinite(made.xyxy).all() and np.isfinite(made.scores).all()):
            raise ValueError("a box or a score is not a finite number")
        return made

    @classmethod
    def none(cls) -> Boxes:
        """No boxes."""
        return cls.of([])

    def __len__(self) -> int:
        return len(self.xyxy)

    def keep(self, which: ArrayLike) -> Boxes:
        """The boxes at `which`: positions or a mask, (N,)."""
        import numpy as np

        index = np.asarray(which)
        index = index if index.dtype == np.bool_ else index.astype(np.int64)
        return Boxes(self.xyxy[index], self.labels[index], self.scores[index], self.crowd[index])

    def scaled(self, across: float, down: float) -> Boxes:
        """The boxes after the image was made `across` times as wide and `down` times as high."""
        import numpy as np

        factors = np.array([across, down, across, down])  # float64, so that an edge of the image stays on it
        return replace(self, xyxy=(self.xyxy * factors).astype(np.float32))


@dataclass(frozen=True)
class Picture:
    """An image file of an image set, with its boxes where the reader may know them."""

    path: Path
    width: int
    height: int
    boxes: Boxes | None = None

    def pixels(self) -> NDArray[np.uint8]:
        """The image: uint8 (height, width, 3), RGB, upright. Raises SynthbenchError where it does not open."""
        from synthbench.contract.images import read_image

        return read_image(self.path)


@dataclass(frozen=True)
class ImageSet(Sequence[Picture]):
    """Pictures and the names of what is labelled in them; `boxes.labels` are positions in `categories`."""

    categories: tuple[str, ...]
    pictures: tuple[Picture, ...]

    def __len__(self) -> int:
        return len(self.pictures)

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> ImageSet: ...
    def __getitem__(self, index: int | slice) -> Picture | ImageSet:
        if isinstance(index, slice):
            return replace(self, pictures=self.pictures[index])
        return self.pictures[index]

    def subset(self, indices: Iterable[int]) -> ImageSet:
        """The pictures at `indices`, in that order."""
        return replace(self, pictures=tuple(self.pictures[index] for index in indices))

    def without_boxes(self) -> ImageSet:
        """The same pictures without their boxes."""
        return replace(self, pictures=tuple(replace(picture, boxes=None) for picture in self.pictures))

    def with_boxes(self, boxes: Iterable[Boxes]) -> ImageSet:
        """The same pictures with these boxes, one `Boxes` a picture, in order."""
        pairs = zip(self.pictures, boxes, strict=True)
        return replace(self, pictures=tuple(replace(picture, boxes=given) for picture, given in pairs))

    def split(self, share: float, seed: int) -> tuple[ImageSet, ImageSet]:
        """Two sets without a picture in common: the rest, and a `share` of at least one picture (0: none).

        With a single picture both are that picture, since there is nothing to hold back.
        """
        import numpy as np

        if share <= 0:
            return self, self[:0]
        if len(self) < 2:
            return self, self
        held = min(max(round(len(self) * share), 1), len(self) - 1)
        order = np.random.default_rng(seed).permutation(len(self)).tolist()
        return self.subset(sorted(order[held:])), self.subset(sorted(order[:held]))


@dataclass(frozen=True)
class Sample:
    """An image that a data source or a generator gives.

    image: uint8 (H, W, 3) RGB, or the path of an image file to take over byte for byte.
    boxes: what the giver knows to be in it; None: nothing is known (which differs from no boxes).
    about: plain values worth keeping, such as the prompt.
    """

    image: NDArray[np.uint8] | Path
    boxes: Boxes | None = None
    about: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Splits:
    """What a data source gives. `train` and `test` are read once, one after the other.

    rendered: the images were drawn by a program, and the report says so in its first lines.
    license and source: of the data, for the report.
    """

    categories: tuple[str, ...]
    train: Iterable[Sample]
    test: Iterable[Sample]
    rendered: bool = False
    license: str = ""
    source: str = ""


@dataclass(frozen=True)
class SampleRequest:
    """What to sample: the images number `start` to `stop` (exclusive) of an endless row.

    Image i depends on the run's seed and i alone, so the first 100 of 200 are the same 100.
    """

    start: int
    stop: int
    categories: tuple[str, ...]

    def __len__(self) -> int:
        return self.stop - self.start


class Run(Protocol):
    """What a stage is given to work with."""

    @property
    def seed(self) -> int:
        """32 bits, made from the suite's seed and the stage's name; the same for the same stage of every data set."""

    @property
    def device(self) -> str:
        """As torch writes it: `cpu`, `cuda`, `cuda:1`, `mps`."""

    @property
    def threads(self) -> int:
        """How many processor threads the stage may use."""

    @property
    def workdir(self) -> Path:
        """A folder of this stage's own; what `fit` and `train` leave in it is given back as `fitted`.

        It is empty, but for what an earlier `fit` with the same key had written when it was stopped.
        """

    @property
    def allow_pickle(self) -> bool:
        """The user says (`--allow-pickle`) that checkpoints may be pickles, which run code when they are opened."""

    @property
    def offline(self) -> bool:
        """Nothing may be fetched from a hub or an address: true unless the user gave `--download`."""

    def log(self, message: str) -> None:
        """A line for the stage's log."""

    def note(self, message: str) -> None:
        """A line for the reader of the report."""

    def log_metrics(self, **metrics: str | int | float) -> None:
        """Figures to keep with the artifact, such as the epoch whose weights were kept."""

    def track(self, items: Iterable[Item], label: str, total: int | None = None, unit: str = "") -> Iterator[Item]:
        """Passes `items` on and shows how far it is, how long yet, and how many `unit`s a second."""

    def show_metrics(self, **metrics: float) -> None:
        """Figures beside the progress, such as the loss. Raises SynthbenchError where one is not finite."""


def derive_seed(*parts: str | int) -> int:
    """32 bits from named parts: the same parts give the same seed on every machine, others another."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
