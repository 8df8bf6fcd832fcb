"""The contract: what a plugin is, and the hooks through which the core asks for plugins.

A plugin is a frozen dataclass: its fields are the options that a suite may set, and with their defaults they are part of the key
under which results are stored. Importing its module must be fast: torch and similar libraries are imported inside the methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import pluggy

from synthbench.contract.box_sources import BoxSource
from synthbench.contract.environment import Environment
from synthbench.contract.types import Boxes, DataCheck, ImageSet, Rejected, Run, Sample, SampleRequest, Splits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from synthbench.contract.onnx import OnnxInput
    from synthbench.contract.remote import Remote

PROJECT = "synthbench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Plugin(Protocol):
    """What every plugin has. The following holds for every method of every kind.

    When: in the worker process that runs the stage, which may have run others before; with `--in-process`, in the process of the
        command.
    How often: once for each key. A key is made of the plugin's name, `version`, options and environment, the seed, and the keys of
        everything the stage reads. Stages that are in the store are not run again.
    Assume: the instance is configured and checked, and made for this call; what it remembers is lost. Only this stage uses
        `run.workdir`. A process runs one stage at a time; other processes run others. Paths of images lead to files that hold the
        images of this stage only, and their boxes are in no other file beside them. Nothing may be fetched if `run.offline`. A
        stage reads the images of its image sets, `fitted`, `run.workdir` and what its options name, and no other file of the
        store. It writes below `run.workdir` only, prints nothing (`run.log`), and leaves its process as it was: no open file,
        thread or child process, the same current folder and environment variables.
    Raises: SynthbenchError for what a user can fix: its message is shown as it is. Any other exception is shown with its traceback.
        An image that is missing or does not open ends the stage with the error of `Picture.pixels`, which names the file.
        If a stage fails, its process dies, or it exceeds the suite's `timeout`, the stages that depend on it are skipped, all
        others run, and the command ends with status 1. Failures are not stored, so the next run tries again.
    """

    name: ClassVar[str]
    """Used in suites; unique among the plugins of its kind."""
    version: ClassVar[int]
    """Part of the key. Raise it when the same options give other results."""
    license: ClassVar[str]
    """SPDX, of the code and of weights that come with it; shown in the report."""


class Extras(Protocol):
    """What a plugin may have besides. The core reads each with `getattr`, with the default given here."""

    smoke_options: ClassVar[Mapping[str, object]]
    """Options with which it learns two dozen images of 64 pixels in seconds on one processor, for the contract tests. Default: none."""
    renamed_options: ClassVar[Mapping[str, str]]
    """Names that options had in earlier versions, with today's: a suite that uses an old name is told the new one. Default: none."""
    replaced_options: ClassVar[Mapping[str, str]]
    """Options of earlier versions that nothing of the same meaning replaces, with what a suite that uses one is told. Default: none."""
    seeded: ClassVar[bool]
    """Whether anything is drawn at random, so that another seed gives another result. Default: True."""
    rival: ClassVar[bool]
    """Of a generator: whether it does without a generative model, so that the report shows whether the others beat it. Default: False."""

    uses_references: ClassVar[bool]
    """Of a generator: whether its images depend on the references. False for images that somebody made before. Default: True."""

    @property
    def trained_on(self) -> Mapping[str, str]:
        """What weights that it starts from with these options were trained on, by option, as results show it.

        For weights that come with the plugin or its libraries; for an option of the type `Weights` a text file beside the weights says it.
        Default: none.
        """

    @property
    def environment(self) -> Environment | None:
        """The environment of its own that the plugin runs in, with these options. Default: None, the harness's."""

    @property
    def remote(self) -> Remote | None:
        """The data that it fetches under `--download` with these options, told with their licence before anything runs. Default: None.

        Making it must not need the network. The plugin calls `remote.ready(run, make)` in its stage.
        """


@runtime_checkable
class Inputs(Protocol):
    """A data source that reads only some of the files in the folders that its options name."""

    def inputs(self) -> Iterable[Path]:
        """The files that `load` reads, with absolute paths below those of the options; each need not exist.

        When: while a suite is planned, in the runner's process.
        How often: once a run. Only the content of these files counts for the key; without this method, that of every file does.
        Raises: whatever it raises is a problem of the suite.
        """


@runtime_checkable
class Checked(Protocol):
    """A data source that can look at its data before anything runs."""

    def check(self) -> DataCheck:
        """Says what is wrong or odd in the data that `load` would return.

        When: for `synthbench plan`, and before a run whose data is not in the store; in the process of the command.
        How often: once a command.
        Assume: the instance is configured, with absolute paths. It should take seconds: headers of images, not their pixels.
        Raises: nothing that `problems` can say.
        """


