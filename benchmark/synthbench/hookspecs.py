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

from synthbench.types import Boxes, Brief, ImageSet, Run, Sample, Splits

PROJECT = "synthbench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Plugin(Protocol):
    """What every plugin says of itself."""

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


class Extras(Protocol):
    """What a plugin may say besides. The core reads each with `getattr` and takes the default given here where it is silent."""

    trial: ClassVar[Mapping[str, object]]
    """Options with which it learns two dozen images of 64 pixels in seconds on one processor, for the contract tests. Default: none."""
    seeded: ClassVar[bool]
    """Whether anything is drawn at random, so that another seed gives another result. Default: True."""

    @property
    def environment(self) -> Environment | None:
        """The environment of its own that the plugin runs in, with these options. Default: None, the harness's."""


class DataSource(Plugin, Protocol):
    """Real photographs with boxes, or what stands for them."""

    def load(self, run: Run) -> Splits:
        """Gives the real training set and the test set. Called once a suite; the core stores what it yields."""


class Generator(Plugin, Protocol):
    """Makes images after a few references."""

    def fit(self, references: ImageSet, run: Run) -> None:
        """Learns from the labelled references; what it leaves in `run.workdir` is given to `sample`.

        Called once a suite; a fit that was stopped finds what it had written, and may go on from there.
        Options marked `option(…, stage="sample")` must not matter here.
        """

    def sample(self, fitted: Path, brief: Brief, run: Run) -> Iterator[Sample]:
        """Yields image `brief.start` to `brief.stop`, each dependent on `run.seed` and its number alone.

        Called in a process that may not be the one that called `fit`.
        """


@runtime_checkable
class Locator(Protocol):
    """A generator that can also say where the objects are in an image that it did not make."""

    def locate(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields boxes for each image, made as those of its own samples are.

        Called on test images without their boxes, to score the generator's own boxes against truth.
        """


class Annotator(Plugin, Protocol):
    """Gives generated images their boxes."""

    @property
    def boxes_from(self) -> str:
        """Whose boxes the images bring along: `generator`, `detector:NAME` of the suite, or nothing (empty)."""

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields boxes for each image. `images[i].boxes` is what `boxes_from` asks for, or None."""


class Detector(Plugin, Protocol):
    """Finds objects."""

    def train(self, data: ImageSet, run: Run) -> None:
        """Learns from labelled images; what it leaves in `run.workdir` is given to `predict`.

        Called once for each training set and seed. `data` may hold images without boxes. Weights are safetensors.
        Options marked `option(…, stage="predict")` must not matter here.
        """

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields boxes with scores for each image, at most 100 of them being scored (COCO's rule).

        Called in a process that may not be the one that called `train`, with images without boxes.
        """


@hookspec
def synthbench_data_sources() -> Sequence[type[DataSource]]:
    """The data sources of this distribution. Called once when plugins are listed or a suite is read."""
    return ()


@hookspec
def synthbench_generators() -> Sequence[type[Generator]]:
    """The generators of this distribution. Called once when plugins are listed or a suite is read."""
    return ()


@hookspec
def synthbench_annotators() -> Sequence[type[Annotator]]:
    """The annotators of this distribution. Called once when plugins are listed or a suite is read."""
    return ()


@hookspec
def synthbench_detectors() -> Sequence[type[Detector]]:
    """The detectors of this distribution. Called once when plugins are listed or a suite is read."""
    return ()


@hookspec
def synthbench_checkpoints() -> Mapping[str, Path]:
    """Checkpoints that this distribution ships, by the name a suite uses for them (no slash in it).

    Called once when plugins are listed or a suite is read; the paths are folders or files that exist.
    """
    return {}
