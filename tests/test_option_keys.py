"""Every option of every installed plugin: another value changes the keys of exactly the stages that may read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from synthbench.contract.options import configure, is_entry_name, is_weights, option_marks_of, option_types, option_values
from synthbench.planning.making import make_plan
from synthbench.planning.plan import Plan
from synthbench.registry import PluginInfo, installed
from synthbench.storage.local import LocalStore
from synthbench.suite.reader import read_suite
from synthbench.testing.options import other_values
from synthbench_fakes import Threshold

TABLES = {"generator": "generators", "annotator": "annotators", "detector": "detectors"}
READERS = {  # by kind of plugin and the mark of an option: the first kinds of stages that read it
    ("data-source", ""): {"data"},
    ("generator", ""): {"fit", "sample"},
    ("generator", "sample"): {"sample"},
    ("annotator", ""): {"annotate"},
    ("detector", ""): {"train", "predict"},
    ("detector", "predict"): {"predict"},
}
SPARED = {  # what must not be done again
    ("generator", ""): {"data", "select"},
    ("generator", "sample"): {"data", "select", "fit"},
    ("annotator", ""): {"data", "select", "fit", "sample"},
    ("detector", ""): {"data", "select", "fit", "sample"},
    ("detector", "predict"): {"data", "select", "fit", "sample"},
}


def plan_with(info: PluginInfo, options: Mapping[str, Any], store: LocalStore) -> Plan:
    """The plan of a small suite in which this plugin has these options."""
    table = {"use": info.name, "name": "mine", **options}
    content: dict[str, Any] = {
        "references": 2,
        "images": 2,
        "data": {"use": "fake-squares"},
        "generators": [{"use": "fake-paint"}],
        "annotators": [{"use": "native"}],
        "detectors": [{"use": "fake-threshold"}],
    }
    if info.kind == "data-source":
        content["data"] = {key: value for key, value in table.items() if key != "name"}
    elif info.kind == "annotator":
        content["annotators"] = [*([{"use": "native"}] if options.get("annotator") else []), table]
    else:
        content[TABLES[info.kind]] = [table]
    return make_plan(read_suite(content, installed()), installed(), store)


def keys(plan: Plan) -> dict[tuple[str, str], str]:
    return {(stage.kind, stage.label): stage.key for stage in plan.stages}


@pytest.mark.parametrize(("kind", "name"), [each for each in sorted(installed().found) if each != ("data-source", "coco")])
def test_another_value_changes_the_keys_of_what_reads_it(kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Threshold, "features", lambda self, images, run: iter(()), raising=False)  # which an annotator may ask for
    monkeypatch.setattr(Threshold, "feature_space", "none", raising=False)
    info = installed().found[kind, name]  # type: ignore[index]
    given = dict(getattr(info.cls, "smoke_options", {}))
    if name == "teacher":
        given["detector"] = "fake-threshold"
    store = LocalStore(tmp_path / "store")
    before = keys(plan_with(info, given, store))
    plugin, problems = configure(info.cls, given)
    assert plugin is not None, problems
    values, tried = option_values(plugin), 0
    for option, its_type in option_types(info.cls).items():
        others = other_values(info.cls, option, getattr(plugin, option), values)
        if is_weights(its_type) or is_entry_name(its_type) or "Path" in str(its_type):
            continue  # what they name is in the key, and must be there
        if (other := next(others, None)) is None:
            continue
        tried += 1
        after = keys(plan_with(info, {**given, option: other}, store))
        moved = {stage[0] for stage in before if before[stage] != after.get(stage)}
        mark = option_marks_of(info.cls).get(option, "")
        assert moved & READERS[kind, mark], f"{option} = {other!r} changes no key of what reads it"
        assert not moved & SPARED.get((kind, mark), set()), f"{option} = {other!r} has {moved} done again"
    named = {option for option, its_type in option_types(info.cls).items() if is_entry_name(its_type)}
    assert tried or not set(option_types(info.cls)) - named - {"path"}