class DataSource(Plugin, Protocol):
    """Real photographs with boxes, or what stands for them."""

    def load(self, run: Run) -> Splits:
        """Returns the real training set and the test set, which the core stores.

        When: before every other stage.
        How often: once for the options. Files and folders that they name count with their content.
        Assume: `train` is read to its end, then `test`, each once. `run.seed` is 0: what is random needs an option.
        Raises: the core raises SynthbenchError if a split is empty or a test image comes without boxes. A training image may have
            none: it can be a reference, and is left out of trainings.
        """


class Generator(Plugin, Protocol):
    """Makes images after a few references."""

    def fit(self, references: ImageSet, run: Run) -> None:
        """Learns from the labelled references; what it leaves in `run.workdir` is passed to `sample` and `locate`.

        When: after `load`.
        How often: once for the references, the seed of the generators and the options without those of `sample`.
        Assume: the suite says how many references there are; they are chosen at random from the real training set. `run.workdir`
            is empty, or contains what an earlier fit with the same key wrote before it failed or was stopped: it may continue
            from there. Options marked `option(…, stage="sample")` must not matter.
        Raises: see Plugin. What was written stays for the next attempt.
        """

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        """Yields image `request.start` to `request.stop`, each of which depends on `run.seed`, its number and the fit alone.

        When: after `fit`, in a process that may be another.
        How often: once for the fit, the seed of the generators, all options, and the images that are not in the store yet: if a
            suite asks for 8 images after one that asked for 4, image 4 to 7 are sampled.
        Assume: `fitted` is the folder that `fit` left, to be read only. Samples are stored as they come, so only one needs to be
            in memory. A sample has a box for every object it shows, with scores from 0 to 1, or None for boxes.
        Raises: the core raises SynthbenchError if it yields more or fewer than `len(request)`, or anything but a Sample.
        """


