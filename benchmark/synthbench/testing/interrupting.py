"""Checks of stages that are killed, interrupted or run out of memory, and of the stages after them."""

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
    """The last progress label of the longest stage, empty if it reported none."""
    subject = subject_of(bench)
    subject.ask(bench)
    first = next(done for done in bench.done if done.stage == subject.stage and not done.outcome.error)
    return first.labels[-1] if first.labels else ""


def run_with_fault(bench: Bench, fault: str) -> tuple[Done, float | None]:
    """Runs the longest stage with a fault. Returns the stage and the time of the fault, None if the stage ended first."""
    subject = subject_of(bench)

    def run() -> tuple[Done, float | None]:
        return bench.run_with_fault(fault, subject.stage, subject.views(bench, subject.usual), last_label(bench))

    return bench.once(("fault", fault), run)


def fresh_process(bench: Bench) -> None:
    """Compares the results of the process that trained the model and of a new process.

    The new process is the one after the crash that the next check needs too, because importing a library such as torch again
    can take longer than training.
    """
    subject = subject_of(bench)
    warm, learnt = subject.ask(bench), subject.learn(bench)
    run_with_fault(bench, "kill")
    bench.restart_worker()
    fresh = subject.use(bench, learnt.folder, subject.usual, 0)
    subject.same(bench, warm, fresh, "a new process gives another result from the same trained model", bench.method(SECOND[subject.stage]))


def crash_is_an_error(bench: Bench) -> None:
    """Kills the longest stage and runs it again; a fit continues in the folder of the killed one."""
    subject = subject_of(bench)
    whole = subject.ask(bench)
    done, when = run_with_fault(bench, "kill")
    if when is None:
        raise Skip(f"{subject.stage} ended before it could be killed")
    if not done.outcome.error:
        raise Failure(f"{subject.stage} was killed, but is reported as done", bench.method(subject.stage))
    again = subject.ask(bench, turn=2, key=done.key if subject.stage == "fit" else "")
    subject.same(bench, whole, again, "after a crash it gives another result than before", bench.method(subject.stage))


def out_of_memory_is_an_error(bench: Bench) -> None:
    """Limits the memory of the longest stage."""
    if sys.platform != "linux":
        raise Skip("memory can be limited on Linux only")
    subject = subject_of(bench)
    done, when = run_with_fault(bench, "memory")
    if when is None:
        raise Skip(f"{subject.stage} ended before its memory could be limited")
    if done.hung:
        raise Failure(f"{subject.stage} hangs if memory runs out", bench.method(subject.stage))


def stops_on_interrupt(bench: Bench) -> None:
    """Sends SIGINT to the longest stage, as Ctrl-C does, and waits for the process to end."""
    subject = subject_of(bench)
    done, when = run_with_fault(bench, "interrupt")
    if when is None:
        raise Skip(f"{subject.stage} ended before it could be interrupted")
    process = bench.worker.process
    assert process is not None, "it has run a job"
    if done.hung or time.time() - when > PATIENCE:
        raise Failure(f"{subject.stage} did not end within {PATIENCE:g} s of Ctrl-C", bench.method(subject.stage))
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        ended = f"failed with another error: {done.outcome.error}" if done.outcome.error else "continued to its end"
        raise Failure(f"{subject.stage} ignored Ctrl-C and {ended}", bench.failed(done).place, done.outcome.trace) from None
