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


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a plan.

    kind: its name in the table of stages. entry: the plugin; None for the core's own stages.
    reads: artifacts, views: images, both by what they are for. parameters: what else it is told.
    after: checks that must pass first; they change no result, so they are not in the key.
    behind: what must have ended first, well or not; not in the key either.
    inputs: of options that name files, the value with hashes of the content.
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
        recipe: dict[str, Any] = {
            "stage": self.kind,
            "core": CORE_VERSION,
            "seed": self.seed,
            "reads": {name: stage.key for name, stage in self.reads.items()},
            "views": {name: [view.recipe for view in views] for name, views in self.views.items()},
            **self.parameters,
        }
        if self.entry is not None:
            names, marks = entry_names(type(self.entry.plugin)), self.about.options
            values = {} if marks is None else keyed_options(self.entry.plugin, marks)
            options = {name: value for name, value in values.items() if name not in names}
            recipe |= {
                "plugin": self.entry.info.name,
                "version": self.entry.info.cls.version,
                "options": options | {name: value for name, value in self.inputs.items() if name in options},
            }
            if (environment := environment_of(self.entry.plugin)) is not None:
                recipe["environment"] = asdict(environment)
        return recipe

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """Everything the result depends on, readable."""
        return self._base if self.count is None else self._base | {"count": self.count}

    @cached_property
    def key(self) -> str:
        """The name of the result."""
        return key_of(self.recipe)

    @cached_property
    def series(self) -> str:
        """The key without the number of images, of a kind that extends; empty for others."""
        return key_of(self._base) if self.about.extends else ""

    @property
    def needs(self) -> list[Stage]:
        """The stages that must be finished first: those whose results it reads, and the checks."""
        return [*self.after, *self.reads.values(), *(stage for views in self.views.values() for view in views for stage in view.stages)]


def key_of(recipe: Mapping[str, Any]) -> str:
    """The key of a stage: SHA-256 of its recipe as canonical JSON, in which 0 and 0.0 are the same number."""
    text = json.dumps(canonical({"keys": KEYS, **recipe}), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def canonical(value: Any) -> Any:
    """A plain value with whole numbers as integers, as JSON writes them."""
    if isinstance(value, Mapping):
        return {key: canonical(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