@runtime_checkable
class Locator(Protocol):
    """A generator that can also say where the objects are in an image that it did not make."""

    def locate(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields boxes for each image, in order, found in the same way as those of its own samples.

        When: after `fit`, to score an annotator with `boxes_from` = `FromGenerator()`, such as `native`, against the truth.
        How often: once for the fit, the test images, the seed of the generators and all options; never without such an annotator.
        Assume: all test images, without their boxes. `fitted` as in `sample`. Boxes are clipped to their image; those without
            size or of an unknown category are dropped, with a note in the report.
        Raises: the core raises SynthbenchError if it yields more or fewer than there are images, or anything but Boxes.
        """


@runtime_checkable
class BoxChecker(Protocol):
    """A generator that can tell, before it is fitted, that no boxes will come with its images."""

    def check_boxes(self, categories: tuple[str, ...]) -> None:
        """Raises SynthbenchError if boxes of these categories cannot come with the images, with these options.

        When: before `fit`, which waits for it.
        How often: once for all options and the data; never without an annotator with `boxes_from` = `FromGenerator()`.
        Assume: the names of the data's categories, in their order.
        Raises: SynthbenchError, which says what to change. Rows with boxes of the generator's own are lost then, and what only they
            need is not run; rows with boxes of other annotators go on, so `sample` should yield images without boxes.
        """


class Annotator(Plugin, Protocol):
    """Gives generated images their boxes."""

    @property
    def boxes_from(self) -> BoxSource:
        """Whose boxes the images come with: `FromGenerator()`, `NoBoxes()`, `FromDetector(NAME)` or `FromAnnotator(NAME)` with an
        entry of the suite, or `FromPeople()`, which waits until people have drawn them.

        When: while the suite is read and planned, and in the worker.
        How often: several times.
        Assume: it depends on the options alone.
        Raises: the core adds to the suite's errors if it is anything else, or if the suite has no such entry, and if annotators
            start from each other in a circle.
        """

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes | Rejected]:
        """Yields boxes for each image, in order, or `Rejected` for an image that no detector should be trained on.

        When: after `sample` and, if `boxes_from` names a detector or another annotator, after that one's `predict` or `annotate`; on
            the test images, after `load` and whatever gives it boxes there.
        How often: once for each generator's images, and once for the test images, to be scored against the truth; with
            `FromGenerator()`, on the test images of each generator that has `locate`, and with `FromPeople()` on none. Each time
            for the references, the seed of the generators and all options.
        Assume: `images[i].boxes` is what `boxes_from` asks for, with the scores that the detector or annotator gave: None with
            `NoBoxes()`, or if a generator gave none; with `FromPeople()`, images that nobody looked at are left out. It is never the
            truth. `references` are labelled. Boxes are clipped to their image; those without size or of an unknown category are
            dropped, with a note in the report. The report has the number of rejected images by reason, `rejected.json` of the
            artifact their names. Annotators that start from this one's boxes do not see them, and they do not count when its boxes on
            the test images are scored.
        Raises: the core raises SynthbenchError if it yields more or fewer than there are images, or anything but Boxes or Rejected.
        """


@runtime_checkable
class FeatureReader(Protocol):
    """An annotator that compares images in a feature space."""

    @property
    def needs_features(self) -> bool:
        """Whether `annotate` is given the `features` of each image and each reference.

        When: while the suite is read and planned.
        How often: several times.
        Assume: it depends on the options alone. The features are those of the suite's detector that describes images.
        Raises: the core adds to the suite's errors if it is true and no detector of the suite describes images.
        """


class Detector(Plugin, Protocol):
    """Finds objects."""

    def train(self, data: ImageSet, run: Run) -> None:
        """Learns from labelled images; what it leaves in `run.workdir` is passed to `predict`.

        When: after the stages that make the training set.
        How often: once for each training set, each seed of the detectors and the options without those of `predict`. A `teacher`
            is the training on the references with the seed of the generators; if that is also a detector's seed, it is the
            training of that cell.
        Assume: each image has boxes, `Boxes` of length 0 if nothing is in it; the core left out those that nobody labelled, and
            there is at least one box. `run.workdir` is empty. Weights are safetensors, plain figures JSON or `.npy`. Options
            marked `option(…, stage="predict")` must not matter. A detector of one category refuses data with several.
        Raises: see Plugin. If the training set has no box, it is not called, and the core raises SynthbenchError.
        """

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields boxes with scores for each image, in order.

        When: after `train`, in a process that may be another.
        How often: once for each training and set of images, with all options: the test images and, for the detector of a
            `teacher`, each generator's images.
        Assume: images without boxes. `fitted` is the folder that `train` left, to be read only; `run.seed` is that of `train`.
            Scores are finite, from 0 to 1: a threshold means the same for all detectors. Of each category the 100 boxes of an
            image with the highest scores count (COCO's rule). Boxes are clipped to their
            image; those without size or of an unknown category are dropped, with a note in the report.
        Raises: the core raises SynthbenchError if it yields more or fewer than there are images, or anything but Boxes.
        """


@runtime_checkable
class FeatureSpace(Protocol):
    """A detector whose plugin can also describe images, so that sets of images have distances."""

    feature_space: ClassVar[str]
    """What the report calls distances of these features: a network and what it was trained on. Printable, no line breaks."""

    def features(self, images: ImageSet, run: Run) -> Iterator[NDArray[np.float32]]:
        """Yields a vector for each image, in order: float32 (D,), of a fixed network.

        When: after the images are there. No training is needed.
        How often: once for the plugin's `version` and each set: the real training images, and each generator's images; the
            references and the test images, if an annotator needs their features.
        Assume: images without boxes. No option of the suite may matter, and nothing is drawn at random. D is the same for all.
        Raises: the core raises SynthbenchError if it yields more or fewer than there are images, or a vector that is not finite or
            has another length than the first.
        """


@runtime_checkable
class Exporter(Protocol):
    """A detector that can be taken home as an ONNX file, which runs without its library."""

    def export(self, fitted: Path, categories: Sequence[str], file: Path, run: Run) -> OnnxInput:
        """Writes the trained detector to `file` with the input and outputs of `synthbench.contract.onnx`, and says what to feed it.

        When: at `synthbench export`, after a run, in the process of the command.
        How often: once for the training that is exported.
        Assume: `fitted` is the folder that `train` left, to be read only. `categories` are those of the training set, in the order
            of the labels. The options are those of the run, `predict`'s too: the file gives the boxes that `predict` gave. The core
            compares them on ten test images.
        Raises: SynthbenchError if these options cannot be exported. Then, and after any other exception, only the plugin's own
            files are exported, and the card says why.
        """


@hookspec
def synthbench_data_sources() -> Sequence[type[DataSource]]:
    """The data sources of this distribution.

    When: before a suite is read, plugins are listed or a worker's first stage; right after the module was imported.
    How often: once in each process.
    Assume: no torch, no device, no network, and nothing about the order of distributions; the core's own come first.
    Raises: nothing that ends the program. An import or a hook that raises, and a class that is no frozen dataclass, lacks a
        member, takes other parameters, or has a name that is in use, is listed as broken by `synthbench plugins`; a suite that
        names it is told why.
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
    """Checkpoints that this distribution ships, by the name that a suite uses for them (no slash in it).

    When, How often: as for `synthbench_data_sources`.
    Assume: an option of the type `Weights` that has this name as its value gets the path; the content counts for the key.
    Raises: nothing that ends the program. A path that does not exist, a name in use or with a slash in it is listed as broken.
    """
    return {}
