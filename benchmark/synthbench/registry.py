"""Finding plugins: entry points of the group `synthbench`, loaded one by one.

pluggy's own loader ends the program at the first plugin that does not import and skips a second distribution of the
same name in silence; here a broken plugin is listed with its error and hurts only the suite that names it.
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

from synthbench.contract import hookspecs
from synthbench.contract.stages import PLUGIN_KINDS, PluginKind, option_marks
from synthbench.contract.validation import place_of, place_of_error, problems_of
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
    """A plugin's class and where it comes from."""

    kind: PluginKind
    name: str
    cls: type[Any]
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
    place: str = ""
    """`FILE:LINE` of the class or of what raised, where that is known."""

    def told(self) -> str:
        """The error and its place."""
        return f"{self.error} ({self.place})" if self.place else self.error


@dataclass
class Registry:
    """Everything that is installed, the broken things among it."""

    found: dict[tuple[PluginKind, str], PluginInfo] = field(default_factory=dict)
    checkpoints: dict[str, Path] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)

    def names(self, kind: PluginKind) -> list[str]:
        """The names of one kind, sorted."""
        return sorted(name for its_kind, name in self.found if its_kind == kind)

    def get(self, kind: PluginKind, name: str) -> PluginInfo:
        """The plugin. Raises SynthbenchError with the nearest name, and the broken plugins where there are any."""
        try:
            return self.found[kind, name]
        except KeyError:
            hint = suggest(name, self.names(kind))
            raise SynthbenchError("; ".join([f"no {kind} named '{name}' is installed{hint}", *self.suspects(name)])) from None

    def suspects(self, name: str) -> list[str]:
        """What is broken and may have been to give a plugin of that name."""
        return [f"{each.entry_point} is broken: {each.told()}" for each in self.broken if each.name in ("", name)]


@cache
def installed() -> Registry:
    """The registry of this environment, made once a process."""
    # Not `entry_points()`: that reads everybody's, of every group, and ends at the first file that is malformed.
    points: list[EntryPoint] = []
    garbled: list[Broken] = []
    for each in distributions():
        try:
            if f"[{hookspecs.PROJECT}]" in (each.read_text("entry_points.txt") or ""):
                points += [point for point in each.entry_points if point.group == hookspecs.PROJECT]
        except (TypeError, ValueError) as error:  # no pair of name and value, or no text
            folder = Path(str(getattr(each, "_path", "?")))
            told = f"cannot be read, as lines NAME = MODULE can ({error})"
            garbled.append(Broken("entry_points.txt", folder.name, told, place=str(folder / "entry_points.txt")))
    return discover(points, dict.fromkeys(garbled))


def discover(points: Iterable[EntryPoint], garbled: Iterable[Broken] = ()) -> Registry:
    """The registry of these entry points. One that is there twice, as when a folder is on the path twice, counts once."""
    registry = Registry(broken=[*garbled])
    manager = Manager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    loaders: dict[tuple[bool, str, str, str], Loader] = {}
    for point in points:
        loader = Loader(point, registry, manager)
        loaders.setdefault((loader.distribution != hookspecs.PROJECT, point.name, loader.distribution, point.value), loader)
    # What a plugin prints while it is imported must not mix with what a command prints.
    with redirect_stdout(sys.stderr), without_collector():
        for _, loader in sorted(loaders.items()):
            with loader.listing_errors():
                loader.load()
    return registry


@contextmanager
def without_collector() -> Iterator[None]:
    """What classes and modules are made of stays: going through it again and again took much of the time with 200 plugins."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


class Manager(pluggy.PluginManager):
    """pluggy's, quicker with what is no hook; it goes through all that a module holds."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        """What `@hookimpl` left on a function, or None."""
        marked = hasattr(getattr(plugin, name), f"{self.project_name}_impl")
        return super().parse_hookimpl_opts(plugin, name) if marked else None


