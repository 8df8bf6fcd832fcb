"""A suite as a value: what to compare, every name resolved and every option checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec

from synthbench.contract.box_sources import BoxSource, FromAnnotator, box_source_of
from synthbench.contract.stages import PluginKind
from synthbench.registry import PluginInfo
from synthbench.suite.training_sets import Seeds, TrainingSet

TABLES: Mapping[str, PluginKind] = {"generators": "generator", "annotators": "annotator", "detectors": "detector"}
SomeSeeds = Annotated[tuple[int, ...], msgspec.Meta(min_length=1)]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A configured plugin under the name that rows and columns of the report have."""

    name: str
    plugin: Any
    info: PluginInfo


@dataclass(frozen=True, kw_only=True)
class SeedTable:
    """`seeds` as a table: one list for each thing that is drawn, with a seed a replicate; a single seed is that of all replicates."""

    references: int | SomeSeeds = 0
    """Of the draws of the references."""
    generators: int | SomeSeeds = 0
    """Of the generators, and of the annotators and teachers that label their images."""
    detectors: int | SomeSeeds = 0
    """Of the detectors' trainings."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The keys of a suite that are not plugins."""

    title: str = ""
    """The heading of the report."""
    about: str = ""
    """Paragraphs below it: what is compared, and with what."""
    caveat: str = ""
    """What a reader must know before he decides by the answer; it stands within it."""
    replicates: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """How many times the whole experiment is done, each time with other references, other seeds of the generators and of the
    detectors. None: as many as there are `seeds`."""
    seeds: SomeSeeds | SeedTable | None = None
    """The seeds, one a replicate; None: 0, 1, 2, … A table gives each thing that is drawn its own; what has one seed there is drawn
    once."""
    references: Annotated[int, msgspec.Meta(ge=1)] = 20
    """How many real images the generators are fitted on and teachers are trained on."""
    reference_choice: Literal["random", "varied"] = "random"
    """How the references are drawn from the real images, and the images of `real_counts` with them: all at random; or `"varied"`, the
    first at random and then always the image that differs most from all before it, by the detector that describes images."""
    images: Annotated[int, msgspec.Meta(ge=1)] = 100
    """How many images each generator makes."""
    baselines: tuple[str, ...] = ("real", "references")
    """What generated images are compared with; also `"real x ANNOTATOR"`, which tells what the annotator's errors cost."""
    real_counts: tuple[Annotated[int, msgspec.Meta(ge=1)], ...] = ()
    """Also trains on this many real images: the curve that tells how many of them generated images are worth."""
    generated_counts: Mapping[str, tuple[Annotated[int, msgspec.Meta(ge=1)], ...]] = field(default_factory=dict)
    """Also trains with fewer images of each generator, by generated set or mix: `"sd15 x teacher" = [20, 40]`: the curve that tells
    whether more of them would help."""
    holdout: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Real training images that are in no training set: the best generated set of a detector is chosen by the AP on them. 0: by the AP
    on the test images, which flatters the best one."""
    margin: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05
    """How far below `real` the AP of a training set may lie that still replaces it. Choose it before you see a result."""
    leave_out: tuple[str, ...] = ()
    """Training sets that no detector is trained on, such as `"augment x teacher"`, where boxes are exact anyway."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Other names for training sets, by the ones they have: `"sd15 x teacher" = "SD 1.5, labelled by a teacher"`."""
    allow_duplicates: bool = False
    """Whether the suite runs although training and test images are near-duplicates; the report counts them."""
    features: str = ""
    """The detector whose plugin describes images, to measure how far generated ones are from real ones; empty: the first that can."""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=1e7)] = 24 * 3600.0
    """Seconds after which a stage that is still running counts as hung."""

    def seeds_of_each(self) -> Seeds:
        """The seeds by what they draw. Raises ValueError if their numbers do not fit together."""
        if isinstance(self.seeds, SeedTable):
            lists = {thing: (value,) if isinstance(value, int) else value for thing, value in vars(self.seeds).items()}
        else:
            seeds = self.seeds or tuple(range(self.replicates or 1))
            lists = {"references": seeds, "generators": seeds, "detectors": seeds}
        found = Seeds(**lists)
        if self.replicates not in (None, len(found)):
            raise ValueError(f"{len(found)} seeds, but replicates = {self.replicates}; leave one of them out")
        return found


@dataclass(frozen=True, kw_only=True)
class Mix:
    """A training set put together from others, as a suite writes it."""

    name: str
    """The name of the training set in the report."""
    parts: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """The training sets that it consists of."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """What to compare.

    file: where it was read, for messages. name: of its report. rows: the training sets that detectors are trained on.
    """

    file: str
    name: str
    settings: Settings
    seeds: Seeds
    data: Entry
    generators: tuple[Entry, ...]
    annotators: tuple[Entry, ...]
    detectors: tuple[Entry, ...]
    rows: tuple[TrainingSet, ...]

    @property
    def describer(self) -> Entry | None:
        """The detector whose plugin describes images; None if none can."""
        able = (entry for entry in self.detectors if hasattr(entry.plugin, "features"))
        return next((entry for entry in able if self.settings.features in ("", entry.name)), None)

    def generator(self, name: str) -> Entry:
        """The generator entry of this name."""
        return next(entry for entry in self.generators if entry.name == name)

    def annotator(self, name: str) -> Entry:
        """The annotator entry of this name."""
        return next(entry for entry in self.annotators if entry.name == name)

    def box_source(self, annotator: Entry) -> BoxSource:
        """Whose boxes an annotator starts from in the end: of annotators that start from others', the first one's."""
        source = box_source_of(annotator.plugin)
        return self.box_source(self.annotator(source.name)) if isinstance(source, FromAnnotator) else source

    def detector(self, name: str) -> Entry:
        """The detector entry of this name."""
        return next(entry for entry in self.detectors if entry.name == name)
