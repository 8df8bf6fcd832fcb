"""Plugins for tests: ordinary ones, quick, on red squares over noise. `fake-threshold` can also be told to misbehave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from msgspec import Meta
from synthbench import (
    Boxes,
    BoxSource,
    EntryName,
    FromAnnotator,
    ImageSet,
    Run,
    Sample,
    SampleRequest,
    Splits,
    SynthbenchError,
    Weights,
    find_weights,
    hookimpl,
    option,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from synthbench.contract.hookspecs import Annotator, DataSource, Detector, Generator

SUITE = Path(__file__).with_name("squares.toml")
SIDE = 40
time.sleep(float(os.environ.get("SYNTHBENCH_FAKE_SLOW_START", "0")))  # as a slow disk does to a library
Failure = Literal["", "refuse", "raise", "crash", "hang", "nonsense", "memory", "silent", "fork", "daemon"]
Count = Annotated[int, Meta(ge=0)]


@dataclass(frozen=True, kw_only=True)
class Squares:
    """One to three red squares a picture."""

    name: ClassVar[str] = "fake-squares"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"

    train: Annotated[int, Meta(ge=1)] = 6
    test: Annotated[int, Meta(ge=1)] = 4
    seed: int = 0
    folder: Path | None = None
    more: tuple[Path, ...] = ()

    def load(self, run: Run) -> Splits:
        train = (paint([self.seed, 0, number], (220, 20, 20)) for number in range(self.train))
        test = (paint([self.seed, 1, number], (220, 20, 20)) for number in range(self.test))
        return Splits(("square",), train, test, rendered=True, license="CC0-1.0", source="tests")


@dataclass(frozen=True, kw_only=True)
class Paint:
    """Squares in the mean colour of the references'."""

    name: ClassVar[str] = "fake-paint"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"

    shift: int = 0
    palette: Count = 0
    noise: Annotated[int, Meta(ge=0)] = option(80, stage="sample")
    slow: float = option(0.0, stage="sample")

    def fit(self, references: ImageSet, run: Run) -> None:
        import numpy as np

        palette = 0
        if self.palette:
            folder = run.shared("palette", ["palette"], lambda folder: paint_palette(folder, self.palette, run))
            palette = sum(int(path.read_text()) for path in folder.glob("*.txt"))
        colours = [
            picture.pixels()[int(y1) : int(y2), int(x1) : int(x2)].reshape(-1, 3).mean(0)
            for picture in references
            for x1, y1, x2, y2 in (picture.boxes or Boxes.none()).xyxy
        ]
        colour = [round(float(value)) + self.shift + palette for value in np.mean(colours, 0)]
        (run.workdir / "colour.json").write_text(json.dumps(colour))

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        colour = json.loads((fitted / "colour.json").read_text())
        for number in run.track(range(request.start, request.stop), "sample", unit="images"):
            time.sleep(self.slow)
            yield paint([run.seed, number], colour, self.noise)

    def locate(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        colour = json.loads((fitted / "colour.json").read_text())
        for picture in images:
            yield squares_in(picture.pixels(), (colour[0] - colour[1]) / 2)


def paint_palette(folder: Path, count: int, run: Run) -> None:
    """Writes `count` shades, each after a while; those of an earlier attempt stay."""
    for number in run.track(range(count), "palette"):
        path = folder / f"{number}.txt"
        if not path.exists():
            time.sleep(0.02)
            path.write_text(str((run.seed + number) % 3))


@dataclass(frozen=True, kw_only=True)
class Shrink:
    """Another annotator's boxes, without `by` pixels at each side."""

    name: ClassVar[str] = "fake-shrink"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    smoke_options: ClassVar[Mapping[str, object]] = {"annotator": "native"}
    seeded: ClassVar[bool] = False

    annotator: EntryName
    by: float = 1.0

    @property
    def boxes_from(self) -> BoxSource:
        return FromAnnotator(self.annotator)

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes]:
        import numpy as np

        for picture in run.track(images, "annotate"):
            assert picture.boxes is not None, "the other annotator's"
            inwards = self.by * np.array([1, 1, -1, -1])
            yield Boxes.of(picture.boxes.xyxy + inwards, picture.boxes.labels, picture.boxes.scores)


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Red is what is redder than half way between the training boxes and what lies around them.

    fail: how to misbehave, in the stage `fail_on`, with a training set of `fail_with` images (0: any).
    slow: seconds to spend on a training.
    """

    name: ClassVar[str] = "fake-threshold"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"

    weights: Weights = ""
    margin: float = 0.0
    score: Annotated[float, Meta(ge=0, le=1)] = option(0.0, stage="predict")
    fail: Failure = ""
    fail_on: Literal["train", "predict"] = "train"
    fail_with: Count = 0
    slow: float = 0.0

    def train(self, data: ImageSet, run: Run) -> None:
        import numpy as np

        if len(data.categories) > 1:
            raise SynthbenchError("fake-threshold: it knows one category, and the data have more")
        if self.weights:
            find_weights(self.weights, run)
        inside, outside = [], []
        for picture in run.track(data, "train", unit="images"):
            red, mask = redness(picture.pixels()), np.zeros((picture.height, picture.width), bool)
            for x1, y1, x2, y2 in (picture.boxes or Boxes.none()).xyxy.astype(int):
                mask[y1:y2, x1:x2] = True
            inside.append(red[mask].mean() if mask.any() else np.nan)
            outside.append(red[~mask].mean())
            time.sleep(self.slow / len(data))
        self._misbehave("train", len(data))
        jitter = np.random.default_rng(run.seed).normal(0, 3)
        learnt = {"images": len(data), "least": float((np.nanmean(inside) + np.mean(outside)) / 2 + self.margin + jitter)}
        run.show_metrics(loss=1 / learnt["least"])
        run.log_metrics(least=learnt["least"])
        run.log_curve("loss", len(data), 1 / learnt["least"])
        run.log(f"red begins at {learnt['least']:.1f}")
        (run.workdir / "model.json").write_text(json.dumps(learnt))

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        learnt = json.loads((fitted / "model.json").read_text())
        self._misbehave("predict", learnt["images"])
        for picture in images:
            found = squares_in(picture.pixels(), learnt["least"])
            yield found.keep(found.scores >= self.score)

    def _misbehave(self, stage: str, images: int) -> None:
        if stage == self.fail_on and self.fail_with in (0, images):
            misbehave(self.fail)


def misbehave(how: Failure) -> None:
    """Does to its process what plugins are known to do."""
    if how == "refuse":
        raise SynthbenchError("fail: refuse is no option to train with; leave it out")
    if how == "raise":
        raise RuntimeError("as it was told to")
    if how == "silent":
        raise SystemExit(3)
    if how == "crash":
        os.write(1, b"about to crash\n")
        os._exit(7)
    if how == "memory":  # what the system does to a process that wants too much of it
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hang":
        time.sleep(600)
    if how == "fork":
        if os.fork():
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)  # the child holds the worker's pipe; it must not finish the stage in the worker's place
        os._exit(0)
    if how == "daemon":
        subprocess.Popen(["sleep", "600"], start_new_session=True)
    if how == "nonsense":
        for stream in range(3, 64):
            with suppress(OSError):
                os.write(stream, b"no event\n")


def paint(seed: Sequence[int], colour: Sequence[int], noise: int = 80) -> Sample:
    """A picture of 40 x 40 pixels with one to three squares of any strength, one a quarter."""
    import numpy as np

    rng = np.random.default_rng(seed)
    image = rng.integers(0, noise + 1, (SIDE, SIDE, 3)).astype(np.uint8)
    boxes = []
    for quarter in rng.permutation(4)[: rng.integers(1, 4)]:
        side, (x, y) = rng.integers(8, 14), rng.integers(1, 6, 2) + 20 * np.array([quarter % 2, quarter // 2])
        strength = rng.uniform(0.2, 1)  # the faint ones are what detectors differ in
        image[y : y + side, x : x + side] = np.clip(np.multiply(colour, strength) + rng.normal(0, 20, (side, side, 3)), 0, 255)
        boxes.append((x, y, x + side, y + side))
    return Sample(image, Boxes.of(boxes), {"quarters": len(boxes)})


def redness(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How much redder than green a pixel is, (H, W), smoothed over its neighbours."""
    import numpy as np

    red = image[..., 0].astype(np.float64) - image[..., 1]
    padded = np.pad(red, 1, mode="edge")
    windows: Any = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    smooth: NDArray[np.float64] = windows.mean((2, 3))
    return smooth


