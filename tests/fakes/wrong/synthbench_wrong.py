"""Plugins that break one promise each; the others they inherit from those that keep all."""

from __future__ import annotations

import json
import pickle
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from synthbench import Boxes, ImageSet, NoBoxes, Picture, Run, Sample, SampleRequest, Splits, hookimpl, option
from synthbench_fakes import Paint, Squares, Threshold, paint, squares_in

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from synthbench.contract.hookspecs import Annotator, DataSource, Detector, Generator


class Seeded:
    """A run with another seed."""

    def __init__(self, run: Run, seed: int) -> None:
        self.run, self.seed = run, seed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.run, name)


@dataclass(frozen=True)
class Stored(Picture):
    """A picture whose pixels are those of its file as they lie there."""

    def pixels(self) -> NDArray[np.uint8]:
        import numpy as np
        from PIL import Image

        return np.asarray(Image.open(self.path).convert("RGB").resize((self.width, self.height)), np.uint8)


def as_stored(images: ImageSet) -> ImageSet:
    return replace(images, pictures=tuple(Stored(each.path, each.width, each.height, each.boxes) for each in images))


@dataclass(frozen=True, kw_only=True)
class Unchecked(Threshold):
    name: ClassVar[str] = "unchecked"

    anything: Any = None


@dataclass(frozen=True, kw_only=True)
class Growing(Threshold):
    name: ClassVar[str] = "growing"

    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", (*self.names, "another"))


@dataclass(frozen=True, kw_only=True)
class Outside(Threshold):
    name: ClassVar[str] = "outside"

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        return (Boxes.of([[picture.width, 0, picture.width + 5, 5]]) for picture in images)


@dataclass(frozen=True, kw_only=True)
class Shy(Threshold):
    name: ClassVar[str] = "shy"

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        return (Boxes.none() for _ in images)


@dataclass(frozen=True, kw_only=True)
class Restless(Threshold):
    name: ClassVar[str] = "restless"

    seeds: ClassVar[Iterator[int]] = chain([0], repeat(1))

    def train(self, data: ImageSet, run: Run) -> None:
        super().train(data, Seeded(run, next(self.seeds)))


@dataclass(frozen=True, kw_only=True)
class Deaf(Threshold):
    name: ClassVar[str] = "deaf"

    def train(self, data: ImageSet, run: Run) -> None:
        super().train(data, Seeded(run, 0))


@dataclass(frozen=True, kw_only=True)
class Undecided(Threshold):
    name: ClassVar[str] = "undecided"
    seeded: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class Early(Threshold):
    name: ClassVar[str] = "early"

    least: float = option(0.0, stage="predict")

    def train(self, data: ImageSet, run: Run) -> None:
        replace(self, margin=100 * self.least).train_as_it_is(data, run)

    def train_as_it_is(self, data: ImageSet, run: Run) -> None:
        super().train(data, run)


@dataclass(frozen=True, kw_only=True)
class KnowAll(Threshold):
    name: ClassVar[str] = "know-all"

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        return (squares_in(picture.pixels(), 60) for picture in images)


@dataclass(frozen=True, kw_only=True)
class Opener(Threshold):
    name: ClassVar[str] = "opener"

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        return super().predict(fitted, as_stored(images), run)


@dataclass(frozen=True, kw_only=True)
class TrainingOpener(Threshold):
    name: ClassVar[str] = "training-opener"

    def train(self, data: ImageSet, run: Run) -> None:
        super().train(as_stored(data), run)


@dataclass(frozen=True, kw_only=True)
class Sociable(Threshold):
    name: ClassVar[str] = "sociable"

    def train(self, data: ImageSet, run: Run) -> None:
        super().train(ImageSet(data.categories, (data[0], data[1], *data.pictures)), run)


@dataclass(frozen=True, kw_only=True)
class Tireless(Threshold):
    """Takes a step for each picture. equal: or as many on any number of pictures."""

    name: ClassVar[str] = "tireless"

    equal: bool = False

    def train(self, data: ImageSet, run: Run) -> None:
        super().train(data, run)
        run.log_metrics(steps=8 if self.equal else len(data))


@dataclass(frozen=True, kw_only=True)
class Thick(Threshold):
    name: ClassVar[str] = "thick"

    def train(self, data: ImageSet, run: Run) -> None:
        if min(picture.height for picture in data) < 8:
            raise ValueError("an image is too small")
        super().train(data, run)


@dataclass(frozen=True, kw_only=True)
class Silent(Threshold):
    name: ClassVar[str] = "silent"

    def train(self, data: ImageSet, run: Run) -> None:
        told = Seeded(run, run.seed)
        told.track = lambda items, *about, **more: iter(items)  # type: ignore[attr-defined]
        super().train(data, told)


@dataclass(frozen=True, kw_only=True)
class Littering(Threshold):
    name: ClassVar[str] = "littering"

    def train(self, data: ImageSet, run: Run) -> None:
        super().train(data, run)
        (Path.home() / ".wrong").mkdir(exist_ok=True)


@dataclass(frozen=True, kw_only=True)
class Caching(Threshold):
    name: ClassVar[str] = "caching"

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        images[0].path.with_suffix(".cache").write_text("faster next time")
        return super().predict(fitted, images, run)


