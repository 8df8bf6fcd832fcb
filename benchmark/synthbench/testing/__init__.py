"""Contract tests for plugins: common faults, checked on toy pictures in the worker processes that a suite uses.

In a plugin's own tests, one line:

    test_contract = contract("detector", "blobs")

`synthbench check blobs` does the same from the command line. Each takes seconds if the plugin's `smoke_options` make
training on two dozen small pictures fast.

Some faults cannot be detected from outside; the docstrings of `conduct`, `appearance`, `damaged` and `late` list them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synthbench.testing.checklist import checks_of, contract, run_checks
    from synthbench.testing.checks import Check, Failure, Result
    from synthbench.testing.configuring import configured

__all__ = ["Check", "Failure", "Result", "checks_of", "configured", "contract", "run_checks"]

# Loaded on first use (PEP 562): `testing.loading` records what a plugin imports, so it must not import the same libraries.
_HOMES = {"checks": ("Check", "Failure", "Result"), "configuring": ("configured",), "checklist": ("checks_of", "contract", "run_checks")}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Loads a public name from the module that defines it."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'synthbench.testing' has no attribute '{name}'")
    value: object = getattr(importlib.import_module(f"synthbench.testing.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