def squares_in(image: NDArray[np.uint8], least: float) -> Boxes:
    """A box around each patch of connected pixels redder than `least`, scored by how full of them it is."""
    import numpy as np

    todo = {(int(y), int(x)) for y, x in np.argwhere(redness(image) > least)}
    boxes, scores = [], []
    while todo:
        patch, edge = set(), [todo.pop()]
        while edge:
            y, x = edge.pop()
            patch.add((y, x))
            near = {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)} & todo
            todo -= near
            edge += near
        if len(patch) >= 16:
            (y1, x1), (y2, x2) = np.min([*patch], 0), np.max([*patch], 0) + 1
            boxes.append((x1, y1, x2, y2))
            scores.append(len(patch) / ((y2 - y1) * (x2 - x1)))
    order = np.lexsort((np.array(boxes).reshape(-1, 4)[:, 0], scores))[::-1]
    return Boxes.of(boxes, scores=scores).keep(order)


@dataclass(frozen=True, kw_only=True)
class Stamps:
    """Rectangles in the mean colour of each class of the references. refuse: its images come without boxes, as it tells beforehand."""

    name: ClassVar[str] = "fake-stamps"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"

    refuse: bool = option(False, stage="sample")

    def check_boxes(self, categories: tuple[str, ...]) -> None:
        if self.refuse:
            raise SynthbenchError(f"fake-stamps: no boxes of {len(categories)} classes; set refuse = false")

    def fit(self, references: ImageSet, run: Run) -> None:
        (run.workdir / "colours.json").write_text(json.dumps(colours_of(references, run)))

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        import numpy as np

        colours = json.loads((fitted / "colours.json").read_text())
        for number in run.track(range(request.start, request.stop), "sample", unit="images"):
            rng = np.random.default_rng([run.seed, number])
            image = rng.integers(60, 120, (64, 64, 3)).astype(np.uint8)
            labels = rng.integers(len(colours), size=3)
            corners = [(20 * place + 2, y, 20 * place + 14, y + 10) for place, y in enumerate(rng.integers(2, 50, 3).tolist())]
            for label, (x1, y1, x2, y2) in zip(labels.tolist(), corners, strict=True):
                image[y1:y2, x1:x2] = np.array(colours[label])
            yield Sample(image, None if self.refuse else Boxes.of(corners, labels))


