"""What the tests share: the plugins of `fakes`, found like any installed distribution, and suites made of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FAKES = Path(__file__).parent / "fakes"
sys.path.insert(0, str(FAKES))
# Worker processes find the plugins by this.
os.environ["PYTHONPATH"] = os.pathsep.join([str(FAKES), *filter(None, [os.environ.get("PYTHONPATH")])])

from synthbench.plan import Plan, make_plan  # noqa: E402 - after the path
from synthbench.plugins import installed  # noqa: E402
from synthbench.store import Store  # noqa: E402
from synthbench.suite import read_suite  # noqa: E402

SUITE = FAKES / "squares.toml"
PlanOf = Callable[..., Plan]


@pytest.fixture(scope="session", autouse=True)
def fresh_registry() -> None:
    """Forgets what was found before the path was changed."""
    installed.cache_clear()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def plan_of(store: Store) -> PlanOf:
    """The plan of the suite of squares with `--set` changes."""

    def plan_of(*changes: str, store: Store = store) -> Plan:
        return make_plan(read_suite(SUITE, installed(), changes), installed(), store)

    return plan_of
