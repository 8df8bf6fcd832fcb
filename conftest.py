"""For every test below: no model hub is asked for anything; files are shared out to two processes."""

from __future__ import annotations

import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps together what shares costly fixtures: the tests of a file, and in `test_contract` those of a plugin."""
    for item in items:
        function = getattr(item, "originalname", "") if item.path.stem == "test_contract" else ""
        item.add_marker(pytest.mark.xdist_group(f"{item.path}{function}"))
