"""Where the boxes of labels lie in the upright image: its size, orientation and shape decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synthbench.contract.images import Header
from synthbench.data.formats.dataset import UNKNOWN, Draft, Photograph, Table
from synthbench.data.formats.faults import Faults
from synthbench.data.formats.headers import Look

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME_SHAPE = 0.01  # by how much two shapes' quotient of width and height may differ
MODES = {"L": "grey", "1": "grey", "LA": "grey", "CMYK": "CMYK", "YCCK": "CMYK"}


class Frames:
    """How the boxes of each image are brought from what its labels state to its upright pixels.

    factor: float64 (N, 2), what pixels of the labels are multiplied by, across and down. share: what shares are multiplied by.
    turn: int64 (N,), EXIF's orientation if the boxes must be turned, else 1. stored: float64 (N, 2), the size before turning. good:
    whether the image can be used.
    """

    def __init__(self, count: int) -> None:
        self.factor = np.ones((count, 2))
        self.stored = np.ones((count, 2))
        self.turn = np.ones(count, np.int64)
        self.good = np.zeros(count, np.bool_)

    def place(self, number: int, photo: Photograph, look: Look, faults: Faults) -> None:
        """Takes an image's look, and sets its size and header."""
        header = look.header
        if not photo.usable:  # the reader has listed its labels
            return
        if header is None:
            faults.add("unreadable image", photo.path, text=look.error)
            return
        if look.damaged:
            faults.add("damaged image", photo.path, text=look.damaged)
            return
        told, stored, upright = photo.size, (header.width, header.height), header.upright
        photo.header, photo.size, photo.mark, photo.taken = header, upright, look.mark, look.taken
        self.good[number] = True
        self.stored[number] = upright
        if not header.plain or header.frames > 1:
            note_mode(photo, header, look.mode, faults)
        if told == upright == stored and header.turn == 1:
            return
        if header.turn != 1:
            self._turned(number, photo, header, told, faults)
        if told not in (UNKNOWN, stored, upright):
            self._resized(number, photo, told, faults)

    def _turned(self, number: int, photo: Photograph, header: Header, told: tuple[int, int], faults: Faults) -> None:
        stored, upright = (header.width, header.height), header.upright
        if told == stored != upright:
            self.turn[number], self.stored[number] = header.turn, stored
            faults.add("turned", photo.path, text=f"boxes were drawn on it as stored, {told[0]}x{told[1]}")
        elif told == upright == stored:
            faults.add("turned or not", photo.path)
        else:
            faults.add("turned", photo.path)

    def _resized(self, number: int, photo: Photograph, told: tuple[int, int], faults: Faults) -> None:
        width, height = photo.size
        text = f"{told[0]}x{told[1]} in the labels, {width}x{height} in the file"
        across, down = width / told[0], height / told[1]
        if abs(across / down - 1) > SAME_SHAPE:
            faults.add("wrong size", photo.path, text=text)
            self.good[number] = False
        else:
            faults.add("other size", photo.path, text=text)
            self.factor[number] = across, down


def note_mode(photo: Photograph, header: Header, mode: str, faults: Faults) -> None:
    """Adds what is unusual about how an image is stored."""
    if header.deep:
        faults.add("16 bits", photo.path)
    elif not header.plain:
        faults.add(MODES.get(mode, "other mode"), photo.path, text=mode)
    if header.frames > 1:
        faults.add("several frames", photo.path, text=header.frames)


def placed(draft: Draft, frames: Frames) -> Table:
    """The boxes of a draft in pixels of upright images."""
    rows = draft.rows
    photo = np.array(rows.photo, np.int64)
    corners = np.array(rows.corners, np.float64).reshape(-1, 4)
    share = np.array(rows.share, np.bool_)
    # a share of the image as the labels know it is the same share of it at any size
    factor = np.where(share[:, None], frames.stored[photo], frames.factor[photo])
    corners *= np.hstack([factor, factor])
    if (frames.turn != 1).any():
        turn = frames.turn[photo]
        for orientation in range(5, 9):
            mask = turn == orientation
            corners[mask] = turned(corners[mask], frames.stored[photo[mask]], orientation)
    return Table(
        corners,
        photo,
        np.array(rows.label, np.int64),
        np.array(rows.where, np.int64),
        np.array(rows.crowd, np.bool_),
        np.array(rows.difficult, np.bool_),
    )


def turned(corners: NDArray[np.float64], stored: NDArray[np.float64], orientation: int) -> NDArray[np.float64]:
    """Boxes (N, 4) of images stored with a size (N, 2), in pixels of the upright image, for EXIF's orientations 5 to 8.

    EXIF 2.3, tag 0x0112: 5 mirrors along the main diagonal, 6 rotates clockwise, 7 mirrors along the other diagonal, 8 rotates
    counterclockwise.
    """
    x1, y1, x2, y2 = corners.T
    width, height = stored.T
    left, right = (height - y2, height - y1) if orientation in (6, 7) else (y1, y2)
    top, bottom = (width - x2, width - x1) if orientation in (7, 8) else (x1, x2)
    return np.stack([left, top, right, bottom], 1)
