"""The types that the core and plugins exchange: arrays, paths and plain values, no framework's types.

Every plugin imports this module, so it imports nothing heavy itself: numpy and Pillow are imported when the first array
is created or the first image is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

    xyxy: float64 (N, 4), pixels, origin at the top left corner of the image, x2 and y2 exclusive; exactly as a file gives them.
    labels: int64 (N,), indices into the image set's `categories`.
    scores: float64 (N,), 1 for boxes that a person drew.
    crowd: bool (N,), COCO's `iscrowd`: a region with several objects; a prediction that matches it is ignored in scoring.
    """

    xyxy: NDArray[np.float64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    crowd: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        xyxy: ArrayLike,
        labels: ArrayLike | None = None,
        scores: ArrayLike | None = None,
        crowd: ArrayLike | None = None,
    ) -> Boxes:
        """Boxes from anything array-like. By default, labels are 0, scores are 1 and no box is a crowd.

        Raises ValueError if a box is not four numbers, the lengths differ, or a number is not finite.
        """
        import numpy as np

        array = np.asarray(xyxy, np.float64)
        if array.size and array.shape[-1:] != (4,):
            raise ValueError(f"boxes must be (N, 4), not {array.shape}")
        corners = array.reshape(-1, 4)
        count = len(corners)
        boxes = cls(
            corners,
            np.zeros(count, np.int64) if labels is None else np.asarray(labels, np.int64).reshape(-1),
            np.ones(count) if scores is None else np.asarray(scores, np.float64).reshape(-1),
            np.zeros(count, np.bool_) if crowd is None else np.asarray(crowd, np.bool_).reshape(-1),
        )
        if not len(boxes.labels) == len(boxes.scores) == len(boxes.crowd) == count:
            raise ValueError(f"{count} boxes, {len(boxes.labels)} labels, {len(boxes.scores)} scores, {len(boxes.crowd)} crowd flags")
        if not (np.isfinite(boxes.xyxy).all() and np.isfinite(boxes.scores).all()):
            raise ValueError("a box or a score is not a finite number")
        return boxes

    @classmethod
    def none(cls) -> Boxes:
        """No boxes."""
        return cls.of([])

    def __len__(self) -> int:
        return len(self.xyxy)

    def keep(self, which: ArrayLike) -> Boxes:
        """The boxes that `which` selects: indices, or a bool mask (N,)."""
        import numpy as np

        index = np.asarray(which)
        index = index if index.dtype == np.bool_ else index.astype(np.int64)
        return Boxes(self.xyxy[index], self.labels[index], self.scores[index], self.crowd[index])

    def scaled(self, across: float, down: float) -> Boxes:
        """The boxes after the image's width was multiplied by `across` and its height by `down`."""
        import numpy as np

        scaled = self.xyxy * np.array([across, down, across, down])
        whole = np.rint(scaled)  # a box edge on the image's edge stays on it: 49 * (1 / 49) is not 1
        return replace(self, xyxy=np.where(np.abs(scaled - whole) < 1e-9, whole, scaled))


@dataclass(frozen=True)
class Rejected:
    """What an annotator yields for an image that nothing should be trained on, in place of its boxes.

    reason: a few words, the same for all images that are rejected for it, such as "more boxes than a reference has".
    """

    reason: str


@dataclass(frozen=True)
class Picture:
    """An image file of an image set, with its size in pixels.

    boxes: None if they are unknown or withheld from the stage.
    features: float32 (D,), in the feature space of a detector of the suite; None except for an annotator that needs them.
    """

    path: Path
    width: int
    height: int
    boxes: Boxes | None = None
    features: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    def pixels(self) -> NDArray[np.uint8]:
        """The image: uint8 (height, width, 3), RGB, upright. Raises SynthbenchError if the file cannot be read."""
        from synthbench.contract.images import read_image

        return read_image(self.path)


@dataclass(frozen=True)
class ImageSet(Sequence[Picture]):
    """Pictures and the names of their categories; `boxes.labels` are indices into `categories`."""

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

    def with_boxes(self, boxes: Iterable[Boxes | None]) -> ImageSet:
        """The same pictures with these boxes, for each picture `Boxes` or None, in order. Raises ValueError if the numbers differ."""
        pairs = zip(self.pictures, boxes, strict=True)
        return replace(self, pictures=tuple(replace(picture, boxes=its_boxes) for picture, its_boxes in pairs))

    def with_features(self, features: NDArray[np.float32]) -> ImageSet:
        """The same pictures with these features, (N, D), a row for each. Raises ValueError if the numbers differ."""
        pairs = zip(self.pictures, features, strict=True)
        return replace(self, pictures=tuple(replace(picture, features=row) for picture, row in pairs))

    def split(self, share: float, seed: int) -> tuple[ImageSet, ImageSet]:
        """Splits at random into two sets: the rest, and a `share` of the pictures, at least one (none if `share` is 0).

        No picture is in both sets. A set of a single picture is the exception: it is returned twice.
        """
        import numpy as np

        if share <= 0:
            return self, self[:0]
        if len(self) < 2:
            return self, self
        count = min(max(round(len(self) * share), 1), len(self) - 1)
        order = np.random.default_rng(seed).permutation(len(self)).tolist()
        return self.subset(sorted(order[count:])), self.subset(sorted(order[:count]))


