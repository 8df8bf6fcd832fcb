"""The `Run` that a plugin's method gets: what it reports is passed on as events, plain dictionaries."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from synthbench.errors import SynthbenchError
from synthbench.text import cut

Item = TypeVar("Item")
Event = dict[str, object]
LABEL = 100  # characters
CURVE_POINTS = 200  # of a curve; see `Run.log_curve`
PAUSE = 0.2  # seconds between two progress events: more than a reader's eye follows costs time and says nothing


def ignore(event: Event) -> None:
    """Does nothing with an event."""


def plain(value: object) -> str | int | float | bool:
    """A value that a record can contain."""
    value = value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else value
    return value if isinstance(value, (int, float, bool)) else cut(str(value))


def require_finite(name: str, value: float) -> None:
    """Raises SynthbenchError if a figure is not finite."""
    if not math.isfinite(value):
        raise SynthbenchError(f"{name} is {value}: the training diverged; a lower learning rate usually helps")


@dataclass
class StageRun:
    """See `synthbench.Run`. Used by the worker, and by tests that call a plugin themselves."""

    workdir: Path
    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    allow_pickle: bool = False
    emit: Callable[[Event], None] = ignore
    offline: bool = True
    notes: list[str] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    """What `log_metrics` was given."""
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    """What `log_curve` was given: (step, value)."""
    shown: dict[str, float] = field(default_factory=dict)
    """What `show_metrics` was given last."""
    share: Callable[[StageRun, str, Sequence[str], Callable[[Path], None]], Path] | None = None
    """Finds or makes a shared folder; None: nothing is shared, and such a folder is a part of `workdir`."""

    def log(self, message: str) -> None:
        """Writes a line to the stage's log."""
        self.emit({"event": "log", "message": cut(message)})

    def note(self, message: str) -> None:
        """Adds a line for the reader of the report."""
        self.notes.append(message)
        self.log(message)

    def log_metrics(self, **metrics: str | int | float) -> None:
        """Stores figures with the artifact; numpy's and torch's scalars become plain numbers, anything else text."""
        self.metrics.update({name: plain(value) for name, value in metrics.items()})

    def log_curve(self, name: str, step: int, value: float) -> None:
        """Adds a point to a curve. Raises SynthbenchError if the value is not finite, ValueError if the step is not above the last."""
        require_finite(name, value)
        points = self.curves.setdefault(cut(name, LABEL), [])
        if points and step <= points[-1][0]:
            raise ValueError(f"{name}: step {step} comes after step {points[-1][0]}; the steps of a curve rise")
        points.append((int(step), float(value)))
        if len(points) > CURVE_POINTS:
            del points[1:-1:2]

    def show_metrics(self, **metrics: float) -> None:
        """Shows figures beside the progress. Raises SynthbenchError if one is not finite."""
        for name, value in metrics.items():
            require_finite(name, value)
        self.shown.update({name: float(value) for name, value in metrics.items()})

    def shared(self, name: str, options: Sequence[str], make: Callable[[Path], None]) -> Path:
        """A folder that `make` fills once for all stages that agree in these options and the seed."""
        if self.share is not None:
            return self.share(self, name, options, make)
        folder = self.workdir / name
        folder.mkdir(exist_ok=True)
        make(folder)
        return folder

    def track(self, items: Iterable[Item], label: str, total: int | None = None, unit: str = "") -> Iterator[Item]:
        """Passes `items` on and reports how far it is."""
        if total is None and isinstance(items, Sized):
            total = len(items)
        reported = -math.inf
        done = 0

        def report() -> None:
            self.emit(
                {"event": "progress", "label": cut(label, LABEL), "done": done, "total": total, "unit": unit, "figures": dict(self.shown)}
            )

        for item in items:
            if time.monotonic() - reported > PAUSE:
                report()
                reported = time.monotonic()
            yield item
            done += 1
        report()
