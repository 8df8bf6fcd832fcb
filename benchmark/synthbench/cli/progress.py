"""What a person sees while a suite runs: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from synthbench.execution.jobs import Outcome
from synthbench.execution.stage_run import Event
from synthbench.planning.planner import Plan, Stage

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_AFTER = 2.0  # seconds; a bar for less is flicker
PLAIN_EVERY = 10.0  # seconds between two lines on a stage where there is no terminal


class Display:
    """Counts cells and prints a line for each finished stage; subclasses show what is under way."""

    def __init__(self, plan: Plan, cached: set[str], console: Console) -> None:
        self.console = console
        self.cells = {cell.score.key for cell in plan.cells}
        self.done = len(self.cells & cached)
        self.begun: dict[str, float] = {}
        cached_stages = len([stage for stage in plan.stages if stage.key in cached])
        if cached_stages:
            console.print(f"{cached_stages} of {len(plan.stages)} stages are in the store already")

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def started(self, stage: Stage) -> None:
        """Notes when a stage began."""
        self.begun[stage.key] = time.monotonic()

    def heard(self, stage: Stage, event: Event) -> None:
        """Nothing, unless a subclass shows it."""

    def finished(self, stage: Stage, outcome: Outcome) -> None:
        """Prints a line for the stage."""
        self.done += stage.key in self.cells and not outcome.error
        cells = f"[dim]cells {self.done}/{len(self.cells)}[/dim]" if stage.key in self.cells else ""
        if outcome.error:
            self.console.print(f"[red]failed[/red] {escape(stage.label)}: {escape(outcome.error)}")
        else:
            told = f"{escape(stage.label)} [cyan]{outcome.seconds:.1f} s[/cyan] {facts_of(stage, outcome)} {cells}"
            self.console.print(f"[green]done[/green]   {told}".rstrip())
        for note in outcome.notes:
            self.console.print(f"       [yellow]{escape(note)}[/yellow]")


class Bars(Display):
    """A bar for each stage under way that takes longer than a moment, and one for the cells."""

    def __init__(self, plan: Plan, cached: set[str], console: Console) -> None:
        super().__init__(plan, cached, console)
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(), FiguresColumn())
        self.progress = Progress(*columns, console=console, transient=True)
        self.whole = self.progress.add_task("[bold]cells", total=len(self.cells), completed=self.done)
        self.tasks: dict[str, tuple[TaskID, object]] = {}

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def heard(self, stage: Stage, event: Event) -> None:
        """Moves the stage's bar."""
        if event.get("event") != "progress" or time.monotonic() - self.begun[stage.key] < SHOWN_AFTER:
            return
        label = event["label"]
        known = self.tasks.get(stage.key)
        if known is None or known[1] != label:  # a stage may have several parts, one after the other
            if known is not None:
                self.progress.remove_task(known[0])
            known = (self.progress.add_task(f"{escape(stage.label)} [dim]{escape(str(label))}[/dim]", total=None), label)
            self.tasks[stage.key] = known
        total: Any = event["total"]
        done: Any = event["done"]
        self.progress.update(known[0], total=total, completed=done, unit=event["unit"], figures=event["figures"])

    def finished(self, stage: Stage, outcome: Outcome) -> None:
        """Takes the stage's bar away and prints its line."""
        if known := self.tasks.pop(stage.key, None):
            self.progress.remove_task(known[0])
        super().finished(stage, outcome)
        self.progress.update(self.whole, completed=self.done)


class FiguresColumn(ProgressColumn):
    """Units a second, and what the stage shows beside them."""

    def render(self, task: Task) -> Text:
        """The column of one bar."""
        parts = [f"{task.speed:.3g} {task.fields['unit']}/s"] if task.speed and task.fields.get("unit") else []
        parts += [f"{name} {value:.4g}" for name, value in task.fields.get("figures", {}).items()]
        return Text("  ".join(parts), style="cyan")


class Lines(Display):
    """A plain line now and then, for logs."""

    def __init__(self, plan: Plan, cached: set[str], console: Console) -> None:
        super().__init__(plan, cached, console)
        self.told: dict[str, float] = {}

    def heard(self, stage: Stage, event: Event) -> None:
        """Prints how far the stage is, at most every few seconds."""
        now = time.monotonic()
        if event.get("event") != "progress" or now - self.told.get(stage.key, self.begun[stage.key]) < PLAIN_EVERY:
            return
        self.told[stage.key] = now
        figures: Any = event["figures"]
        shown = "".join(f", {name} {value:.4g}" for name, value in figures.items())
        self.console.print(escape(f"       {stage.label}: {event['label']} {event['done']}/{event['total'] or '?'} {event['unit']}{shown}"))


def facts_of(stage: Stage, outcome: Outcome) -> str:
    """The most telling figure of a finished stage."""
    records: Mapping[str, Any] = outcome.records
    if stage.kind == "score" and "AP" in records:  # without a true box there is none
        return f"[bold]AP {records['AP']:.3f}  AP50 {records['AP50']:.3f}[/bold]"
    if stage.kind == "sample":
        return f"{records.get('images', 0) / max(outcome.seconds, 1e-9):.2f} images/s"
    if stage.kind == "annotate":
        return f"{records.get('boxes', 0)} boxes"
    return ""


def display_for(plan: Plan, cached: set[str], console: Console) -> Display:
    """Bars in a terminal, lines elsewhere."""
    return Bars(plan, cached, console) if console.is_terminal else Lines(plan, cached, console)
