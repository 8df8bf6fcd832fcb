"""A plugin with its options, as `smoke_options` and the caller give them, and where it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthbench.contract.options import configure, option_types, option_values
from synthbench.errors import SynthbenchError
from synthbench.execution.environments import Environments, default_folder, wanted_by
from synthbench.registry import PluginInfo, installed
from synthbench.suite.inputs import named_path


class NoEnvironment(SynthbenchError):
    """A plugin runs in an environment of its own, and it was not made."""


def configured(found: PluginInfo, given: Mapping[str, object]) -> Any:
    """The plugin with its trial's options and those given. Raises SynthbenchError with all that are wrong or missing."""
    plugin, problems = configure(found.cls, {**getattr(found.cls, "smoke_options", {}), **given})
    if plugin is None:
        missing = [problem.removesuffix(": missing") for problem in problems if problem.endswith(": missing")]
        hint = [f"give what is missing: {' '.join(f'--set {name}=VALUE' for name in missing)}"] if missing else []
        raise SynthbenchError("\n".join([*(f"{found.name}: {problem}" for problem in problems), *hint]))
    return plugin


def interpreter(found: PluginInfo, plugin: object) -> str:
    """The interpreter of the plugin's own environment, empty where it has none. Raises NoEnvironment."""
    wanted, environments = wanted_by(plugin, found.distribution), Environments(default_folder())
    if wanted is None:
        return ""
    if environments.about(wanted.name) is None:
        raise NoEnvironment(f"{found.name} runs in an environment that was not made yet: `synthbench check {found.name}` offers to make it")
    return str(environments.use(wanted.name))


def resolved(found: PluginInfo, plugin: Any) -> dict[str, object]:
    """Every option as a job carries it, with absolute paths for what it names. Raises SynthbenchError where that is nowhere."""
    kinds = option_types(found.cls)
    paths = {name: named_path(kind, getattr(plugin, name), installed()) for name, kind in kinds.items()}
    changed = {name: path if isinstance(getattr(plugin, name), Path) else str(path) for name, path in paths.items() if path is not None}
    return option_values(replace(plugin, **changed))