@dataclass(frozen=True)
class Sample:
    """An image that a data source or a generator yields.

    image: uint8 (H, W, 3) RGB, or the path of an image file, which is copied byte for byte.
    boxes: the objects in the image, as far as the plugin knows them; None if it does not know, which differs from no boxes.
    about: plain values that are stored with the image, such as the prompt. `group` says which images belong together, such as the
        frames of a video: intervals are made by drawing whole groups of test images.
    """

    image: NDArray[np.uint8] | Path
    boxes: Boxes | None = None
    about: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PublishedScore:
    """A score that others have published on the same test images. AP, AP50 and AP75 from 0 to 1; None where it is not stated."""

    method: str
    source: str
    AP: float
    AP50: float | None = None
    AP75: float | None = None


@dataclass(frozen=True)
class Splits:
    """What a data source returns. `train` is iterated once, then `test` is iterated once.

    rendered: whether a program drew the images; the report says so in its first lines.
    license and source: of the data, shown in the report.
    published: scores of others on all of these test images, as they are, to compare with.
    """

    categories: tuple[str, ...]
    train: Iterable[Sample]
    test: Iterable[Sample]
    rendered: bool = False
    license: str = ""
    source: str = ""
    published: Sequence[PublishedScore] = ()


@dataclass(frozen=True)
class DataCheck:
    """What a data source says of its data before anything runs.

    problems: after which `load` would fail. warnings: what it would take, and a person may want to know.
    """

    categories: tuple[str, ...]
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class SampleRequest:
    """Which images to sample: those numbered `start` to `stop` (exclusive).

    Image i depends on the run's seed and i alone, so the first 100 of 200 images equal the 100 images of a smaller request.
    """

    start: int
    stop: int
    categories: tuple[str, ...]

    def __len__(self) -> int:
        return self.stop - self.start


class Run(Protocol):
    """What the core passes to each stage: its seed, its device, its folder, and methods for logs and progress."""

    @property
    def seed(self) -> int:
        """32 bits, derived from the suite's seed and the stage's name; the same for the same stage on every data set."""

    @property
    def device(self) -> str:
        """The device to compute on, in torch's notation: `cpu`, `cuda`, `cuda:1`, `mps`."""

    @property
    def threads(self) -> int:
        """How many processor threads the stage may use."""

    @property
    def workdir(self) -> Path:
        """A folder that only this stage uses; what `fit` and `train` leave in it is passed to later stages as `fitted`.

        It is empty, or contains what an earlier `fit` with the same key wrote before it failed or was stopped.
        """

    @property
    def allow_pickle(self) -> bool:
        """Whether checkpoints may be pickles, which run code when they are opened: true if the user passed `--allow-pickle`."""

    @property
    def offline(self) -> bool:
        """Whether downloads are forbidden, from hubs and other addresses: true unless the user passed `--download`."""

    def shared(self, name: str, options: Sequence[str], make: Callable[[Path], None]) -> Path:
        """A folder to read, filled by `make(folder)` once for all stages of the plugin that have the same seed and these options alike.

        For work of minutes that several stages would repeat, such as images sampled from a checkpoint before it is fine-tuned.
        `make` may use nothing that differs between stages but these options and `run.seed`. Its folder is empty, or contains
        what an earlier attempt wrote before it failed or was stopped. While another stage makes it, this one waits.
        options: names of options that count for this stage. Raises ValueError for any other, and whatever `make` raises.
        """

    def log(self, message: str) -> None:
        """Adds a line to the stage's log."""

    def note(self, message: str) -> None:
        """Adds a note to the report."""

    def log_metrics(self, **metrics: str | int | float) -> None:
        """Stores values with the stage's artifact, such as the step whose weights were kept.

        A detector that is trained by an optimizer logs `steps`, the optimizer steps that it took, as it counted them.
        """

    def log_curve(self, name: str, step: int, value: float) -> None:
        """Adds a point to a learning curve, which is stored with the stage's artifact and in the results.

        name: such as `loss` or `validation_loss`. step: optimizer steps so far; each point of a curve has more than the one before.
        A curve keeps at most 200 points: when there are more, every second one is dropped, but for the first and the last.
        Raises SynthbenchError if the value is not finite, ValueError if the step is not above the last one.
        """

    def track(self, items: Iterable[Item], label: str, total: int | None = None, unit: str = "") -> Iterator[Item]:
        """Yields `items` and shows the progress, the time left and the `unit`s per second."""

    def show_metrics(self, **metrics: float) -> None:
        """Shows values beside the progress, such as the loss. Raises SynthbenchError if one is not finite."""


def derive_seed(*parts: str | int) -> int:
    """A seed of 32 bits derived from the parts: the same on every machine for the same parts, different for different parts."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
