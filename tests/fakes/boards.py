"""Bundles for tests of leaderboards: the one of the fake suite as other people would submit it, with other scores."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import structs
from synthbench.publishing.submission import RESULTS, Author, Member, Submission
from synthbench.publishing.writing import Packed, write_bundle
from synthbench.results.model import Results

NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)> [a](javascript:alert(3)) `b` | =1+1 \u202e\x1b[31m"


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def changed(
    source: Path,
    target: Path,
    change: Callable[[Results], Results] = lambda results: results,
    submission: Callable[[Submission], Submission] = lambda submission: submission,
    **members: bytes | None,
) -> Path:
    """A bundle with other results, another submission or other members, whose hashes are right."""
    found = members_of(source)
    stated = msgspec.json.decode(found.pop("bundle.json"), type=Submission)
    results = msgspec.json.decode(found[RESULTS], type=Results)
    if (new := change(results)) is not results:
        found[RESULTS] = msgspec.json.encode(new)
    for name, content in members.items():
        if content is None:
            del found[name]
        else:
            found[name] = content
    hashes = {name: Member(len(content), hashlib.sha256(content).hexdigest()) for name, content in sorted(found.items())}
    write_bundle(Packed(structs.replace(submission(stated), members=hashes).sealed, found), target)
    return target


def scored(results: Results, rng: np.random.Generator) -> Results:
    """The same with other AP figures: each training set is better or worse, with an interval over three replicates."""
    evidence = results.evidence
    assert evidence
    good = {each.training_set: float(rng.uniform(0.2, 0.8)) for each in evidence.levels}

    def figure(old: Any, mean: float) -> Any:
        error = float(rng.uniform(0.003, 0.03))
        reach = 4.302652729911275 * error  # t with 2 degrees of freedom
        return structs.replace(old, mean=mean, error=error, low=mean - reach, high=mean + reach)

    levels = [structs.replace(each, figure=figure(each.figure, good[each.training_set])) for each in evidence.levels]
    gaps = [
        structs.replace(each, figure=figure(each.figure, good[each.training_set] - good[each.base])) for each in evidence.differences
    ]
    return structs.replace(results, evidence=structs.replace(evidence, levels=levels, differences=gaps))


def submitted(source: Path, folder: Path, names: Sequence[str], seed: int = 0) -> list[Path]:
    """A bundle for each name, with scores of its own."""
    rng = np.random.default_rng(seed)
    return [
        changed(
            source,
            folder / f"{number}.zip",
            lambda results: scored(results, rng),
            lambda old, name=name: structs.replace(old, author=Author(name=name, date="2026-02-03", citation=f"{name} (2026)")),  # type: ignore[misc]
        )
        for number, name in enumerate(names)
    ]
