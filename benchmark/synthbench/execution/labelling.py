"""People's labels: read from the answers that were imported, compared with annotators' boxes, and asked for."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from synthbench.contract.types import Boxes, ImageSet
from synthbench.errors import SynthbenchError
from synthbench.execution.border import Border
from synthbench.execution.perform import Task
from synthbench.files import sha256_of
from synthbench.labelling.answers import Answers, read_answers
from synthbench.labelling.batch import ANSWERS
from synthbench.labelling.matching import problem_with
from synthbench.metrics import precision_recall
from synthbench.metrics.overlap import iou_matrix
from synthbench.storage.boxes import read_known_boxes, write_boxes
from synthbench.storage.views import BOXES

IOU = 0.5
SAME = 0.5  # pixels: tools that keep shares of an image's sides do not give back the last digits


def take_answers(task: Task) -> None:
    """Stores what people drew in some images, after a check that it is of these images."""
    images, folder = task.images("images"), Path(task.job.parameters["folder"])
    answers = read_answers(folder)
    if answers is None or answers.digest(len(images)) != task.job.parameters["answers"]:
        raise SynthbenchError(f"{folder}: its answers are not those that the run began with; run again")
    border = Border(len(images.categories))
    boxes = [answered(answers, number, images, border, folder) for number in range(len(images))]
    border.note(task.run)
    write_boxes(task.run.workdir / BOXES, boxes)
    known = [each for each in boxes if each is not None]
    used = [each for number, each in answers.answers.items() if number < len(images)]
    timed = [each.seconds for each in used if each.seconds is not None]
    task.facts.update(
        images=len(images),
        answered=len(known),
        empty=sum(not len(each) for each in known),
        boxes=sum(len(each) for each in known),
        timed=len(timed),
        people_seconds=round(sum(timed), 3),
        tools=", ".join(sorted({each.tool for each in used})),
    )


def answered(answers: Answers, number: int, images: ImageSet, border: Border, folder: Path) -> Boxes | None:
    """What people drew in an image; None if nobody looked. Raises SynthbenchError if the answer is of another image."""
    picture, answer = images[number], answers.answers.get(number)
    if answer is None:
        return None
    if sha256_of(picture.path) != answer.sha256:
        raise SynthbenchError(
            f"{folder}: the answer {answer.id} is of another image than the one that was sampled here; other machines and versions sample "
            "other pixels: use the store that people were asked from, or move this folder away and have the images labelled again"
        )
    if problem := problem_with(answer.boxes.xyxy, answer.boxes.labels, images.categories):
        raise SynthbenchError(f"{folder / ANSWERS}: image {answer.id}: {problem}")
    labels = [images.categories.index(name) for name in answer.boxes.labels]
    return border.boxes(Boxes.of(answer.boxes.xyxy, labels), picture.width, picture.height)


def compare_with_people(task: Task) -> None:
    """Precision and recall of an annotator's boxes at IoU 0.5 in the images that people labelled, and what people changed in them."""
    found, answers = (read_known_boxes(task.folder(name) / BOXES) for name in ("predictions", "answers"))
    pairs = [(one, other) for one, other in zip(found, answers, strict=True) if one is not None and other is not None]
    counts = precision_recall([true for _, true in pairs], [boxes for boxes, _ in pairs], IOU)
    ratios = {"precision": counts.precision, "recall": counts.recall}
    kept = sum(unchanged(boxes, true) for boxes, true in pairs)
    task.facts.update({"images": len(pairs)} | asdict(counts) | {name: value for name, value in ratios.items() if value is not None})
    task.facts.update(kept=kept, moved=counts.hits - kept, removed=counts.false_positives, added=counts.misses)


def unchanged(boxes: Boxes, true: Boxes) -> int:
    """How many boxes are in both, with the same label and corners to half a pixel, each counted once."""
    if not len(boxes) or not len(true):
        return 0
    near = np.abs(boxes.xyxy[:, None] - true.xyxy[None]).max(2) <= SAME
    near &= boxes.labels[:, None] == true.labels
    best = np.where(near, iou_matrix(boxes.xyxy, true.xyxy), -1)
    count = 0
    while best.size and best.max() >= 0:
        row, column = np.unravel_index(best.argmax(), best.shape)
        best = np.delete(np.delete(best, row, 0), column, 1)
        count += 1
    return count
