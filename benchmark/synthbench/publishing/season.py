"""A season of a leaderboard: what all its entries have in common, so that their figures may stand side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import structs

from synthbench.publishing.submission import Submission
from synthbench.results.model import EntryInfo, Results
from synthbench.results.worth import real_images
from synthbench.text import cut

SCHEMA = 1
LONGEST_TITLE = 200


class ClosedDetector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A detector of the closed division. options: all of them, the training budget too; another value is another detector."""

    name: str
    plugin: str
    version: int
    options: dict[str, Any]

    def is_same(self, entry: EntryInfo) -> bool:
        """Whether a detector of a suite is this one, whatever the suite calls it."""
        return (self.plugin, self.version, self.options) == (entry.plugin, entry.version, entry.options)


class Season(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`season.json`.

    fingerprint: of the test images' true boxes (`Truth.fingerprint`); test_images, test_boxes: how many, for readers. metrics: version of
    the scores. references: how many real images generators are fitted on. real: how many the row `real` has; with fewer of them it is
    easier to replace. margin: AP that may be lost to `real` by what replaces it. rendered: a program drew the images. detectors: the
    closed division.
    """

    schema: int = SCHEMA
    title: str
    fingerprint: str
    test_images: int
    test_boxes: int
    metrics: int
    references: int
    real: int
    margin: float
    rendered: bool = False
    detectors: list[ClosedDetector]

    def division(self, detector: EntryInfo) -> int | None:
        """The position of a detector in the closed division; None if it is not in it."""
        return next((number for number, each in enumerate(self.detectors) if each.is_same(detector)), None)


FIELDS = {
    "fingerprint": "the fingerprint of the test images",
    "metrics": "the version of the metrics",
    "references": "the number of references",
    "real": "the number of real training images",
    "margin": "the margin",
}
"""What must be equal in all entries of a season, in words."""


def season_of(submission: Submission, results: Results, title: str = "") -> Season:
    """The season that a bundle belongs to, with its detectors as the closed division. Raises ValueError if it has no data."""
    real = real_images(results.suite, results.data)
    if real is None:
        raise ValueError("the data could not be loaded, so nothing was scored")
    suite = results.suite
    detectors: list[ClosedDetector] = []
    for each in suite.detectors:
        if not any(known.is_same(each) for known in detectors):
            options = {name: each.options[name] for name in sorted(each.options)}
            detectors.append(ClosedDetector(name=cut(each.name, 100), plugin=each.plugin, version=each.version, options=options))
    return Season(
        title=cut(" ".join((title or suite.title or suite.name).split()), LONGEST_TITLE),
        fingerprint=submission.test.fingerprint,
        test_images=submission.test.images,
        test_boxes=submission.test.boxes,
        metrics=submission.metrics,
        references=suite.references,
        real=real,
        margin=suite.margin,
        rendered=results.data is not None and results.data.rendered,
        detectors=detectors,
    )


def differences(season: Season, other: Season) -> Iterator[str]:
    """Why something of another season does not belong to this one: each field, with both values."""
    ours, theirs = structs.asdict(season), structs.asdict(other)
    for field, what in FIELDS.items():
        if ours[field] != theirs[field]:
            yield f"{what} is {theirs[field]}, and {ours[field]} in this season"
