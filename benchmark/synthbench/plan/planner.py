"""From a suite to its stages, each with the key of everything its result depends on.

Device, progress, folders and the number of threads stay out of the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from synthbench.contract.hookspecs import environment_of
from synthbench.contract.options import option_values
from synthbench.contract.types import derive_seed
from synthbench.metrics import METRICS_VERSION
from synthbench.registry import Registry
from synthbench.storage.local import Store, key_of
from synthbench.suite.inputs import Inputs, resolve_suite
from synthbench.suite.reader import Entry, Suite, pair_name

StageKind = Literal["data", "fit", "sample", "locate", "train", "predict", "annotate", "score", "judge"]
# Raised when the core's own part of a stage gives other results for the same inputs.
CORE_VERSION = 1
METRICS = {"metrics": METRICS_VERSION}


@dataclass(frozen=True)
class View:
    """A stage's images as another stage sees them.

    split: `train` or `test` of a data stage, empty for sampled images.
    choose: (count, seed) picks that many; None takes all.
    boxes: the stage whose boxes replace the images' own.
    """

    images: Stage
    split: str = ""
    choose: tuple[int, int] | None = None
    boxes: Stage | None = None

    @property
    def recipe(self) -> dict[str, Any]:
        """What enters a key."""
        return {
            "images": self.images.key,
            "split": self.split,
            "choose": list(self.choose) if self.choose else None,
            "boxes": self.boxes.key if self.boxes else None,
        }

    @property
    def stages(self) -> list[Stage]:
        """What must be there before the view can be read."""
        return [self.images] if self.boxes is None else [self.images, self.boxes]


@dataclass(frozen=True)
class Stage:
    """A piece of work whose result is kept under its key.

    late: the options of the plugin's later stage count as well.
    """

    kind: StageKind
    label: str
    entry: Entry | None = None
    seed: int = 0
    late: bool = False
    fitted: Stage | None = None
    views: Mapping[str, tuple[View, ...]] = field(default_factory=dict)
    predictions: Stage | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)  # option -> hash of the content it names

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """Everything the result depends on, readable."""
        made: dict[str, Any] = {
            "stage": self.kind,
            "core": CORE_VERSION,
            "seed": self.seed,
            "fitted": self.fitted.key if self.fitted else None,
            "predictions": self.predictions.key if self.predictions else None,
            "views": {name: [view.recipe for view in views] for name, views in self.views.items()},
            **self.extra,
        }
        if self.entry is not None:
            options = option_values(self.entry.plugin, late=self.late)
            made |= {
                "plugin": self.entry.found.name,
                "version": self.entry.found.plugin.version,
                "options": options | {name: value for name, value in self.inputs.items() if name in options},
            }
            if (environment := environment_of(self.entry.plugin)) is not None:
                made["environment"] = asdict(environment)
        return made

    @cached_property
    def key(self) -> str:
        """The name of the result."""
        return key_of(self.recipe)

    @property
    def needs(self) -> list[Stage]:
        """The stages whose results this one reads."""
        needed = [view_stage for views in self.views.values() for view in views for view_stage in view.stages]
        return [*needed, *(each for each in (self.fitted, self.predictions) if each is not None)]


@dataclass(frozen=True)
class Cell:
    """A training set, a detector and a seed, and the stages that end in a score."""

    training_set: str
    detector: str
    seed: int
    train: Stage
    predict: Stage
    score: Stage


@dataclass(frozen=True)
class Judged:
    """An annotator's boxes on the test images, held against the truth; `generator` where the boxes are the generator's."""

    annotator: str
    generator: str
    judge: Stage


@dataclass(frozen=True)
class Generated:
    """What a generator and an annotator made."""

    name: str
    generator: str
    annotator: str
    sample: Stage
    annotate: Stage


@dataclass(frozen=True)
class Plan:
    """All stages, each after those it needs, and what they are for."""

    suite: Suite
    data: Stage
    training_sets: Mapping[str, tuple[View, ...]]
    generated: tuple[Generated, ...]
    judged: tuple[Judged, ...]
    cells: tuple[Cell, ...]
    stages: tuple[Stage, ...]


class Planner:
    """Makes the stages of one suite; the same stage asked for twice is one."""

    def __init__(self, suite: Suite, inputs: Inputs) -> None:
        self.suite = suite
        self.inputs = inputs
        self.stages: dict[str, Stage] = {}
        self.seed = suite.settings.seeds[0]
        self.data = self.stage("data", f"load {suite.data.name}", suite.data)
        self.test = View(self.data, "test")
        count = suite.settings.references
        self.references = (View(self.data, "train", (count, derive_seed(self.seed, "references"))),)

    def stage(self, kind: StageKind, label: str, entry: Entry | None = None, **parts: Any) -> Stage:
        """The stage, once."""
        inputs = self.inputs.get((entry.found.kind, entry.name), {}) if entry else {}
        made = Stage(kind, label, entry, inputs=inputs, **parts)
        return self.stages.setdefault(made.key, made)

    def fit(self, generator: Entry) -> Stage:
        """Fits a generator on the references."""
        seed = derive_seed(self.seed, "fit", generator.found.name)
        return self.stage("fit", f"fit {generator.name}", generator, seed=seed, views={"references": self.references})

    def sample(self, generator: Entry) -> Stage:
        """Samples the images a generator is asked for."""
        seed = derive_seed(self.seed, "sample", generator.found.name)
        extra = {"start": 0, "stop": self.suite.settings.images}
        parts = {"fitted": self.fit(generator), "views": {"like": self.references}, "extra": extra}
        return self.stage("sample", f"sample {generator.name}", generator, seed=seed, late=True, **parts)

    def train(self, detector: Entry, training_set: str, views: tuple[View, ...], seed: int) -> Stage:
        """Trains a detector."""
        label = f"train {detector.name} on {training_set}" + (f", seed {seed}" if len(self.suite.settings.seeds) > 1 else "")
        return self.stage("train", label, detector, seed=derive_seed(seed, "train", detector.found.name), views={"data": views})

    def predict(self, detector: Entry, trained: Stage, images: View, where: str) -> Stage:
        """Predicts boxes on images whose own boxes stay behind."""
        label = f"predict {trained.label.removeprefix('train ')} -> {where}"
        parts = {"fitted": trained, "views": {"images": (images,)}}
        return self.stage("predict", label, detector, seed=trained.seed, late=True, **parts)

    def annotate(self, annotator: Entry, images: View, where: str, generator: Entry | None) -> Stage | None:
        """Annotates sampled images, or the test images for a judgement; None where the boxes cannot be had there."""
        source = str(annotator.plugin.boxes_from)
        if source.startswith("detector:"):
            detector = next(each for each in self.suite.detectors if each.name == source.removeprefix("detector:"))
            trained = self.train(detector, "references", self.references, self.seed)
            images = replace(images, boxes=self.predict(detector, trained, images, where))
        elif source == "generator" and images is self.test:
            if generator is None or not hasattr(generator.plugin, "locate"):
                return None
            seed = derive_seed(self.seed, "locate", generator.found.name)
            parts = {"fitted": self.fit(generator), "views": {"images": (images,)}}
            located = self.stage("locate", f"locate {generator.name} -> {where}", generator, seed=seed, late=True, **parts)
            images = replace(images, boxes=located)
        elif source == "":
            images = replace(images, boxes=None)
        views = {"images": (images,), "references": self.references}
        seed = derive_seed(self.seed, "annotate", annotator.found.name)
        return self.stage("annotate", f"annotate {where} x {annotator.name}", annotator, seed=seed, late=True, views=views)

    def judge(self, annotator: Entry, generator: Entry | None) -> Judged | None:
        """Holds an annotator's boxes on the test images against the truth."""
        annotated = self.annotate(annotator, self.test, "test", generator)
        if annotated is None:
            return None
        name = generator.name if generator else ""
        label = f"judge {annotator.name}" + (f" of {name}" if name else "")
        judged = self.stage("judge", label, predictions=annotated, views={"truth": (self.test,)}, extra=METRICS)
        return Judged(annotator.name, name, judged)

    def cell(self, training_set: str, views: tuple[View, ...], detector: Entry, seed: int) -> Cell:
        """Trains on a set, predicts on the test images and scores."""
        trained = self.train(detector, training_set, views, seed)
        predicted = self.predict(detector, trained, self.test, "test")
        label = f"score {trained.label.removeprefix('train ')}"
        scored = self.stage("score", label, predictions=predicted, views={"truth": (self.test,)}, extra=METRICS)
        return Cell(training_set, detector.name, seed, trained, predicted, scored)


