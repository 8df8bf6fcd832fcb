"""The interpreters that stages run with: environments of plugins' own are made where the user agrees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from synthbench.errors import SynthbenchError
from synthbench.execution.environments import Environments, EnvironmentSpec, default_folder

Confirm = Callable[[Sequence[EnvironmentSpec], Path], None]
"""Returns if these environments may be made in this folder. Raises SynthbenchError if not."""
DECLINED = "nothing was installed: give --make-environments (make_environments=True) to make them, or leave these plugins out of the suite"


def confirmation(allowed: bool | Confirm) -> Confirm:
    """A function that raises SynthbenchError if environments may not be made."""

    def decide(specs: Sequence[EnvironmentSpec], folder: Path) -> None:
        if allowed is False:
            description = "\n".join(each.description() for each in specs)
            raise SynthbenchError(f"these environments are needed, and uv would make them below {folder}:\n{description}\n{DECLINED}")

    return allowed if callable(allowed) else decide


def interpreters(specs: Sequence[EnvironmentSpec], confirm: Confirm, report: Callable[[str], None] | None = None) -> dict[str, str]:
    """The interpreters of environments, by name. Makes missing ones, unless `confirm` raises SynthbenchError."""
    if not specs:
        return {}
    environments = Environments(default_folder())
    needed = {each.name: each for each in specs}
    missing = [each for name, each in needed.items() if environments.about(name) is None]
    if missing:
        confirm(missing, environments.root)
        environments.sweep()
        for each in missing:
            environments.make(each, report or (lambda _: None))
    return {name: str(environments.use(name)) for name in needed}
