"""What a tool's file says of one image, before it is known which image that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from synthbench.labelling.batch import Box


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One image of a tool's file.

    place: where it stands, for messages. names: what may tell which image it is, the surest first: an id, or the name of a file whose
    name is an id. size: width and height in pixels as the file has them; None if it has none.
    boxes: pixels, or shares of the image's sides if `shares`. labels: names of categories.
    sure: whether somebody has certainly looked at the image; a format that lists every image does not say so.
    """

    place: str
    names: Sequence[str]
    boxes: list[Box] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    size: tuple[int, int] | None = None
    shares: bool = False
    sure: bool = False
    seconds: float | None = None


@dataclass
class Replies:
    """What a file says of its images. tool: the format. skipped: what was not taken, by reason, how often. problems: what is wrong."""

    tool: str
    found: list[Reply] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def skip(self, reason: str) -> None:
        """Counts something that was not taken."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
