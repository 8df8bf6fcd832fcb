"""Checks of annotators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from synthbench.contract.box_sources import FromGenerator, NoBoxes, box_source_of
from synthbench.contract.types import Boxes
from synthbench.storage.references import HIDDEN, ArtifactRef, ViewRef
from synthbench.storage.store import StageRecord
from synthbench.testing.bench import Bench, Views, key_of
from synthbench.testing.checks import Failure
from synthbench.testing.subject import Answer, Subject, of_boxes


class Annotators(Subject):
    """Annotators have one stage, whose result is boxes."""

    stage = "annotate"
    usual = "suggested"

    def views(self, bench: Bench, data: str) -> Views:
        """The pictures with the boxes that the annotator asks for, and references."""
        return {"images": [asked_for(bench, bench.pictures(data))], "references": [bench.pictures("few")]}

    def use(self, bench: Bench, folder: Path, data: str, seed: int, options: Mapping[str, object] | None = None) -> Answer:
        """The boxes that the stage wrote; none of an image that was rejected."""
        from synthbench.storage.boxes import read_known_boxes
        from synthbench.storage.views import BOXES

        return of_boxes(boxes or Boxes.none() for boxes in read_known_boxes(folder / BOXES))


ANNOTATORS = Annotators()


def asked_for(bench: Bench, pictures: ViewRef) -> ViewRef:
    """Pictures with the boxes that `boxes_from` asks for: their own for `FromGenerator`, none for `NoBoxes`, else copies."""
    from synthbench.storage.boxes import write_boxes
    from synthbench.storage.views import BOXES, read_view

    try:
        source = box_source_of(bench.plugin)
    except ValueError as error:
        raise Failure(str(error), bench.method()) from None
    if isinstance(source, NoBoxes):
        return replace(pictures, boxes=HIDDEN)
    if isinstance(source, FromGenerator):
        return pictures
    predicted = ArtifactRef(kind="predict", key=key_of("predicted", pictures.images.key))
    if bench.store.get(predicted.kind, predicted.key) is None:
        with bench.store.build(predicted.kind, predicted.key) as build:
            write_boxes(build.folder / BOXES, [picture.boxes or Boxes.none() for picture in read_view(bench.store, pictures)])
            build.publish(StageRecord())
    return replace(pictures, boxes=predicted)


def odd_pictures(bench: Bench) -> None:
    """Checks that files of all formats and the same pictures as plain PNG files get the same boxes."""
    ANNOTATORS.ask(bench, "thin")
    odd, plain = (ANNOTATORS.ask(bench, data) for data in ("odd", "plain"))
    ANNOTATORS.same(
        bench, odd, plain, "boxes for rotated, 16-bit, CMYK and other files differ from those for plain files", bench.method("annotate")
    )
