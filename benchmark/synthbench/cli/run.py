"""`synthbench run` and `synthbench plan`."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthbench.experiment import Experiment

FAILED = 1


def add(commands: Any) -> None:
    """Adds both commands."""
    run = commands.add_parser("run", help="run a suite and write its report")
    plan = commands.add_parser("plan", help="say what a suite would do, and what of it is in the store already")
    for command in (run, plan):
        command.add_argument("suite", help="a TOML file")
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a value, as in data.path=photos")
        command.add_argument("--store", default=".synthbench", help="where artifacts are kept (default: %(default)s)")
    run.add_argument("--out", default="reports", help="where the report goes (default: %(default)s)")
    run.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: an accelerator where there is one)")
    run.add_argument("--workers", type=count, help="stages at a time (default: 1 with a GPU, else 2)")
    run.add_argument("--in-process", action="store_true", help="run stages in this process, for debugging")
    run.add_argument("--make-environments", action="store_true", help="make the environments that plugins need, without asking")
    run.add_argument("--download", action="store_true", help="allow plugins to fetch weights from a hub")
    run.add_argument("--allow-pickle", action="store_true", help="open weights that are pickles, which run code: for those you trust")
    run.set_defaults(command=run_command)
    plan.set_defaults(command=plan_command)


def count(text: str) -> int:
    """A whole number from 1 on. Raises ValueError, which argparse reports."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def experiment_of(arguments: argparse.Namespace) -> Experiment:
    """The experiment that was asked for. Warns of plugins whose results may be out of date."""
    from synthbench.experiment import Experiment

    experiment = Experiment(arguments.suite, changes=arguments.set, store=arguments.store)
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
    from rich.console import Console

    from synthbench.cli.environments import agree
    from synthbench.cli.progress import display_for, summary
    from synthbench.report.answer import first_sentence

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # how a scheduler says Ctrl-C
    with display_for(experiment.plan, experiment.cached, Console(soft_wrap=True)) as display:
        results = experiment.run(
            out=arguments.out,
            device=arguments.device,
            workers=arguments.workers,
            in_process=arguments.in_process,
            make_environments=arguments.make_environments or agree,
            download=arguments.download,
            allow_pickle=arguments.allow_pickle,
            listener=display,
            command=typed(sys.argv[1:]),
        )
    print(summary(first_sentence(results), report, len(results.failures), len(results.stages)))
    return FAILED if results.failures else 0


def typed(arguments: list[str]) -> str:
    """The command as it was typed, with paths outside the current folder cut to their names: it ends in a published report."""
    from synthbench.results.collect import without_folders

    def tidy(argument: str) -> str:
        key, equals, value = argument.rpartition("=")
        return f"{key}{equals}{Path(value).name if value.startswith('../') else without_folders(value)}"

    return shlex.join(["synthbench", *map(tidy, arguments)])


def plan_command(arguments: argparse.Namespace) -> int:
    """`synthbench plan`."""
    experiment = experiment_of(arguments)
    plan, cached = experiment.plan, experiment.cached
    for stage in plan.stages:
        print(f"{'cached' if stage.key in cached else 'run   '}  {stage.key[:10]}  {stage.label}")
    for environment in {each.name: each for each in experiment.environments.values()}.values():
        print(f"in an environment of its own, {environment.described()}")
    print(f"{len(plan.cells)} cells, {len(plan.stages)} stages: {len(cached)} cached, {len(plan.stages) - len(cached)} to run")
    return 0
