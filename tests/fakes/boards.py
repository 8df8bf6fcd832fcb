"""Bundles for tests of leaderboards: the one of the fake suite as other people would submit it, with other scores."""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import synthbench
from msgspec import structs
from synthbench.publishing.submission import RESULTS, Author, Member, Submission
from synthbench.publishing.writing import Packed, pack, write_bundle
from synthbench.results.model import Results
from synthbench.storage.local import LocalStore
from synthbench_fakes import SUITE

NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)> [a](javascript:alert(3)) `b` | =1+1 \u202e\x1b[31m"


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def changed(
    source: Path,
    target: Path,
    change: Callable[[Results], Results] = lambda results: results,
    submission: Callable[[Submission], Submission] = lambda submission: submission,
    members: Mapping[str, bytes | None] = {},
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
    gaps = [structs.replace(each, figure=figure(each.figure, good[each.training_set] - good[each.base])) for each in evidence.differences]
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


@cache
def fake_bundle() -> Path:
    """The bundle of the suite of squares with three replicates."""
    folder = Path(tempfile.mkdtemp(prefix="synthbench-bundle-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    changes = ["replicates=3", "data.test=8"]
    synthbench.run(SUITE, changes=changes, store=folder / "store", out=folder / "reports", device="cpu", in_process=True)
    store = LocalStore(folder / "store")
    packed = pack(folder / "reports" / "squares.json", store, list(store.contents()), Author(name="A. Person", date="2026-01-31"))
    write_bundle(packed, folder / "squares.zip")
    return folder / "squares.zip"


def nasty(source: Path, target: Path) -> Path:
    """A bundle with a hostile text wherever one can stand: names, titles, options, the author."""

    def change(results: Results) -> Results:
        text = json.dumps(NASTY)[1:-1].encode()
        renamed: Results = msgspec.json.decode(msgspec.json.encode(results).replace(b"paint x native", text), type=Results)
        suite = renamed.suite
        first, *rest = suite.generators
        generators = [structs.replace(first, license=NASTY, options={NASTY: NASTY}, trained_on={NASTY: NASTY}), *rest]
        data = renamed.data and structs.replace(renamed.data, source=NASTY, license=NASTY)
        environment = structs.replace(renamed.environment, device=NASTY, platform=NASTY)
        changed_suite = structs.replace(suite, title=NASTY, about=NASTY, caveat=NASTY, generators=generators)
        return structs.replace(renamed, suite=changed_suite, data=data, environment=environment)

    tiles = members_of(source)["pictures/tiles.json"].replace(b"paint x native", json.dumps(NASTY)[1:-1].encode())
    author = Author(name=NASTY, date=NASTY, citation=NASTY, url="javascript:alert(1)")
    return changed(
        source, target, change, lambda old: structs.replace(old, author=author, synthbench=NASTY), {"pictures/tiles.json": tiles}
    )
