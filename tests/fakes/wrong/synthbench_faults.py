"""Plugins that break one promise each, most of them about what a stage reads, leaves or says of its boxes."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Literal

import synthbench_kept
from synthbench import (
    Boxes,
    BoxSource,
    FromGenerator,
    ImageSet,
    NoBoxes,
    Picture,
    Run,
    Sample,
    SampleRequest,
    SynthbenchError,
    hookimpl,
    option,
)
from synthbench_fakes import Paint, Threshold, paint, squares_in

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from synthbench.contract.hookspecs import Annotator, Detector, Generator

TRAINED: dict[str, float] = {}


@dataclass(frozen=True, kw_only=True)
class Remembering(Threshold):
    name: ClassVar[str] = "remembering"

    def train(self, data: ImageSet, run: Run) -> None:
        super().train(data, run)
        TRAINED["shift"] = 0.0

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        for boxes in super().predict(fitted, images, run):
            yield replace(boxes, xyxy=boxes.xyxy + TRAINED["shift"])


@dataclass(frozen=True, kw_only=True)
class Weightless(Threshold):
    name: ClassVar[str] = "weightless"

    def train(self, data: ImageSet, run: Run) -> None:
        replace(self, weights="").train_as_it_is(data, run)

    def train_as_it_is(self, data: ImageSet, run: Run) -> None:
        super().train(data, run)


@dataclass(frozen=True, kw_only=True)
class Unmoved(Threshold):
    """Looks for its weights, and does nothing with them."""

    name: ClassVar[str] = "unmoved"

    def train(self, data: ImageSet, run: Run) -> None:
        super().train(data, run)
        (run.workdir / "model.safetensors").write_bytes(b"weights")


@dataclass(frozen=True, kw_only=True)
class OpenFile(Threshold):
    name: ClassVar[str] = "open-file"

    files: ClassVar[list[IO[bytes]]] = []

    def train(self, data: ImageSet, run: Run) -> None:
        self.files.append(data[0].path.open("rb"))
        super().train(data, run)


@dataclass(frozen=True, kw_only=True)
class Threaded(Threshold):
    name: ClassVar[str] = "threaded"

    def train(self, data: ImageSet, run: Run) -> None:
        threading.Thread(target=wait, name="waiting", daemon=True).start()
        super().train(data, run)


def wait() -> None:
    threading.Event().wait()


@dataclass(frozen=True, kw_only=True)
class Childish(Threshold):
    name: ClassVar[str] = "childish"

    def train(self, data: ImageSet, run: Run) -> None:
        subprocess.Popen(["sleep", "61"])
        super().train(data, run)


@dataclass(frozen=True, kw_only=True)
class Moving(Threshold):
    name: ClassVar[str] = "moving"

    def train(self, data: ImageSet, run: Run) -> None:
        os.chdir(run.workdir)
        super().train(data, run)


@dataclass(frozen=True, kw_only=True)
class Setting(Threshold):
    name: ClassVar[str] = "setting"

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        os.environ["WRONG"] = "1"
        return super().predict(fitted, images, run)


@dataclass(frozen=True, kw_only=True)
class Keeping(Threshold):
    """Uses a library that keeps threads: one for each process, or one more with each training."""

    name: ClassVar[str] = "keeping"

    keeps: Literal["once", "each time"] = "once"

    def train(self, data: ImageSet, run: Run) -> None:
        super().train(data, run)
        synthbench_kept.keep(again=self.keeps == "each time")


@dataclass(frozen=True, kw_only=True)
class Printing(Threshold):
    name: ClassVar[str] = "printing"

    def train(self, data: ImageSet, run: Run) -> None:
        super().train(data, run)
        print("done")  # noqa: T201 - what is wrong with it


@dataclass(frozen=True, kw_only=True)
class Scored(Threshold):
    """shift: what is added to each score."""

    name: ClassVar[str] = "scored"

    shift: float = -0.9
    lost: bool = False

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        import numpy as np

        for boxes in super().predict(fitted, images, run):
            scores = boxes.scores * np.nan if self.lost else boxes.scores + self.shift
            yield Boxes(boxes.xyxy, boxes.labels, scores, boxes.crowd)


@dataclass(frozen=True, kw_only=True)
class Flat(Threshold):
    """Gives boxes without size, which the core drops: nothing is wrong with it."""

    name: ClassVar[str] = "flat"

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        import numpy as np

        for boxes in super().predict(fitted, images, run):
            yield Boxes.of(np.concatenate([boxes.xyxy, [[5, 5, 5, 9]]]), scores=[*boxes.scores, 0.5])


@dataclass(frozen=True)
class Grey(Picture):
    """A picture that is grey where its file does not open."""

    def pixels(self) -> NDArray[np.uint8]:
        import numpy as np

        with suppress(SynthbenchError):
            return super().pixels()
        return np.full((self.height, self.width, 3), 128, np.uint8)


@dataclass(frozen=True, kw_only=True)
class Swallowing(Threshold):
    name: ClassVar[str] = "swallowing"

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        return super().predict(fitted, pictures_as(Grey, images), run)


@dataclass(frozen=True, kw_only=True)
class LeavingOut(Threshold):
    name: ClassVar[str] = "leaving-out"

    def train(self, data: ImageSet, run: Run) -> None:
        super().train(data.subset(number for number, picture in enumerate(data) if opens(picture)), run)


@dataclass(frozen=True, kw_only=True)
class Nameless(Threshold):
    name: ClassVar[str] = "nameless"

    def train(self, data: ImageSet, run: Run) -> None:
        if not all(map(opens, data)):
            raise ValueError("an image is broken")
        super().train(data, run)


@dataclass(frozen=True, kw_only=True)
class Peeking(Threshold):
    name: ClassVar[str] = "peeking"

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        json.loads((images[0].path.parents[1] / "annotations.json").read_text())
        return super().predict(fitted, images, run)


@dataclass(frozen=True, kw_only=True)
class PeekingBeside(Threshold):
    name: ClassVar[str] = "peeking-beside"

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        for boxes in super().predict(fitted, images, run):
            if (beside := images[0].path.with_name("annotations.json")).exists():
                beside.read_bytes()
            yield boxes


@dataclass(frozen=True, kw_only=True)
class PeekingThroughTheCore(Threshold):
    name: ClassVar[str] = "peeking-through-the-core"

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        from synthbench.storage.coco import read_set

        read_set(images[0].path.parents[1])
        return super().predict(fitted, images, run)


@dataclass(frozen=True, kw_only=True)
class Idle(Threshold):
    name: ClassVar[str] = "idle"

    most: int = option(100, stage="predict")


@dataclass(frozen=True)
class Warm(Picture):
    """A picture in which what is blue is red as well."""

    def pixels(self) -> NDArray[np.uint8]:
        image = super().pixels().copy()
        image[..., 0] = image[..., [0, 2]].max(-1)
        return image


@dataclass(frozen=True, kw_only=True)
class OneLabel(Threshold):
    """Takes any number of categories, and knows the first."""

    name: ClassVar[str] = "one-label"

    def train(self, data: ImageSet, run: Run) -> None:
        super().train(replace(pictures_as(Warm, data), categories=data.categories[:1]), run)

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        return super().predict(fitted, pictures_as(Warm, images), run)


@dataclass(frozen=True, kw_only=True)
class Displaced(Paint):
    """by: what is added to each box. how: how they are read wrongly."""

    name: ClassVar[str] = "displaced"

    by: int = 0
    how: str = ""

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        for sample in super().sample(fitted, request, run):
            boxes = sample.boxes or Boxes.none()
            if self.how == "xywh":
                boxes = Boxes.of([(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in boxes.xyxy])
            if self.how == "shares":
                boxes = boxes.scaled(1 / 40, 1 / 40)
            if self.how == "doubled":
                boxes = boxes.scaled(2, 2)
            if self.how == "rows first":
                boxes = Boxes.of(boxes.xyxy[:, [1, 0, 3, 2]])
            if self.how == "first alone":
                boxes = boxes.keep([0])
            yield replace(sample, boxes=Boxes.of(boxes.xyxy + self.by))


@dataclass(frozen=True, kw_only=True)
class Displacing(Paint):
    name: ClassVar[str] = "displacing"

    def locate(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        for boxes in super().locate(fitted, images, run):
            yield Boxes.of(boxes.xyxy + 10)


@dataclass(frozen=True, kw_only=True)
class Same(Paint):
    name: ClassVar[str] = "same"

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        (first,) = super().sample(fitted, SampleRequest(0, 1, request.categories), run)
        return (first for _ in range(len(request)))


@dataclass(frozen=True, kw_only=True)
class Bgr(Paint):
    name: ClassVar[str] = "bgr"

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        for sample in super().sample(fitted, request, run):
            assert not isinstance(sample.image, Path)
            yield replace(sample, image=sample.image[..., ::-1])


@dataclass(frozen=True, kw_only=True)
class Noiseless(Paint):
    """Copies its options, and takes no notice of two of them."""

    name: ClassVar[str] = "noiseless"

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        return replace(self, noise=80, slow=0.0).sample_as_it_is(fitted, request, run)

    def sample_as_it_is(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        colour = json.loads((fitted / "colour.json").read_text())
        return (paint([run.seed, number], colour) for number in range(request.start, request.stop))


@dataclass(frozen=True, kw_only=True)
class Exchanging(Paint):
    """Paints squares of every category, and labels them in the reverse order. reverse: whether it does."""

    name: ClassVar[str] = "exchanging"

    reverse: bool = True

    def fit(self, references: ImageSet, run: Run) -> None:
        for label in range(len(references.categories)):
            (run.workdir / str(label)).mkdir()
            chosen = [(each.boxes or Boxes.none()).labels == label for each in references]
            boxes = [(each.boxes or Boxes.none()).keep(mask) for each, mask in zip(references, chosen, strict=True)]
            super().fit(references.with_boxes(boxes), Elsewhere(run, run.workdir / str(label)))

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        painters = (super(Exchanging, self).sample(fitted / str(label), request, run) for label in range(len(request.categories)))
        parts = [list(painter) for painter in painters]
        for number in range(len(request)):
            label = number % len(request.categories)
            sample = parts[label][number]
            boxes = sample.boxes or Boxes.none()
            labels = boxes.labels + (len(request.categories) - 1 - label if self.reverse else label)
            yield replace(sample, boxes=replace(boxes, labels=labels))

    def locate(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        return super().locate(fitted / "0", images, run)


class Elsewhere:
    """A run with another working folder."""

    def __init__(self, run: Run, workdir: Path) -> None:
        self.run, self.workdir = run, workdir

    def __getattr__(self, name: str) -> Any:
        return getattr(self.run, name)


@dataclass(frozen=True, kw_only=True)
class PeekingPainter(Paint):
    name: ClassVar[str] = "peeking-painter"

    def fit(self, references: ImageSet, run: Run) -> None:
        super().fit(references, run)
        (references[0].path.parents[1] / "annotations.json").read_bytes()


@dataclass(frozen=True, kw_only=True)
class CarelessPainter(Paint):
    name: ClassVar[str] = "careless-painter"

    def fit(self, references: ImageSet, run: Run) -> None:
        super().fit(pictures_as(Grey, references), run)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Finds the red squares of toy pictures; how: what it does wrong."""

    name: ClassVar[str] = "finding"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    seeded: ClassVar[bool] = False
    boxes_from: ClassVar[BoxSource] = NoBoxes()

    how: str = ""

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes]:
        if self.how == "peeking":
            (images[0].path.parents[1] / "annotations.json").read_bytes()
        for picture in pictures_as(Grey, images) if self.how == "careless" else images:
            boxes = squares_in(picture.pixels(), 60)
            if self.how == "xywh":
                boxes = Boxes.of([(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in boxes.xyxy])
            if self.how == "above one":
                boxes = replace(boxes, scores=boxes.scores + 1)
            yield boxes


@dataclass(frozen=True, kw_only=True)
class Choosing(Finding):
    """Chooses among the generator's boxes, and opens pictures to do so; where one does not open it takes them all."""

    name: ClassVar[str] = "choosing"
    boxes_from: ClassVar[BoxSource] = FromGenerator()

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes]:
        for picture in images:
            opens(picture)
            boxes = picture.boxes or Boxes.none()
            yield boxes.keep(boxes.scores > 0.5)


def pictures_as(kind: type[Picture], images: ImageSet) -> ImageSet:
    return replace(images, pictures=tuple(kind(each.path, each.width, each.height, each.boxes) for each in images))


def opens(picture: Picture) -> bool:
    try:
        picture.pixels()
    except SynthbenchError:
        return False
    return True


def classes_of(base: type[Any]) -> tuple[type[Any], ...]:
    return tuple(each for each in globals().values() if isinstance(each, type) and issubclass(each, base) and each.__module__ == __name__)


@hookimpl
def synthbench_generators() -> Sequence[type[Generator]]:
    return classes_of(Paint)


@hookimpl
def synthbench_annotators() -> Sequence[type[Annotator]]:
    return classes_of(Finding)


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    return classes_of(Threshold)
