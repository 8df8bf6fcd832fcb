"""`synthbench run` and `synthbench plan`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthbench.cli.environments import ready
from synthbench.errors import SynthbenchError

if TYPE_CHECKING:
    from synthbench.execution.engines import Engine
    from synthbench.execution.environments import Wanted
    from synthbench.execution.runner import RunState
    from synthbench.plan.planner import Plan
    from synthbench.storage.local import Store

FAILED = 1


def add(commands: Any) -> None:
    """Adds both commands."""
    run = commands.add_parser("run", help="carry out a suite and write its report")
    plan = commands.add_parser("plan", help="say what a suite would do, and what of it is in the store already")
    for command in (run, plan):
        command.add_argument("suite", type=Path, help="a TOML file")
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a value, as in data.path=photos")
        command.add_argument("--store", type=Path, default=Path(".synthbench"), help="where artifacts are kept (default: %(default)s)")
    run.add_argument("--out", type=Path, default=Path("reports"), help="where the report goes (default: %(default)s)")
    run.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: an accelerator where there is one)")
    run.add_argument("--workers", type=count, default=default_workers(), help="stages at a time (default here: %(default)s)")
    run.add_argument("--in-process", action="store_true", help="carry out stages in this process, for debugging")
    run.add_argument("--make-environments", action="store_true", help="make the environments that plugins need, without asking")
    run.add_argument("--download", action="store_true", help="allow plugins to fetch weights from a hub")
    run.add_argument("--allow-pickle", action="store_true", help="open weights that are pickles, which run code: for those you trust")
    run.set_defaults(carry_out=run_command)
    plan.set_defaults(carry_out=plan_command)


def count(text: str) -> int:
    """A whole number from 1 on. Raises ValueError, which argparse tells."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def default_workers() -> int:
    """One where there is a GPU to share, else two, each with half the processors: small models use a few threads badly."""
    return 1 if shutil.which("nvidia-smi") else min(2, processors())


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_plan(given: argparse.Namespace) -> tuple[Plan, Store]:
    """The plan of the suite that was typed, and the store."""
    from synthbench.plan.planner import make_plan
    from synthbench.registry import installed
    from synthbench.storage.local import Store
    from synthbench.suite.reader import read_suite

    registry = installed()
    suite = read_suite(given.suite, registry, given.set)
    store = Store(given.store)
    return make_plan(suite, registry, store), store


def run_command(given: argparse.Namespace) -> int:
    """`synthbench run`."""
    from synthbench.execution.runner import look_up

    plan, store = make_plan(given)
    results = given.out / f"{plan.suite.name}.json"
    held = look_up(plan, store)
    cached = held.cached
    tell_of_changed(plan, held)
    if len(cached) == len(plan.stages) and same_results(results, plan):
        print(f"nothing to do: all {len(plan.stages)} stages are in the store, and {results.with_suffix('.md')} tells of them")
        return 0
    started = time.monotonic()
    state = run_plan(plan, store, cached, given)
    conditions = {"workers": given.workers, "wall_seconds": round(time.monotonic() - started, 1)}
    if len(state.cached) == len(plan.stages):  # nothing ran: what the figures took is what an earlier run says
        conditions |= told_conditions(results, conditions)
    return write_report(plan, state, results, conditions)


def tell_of_changed(plan: Plan, held: RunState) -> None:
    """Warns of plugins whose results may be out of date."""
    from synthbench.execution.runner import changed_plugins

    for name in changed_plugins(plan, held):
        told = f"{name}: its code has changed since stages that are in the store were made; if its results change, raise its `version`"
        print(told, file=sys.stderr)


