"""The environment of its own that a plugin may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from synthbench.errors import SynthbenchError


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What a plugin needs that cannot be installed beside the other plugins. uv makes it once, after the user agreed.

    The harness adds itself and the plugin's own distribution, without the latter's dependencies.
    """

    dependencies: tuple[str, ...]
    """Requirements, as in `torch==2.1.2`: everything the plugin imports except synthbench and its own distribution."""
    python: str = ""
    """A version, as in `3.11`; empty: the harness's own."""
    build_variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables while packages are built, as in `{"MAX_JOBS": "2"}`."""
    no_build_isolation: tuple[str, ...] = ()
    """Packages that are built with what is installed already, because they import torch to build: they are installed last."""
    overrides: tuple[str, ...] = ()
    """Requirements that replace those of the packages: uv's `--override`. A marker that is never true, as in
    `onnx; python_version < '3'`, leaves a package out."""


def environment_of(plugin: object) -> Environment | None:
    """The environment that a configured plugin asks for, or None. Raises SynthbenchError if it asks for something else."""
    name = getattr(plugin, "name", plugin)
    try:
        environment = getattr(plugin, "environment", None)
    except Exception as error:  # a property of the plugin's
        raise SynthbenchError(f"{name}: environment: {type(error).__name__}: {error}") from error
    if environment is not None and not isinstance(environment, Environment):
        raise SynthbenchError(f"{name}: its environment is {environment!r}, and should be an Environment or None")
    return environment
