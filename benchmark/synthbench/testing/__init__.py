"""Contract tests for plugins: what goes wrong in real ones, checked on toy pictures in the processes that a suite uses.

In a plugin's own tests, one line:

    test_contract = contract("detector", "blobs")

`synthbench check blobs` does the same from the command line. Neither needs more than seconds where the plugin says with
`smoke_options` how it learns two dozen small pictures quickly.
"""

from __future__ import annotations

from synthbench.testing.checks import Check, Failure, Result
from synthbench.testing.configuring import configured
from synthbench.testing.contract import checks_of, contract, run_checks

__all__ = ["Check", "Failure", "Result", "checks_of", "configured", "contract", "run_checks"]
