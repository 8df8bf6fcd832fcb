"""What a bundle contains: one `.zip` file with the results of a report and all that is needed to score its predictions again.

| member | content |
|---|---|
| `bundle.json` | the `Submission`: who and when, the data, the tries, and the size and SHA-256 of every other member |
| `results.json` | the results that the report was made from |
| `artifacts.json` | for each stage the SHA-256 of the files that it left, sampled images and weights among them |
| `truth.json` | the `Truth`; only where the licence of the data allows it |
| `predictions/KEY.npy` | the boxes of one `predict` stage on the test images (see `predictions`) |
| `pictures/…` | charts of the report, thumbnails of generated images and, where the licence allows it, of real ones |
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal

import msgspec
from msgspec import structs

SCHEMA = 1
BUNDLE, RESULTS, TRUTH, ARTIFACTS = "bundle.json", "results.json", "truth.json", "artifacts.json"
MEMBER = re.compile(
    r"bundle\.json|results\.json|truth\.json|artifacts\.json|predictions/[0-9a-f]{64}\.npy|pictures/[\w-]{1,60}\.(png|jpg|webp|json)",
    re.ASCII,
)
"""The names that members may have; none leads out of a folder."""
MOST_MEMBERS = 20_000
LARGEST_JSON, LARGEST_MEMBER, LARGEST_BUNDLE = 2**24, 2**28, 2**30
"""Bytes, unpacked. A bundle of 54 cells with 100 boxes on each of 331 images has about 90 MB."""


Contamination = Literal["yes", "no", "unknown"]


def identity_of(checksum: str) -> str:
    """A short name of a bundle's content, from its checksum: the same however it is packed."""
    return checksum[:12]


class Member(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A file of a bundle. size: bytes."""

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Member:
        """What is stated of a file with this content."""
        return cls(len(content), hashlib.sha256(content).hexdigest())


class Author(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who submits, and when, as they say. citation: how to cite the entry; url: where more is said of it; date: YYYY-MM-DD.

    contamination: whether the starting weights saw this data set or its like.
    """

    name: str = ""
    date: str = ""
    citation: str = ""
    url: str = ""
    contamination: Contamination = "unknown"


class TestData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The test images. fingerprint: of their sizes, groups and true boxes (`Truth.fingerprint`), not of their pixels.

    included: whether `truth.json` is there; if it is not, `reason` says why.
    """

    fingerprint: str
    images: int
    boxes: int
    included: bool
    reason: str = ""


class Tries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often detectors were scored on this test set: in the report, and in all that the submitter's store holds.

    A store counts what it has; another one, or one that was emptied, had others.
    """

    report: int
    store: int


class Submission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`bundle.json`. synthbench: the version that wrote it. metrics: the version of the scores. checksum: of everything else here."""

    schema: int = SCHEMA
    synthbench: str
    metrics: int
    author: Author
    test: TestData
    tries: Tries
    members: dict[str, Member]
    checksum: str = ""

    @property
    def sealed(self) -> Submission:
        """The same with its checksum."""
        return structs.replace(self, checksum=self.expected_checksum)

    @property
    def expected_checksum(self) -> str:
        """SHA-256 of everything but the checksum. Since the members' hashes are in it, it stands for the bundle: see `identity`."""
        return hashlib.sha256(msgspec.json.encode(structs.replace(self, checksum=""))).hexdigest()

    @property
    def identity(self) -> str:
        """See `identity_of`."""
        return identity_of(self.checksum)


class StageFiles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a stage left, in `artifacts.json`. files: SHA-256 by relative name."""

    kind: str
    label: str
    files: dict[str, str]
