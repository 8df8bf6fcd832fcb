"""What detectors are trained on, as values. Names are for display; a suite may give others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

Kind = Literal["real", "references", "subset", "labelled", "generated", "mix", "part"]


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """The seeds of a suite by what they draw, one of each for every replicate; see `Settings.seeds`."""

    references: tuple[int, ...] = (0,)
    generators: tuple[int, ...] = (0,)
    detectors: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        """What has one seed keeps it in all replicates. Raises ValueError if the numbers of seeds do not fit together."""
        count = len(self)
        for thing, seeds in vars(self).items():
            if len(seeds) not in (1, count):
                raise ValueError(f"{len(seeds)} seeds of the {thing} for {count} replicates: expected {count}, or one for all")

    def __len__(self) -> int:
        """The number of replicates."""
        return max(map(len, vars(self).values()))

    def first(self, replicates: int) -> Seeds:
        """Those of the first replicates."""
        return Seeds(**{thing: seeds[:replicates] for thing, seeds in vars(self).items()})

    def __iter__(self) -> Iterator[Replicate]:
        """The replicates, in order."""
        for number in range(len(self)):
            yield Replicate(number, **{thing: seeds[number % len(seeds)] for thing, seeds in vars(self).items()})


@dataclass(frozen=True)
class Replicate:
    """One repetition of the whole experiment. number: from 0. The seeds are those of what it draws."""

    number: int
    references: int
    generators: int
    detectors: int


@dataclass(frozen=True, kw_only=True)
class Draw:
    """The seeds that one training set was drawn with; None for what it does not depend on.

    generator: also the seed of the annotator, and of the detector that a teacher is.
    """

    references: int | None = None
    generator: int | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """One row of a report.

    kind: `subset` is some of the real images, the references among them; `labelled` is all of them with an annotator's boxes;
    `part` is a generated set with fewer images, or a mix with such sets.
    generator, annotator: entries of the suite. parts: of a mix. images: how many, of a generated set, a part or a subset.
    whole: the name of what it is a part of.
    """

    kind: Kind
    name: str = field(compare=False)
    generator: str = ""
    annotator: str = ""
    parts: tuple[TrainingSet, ...] = ()
    images: int | None = None
    whole: str = field(default="", compare=False)

    @property
    def generated_images(self) -> int:
        """How many of its images were generated."""
        return (self.images or 0) if self.generator else sum(part.generated_images for part in self.parts)

    @property
    def uses_references(self) -> bool:
        """Whether another draw of the references changes it."""
        return self.kind not in ("real", "mix") or any(part.uses_references for part in self.parts)

    @property
    def uses_generator(self) -> bool:
        """Whether another seed of the generators changes it; a teacher has their seed."""
        return bool(self.annotator) or any(part.uses_generator for part in self.parts)

    def draw(self, replicate: Replicate) -> Draw:
        """Its draw in a replicate: the seeds that it depends on."""
        return Draw(
            references=replicate.references if self.uses_references else None,
            generator=replicate.generators if self.uses_generator else None,
        )


REAL = TrainingSet(kind="real", name="real")
REFERENCES = TrainingSet(kind="references", name="references")
BASELINES = (REAL, REFERENCES)


def subset(images: int) -> TrainingSet:
    """This many of the real images. The references are the first of them, so larger subsets contain smaller ones."""
    return TrainingSet(kind="subset", name=f"{images} real", images=images)


def part(of: TrainingSet, images: int) -> TrainingSet:
    """The same with the first `images` of each generator: a generated set, or a mix with such sets."""
    parts = tuple(part(each, images) if each.generated_images else each for each in of.parts)
    made = replace(of, kind="part", parts=parts, images=images if of.generator else None, whole=of.name)
    return replace(made, name=f"{of.name}, {made.generated_images} generated")


def labelled(annotator: str) -> TrainingSet:
    """All real images with an annotator's boxes, which tells what its errors cost."""
    return TrainingSet(kind="labelled", name=f"real x {annotator}", annotator=annotator)


def generated(generator: str, annotator: str, images: int) -> TrainingSet:
    """The set of a generator's images with an annotator's boxes."""
    return TrainingSet(kind="generated", name=f"{generator} x {annotator}", generator=generator, annotator=annotator, images=images)
