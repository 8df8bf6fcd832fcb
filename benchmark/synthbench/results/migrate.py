"""Results of earlier schemas as results of today's, step by step: 1, which the first releases wrote, 2, 3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

CORE = ("training_images", "training_boxes")
COUNTED = ("images", "boxes", "images_without_boxes")


def migrated(old: Mapping[str, Any]) -> dict[str, Any]:
    """Results of schema 1, 2 or 3 as the plain values of schema 3. Raises KeyError if something is missing."""
    content = from_version_1(old) if old["schema"] == 1 else dict(old)
    return from_version_2(content) if content["schema"] == 2 else content


def from_version_2(old: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of schema 3, in which a cell has the number of its replicate, and a training has `curves`.

    Of earlier trainings no curves were stored. The trainings of one training set and detector, with other seeds or draws, were not
    numbered, and are in their order.
    """
    seen: Counter[tuple[str, str]] = Counter()
    cells = []
    for each in old["cells"]:
        row = each["training_set"], each["detector"]
        cells.append({**each, "replicate": seen[row]})
        seen[row] += 1
    return {**old, "schema": 3, "cells": cells}


def from_version_1(old: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of schema 2. Raises KeyError if something is missing.

    One list of seeds was the detectors'; its first was also the references' and the generators'. What the core counted and what
    plugins logged were in one table.
    """
    suite, data = old["suite"], old["data"]
    kinds = {row["name"]: row["kind"] for row in old["rows"]}
    seed = suite["seeds"][0]
    plugins = {entry["name"]: entry["plugin"] for entry in suite["detectors"]}
    return {
        "schema": 2,
        "suite": {
            **{key: suite[key] for key in ("name", "file", "title", "about", "references", "images", "timeout", "data")},
            **{key: suite[key] for key in ("generators", "annotators", "detectors")},
            "seeds": {"references": [seed], "generators": [seed], "detectors": suite["seeds"]},
        },
        "data": {**{key: data[key] for key in ("categories", "rendered", "license", "source")}, **data["counts"]} if data else None,
        "training_sets": [training_set(name, kind, old) for name, kind in kinds.items()],
        "cells": [cell(each, draw(kinds[each["training_set"]], each["training_set"], old, seed), plugins) for each in old["cells"]],
        "generated": [generated(each, seed) for each in old["generated"]],
        "judged": [{**each, "draw": {"references": seed, "generator": seed}} for each in old["judged"]],
        "stages": [stage(each) for each in old["stages"]],
        "costs": old["costs"],
        "failures": old["failures"],
        "environment": old["environment"],
        "command": old["command"],
        "pictures": old.get("pictures", {}),
    }


def training_set(name: str, kind: str, old: Mapping[str, Any]) -> dict[str, Any]:
    """A row: what it is made of."""
    found: dict[str, Any] = {"name": name, "kind": kind}
    if kind == "generated":
        pair = next(each for each in old["generated"] if each["name"] == name)
        found |= {"generator": pair["generator"], "annotator": pair["annotator"], "images": old["suite"]["images"]}
    if kind == "mix":
        found["parts"] = next(mix["parts"] for mix in old["suite"]["mixes"] if mix["name"] == name)
    return found


def draw(kind: str, name: str, old: Mapping[str, Any], seed: int) -> dict[str, int]:
    """The seeds that a row depends on."""
    parts = {each["name"]: each["parts"] for each in old["suite"]["mixes"]}.get(name, [])
    uses_generator = kind == "generated" or any(part not in ("real", "references") for part in parts)
    uses_references = uses_generator or kind == "references" or "references" in parts
    return {**({"references": seed} if uses_references else {}), **({"generator": seed} if uses_generator else {})}


def cell(old: Mapping[str, Any], its_draw: Mapping[str, int], plugins: Mapping[str, str]) -> dict[str, Any]:
    """A cell, with the core's counts apart from what the plugin logged."""
    logged = {name: value for name, value in old["training"].items() if name not in CORE}
    training = {
        "images": old["training"]["training_images"],
        "boxes": old["training"]["training_boxes"],
        "metrics": {plugins[old["detector"]]: logged} if logged else {},
    }
    return {
        **{key: old[key] for key in ("training_set", "detector", "seed", "metrics", "keys", "failed")},
        "draw": its_draw,
        "training": training if old["training"] else None,
        "train_seconds": old["seconds"]["train"],
        "predict_seconds": old["seconds"]["predict"],
    }


def generated(old: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A generated set."""
    known = {"training_set": old["name"], "generator": old["generator"], "annotator": old["annotator"]}
    return {**known, **{key: old[key] for key in COUNTED if key in old}, "draw": {"references": seed, "generator": seed}}


def stage(old: Mapping[str, Any]) -> dict[str, Any]:
    """A stage; what it recorded were the core's facts and the plugin's in one table, which are kept as facts."""
    return {**{key: value for key, value in old.items() if key != "records"}, "facts": old.get("records", {})}
