"""Which images belong together: crops of one photograph, frames of one video, rows of an orchard."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from synthbench.data.formats.dataset import Dataset
from synthbench.data.formats.faults import Faults
from synthbench.errors import SynthbenchError

PATTERNS = (
    r"^(.*)\.rf\.[0-9a-f]{8,}",  # the augmented copies of one image that Roboflow writes
    r"^(.*)/[^/]*$",  # folders
    r"^(.*)[_-]\d+[_-]\d+\.[^.]*$",  # crops by row and column, or by left and top
    r"^(.*?)[_\- ]*(?:frame|crop|tile|patch|part)?[_\- ]*\d+\.[^.]*$",  # crops or frames by number
)
"""Regular expressions for names, tried in this order: those that make few large groups come first, which is the safe side."""
MATCHED = 0.9  # share of the images that a pattern must match
FEWEST, LARGEST = 3, 0.6  # groups, and the share of the images that one of them may have
BURST, SESSION = 10.0, 60.0  # seconds between photographs of one group: by EXIF unless told, and by file times when told


@dataclass(frozen=True)
class Groups:
    """The group of each image. rule: how it was found, for the user; pattern: the regular expression, if it is one."""

    of: list[str]
    rule: str
    pattern: str = ""


def find_groups(dataset: Dataset, told: str) -> Groups:
    """The groups of a data set's images.

    told: a regular expression for names, with the first group of which images belong together; `time` or `time:SECONDS`; `none`; or
    "" to find out. Raises SynthbenchError if it is none of these or matches no name.
    """
    names = [photo.name for photo in dataset.photos]
    if told == "none":
        return Groups(names, "each image by itself, as told")
    if told == "time" or told.startswith("time:"):
        return by_time(dataset, seconds_of(told), files=True)
    if told:
        return by_pattern(names, told)
    for pattern in PATTERNS:
        groups = matched(names, re.compile(pattern))
        if is_usable(dataset, groups):
            return Groups(groups, "names", pattern)
    if all(photo.taken for photo in dataset.photos):
        bursts = by_time(dataset, BURST, files=False)
        if is_usable(dataset, bursts.of):
            return bursts
    return Groups(names, "")


def by_pattern(names: Sequence[str], told: str) -> Groups:
    """Groups by a regular expression of the user's."""
    try:
        pattern = re.compile(told)
    except re.error as error:
        raise SynthbenchError(f"--group: {told!r} is not a regular expression: {error}") from None
    missed = [name for name in names if not pattern.search(name)]
    if len(missed) == len(names):
        raise SynthbenchError(f"--group: {told!r} matches no name, such as {names[0]}")
    return Groups(matched(names, pattern), "names, as told", told)


def matched(names: Sequence[str], pattern: re.Pattern[str]) -> list[str]:
    """The group of each name: what the pattern's first group matches, or all of it; the name itself where it does not match."""
    found = (pattern.search(name) for name in names)
    return [(each[1] if each.re.groups else each[0]) or name if each is not None else name for each, name in zip(found, names, strict=True)]


def is_usable(dataset: Dataset, groups: Sequence[str]) -> bool:
    """Whether groups that were guessed tell anything, and leave every category on both sides."""
    count = len(groups)
    members = Counter(groups)
    lonely = sum(group == photo.name for group, photo in zip(groups, dataset.photos, strict=True))
    if lonely > (1 - MATCHED) * count or not FEWEST <= len(members) < count or max(members.values()) > LARGEST * count:
        return False
    numbers = {group: number for number, group in enumerate(members)}
    group_of = np.array([numbers[group] for group in groups], np.int64)
    label, photo = dataset.boxes.label, dataset.boxes.photo
    categories = len(dataset.categories)
    in_groups = np.bincount(np.unique(group_of[photo] * categories + label) % max(categories, 1), minlength=categories)
    in_images = np.bincount(np.unique(photo * categories + label) % max(categories, 1), minlength=categories)
    return bool(((in_groups > 1) | (in_images <= 1)).all())


def seconds_of(told: str) -> float:
    """The seconds of `time:SECONDS`. Raises SynthbenchError."""
    try:
        seconds = float(told.partition(":")[2] or SESSION)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise SynthbenchError(f"--group: '{told}': expected time or time:SECONDS, as in time:60")
    return seconds


def by_time(dataset: Dataset, seconds: float, *, files: bool) -> Groups:
    """Groups of images that follow each other within so many seconds: by EXIF's time, with `files` by the file's where there is none."""
    times = [taken_at(photo.taken) for photo in dataset.photos]
    if files:
        roots = (dataset.root / photo.path for photo in dataset.photos)
        times = [path.stat().st_mtime if time is None else time for time, path in zip(times, roots, strict=True)]
    known = sorted((time, number) for number, time in enumerate(times) if time is not None)
    groups = [photo.name for photo in dataset.photos]
    last, group = float("-inf"), ""
    for time, number in known:
        if time - last > seconds:
            group = f"from {dataset.photos[number].name}"
        groups[number], last = group, time
    return Groups(groups, f"{'EXIF or file' if files else 'EXIF'} times, at most {seconds:g} s apart")


def taken_at(text: str) -> float | None:
    """EXIF's time, such as `2024:09:14 10:20:30`, as seconds; None if there is none."""
    try:
        return datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def list_across(dataset: Dataset, groups: Groups, faults: Faults) -> None:
    """Lists the groups of a data set that is split which have images on both sides."""
    if not groups.rule:
        return
    sides: dict[str, Counter[str]] = {}
    first: dict[str, str] = {}
    for photo, group in zip(dataset.photos, groups.of, strict=True):
        sides.setdefault(group, Counter())[photo.split] += 1
        first.setdefault(group, photo.path)
    for group, counts in sides.items():
        if len(counts) > 1:
            listed = ", ".join(f"{count} {split}" for split, count in sorted(counts.items()))
            faults.add("group across", first[group], text=f"group '{group}': {listed}")
