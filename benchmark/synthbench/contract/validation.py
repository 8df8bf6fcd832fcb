"""Checks that a plugin's class follows the contract, without creating an instance or calling a method; finds source locations."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import pluggy

from synthbench.contract import hookspecs
from synthbench.contract.environment import Environment
from synthbench.contract.options import option_marks_of, option_types
from synthbench.errors import suggest

FACTS = ("name", "version", "license")
NAME = r"[\w.+-]+"  # the names that a suite can use
HARNESS = Path(__file__).parents[1]
LOADING = ("<frozen importlib", *(f"{folder}/" for folder in (Path(importlib.__file__).parent, Path(pluggy.__file__).parent, HARNESS)))
"""How the paths of the code that loads plugins begin. An error's location is never reported in this code."""


def problems_of(plugin: object, contract: type, marks: Sequence[str] = ()) -> list[str]:
    """All reasons why `plugin` does not follow `contract`, a protocol of `synthbench.contract.hookspecs`; empty if it does.

    marks: the stages that `option(…, stage=…)` may name in this kind of plugin.
    """
    if not isinstance(plugin, type):
        return [f"{plugin!r} is not a class"]
    parameters = getattr(plugin, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        return ["its class is not a frozen dataclass"]
    try:
        options = option_types(plugin)
    except Exception as error:  # for example, a type that is imported under TYPE_CHECKING only
        return [f"the types of its options cannot be read: {error}"]
    required = {name: member for name, member in vars(contract).items() if not name.startswith("_")}
    own = {name: member_of(plugin, name) for name in (*FACTS, *required)}
    # A class that inherits from the protocol has the protocol's methods, which do nothing: they count as missing.
    missing = [name for name, member in own.items() if name not in options and (member is None or member is required.get(name))]
    if contract is hookspecs.Generator and hasattr(plugin, "locate"):
        required["locate"] = hookspecs.Locator.locate
        own["locate"] = member_of(plugin, "locate")
    if contract is hookspecs.Generator and hasattr(plugin, "check_boxes"):
        required["check_boxes"] = hookspecs.BoxChecker.check_boxes
        own["check_boxes"] = member_of(plugin, "check_boxes")
    if contract is hookspecs.Detector and hasattr(plugin, "features"):
        required["features"] = hookspecs.FeatureSpace.features
        own["features"] = member_of(plugin, "features")
    if contract is hookspecs.Detector and hasattr(plugin, "export"):
        required["export"] = hookspecs.Exporter.export
        own["export"] = member_of(plugin, "export")
    methods = {name: member for name, member in required.items() if isinstance(member, FunctionType) and name not in missing}
    return [
        *([f"lacks {', '.join(missing)}"] if missing else []),
        *_wrong_facts(plugin, [name for name in FACTS if name not in missing], options),
        *(wrong for name, member in methods.items() if (wrong := _wrong_method(own[name], member))),
        *_wrong_extras(plugin, options),
        *_wrong_marks(plugin, marks),
    ]


def _wrong_marks(plugin: type, marks: Sequence[str]) -> Iterator[str]:
    """Options marked with a stage that this kind of plugin does not have."""
    known = f"can be {' or '.join(map(repr, marks))}" if marks else "has no meaning for this kind of plugin"
    for name, mark in option_marks_of(plugin).items():
        if mark not in marks:
            yield f"{name}: option(…, stage={mark!r}), but stage {known}"


def member_of(plugin: type, name: str) -> object:
    """The attribute that a class or one of its bases defines, without calling descriptors; None if none defines it."""
    return next((vars(base)[name] for base in plugin.__mro__ if name in vars(base)), None)


def _wrong_facts(plugin: type, present: list[str], options: Mapping[str, object]) -> Iterator[str]:
    """Invalid facts about the plugin; present: the `FACTS` that the class defines."""
    rules: Mapping[str, tuple[Callable[[Any], object], str]] = {
        "name": (lambda value: isinstance(value, str) and re.fullmatch(NAME, value), "letters, digits and '_.+-'"),
        "version": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
        "license": (lambda value: isinstance(value, str) and value.strip(), "an SPDX expression"),
    }
    for name in present:
        if name in options:
            yield f"{name} is an option; annotate it as ClassVar, or not at all"
        elif not rules[name][0](value := getattr(plugin, name)):
            yield f"{name} should be {rules[name][1]}, not {value!r}"
    if hasattr(plugin, "features") and not (
        isinstance(space := getattr(plugin, "feature_space", None), str) and space.isprintable() and space
    ):
        yield f"feature_space should be the name of the space of its `features`, not {space!r}"
    for name in ("boxes_from", "needs_features"):
        if isinstance(getattr(plugin, name, ""), FunctionType):
            yield f"{name} should be a property, not a method"


def _wrong_method(method: object, specification: FunctionType) -> str:
    """Why the core cannot call the method with the contract's positional arguments; empty if it can, or if that is unknown."""
    name, parameters = specification.__name__, list(parameters_of(specification))
    expected = f"{name}({', '.join(parameters)})"
    function = method.__func__ if isinstance(method, (staticmethod, classmethod)) else method
    if not isinstance(function, FunctionType):
        return "" if callable(function) or hasattr(function, "__get__") else f"{name} should be a method, {expected}, not {method!r}"
    if not _accepts(function, parameters[1:] if isinstance(method, staticmethod) else parameters):
        bare = [each.replace(annotation=each.empty) for each in _signature(function).parameters.values()]
        return f"{name}{inspect.Signature(bare)} should be {expected}"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return f"{name} is async, but the core does not await it"
    if inspect.isgeneratorfunction(function) and "Iterator" not in specification.__annotations__["return"]:
        return f"{name} is a generator function, but the core does not iterate over its result"
    return ""


def _accepts(function: FunctionType, passed: list[str]) -> bool:
    """Whether a function accepts these positional arguments, and none of its parameters has the name of another one's argument."""
    code = function.__code__
    if [*code.co_varnames[: code.co_argcount]] == passed and not code.co_kwonlyargcount:
        return True  # nearly always; building a signature takes a hundred times as long
    signature = _signature(function)
    try:
        signature.bind(*passed)
    except TypeError:
        return False
    return all(own == argument or own not in passed for own, argument in zip(signature.parameters, passed, strict=False))


def _signature(function: FunctionType) -> inspect.Signature:
    """The signature of the function itself, not of one that it wraps: the decorated function is what gets called."""
    return inspect.signature(function, follow_wrapped=False)


@cache
def parameters_of(function: FunctionType) -> tuple[str, ...]:
    """The names of a method's parameters, `self` first."""
    return tuple(inspect.signature(function).parameters)


def _wrong_extras(plugin: type, options: Mapping[str, object]) -> Iterator[str]:
    """Invalid values of the optional attributes; see `synthbench.contract.hookspecs.Extras`."""
    smoke_options = getattr(plugin, "smoke_options", {})
    if isinstance(smoke_options, Mapping):
        yield from (f"smoke_options: unknown option '{key}'{suggest(str(key), options)}" for key in smoke_options if key not in options)
    else:
        yield f"smoke_options should be a mapping of options to values, not {smoke_options!r}"
    renamed = getattr(plugin, "renamed_options", {})
    if isinstance(renamed, Mapping):
        yield from (f"renamed_options: no option '{new}'{suggest(str(new), options)}" for new in renamed.values() if new not in options)
    else:
        yield f"renamed_options should be a mapping of old names to new ones, not {renamed!r}"
    replaced = getattr(plugin, "replaced_options", {})
    if not isinstance(replaced, Mapping) or not all(isinstance(each, str) for pair in replaced.items() for each in pair):
        yield f"replaced_options should be a mapping of old names to what to do instead, not {replaced!r}"
    for name, default in (("seeded", True), ("rival", False), ("uses_references", True)):
        if not isinstance(value := getattr(plugin, name, default), bool):
            yield f"{name} should be True or False, not {value!r}"
    environment = member_of(plugin, "environment")
    is_property = hasattr(environment, "__get__") and not isinstance(environment, FunctionType)  # or another descriptor
    if not is_property and not isinstance(environment, (Environment, type(None))):
        yield "environment should be an Environment, None, or a property that returns one of them"


def location_of(thing: object) -> str:
    """`FILE:LINE` of a class, a function or an object's class; empty if it has no source."""
    code: Any = thing if isinstance(thing, (type, FunctionType)) else type(thing)
    try:
        return f"{inspect.getsourcefile(code)}:{inspect.findsource(code)[1] + 1}"
    except (OSError, TypeError):
        return ""


def location_of_error(error: BaseException) -> str:
    """`FILE:LINE` of the plugin's code that raised the error while it was loaded; empty if the plugin's code did not."""
    if isinstance(error, SyntaxError) and str(error.filename).endswith(".py"):
        return f"{error.filename}:{error.lineno}"
    location, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        location = location if file.startswith(LOADING) else f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return location
