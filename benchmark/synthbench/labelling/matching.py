"""Finds the images that answers are of, and checks each answer against its image."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from synthbench.errors import suggest
from synthbench.labelling.answers import Answer
from synthbench.labelling.batch import Asked, Batch, Box, Drawn
from synthbench.labelling.reply import Reply
from synthbench.text import named

Untouched = Literal["", "done", "skip"]
SAME = 0.5  # pixels by which a box may differ from the one that was drawn before and count as untouched


@dataclass
class Taken:
    """What an import did with one batch. skipped: by reason, how often."""

    folder: Path
    batch: Batch
    answers: dict[int, Answer] = field(default_factory=dict)
    untouched: int = 0
    dropped: int = 0
    replaced: int = 0
    answered: int = 0

    @property
    def asked(self) -> int:
        """How many images people are asked to label."""
        return len(self.batch.images)


class Matcher:
    """Finds the images that replies are of, and notes the answers there.

    known: by id, the images with that id, one of each batch that has it. tool, untouched: see `import_answers`.
    """

    def __init__(
        self,
        known: Mapping[str, list[tuple[Taken, Asked]]],
        tool: str,
        untouched: Untouched,
        problems: list[str],
        skipped: dict[str, int],
    ) -> None:
        self.known = known
        self.tool = tool
        self.untouched = untouched
        self.problems = problems
        self.skipped = skipped

    def match(self, replies: Sequence[Reply]) -> None:
        """Notes the answers in replies; what is of no known image is counted, and wrong if all are."""
        lost = []
        for reply in replies:
            found = self.find(reply)
            if not found:
                lost.append(reply)
            elif len(found) > 1:
                folders = ", ".join(str(taken.folder) for taken, _ in found)
                self.problems.append(f"{reply.place}: its image is asked for in {folders}: name one of these folders with --labels")
            else:
                self.note(reply, *found[0])
        if lost:
            example = f"{lost[0].place} ({', '.join(lost[0].names)})"
            self.problems.append(f"{len(lost)} images are none that people were asked for, as {example}; was the export changed?")

    def find(self, reply: Reply) -> list[tuple[Taken, Asked]]:
        """The images that a reply may be of: by its id, or by a file name that is one, perhaps behind what Label Studio puts before it."""
        for name in reply.names:
            stem = PurePosixPath(name.replace("\\", "/")).name
            for each in (name, stem, PurePosixPath(stem).stem, re.sub(r"^[0-9a-f]{8}-", "", PurePosixPath(stem).stem)):
                if each in self.known:
                    return self.known[each]
        return []

    def note(self, reply: Reply, taken: Taken, image: Asked) -> None:
        """Notes what was answered to an image."""
        if problem := problem_of(reply, image, taken.batch.categories):
            self.problems.append(f"{reply.place}: {problem}")
            return
        boxes, dropped = within(reply, image)
        is_untouched = not reply.sure and (not boxes.xyxy or is_drawn(boxes, image.drawn))
        if is_untouched and self.untouched != "done":
            taken.untouched += 1
            return
        answer = Answer(id=image.id, sha256=image.sha256, boxes=boxes, seconds=reply.seconds, tool=self.tool)
        earlier = taken.answers.get(image.number)
        if earlier is not None and earlier.boxes != boxes:
            self.problems.append(f"{reply.place}: {image.id} has another answer in the same files; leave one of them out")
            return
        taken.answers[image.number] = answer
        taken.dropped += dropped


def problem_of(reply: Reply, image: Asked, categories: Sequence[str]) -> str:
    """Why a reply cannot be an answer to an image; "" if it can."""
    if reply.size is not None and reply.size != (image.width, image.height):
        return f"is {reply.size[0]} x {reply.size[1]} pixels, and the image is {image.width} x {image.height}"
    if not all(math.isfinite(value) for box in reply.boxes for value in box):
        return "a box with a number that is not finite"
    if any(x1 > x2 or y1 > y2 for x1, y1, x2, y2 in reply.boxes):
        return "a box whose right or lower edge comes first"
    return problem_with(reply.boxes, reply.labels, categories)


def problem_with(boxes: Sequence[Box], labels: Sequence[str], categories: Sequence[str]) -> str:
    """Why labels cannot be those of boxes; "" if they can."""
    if len(boxes) != len(labels):
        return f"{len(boxes)} boxes and {len(labels)} labels"
    unknown = next((label for label in labels if label not in categories), None)
    return "" if unknown is None else f"no class '{named(unknown)}'{suggest(unknown, categories)}"


def within(reply: Reply, image: Asked) -> tuple[Drawn, int]:
    """A reply's boxes in pixels, clipped to their image, and how many were dropped because nothing of them is in it."""
    across, down = (image.width, image.height) if reply.shares else (1, 1)
    kept: list[tuple[Box, str]] = []
    for (x1, y1, x2, y2), label in zip(reply.boxes, reply.labels, strict=True):
        left, right = (min(max(value * across, 0.0), image.width) for value in (x1, x2))
        top, bottom = (min(max(value * down, 0.0), image.height) for value in (y1, y2))
        if left < right and top < bottom:
            kept.append(((left, top, right, bottom), label))
    return Drawn(xyxy=[box for box, _ in kept], labels=[label for _, label in kept]), len(reply.boxes) - len(kept)


def is_drawn(boxes: Drawn, drawn: Drawn | None) -> bool:
    """Whether boxes are those that were drawn before, in any order."""
    if drawn is None or len(drawn.xyxy) != len(boxes.xyxy):
        return False
    left = list(zip(drawn.labels, drawn.xyxy, strict=True))
    for label, box in zip(boxes.labels, boxes.xyxy, strict=True):
        same = (each for each in left if each[0] == label and all(abs(a - b) <= SAME for a, b in zip(each[1], box, strict=True)))
        if (found := next(same, None)) is None:
            return False
        left.remove(found)
    return True
