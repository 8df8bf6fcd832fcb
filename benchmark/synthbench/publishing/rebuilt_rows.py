"""The keys of a suite that say which training sets there are, from the training sets that results have."""

from __future__ import annotations

import re
from typing import Any

from synthbench.results.model import Results, TrainingSetInfo
from synthbench.suite.training_sets import generated, labelled, subset

MOST_PAIRS = 10_000
"""Of generators and annotators; a bundle that names more would only fill the memory."""
SUBSET = re.compile(r"([1-9]\d{0,8}) real")


def rebuilt_rows(results: Results) -> tuple[dict[str, Any], list[str]]:
    """`baselines`, `real_counts`, `generated_counts`, `leave_out`, `names` and `mix`; and what of them is not known."""
    suite, sets = results.suite, results.training_sets
    if len(suite.generators) * len(suite.annotators) > MOST_PAIRS:
        return {}, [f"{len(suite.generators)} generators with {len(suite.annotators)} annotators are too many"]
    usual = {row.name: _usual_name(row) for row in sets if row.kind not in ("mix", "part")}
    pairs = [
        generated(generator.name, annotator.name, suite.images).name for generator in suite.generators for annotator in suite.annotators
    ]
    left_out = [pair for pair in pairs if pair not in usual.values()]
    counts = [row.images for row in sets if row.kind == "subset"]
    problems = []
    # Parts of mixes that are no rows themselves.
    known = {
        "real",
        "references",
        *(labelled(annotator.name).name for annotator in suite.annotators),
        *left_out,
        *(row.name for row in sets),
    }
    for mix in (row for row in sets if row.kind == "mix"):
        for part in mix.parts:
            if part in known:
                continue
            if of_real := SUBSET.fullmatch(part):
                counts.append(int(of_real[1]))
                left_out.append(part)
                known.add(part)
            else:
                problems.append(f"mix.{mix.name}: the bundle does not say what its part '{part}' is made of")
    found = {
        "baselines": [usual[row.name] for row in sets if row.kind in ("real", "references", "labelled")],
        "real_counts": counts,
        "generated_counts": _generated_counts(results),
        "leave_out": left_out,
        "names": {name: shown for shown, name in usual.items() if name != shown},
        "mix": [{"name": row.name, "parts": row.parts} for row in sets if row.kind == "mix"],
    }
    return found, problems


def _usual_name(row: TrainingSetInfo) -> str:
    """What a training set is called if a suite gives it no other name."""
    match row.kind:
        case "labelled":
            return labelled(row.annotator).name
        case "subset":
            return subset(row.images or 0).name
        case "generated":
            return generated(row.generator, row.annotator, row.images or 0).name
        case kind:
            return kind


def _generated_counts(results: Results) -> dict[str, list[int]]:
    """With how many images of each generator there are parts, by the whole. A mix of several has as many of each."""
    wholes = {row.name: row.images for row in results.training_sets}
    found: dict[str, list[int]] = {}
    for row in results.training_sets:
        whole = wholes.get(row.whole)
        if row.kind == "part" and row.images is not None and whole:
            found.setdefault(row.whole, []).append(row.images * results.suite.images // whole)
    return found
