"""A suite for a folder of photographs."""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

from synthbench.errors import SynthbenchError
from synthbench.registry import Registry
from synthbench.shipped import install_command
from synthbench.starting.choices import Choices, choose, listed
from synthbench.starting.estimate import minutes
from synthbench.starting.folder import Facts, look
from synthbench.starting.machine import Machine
from synthbench.starting.writing import one_line, rendered
from synthbench.text import named, printable


@dataclass(frozen=True)
class Own:
    """The text of a suite, what it was made of, and the estimate in minutes; None where nothing like it was measured."""

    text: str
    facts: Facts
    choices: Choices
    minutes: float | None


def own(folder: Path, file: Path, machine: Machine, registry: Registry) -> Own:
    """A suite for a folder, which `file` will have. Raises SynthbenchError if the folder or what is installed does not allow one."""
    if printable(str(folder)) != str(folder):
        raise SynthbenchError(f"{folder}: a suite cannot name a path that is not UTF-8 or has control characters")
    facts = look(folder)
    choices = choose(facts, machine, registry)
    if not choices.detectors:
        raise SynthbenchError(f"no detector is installed: {install_command('fasterrcnn')}")
    values = {**vars(choices), "facts": facts, "machine": machine, "folder": str(folder), "file": shlex.quote(str(file))}
    values["classes"] = listed([one_line(named(name)) for name in facts.classes])
    estimated = None
    if not choices.large:  # none of the stages was measured on a GPU
        estimated = minutes(tomllib.loads(rendered("folder.toml", **values, duration="")), registry, facts, choices.tiles)
    text = rendered("folder.toml", **values, duration=spoken_duration(estimated))
    return Own(text, facts, choices, estimated)


def spoken_duration(estimated: float | None) -> str:
    """An estimate in words; empty if there is none."""
    if estimated is None:
        return ""
    return f"about {max(5, round(estimated / 5) * 5)} minutes" if estimated < 90 else f"about {estimated / 60:.0f} hours"
