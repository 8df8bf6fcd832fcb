"""A check and its possible results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from synthbench.contract.stages import PluginKind

if TYPE_CHECKING:
    from synthbench.testing.bench import Bench

Status = Literal["passed", "failed", "skipped"]


class Failure(Exception):
    """A check failed: the reason, the place (`file:line`), and the last lines of the traceback, if any."""

    def __init__(self, reason: str, place: str = "", trace: str = "") -> None:
        super().__init__(reason)
        self.reason, self.place, self.trace = reason, place, trace

    def __str__(self) -> str:
        """Reason, place and traceback, as pytest shows them."""
        return "\n".join(filter(None, (self.reason, self.place and f"at {self.place}", self.trace)))


class Skip(Exception):
    """A check cannot run, with the reason. needs: the failed check that it depends on, if that is the reason."""

    def __init__(self, reason: str, needs: str = "") -> None:
        super().__init__(reason)
        self.needs = needs

    @classmethod
    def after(cls, check: str) -> Skip:
        """For a check that depends on another check, which failed."""
        return cls(f"it needs '{check}', which failed", check)


@dataclass(frozen=True)
class Check:
    """A check of one promise of the contract. `function` raises Failure or Skip."""

    name: str
    promise: str
    kinds: tuple[PluginKind, ...]
    function: Callable[[Bench], None]


@dataclass(frozen=True)
class Result:
    """The result of a check."""

    check: str
    promise: str
    status: Status
    reason: str = ""
    place: str = ""
    trace: str = ""
    needs: str = ""
    """The failed check that this one depends on, if it was skipped for that."""
    seconds: float = 0.0

    @property
    def about(self) -> dict[str, str | float]:
        """The result as plain values."""
        return asdict(self)
