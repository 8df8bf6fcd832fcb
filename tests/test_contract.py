"""Every plugin that is installed keeps the contract."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthbench.contract.options import is_weights, option_types
from synthbench.contract.stages import PluginKind
from synthbench.contract.weights import is_hub_id
from synthbench.registry import installed
from synthbench.testing import contract, run_checks
from synthbench.testing.toys import CATEGORIES, FEW, MANY, painted

SLOW = {("detector", "detr-mmdet")}
"""Takes longer than all others together, and is `fasterrcnn-mmdet` with another configuration."""
NEED_DATA = {
    ("data-source", "coco"),
    ("data-source", "applebbch81"),
    ("data-source", "minneapple"),
    ("data-source", "voetman-generated"),
    ("generator", "voetman-generated"),
}
"""`coco` needs a folder and has its test below; those that fetch their data have theirs in their distribution."""


def starts_from_the_hub(kind: PluginKind, name: str) -> bool:
    """Whether a plugin's checks need weights from the hub. Its own tests have small ones."""
    cls = installed().get(kind, name).cls
    weights = [option for option, its_type in option_types(cls).items() if is_weights(its_type)]
    return any(is_hub_id(configured_default(cls, option)) for option in weights)


def configured_default(cls: type, option: str) -> str:
    """The value of an option in the checks of a plugin."""
    smoke: dict[str, object] = getattr(cls, "smoke_options", {})
    return str(smoke.get(option, getattr(cls, option, "")))


# A test for each.
for kind, name in sorted(installed().found):
    if (kind, name) not in NEED_DATA and not starts_from_the_hub(kind, name):
        test = contract(kind, name)
        globals()[f"test_{kind}_{name}".replace("-", "_")] = pytest.mark.slow(test) if (kind, name) in SLOW else test
del test


def test_data_source_coco(tmp_path: Path):
    from synthbench.storage.coco import ANNOTATIONS, write_set

    for split, samples in (("train", painted(MANY)[FEW:]), ("test", painted(FEW))):
        write_set(tmp_path / split, CATEGORIES, samples)
        held = json.loads((tmp_path / split / ANNOTATIONS).read_text())
        held["images"] = [{**image, "file_name": f"{split}/{image['file_name']}"} for image in held["images"]]
        (tmp_path / split / ANNOTATIONS).write_text(json.dumps(held))
    options = {"path": str(tmp_path), "images": ".", "train": f"train/{ANNOTATIONS}", "test": f"test/{ANNOTATIONS}"}
    results = list(run_checks("data-source", "coco", options))
    assert not [result for result in results if result.status == "failed"]
    assert sum(result.status == "passed" for result in results) >= 8
