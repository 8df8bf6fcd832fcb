"""Merges bundles into the folder of a leaderboard.

The folder is the state: what is written follows from the season, the entries and the receipts in it alone.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from synthbench.errors import SynthbenchError
from synthbench.files import write_bytes
from synthbench.publishing import listing, site
from synthbench.publishing.board import Board
from synthbench.publishing.entries import ENTRY, BoardEntry, entry_of, read_entry
from synthbench.publishing.opening import Bundle
from synthbench.publishing.receipts import Receipt, read_receipt, read_receipts
from synthbench.publishing.season import SCHEMA, Season, differences
from synthbench.results.files import indented_json

SEASON, ENTRIES, RECEIPT, PICTURES = "season.json", "entries", "receipt.json", "pictures"
PICTURE = re.compile(r"[0-9a-f]{20}\.webp")


@dataclass(frozen=True)
class Merged:
    """What a merge did. added: identities; written: how many files changed."""

    board: Board
    added: Sequence[str]
    written: int


def merge(bundles: Sequence[Path], folder: Path, receipts: Path | None = None, title: str = "") -> Merged:
    """Adds bundles to the leaderboard in a folder, and writes all of it that changes.

    The first bundle of an empty one sets the season. receipts: a folder of receipts; those of earlier merges are kept.
    Raises SynthbenchError if a bundle is damaged or of another season, or a receipt says that numbers of one do not hold: then nothing
    is written.
    """
    with alone(folder):
        return _merge(bundles, folder, receipts, title)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Makes the folder and keeps other merges out of it. Raises SynthbenchError if one is at work, or it cannot be made."""
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise SynthbenchError(f"{folder}: no folder for a leaderboard ({error.strerror})") from None
    try:
        lock(handle, folder)
        yield
    finally:
        os.close(handle)
        for each in new:  # of a merge that wrote nothing
            with suppress(OSError):
                each.rmdir()


def lock(handle: int, folder: Path) -> None:
    """Locks the folder itself, so that no file of a lock is in it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SynthbenchError(f"{folder}: another merge is at work there; try again when it has ended") from None


def _merge(bundles: Sequence[Path], folder: Path, receipts: Path | None, title: str) -> Merged:
    season, known = read_folder(folder)
    given = read_receipts(receipts) if receipts else {}
    entries, files, problems = dict(known), dict[str, bytes](), list[str]()
    added = []
    for path in bundles:
        try:
            entry, found = opened(path, entries, folder)
            season = season or (named(entry.season, title))
            if wrong := list(differences(season, entry.season)):
                problems.append(f"{path}: is of another season: {'; '.join(wrong)}")
                continue
        except SynthbenchError as error:
            problems.append(str(error))
            continue
        if entry.identity not in entries:
            entries[entry.identity] = entry
            added.append(entry.identity)
        if found:
            files |= {name if name.startswith(f"{PICTURES}/") else f"{ENTRIES}/{entry.identity}/{name}": found[name] for name in found}
    if season is None:
        raise SynthbenchError("\n".join(problems) or f"{folder}: an empty leaderboard, and no bundle to begin it with")
    board = Board(season, entries, receipts_of(entries, folder, given))
    problems += refused(board)
    if problems:
        raise SynthbenchError("\n".join([*problems, f"nothing was written to {folder}"]))
    return Merged(board, added, write(board, files, folder))


def opened(path: Path, entries: Mapping[str, BoardEntry], folder: Path) -> tuple[BoardEntry, dict[str, bytes]]:
    """The entry of a bundle and its files; the known one, if it was merged before and its pictures are there."""
    with Bundle(path) as bundle:
        known = entries.get(bundle.submission.identity)
    if known is None:
        return entry_of(path)
    if known.checksum != bundle.submission.checksum:
        raise SynthbenchError(f"{path}: its identity {known.identity} is that of another bundle")
    pictures = [known.images.sheet, *known.images.tests.values()]
    whole = all((folder / name).is_file() for name in pictures if name)
    return known, {} if whole else entry_of(path)[1]


def named(season: Season, title: str) -> Season:
    """The season with a title of the maintainer's, if there is one."""
    return msgspec.structs.replace(season, title=title) if title else season


def refused(board: Board) -> list[str]:
    """The entries whose numbers the maintainer found wrong."""
    found = []
    for entry in board.entries.values():
        receipt = board.receipts.get(entry.checksum)
        if receipt and receipt.problems:
            found.append(f"bundle {entry.identity}: its receipt says that {receipt.problems} of {receipt.numbers} numbers do not hold")
    return found


def receipts_of(entries: Mapping[str, BoardEntry], folder: Path, given: Mapping[str, Receipt]) -> dict[str, Receipt]:
    """The receipt of each entry: that which is given, or that of an earlier merge."""
    found = {}
    for identity, entry in entries.items():
        stored = folder / ENTRIES / identity / RECEIPT
        receipt = given.get(entry.checksum) or (read_receipt(stored) if stored.is_file() else None)
        if receipt is not None and receipt.checksum == entry.checksum:
            found[entry.checksum] = receipt
    return found


def read_folder(folder: Path) -> tuple[Season | None, dict[str, BoardEntry]]:
    """The season and entries of a leaderboard; nothing of an empty one. Raises SynthbenchError if it is damaged."""
    path = folder / SEASON
    if not path.is_file():
        if there := sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []:
            raise SynthbenchError(f"{folder}: has no {SEASON}, so it is no leaderboard, but {there[0]}; name a new or an empty folder")
        return None, {}
    try:
        season = msgspec.json.decode(path.read_bytes(), type=Season)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise SynthbenchError(f"{path}: cannot be read ({error}); bring it back, or begin a new folder") from None
    if season.schema != SCHEMA:
        raise SynthbenchError(f"{path}: of schema {season.schema}, not {SCHEMA} as this version's; begin a new folder")
    entries = [read_entry(each) for each in sorted((folder / ENTRIES).glob(f"*/{ENTRY}"))]
    return season, {entry.identity: entry for entry in entries}


def write(board: Board, files: Mapping[str, bytes], folder: Path) -> int:
    """Writes what differs from what is there, and removes pictures that no entry has any more. The number of files that changed."""
    wanted = {SEASON: indented_json(board.season), **files}  # the season first: without it nobody goes on with what is there
    for identity, entry in sorted(board.entries.items()):
        wanted[f"{ENTRIES}/{identity}/{ENTRY}"] = indented_json(entry)
        if receipt := board.receipts.get(entry.checksum):
            wanted[f"{ENTRIES}/{identity}/{RECEIPT}"] = indented_json(receipt)
    rows = listing.records(board)
    wanted |= {"leaderboard.json": listing.as_json(board, rows), "leaderboard.csv": listing.as_csv(rows)}
    wanted["leaderboard.md"] = listing.as_markdown(board)
    wanted |= site.pages(board)
    changed = 0
    for name, content in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            write_bytes(path, content)
            changed += 1
    shown = {name for entry in board.entries.values() for name in (entry.images.sheet, *entry.images.tests.values())}
    for path in (folder / PICTURES).glob("*.webp"):
        if PICTURE.fullmatch(path.name) and f"{PICTURES}/{path.name}" not in shown:
            path.unlink()
            changed += 1
    return changed
