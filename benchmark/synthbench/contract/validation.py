"""Whether a class keeps the contract, as far as that can be seen without making one or calling anything; where it is."""

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
NAME = r"[\w.+-]+"  # what a suite can name
HARNESS = Path(__file__).parents[1]
LOADING = ("<frozen importlib", *(f"{folder}/" for folder in (Path(importlib.__file__).parent, Path(pluggy.__file__).parent, HARNESS)))
"""Where files begin that load plugins, so that an error's place is not in them."""


def problems_of(plugin: object, contract: type, marks: Sequence[str] = ()) -> list[str]:
    """All that keeps `plugin` from being used as what `contract`, a protocol of `synthbench.contract.hookspecs`, asks for.

    marks: what `option(…, stage=…)` may say there.
    """
    if not isinstance(plugin, type):
        return [f"{plugin!r} is not a class"]
    parameters = getattr(plugin, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        return ["its class is not a frozen dataclass"]
    try:
        options = option_types(plugin)
    except Exception as error:  # such as a type that is imported for type checkers only
        return [f"the types of its options cannot be read: {error}"]
    wanted = {name: member for name, member in vars(contract).items() if not name.startswith("_")}
    own = {name: member_of(plugin, name) for name in (*FACTS, *wanted)}
    # Who inherits from the protocol has its methods, which do nothing.
    lacking = [name for name, member in own.items() if name not in options and (member is None or member is wanted.get(name))]
    if contract is hookspecs.Generator and hasattr(plugin, "locate"):
        wanted["locate"] = hookspecs.Locator.locate
        own["locate"] = member_of(plugin, "locate")
    methods = {name: member for name, member in wanted.items() if isinstance(member, FunctionType) and name not in lacking}
    return [
        *([f"lacks {', '.join(lacking)}"] if lacking else []),
        *_wrong_facts(plugin, [name for name in FACTS if name not in lacking], options),
        *(wrong for name, member in methods.items() if (wrong := _wrong_method(own[name], member))),
        *_wrong_extras(plugin, options),
        *_wrong_marks(plugin, marks),
    ]


def _wrong_marks(plugin: type, marks: Sequence[str]) -> Iterator[str]:
    """Options that say they count for a stage that this kind of plugin does not have."""
    known = f"can be {' or '.join(map(repr, marks))}" if marks else "has no meaning for this kind of plugin"
    for name, mark in option_marks_of(plugin).items():
        if mark not in marks:
            yield f"{name}: option(…, stage={mark!r}), but stage {known}"


def member_of(plugin: type, name: str) -> object:
    """What a class or one of its bases defines under a name, as it stands there; None where none does."""
    return next((vars(base)[name] for base in plugin.__mro__ if name in vars(base)), None)


def _wrong_facts(plugin: type, given: list[str], options: Mapping[str, object]) -> Iterator[str]:
    """What a plugin says of itself that cannot be; `given`: what of `FACTS` it says."""
    sound: Mapping[str, tuple[Callable[[Any], object], str]] = {
        "name": (lambda value: isinstance(value, str) and re.fullmatch(NAME, value), "letters, digits and '_.+-'"),
        "version": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
        "license": (lambda value: isinstance(value, str) and value.strip(), "an SPDX expression"),
    }
    for name in given:
        if name in options:
            yield f"{name} is an option; annotate it as ClassVar, or not at all"
        elif not sound[name][0](value := getattr(plugin, name)):
            yield f"{name} should be {sound[name][1]}, not {value!r}"
    if isinstance(getattr(plugin, "boxes_from", ""), FunctionType):
        yield "boxes_from should be a property, not a method"


def _wrong_method(given: object, wanted: FunctionType) -> str:
    """Why the core cannot call a method as the contract's, by position; nothing where it can, or where nobody can tell."""
    name, should = wanted.__name__, list(parameters_of(wanted))
    expected = f"{name}({', '.join(should)})"
    function = given.__func__ if isinstance(given, (staticmethod, classmethod)) else given
    if not isinstance(function, FunctionType):
        return "" if callable(function) or hasattr(function, "__get__") else f"{name} should be a method, {expected}, not {given!r}"
    if not _takes(function, should[1:] if isinstance(given, staticmethod) else should):
        bare = [each.replace(annotation=each.empty) for each in _signature(function).parameters.values()]
        return f"{name}{inspect.Signature(bare)} should be {expected}"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return f"{name} is async, and nobody would await it"
    if inspect.isgeneratorfunction(function) and "Iterator" not in wanted.__annotations__["return"]:
        return f"{name} yields, and nobody would go through what it yields"
    return ""


def _takes(function: FunctionType, passed: list[str]) -> bool:
    """Whether a function can be called with these, by position, and takes none of them for another."""
    code = function.__code__
    if [*code.co_varnames[: code.co_argcount]] == passed and not code.co_kwonlyargcount:
        return True  # as nearly always; the long way takes a hundred times as long
    signature = _signature(function)
    try:
        signature.bind(*passed)
    except TypeError:
        return False
    return all(own == asked or own not in passed for own, asked in zip(signature.parameters, passed, strict=False))


def _signature(function: FunctionType) -> inspect.Signature:
    """Of the function itself: what a decorator's function takes is what is called."""
    return inspect.signature(function, follow_wrapped=False)


@cache
def parameters_of(function: FunctionType) -> tuple[str, ...]:
    """The names of what a method takes, `self` first."""
    return tuple(inspect.signature(function).parameters)


def _wrong_extras(plugin: type, options: Mapping[str, object]) -> Iterator[str]:
    """See `synthbench.contract.hookspecs.Extras`."""
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
    if not isinstance(seeded := getattr(plugin, "seeded", True), bool):
        yield f"seeded should be True or False, not {seeded!r}"
    environment = member_of(plugin, "environment")
    described = hasattr(environment, "__get__") and not isinstance(environment, FunctionType)  # a property or its like
    if not described and not isinstance(environment, (Environment, type(None))):
        yield "environment should be an Environment, None, or a property that gives one of them"


def place_of(given: object) -> str:
    """`FILE:LINE` of a class, a function or an object's class; nothing where it has no source."""
    code: Any = given if isinstance(given, (type, FunctionType)) else type(given)
    try:
        return f"{inspect.getsourcefile(code)}:{inspect.findsource(code)[1] + 1}"
    except (OSError, TypeError):
        return ""


def place_of_error(error: BaseException) -> str:
    """`FILE:LINE` of what raised while a plugin was loaded; nothing where that was not the plugin."""
    if isinstance(error, SyntaxError) and str(error.filename).endswith(".py"):
        return f"{error.filename}:{error.lineno}"
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        place = place if file.startswith(LOADING) else f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
