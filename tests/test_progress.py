"""What is shown while a suite runs, in a terminal and in a log."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from synthbench.cli import progress
from synthbench.cli.progress import Bars, Lines, display_for, summary
from synthbench.cli.progress_words import about, clock, counted, duration, facts_of, plain, shorten
from synthbench.cli.run_status import Running, RunStatus
from synthbench.contract.stages import STAGES
from synthbench.results.model import Failure


@dataclass(frozen=True)
class Stage:
    key: str
    label: str
    kind: str
    needs: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class Cell:
    score: Stage


@dataclass(frozen=True)
class Plan:
    stages: tuple[Stage, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Record:
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    error: str = ""
    record: Record = field(default_factory=Record)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


LONG = "dreambooth-sd15-lora-rank16 x teacher, references 1, generator 2, seed"


def chain(name: str, data: Stage) -> tuple[Stage, Stage, Stage]:
    train = Stage(f"t {name}", f"train {name}", "train", (data,))
    predict = Stage(f"p {name}", f"predict {name} -> test", "predict", (train,))
    return train, predict, Stage(f"s {name}", f"score {name}", "score", (predict,))


DATA = Stage("data", "load apples", "data")
YOLO, DETR, LONGEST = chain("yolov8 on real", DATA), chain("detr on [real]", DATA), chain(f"fasterrcnn on {LONG} 3", DATA)
PLAN = Plan((DATA, *YOLO, *DETR, *LONGEST), (Cell(YOLO[2]), Cell(DETR[2]), Cell(LONGEST[2])))
Made = tuple[progress.Display, io.StringIO]


def event(label: str, done: int, total: int | None = 100, unit: str = "images", **figures: float) -> dict[str, object]:
    return {"event": "progress", "label": label, "done": done, "total": total, "unit": unit, "figures": figures}


@pytest.fixture
def clock_(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "monotonic", made)
    return made


def make(terminal: bool, width: int = 80, cached: tuple[str, ...] = ()) -> Made:
    """As the command makes it."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=width, color_system=None, soft_wrap=True)
    return display_for(PLAN, set(cached), console), written


def printed(written: io.StringIO) -> list[str]:
    """What stays in the terminal: without the row of the whole run, and the signs that redraw it."""
    lines = [re.sub(r"\x1b\[[?0-9]*[a-zA-Z]|\r", "", line).rstrip() for line in written.getvalue().splitlines()]
    return [line for line in lines if line and not re.search(r" stages +\d+/", line)]


def drawn(display: progress.Display, width: int) -> list[str]:
    """The rows of the stages that run, and of the whole run."""
    assert isinstance(display, Bars)
    with (console := Console(width=width, color_system=None, file=io.StringIO())).capture() as captured:
        console.print(display.draw(width))
    return captured.get().splitlines()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_finished_stage_has_a_line(terminal: bool, clock_: Clock):
    display, written = make(terminal, cached=("data", YOLO[0].key))
    with display:
        assert isinstance(display, Bars if terminal else Lines)
        display.started(YOLO[1])
        display.heard(YOLO[1], {"event": "log", "message": "a log line"})
        display.finished(YOLO[1], Outcome(record=Record(2.25)))
        display.started(YOLO[2])
        display.finished(YOLO[2], Outcome(record=Record(1.5, ("2 boxes [were] dropped",), {"AP": 0.5, "AP50": 0.75})))
    assert printed(written) == [
        "2 of 10 stages are in the store already",
        "[ 3/10] predict yolov8 on real -> test  2.2 s" + ("" if terminal else "  less than 1 min left"),
        "[ 4/10] score yolov8 on real  AP 0.500  AP50 0.750  1.5 s" + ("" if terminal else "  cells 1/3"),
        "    2 boxes [were] dropped",
    ]


@pytest.mark.parametrize("terminal", [False, True])
def test_a_failure_says_its_error_and_what_is_skipped(terminal: bool, clock_: Clock):
    display, written = make(terminal)
    with display:
        for stage in (DATA, DETR[0], YOLO[0], YOLO[1]):
            display.started(stage)
        display.finished(DETR[0], Outcome("RuntimeError: [/odd]\nsecond line", Record(notes=("a note",))))
        display.finished(YOLO[1], Outcome("OSError: gone"))
    assert printed(written)[1:] == [
        "[ 3/10] failed: train detr on [real]",
        "    RuntimeError: [/odd]",
        "    second line",
        "    2 stages that need it are skipped",
        "    a note",
        "[ 5/10] failed: predict yolov8 on real -> test",
        "    OSError: gone",
        "    1 stage that needs it is skipped",
    ]
    if terminal:
        assert "stages 5/10  cells 0/3  2 failed" in drawn(display, 80)[-1]


