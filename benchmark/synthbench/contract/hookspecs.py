"""The contract: what a plugin is, and the hooks through which the core asks for plugins.

A plugin is a frozen dataclass: its fields are the options a suite may set, and with their defaults they are part of
the key under which results are kept. Importing the module that holds it must be light: torch and its friends are
imported inside the methods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import pluggy

from synthbench.contract.box_sources import BoxSource
from synthbench.contract.types import Boxes, ImageSet, Run, Sample, SampleRequest, Splits
from synthbench.errors import SynthbenchError

PROJECT = "synthbench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Plugin(Protocol):
    """What every plugin says of itself; the rest holds for every method of every kind.

    When: in the worker process that carries out the stage, which may have served others before; under `--in-process` in
        the process of the command.
    How often: once for each key, which is made of the plugin's name, `version`, options and environment, the seed, and the
        keys of what the stage reads. What is in the store is not asked for again.
    Assume: the instance is configured and checked, and made for this call; what it remembers is lost. `run.workdir` is the
        stage's own. One stage at a time runs in a process, other processes run others. `HF_HUB_OFFLINE=1` unless the run was
        started with `--download`.
    Raises: SynthbenchError for what a user can mend, which is told as it is; anything else is told with its traceback. Either,
        a process that dies, or the suite's `timeout` costs the stage and those that need it, others go on, and the run ends
        with status 1. Failures are not stored, so the next run tries again.
    """

    name: ClassVar[str]
    """Used in suites; unique among the plugins of its kind."""
    version: ClassVar[int]
    """Raised when the same options give other results; part of the key."""
    license: ClassVar[str]
    """SPDX, of the code and of weights that come with it; shown in the report."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What a plugin needs that cannot live beside the other plugins; made with uv, once, when the user agrees.

    The harness adds itself and the plugin's own distribution, without the latter's dependencies.
    """

    dependencies: tuple[str, ...]
    """Requirements, as in `torch==2.1.2`: everything the plugin imports but synthbench and its own distribution."""
    python: str = ""
    """A version, as in `3.11`; empty: the harness's own."""
    build_variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables while packages are built, as in `{"MAX_JOBS": "2"}`."""
    no_build_isolation: tuple[str, ...] = ()
    """Packages that are built with what is installed, such as those that want torch to be there: they come last."""
    overrides: tuple[str, ...] = ()
    """Requirements that replace what packages ask for, wherever they do: uv's `--override`. A marker that never holds, as in
    `onnx; python_version < '3'`, leaves a package out."""


class Extras(Protocol):
    """What a plugin may say besides. The core reads each with `getattr` and takes the default given here where it is silent."""

    smoke_options: ClassVar[Mapping[str, object]]
    """Options with which it learns two dozen images of 64 pixels in seconds on one processor, for the contract tests. Default: none."""
    renamed_options: ClassVar[Mapping[str, str]]
    """Names that options had in earlier versions, with today's: a suite that uses an old name is told the new one. Default: none."""
    seeded: ClassVar[bool]
    """Whether anything is drawn at random, so that another seed gives another result. Default: True."""

    @property
    def environment(self) -> Environment | None:
        """The environment of its own that the plugin runs in, with these options. Default: None, the harness's."""


def environment_of(plugin: object) -> Environment | None:
    """The environment of its own that a configured plugin asks for. Raises SynthbenchError where it asks for something else."""
    name = getattr(plugin, "name", plugin)
    try:
        environment = getattr(plugin, "environment", None)
    except Exception as error:  # a property's
        raise SynthbenchError(f"{name}: environment: {type(error).__name__}: {error}") from error
    if environment is not None and not isinstance(environment, Environment):
        raise SynthbenchError(f"{name}: its environment is {environment!r}, and should be an Environment or None")
    return environment


class DataSource(Plugin, Protocol):
    """Real photographs with boxes, or what stands for them."""

    def load(self, run: Run) -> Splits:
        """Gives the real training set and the test set, which the core stores.

        When: before every other stage.
        How often: once for the options. Files and folders that they name count with their content.
        Assume: `train` is gone through to its end, then `test`, each once. `run.seed` is 0: what is random needs an option.
        Raises: the core raises SynthbenchError where a split is empty or a test image comes without boxes. A training image may:
            it can be a reference, and is left out of trainings.
        """


class Generator(Plugin, Protocol):
    """Makes images after a few references."""

    def fit(self, references: ImageSet, run: Run) -> None:
        """Learns from the labelled references; what it leaves in `run.workdir` is given to `sample` and `locate`.

        When: after `load`.
        How often: once for the references, the first of the suite's seeds and the options without those of `sample`.
        Assume: the references are as many as the suite says, chosen at random from the real training set. `run.workdir` is
            empty, but for what an earlier fit with the same key wrote before it failed or was stopped: it may go on from there.
            Options marked `option(…, stage="sample")` must not matter.
        Raises: see Plugin. What was written stays for the next try.
        """

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        """Yields image `request.start` to `request.stop`, each dependent on `run.seed`, its number and what was fitted alone.

        When: after `fit`, in a process that may be another.
        How often: once for the fit, the number of images, the first of the suite's seeds and all options.
        Assume: `fitted` is the folder that `fit` left, to be read only. Samples are stored as they come, so one at a time need
            be in memory. Boxes are stored as they are; the annotator `native` clips them.
        Raises: the core raises SynthbenchError where it yields more or fewer than `len(request)`, or anything but a Sample.
        """


