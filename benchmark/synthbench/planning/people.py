"""What people are asked to label in a suite, and the stages that read their answers or wait for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench.contract.box_sources import FromPeople, box_source_of
from synthbench.labelling.answers import read_answers
from synthbench.labelling.batch import batch_folder
from synthbench.planning.stage import METRICS_VERSION, HiddenBoxes, Stage, View
from synthbench.suite.model import Entry
from synthbench.suite.training_sets import Draw, TrainingSet

if TYPE_CHECKING:
    from synthbench.planning.planner import Planner

LABELS = Path("labels")
"""Where people's answers lie, unless another folder is named."""


@dataclass(frozen=True, kw_only=True)
class Labelling:
    """Images of a generator that people label for an annotator.

    folder: where they are asked, and where their answers lie. answered: how many of the images have an answer.
    label: the stage that reads the answers, or that waits for them. pre_labels: the entry whose boxes are drawn before, and drawn, the
    stage that draws them. agree: the entries whose boxes are compared with people's, and the stages that do so.
    """

    annotator: str
    generator: str
    draw: Draw
    folder: Path
    answered: int
    images: View
    label: Stage
    pre_labels: str
    drawn: Stage | None
    agree: tuple[tuple[str, Stage], ...]


class People:
    """Makes the stages of a planner that have to do with people. labels: where people's answers lie."""

    def __init__(self, planner: Planner, labels: Path) -> None:
        self.planner = planner
        self.labels = labels

    def label(self, annotator: Entry, images: View, where: str, draw: Draw, generator: Entry) -> Stage:
        """What people answered to some generated images; a stage that waits while answers are missing."""
        assert images.first is not None, "a generated set has a number of images"
        folder = self.folder(annotator, images.images, draw, generator)
        answers = read_answers(folder)
        enough = answers is not None and answers.are_enough(images.first)
        drawn = self.pre_labelled(annotator, images.images, draw, generator)
        return self.planner.stage(
            "label",
            self.planner.label("label", f"{where} x {annotator.name}", draw),
            views={"images": (images,)},
            # Whose answers they are is in the key while there are none, so that no two stages wait as one.
            parameters={"answers": answers.digest(images.first)} if answers and enough else {"answers": None, "of": annotator.name},
            after=(drawn,) if drawn else (),
            told={"folder": str(folder.absolute())},
            waits=not enough,
        )

    def folder(self, annotator: Entry, sampled: Stage, draw: Draw, generator: Entry) -> Path:
        """Where people are asked and where their answers lie."""
        assert draw.references is not None, "a generator is fitted on references"
        assert draw.generator is not None, "what a generator makes has its seed"
        seeds = (draw.references, draw.generator)
        return batch_folder(self.labels, self.planner.suite.name, annotator.name, generator.name, seeds, sampled.series)

    def pre_labelled(self, annotator: Entry, sampled: Stage, draw: Draw, generator: Entry) -> Stage | None:
        """The boxes that people find in the images; None if they draw all by themselves."""
        source = box_source_of(annotator.plugin)
        if not isinstance(source, FromPeople) or not source.pre_labels:
            return None
        other = self.planner.suite.annotator(source.pre_labels)
        return self.planner.annotate(other, View(sampled, HiddenBoxes(), sampled.count), generator.name, draw, generator)

    def labelling(self, training_set: TrainingSet, draw: Draw) -> Labelling | None:
        """What people are asked for a generated set; None if its boxes are no people's."""
        annotator, generator = self.planner.suite.annotator(training_set.annotator), self.planner.suite.generator(training_set.generator)
        source = box_source_of(annotator.plugin)
        if not isinstance(source, FromPeople):
            return None
        sampled = self.planner.sample(generator, self.planner.suite.settings.images, draw)
        images = View(sampled, HiddenBoxes(), sampled.count)
        folder = self.folder(annotator, sampled, draw, generator)
        answers, label = read_answers(folder), self.label(annotator, images, generator.name, draw, generator)
        others = [each for each in self.planner.suite.annotators if self.is_compared(each, source, generator)]
        agree = tuple((each.name, self.agree(each, annotator, images, label, draw, generator)) for each in others)
        return Labelling(
            annotator=annotator.name,
            generator=generator.name,
            draw=draw,
            folder=folder,
            answered=answers.answered(sampled.count or 0) if answers else 0,
            images=images,
            label=label,
            pre_labels=source.pre_labels,
            drawn=self.pre_labelled(annotator, sampled, draw, generator),
            agree=agree,
        )

    def is_compared(self, annotator: Entry, people: FromPeople, generator: Entry) -> bool:
        """Whether an annotator's boxes are compared with people's: those that were drawn before, and those of the suite's sets."""
        if isinstance(box_source_of(annotator.plugin), FromPeople):
            return False
        sets = (each for row in self.planner.suite.rows for each in (row, *row.parts) if each.kind == "generated")
        return annotator.name in {people.pre_labels, *(each.annotator for each in sets if each.generator == generator.name)}

    def agree(self, annotator: Entry, people: Entry, images: View, label: Stage, draw: Draw, generator: Entry) -> Stage:
        """Compares an annotator's boxes with people's."""
        annotated = self.planner.annotate(annotator, images, generator.name, draw, generator)
        assert annotated is not None, "sampled images always can be annotated"
        name = self.planner.label("compare", f"{generator.name} x {annotator.name} with {people.name}", draw)
        return self.planner.stage(
            "agree", name, reads={"predictions": annotated, "answers": label}, parameters={"metrics": METRICS_VERSION}
        )
