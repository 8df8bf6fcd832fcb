"""Whose boxes an annotator starts from: what `Annotator.boxes_from` returns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FromDetector:
    """Those that a detector predicts after it was trained on the references. name: its entry in the suite."""

    name: str


@dataclass(frozen=True)
class FromAnnotator:
    """Those that another annotator gives the same images, to improve or select them. name: its entry in the suite."""

    name: str


@dataclass(frozen=True)
class FromGenerator:
    """Those that the generator yields with its images."""


@dataclass(frozen=True)
class FromPeople:
    """Those that people drew. What needs them waits until they are imported. pre_labels: the annotator of the suite whose boxes the
    people find in the images and correct; empty: none.
    """

    pre_labels: str = ""


@dataclass(frozen=True)
class NoBoxes:
    """None: the annotator finds the objects by itself."""


BoxSource = FromDetector | FromAnnotator | FromGenerator | FromPeople | NoBoxes
EXPECTED = "FromDetector(NAME), FromAnnotator(NAME), FromGenerator(), FromPeople() or NoBoxes()"


def box_source_of(annotator: object) -> BoxSource:
    """What a configured annotator asks for. Raises ValueError that says what `boxes_from` should be, or whatever it raises itself."""
    source = annotator.boxes_from  # type: ignore[attr-defined]
    if not isinstance(source, BoxSource):
        raise ValueError(f"boxes_from is {source!r}, and should be {EXPECTED} of synthbench")
    return source