@runtime_checkable
class Locator(Protocol):
    """A generator that can also say where the objects are in an image that it did not make."""

    def locate(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields boxes for each image, in order, made as those of its own samples are.

        When: after `fit`, to score an annotator with `boxes_from` = `generator`, such as `native`, against truth.
        How often: once for the fit, the test images, the first of the suite's seeds and all options; never without such an
            annotator.
        Assume: all test images, without their boxes. `fitted` as in `sample`. Boxes are clipped to their image; those without
            size or of no known category are dropped, with a note in the report.
        Raises: the core raises SynthbenchError where it yields more or fewer than there are images, or anything but Boxes.
        """


class Annotator(Plugin, Protocol):
    """Gives generated images their boxes."""

    @property
    def boxes_from(self) -> BoxSource:
        """Whose boxes the images come with: `FromGenerator()`, `FromDetector(NAME)` with an entry of the suite, or `NoBoxes()`.

        When: while the suite is read and planned, and in the worker.
        How often: several times.
        Assume: nothing but the options, on which alone it depends.
        Raises: the core adds to the suite's errors where it is anything else or the suite has no such detector.
        """

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields boxes for each image, in order.

        When: after `sample` and, where `boxes_from` names a detector, after that detector's `predict`; on the test images,
            after `load` and whatever gives it boxes there.
        How often: once for each generator's images, and once for the test images to be scored against truth; with
            `generator`, on the test images of each generator that has `locate`. Each time for the references, the first of
            the suite's seeds and all options.
        Assume: `images[i].boxes` is what `boxes_from` asks for, with the scores that the detector gave: None where that is
            nothing, or where a generator gave none. It is never the truth. `references` are labelled. Boxes are clipped to
            their image; those without size or of no known category are dropped, with a note in the report.
        Raises: the core raises SynthbenchError where it yields more or fewer than there are images, or anything but Boxes.
        """


class Detector(Plugin, Protocol):
    """Finds objects."""

    def train(self, data: ImageSet, run: Run) -> None:
        """Learns from labelled images; what it leaves in `run.workdir` is given to `predict`.

        When: after the stages that make the training set.
        How often: once for each training set, each of the suite's seeds and the options without those of `predict`. A
            `teacher` is the training on the references with the first seed, and does not cost another.
        Assume: each image has boxes, `Boxes` of length 0 where nothing is in it; the core left out those that nobody labelled,
            and there is at least one box. `run.workdir` is empty. Weights are safetensors, plain figures JSON or `.npy`.
            Options marked `option(…, stage="predict")` must not matter.
        Raises: see Plugin. Without a call, the core raises SynthbenchError where the training set holds no box.
        """

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields boxes with scores for each image, in order.

        When: after `train`, in a process that may be another.
        How often: once for each training and set of images, with all options: the test images and, for the detector of a
            `teacher`, each generator's images.
        Assume: images without boxes. `fitted` is the folder that `train` left, to be read only; `run.seed` is that of `train`.
            Of each category the 100 boxes of an image with the highest scores count (COCO's rule). Boxes are clipped to their
            image; those without size or of no known category are dropped, with a note in the report.
        Raises: the core raises SynthbenchError where it yields more or fewer than there are images, or anything but Boxes.
        """


@hookspec
def synthbench_data_sources() -> Sequence[type[DataSource]]:
    """The data sources of this distribution.

    When: before a suite is read, plugins are listed or a worker's first stage; right after the module was imported.
    How often: once in each process.
    Assume: no torch, no device, no network, and nothing about the order of distributions; the core's own come first.
    Raises: nothing that ends the program. An import or a hook that raises, and a class that is no frozen dataclass, lacks a
        member, takes other parameters, or has a name in use, is listed as broken by `synthbench plugins`; a suite that names
        it is told why.
    """
    return ()


@hookspec
def synthbench_generators() -> Sequence[type[Generator]]:
    """The generators of this distribution.

    When, How often, Assume, Raises: as for `synthbench_data_sources`.
    """
    return ()


@hookspec
def synthbench_annotators() -> Sequence[type[Annotator]]:
    """The annotators of this distribution.

    When, How often, Assume, Raises: as for `synthbench_data_sources`.
    """
    return ()


@hookspec
def synthbench_detectors() -> Sequence[type[Detector]]:
    """The detectors of this distribution.

    When, How often, Assume, Raises: as for `synthbench_data_sources`.
    """
    return ()


@hookspec
def synthbench_checkpoints() -> Mapping[str, Path]:
    """Checkpoints that this distribution ships, by the name a suite uses for them (no slash in it).

    When, How often: as for `synthbench_data_sources`.
    Assume: an option of the type `Weights` that holds the name gets the path in its place; the content counts for the key.
    Raises: nothing that ends the program. A path that is not there, a name in use or with a slash in it is listed as broken.
    """
    return {}
