"""`synthbench plan`: what would run, how long it would take, and what it would cost."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench.cli.run import experiment_of, warn_of_data
from synthbench.cli.tables import print_table
from synthbench.errors import SynthbenchError
from synthbench.execution.crews import default_workers
from synthbench.experiment import Experiment

if TYPE_CHECKING:
    from synthbench.planning.schedule import Schedule


def command(arguments: argparse.Namespace) -> int:
    """`synthbench plan`."""
    if arguments.price is not None and not 0 <= arguments.price < float("inf"):
        raise SynthbenchError(f"--price {arguments.price}: should be 0 or more")
    experiment = experiment_of(arguments)
    plan, cached = experiment.plan, experiment.cached
    waiting = {stage.key for stage in plan.stages if stage.waits}
    for stage in plan.stages:
        waiting |= {stage.key} if any(each.key in waiting for each in stage.needs) else set()
        state = "cached" if stage.key in cached else "waits " if stage.key in waiting else "run   "
        print(f"{state}  {stage.key[:10]}  {stage.label}")
    for environment in {each.name: each for each in experiment.environments.values()}.values():
        print(f"in an environment of its own, {environment.description()}")
    for remote in experiment.downloads:
        print(f"with --download, {remote.told()}")
    waits = f", {len(waiting)} that wait for labels by people" if waiting else ""
    to_run = len(plan.stages) - len(cached) - len(waiting)
    print(f"{len(plan.cells)} cells, {len(plan.stages)} stages: {len(cached)} cached, {to_run} to run{waits}")
    if to_run:
        print_estimate(experiment, arguments, {*cached, *waiting})
    if problems := warn_of_data(experiment).problems:
        raise SynthbenchError("\n".join(problems))
    return 0


def print_estimate(experiment: Experiment, arguments: argparse.Namespace, settled: set[str]) -> None:
    """How long it takes on so many machines, if that can be said. settled: the keys of the stages that a run would not start."""
    from synthbench.planning.durations import durations_of, read_times
    from synthbench.planning.schedule import simulate

    given = read_times(Path(arguments.times)) if arguments.times else {}
    waiting = [stage for stage in experiment.plan.stages if stage.key not in settled]
    known = durations_of(waiting, experiment.store, given)
    seconds = {stage.key: known.of(stage) for stage in waiting}
    if missing := sorted({stage.kind for stage in waiting if seconds[stage.key] is None}):
        print(f"no estimate of the time: this store has run no stage of the kind {' or '.join(missing)} yet; --times takes a table")
        return
    machines = arguments.machines or [default_workers()]
    filled = {key: each or 0.0 for key, each in seconds.items()}
    print_schedules([simulate(experiment.plan, filled, number, settled) for number in machines], arguments.price)


def print_schedules(found: Sequence[Schedule], price: float | None) -> None:
    """A line for each number of machines."""
    from synthbench.cli.progress_words import duration

    header = ["stages at a time", "about", "of that busy", *(["price"] if price is not None else [])]
    rows = [
        [
            each.machines,
            duration(each.seconds),
            f"{each.busy:.0%}",
            *([] if price is None else [f"{each.seconds / 3600 * each.machines * price:.2f}"]),
        ]
        for each in found
    ]
    print_table([header, *rows])
    print(
        f"estimated from what such stages took; the longest chain of stages takes {duration(found[0].longest)}, on any number of machines"
    )
