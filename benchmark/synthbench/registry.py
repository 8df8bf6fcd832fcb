"""Finds plugins: loads the entry points of the group `synthbench` one by one.

pluggy's own loader ends the program at the first plugin that cannot be imported, and silently skips a second distribution
of the same name. Here a broken plugin is listed with its error, and only suites that name it fail.
"""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pluggy

from synthbench import shipped
from synthbench.contract import hookspecs
from synthbench.contract.stages import PLUGIN_KINDS, PluginKind, option_marks
from synthbench.contract.validation import location_of, location_of_error, problems_of
from synthbench.errors import SynthbenchError, suggest

CONTRACTS: Mapping[PluginKind, type] = MappingProxyType(
    {
        "data-source": hookspecs.DataSource,
        "generator": hookspecs.Generator,
        "annotator": hookspecs.Annotator,
        "detector": hookspecs.Detector,
    }
)
HOOKS: Mapping[str, PluginKind | None] = MappingProxyType(
    {f"{hookspecs.PROJECT}_{kind.replace('-', '_')}s": kind for kind in PLUGIN_KINDS} | {"synthbench_checkpoints": None}
)


@dataclass(frozen=True)
class PluginInfo:
    """A plugin's class and the distribution that it comes from."""

    kind: PluginKind
    name: str
    cls: type[Any]
    distribution: str
    release: str


@dataclass(frozen=True)
class Broken:
    """An entry point that cannot be used, or one plugin or checkpoint of it that cannot."""

    entry_point: str
    distribution: str
    error: str
    name: str = ""
    """The name of that plugin or checkpoint; empty if it is unknown, or if all of the entry point is broken."""
    location: str = ""
    """`FILE:LINE` of the class or of the code that raised the error; empty if it is unknown."""

    def message(self) -> str:
        """The error with its location."""
        return f"{self.error} ({self.location})" if self.location else self.error


@dataclass
class Registry:
    """All installed plugins and checkpoints, and those that are broken."""

    found: dict[tuple[PluginKind, str], PluginInfo] = field(default_factory=dict)
    checkpoints: dict[str, Path] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)

    def names(self, kind: PluginKind) -> list[str]:
        """The names of one kind, sorted."""
        return sorted(name for its_kind, name in self.found if its_kind == kind)

    def get(self, kind: PluginKind, name: str) -> PluginInfo:
        """The plugin. Raises SynthbenchError if there is none, with the nearest name and the broken plugins that it may be."""
        try:
            return self.found[kind, name]
        except KeyError:
            hint = shipped.how_to_install(kind, name) or suggest(name, self.names(kind))
            raise SynthbenchError("; ".join([f"no {kind} named '{name}' is installed{hint}", *self.suspects(name)])) from None

    def suspects(self, name: str) -> list[str]:
        """The broken entry points that may contain a plugin of that name, each with its error."""
        return [f"{each.entry_point} is broken: {each.message()}" for each in self.broken if each.name in ("", name)]


@cache
def installed(distribution: str = "") -> Registry:
    """The registry of this environment, built once per process. distribution: of the plugins of this one only; empty: of all."""
    # Not `entry_points()`: that reads the entry points of every group and raises at the first malformed file.
    points: list[EntryPoint] = []
    malformed: list[Broken] = []
    for each in distributions():
        try:
            if f"[{hookspecs.PROJECT}]" in (each.read_text("entry_points.txt") or ""):
                points += [point for point in each.entry_points if point.group == hookspecs.PROJECT]
        except (TypeError, ValueError) as error:  # a line is not NAME = VALUE, or the file is not text
            folder = Path(str(getattr(each, "_path", "?")))
            message = f"is malformed: its lines should be NAME = MODULE ({error})"
            malformed.append(Broken("entry_points.txt", folder.name, message, location=str(folder / "entry_points.txt")))
    chosen = [point for point in points if not distribution or release_of(point)[0] == distribution]
    return discover(chosen, dict.fromkeys(malformed))


def discover(points: Iterable[EntryPoint], malformed: Iterable[Broken] = ()) -> Registry:
    """The registry of these entry points. A duplicate counts once: a folder may be on `sys.path` twice."""
    registry = Registry(broken=[*malformed])
    manager = Manager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    loaders: dict[tuple[bool, str, str, str], Loader] = {}
    for point in points:
        loader = Loader(point, registry, manager)
        loaders.setdefault((loader.distribution != hookspecs.PROJECT, point.name, loader.distribution, point.value), loader)
    # Text that a plugin prints while it is imported must not mix with the output of a command.
    with redirect_stdout(sys.stderr), without_garbage_collection():
        for _, loader in sorted(loaders.items()):
            with loader.listing_errors():
                loader.load()
    return registry


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Disables the garbage collector. Imports create objects that stay: scanning them took much of the time with 200 plugins."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


