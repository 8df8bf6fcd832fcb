"""What a check is, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from synthbench.contract.stages import PluginKind

if TYPE_CHECKING:
    from synthbench.testing.bench import Bench

Status = Literal["passed", "failed", "skipped"]


class Failure(Exception):
    """A promise that was not kept: the reason, the place (`file:line`), and the last lines of a trace where there is one."""

    def __init__(self, reason: str, place: str = "", trace: str = "") -> None:
        super().__init__(reason)
        self.reason, self.place, self.trace = reason, place, trace

    def __str__(self) -> str:
        """All of it, as pytest shows it."""
        return "\n".join(filter(None, (self.reason, self.place and f"at {self.place}", self.trace)))


class Skip(Exception):
    """A check that cannot be done here, and why. needs: the check that failed before, where that is the reason."""

    def __init__(self, reason: str, needs: str = "") -> None:
        super().__init__(reason)
        self.needs = needs

    @classmethod
    def after(cls, check: str) -> Skip:
        """The end of a check that needs what another, which failed, was to show."""
        return cls(f"it needs '{check}', which failed", check)


@dataclass(frozen=True)
class Check:
    """One promise of the contract. `function` raises Failure or Skip."""

    name: str
    promise: str
    kinds: tuple[PluginKind, ...]
    function: Callable[[Bench], None]


@dataclass(frozen=True)
class Result:
    """How a check ended."""

    check: str
    promise: str
    status: Status
    reason: str = ""
    place: str = ""
    trace: str = ""
    needs: str = ""
    """The check that failed before, where this one was skipped for that."""
    seconds: float = 0.0

    @property
    def about(self) -> dict[str, str | float]:
        """As plain values."""
        return asdict(self)
