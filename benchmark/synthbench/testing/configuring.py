"""A plugin configured with `smoke_options` and the caller's options, and the interpreter that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthbench.contract.options import configure, option_types, option_values
from synthbench.errors import SynthbenchError
from synthbench.execution.environments import Environments, default_folder, environment_spec_of
from synthbench.registry import PluginInfo, installed
from synthbench.suite.inputs import named_path


class NoEnvironment(SynthbenchError):
    """The plugin's own environment has not been made."""


def configured(found: PluginInfo, options: Mapping[str, object]) -> Any:
    """The plugin with its `smoke_options` and the given options. Raises SynthbenchError that lists all wrong or missing options."""
    plugin, problems = configure(found.cls, {**getattr(found.cls, "smoke_options", {}), **options})
    if plugin is None:
        missing = [problem.removesuffix(": missing") for problem in problems if problem.endswith(": missing")]
        hint = [f"set the missing options: {' '.join(f'--set {name}=VALUE' for name in missing)}"] if missing else []
        raise SynthbenchError("\n".join([*(f"{found.name}: {problem}" for problem in problems), *hint]))
    return plugin


def interpreter(found: PluginInfo, plugin: object) -> str:
    """The interpreter of the plugin's own environment, empty if it needs none. Raises NoEnvironment if it is not made."""
    spec, environments = environment_spec_of(plugin, found.distribution), Environments(default_folder())
    if spec is None:
        return ""
    if environments.about(spec.name) is None:
        raise NoEnvironment(f"{found.name} needs an environment that has not been made: run `synthbench check {found.name}` to make it")
    return str(environments.use(spec.name))


def resolved(found: PluginInfo, plugin: Any) -> dict[str, object]:
    """All options as a job contains them, with absolute paths. Raises SynthbenchError if a path does not exist."""
    kinds = option_types(found.cls)
    paths = {name: named_path(kind, getattr(plugin, name), installed()) for name, kind in kinds.items()}
    changed = {name: path if isinstance(getattr(plugin, name), Path) else str(path) for name, path in paths.items() if path is not None}
    return option_values(replace(plugin, **changed))
