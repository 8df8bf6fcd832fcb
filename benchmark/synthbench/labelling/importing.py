"""Takes people's answers: reads what a tool saved, finds the images that it is of, and says what is missing before anything is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from synthbench.errors import SynthbenchError
from synthbench.labelling import coco, cvat, label_studio, yolo
from synthbench.labelling.answers import Answers, read_answers, write_answers
from synthbench.labelling.batch import Asked, find_batches, read_batch
from synthbench.labelling.export import check_is_folder
from synthbench.labelling.matching import Matcher, Taken, Untouched
from synthbench.labelling.reply import Replies, Reply

SHOWN = 5  # problems of a kind; of more the rest is counted


@dataclass
class Imported:
    """What an import did: by batch, and what it did not take, by reason."""

    taken: list[Taken]
    skipped: dict[str, int]


def import_answers(files: Sequence[Path], root: Path, *, partial: bool = False, untouched: Untouched = "") -> Imported:
    """Reads answers and keeps them beside the batches that they are of.

    root: the folder of all batches, or of some. partial: whether images without an answer may stay without. untouched: what an image
    counts as that has no box or just the boxes that were drawn before, where the format does not say that somebody has looked at it.
    Raises SynthbenchError, with everything that is wrong, before anything is written.
    """
    check_is_folder(root)
    batches = [Taken(folder, read_batch(folder)) for folder in find_batches(root)]
    known: dict[str, list[tuple[Taken, Asked]]] = {}
    for taken in batches:
        for image in taken.batch.images:
            known.setdefault(image.id, []).append((taken, image))
    problems: list[str] = []
    skipped: dict[str, int] = {}
    for file in files:
        replies = read_replies(file, batches)
        problems += replies.problems
        for reason, count in replies.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
        Matcher(known, replies.tool, untouched, problems, skipped).match(replies.found)
    changed = [taken for taken in batches if taken.answers or taken.untouched]
    if not problems and not changed:
        problems = [f"{', '.join(map(str, files))}: not one answer; in Label Studio, submit each image and export JSON"]
    refuse(problems)
    merged = [(taken, merge(taken, partial=partial)) for taken in changed]
    refuse(undecided(changed, untouched) or incomplete(changed, partial=partial))
    for taken, answers in merged:
        write_answers(taken.folder, answers)
    return Imported(changed, skipped)


def refuse(problems: Sequence[str]) -> None:
    """Raises SynthbenchError if anything is wrong."""
    if problems:
        rest = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise SynthbenchError("\n".join([*problems[:SHOWN], *rest, "nothing was imported"]))


def undecided(changed: Sequence[Taken], untouched: Untouched) -> list[str]:
    """What a format cannot say of images without a box, or with just the boxes that were drawn before."""
    return [
        f"{taken.folder}: {taken.untouched} images have no box or just the boxes that were drawn before, and this format does "
        "not say whether somebody has looked at them: --untouched done takes them as labelled, --untouched skip as not looked at"
        for taken in changed
        if taken.untouched and not untouched
    ]


def incomplete(changed: Sequence[Taken], *, partial: bool) -> list[str]:
    """The batches with images that have no answer."""
    if partial:
        return [f"{taken.folder}: not one image has an answer" for taken in changed if not taken.answered]
    return [
        f"{taken.folder}: {taken.answered} of {taken.asked} images have an answer, nobody looked at the other "
        f"{taken.asked - taken.answered}: label them too, name further files, or give --partial to go on without these images"
        for taken in changed
        if taken.answered < taken.asked
    ]


def merge(taken: Taken, *, partial: bool) -> Answers:
    """The answers that a batch had, and the new ones; counts both."""
    earlier = read_answers(taken.folder)
    known = dict(earlier.answers) if earlier else {}
    taken.replaced = sum(number in known and known[number].boxes != each.boxes for number, each in taken.answers.items())
    known |= taken.answers
    numbers = {each.number for each in taken.batch.images}
    taken.answered = len(numbers & known.keys())
    enough_of = taken.asked if partial and taken.answered < taken.asked else 0
    return Answers(series=taken.batch.series, enough_of=enough_of, answers=known)


def read_replies(path: Path, batches: Sequence[Taken]) -> Replies:
    """What a file or folder says, in whatever format it is. Raises SynthbenchError if it is none of those known."""
    if path.is_dir():
        if yolo.is_yolo(path):
            return yolo.read(path, next((each.batch.categories for each in batches), []))
        raise SynthbenchError(f"{path}: no YOLO folder: it has no labels/*.txt; name the file of another format")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SynthbenchError(f"{path}: {error.strerror or error}") from None
    if content[:2] == b"PK":
        raise SynthbenchError(f"{path}: a .zip; unpack it, and name the folder or the file in it")
    if content.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"<":
        return cvat.read(content, str(path))
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SynthbenchError(f"{path}: neither JSON nor XML ({error})") from None
    if isinstance(value, list):
        return label_studio.read(value, str(path))
    if isinstance(value, Mapping) and "answers" in value and "series" in value:
        return read_own(value, path)
    if isinstance(value, Mapping) and {"images", "annotations", "categories"} <= value.keys():
        return coco.read(value, str(path))
    raise SynthbenchError(f"{path}: neither Label Studio's JSON export, COCO nor answers.json")


def read_own(content: Mapping[str, Any], path: Path) -> Replies:
    """Answers of another batch, whose images are sampled again: they are matched by the hashes of the images."""
    try:
        answers = msgspec.convert(content, Answers, strict=False)
    except msgspec.ValidationError as error:
        raise SynthbenchError(f"{path}: not answers that can be read ({error})") from None
    replies = Replies("synthbench")
    for each in answers.answers.values():
        replies.found.append(
            Reply(
                place=f"{path}: {each.id}",
                names=[each.id],
                boxes=each.boxes.xyxy,
                labels=each.boxes.labels,
                sure=True,
                seconds=each.seconds,
            )
        )
    return replies