class Manager(pluggy.PluginManager):
    """pluggy's manager, which looks at every attribute of a module; this one is quicker for those that are not hooks."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        """The options that `@hookimpl` set on a function, or None if it is not marked."""
        marked = hasattr(getattr(plugin, name), f"{self.project_name}_impl")
        return super().parse_hookimpl_opts(plugin, name) if marked else None


class Loader:
    """Loads one entry point and registers the plugins and checkpoints that its hooks return."""

    def __init__(self, point: EntryPoint, registry: Registry, manager: Manager) -> None:
        self.point = point
        self.registry = registry
        self.manager = manager
        self.distribution, self.release = release_of(point)

    def load(self) -> None:
        """Imports the entry point's module and calls its hooks, one by one. Raises whatever the import raises."""
        module = self.point.load()
        functions = self.functions(module)
        unmarked = [hook for hook, marked in functions.items() if not marked and hasattr(module, hook)]
        for hook in unmarked:
            self.add_broken(f"{hook} is not marked with @hookimpl", location=location_of(getattr(module, hook)))
        if not unmarked and not any(functions.values()):
            self.add_broken(f"contains no plugin: no function is marked with @hookimpl; the hooks are {', '.join(HOOKS)}")
        for hook, kind in HOOKS.items():
            for function in functions[hook]:
                with self.listing_errors(f"{hook}: ", function):
                    self.register(kind, function())

    def functions(self, module: object) -> dict[str, list[Callable[[], object]]]:
        """The functions that implement each hook in a module. Raises pluggy.PluginValidationError if a marked one is not a hook."""
        try:
            self.manager.register(module)
            self.manager.check_pending()  # otherwise a hook whose name is mistyped is ignored
            return {hook: [each.function for each in getattr(self.manager.hook, hook).get_hookimpls()] for hook in HOOKS}
        finally:  # so that two plugins cannot affect each other
            if self.manager.is_registered(module):
                self.manager.unregister(module)

    def register(self, kind: PluginKind | None, returned: Any) -> None:
        """Registers what a hook returned; kind: None for checkpoints. Raises SynthbenchError if it has the wrong type."""
        if kind is None:
            if not isinstance(returned, Mapping):
                raise SynthbenchError(f"expected a mapping of names to paths, got {returned!r}")
            for name, path in returned.items():
                self.register_checkpoint(name, path)
        else:
            if not isinstance(returned, Sequence) or isinstance(returned, str):
                raise SynthbenchError(f"expected a sequence of classes, as in (This, That), got {returned!r}")
            for plugin in returned:
                with self.listing_errors(f"{kind}: ", plugin):
                    self.register_plugin(kind, plugin)

    def register_plugin(self, kind: PluginKind, plugin: Any) -> None:
        """Registers a plugin's class; lists it as broken if it is invalid or its name is in use."""
        name = attribute if isinstance(attribute := getattr(plugin, "name", None), str) else ""
        found = PluginInfo(kind, name, plugin, self.distribution, self.release)
        problems = problems_of(plugin, CONTRACTS[kind], option_marks(kind))
        if not problems and self.registry.found.setdefault((kind, name), found) is not found:
            other = self.registry.found[kind, name]
            twice = "by the same distribution" if other.distribution == self.distribution else f"by {other.distribution} first"
            problems = [f"registered twice, {twice}" if other.cls is plugin else f"the name is in use by {other.distribution}"]
        if problems:
            label = f"'{name}'" if name else getattr(plugin, "__qualname__", "without a name")
            self.add_broken(f"{kind} {label}: {'; '.join(problems)}", name, location_of(plugin))

    def register_checkpoint(self, name: str, path: Path) -> None:
        """Registers a checkpoint; lists it as broken if its file is missing or its name is invalid or in use."""
        if not path.exists():
            self.add_broken(f"checkpoint '{name}': there is no {path}", name)
        elif name in self.registry.checkpoints or "/" in name:
            self.add_broken(f"checkpoint '{name}': the name is in use or contains a slash", name)
        else:
            self.registry.checkpoints[name] = path

    def add_broken(self, error: str, name: str = "", location: str = "") -> None:
        """Lists a plugin, a checkpoint or the whole entry point as broken."""
        self.registry.broken.append(Broken(self.point.name, self.distribution, " ".join(error.split()), name, location))

    @contextmanager
    def listing_errors(self, what: str = "", source: object = None) -> Iterator[None]:
        """Lists any exception except KeyboardInterrupt: a plugin must not end the program, not even with sys.exit or a Rust panic.

        what: text before the error; source: the object whose location is reported if the error has none in the plugin's code.
        """
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            message = str(error) if isinstance(error, SynthbenchError) else f"{type(error).__name__}: {error}"
            self.add_broken(what + message, location=location_of_error(error) or location_of(source))


def release_of(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that contains an entry point; `?` if its metadata cannot be read."""
    try:
        metadata = point.dist.read_text("METADATA") or point.dist.read_text("PKG-INFO") or "" if point.dist else ""
    except ValueError:  # the file is not text
        metadata = ""
    # Not `point.dist.metadata`: it parses the long description, too, which takes five times as long.
    name, version = (re.search(rf"^{header}: *(.*\S)", metadata, re.MULTILINE) for header in ("Name", "Version"))
    return name[1] if name else "?", version[1] if version else "?"
