"""For every test below: no model hub is asked for anything; files are shared out to two processes; bytecode is kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
# Images for containers often forbid bytecode; then each of the hundreds of processes below would compile torch anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps together what shares costly fixtures: the tests of a file, and in `test_contract` those of a plugin."""
    for item in items:
        function = getattr(item, "originalname", "") if item.path.stem == "test_contract" else ""
        item.add_marker(pytest.mark.xdist_group(f"{item.path}{function}"))


@pytest.fixture
def rates() -> Iterator[list[float]]:
    """The learning rate of each optimizer step that torch takes during the test."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    taken: list[float] = []
    hook = register_optimizer_step_post_hook(lambda optimizer, *_: taken.append(optimizer.param_groups[0]["lr"]))
    yield taken
    hook.remove()
