"""An experiment: plan a suite, run it, report. The command line and scripts both call this.

import synthbench

results = synthbench.run("suites/apples.toml", store=".synthbench", out="reports")
print(results.rows()[0]["AP"])
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthbench.errors import SynthbenchError
from synthbench.execution.asking import Asking
from synthbench.execution.conditions import Conditions
from synthbench.execution.crews import Crew
from synthbench.execution.engines import NEEDS_WORKER
from synthbench.execution.environments import EnvironmentSpec, environment_spec_of
from synthbench.execution.hiring import Where, hire
from synthbench.execution.interpreters import Confirm, confirmation, interpreters
from synthbench.execution.jobs import CORE
from synthbench.execution.journal import journal, new_name
from synthbench.execution.listener import Listener
from synthbench.execution.runner import RENEWED, Runner
from synthbench.execution.state import RunState, changed_plugins, look_up
from synthbench.planning.making import make_plan
from synthbench.planning.people import LABELS
from synthbench.planning.plan import Plan
from synthbench.registry import installed
from synthbench.results.describe import describe_suite, describe_training_set, without_folders
from synthbench.storage.store import DamagedArtifact, Store, open_store
from synthbench.suite.hub import fetch_commits
from synthbench.suite.reader import read_suite

if TYPE_CHECKING:
    from synthbench.contract.remote import Remote
    from synthbench.results.model import Results

Source = str | Path | Mapping[str, Any]


class NoneComplete(Exception):
    """The time was over before a replicate was complete."""


class Experiment:
    """A suite that was read and planned, and what its store already has.

    suite: a TOML file, or its content as Python values. changes: `KEY=VALUE`, as after `--set`. store: the folder of artifacts, or
    the address of an object store.
    trust_store: use it also if another user or another machine made it. download: ask the hub for the commits of the suite's
    weights, which go into the keys. labels: the folder where people are asked for labels, and where their answers lie.
    Raises SuiteError with everything that is wrong with the suite.
    """

    def __init__(
        self,
        suite: Source,
        *,
        changes: Sequence[str] = (),
        store: str | Path = ".synthbench",
        trust_store: bool = False,
        download: bool = False,
        labels: str | Path = LABELS,
    ) -> None:
        registry = installed()
        read = read_suite(Path(suite) if isinstance(suite, str) else suite, registry, changes)
        if download:
            fetch_commits(read, registry)
        self.store: Store = open_store(str(store), trust=trust_store)
        self.plan: Plan = make_plan(read, registry, self.store, Path(labels))
        self.found: RunState = look_up(self.plan, self.store)

    @property
    def name(self) -> str:
        """The name of its report."""
        return self.plan.suite.name

    @property
    def cached(self) -> set[str]:
        """The keys of the stages that are in the store."""
        return self.found.cached

    @property
    def changed_plugins(self) -> list[str]:
        """Entries whose plugin's code has changed since stages in the store were computed."""
        return changed_plugins(self.plan, self.found)

    @property
    def environments(self) -> dict[str, EnvironmentSpec]:
        """By stage key: the plugin's own environment that a stage to run needs. Stages that need none are left out."""
        entries = {stage.key: stage.entry for stage in self.plan.stages if stage.key not in self.cached and stage.entry is not None}
        needs = self.store.packages
        specs = {key: environment_spec_of(entry.plugin, entry.info.distribution, needs) for key, entry in entries.items()}
        return {key: spec for key, spec in specs.items() if spec is not None}

    @property
    def downloads(self) -> list[Remote]:
        """The data that plugins of stages to run fetch, as far as they are not on this machine."""
        entries = {id(each.entry): each.entry for each in self.plan.stages if each.entry is not None and each.key not in self.cached}
        remotes = {remote.name: remote for entry in entries.values() if (remote := getattr(entry.plugin, "remote", None))}
        return [remote for remote in remotes.values() if remote.missing]

    @property
    def distributions_to_run(self) -> set[str]:
        """The distributions of the plugins whose stages are not in the store."""
        return {each.entry.info.distribution for each in self.plan.stages if each.entry is not None and each.key not in self.cached}

    def earlier(self, out: str | Path) -> Results | None:
        """What an earlier run left in `out`, if it is of this suite and can be read.

        Raises SynthbenchError if there is a report of another suite with the same name, which this one would replace.
        """
        from synthbench.results.files import read_results

        path = results_path(out, self.name)
        if not path.exists():
            return None
        try:
            results = read_results(path)
        except SynthbenchError:  # of another version, or damaged: it is written again
            return None
        if results.suite.file != without_folders(self.plan.suite.file):
            raise SynthbenchError(
                f"{path}: is the report of another suite, {results.suite.file}; name another folder with --out, or rename a suite"
            )
        return results

    def is_reported(self, out: str | Path) -> bool:
        """Whether everything is in the store and the report in `out` is of exactly this suite and these stages."""
        if len(self.cached) < len(self.plan.stages) or (earlier := self.earlier(out)) is None:
            return False
        labels = {stage.key: stage.label for stage in earlier.stages if stage.state == "done"}
        same = earlier.suite == describe_suite(self.plan.suite) and labels == {stage.key: stage.label for stage in self.plan.stages}
        same &= earlier.training_sets == [describe_training_set(row) for row in self.plan.suite.rows]
        same &= earlier.replicates_planned == self.plan.planned
        path = results_path(out, self.name)
        from synthbench.reporting import is_report_of

        return same and is_report_of(path.with_suffix(".md"), path)

    def run(
        self,
        *,
        out: str | Path | None = "reports",
        device: str = "auto",
        workers: int | None = None,
        threads: int | None = None,
        engine: str = "local",
        address: str = "",
        slurm: str | Path | None = None,
        in_process: bool = False,
        make_environments: bool | Confirm = False,
        report_environment: Callable[[str], None] | None = None,
        download: bool = False,
        allow_pickle: bool = False,
        listener: Listener | None = None,
        minutes: float | None = None,
        command: str = "",
    ) -> Results:
        """Runs what is not in the store, and writes the report to `out`. The arguments are those of `synthbench run`.

        The report is written after each replicate, so that one is there before all are done.
        out: None writes no report. listener: is told of every stage, from several threads.
        workers: stages at a time, on a machine with several GPUs for each of them; threads: processors for each stage; None chooses.
        engine: `local`, `ray` or `slurm`; address: of the Ray cluster; slurm: a TOML file, see `SlurmTable`.
        minutes: no stage is started after this time; the results are of the replicates that are complete by then.
        make_environments: whether plugins' own environments may be made, or a function that decides. report_environment: is told
        when one is being made.
        Raises SynthbenchError if the store cannot be written, an environment may not be made, or the time was over before the first
        replicate was complete. A failed stage, and one that waits for labels by people, is in the results.
        """
        if out is not None:
            self.earlier(out)  # before anything is started: it may be the report of another suite
        where = Where(
            engine=engine,
            address=address,
            slurm=Path(slurm) if slurm is not None else None,
            device=device,
            workers=workers,
            threads=threads,
            in_process=in_process,
        )
        where.check()
        if minutes is not None and not 0 <= minutes < float("inf"):
            raise SynthbenchError(f"--minutes {minutes}: should be 0 or more")
        specs = self.environments
        if specs and in_process:
            names = ", ".join(sorted({each.distribution for each in specs.values()}))
            raise SynthbenchError(f"{names}: {NEEDS_WORKER}")
        if in_process and len(mixed := self.distributions_to_run - {CORE}) > 1:
            raise SynthbenchError(
                f"the stages to run are of plugins of {', '.join(sorted(mixed))}; in one process each could change the others' results: "
                "leave --in-process away, or run the stages of all but one before"
            )
        if not download and (lacking := self.downloads):
            told = "\n".join(remote.told() for remote in lacking)
            raise SynthbenchError(f"{told}\nnothing is fetched unasked: add --download, or name a copy of yours with the option `path`")
        if engine == "local":
            pythons = interpreters(list(specs.values()), confirmation(make_environments), report_environment)
        else:  # the machine that runs a stage has or makes its environment
            pythons = {each.name: each.name for each in specs.values()}
        environments = {each.name: each.environment for each in specs.values()}
        conditions = Conditions(
            device=device,
            timeout=self.plan.suite.settings.timeout,
            allow_pickle=allow_pickle,
            offline=not download,
            pythons={key: pythons[each.name] for key, each in specs.items()},
            deadline=None if minutes is None else time.monotonic() + 60 * minutes,
        )
        total, stored = len(self.plan.stages), len(self.cached)
        crew = hire(where, self.store, environments, make=make_environments is True, offline=not download)
        about: dict[str, Any] = {"suite": self.name, "engine": engine, "total": total, "stored": stored}
        try:
            held = self.store.hold(f"run-{new_name()}") if stored < total else nullcontext()
            with held, journal(self.store.root, listener or Listener(), **about) as writer:
                return self._run(crew, replace(conditions, threads=crew.threads), writer, out, command)
        except NoneComplete as none:
            raise SynthbenchError(f"{minutes:g} minutes were over before the first replicate was complete: {none}") from None
        finally:
            crew.close()

    def _run(self, crew: Crew, conditions: Conditions, listener: Listener, out: str | Path | None, command: str) -> Results:
        """Runs with these engines, until what the report reads is whole. Raises NoneComplete if the time was over too early."""
        earlier = self.earlier(out) if out is not None else None
        facts: dict[str, Any] = {"command": command}
        self.store.sweep()
        started = time.monotonic()
        cached, attempts = set(self.cached), 0
        while True:
            engines = crew.engines()
            facts["workers"] = sum(engine.suits("train") for engine in engines)
            runner = Runner(self.plan, self.store, engines, listener, conditions, Asking(self.plan).ask, crew.more)
            state = runner.run(lambda count, state: self._report_so_far(count, state, out, facts))
            self.store.sweep()  # what killed workers left
            state.cached &= cached
            took: float | None = round(time.monotonic() - started, 1)
            if len(state.cached) == len(self.plan.stages):  # nothing ran: an earlier run's figures stay true
                took = None
                if earlier:
                    facts["workers"] = earlier.environment.workers or facts["workers"]
                    took = earlier.environment.wall_seconds
            if (complete := runner.agenda.complete) == 0:
                total, left = len(self.plan.stages), len(runner.agenda.left)
                raise NoneComplete(f"{total - left} of {total} stages are done; run again to go on")
            try:
                return self._report(self.plan.first(complete), state, out, **facts | {"wall_seconds": took})
            except DamagedArtifact as damage:  # what only the report reads
                attempts += 1
                if attempts > RENEWED:
                    raise
                cached.discard(damage.key)
                runner.set_aside(damage)

    def _report_so_far(self, complete: int, state: RunState, out: str | Path | None, facts: Mapping[str, Any]) -> None:
        """Writes the report of the first replicates. What is damaged is told at the end of the run."""
        if out is not None:
            with suppress(DamagedArtifact):
                self._report(self.plan.first(complete), state, out, **facts)

    def _report(self, plan: Plan, state: RunState, out: str | Path | None, **facts: Any) -> Results:
        """The results of a plan that was carried out, written to `out`. Raises DamagedArtifact."""
        from synthbench.results.collect import collect  # loads numpy, which a run with nothing to do does not need

        results = collect(plan, state, **facts)
        if out is not None:
            from synthbench.reporting import write_report
            from synthbench.reporting.gallery import gather

            write_report(results, results_path(out, self.name), lambda: gather(plan, state, results))
        return results


def plan(
    suite: Source,
    *,
    changes: Sequence[str] = (),
    store: str | Path = ".synthbench",
    trust_store: bool = False,
    labels: str | Path = LABELS,
) -> Plan:
    """The plan of a suite: its training sets, cells and stages, each with its key. Computes nothing."""
    return Experiment(suite, changes=changes, store=store, trust_store=trust_store, labels=labels).plan


def run(
    suite: Source,
    *,
    changes: Sequence[str] = (),
    store: str | Path = ".synthbench",
    trust_store: bool = False,
    labels: str | Path = LABELS,
    **arguments: Any,
) -> Results:
    """Runs a suite and returns its results. See `Experiment` and `Experiment.run` for the arguments."""
    download = arguments.get("download", False)
    experiment = Experiment(suite, changes=changes, store=store, trust_store=trust_store, download=download, labels=labels)
    return experiment.run(**arguments)


def report(results: str | Path) -> Path:
    """Makes a report again from its JSON file, and returns the path of the Markdown."""
    from synthbench.reporting import render_file

    return render_file(Path(results))


def results_path(out: str | Path, name: str) -> Path:
    """Where the results of a suite of this name are written."""
    return Path(out) / f"{name}.json"