def test_a_stage_is_named_from_its_start_with_its_phase(clock_: Clock):
    display, _ = make(True)
    display.status.start(YOLO[0], clock_.now)
    assert len(drawn(display, 80)) == 1, "a bar for a moment is flicker"
    clock_.now += 40
    row, whole = drawn(display, 80)
    assert row.startswith("train yolov8 on real  ")
    assert row.rstrip().endswith(f"{STAGES['train'].phase} 0:40")
    assert whole.rstrip().endswith("stages 0/10  cells 0/3"), "nothing is known of the time left"


def test_names_do_not_stutter(clock_: Clock):
    display, _ = make(True, width=120)
    display.status.start(YOLO[0], clock_.now)
    display.heard(YOLO[0], event("prepare", 0))
    clock_.now += 4
    display.heard(YOLO[0], event("prepare", 20))
    assert "  prepare  20/100 images  0:16 left  5 images/s" in drawn(display, 120)[0]
    display.heard(YOLO[0], event("train", 0, 50, "steps"))
    clock_.now += 2
    display.heard(YOLO[0], event("train", 5, 50, "steps", loss=0.25))
    row = drawn(display, 120)[0]
    assert row.count("train") == 1
    assert "   5/50 steps  0:18 left  2.5 steps/s  loss 0.25" in row
    display.heard(YOLO[0], event("trai", 5, None, "steps"))
    assert "  trai 5 steps" in drawn(display, 120)[0], "only a whole word is a repetition"


@pytest.mark.parametrize("width", [120, 80, 60, 40])
def test_rows_fit_the_terminal(width: int, clock_: Clock):
    display, _ = make(True, width)
    display.status.start(DATA, 0.0)
    display.status.finish(DATA, 5000.0, failed=False)
    for stage in (YOLO[0], DETR[0], LONGEST[0]):
        display.status.start(stage, clock_.now)
    display.heard(YOLO[0], event("prepare", 0, 12345))
    display.heard(LONGEST[0], event("train", 0, 4000, "steps"))
    clock_.now += 10
    display.heard(YOLO[0], event("prepare", 1234, 12345))
    display.heard(LONGEST[0], event("train", 70, 4000, "steps", loss=0.123456, accuracy=0.9))
    rows = drawn(display, width)
    assert len(rows) == 4
    assert all(cell_len(row) <= width for row in rows)
    assert all(row.startswith(name) for row, name in zip(rows, ("train yol", "train det", "train fas"), strict=False) if width >= 60)
    if width >= 60:
        assert "…" in rows[2]
        assert "seed 3 " in rows[2], "the end of a label tells it from others"
        assert "prepare  1234/12345 images" in rows[0]
        assert "loading libraries 0:10" in rows[1]
        assert "  70/4000 steps" in rows[2]
    if width >= 80:
        assert "9:21 left" in rows[2]
    assert ("loss" in rows[2]) == (width == 120)


@pytest.mark.parametrize("width", [80, 60])
def test_lines_fit_the_terminal(width: int, clock_: Clock):
    display, written = make(True, width)
    for stage in (LONGEST[2], LONGEST[0]):
        display.status.start(stage, clock_.now)
    display.finished(LONGEST[2], Outcome(record=Record(754.0, ("a note " * 20,), {"AP": 0.5, "AP50": 0.75})))
    display.finished(LONGEST[0], Outcome("it failed " * 30 + "/a/path" * 20))
    lines = [line.rstrip() for line in written.getvalue().splitlines()]
    wide = [line for line in lines if cell_len(line) > width]
    assert wide == ["    " + "/a/path" * 20], "what may be copied is not broken"
    score = next(line for line in lines if "score" in line)
    assert "…" in score
    assert "seed 3  AP 0.500" in score
    assert ("12 min 34 s" in score) == (width == 80)
    assert next(line for line in lines if "failed: train fasterrcnn" in line).endswith("seed 3")


