"""What can be said of a suite's data before anything runs."""

from __future__ import annotations

from synthbench.contract.hookspecs import Checked
from synthbench.contract.types import DataCheck
from synthbench.suite.model import Suite
from synthbench.suite.prompts import prompts_without_category


def check_data(suite: Suite) -> DataCheck:
    """What the data source says, and a warning for each prompt that names none of the categories; nothing of a source that cannot say."""
    source = suite.data.plugin
    if not isinstance(source, Checked):
        return DataCheck(())
    found = source.check()
    prompts = prompts_without_category(suite, found.categories) if found.categories else []
    return DataCheck(found.categories, found.problems, (*found.warnings, *prompts))
