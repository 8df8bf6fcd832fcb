"""Training and test images: a split that is there is used, otherwise one is made."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from synthbench.data.formats.dataset import Dataset
from synthbench.data.formats.faults import Faults
from synthbench.data.formats.grouping import Groups
from synthbench.errors import SynthbenchError


def use_split(dataset: Dataset, faults: Faults) -> bool:
    """Makes training and test images of the splits that there are. False if there are fewer than two, and one must be made.

    Validation images become training images where there are test images, else test images.
    """
    found = {photo.split for photo in dataset.photos}
    if len(found - {""}) < 2:
        faults.add("no split", ".", text=f"{len(dataset.photos)} images")
        return False
    becomes = {"train": "train", "test": "test", "val": "test", "": "train"}
    if "test" in found:
        becomes["val"] = "train"
    counts = Counter(photo.split for photo in dataset.photos)
    if "val" in found:
        faults.add("validation split", ".", text=f"{counts['val']} images, used as {becomes['val']} images")
    if "" in found:
        faults.add("no split", ".", text=f"{counts['']} images beside those that have one, used as train images")
    for photo in dataset.photos:
        photo.split = becomes[photo.split]
    return True


def make_split(dataset: Dataset, groups: Groups, alike: Iterable[int], share: float, seed: int) -> None:
    """Splits the images so that groups, and images that look alike, stay together, with about `share` of the images, and of the boxes
    of each category, in the test set.

    alike: for each image, the number of its set of images that look alike. Raises SynthbenchError if everything belongs together.
    """
    parts = united(groups.of, list(alike))
    if len(parts) < 2:
        raise SynthbenchError(
            f"all {len(dataset.photos)} images belong together{f' by {groups.rule}' if groups.rule else ''} or look the same, so there "
            "are no test images; --group none splits image by image, --no-duplicates does not look for those that look the same"
        )
    chosen = balanced(counts_of(parts, dataset), share, seed)
    for number, part in enumerate(parts):
        for photo in part:
            dataset.photos[photo].split = "test" if number in chosen else "train"


def counts_of(parts: list[list[int]], dataset: Dataset) -> list[dict[int, int]]:
    """For each part its boxes by category, and its images, as -1."""
    part_of = np.empty(len(dataset.photos), np.int64)
    for number, part in enumerate(parts):
        part_of[part] = number
    many = max(len(dataset.categories), 1)
    pairs, counts = np.unique(part_of[dataset.boxes.photo] * many + dataset.boxes.label, return_counts=True)
    found: list[dict[int, int]] = [{-1: len(part)} for part in parts]
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        found[pair // many][pair % many] = count
    return found


def united(groups: list[str], alike: list[int]) -> list[list[int]]:
    """The images in parts that must stay together: of the same group, or of the same set of images that look alike."""
    sets = DisjointSet(range(len(groups)))
    for keys in (groups, alike):
        first: dict[object, int] = {}
        for number, key in enumerate(keys):
            sets.merge(first.setdefault(key, number), number)
    parts: dict[int, list[int]] = defaultdict(list)
    for number in range(len(groups)):
        parts[sets[number]].append(number)
    return list(parts.values())


def balanced(parts: list[dict[int, int]], share: float, seed: int) -> set[int]:
    """Which parts make a test set that has `share` of everything that is counted, images (-1) and boxes of each category.

    After the iterative stratification of Sechidis, Tsoumakas and Vlahavas (2011): what is rarest is dealt out first, each part to the
    side that is furthest from having what it should.
    """
    totals: Counter[int] = Counter()
    for part in parts:
        totals.update(part)
    order = list(range(len(parts)))
    random.Random(seed).shuffle(order)
    rarest = {key: rank for rank, key in enumerate(sorted(totals, key=lambda key: (totals[key], key)))}
    order.sort(key=lambda number: (min(rarest[key] for key in parts[number]), -parts[number][-1]))
    want = {key: (share * total, (1 - share) * total) for key, total in totals.items()}
    have: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
    chosen: set[int] = set()

    def gain(key: int, count: int, side: int) -> float:
        """How much of what a side still lacks this would bring, as a share of what it should have; negative if it has too much."""
        return count * (want[key][side] - have[side][key] - count / 2) / want[key][side] / totals[key]

    for number in order:
        gains = [sum(gain(key, count, side) for key, count in parts[number].items()) for side in (0, 1)]
        side = 0 if gains[0] > gains[1] else 1
        have[side].update(parts[number])
        if side == 0:
            chosen.add(number)
    if not chosen or len(chosen) == len(parts):  # too few parts for the share
        smallest = min(order, key=lambda number: parts[number][-1])
        chosen = chosen ^ {smallest} if chosen else {smallest}
    return chosen
