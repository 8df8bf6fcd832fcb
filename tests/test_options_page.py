"""docs/options.md says what the code says."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from synthbench.contract.stages import PLUGIN_KINDS
from synthbench.registry import PluginInfo
from synthbench.suite.model import Mix, SeedTable, Settings


def renderer() -> ModuleType:
    """`options_page.py`, which lies beside this file."""
    spec = importlib.util.spec_from_file_location("options_page", Path(__file__).with_name("options_page.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


options_page = renderer()
PLUGINS: list[PluginInfo] = [info for kind in PLUGIN_KINDS for info in options_page.shipped(kind)]


def test_the_page_says_what_the_code_says() -> None:
    assert options_page.PAGE.read_text() == options_page.page(), "renew the page: uv run python tests/options_page.py"


@pytest.mark.parametrize("info", PLUGINS, ids=lambda info: info.name)
def test_each_option_says_what_it_is(info: PluginInfo) -> None:
    texts = options_page.documented(info.cls)
    assert [field.name for field in dataclasses.fields(info.cls) if field.init and not texts.get(field.name)] == []


@pytest.mark.parametrize("owner", [Settings, SeedTable, Mix])
def test_each_key_of_a_suite_says_what_it_is(owner: type) -> None:
    assert [field.name for field in dataclasses.fields(owner) if not options_page.documented(owner).get(field.name)] == []


def test_every_plugin_of_the_core_and_the_workspace_is_on_the_page() -> None:
    names = {info.name for info in PLUGINS}
    assert {"coco", "teacher", "native", "orchard", "sd15-dreambooth", "inpaint", "copy-paste", "yolov8", "yolox", "detr-mmdet"} <= names
    assert not any(name.startswith("fake") for name in names)
