"""What a person sees while a suite runs: bars in a terminal, plain lines elsewhere, and the answer at the end."""

from __future__ import annotations

import math
import shutil
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from synthbench.cli.progress_words import about, cells_of, counted, facts_of, fill, plain, shorten
from synthbench.cli.run_status import OutcomeLike, PlanLike, Running, RunStatus, StageLike
from synthbench.execution.listener import Listener
from synthbench.reporting.words import after

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from synthbench.results.model import Failure

SHOWN_AFTER = 0.5  # seconds; a bar for less is flicker
LINE_EVERY = 10.0  # seconds between two lines on a running stage where there is no terminal
TIME_LEFT_EVERY = 30.0  # seconds between two lines with the time left where there is no terminal
GAP = 2  # columns between two cells of a row
NAME_WIDTH = 30  # columns that a stage's label keeps while other cells can be left out
LAYOUTS = (
    (24, ("left", "speed", "figures")),
    (12, ("left", "speed", "figures")),
    (12, ("left", "figures")),
    (12, ("left",)),
    (0, ("left",)),
    (0, ()),
)
"""The width of the bar and the cells behind it, from wide terminals to narrow ones."""


class Display(Listener):
    """Prints a line for each finished stage; subclasses show the stages that run.

    Events come from several threads while another one draws, so `lock` guards `status`. Nothing prints while it has the lock:
    rich has a lock of its own, and the thread that draws takes them in the other order.
    """

    def __init__(self, plan: PlanLike, cached: set[str], console: Console) -> None:
        self.console = console
        self.lock = threading.Lock()
        self.status = RunStatus(plan, cached)
        total, stored = len(self.status.stages), len(self.status.stored)
        self.print(Text(f"{stored} of {total} stages are in the store already" if stored else f"{total} stages to run"))

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def print(self, line: Text) -> None:
        """Prints a line as it is: it has been fitted to the terminal, and a log has no width."""
        self.console.print(line, soft_wrap=True)

    def started(self, stage: StageLike) -> None:
        """Notes that a stage starts."""
        with self.lock:
            self.status.start(stage, monotonic())

    def heard(self, stage: StageLike, event: Mapping[str, Any]) -> None:
        """Notes how far a stage is."""
        with self.lock:
            if event.get("event") == "progress" and stage.key in self.status.running:
                self.status.running[stage.key].hear(event, monotonic())

    def finished(self, stage: StageLike, outcome: OutcomeLike) -> None:
        """Prints a line for the stage, and more for its error and its notes."""
        with self.lock:
            skipped = self.status.finish(stage, monotonic(), failed=bool(outcome.error))
            count, facts = self.count(), [*facts_of(stage, outcome), *self.about_run(stage)]
        if outcome.error:
            self.print(Text.assemble((f"{count} failed: ", "red"), self.fit(stage.label, cell_len(count) + 9)))
            self.print_below(outcome.error, "red")
            if skipped:
                self.print_below(
                    "1 stage that needs it is skipped" if skipped == 1 else f"{skipped} stages that need it are skipped", "red"
                )
        else:
            self.print(self.finished_line(count, stage.label, facts))
        for note in outcome.record.notes:
            self.print_below(note, "yellow")

    def postponed(self, stage: StageLike) -> None:
        """Shows a stage no more that does not run now."""
        with self.lock:
            self.status.running.pop(stage.key, None)

    def damaged(self, stage: StageLike, message: str) -> None:
        """Says that a stored result is made again."""
        with self.lock:
            self.status.forget(stage)
        self.print(Text.assemble((self.fit(stage.label, 0), "yellow")))
        self.print_below(message, "yellow")

    def waits(self, stage: StageLike, message: str) -> None:
        """Says what people are asked."""
        with self.lock:
            waiting = self.status.wait(stage)
            count = self.count()
        self.print(Text.assemble((f"{count} waits: ", "yellow"), self.fit(stage.label, cell_len(count) + 8)))
        self.print_below(message, "yellow")
        if waiting:
            self.print_below(f"{counted(waiting, 'stage')} that need{'s' * (waiting == 1)} it wait{'s' * (waiting == 1)}", "yellow")

    def count(self) -> str:
        """How many stages are settled: `[ 3/73]`."""
        total = len(self.status.stages)
        return f"[{len(self.status.settled):>{len(str(total))}}/{total}]"

    def about_run(self, stage: StageLike) -> list[str]:  # noqa: ARG002 - subclasses need it
        """What the line of a finished stage says about the whole run."""
        return []

    def finished_line(self, count: str, label: str, facts: list[str]) -> Text:
        """A line, as long as it is."""
        return Text.assemble((count, "green"), f" {label}", *((f"  {fact}", "cyan") for fact in facts))

    def fit(self, text: str, used: int) -> str:  # noqa: ARG002 - subclasses need it
        """The text, shortened to what is free in a line beside `used` columns."""
        return text

    def print_below(self, message: str, style: str) -> None:
        """Prints a message below the line of its stage."""
        for line in message.splitlines():
            self.print(Text(f"    {line}", style))


