"""A stage: a piece of work whose result is stored under its key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from synthbench.contract.environment import environment_of
from synthbench.contract.options import entry_names, keyed_options
from synthbench.contract.stages import STAGES, StageKind
from synthbench.suite.model import Entry

KEYS = 2  # the scheme of keys: raised when the same stage would be described otherwise
# Raised when the core's own part of a stage gives other results for the same inputs.
CORE_VERSION = 4
# Raised when `synthbench.metrics` gives another figure for the same boxes, or `score` and `judge` leave something else; here, so
# that planning does not import numpy.
METRICS_VERSION = 3
# Raised when `synthbench.similarity` gives another figure for the same images.
SIMILARITY_VERSION = 1
ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class OwnBoxes:
    """The boxes that are stored with the images."""


@dataclass(frozen=True)
class HiddenBoxes:
    """No boxes, whatever is stored."""


@dataclass(frozen=True)
class BoxesOf:
    """The boxes that another stage gives to these images."""

    stage: Stage


@dataclass(frozen=True)
class View:
    """A stage's images as another stage sees them. first: only so many, from the beginning; None: all."""

    images: Stage
    boxes: OwnBoxes | HiddenBoxes | BoxesOf
    first: int | None = None

    @property
    def recipe(self) -> dict[str, Any]:
        """What enters a key. The first images of a series are the same whatever its length."""
        boxes = self.boxes.stage.key if isinstance(self.boxes, BoxesOf) else "own" if isinstance(self.boxes, OwnBoxes) else "hidden"
        return {"images": self.images.series or self.images.key, "first": self.first, "boxes": boxes}

    @property
    def stages(self) -> list[Stage]:
        """What must be finished before the view can be read."""
        return [self.images, *([self.boxes.stage] if isinstance(self.boxes, BoxesOf) else [])]


@dataclass(frozen=True)
class Configured:
    """A part of the recipe that many stages share."""

    recipe: Mapping[str, Any]

    @cached_property
    def canonical(self) -> Mapping[str, Any]:
        """The same as keys have it."""
        return canonical(self.recipe)  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a plan.

    kind: its name in the table of stages. entry: the plugin; None for the core's own stages.
    reads: artifacts, views: images, both by what they are for. parameters: what else it is told.
    after: checks that must pass first; they change no result, so they are not in the key.
    behind: what must have ended first, well or not; not in the key either.
    inputs: of options that name files, the value with hashes of the content.
    configured: what the entry adds to the key; one for all its stages of the kind.
    count: of a kind that extends, how many images; not in the key of its series.
    told: what else the job is told and no key depends on, such as where a file is whose content is in the parameters.
    waits: whether it waits for people, so that there is nothing to run yet.
    """

    kind: str
    label: str
    entry: Entry | None = None
    seed: int = 0
    reads: Mapping[str, Stage] = field(default_factory=dict)
    views: Mapping[str, tuple[View, ...]] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    configured: Configured = field(default_factory=lambda: Configured({}))
    count: int | None = None
    after: tuple[Stage, ...] = ()
    behind: tuple[Stage, ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict)
    waits: bool = False

    @property
    def about(self) -> StageKind:
        """Its entry in the table of stages."""
        return STAGES[self.kind]

    @cached_property
    def _base(self) -> dict[str, Any]:
        return {
            "stage": self.kind,
            "core": CORE_VERSION,
            "seed": self.seed,
            "reads": {name: stage.key for name, stage in self.reads.items()},
            "views": {name: [view.recipe for view in views] for name, views in self.views.items()},
            **self.parameters,
            **self.configured.recipe,
        }

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """Everything the result depends on, readable."""
        return self._base if self.count is None else self._base | {"count": self.count}

    @cached_property
    def key(self) -> str:
        """The name of the result."""
        return self._key_of(self.recipe)

    @cached_property
    def series(self) -> str:
        """The key without the number of images, of a kind that extends; empty for others."""
        return self._key_of(self._base) if self.about.extends else ""

    def _key_of(self, recipe: Mapping[str, Any]) -> str:
        """As `key_of`, and quicker: only parameters and options may hold what is not canonical."""
        return hash_of({**recipe, **canonical(self.parameters), **self.configured.canonical})

    @property
    def needs(self) -> list[Stage]:
        """The stages that must be finished first: those whose results it reads, and the checks."""
        return [*self.after, *self.reads.values(), *(stage for views in self.views.values() for view in views for stage in view.stages)]


def configured(entry: Entry, kind: str, inputs: Mapping[str, Any]) -> Configured:
    """What an entry adds to the keys of its stages of a kind: the plugin, its version, and the options that count there.

    inputs: of options that name files, the value with hashes of the content.
    """
    names, marks = entry_names(type(entry.plugin)), STAGES[kind].options
    values = {} if marks is None else keyed_options(entry.plugin, marks)
    options = {name: value for name, value in values.items() if name not in names}
    recipe = {
        "plugin": entry.info.name,
        "version": entry.info.cls.version,
        "options": options | {name: value for name, value in inputs.items() if name in options},
    }
    environment = environment_of(entry.plugin)
    return Configured(recipe if environment is None else recipe | {"environment": asdict(environment)})


def key_of(recipe: Mapping[str, Any]) -> str:
    """The key of a stage: SHA-256 of its recipe as canonical JSON, in which 0 and 0.0 are the same number."""
    return hash_of(canonical(recipe))


def hash_of(recipe: Mapping[str, Any]) -> str:
    """The same of a recipe that is canonical."""
    return hashlib.sha256(ENCODER.encode({"keys": KEYS, **recipe}).encode()).hexdigest()


def canonical(value: Any) -> Any:
    """A plain value with whole numbers as integers, as JSON writes them."""
    if value is None or isinstance(value, (str, int)):  # first, as most values are
        return value
    if isinstance(value, (list, tuple)):
        return [canonical(each) for each in value]
    if isinstance(value, (dict, Mapping)):  # a dict is told sooner than a Mapping
        return {key: canonical(each) for key, each in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value
