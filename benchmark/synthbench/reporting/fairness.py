"""Whether the comparison is fair and clean: equal training, no image seen before, what the starting weights have seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from synthbench.reporting.scores import Scores, listed, signed
from synthbench.reporting.tables import UNKNOWN, table
from synthbench.results.curves import still_rising
from synthbench.results.model import Cell, Comparison, Results, Similarity

NEAREST = 3  # pairs that are named
MEANINGS = {
    "box_count": "`box_count`: by how many boxes the images differ, on average, with both sets in the order of their counts "
    "(the 1-Wasserstein distance)",
    "box_size": "`box_size`: the same for the size of boxes, the root of a box's share of its image's area",
    "box_x": "`box_x` and `box_y`: the same for the centres of boxes, as shares of their image's width and height",
    "frechet": "`frechet` and `kernel`: the Fréchet distance, and the squared maximum mean discrepancy, of a network's features",
    "density": "`density`: how crowded with real images the places of the generated ones are, about 1 for real ones",
    "coverage": "`coverage`: the share of real images with a generated one as near as their fifth nearest real image",
}
"""By the name of a distance, or the end of it, what it is; of two that go together, by the first one's."""


def fairness(results: Results, scores: Scores) -> list[str]:
    """The section, or nothing where nothing is known."""
    lines = [*equal_steps(scores), *rising(scores), *apart(scores)]
    if results.similarity is not None:
        lines += [*splits(results.similarity)]
    tables = [*copies(results.similarity)] if results.similarity is not None else []
    tables += starting_weights(results)
    return ["## Is it a fair comparison?", "\n".join(f"- {line}" for line in lines), *tables] if lines or tables else []


def equal_steps(scores: Scores) -> list[str]:
    """The optimizer steps of each detector, the same for all rows or not."""
    found = {
        each: sorted({steps for row in scores.rows() for cell in scores.cells(row, each) if (steps := steps_of(cell))})
        for each in scores.detectors
    }
    same = [f"{each} {counts[0]}" for each, counts in found.items() if len(counts) == 1]
    different = [f"{each} from {counts[0]} to {counts[-1]}" for each, counts in found.items() if len(counts) > 1]
    told = [f"Every training of a detector takes the same number of optimizer steps: {listed(same)}."] if same else []
    return told + ([f"**Trainings differ in their steps**, so part of a difference may be that: {listed(different)}."] if different else [])


def apart(scores: Scores) -> list[str]:
    """That detectors are compared over training sets, not with each other."""
    if sum(any(scores.of(row, each) for row in scores.rows()) for each in scores.detectors) < 2:
        return []
    return ["Each detector has its own steps, sizes and starting weights, so their APs say what these settings reach, not which is best."]


def steps_of(cell: Cell) -> int | None:
    """The optimizer steps that a plugin logged."""
    logged: Mapping[str, Mapping[str, object]] = cell.training.metrics if cell.training else {}
    return next((steps for metrics in logged.values() if isinstance(steps := metrics.get("steps"), int)), None)


def still_falling(scores: Scores) -> dict[str, str]:
    """Detectors whose loss on held-out images, or in training, was still falling at the end of most trainings; of how many."""
    late = {}
    for detector in scores.detectors:
        curves = [cell.training.curves for row in scores.rows() for cell in scores.cells(row, detector) if cell.training]
        judged = [still_rising(curve) for each in curves if (curve := each.get("validation_loss") or each.get("loss"))]
        if judged and fmean(judged) > 0.5:
            late[detector] = f"{sum(judged)} of {len(judged)}"
    return late


def rising(scores: Scores) -> list[str]:
    """That some detectors were not trained to a plateau."""
    late = [f"{detector} ({count})" for detector, count in still_falling(scores).items()]
    return [f"**Not trained to a plateau**: in most trainings the loss was still falling at the end of {listed(late)}."] if late else []


def splits(similarity: Similarity) -> list[str]:
    """Near-duplicates of training images among the test images."""
    check = similarity.splits
    if check.pairs is None:
        return []
    if not check.pairs:
        return [f"No test image ({check.test_images}) is a near-duplicate of a training image ({check.train_images})."]
    named = [f"{pair.second} like {pair.first}" for pair in check.nearest[:NEAREST]]
    return [f"**{check.pairs} test images are near-duplicates of training images**, which the suite allows: {', '.join(named)}."]


def copies(similarity: Similarity) -> list[str]:
    """For each generated set: copies of references among its images, and distances to the real training images."""
    by_row: dict[str, list[Comparison]] = {}
    for each in similarity.generated:
        if each.images is not None:
            by_row.setdefault(each.training_set, []).append(each)
    if not by_row:
        return []
    names = list(dict.fromkeys(name for found in by_row.values() for each in found for name in each.distances))
    rows = []
    for row, found in by_row.items():
        pairs = sum(each.pairs or 0 for each in found)
        values = [[each.distances[name] for each in found if name in each.distances] for name in names]
        shown = (f"{fmean(each):.3g}" if each else UNKNOWN for each in values)
        rows.append([f"`{row}`", f"{pairs} of {sum(each.images or 0 for each in found)}", *shown])
    text = (
        "Generated images that copy a reference, and distances of the generated sets to the real training images (means over replicates; "
        "smaller is nearer, but density and coverage are larger for nearer sets)."
    )
    return [text, table(["training set", "copies of references", *names], rows), *explained(names), *correlated(similarity)]


def explained(names: Sequence[str]) -> list[str]:
    """What the distances are; those that are known."""
    ends = {name.rpartition(": ")[2] for name in names}
    meanings = [meaning for name, meaning in MEANINGS.items() if name in ends]
    return ["What the distances are:", "\n".join(f"- {each}." for each in meanings)] if meanings else []


def correlated(similarity: Similarity) -> list[str]:
    """How each distance goes with each detector's AP, or that there are too few sets to say."""
    known = {(each.distance, each.detector): each for each in similarity.correlations if each.value is not None}
    if not known:
        return ["Whether nearer sets have a higher AP cannot be said: too few sets."]
    detectors = list(dict.fromkeys(detector for _, detector in known))
    rows = []
    for distance in dict.fromkeys(distance for distance, _ in known):
        found = (known.get((distance, detector)) for detector in detectors)
        rows.append([distance, *(signed(each.value, 2) if each and each.value is not None else UNKNOWN for each in found)])
    sets = max(each.sets for each in known.values())
    text = (
        f"A short distance need not mean a high AP: rank correlations of distances with AP, over {sets} sets and draws. Below 0 nearer "
        "sets have a higher AP; for density and coverage above 0."
    )
    return [text, table(["distance", *detectors], rows)]


def starting_weights(results: Results) -> list[str]:
    """What starting weights have seen."""
    entries = [*results.suite.generators, *results.suite.annotators, *results.suite.detectors]
    rows = [
        [f"`{entry.name}`", f"`{value if isinstance(value, str) else option}`", seen or "not said"]
        for entry in entries
        for option, seen in entry.trained_on.items()
        if (value := entry.options.get(option, seen))
    ]
    return [table(["starts from weights", "which", "trained on"], rows, words=3)] if rows else []
