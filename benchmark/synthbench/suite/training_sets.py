"""What detectors are trained on, as values. Names are for display; a suite may give others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["real", "references", "generated", "mix"]


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """The seeds of a suite by what they draw; see `Suite.seeds`."""

    references: tuple[int, ...] = (0,)
    generators: tuple[int, ...] = (0,)
    detectors: tuple[int, ...] = (0,)


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

    generator, annotator: entries of the suite, of a generated set. parts: of a mix. images: generated images in it.
    """

    kind: Kind
    name: str = field(compare=False)
    generator: str = ""
    annotator: str = ""
    parts: tuple[TrainingSet, ...] = ()
    images: int | None = None

    @property
    def uses_references(self) -> bool:
        """Whether another draw of the references changes it."""
        return self.kind in ("references", "generated") or any(part.uses_references for part in self.parts)

    @property
    def uses_generator(self) -> bool:
        """Whether another seed of the generators changes it."""
        return self.kind == "generated" or any(part.uses_generator for part in self.parts)

    def draws(self, seeds: Seeds) -> Iterator[Draw]:
        """Every draw of it: only the seeds it depends on multiply."""
        for references in seeds.references if self.uses_references else (None,):
            for generator in seeds.generators if self.uses_generator else (None,):
                yield Draw(references=references, generator=generator)


REAL = TrainingSet(kind="real", name="real")
REFERENCES = TrainingSet(kind="references", name="references")
BASELINES = (REAL, REFERENCES)


def generated(generator: str, annotator: str, images: int) -> TrainingSet:
    """The set of a generator's images with an annotator's boxes."""
    return TrainingSet(kind="generated", name=f"{generator} x {annotator}", generator=generator, annotator=annotator, images=images)