class Bars(Display):
    """A row for each stage that runs, and one for the whole run. Nothing is wider than the terminal, except words that are."""

    def __init__(self, plan: PlanLike, cached: set[str], console: Console) -> None:
        super().__init__(plan, cached, console)
        self.live = Live(self, console=console, transient=True, refresh_per_second=5)
        self.closed = False

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True
        self.live.stop()

    def started(self, stage: StageLike) -> None:
        """Shows the rows from the first stage on: what is asked before, as whether to make an environment, needs a still terminal."""
        super().started(stage)
        if not self.closed:  # after Ctrl-C a thread may still be about to start a stage
            self.live.start(refresh=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self.lock:
            yield self.draw(options.max_width)

    def draw(self, width: int) -> RenderableType:
        """The rows as they are now, at most `width` columns wide."""
        now = monotonic()
        shown = [each for each in self.status.running.values() if now - each.since >= SHOWN_AFTER]
        return Group(*([running_rows(shown, now, width)] if shown else []), self.whole(now, width))

    def whole(self, now: float, width: int) -> RenderableType:
        """The row of the whole run."""
        status = self.status
        settled, total = len(status.settled), len(status.stages)
        parts = [f"stages {settled}/{total}", f"cells {status.cells_done}/{len(status.cells)}"]
        parts += [f"{len(status.failed)} failed"] if status.failed else []
        parts += [f"{len(status.waiting)} waiting"] if status.waiting else []
        parts += [about(left)] if (left := status.time_left(now)) is not None else []
        text = "  ".join(parts)
        bar = next((bar for bar in (24, 12) if bar + GAP + cell_len(text) <= width), 0)
        if not bar:
            return Text(text, "bold", no_wrap=True, overflow="ellipsis")
        return grid([bar, cell_len(text)], [[ProgressBar(total, settled, width=bar), Text(text, "bold")]])

    def finished_line(self, count: str, label: str, facts: list[str]) -> Text:
        """A line that fits: the last facts are left out first, then the label is shortened."""
        free = self.console.width - cell_len(count) - 1
        facts = list(facts)
        while len(facts) > 1 and min(cell_len(label), NAME_WIDTH) + sum(GAP + cell_len(fact) for fact in facts) > free:
            facts.pop()
        return super().finished_line(count, shorten(label, free - sum(GAP + cell_len(fact) for fact in facts)), facts)

    def fit(self, text: str, used: int) -> str:
        """The text, shortened to what is free in a line beside `used` columns."""
        return shorten(text, self.console.width - used)

    def print_below(self, message: str, style: str) -> None:
        """Prints a message, with line breaks between words. A path or an address is not broken, so that it can be copied."""
        for line in message.splitlines():
            super().print_below(fill(line, self.console.width - 4), style)


class Lines(Display):
    """Plain lines for logs: for a finished stage, and for one that takes long now and then."""

    def __init__(self, plan: PlanLike, cached: set[str], console: Console) -> None:
        super().__init__(plan, cached, console)
        self.last_lines: dict[str, float] = {}
        self.last_time_left = -math.inf
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._keep_printing, daemon=True)

    def __enter__(self) -> Lines:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()

    def _keep_printing(self) -> None:
        """By a clock, not by events: while a stage imports libraries there are none."""
        while not self.stopped.wait(min(LINE_EVERY / 10, 1.0)):
            self.print_running()

    def print_running(self) -> None:
        """Prints how far the running stages are, at most every few seconds each."""
        now = monotonic()
        lines = []
        with self.lock:
            for key, each in self.status.running.items():
                if now - self.last_lines.get(key, each.since) >= LINE_EVERY:
                    self.last_lines[key] = now
                    cells = cells_of(each, now)
                    parts = [cells["status"], *(cells[name] for name in ("left", "speed", "figures") if cells[name])]
                    parts += [f"whole run: {left}" for left in self.time_left(now)]
                    lines.append(f"{'':{len(self.count())}} {each.stage.label}: {', '.join(parts)}")
        for line in lines:
            self.print(Text(line))

    def about_run(self, stage: StageLike) -> list[str]:
        """The cells, if one is done, and now and then the time left."""
        cells = f"cells {self.status.cells_done}/{len(self.status.cells)}"
        return [*([cells] if stage.key in self.status.cells else []), *self.time_left(monotonic())]

    def time_left(self, now: float) -> list[str]:
        """The time left of the whole run if it is known and was not printed just before."""
        if now - self.last_time_left < TIME_LEFT_EVERY or (left := self.status.time_left(now)) is None:
            return []
        self.last_time_left = now
        return [about(left)]


