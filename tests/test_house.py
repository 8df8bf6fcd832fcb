"""The house's own rules that no linter checks."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import synthbench
from synthbench_fakes import SUITE

HEAVY = ("torch", "torchvision", "transformers", "diffusers", "ultralytics")
CORE = "import pkgutil, synthbench; names = [m.name for m in pkgutil.walk_packages(synthbench.__path__, 'synthbench.')]"


def loaded_by(code: str) -> set[str]:
    """The top-level packages that a fresh process has loaded after this code."""
    code += "\nimport json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {*json.loads(told.stdout.splitlines()[-1])}


def test_no_module_of_the_core_loads_a_framework() -> None:
    loaded = loaded_by(CORE + "\nimport importlib\nfor name in names: importlib.import_module(name)")
    assert "numpy" in loaded
    assert not loaded.intersection(HEAVY)


def test_no_installed_plugin_loads_a_framework_or_numpy_before_it_is_used() -> None:
    loaded = loaded_by("from synthbench.registry import installed\nassert installed().found")
    assert not loaded.intersection((*HEAVY, "numpy", "PIL", "matplotlib"))


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["plugins"], ["plugins", "--json"], ["run", "--help"]])
def test_a_quick_command_loads_nothing_heavy(command: list[str]) -> None:
    code = f"from synthbench.cli import main\ntry: main({command})\nexcept SystemExit as end: assert not end.code"
    assert not loaded_by(code).intersection((*HEAVY, "numpy", "rich", "PIL", "matplotlib"))


def test_a_run_with_nothing_to_do_loads_no_numbers_and_no_progress(tmp_path: Path) -> None:
    command = ["run", str(SUITE), "--store", str(tmp_path / "store"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    first = subprocess.run([sys.executable, "-m", "synthbench", *command], capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    loaded = loaded_by(f"from synthbench.cli import main\nassert main({command}) == 0")
    assert not loaded.intersection((*HEAVY, "numpy", "rich", "PIL", "matplotlib"))


def test_every_module_of_the_core_has_its_floor() -> None:
    """import-linter passes over what no floor names."""
    root = Path(synthbench.__file__).parent
    contracts = tomllib.loads((root.parents[1] / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    floors = {name for line in contracts[0]["layers"] for name in line.split(" | ")}
    modules = {".".join(["synthbench", *file.relative_to(root).with_suffix("").parts]) for file in root.rglob("*.py")}
    named = {module for module in modules if any(f"{module}.".startswith(f"{floor}.") for floor in floors)}
    assert modules - named == {"synthbench.__init__", "synthbench.__main__"}