@dataclass(frozen=True, kw_only=True)
class Hues:
    """Knows each class by the mean colour of its boxes, and finds patches of pixels near one. Scores are from 0.3 to 0.7."""

    name: ClassVar[str] = "fake-hues"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    seeded: ClassVar[bool] = False

    near: float = option(40.0, stage="predict")

    def train(self, data: ImageSet, run: Run) -> None:
        (run.workdir / "colours.json").write_text(json.dumps(colours_of(data, run)))

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        import numpy as np
        from scipy import ndimage

        colours = np.array(json.loads((fitted / "colours.json").read_text()))
        for picture in run.track(images, "predict", unit="images"):
            away = np.linalg.norm(picture.pixels()[..., None, :].astype(float) - colours, axis=-1)
            boxes, labels, scores = [], [], []
            for label in range(len(colours)):
                patches, _ = ndimage.label((away.argmin(-1) == label) & (away[..., label] < self.near))
                for number, (down, across) in enumerate(ndimage.find_objects(patches), start=1):
                    if (size := int((patches[down, across] == number).sum())) >= 9:
                        boxes.append((across.start, down.start, across.stop, down.stop))
                        labels.append(label)
                        scores.append(0.4 * size / ((across.stop - across.start) * (down.stop - down.start)) + 0.3)
            yield Boxes.of(boxes, labels, scores)


def colours_of(data: ImageSet, run: Run) -> list[list[float]]:
    """The mean colour in the middle of the boxes of each class; black where a class has none."""
    import numpy as np

    found: list[list[NDArray[np.float64]]] = [[] for _ in data.categories]
    for picture in run.track(data, "colours", unit="images"):
        boxes = picture.boxes or Boxes.none()
        for label, (x1, y1, x2, y2) in zip(boxes.labels.tolist(), boxes.xyxy.tolist(), strict=True):
            x, y = int((x1 + x2) / 2), int((y1 + y2) / 2)
            found[label].append(picture.pixels()[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(0))
    return [np.mean(each, 0).round(1).tolist() if each else [0.0, 0.0, 0.0] for each in found]


@hookimpl
def synthbench_data_sources() -> Sequence[type[DataSource]]:
    return (Squares,)


@hookimpl
def synthbench_generators() -> Sequence[type[Generator]]:
    return (Paint, Stamps)


@hookimpl
def synthbench_annotators() -> Sequence[type[Annotator]]:
    return (Shrink,)


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    return (Threshold, Hues)