def running_rows(running: list[Running], now: float, width: int) -> Table:
    """A row for each stage, in the widest layout that leaves enough for the labels."""
    rows = [cells_of(each, now) for each in running]
    longest = max(cell_len(each.stage.label) for each in running)
    for bar, others in LAYOUTS:
        names = [name for name in ("status", *others) if any(row[name] for row in rows)]
        widths = [bar] * (bar > 0) + [max(cell_len(row[name]) for row in rows) for name in names]
        free = width - sum(GAP + each for each in widths)
        if free >= min(longest, NAME_WIDTH):
            break
    name_width = max(min(longest, free), 8)
    table_rows = []
    for each, row in zip(running, rows, strict=True):
        cells: list[RenderableType] = [Text(shorten(each.stage.label, name_width))]
        cells += [ProgressBar(each.total if each.part else None, each.done, width=bar)] if bar else []
        table_rows.append([*cells, *(Text(row[name], "dim" if name == "status" and not each.part else "cyan") for name in names)])
    return grid([name_width, *widths], table_rows)


def grid(widths: list[int], rows: list[list[RenderableType]]) -> Table:
    """Cells in columns of these widths; a narrower terminal crops them."""
    table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    for width in widths:
        table.add_column(width=width, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*row)
    return table


def summary(
    sentence: str, report: Path, failures: Sequence[Failure], total: int, waiting: Sequence[str] = (), width: int | None = None
) -> str:
    """What a run prints at its end: the answer, what failed of `total` stages, what waits for people, and where the report is.

    sentence: the report's first one; Markdown's marks are removed. width: columns; None takes the terminal's, and breaks no line
    if there is none.
    """
    if width is None and sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
    lines = [plain(sentence)] if sentence else []
    if failures:
        lines.append(f"{len(failures)} of {counted(total, 'stage')} failed, and the report says why. {after(failures)}")
    if waiting:
        lines += [f"waiting: {each}" for each in waiting]
        lines.append("Then `synthbench label import ANSWERS`, and run the suite again.")
    lines = [fill(line, width) for line in lines] if width else lines
    return "\n".join([*lines, f"report: {report}"])


def display_for(plan: PlanLike, cached: set[str], console: Console) -> Display:
    """Bars in a terminal that can redraw them, lines elsewhere."""
    return Bars(plan, cached, console) if console.is_terminal and not console.is_dumb_terminal else Lines(plan, cached, console)
