"""Checks that a stage fails if a picture is truncated or missing, and that the error names the file.

Not checked: pictures that an annotator does not open, since one that only selects among given boxes need not open any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from synthbench.contract.box_sources import NoBoxes
from synthbench.contract.stages import PluginKind
from synthbench.testing.annotators import asked_for
from synthbench.testing.bench import Bench, Done, Views
from synthbench.testing.checks import Failure
from synthbench.testing.detectors import DETECTORS
from synthbench.testing.generators import GENERATORS, uses_references
from synthbench.testing.guarded import DAMAGED

NUMBER = 1  # index of the damaged picture
Stage = tuple[str, Views, str | None]
"""A stage, its views, and the folder of the earlier stage's artifact."""


def damaged_pictures(bench: Bench) -> None:
    """Runs each stage that reads pictures on a set with a truncated picture, and on one with a missing picture."""
    for damage, apply in DAMAGES.items():
        for stage, views, fitted in STAGES[bench.found.kind](bench, damage):
            path = damage_one(bench, views, apply)
            done = bench.attempt(stage, views, parameters={DAMAGED: str(path)}, fitted=fitted)
            if path.name not in done.outcome.error and needs_it(bench, done, next(iter(views))):
                if done.outcome.error:
                    raise bench.failed(done, f"{stage} fails at a {damage} picture, but the error does not name {path.name}")
                raise Failure(f"{stage} ignores a {damage} picture; do not catch the error of `Picture.pixels`", bench.method(stage))


def damage_one(bench: Bench, views: Views, apply: Callable[[Path], None]) -> Path:
    """Damages a picture of the first view, once, and returns its path."""
    from synthbench.storage.views import read_view

    view = next(iter(views.values()))[0]
    path = read_view(bench.store, view)[NUMBER].path
    bench.once(("damaged", str(path)), lambda: apply(path))
    return path


def truncate(path: Path) -> None:
    """Removes the second half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


DAMAGES: Mapping[str, Callable[[Path], None]] = {"truncated": truncate, "missing": Path.unlink}


def needs_it(bench: Bench, done: Done, view: str) -> bool:
    """Whether a stage had to open the picture. An annotator need not open references, or pictures that come with boxes."""
    if done.stage != "annotate" or (view == "images" and isinstance(bench.plugin.boxes_from, NoBoxes)):
        return True
    return any(note["job"] == done.label for note in bench.sandbox.logged("damaged"))


def of_detectors(bench: Bench, damage: str) -> Iterator[Stage]:
    """Training and prediction."""
    yield "train", DETECTORS.views(bench, damage), None
    yield "predict", {"images": DETECTORS.views(bench, damage)["data"]}, str(DETECTORS.learn(bench).folder)


def of_generators(bench: Bench, damage: str) -> Iterator[Stage]:
    """Fitting, if its images depend on the references, and locating if the generator has it."""
    if uses_references(bench):
        yield "fit", GENERATORS.views(bench, damage), None
    if hasattr(bench.found.cls, "locate"):
        yield "locate", {"images": GENERATORS.views(bench, damage)["references"]}, str(GENERATORS.learn(bench).folder)


def of_annotators(bench: Bench, damage: str) -> Iterator[Stage]:
    """Annotation with a damaged image, then with a damaged reference."""
    images, references = asked_for(bench, bench.pictures(f"suggested {damage}")), bench.pictures(damage)
    yield "annotate", {"images": [images], "references": [bench.pictures("few")]}, None
    yield "annotate", {"references": [references], "images": [asked_for(bench, bench.pictures("suggested"))]}, None


STAGES: Mapping[PluginKind, Callable[[Bench, str], Iterator[Stage]]] = {
    "detector": of_detectors,
    "generator": of_generators,
    "annotator": of_annotators,
}
