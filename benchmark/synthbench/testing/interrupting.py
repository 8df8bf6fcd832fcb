"""Checks of stages that end before their time, and of the processes that come after them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping

from synthbench.testing.bench import Bench, Done
from synthbench.testing.checks import Failure, Skip
from synthbench.testing.subjects import subject_of

SECOND: Mapping[str, str] = {"fit": "sample", "train": "predict"}
PATIENCE = 15.0  # seconds from Ctrl-C to the end of the process


def last_label(bench: Bench) -> str:
    """The last label under which the longest stage told its progress, empty where it told none."""
    subject = subject_of(bench)
    subject.ask(bench)
    first = next(done for done in bench.done if done.stage == subject.stage and not done.outcome.error)
    return first.labels[-1] if first.labels else ""


def struck(bench: Bench, how: str) -> tuple[Done, float | None]:
    """The longest stage, struck in that way, and when (None: it had ended before)."""
    subject = subject_of(bench)
    running_before(bench, how)
    return bench.once(("struck", how), lambda: bench.strike(how, subject.stage, subject.views(bench, subject.usual), last_label(bench)))


def fresh_process(bench: Bench) -> None:
    """Asks the process that has learnt, and one that never has.

    It is the one that comes after a crash, which the next check needs as well: importing a library such as torch twice takes
    longer than many a training.
    """
    subject = subject_of(bench)
    warm, learnt = subject.ask(bench), subject.learn(bench)
    struck(bench, "kill")
    bench.renew()
    fresh = subject.use(bench, learnt.folder, subject.usual, 0)
    subject.same(bench, warm, fresh, "a fresh process gives something else with what was learnt", bench.method(SECOND[subject.stage]))


def crash_is_an_error(bench: Bench) -> None:
    """Kills the longest stage, and has it done again; a fit goes on in the folder it was killed in."""
    subject = subject_of(bench)
    whole = subject.ask(bench)
    done, when = struck(bench, "kill")
    if when is None:
        raise Skip(f"{subject.stage} was done before it could be killed")
    if not done.outcome.error:
        raise Failure(f"{subject.stage} was killed, and passes for done", bench.method(subject.stage))
    nothing_left(bench, "kill", "a crash", subject.stage)
    again = subject.ask(bench, turn=2, key=done.key if subject.stage == "fit" else "")
    subject.same(bench, whole, again, "after a crash it gives something else than before", bench.method(subject.stage))


def out_of_memory_is_an_error(bench: Bench) -> None:
    """Gives the longest stage next to no more memory."""
    if sys.platform != "linux":
        raise Skip("memory can be withheld on Linux only")
    subject = subject_of(bench)
    done, when = struck(bench, "starve")
    if when is None:
        raise Skip(f"{subject.stage} was done before memory could be withheld")
    if done.hung:
        raise Failure(f"{subject.stage} hangs where there is no memory left", bench.method(subject.stage))
    nothing_left(bench, "starve", "want of memory", subject.stage)


def stops_on_interrupt(bench: Bench) -> None:
    """Interrupts the longest stage as Ctrl-C does, and waits for the process to end."""
    subject = subject_of(bench)
    done, when = struck(bench, "interrupt")
    if when is None:
        raise Skip(f"{subject.stage} was done before it could be interrupted")
    process = bench.worker.process
    assert process is not None, "it has done a job"
    if done.hung or time.time() - when > PATIENCE:
        raise Failure(f"{subject.stage} did not end within {PATIENCE:g} s of Ctrl-C", bench.method(subject.stage))
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        ended = f"failed as if by itself: {done.outcome.error}" if done.outcome.error else "went on to its end"
        raise Failure(f"{subject.stage} swallowed Ctrl-C and {ended}", bench.failed(done).place, done.outcome.trace) from None
    nothing_left(bench, "interrupt", "Ctrl-C", subject.stage)


def running_before(bench: Bench, how: str) -> set[int]:
    """The processes that stages had left running before one was struck in that way: another check tells of them."""
    return bench.once(("running", how), lambda: set(bench.sandbox.left_running()))


def nothing_left(bench: Bench, how: str, event: str, stage: str) -> None:
    """Raises Failure where a process of the plugin's outlived its worker, which was struck in that way."""

    def left() -> list[str]:
        return [command for number, command in bench.sandbox.left_running().items() if number not in running_before(bench, how)]

    deadline = time.monotonic() + 2
    while left() and time.monotonic() < deadline:
        time.sleep(0.05)
    for command in left():
        raise Failure(f"after {event} it leaves a process running: {command}", bench.method(stage))