def make_plan(suite: Suite, registry: Registry, store: Store) -> Plan:
    """The plan of a suite. Raises SuiteError where an option names a file that is not there."""
    suite, inputs = resolve_suite(suite, registry, store)
    planner = Planner(suite, inputs)
    sets: dict[str, tuple[View, ...]] = {"real": (View(planner.data, "train"),), "references": planner.references}
    generated = []
    for generator, annotator in suite.pairs:
        sampled = planner.sample(generator)
        annotated = planner.annotate(annotator, View(sampled), generator.name, generator)
        assert annotated is not None, "sampled images always can be annotated"
        name = pair_name(generator.name, annotator.name)
        sets[name] = (View(sampled, boxes=annotated),)
        generated.append(Generated(name, generator.name, annotator.name, sampled, annotated))
    for mix in suite.mixes:
        sets[mix.name] = tuple(view for part in mix.parts for view in sets[part])
    rows = [name for name in sets if name in suite.settings.baselines or name not in ("real", "references")]
    cells = [planner.cell(row, sets[row], detector, seed) for row in rows for detector in suite.detectors for seed in suite.settings.seeds]
    judged = [
        planner.judge(annotator, generator)
        for annotator in suite.annotators
        for generator in (suite.generators if annotator.plugin.boxes_from == "generator" else (None,))
    ]
    return Plan(
        suite=suite,
        data=planner.data,
        training_sets={row: sets[row] for row in rows},
        generated=tuple(generated),
        judged=tuple(each for each in judged if each is not None),
        cells=tuple(cells),
        stages=tuple(planner.stages.values()),
    )
