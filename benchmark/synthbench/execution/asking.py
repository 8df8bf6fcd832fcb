"""Asks people for the labels that a run waits for, as soon as there is something to show them."""

from __future__ import annotations

from pathlib import Path

from synthbench.contract.types import Boxes, Picture
from synthbench.execution.state import RunState, refer_to_view
from synthbench.files import sha256_of
from synthbench.labelling.batch import Asked, Batch, Drawn, image_id
from synthbench.planning.people import Labelling
from synthbench.planning.plan import Plan
from synthbench.planning.stage import BoxesOf, Stage, View


class Asking:
    """Writes the batches of a plan, each once."""

    def __init__(self, plan: Plan) -> None:
        self.suite = plan.suite.name
        self.labellings = {str(each.folder.absolute()): each for each in plan.labellings}

    def ask(self, stage: Stage, state: RunState) -> str:
        """Writes what a stage waits for, and says where. Raises SynthbenchError if it cannot be written."""
        from synthbench.labelling.export import export_batch
        from synthbench.storage.views import read_view

        labelling = self.labellings[stage.told["folder"]]
        view = labelling.images
        if labelling.drawn is not None:
            view = View(view.images, BoxesOf(labelling.drawn), view.first)
        images = read_view(state.store, refer_to_view(view))
        batch = self.batch(labelling, list(images), images.categories)
        return asked_where(labelling.folder, export_batch(labelling.folder, batch, [picture.path for picture in images]))

    def batch(self, labelling: Labelling, pictures: list[Picture], categories: tuple[str, ...]) -> Batch:
        """What people are asked."""
        draw = labelling.draw
        assert draw.references is not None and draw.generator is not None, "a generated set has both seeds"  # noqa: PT018
        seeds = (draw.references, draw.generator)
        asked = []
        for number, picture in enumerate(pictures):
            sha256 = sha256_of(picture.path)
            name = image_id(labelling.generator, seeds, number, sha256)
            asked.append(
                Asked(
                    id=name,
                    number=number,
                    file=f"images/{name}{picture.path.suffix}",
                    width=picture.width,
                    height=picture.height,
                    sha256=sha256,
                    drawn=drawn(picture.boxes, categories) if labelling.drawn is not None and picture.boxes is not None else None,
                )
            )
        return Batch(
            suite=self.suite,
            annotator=labelling.annotator,
            generator=labelling.generator,
            seeds=seeds,
            series=labelling.images.images.series,
            categories=list(categories),
            pre_labels=labelling.pre_labels,
            images=asked,
        )


def drawn(boxes: Boxes, categories: tuple[str, ...]) -> Drawn:
    """Boxes as people find them in an image."""
    return Drawn(
        xyxy=[(x1, y1, x2, y2) for x1, y1, x2, y2 in boxes.xyxy.tolist()],
        labels=[categories[label] for label in boxes.labels.tolist()],
        scores=boxes.scores.tolist(),
    )


def asked_where(folder: Path, missing: int) -> str:
    """What people are asked, and where it says how."""
    return f"{missing} image{'s' * (missing != 1)} to label: {folder / 'README.md'} says how"
