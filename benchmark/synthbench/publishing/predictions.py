"""The boxes of one `predict` stage as a member of a bundle: a `.npy` file of records, by image, then as the detector gave them.

Each record: image uint32, the position of the test image; label uint32; score float64; xyxy 4 x float64, pixels. No pickles.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from synthbench.contract.types import Boxes
from synthbench.errors import SynthbenchError

RECORD = np.dtype([("image", "<u4"), ("label", "<u4"), ("score", "<f8"), ("xyxy", "<f8", (4,))])


def encode_predictions(images: Sequence[Boxes]) -> bytes:
    """The member's content."""
    records = np.zeros(sum(map(len, images)), RECORD)
    if len(records):
        records["image"] = np.repeat(np.arange(len(images)), [len(boxes) for boxes in images])
        records["label"] = np.concatenate([boxes.labels for boxes in images])
        records["score"] = np.concatenate([boxes.scores for boxes in images])
        records["xyxy"] = np.concatenate([boxes.xyxy for boxes in images])
    file = io.BytesIO()
    np.lib.format.write_array(file, records, version=(1, 0), allow_pickle=False)
    return file.getvalue()


def decode_predictions(content: bytes, sizes: Sequence[tuple[int, int]], categories: int) -> list[Boxes]:
    """What `encode_predictions` wrote, of images with these widths and heights.

    Raises SynthbenchError if it is anything else: another format, an image that does not exist or comes twice, a label without a category,
    a number that is not finite, or a box that lies outside of its image.
    """
    records = _records(content)
    image, xyxy = records["image"].astype(np.int64), records["xyxy"]
    if (np.diff(image) < 0).any():
        raise SynthbenchError("an image comes twice")
    if len(image) and image[-1] >= len(sizes):
        raise SynthbenchError(f"boxes of image {image[-1]}, but there are {len(sizes)} test images")
    if (records["label"] >= categories).any():
        raise SynthbenchError(f"a label is not one of {categories} categories")
    if not (np.isfinite(xyxy).all() and np.isfinite(records["score"]).all()):
        raise SynthbenchError("a box or a score is not a finite number")
    limits = np.tile(np.array(sizes, np.float64).reshape(-1, 2), 2)[image]
    if ((xyxy < 0) | (xyxy > limits)).any() or (xyxy[:, 2:] < xyxy[:, :2]).any():
        raise SynthbenchError("a box lies outside of its image, or its corners are exchanged")
    flat = Boxes.of(xyxy, records["label"], records["score"])
    ends = np.searchsorted(image, np.arange(len(sizes) + 1))
    return [flat.keep(np.arange(start, end)) for start, end in pairwise(ends)]


def _records(content: bytes) -> np.ndarray:
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file) if version == (1, 0) else ((), True, np.dtype("?"))
    except (ValueError, SyntaxError, TypeError, RecursionError) as error:
        raise SynthbenchError(f"no array of boxes ({error})") from None
    rest = content[file.tell() :]
    if dtype != RECORD or fortran or len(shape) != 1 or len(rest) != shape[0] * RECORD.itemsize:
        raise SynthbenchError("no array of boxes, or of another length than it says")
    return np.frombuffer(rest, RECORD)
