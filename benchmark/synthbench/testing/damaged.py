"""Checks of what happens where a picture is truncated or missing: the stage fails and names the file.

What cannot be told: whether an annotator that only chooses among boxes it was given would notice; where no picture is
opened, none needs to be.
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
from synthbench.testing.generators import GENERATORS
from synthbench.testing.guarded import DAMAGED

NUMBER = 1  # of the picture that is damaged
Stage = tuple[str, Views, str | None]
"""A stage, what it sees, and the folder that an earlier stage left for it."""


def damaged_pictures(bench: Bench) -> None:
    """Runs every stage that sees pictures on a set of which one is truncated, and on one of which one is missing."""
    for damage, way in DAMAGES.items():
        for stage, views, fitted in STAGES[bench.found.kind](bench, damage):
            path = damage_one(bench, views, way)
            done = bench.attempt(stage, views, parameters={DAMAGED: str(path)}, fitted=fitted)
            if path.name not in done.outcome.error and needs_it(bench, done, next(iter(views))):
                if done.outcome.error:
                    raise bench.failed(done, f"{stage} fails at a {damage} picture without its name, {path.name}")
                raise Failure(f"{stage} passes over a {damage} picture; let the error of `Picture.pixels` through", bench.method(stage))


def damage_one(bench: Bench, views: Views, way: Callable[[Path], None]) -> Path:
    """The picture of the first view that is damaged now."""
    from synthbench.storage.views import read_view

    view = next(iter(views.values()))[0]
    path = read_view(bench.store, view)[NUMBER].path
    bench.once(("damaged", str(path)), lambda: way(path))
    return path


def truncate(path: Path) -> None:
    """Takes the second half of a file away."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


DAMAGES: Mapping[str, Callable[[Path], None]] = {"truncated": truncate, "missing": Path.unlink}


def needs_it(bench: Bench, done: Done, view: str) -> bool:
    """Whether a stage had to notice: an annotator need not open the pictures of its references, nor those that come with boxes."""
    if done.stage != "annotate" or (view == "images" and isinstance(bench.plugin.boxes_from, NoBoxes)):
        return True
    return any(note["job"] == done.label for note in bench.sandbox.heard("damaged"))


def of_detectors(bench: Bench, damage: str) -> Iterator[Stage]:
    """Both stages."""
    yield "train", DETECTORS.views(bench, damage), None
    yield "predict", {"images": DETECTORS.views(bench, damage)["data"]}, str(DETECTORS.learn(bench).folder)


def of_generators(bench: Bench, damage: str) -> Iterator[Stage]:
    """Those that see pictures."""
    yield "fit", GENERATORS.views(bench, damage), None
    if hasattr(bench.found.cls, "locate"):
        yield "locate", {"images": GENERATORS.views(bench, damage)["references"]}, str(GENERATORS.learn(bench).folder)


def of_annotators(bench: Bench, damage: str) -> Iterator[Stage]:
    """Its images, then its references."""
    images, references = asked_for(bench, bench.pictures(f"suggested {damage}")), bench.pictures(damage)
    yield "annotate", {"images": [images], "references": [bench.pictures("few")]}, None
    yield "annotate", {"references": [references], "images": [asked_for(bench, bench.pictures("suggested"))]}, None


STAGES: Mapping[PluginKind, Callable[[Bench, str], Iterator[Stage]]] = {
    "detector": of_detectors,
    "generator": of_generators,
    "annotator": of_annotators,
}