def test_a_terminal_shows_rows_only_once_a_stage_runs(clock_: Clock):
    display, written = make(True)
    with display:
        before = written.getvalue()
        assert "cells" not in before, "a question may be asked before the first stage"
        display.started(YOLO[0])
        assert "cells 0/3" in written.getvalue()
        threads = [threading.Thread(target=flood, args=(display, name)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
    assert written.getvalue().count("] train") == 100
    ended = written.getvalue()
    display.started(DETR[0])
    assert written.getvalue() == ended, "a thread that outlives the run shows nothing"


def flood(display: progress.Display, name: str) -> None:
    for number in range(50):
        stage = Stage(f"{name}{number}", f"train {name}", "train")
        display.started(stage)
        display.heard(stage, event("train", number))
        display.finished(stage, Outcome())


def test_a_log_names_stages_that_take_long(clock_: Clock):
    display, written = make(False)
    assert isinstance(display, Lines)
    display.started(DATA)
    clock_.now += 2
    display.finished(DATA, Outcome(record=Record(2.0)))
    display.started(YOLO[0])
    clock_.now += 9
    display.print_running()
    assert "train" not in written.getvalue()
    clock_.now += 3
    display.print_running()
    display.heard(YOLO[0], event("train", 0))
    clock_.now += 9
    display.heard(YOLO[0], event("train", 20, loss=0.5))
    display.print_running()
    clock_.now += 1
    display.print_running()
    assert written.getvalue().splitlines()[2:] == [
        "        train yolov8 on real: loading libraries 0:12",
        "        train yolov8 on real: 20/100 images, 0:40 left, 2 images/s, loss 0.5, whole run: about 6 min left",
    ]


def test_a_log_says_the_time_left_now_and_then(clock_: Clock):
    display, written = make(False, cached=("data",))
    for stage in (YOLO[0], YOLO[1], DETR[0], DETR[1]):
        display.started(stage)
        clock_.now += 20
        display.finished(stage, Outcome(record=Record(20.0)))
    assert written.getvalue().splitlines()[1:] == [
        "[ 2/10] train yolov8 on real  20.0 s  about 3 min left",
        "[ 3/10] predict yolov8 on real -> test  20.0 s",
        "[ 4/10] train detr on [real]  20.0 s  about 2 min left",
        "[ 5/10] predict detr on [real] -> test  20.0 s",
    ]


def test_a_log_is_printed_by_a_clock(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.05)
    printed = threading.Event()
    display, _ = make(False)
    monkeypatch.setattr(display, "print", lambda line: printed.set() if "loading libraries" in line.plain else None)
    with display:
        display.started(YOLO[0])
        assert printed.wait(20), "no event came, but the stage runs"
    assert isinstance(display, Lines)
    assert not display.thread.is_alive()


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make(True)[0], Lines)


def ran(status: RunStatus, seconds: Callable[[Stage], float], *stages: Stage, now: float = 0.0) -> float:
    for stage in stages:
        status.start(stage, now)
        now += seconds(stage)
        status.finish(stage, now, failed=False)
    return now


def test_the_time_left_is_estimated_by_kind():
    status = RunStatus(PLAN, set())
    assert status.time_left(0.0) is None
    seconds = {"data": 1.0, "train": 100.0, "predict": 10.0, "score": 2.0}
    now = ran(status, lambda stage: seconds[stage.kind], DATA)
    assert status.time_left(now) is None, "loading data says nothing of training"
    now = ran(status, lambda stage: seconds[stage.kind], *YOLO, now=now)
    assert status.time_left(now) == pytest.approx(2 * 112)
    status.start(DETR[0], now)
    assert status.time_left(now + 60) == pytest.approx(2 * 112 - 60)
    assert status.time_left(now + 130) == pytest.approx(2 * 112 - 100), "a stage that takes longer than the mean is about to end"
    now = ran(status, lambda stage: 0.0, LONGEST[0], LONGEST[1], LONGEST[2], now=now)
    status.finish(DETR[0], now, failed=True)
    assert status.time_left(now) is None
    assert len(status.settled) == len(PLAN.stages)


def test_a_long_fit_does_not_stand_for_every_training():
    fit = Stage("fit", "fit sd", "fit", (DATA,))
    status = RunStatus(Plan((DATA, fit, *YOLO, *DETR, *LONGEST), PLAN.cells), set())
    seconds = {"data": 1.0, "fit": 7200.0, "train": 60.0}
    now = ran(status, lambda stage: seconds[stage.kind], DATA, fit)
    assert status.time_left(now) is None
    now = ran(status, lambda stage: seconds[stage.kind], YOLO[0], now=now)
    assert status.time_left(now) is not None


def test_kinds_that_did_not_finish_are_estimated_from_others():
    status = RunStatus(PLAN, {"data"})
    now = ran(status, lambda stage: 30.0, YOLO[0])
    assert status.time_left(now) == pytest.approx(8 * 30.0)


def test_the_time_left_counts_stages_at_a_time():
    status = RunStatus(PLAN, {"data"})
    for stage in (YOLO[0], DETR[0]):
        status.start(stage, 0.0)
    for stage in (YOLO[0], DETR[0]):
        status.finish(stage, 50.0, failed=False)
    assert status.time_left(50.0) == pytest.approx(7 * 50 / 2)


def test_the_first_stage_of_its_kind_is_estimated_from_its_own_progress():
    running = Running(YOLO[0], 0.0)
    running.hear(event("prepare", 0), 10.0)
    running.hear(event("prepare", 50), 20.0)
    assert running.part_left(20.0) == pytest.approx(10.0)
    assert running.left(20.0) is None, "the training comes after it"
    running.hear(event("train", 0), 30.0)
    assert running.left(30.0) is None
    running.hear(event("train", 25), 40.0)
    assert running.left(40.0) == pytest.approx(30.0)
    status = RunStatus(Plan((YOLO[0], DETR[0]), ()), set())
    status.start(YOLO[0], 0.0)
    status.running[YOLO[0].key] = running
    assert status.time_left(40.0) == pytest.approx(30.0 + 70.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "less than 1 min left"), (235, "about 4 min left"), (3599, "about 1 h left"), (4700, "about 1 h 20 min left")],
)
def test_the_time_left_in_words(seconds: float, words: str):
    assert about(seconds) == words