def told_conditions(results: Path, wanted: Iterable[str]) -> dict[str, object]:
    """What stored results say of the conditions they were made under."""
    try:
        environment = json.loads(results.read_text())["environment"]
        return {name: environment[name] for name in wanted if name in environment}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def same_results(results: Path, plan: Plan) -> bool:
    """Whether a stored result tells of exactly this suite and these stages, all of them done."""
    from synthbench.results.collect import describe_suite

    try:
        held = json.loads(results.read_text())
        told = {stage["key"]: stage["label"] for stage in held["stages"] if stage["state"] == "done"}
        suite = held["suite"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    same = suite == describe_suite(plan.suite) and told == {stage.key: stage.label for stage in plan.stages}
    return same and results.with_suffix(".md").exists()


def run_plan(plan: Plan, store: Store, cached: set[str], given: argparse.Namespace) -> RunState:
    """Carries out what is not in the store; `cached` are the keys of what is."""
    from rich.console import Console

    from synthbench.cli.progress import display_for
    from synthbench.execution.runner import Conditions, Runner

    settings = plan.suite.settings
    threads = max(1, processors() // given.workers)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's way to say Ctrl-C
    wanted = environments_of(plan, cached)
    if wanted and given.in_process:
        from synthbench.execution.engines import NEEDS_WORKER

        names = ", ".join(sorted({each.distribution for each in wanted.values()}))
        raise SynthbenchError(f"{names}: {NEEDS_WORKER}")
    made = ready(wanted.values(), make=given.make_environments)
    pythons = {key: made[each.name] for key, each in wanted.items()}
    conditions = Conditions(given.device, threads, settings.timeout, given.allow_pickle, pythons)
    engines = make_engines(given, store, threads)
    store.sweep()
    with display_for(plan, cached, Console(soft_wrap=True)) as display:
        return Runner(plan, store, engines, display, conditions).run()


def environments_of(plan: Plan, cached: set[str]) -> dict[str, Wanted]:
    """By key: what the stages to carry out want of an environment, where it is one of their plugin's own."""
    from synthbench.execution.environments import wanted_by

    entries = {stage.key: stage.entry for stage in plan.stages if stage.key not in cached and stage.entry is not None}
    return {key: found for key, entry in entries.items() if (found := wanted_by(entry.plugin, entry.found.distribution)) is not None}


def make_engines(given: argparse.Namespace, store: Store, threads: int) -> list[Engine]:
    """What carries out the stages."""
    from synthbench.execution.engines import InProcess, Workers

    if given.in_process:
        if not given.download:
            os.environ["HF_HUB_OFFLINE"] = "1"  # as in workers
        return [InProcess()]
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return [Workers(store.root / "logs" / f"{stamp}-{number}.log", threads, not given.download) for number in range(given.workers)]


def write_report(plan: Plan, state: RunState, results: Path, conditions: dict[str, object]) -> int:
    """Writes results, pictures and Markdown, and says where."""
    from synthbench.report import render_file
    from synthbench.report.pictures import draw_pictures
    from synthbench.results.collect import collect

    held = collect(plan, state, conditions)
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(held, indent=1) + "\n")  # before the pictures: they may fail, the figures must stay
    held["pictures"] = draw_pictures(plan, state, held, results.with_suffix(""))
    results.write_text(json.dumps(held, indent=1) + "\n")
    print(f"report: {render_file(results)}")
    failures = held["failures"]
    if failures:
        told = f"{len(failures)} of {len(plan.stages)} stages failed; the report shows why, and the next run tries them again"
        print(told, file=sys.stderr)
    return FAILED if failures else 0


def plan_command(given: argparse.Namespace) -> int:
    """`synthbench plan`."""
    from synthbench.execution.runner import look_up

    plan, store = make_plan(given)
    held = look_up(plan, store)
    cached = held.cached
    tell_of_changed(plan, held)
    for stage in plan.stages:
        print(f"{'cached' if stage.key in cached else 'run   '}  {stage.key[:10]}  {stage.label}")
    for environment in {each.name: each for each in environments_of(plan, cached).values()}.values():
        print(f"in an environment of its own, {environment.told()}")
    print(f"{len(plan.cells)} cells, {len(plan.stages)} stages: {len(cached)} cached, {len(plan.stages) - len(cached)} to run")
    return 0
