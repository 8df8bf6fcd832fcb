"""Checks of annotators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from synthbench.contract.types import Boxes
from synthbench.storage.views import ViewRef
from synthbench.testing.bench import Bench, Views
from synthbench.testing.checks import Failure
from synthbench.testing.subject import Answer, Subject, of_boxes


class Annotators(Subject):
    """They give boxes at once."""

    stage = "annotate"
    usual = "suggested"

    def views(self, bench: Bench, data: str) -> Views:
        """Pictures as the annotator asks for them, and references."""
        return {"images": [asked_for(bench, bench.pictures(data))], "references": [bench.pictures("few")]}

    def use(self, bench: Bench, folder: Path, data: str, seed: int, options: Mapping[str, object] | None = None) -> Answer:
        """The boxes."""
        from synthbench.storage.boxes import read_boxes
        from synthbench.storage.views import BOXES

        return of_boxes(read_boxes(folder / BOXES))


ANNOTATORS = Annotators()


def asked_for(bench: Bench, pictures: ViewRef) -> ViewRef:
    """Pictures with the boxes that `boxes_from` asks for: their own as the generator's, or in a folder as a detector's."""
    from synthbench.storage.boxes import write_boxes
    from synthbench.storage.views import BOXES, see

    source = str(bench.plugin.boxes_from)
    if source in ("", "generator"):
        return pictures
    if not source.startswith("detector:"):
        raise Failure(f"its boxes_from is '{source}'; known: generator, detector:NAME, or nothing", bench.method())
    folder = Path(pictures.folder).with_suffix(".predicted")
    if not folder.exists():
        folder.mkdir()
        write_boxes(folder / BOXES, [picture.boxes or Boxes.none() for picture in see(pictures)])
    return replace(pictures, boxes=str(folder))


def odd_pictures(bench: Bench) -> None:
    """Annotates files and contents of every sort, and the same as plain files."""
    ANNOTATORS.ask(bench, "thin")
    odd, plain = (ANNOTATORS.ask(bench, data) for data in ("odd", "plain"))
    ANNOTATORS.same(
        bench, odd, plain, "boxes for turned, 16-bit, CMYK and other files are not those for plain ones", bench.method("annotate")
    )
