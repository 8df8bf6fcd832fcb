"""A batch: the generated images that people are asked to label, as `asked.json` in a folder of its own says.

labels/<suite>/<annotator>/<generator>-<seeds>-<key>/
    asked.json      which images, with their hashes and the boxes that were drawn before
    answers.json    what people answered; see `synthbench.labelling.answers`

An image's id says which generator, seeds and number it has, and ends with a hash of its file: no other image has that id, and a
file's name alone never decides which image an answer is of.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec

from synthbench.errors import SynthbenchError
from synthbench.files import write_bytes

ASKED, ANSWERS, README = "asked.json", "answers.json", "README.md"
FORMAT = 1
HASH = 16  # hexadecimal digits of an image's hash in its id
Box = tuple[float, float, float, float]


class Drawn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The boxes of one image. xyxy: pixels, x2 and y2 exclusive. labels: names of categories. scores: empty for people's boxes."""

    xyxy: list[Box] = []
    labels: list[str] = []
    scores: list[float] = []


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image that people are asked to label. number: from 0, in its generator's sampling. file: relative to the batch's folder.

    drawn: the boxes that were drawn before; None without `pre_labels`.
    """

    id: str
    number: int
    file: str
    width: int
    height: int
    sha256: str
    drawn: Drawn | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people are asked. series: the key of the sampling, without the number of images. seeds: of references and generator."""

    format: int = FORMAT
    suite: str
    annotator: str
    generator: str
    seeds: tuple[int, int]
    series: str
    categories: list[str]
    pre_labels: str = ""
    images: list[Asked]


def batch_folder(root: Path, suite: str, annotator: str, generator: str, seeds: tuple[int, int], series: str) -> Path:
    """Where a batch lies: images that were sampled otherwise have another folder, so no answer is lost or mistaken."""
    return root / suite / slug(annotator) / f"{slug(generator)}-{seeds[0]}-{seeds[1]}-{series[:8]}"


def image_id(generator: str, seeds: tuple[int, int], number: int, sha256: str) -> str:
    """The id of an image, in characters that every tool, file system and address can hold."""
    return f"{slug(generator)}-{seeds[0]}-{seeds[1]}-{number:05d}-{sha256[:HASH]}"


def slug(name: str) -> str:
    """A name in ASCII letters, digits, `-` and `_`, with a hash if anything had to go."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return plain if plain == name else f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def read_batch(folder: Path) -> Batch:
    """The batch in a folder. Raises SynthbenchError if there is none that can be read."""
    path = folder / ASKED
    try:
        batch = msgspec.json.decode(path.read_bytes(), type=Batch)
    except FileNotFoundError:
        raise SynthbenchError(f"{path}: no such file; `synthbench run` writes it") from None
    except (OSError, msgspec.DecodeError) as error:
        raise SynthbenchError(f"{path}: not a list of images to label ({error}); remove it, and `synthbench run` writes it again") from None
    if batch.format != FORMAT:
        raise SynthbenchError(f"{path}: of format {batch.format}, and this version reads {FORMAT}")
    return batch


def write_batch(folder: Path, batch: Batch) -> None:
    """Writes `asked.json`. Raises SynthbenchError if it cannot be written."""
    write_bytes(folder / ASKED, msgspec.json.format(msgspec.json.encode(batch), indent=1) + b"\n")


def find_batches(root: Path) -> list[Path]:
    """The folders of all batches below `root`, or `root` itself, sorted."""
    return sorted(path.parent for path in root.rglob(ASKED))
