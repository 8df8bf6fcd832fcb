"""A suite that waits for people, and people who answer: what the tests of labels by people share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import synthbench
from synthbench.cli import main
from synthbench.labelling.importing import import_answers
from synthbench.planning.plan import Plan
from synthbench.results.files import read_results
from synthbench.results.model import Results

SUITE = """\
references = 3
images = 4
baselines = ["references"]
features = ""

[data]
use = "fake-squares"

[[generators]]
use = "fake-paint"
name = "paint"

[[annotators]]
use = "native"

[[annotators]]
use = "human"
pre_labels = "native"

[[detectors]]
use = "fake-threshold"
name = "threshold"
"""


class Bench:
    """A suite with people in it, and the folders of its runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.suite = folder / "squares.toml"
        self.suite.write_text(SUITE)
        self.options = ["--labels", str(folder / "labels")]

    def plan(self, *changes: str) -> Plan:
        return synthbench.plan(self.suite, changes=changes, store=self.folder / "store", labels=self.folder / "labels")

    def run(self, *changes: str) -> tuple[int, Results]:
        folders = ["--store", str(self.folder / "store"), "--out", str(self.folder / "out"), *self.options]
        sets = [part for change in changes for part in ("--set", change)]
        status = main(["run", str(self.suite), *folders, *sets, "--device", "cpu", "--in-process"])
        return status, read_results(self.folder / "out" / "squares.json")

    @property
    def report(self) -> str:
        return (self.folder / "out" / "squares.md").read_text()

    def batch(self) -> Path:
        (found,) = (self.folder / "labels").rglob("asked.json")
        return found.parent

    def answer(self, change: Callable[[list[dict[str, Any]]], object] = lambda tasks: None, **options: Any) -> None:
        """Submits every task as its boxes are, after 30 seconds, but for `change`."""
        tasks = json.loads((self.batch() / "label-studio.json").read_text())
        for task in tasks:
            result = task.pop("predictions")[0]["result"]
            task["annotations"] = [{"result": result, "was_cancelled": False, "lead_time": 30.0, "updated_at": "2026-01-01"}]
        change(tasks)
        exported = self.folder / "export.json"
        exported.write_text(json.dumps(tasks))
        import_answers([exported], self.folder / "labels", **options)
