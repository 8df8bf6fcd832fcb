"""What people answered to a batch: `answers.json`, the file to keep and to commit.

It is an input like a suite or a photograph: its content, as far as a stage uses it, enters the stage's key.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from synthbench.errors import SynthbenchError
from synthbench.files import write_bytes
from synthbench.labelling.batch import ANSWERS, FORMAT, Drawn


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image that somebody has looked at. boxes: empty if there is nothing in it.

    sha256: of the image's file. seconds: how long it took, where the tool says so. tool: the format of the answer.
    """

    id: str
    sha256: str
    boxes: Drawn
    seconds: float | None = None
    tool: str


class Answers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All answers to a batch, by the image's number; an image that is not here has not been looked at.

    enough_of: that the images without an answer stay without one was accepted when so many were asked; 0: it was not.
    """

    format: int = FORMAT
    series: str
    enough_of: int = 0
    answers: dict[int, Answer]

    def are_enough(self, count: int) -> bool:
        """Whether a run can go on with the answers to the first `count` images."""
        answered = self.answered(count)
        return answered == count or (answered > 0 and count <= self.enough_of)

    def answered(self, count: int) -> int:
        """How many of the first `count` images have an answer."""
        return sum(number < count for number in self.answers)

    def digest(self, count: int) -> str:
        """SHA-256 of what the first `count` images are labelled with; who drew it and how long it took is not in it."""
        used = [
            (number, each.sha256, each.boxes.xyxy, each.boxes.labels) for number, each in sorted(self.answers.items()) if number < count
        ]
        return hashlib.sha256(msgspec.json.encode(used)).hexdigest()


def read_answers(folder: Path) -> Answers | None:
    """The answers in a batch's folder, None if there are none yet. Raises SynthbenchError if they cannot be read."""
    path = folder / ANSWERS
    try:
        answers = msgspec.json.decode(path.read_bytes(), type=Answers)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise SynthbenchError(f"{path}: not answers that can be read ({error}); `synthbench label import` writes them") from None
    if answers.format != FORMAT:
        raise SynthbenchError(f"{path}: of format {answers.format}, and this version reads {FORMAT}")
    return answers


def write_answers(folder: Path, answers: Answers) -> None:
    """Writes `answers.json`, images in their order. Raises SynthbenchError if it cannot be written."""
    ordered = msgspec.structs.replace(answers, answers=dict(sorted(answers.answers.items())))
    write_bytes(folder / ANSWERS, msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n")
