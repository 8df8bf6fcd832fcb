"""Runs the experiment of a bundle again with fresh seeds, and says whether its figures come out again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import structs

from synthbench.errors import SynthbenchError
from synthbench.experiment import Experiment
from synthbench.publishing.opening import Bundle
from synthbench.publishing.rebuilding import rebuild
from synthbench.publishing.sources import truth_from
from synthbench.registry import Registry, installed
from synthbench.results.compare import Comparison, compare
from synthbench.results.model import Results, Seeds

FEWEST = 2
"""Replicates: one says nothing of another."""


@dataclass(frozen=True)
class Prepared:
    """An experiment that is ready to run again.

    stated: the bundle's results. experiment: the same with fresh seeds. stages: how many the bundle names; other: the labels of those
    that have another key here with the bundle's own seeds, so something that they are made of is not the same.
    """

    stated: Results
    experiment: Experiment
    stages: int
    other: list[str]


@dataclass(frozen=True)
class Rerun:
    """What running again gave. missing: training sets and detectors that have an AP in the bundle only."""

    again: Results
    comparison: Comparison

    @property
    def missing(self) -> list[tuple[str, str]]:
        """Training sets and detectors that have an AP in the bundle and none here."""
        return self.comparison.only_first

    @property
    def lands(self) -> bool:
        """Whether every figure came out again, as near as seeds and test images let it."""
        return self.comparison.agrees and not self.missing


def prepare(
    path: Path,
    *,
    data: Path | None = None,
    store: str | Path,
    trust_store: bool = False,
    replicates: int | None = None,
    first_seed: int | None = None,
    changes: Sequence[str] = (),
    download: bool = False,
) -> Prepared:
    """Rebuilds the experiment of a bundle. data: the folder of its data. The other arguments are those of `synthbench verify`.

    Raises SynthbenchError if it cannot be rebuilt here, or the bundle has no intervals in which anything could land.
    """
    registry = installed()
    with Bundle(path) as bundle:
        results = bundle.results
        if results.suite.seeds.replicates < FEWEST:
            bundle.refuse("its experiment was done once, so it states no interval in which another run could land")
        seeds = fresh_seeds(results.suite.seeds, replicates, first_seed)
        content = rebuild(results, seeds, registry, data, changes)
        stages, other = differing_stages(results, rebuild(results, results.suite.seeds, registry, data, changes), store, trust=trust_store)
        if data is None:
            check_data(bundle, content["data"], registry)
    experiment = Experiment(content, store=store, trust_store=trust_store, download=download)
    return Prepared(results, experiment, stages, other)


def fresh_seeds(seeds: Seeds, replicates: int | None = None, first: int | None = None) -> Seeds:
    """Seeds that a bundle does not have: from `first` on, by default from the one after its highest.

    What a suite draws once keeps its seed: intervals do not say how another draw would be. Raises SynthbenchError if there would be
    fewer than two replicates, or seeds of the bundle among them.
    """
    count = seeds.replicates if replicates is None else replicates
    if count < FEWEST:
        raise SynthbenchError(f"--replicates {count}: one replicate says nothing of another; at least {FEWEST} are needed")
    highest = max(*seeds.references, *seeds.generators, *seeds.detectors)
    start = highest + 1 if first is None else first
    if start <= highest:
        raise SynthbenchError(f"--first-seed {start}: the bundle has seeds up to {highest}; fresh ones begin above them")
    drawn = tuple(range(start, start + count))

    def fresh(old: tuple[int, ...]) -> tuple[int, ...]:
        return old if len(old) == 1 else drawn

    return Seeds(references=fresh(seeds.references), generators=fresh(seeds.generators), detectors=fresh(seeds.detectors))


def differing_stages(results: Results, content: Mapping[str, Any], store: str | Path, *, trust: bool) -> tuple[int, list[str]]:
    """How many stages the results name, and the labels of those that have another key here with the same seeds."""
    planned = {stage.key for stage in Experiment(content, store=store, trust_store=trust).plan.stages}
    return len(results.stages), [stage.label for stage in results.stages if stage.key not in planned]


def check_data(bundle: Bundle, table: Mapping[str, Any], registry: Registry) -> None:
    """Whether the rebuilt data source gives the bundle's test images. Raises SynthbenchError if it does not."""
    options = {name: value for name, value in table.items() if name not in ("use", "name")}
    source = structs.replace(bundle.results.suite.data, options=options)
    if truth_from(source, None, registry).fingerprint != bundle.submission.test.fingerprint:
        bundle.refuse(f"{source.plugin} gives other test images here than those that the bundle was scored on")


def judge(prepared: Prepared, again: Results) -> Rerun:
    """Compares the bundle with what running its experiment again gave."""
    return Rerun(again, compare(prepared.stated, again))