class Loader:
    """Loads one entry point and takes over what its hooks give."""

    def __init__(self, point: EntryPoint, registry: Registry, manager: Manager) -> None:
        self.point = point
        self.registry = registry
        self.manager = manager
        self.distribution, self.release = release_of(point)

    def load(self) -> None:
        """Imports what the entry point names and asks its hooks, each by itself. Raises whatever the import does."""
        module = self.point.load()
        functions = self.functions(module)
        unmarked = [hook for hook, marked in functions.items() if not marked and hasattr(module, hook)]
        for hook in unmarked:
            self.broken(f"{hook} is not marked with @hookimpl", place=place_of(getattr(module, hook)))
        if not unmarked and not any(functions.values()):
            self.broken(f"gives nothing, since nothing in it is marked with @hookimpl; the hooks are {', '.join(HOOKS)}")
        for hook, kind in HOOKS.items():
            for function in functions[hook]:
                with self.listing_errors(f"{hook}: ", function):
                    self.take(kind, function())

    def functions(self, module: object) -> dict[str, list[Callable[[], object]]]:
        """What a module implements each hook with. Raises pluggy.PluginValidationError for a hook that there is not."""
        try:
            self.manager.register(module)
            self.manager.check_pending()  # else a hook whose name is mistyped is ignored
            return {hook: [each.function for each in getattr(self.manager.hook, hook).get_hookimpls()] for hook in HOOKS}
        finally:  # so that two plugins cannot disturb one another
            if self.manager.is_registered(module):
                self.manager.unregister(module)

    def take(self, kind: PluginKind | None, given: Any) -> None:
        """Takes over what a hook gave. Raises SynthbenchError where that is not what the hook is to give."""
        if kind is None:
            if not isinstance(given, Mapping):
                raise SynthbenchError(f"expected a mapping of names to paths, got {given!r}")
            for name, path in given.items():
                self.take_checkpoint(name, path)
        else:
            if not isinstance(given, Sequence) or isinstance(given, str):
                raise SynthbenchError(f"expected a sequence of classes, as in (This, That), got {given!r}")
            for plugin in given:
                with self.listing_errors(f"{kind}: ", plugin):
                    self.take_plugin(kind, plugin)

    def take_plugin(self, kind: PluginKind, plugin: Any) -> None:
        """Takes over a plugin's class, unless it is broken or its name taken."""
        name = given if isinstance(given := getattr(plugin, "name", None), str) else ""
        found = PluginInfo(kind, name, plugin, self.distribution, self.release)
        problems = problems_of(plugin, CONTRACTS[kind], option_marks(kind))
        if not problems and self.registry.found.setdefault((kind, name), found) is not found:
            other = self.registry.found[kind, name]
            twice = "by the same distribution" if other.distribution == self.distribution else f"by {other.distribution} first"
            problems = [f"registered twice, {twice}" if other.cls is plugin else f"the name is in use by {other.distribution}"]
        if problems:
            called = f"'{name}'" if name else getattr(plugin, "__qualname__", "without a name")
            self.broken(f"{kind} {called}: {'; '.join(problems)}", name, place_of(plugin))

    def take_checkpoint(self, name: str, path: Path) -> None:
        """Takes over a checkpoint that is there, unless its name is taken."""
        if not path.exists():
            self.broken(f"checkpoint '{name}': there is no {path}", name)
        elif name in self.registry.checkpoints or "/" in name:
            self.broken(f"checkpoint '{name}': name in use, or with a slash in it", name)
        else:
            self.registry.checkpoints[name] = path

    def broken(self, error: str, name: str = "", place: str = "") -> None:
        """Lists what cannot be used."""
        self.registry.broken.append(Broken(self.point.name, self.distribution, " ".join(error.split()), name, place))

    @contextmanager
    def listing_errors(self, what: str = "", source: object = None) -> Iterator[None]:
        """Lists whatever is raised, Ctrl-C apart: a plugin must not end the program, be it by sys.exit or by native code's panic.

        what: to say before the error; source: where to look where the error has no place of its own.
        """
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            told = str(error) if isinstance(error, SynthbenchError) else f"{type(error).__name__}: {error}"
            self.broken(what + told, place=place_of_error(error) or place_of(source))


def release_of(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that an entry point comes from."""
    try:
        about = point.dist.read_text("METADATA") or point.dist.read_text("PKG-INFO") or "" if point.dist else ""
    except ValueError:  # no text
        about = ""
    # Not `point.dist.metadata`: it parses the long text below the headers too, which takes five times as long.
    name, version = (re.search(rf"^{header}: *(.*\S)", about, re.MULTILINE) for header in ("Name", "Version"))
    return name[1] if name else "?", version[1] if version else "?"
