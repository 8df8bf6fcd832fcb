"""Whether the parts of a bundle fit together: what scoring the predictions again cannot tell, since it believes what they are of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from synthbench.contract.stages import PluginKind
from synthbench.publishing.opening import Bundle
from synthbench.publishing.truth import Truth
from synthbench.registry import Registry
from synthbench.results.model import Cell, Draw, EntryInfo, Results
from synthbench.results.worth import real_images
from synthbench.suite.training_sets import Replicate, Seeds


def contradictions(bundle: Bundle, truth: Truth | None, registry: Registry) -> list[str]:
    """Every contradiction, each with its place; nothing of an honest bundle."""
    results = bundle.results
    return [
        *names(results),
        *training_sets(results),
        *cells(results),
        *shared_keys(results),
        *same_boxes(bundle, results, registry),
        *counts(bundle, results, truth),
        *plugins(results, registry),
    ]


def names(results: Results) -> Iterator[str]:
    """What must be there once."""
    suite = results.suite
    for what, given in (
        ("training_sets", [each.name for each in results.training_sets]),
        ("suite.generators", [each.name for each in suite.generators]),
        ("suite.annotators", [each.name for each in suite.annotators]),
        ("suite.detectors", [each.name for each in suite.detectors]),
    ):
        yield from (f"{what}: {name!r} is there {count} times" for name, count in Counter(given).items() if count > 1)
    kinds = Counter(each.kind for each in results.training_sets)
    yield from (f"training_sets: {kinds[kind]} of the kind {kind!r}" for kind in ("real", "references") if kinds[kind] > 1)


def training_sets(results: Results) -> Iterator[str]:
    """Whether training sets are of what the suite has."""
    suite, known = results.suite, {each.name for each in results.training_sets}
    generators, annotators = {each.name for each in suite.generators}, {each.name for each in suite.annotators}
    real = real_images(suite, results.data)
    for each in results.training_sets:
        place = f"training_sets: {each.name!r}"
        if each.kind == "generated" and (each.generator not in generators or each.annotator not in annotators):
            yield f"{place}: its generator or annotator is not in the suite"
        if each.kind == "part" and each.whole not in known:
            yield f"{place}: is a part of {each.whole!r}, which is no training set"
        if each.kind == "subset" and not (each.images and real and 0 < each.images <= real):
            yield f"{place}: {each.images} of {real} real images"


def cells(results: Results) -> Iterator[str]:
    """Whether there is one cell for each training set, detector and replicate, with the suite's seeds."""
    given = results.suite.seeds
    seeds = Seeds(references=given.references, generators=given.generators, detectors=given.detectors)
    replicates = list(seeds)
    rows, detectors = [each.name for each in results.training_sets], [each.name for each in results.suite.detectors]
    found = Counter((cell.training_set, cell.detector, cell.replicate) for cell in results.cells)
    wanted = [(row, detector, each.number) for row in rows for detector in detectors for each in replicates]
    yield from (f"cells: {place} is there {found[place]} times" for place in wanted if found[place] != 1)
    yield from (f"cells: {place} is none of the suite's" for place in found if place not in {*wanted})
    for number, cell in enumerate(results.cells):
        if 0 <= cell.replicate < len(replicates) and not _has_seeds(cell, replicates[cell.replicate]):
            yield f"cells[{number}]: its seeds are not those of replicate {cell.replicate}"
        if not cell.metrics and cell.failed is None and cell.waiting is None:
            yield f"cells[{number}]: has no score, and no stage that failed or waits"


def _has_seeds(cell: Cell, replicate: Replicate) -> bool:
    drawn = cell.draw.references in (None, replicate.references) and cell.draw.generator in (None, replicate.generators)
    return drawn and cell.seed == replicate.detectors


def shared_keys(results: Results) -> Iterator[str]:
    """Whether cells share stages only where they are the same: a key stands for one recipe."""
    predicted: dict[str, str] = {}
    trained: dict[str, str] = {}
    made: dict[str, tuple[str, str, int, Draw]] = {}
    for number, cell in enumerate(results.cells):
        if not cell.metrics:
            continue
        own = (cell.training_set, cell.detector, cell.seed, cell.draw)
        keys = cell.keys
        if predicted.setdefault(keys.score, keys.predict) != keys.predict or trained.setdefault(keys.predict, keys.train) != keys.train:
            yield f"cells[{number}].keys: its score or its predictions are also those of another training"
        elif made.setdefault(keys.train, own) != own:
            yield f"cells[{number}].keys.train: is that of {made[keys.train][0]!r} with {made[keys.train][1]!r} too, or of other seeds"


def same_boxes(bundle: Bundle, results: Results, registry: Registry) -> Iterator[str]:
    """Trainings with different seeds or data that gave the very same boxes, unless the results say so or the detector is not random."""
    members, told = bundle.submission.members, {*results.evidence.same} if results.evidence else set()
    random = {each.name for each in results.suite.detectors if getattr(_installed("detector", each.plugin, registry), "seeded", True)}
    found: dict[tuple[str, str, str], str] = {}
    for number, cell in enumerate(results.cells):
        member = members.get(f"predictions/{cell.keys.predict}.npy") if cell.metrics else None
        if member is None or cell.detector not in random or f"{cell.training_set} / {cell.detector}" in told:
            continue
        first = found.setdefault((cell.training_set, cell.detector, member.sha256), cell.keys.train)
        if first != cell.keys.train:
            yield f"cells[{number}]: has the very same boxes as another replicate, and evidence.same does not say so"


def counts(bundle: Bundle, results: Results, truth: Truth | None) -> Iterator[str]:
    """Numbers that follow from other members."""
    submission, described = bundle.submission, results.data
    scored = len({cell.keys.score for cell in results.cells if cell.metrics})
    if submission.tries.report != scored or submission.tries.store < scored:
        yield f"bundle.json: tries: {submission.tries.report} in the report and {submission.tries.store} in the store, of {scored} scores"
    if truth is not None and described is not None:
        there = (len(truth.images), sum(len(image.boxes) for image in truth.images))
        stated = (submission.test.images, submission.test.boxes), (described.test.images, described.test.boxes)
        if any(each != there for each in stated):
            yield f"bundle.json, results.json: the test set has {there[0]} images and {there[1]} boxes"
    if any(seconds < 0 for cost in results.costs.values() for seconds in cost.values()):
        yield "results.json: costs: less than no seconds"


def plugins(results: Results, registry: Registry) -> Iterator[str]:
    """What installed plugins of the same version say of themselves otherwise."""
    kinds: dict[PluginKind, list[EntryInfo]] = {"generator": results.suite.generators, "detector": results.suite.detectors}
    for kind, entries in kinds.items():
        for entry in entries:
            info = _installed(kind, entry.plugin, registry)
            if info is None or getattr(info, "version", None) != entry.version:
                continue
            said: Mapping[str, object] = {"rival": getattr(info, "rival", False), "license": getattr(info, "license", "")}
            stated: Mapping[str, object] = {"rival": entry.rival, "license": entry.license}
            yield from (
                f"suite: {entry.name!r}: {name} is {said[name]!r}, not {stated[name]!r}" for name in said if said[name] != stated[name]
            )


def _installed(kind: PluginKind, plugin: str, registry: Registry) -> type | None:
    info = registry.found.get((kind, plugin))
    return None if info is None else info.cls
