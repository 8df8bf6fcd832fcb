"""Makes the stages of a suite. Device, progress, folders and the number of threads stay out of the keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthbench.contract.box_sources import FromAnnotator, FromDetector, FromGenerator, FromPeople, box_source_of
from synthbench.contract.types import derive_seed
from synthbench.planning.people import People
from synthbench.planning.plan import Cell, Compared, Judged, PlannedSet, Views
from synthbench.planning.stage import (
    METRICS_VERSION,
    SIMILARITY_VERSION,
    BoxesOf,
    Configured,
    HiddenBoxes,
    OwnBoxes,
    Stage,
    View,
    configured,
)
from synthbench.suite.inputs import Inputs
from synthbench.suite.model import Entry, Suite
from synthbench.suite.training_sets import REAL, REFERENCES, Draw, Replicate, TrainingSet

METRICS = {"metrics": METRICS_VERSION}
SIMILARITY: Mapping[str, Any] = {"similarity": SIMILARITY_VERSION}


class Planner:
    """Makes the stages of one suite; a stage that is asked for twice is one. labels: where people's answers lie.

    What each replicate asks for again and again is remembered, since to make a stage and its key takes long.
    """

    def __init__(self, suite: Suite, inputs: Inputs, labels: Path) -> None:
        self.suite = suite
        self.inputs = inputs
        self.same_seeds = suite.seeds.references == suite.seeds.generators == suite.seeds.detectors
        self.people = People(self, labels)
        self.stages: dict[str, Stage] = {}
        self.configured: dict[tuple[str, str, str], Configured] = {}
        self.selected: dict[tuple[str, int | None, int], Stage] = {}
        self.sets: dict[tuple[str, TrainingSet, Draw], PlannedSet] = {}
        self.data = self.stage("data", f"load {suite.data.name}", suite.data)
        self.check = self.stage(
            "check",
            "compare training and test images",
            reads={"data": self.data},
            parameters={**SIMILARITY, "allow_duplicates": suite.settings.allow_duplicates},
        )
        self.test = View(self.select("test", "select the test images"), HiddenBoxes())

    def stage(self, kind: str, label: str, entry: Entry | None = None, **parts: Any) -> Stage:
        """The stage, once."""
        if entry is not None:
            inputs = self.inputs.get((entry.info.kind, entry.name), {})
            name = (kind, entry.info.kind, entry.name)
            if name not in self.configured:
                self.configured[name] = configured(entry, kind, inputs)
            parts |= {"inputs": inputs, "configured": self.configured[name]}
        stage = Stage(kind=kind, label=label, entry=entry, **parts)
        allowed = {*stage.about.inputs}
        assert {*stage.reads, *stage.views} <= allowed, f"{kind} reads {allowed} only"
        return self.stages.setdefault(stage.key, stage)

    def select(self, split: str, label: str, count: int | None = None, seed: int = 0) -> Stage:
        """Some images of the data: what plugins are given instead of it."""
        if (split, count, seed) in self.selected:
            return self.selected[split, count, seed]
        parameters: dict[str, Any] = {"split": split, "count": count, "seed": seed}
        if split != "test" and self.suite.settings.holdout:
            parameters["holdout"] = self.suite.settings.holdout
        reads = {"data": self.data}
        if count is not None and self.suite.settings.reference_choice == "varied":
            reads["features"] = self.real_features()
            parameters |= SIMILARITY
        selected = self.stage("select", label, reads=reads, parameters=parameters, after=(self.check,))
        self.selected[split, count, seed] = selected
        return selected

    def real(self) -> View:
        """All real training images."""
        return View(self.select("train", "select the real training images"), OwnBoxes())

    def references(self, draw: Draw) -> View:
        """The references of a draw."""
        return self.some_real(self.suite.settings.references, "references", draw)

    def some_real(self, count: int, what: str, draw: Draw) -> View:
        """So many real images of a draw: those of a smaller number, and more."""
        seed = draw.references
        assert seed is not None, "what uses references has their seed"
        label = self.label("select", f"{count} {what}", Draw(references=seed))
        return View(self.select("train", label, count, derive_seed(seed, "references")), OwnBoxes())

    def label(self, verb: str, what: str, draw: Draw, seed: int | None = None) -> str:
        """The name of a stage: seeds are named if the suite has several of them, as one where they are the same."""
        seeds = self.suite.seeds
        named: dict[str, int] = {}
        if draw.references is not None and len(seeds.references) > 1:
            named["references"] = draw.references
        if draw.generator is not None and len(seeds.generators) > 1:
            named["generator"] = draw.generator
        if seed is not None and seeds.detectors != (seed,):
            named["seed"] = seed
        if self.same_seeds and named:
            named = {"seed": max(named.values())}
        return ", ".join([f"{verb} {what}", *(f"{thing} {value}" for thing, value in named.items())])

    def fit(self, generator: Entry, draw: Draw) -> Stage:
        """Fits a generator on the references."""
        seed = derive_seed(seed_of(draw), "fit", generator.info.name)
        label = self.label("fit", generator.name, draw)
        views = {"references": (self.references(draw),)}
        return self.stage("fit", label, generator, seed=seed, views=views, behind=self.asked(generator))

    def asked(self, generator: Entry) -> tuple[Stage, ...]:
        """The stage that asks a generator about its boxes, if a row has them and the generator can tell."""
        own = [each for each in self.suite.annotators if isinstance(box_source_of(each.plugin), FromGenerator)]
        if not hasattr(generator.plugin, "check_boxes") or not any(generator in generators_of(each, self.suite) for each in own):
            return ()
        return (self.stage("ask", f"ask {generator.name} about its boxes", generator, views={"like": (self.test,)}),)

    def sample(self, generator: Entry, count: int, draw: Draw) -> Stage:
        """Samples the first `count` images of a generator."""
        return self.stage(
            "sample",
            self.label("sample", generator.name, draw),
            generator,
            seed=derive_seed(seed_of(draw), "sample", generator.info.name),
            reads={"fitted": self.fit(generator, draw)},
            views={"like": (self.references(draw),)},
            count=count,
        )

    def train(self, detector: Entry, training_set: TrainingSet, views: Views, draw: Draw, seed: int) -> Stage:
        """Trains a detector."""
        label = self.label("train", f"{detector.name} on {training_set.name}", draw, seed)
        return self.stage("train", label, detector, seed=derive_seed(seed, "train", detector.info.name), views={"data": views})

    def predict(self, detector: Entry, trained: Stage, images: View, where: str) -> Stage:
        """Predicts boxes on images, whose own boxes it does not see."""
        label = f"predict {trained.label.removeprefix('train ')} -> {where}"
        hidden = replace(images, boxes=HiddenBoxes())
        return self.stage("predict", label, detector, seed=trained.seed, reads={"fitted": trained}, views={"images": (hidden,)})

    def locate(self, generator: Entry, images: View, draw: Draw, where: str) -> Stage:
        """Has a generator locate objects in images that it did not make."""
        return self.stage(
            "locate",
            self.label("locate", f"{generator.name} -> {where}", draw),
            generator,
            seed=derive_seed(seed_of(draw), "locate", generator.info.name),
            reads={"fitted": self.fit(generator, draw)},
            views={"images": (images,)},
        )

    def annotate(self, annotator: Entry, images: View, where: str, draw: Draw, generator: Entry | None) -> Stage | None:
        """Annotates sampled images, or the test images to be judged; None if the boxes it asks for do not exist there."""
        source = box_source_of(annotator.plugin)
        images = replace(images, boxes=HiddenBoxes())
        after: tuple[Stage, ...] = ()
        if isinstance(source, FromDetector):
            detector = self.suite.detector(source.name)
            references = Draw(references=draw.references)
            trained = self.train(detector, REFERENCES, (self.references(references),), references, seed_of(draw))
            images = replace(images, boxes=BoxesOf(self.predict(detector, trained, images, where)))
        elif isinstance(source, FromAnnotator):
            first = self.annotate(self.suite.annotator(source.name), images, where, draw, generator)
            if first is None:
                return None
            images = replace(images, boxes=BoxesOf(first))
        elif isinstance(source, FromGenerator):
            after = self.asked(generator) if generator else ()
            if images.images.kind == "sample":
                images = replace(images, boxes=OwnBoxes())
            elif generator is None or not hasattr(generator.plugin, "locate"):
                return None
            else:
                images = replace(images, boxes=BoxesOf(self.locate(generator, images, draw, where)))
        elif isinstance(source, FromPeople):
            if images.images.kind != "sample" or generator is None:
                return None
            images = replace(images, boxes=BoxesOf(self.people.label(annotator, images, where, draw, generator)))
        views = {"images": (images,), "references": (self.references(draw),)}
        reads = {}
        if getattr(annotator.plugin, "needs_features", False):
            reads["features"] = self.features(views["images"], self.label("describe", where, draw))
            reads["reference_features"] = self.features(views["references"], self.label("describe", "references", draw))
        seed = derive_seed(seed_of(draw), "annotate", annotator.info.name)
        label = self.label("annotate", f"{where} x {annotator.name}", draw)
        return self.stage("annotate", label, annotator, seed=seed, reads=reads, views=views, after=after)

    def judge(self, annotator: Entry, generator: Entry | None, draw: Draw) -> Judged | None:
        """Compares an annotator's boxes on the test images with the truth."""
        annotated = self.annotate(annotator, self.test, "test", draw, generator)
        if annotated is None:
            return None
        name = generator.name if generator else ""
        label = self.label("judge", annotator.name + (f" of {name}" if name else ""), draw)
        judged = self.stage("judge", label, reads={"predictions": annotated, "truth": self.data}, parameters=METRICS)
        return Judged(annotator=annotator.name, generator=name, draw=draw, judge=judged)

    def planned(self, training_set: TrainingSet, draw: Draw) -> PlannedSet:
        """The images and boxes of a training set."""
        name = (training_set.name, training_set, draw)  # equal sets may have different names
        if name not in self.sets:
            self.sets[name] = self._planned(training_set, draw)
        return self.sets[name]

    def _planned(self, training_set: TrainingSet, draw: Draw) -> PlannedSet:
        if training_set.generator:
            return self.generated(training_set, draw)
        if training_set.annotator:
            return self.labelled(training_set, draw)
        match training_set.kind:
            case "mix" | "part":
                views = tuple(view for part in training_set.parts for view in self.planned(part, draw).views)
            case "subset":
                assert training_set.images is not None, "a subset has a number of images"
                views = (self.some_real(training_set.images, "real training images", draw),)
            case _:
                views = (self.real() if training_set == REAL else self.references(draw),)
        return PlannedSet(training_set=training_set, draw=draw, views=views)

    def generated(self, training_set: TrainingSet, draw: Draw) -> PlannedSet:
        """A generator's images, all or the first of them, with an annotator's boxes."""
        generator, annotator = self.suite.generator(training_set.generator), self.suite.annotator(training_set.annotator)
        count = training_set.images
        assert count is not None, "a generated set has a number of images"
        sampled = self.sample(generator, self.suite.settings.images, draw)
        images = View(sampled, HiddenBoxes(), count)
        where = generator.name if count == sampled.count else f"{count} of {generator.name}"
        annotated = self.annotate(annotator, images, where, draw, generator)
        assert annotated is not None, "sampled images always can be annotated"
        views = (replace(images, boxes=BoxesOf(annotated)),)
        return PlannedSet(training_set=training_set, draw=draw, views=views, sample=sampled, annotate=annotated)

    def labelled(self, training_set: TrainingSet, draw: Draw) -> PlannedSet:
        """All real images with an annotator's boxes."""
        images = replace(self.real(), boxes=HiddenBoxes())
        annotated = self.annotate(self.suite.annotator(training_set.annotator), images, "real", draw, None)
        assert annotated is not None, "the suite was checked for annotators that need a generator"
        return PlannedSet(training_set=training_set, draw=draw, views=(replace(images, boxes=BoxesOf(annotated)),), annotate=annotated)

    def compare(self, training_set: TrainingSet, draw: Draw) -> Compared:
        """Compares generated images and their boxes with the references and with all real training images."""
        images = self.planned(training_set, draw).views
        views = {"images": images, "references": (self.references(draw),), "real": (self.real(),)}
        reads, parameters = {}, dict(SIMILARITY)
        if describer := self.suite.describer:
            reads["features"] = self.features(images, self.label("describe", training_set.generator, draw))
            reads["real_features"] = self.real_features()
            parameters["feature_space"] = describer.plugin.feature_space
        label = self.label("compare", training_set.name, draw)
        compared = self.stage("compare", label, reads=reads, views=views, parameters=parameters)
        return Compared(training_set=training_set, draw=draw, compare=compared)

    def real_features(self) -> Stage:
        """What the detector that describes images says of all real training images."""
        return self.features((self.real(),), "describe the real training images")

    def features(self, images: Views, label: str) -> Stage:
        """Has the plugin of the detector that describes images do so; boxes do not matter."""
        describer = self.suite.describer
        assert describer is not None, "the suite was checked for it"
        hidden = tuple(replace(view, boxes=HiddenBoxes()) for view in images)
        return self.stage("features", label, describer, views={"images": hidden})

    def cell(self, planned: PlannedSet, detector: Entry, replicate: Replicate) -> Cell:
        """Trains on a set, predicts on the test images and scores."""
        seed = replicate.detectors
        trained = self.train(detector, planned.training_set, planned.views, planned.draw, seed)
        predicted = self.predict(detector, trained, self.test, "test")
        label = f"score {trained.label.removeprefix('train ')}"
        scored = self.stage("score", label, reads={"predictions": predicted, "truth": self.data}, parameters=METRICS)
        is_candidate = self.suite.settings.holdout and planned.training_set.kind == "generated"
        return Cell(
            replicate=replicate.number,
            training_set=planned.training_set,
            draw=planned.draw,
            detector=detector.name,
            seed=seed,
            train=trained,
            predict=predicted,
            score=scored,
            held_out=self.held_out(detector, trained) if is_candidate else None,
        )

    def held_out(self, detector: Entry, trained: Stage) -> Stage:
        """Scores a detector on the real images that no training set has."""
        view = View(self.select("holdout", "select the held-out images"), HiddenBoxes())
        predicted = self.predict(detector, trained, view, "held-out images")
        label = f"score {trained.label.removeprefix('train ')}, held-out images"
        parameters = {**METRICS, "holdout": self.suite.settings.holdout}
        return self.stage("score", label, reads={"predictions": predicted, "truth": self.data}, parameters=parameters)


def seed_of(draw: Draw) -> int:
    """The seed of a generator and of what follows from it."""
    assert draw.generator is not None, "what a generator makes has its seed"
    return draw.generator


def generators_of(annotator: Entry, suite: Suite) -> tuple[Entry | None, ...]:
    """The generators whose boxes an annotator takes over for a row; one None for an annotator that takes none over."""
    if not isinstance(suite.box_source(annotator), FromGenerator):
        return (None,)
    used = {each.generator for each in generated_sets(suite) if each.annotator == annotator.name}
    return tuple(generator for generator in suite.generators if generator.name in used)


def generated_sets(suite: Suite) -> list[TrainingSet]:
    """The generated sets that are rows or parts of one."""
    return list(dict.fromkeys(each for row in suite.rows for each in (row, *row.parts) if each.kind == "generated"))
