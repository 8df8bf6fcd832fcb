"""Receipts: what a maintainer's own `synthbench verify` found of a bundle.

A receipt is never a part of the bundle, which says what its submitter likes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from synthbench import __version__
from synthbench.errors import SynthbenchError
from synthbench.files import write_bytes
from synthbench.publishing.submission import identity_of
from synthbench.publishing.verifying import IN_BUNDLE, Level, Verification
from synthbench.results.files import indented_json

SCHEMA = 1
LEVELS: tuple[Level, ...] = ("self-reported", "re-scored", "re-run")
"""From the least to the most checked."""
LARGEST = 2**20


class Receipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was checked of the bundle with this checksum.

    against: whose true boxes it was scored with. numbers: how many stated figures were compared; problems: how many do not hold.
    """

    schema: int = SCHEMA
    checksum: str
    level: Level
    against: str = ""
    synthbench: str
    numbers: int
    problems: int

    @property
    def identity(self) -> str:
        """The bundle's."""
        return identity_of(self.checksum)


def receipt_of(found: Verification) -> Receipt:
    """The receipt for a verification. The folder of the data is not named: it says more of a machine than of the check."""
    return Receipt(
        checksum=found.submission.checksum,
        level=found.level,
        against=found.against if found.against in ("", IN_BUNDLE) else "the maintainer's copy of the data",
        synthbench=__version__,
        numbers=found.rescored.numbers if found.rescored else 0,
        problems=len(found.problems),
    )


def write_receipt(found: Verification, folder: Path) -> Path:
    """Writes `<identity>.json` into a folder."""
    receipt = receipt_of(found)
    path = folder / f"{receipt.identity}.json"
    write_bytes(path, indented_json(receipt))
    return path


def read_receipt(path: Path) -> Receipt:
    """One receipt. Raises SynthbenchError if it is none."""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("too large")
        receipt = msgspec.json.decode(path.read_bytes(), type=Receipt)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise SynthbenchError(f"{path}: no receipt that can be read ({error}); `synthbench verify --receipt` writes them") from None
    if receipt.schema != SCHEMA:
        raise SynthbenchError(f"{path}: of schema {receipt.schema}, not {SCHEMA} as this version's; verify the bundle again")
    return receipt


def read_receipts(folder: Path) -> Mapping[str, Receipt]:
    """All receipts in a folder, by the checksum of the bundle. Raises SynthbenchError if one cannot be read or there is no folder."""
    if not folder.is_dir():
        raise SynthbenchError(f"{folder}: no folder of receipts; `synthbench verify BUNDLE --receipt {folder}` makes it")
    return {receipt.checksum: receipt for receipt in map(read_receipt, sorted(folder.glob("*.json")))}
