"""`synthbench run` and `synthbench plan`."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench.execution.asking import asked_where
from synthbench.experiment import Experiment
from synthbench.results.describe import without_folders
from synthbench.text import printable

if TYPE_CHECKING:
    from synthbench.contract.types import DataCheck
    from synthbench.planning.plan import Plan
    from synthbench.results.model import Results

FAILED, WAITING = 1, 3


def experiment_of(arguments: argparse.Namespace) -> Experiment:
    """The experiment that was asked for. Warns of plugins whose results may be out of date."""
    experiment = Experiment(
        arguments.suite,
        changes=arguments.set,
        store=arguments.store,
        trust_store=arguments.trust_store,
        download=getattr(arguments, "download", False),
        labels=arguments.labels,
    )
    if not experiment.store.is_ours:
        print(f"{arguments.store}: trusted as you say: this store was not made by this user on this machine", file=sys.stderr)
    for name in experiment.changed_plugins:
        message = f"{name}: its code has changed since stages in the store were computed; if its results change, raise its `version`"
        print(message, file=sys.stderr)
    return experiment


def run_command(arguments: argparse.Namespace) -> int:
    """`synthbench run`."""
    experiment = experiment_of(arguments)
    report = Path(arguments.out) / f"{experiment.name}.md"
    if experiment.is_reported(arguments.out):
        print(f"nothing to do: all {len(experiment.plan.stages)} stages are in the store, and {report} is the report of them")
        return 0
    if any(stage.kind == "data" and stage.key not in experiment.cached for stage in experiment.plan.stages):
        warn_of_data(experiment)  # of problems, the stage says the same
    if arguments.detach:
        from synthbench.cli.detach import detach

        return detach(experiment, arguments)
    from synthbench.cli.progress import summary
    from synthbench.reporting.answer import first_sentence

    for remote in experiment.downloads if arguments.download else ():
        print(remote.told())
    results = run_with_progress(experiment, arguments)
    waiting = waiting_for(experiment.plan, results)
    print(summary(first_sentence(results), report, results.failures, len(results.stages), waiting))
    return FAILED if results.failures else WAITING if waiting else 0


def waiting_for(plan: Plan, results: Results) -> list[str]:
    """What people are still asked, and where."""
    waits = {each.key for each in results.labelled if each.waiting}
    found = [each for each in plan.labellings if each.label.key in waits]
    return [asked_where(each.folder, (each.images.first or 0) - each.answered) for each in found]


def run_with_progress(experiment: Experiment, arguments: argparse.Namespace) -> Results:
    """Runs an experiment as the arguments of `add_machine` say, and shows how far it is."""
    from synthbench.cli.environments import confirm, say
    from synthbench.cli.output import Output
    from synthbench.cli.progress import display_for

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # how a scheduler says Ctrl-C
    with display_for(experiment.plan, experiment.cached, Output(soft_wrap=True)) as display:
        return experiment.run(
            out=arguments.out,
            device=arguments.device,
            workers=arguments.workers,
            threads=arguments.threads,
            engine=arguments.engine,
            address=arguments.address,
            slurm=arguments.slurm,
            in_process=arguments.in_process,
            make_environments=arguments.make_environments or confirm,
            report_environment=say,
            download=arguments.download,
            allow_pickle=arguments.allow_pickle,
            listener=display,
            minutes=arguments.minutes,
            command=typed(sys.argv[1:]),
        )


def typed(arguments: list[str]) -> str:
    """The command as it was typed, with paths outside the current folder cut to their names: it ends in a published report."""

    def tidy(argument: str) -> str:
        key, equals, value = argument.rpartition("=")
        return f"{key}{equals}{Path(value).name if value.startswith('../') else without_folders(value)}"

    return shlex.join(["synthbench", *map(tidy, arguments)])


def warn_of_data(experiment: Experiment) -> DataCheck:
    """Looks at the data and the prompts, and says on standard error what a person may want to know before anything runs."""
    from synthbench.planning.data_check import check_data

    found = check_data(experiment.plan.suite)
    for warning in found.warnings:
        print(f"warning: {printable(warning)}", file=sys.stderr)
    return found