@dataclass(frozen=True, kw_only=True)
class Elsewhere(Threshold):
    name: ClassVar[str] = "elsewhere"

    log: str = ""

    def train(self, data: ImageSet, run: Run) -> None:
        if self.log:
            Path(self.log).write_text("trained")
        super().train(data, run)


@dataclass(frozen=True, kw_only=True)
class Pickling(Threshold):
    name: ClassVar[str] = "pickling"

    def train(self, data: ImageSet, run: Run) -> None:
        super().train(data, run)
        (run.workdir / "model.pkl").write_bytes(pickle.dumps([0.5]))


@dataclass(frozen=True, kw_only=True)
class Talking(Threshold):
    name: ClassVar[str] = "talking"

    def train(self, data: ImageSet, run: Run) -> None:
        with suppress(OSError):
            socket.create_connection(("example.invalid", 443), 1)
        super().train(data, run)


@dataclass(frozen=True, kw_only=True)
class Forgetful(Threshold):
    name: ClassVar[str] = "forgetful"

    kept: ClassVar[dict[str, str]] = {}

    def train(self, data: ImageSet, run: Run) -> None:
        super().train(data, run)
        model = run.workdir / "model.json"
        self.kept["model"] = model.read_text()
        model.write_text("{}")

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        (run.workdir / "model.json").write_text(self.kept["model"])
        return super().predict(run.workdir, images, run)


@dataclass(frozen=True, kw_only=True)
class Locking(Threshold):
    name: ClassVar[str] = "locking"

    def train(self, data: ImageSet, run: Run) -> None:
        lock = Path(tempfile.gettempdir(), "lock")
        lock.touch(exist_ok=False)
        try:
            super().train(data, run)
        finally:
            lock.unlink()


@dataclass(frozen=True, kw_only=True)
class Patient(Threshold):
    name: ClassVar[str] = "patient"

    def train(self, data: ImageSet, run: Run) -> None:
        super().train(data, run)
        while True:
            try:
                bytearray(64 << 20)
                return
            except MemoryError:
                time.sleep(0.1)


@dataclass(frozen=True, kw_only=True)
class Stubborn(Threshold):
    name: ClassVar[str] = "stubborn"

    def train(self, data: ImageSet, run: Run) -> None:
        with suppress(KeyboardInterrupt):
            super().train(data, run)


@dataclass(frozen=True, kw_only=True)
class Row(Paint):
    name: ClassVar[str] = "row"

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        return super().sample(fitted, SampleRequest(0, len(request), request.categories), run)


@dataclass(frozen=True, kw_only=True)
class SampleDeaf(Paint):
    name: ClassVar[str] = "sample-deaf"

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        return super().sample(fitted, request, Seeded(run, 0))


@dataclass(frozen=True, kw_only=True)
class Grey(Paint):
    name: ClassVar[str] = "grey"

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        import numpy as np

        return (Sample(np.full((32, 32, 3), 128, np.uint8)) for _ in range(len(request)))


@dataclass(frozen=True, kw_only=True)
class Stuck(Paint):
    name: ClassVar[str] = "stuck"

    def fit(self, references: ImageSet, run: Run) -> None:
        (run.workdir / "colour.json").write_text(json.dumps([200, 20, 20]))


@dataclass(frozen=True, kw_only=True)
class FitOpener(Paint):
    name: ClassVar[str] = "fit-opener"

    def fit(self, references: ImageSet, run: Run) -> None:
        super().fit(as_stored(references), run)


@dataclass(frozen=True, kw_only=True)
class LocateOpener(Paint):
    name: ClassVar[str] = "locate-opener"

    def locate(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        return super().locate(fitted, as_stored(images), run)


@dataclass(frozen=True, kw_only=True)
class Finder:
    name: ClassVar[str] = "finder"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    seeded: ClassVar[bool] = False

    boxes_from: ClassVar[NoBoxes] = NoBoxes()

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes]:
        return (squares_in(picture.pixels(), 60) for picture in as_stored(images))


@dataclass(frozen=True, kw_only=True)
class Asking(Finder):
    name: ClassVar[str] = "asking"

    boxes_from: ClassVar[str] = "everybody"  # type: ignore[misc]


@dataclass(frozen=True, kw_only=True)
class Twice(Squares):
    name: ClassVar[str] = "twice"

    def load(self, run: Run) -> Splits:
        splits = super().load(run)
        return replace(splits, test=[paint([self.seed, 0, 2], (220, 20, 20))])


@dataclass(frozen=True, kw_only=True)
class Cut(Squares):
    name: ClassVar[str] = "cut"

    def load(self, run: Run) -> Splits:
        splits = super().load(run)
        return replace(splits, train=(Sample(each.image, Boxes.of([[30, 30, 50, 50]])) for each in splits.train))


@hookimpl
def synthbench_data_sources() -> Sequence[type[DataSource]]:
    return (Twice, Cut)


@hookimpl
def synthbench_generators() -> Sequence[type[Generator]]:
    return (Row, SampleDeaf, Grey, Stuck, FitOpener, LocateOpener)


@hookimpl
def synthbench_annotators() -> Sequence[type[Annotator]]:
    return (Finder, Asking)


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    return tuple(each for each in globals().values() if isinstance(each, type) and each is not Threshold and issubclass(each, Threshold))
