"""Finding plugins: entry points of the group `synthbench`, loaded one by one.

pluggy's own loader ends the program at the first plugin that does not import and skips a second distribution of the
same name in silence; here a broken plugin is listed with its error and hurts only the suite that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, get_args

import pluggy

from synthbench import hookspecs
from synthbench.errors import SynthbenchError, suggest
from synthbench.options import option_types

Kind = Literal["data-source", "generator", "annotator", "detector"]
KINDS: tuple[Kind, ...] = get_args(Kind)
METHODS: Mapping[Kind, tuple[str, ...]] = {
    "data-source": ("load",),
    "generator": ("fit", "sample"),
    "annotator": ("boxes_from", "annotate"),
    "detector": ("train", "predict"),
}


@dataclass(frozen=True)
class Found:
    """A plugin's class and where it comes from."""

    kind: Kind
    name: str
    plugin: type[Any]
    distribution: str
    release: str


@dataclass(frozen=True)
class Broken:
    """An entry point that cannot be used, or the one thing it gave that cannot."""

    entry_point: str
    distribution: str
    error: str
    name: str = ""
    """Of that one thing."""


@dataclass
class Registry:
    """Everything that is installed, the broken things among it."""

    found: dict[tuple[Kind, str], Found] = field(default_factory=dict)
    checkpoints: dict[str, Path] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)

    def names(self, kind: Kind) -> list[str]:
        """The names of one kind, sorted."""
        return sorted(name for its_kind, name in self.found if its_kind == kind)

    def get(self, kind: Kind, name: str) -> Found:
        """The plugin. Raises SynthbenchError with the nearest name, and the broken plugins where there are any."""
        try:
            return self.found[kind, name]
        except KeyError:
            hint = suggest(name, self.names(kind))
            broken = "".join(f"; {each.entry_point} is broken: {each.error}" for each in self.broken if each.name in ("", name))
            raise SynthbenchError(f"no {kind} named '{name}' is installed{hint}{broken}") from None


@cache
def installed() -> Registry:
    """The registry of this environment, made once a process."""
    return discover(entry_points(group=hookspecs.PROJECT))


def discover(points: Iterable[EntryPoint]) -> Registry:
    """The registry of these entry points."""
    registry = Registry()
    for point in sorted(points, key=lambda each: (each.name != "builtin", each.name)):
        try:
            _add(registry, point)
        except (Exception, SystemExit) as error:  # whatever a plugin's import raises must not end the program
            registry.broken.append(Broken(point.name, _release(point)[0], f"{type(error).__name__}: {error}"))
    return registry


def _add(registry: Registry, point: EntryPoint) -> None:
    """Loads one entry point and takes over what its hooks give."""
    # A manager of its own for each: two plugins cannot disturb one another, and each result has a known origin.
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(point.load(), point.name)
    manager.check_pending()  # else a hook whose name is mistyped is ignored
    distribution, release = _release(point)
    for kind, hook in _hooks(manager).items():
        for plugin in (each for given in hook() for each in given):
            found = Found(kind, plugin.name, plugin, distribution, release)
            if trouble := _trouble(registry, found):
                registry.broken.append(Broken(point.name, distribution, trouble, plugin.name))
            else:
                registry.found[kind, plugin.name] = found
    for shipped in manager.hook.synthbench_checkpoints():
        for name, path in shipped.items():
            if name in registry.checkpoints or "/" in name or not path.exists():
                trouble = f"checkpoint '{name}': " + (f"there is no {path}" if not path.exists() else "name in use, or with a slash in it")
                registry.broken.append(Broken(point.name, distribution, trouble, name))
            else:
                registry.checkpoints[name] = path


def _hooks(manager: pluggy.PluginManager) -> Mapping[Kind, Callable[[], list[Sequence[type[Any]]]]]:
    """The hooks that give plugins; typed here, since `manager.hook` is `Any`."""
    hook = manager.hook
    return {
        "data-source": hook.synthbench_data_sources,
        "generator": hook.synthbench_generators,
        "annotator": hook.synthbench_annotators,
        "detector": hook.synthbench_detectors,
    }


def _trouble(registry: Registry, found: Found) -> str:
    """Why a plugin cannot be used, or nothing."""
    other = registry.found.get((found.kind, found.name))
    if other is not None:
        return f"{found.kind} '{found.name}': the name is in use by {other.distribution}"
    if not isinstance(found.plugin, type):
        return f"{found.kind} '{found.name}': {found.plugin!r} is not a class"
    parameters = getattr(found.plugin, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        return f"{found.kind} '{found.name}': its class is not a frozen dataclass"
    try:
        options = option_types(found.plugin)
    except (NameError, TypeError) as error:  # a type that is imported for type checkers only
        return f"{found.kind} '{found.name}': the types of its options cannot be read: {error}"
    needed = ("version", "license", *METHODS[found.kind])
    lacking = [name for name in needed if name not in options and not hasattr(found.plugin, name)]
    return f"{found.kind} '{found.name}': lacks {', '.join(lacking)}" if lacking else ""


def _release(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that an entry point comes from."""
    return (point.dist.name, point.dist.version) if point.dist is not None else ("?", "?")
