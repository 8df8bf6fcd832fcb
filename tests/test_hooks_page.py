"""HOOKS.md says what the code says."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import synthbench
from synthbench.contract import hookspecs


@pytest.fixture(scope="module")
def renderer() -> ModuleType:
    """`hooks_page.py`, which lies beside this file."""
    spec = importlib.util.spec_from_file_location("hooks_page", Path(__file__).with_name("hooks_page.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_says_what_the_code_says(renderer: ModuleType) -> None:
    assert renderer.PAGE.read_text() == renderer.page(), "renew the page: uv run python tests/hooks_page.py"


def test_everything_a_plugin_imports_is_on_the_page(renderer: ModuleType) -> None:
    page = renderer.page()
    scripts = {"Experiment", "Results", "plan", "report", "run"}  # for scripts; README shows them
    names = set(synthbench.__all__) - scripts
    assert [name for name in sorted(names) if f"### `{name}`\n" not in page and f"@{name}" not in page] == []


def test_every_hook_and_method_says_when_how_often_what_to_assume_and_what_is_raised(renderer: ModuleType) -> None:
    contract = renderer.Source(hookspecs)
    kinds = [
        contract.found[name]
        for name in ("DataSource", "Generator", "Locator", "Annotator", "FeatureReader", "Detector", "FeatureSpace", "Plugin")
    ]
    functions = [each for kind in kinds for each in kind.body if isinstance(each, ast.FunctionDef)]
    hooks = [each for name, each in contract.found.items() if name.startswith("synthbench_")]
    assert len(functions) == 10
    assert len(hooks) == 5
    for each in (contract.found["Plugin"], *functions, *hooks):
        lacking = [fact for fact in renderer.FACTS if f"**{fact}**" not in renderer.told(each, [])]
        assert lacking == [], each.name