def test_words():
    assert [clock(0), clock(62.4), clock(3723)] == ["0:00", "1:02", "1:02:03"]
    assert [duration(1.54), duration(125), duration(4800)] == ["1.5 s", "2 min 5 s", "1 h 20 min"]
    assert counted(1, "box", "boxes") == "1 box"


def test_labels_are_shortened_in_the_middle():
    assert shorten("train detr on real", 18) == "train detr on real"
    assert shorten("train detr on references, seed 3", 17) == "train de…, seed 3"
    assert all(cell_len(shorten("訓練 " * 10, width)) <= width for width in range(1, 40))


def test_figures_of_finished_stages():
    assert facts_of(YOLO[2], Outcome()) == ["0.0 s"], "without a true box there is no AP"
    sample = Stage("a", "sample sd", "sample")
    assert facts_of(sample, Outcome(record=Record(10.0, facts={"images": 40, "reused_images": 10}))) == ["3 images/s", "10.0 s"]
    assert facts_of(sample, Outcome(record=Record(1.0, facts={"images": 40, "reused_images": 40}))) == ["1.0 s"]
    assert facts_of(Stage("b", "annotate sd", "annotate"), Outcome(record=Record(1.0, facts={"boxes": 7}))) == ["7 boxes", "1.0 s"]


def test_the_end_is_the_answer():
    sentence = "> Trained on `sd x teacher`, [yolov8](plugins/yolov8) reaches **AP 0.412** on *all* 3 * 4 images."
    answer = "Trained on sd x teacher, yolov8 reaches AP 0.412 on all 3 * 4 images."
    assert summary(sentence, Path("reports/apples.md"), [], 73) == f"{answer}\nreport: reports/apples.md"
    broken = Failure(key="k", label="train detr", error="the worker ended with status 7", trace="", cells=[])
    lines = summary(sentence, Path("reports/apples.md"), [broken, broken], 73, width=60).splitlines()
    assert max(map(len, lines)) <= 60
    told = "2 of 73 stages failed, and the report says why. The next run of the same command tries again."
    assert " ".join(lines) == f"{answer} {told} report: reports/apples.md"
    assert summary("", Path("r.md"), [], 1) == "report: r.md"
    assert plain("## A *b* and **c_d_e**") == "A b and c_d_e"
