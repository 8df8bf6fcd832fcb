"""The fixture that all checks of a plugin share: toy pictures, a worker that runs stages on them, and cached results."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from synthbench.contract.stages import PluginKind
from synthbench.contract.validation import location_of
from synthbench.execution.border import CUT, DROPPED
from synthbench.execution.jobs import FEATURES, Job, Outcome, Place, Resources
from synthbench.execution.stage_run import Event
from synthbench.execution.worker_process import kill
from synthbench.registry import PluginInfo, installed
from synthbench.storage.references import ArtifactRef, ViewRef
from synthbench.storage.store import StageRecord
from synthbench.storage.views import read_views
from synthbench.testing.checks import Failure, Skip
from synthbench.testing.configuring import configured, interpreter, resolved
from synthbench.testing.guarded import FAULT
from synthbench.testing.sandbox import Sandbox
from synthbench.testing.toys import write_toys
from synthbench.testing.unverified import UnverifiedStore

WORKS = "works"
"""The name of the check that all other stages depend on."""
STEPS, FEWER = "max_train_steps", 3
LARGE = ("many", "displaced")
"""How the names of the sets of pictures begin that a detector is to learn."""
Made = TypeVar("Made")
Views = Mapping[str, list[ViewRef]]


@dataclass(frozen=True)
class Done:
    """A stage that has ended, successfully or not.

    folder: the folder of its artifact, which exists if the stage succeeded.
    strays: the files that it wrote, changed or removed outside its own folder.
    """

    stage: str
    label: str
    key: str
    outcome: Outcome
    folder: Path
    events: tuple[Event, ...]
    strays: tuple[str, ...]
    hung: bool

    @property
    def labels(self) -> list[str]:
        """The labels of its progress events, in order."""
        return [str(event["label"]) for event in self.events if event["event"] == "progress"]


class Bench:
    """Everything that the checks of one plugin share. A context manager: on exit its folder and processes are removed.

    options: override or extend the plugin's `smoke_options`. timeout: seconds for one stage on toy pictures, imports included.
    check: the check that is running. failures: the checks that have failed, with their reasons.
    Raises SynthbenchError if the plugin is not installed or its options are wrong or missing, NoEnvironment if the plugin's
    own environment has not been made.
    """

    def __init__(self, kind: PluginKind, name: str, options: Mapping[str, object], timeout: float = 300.0) -> None:
        self.found: PluginInfo = installed().get(kind, name)
        self.plugin = configured(self.found, options)
        self.options = resolved(self.found, self.plugin)
        self.seeded: bool = getattr(self.plugin, "seeded", True)
        self.timeout = timeout
        self.sandbox = Sandbox(Place(python=interpreter(self.found, self.plugin), distribution=self.found.distribution))
        self.folder, self.worker = self.sandbox.folder, self.sandbox.worker
        self.store = UnverifiedStore(self.sandbox.store)
        self.check = ""
        self.failures: dict[str, str] = {}
        self.done: list[Done] = []
        self._cache: dict[object, Any] = {}
        self._large: set[str] = set()  # keys of sets of pictures that are to be learned

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the processes and removes the folder."""
        self.sandbox.close()

    @property
    def home(self) -> str:
        """The path of the plugin's code: its package's folder, or its module's file."""
        file = Path(inspect.getfile(self.found.cls))
        return str(file if file.stem == self.found.cls.__module__ else file.parent)

    def once(self, key: object, make: Callable[[], Made]) -> Made:
        """Calls `make` once for each key and caches its result. Raises its Failure the first time, Skip afterwards."""
        if key not in self._cache:
            try:
                self._cache[key] = make()
            except Failure:
                self._cache[key] = Skip.after(self.check)
                raise
        made: Made | Skip = self._cache[key]
        if isinstance(made, Skip):
            raise made
        return made

    def pictures(self, name: str) -> ViewRef:
        """A set of toy pictures; see `toys.write_toys`."""

        def make() -> ViewRef:
            key = key_of("pictures", name)
            if name.startswith(LARGE):
                self._large.add(key)
            with self.store.build("select", key) as build:
                write_toys(build.folder, name, self.folder / "files" / name)
                build.publish(StageRecord())
            return ViewRef(images=ArtifactRef(kind="select", key=key))

        return self.once(("pictures", name), make)

    def attempt(
        self,
        stage: str,
        views: Views,
        *,
        seed: int = 0,
        options: Mapping[str, object] | None = None,
        key: str = "",
        fitted: str | None = None,
        parameters: Mapping[str, object] | None = None,
        series: str = "",
    ) -> Done:
        """Runs a stage in the running worker. Errors of the stage are in the returned value.

        key: the key of an earlier attempt, to resume it. fitted: the folder of an earlier stage's artifact.
        Raises Skip if the check `WORKS` has failed.
        """
        if WORKS in self.failures:
            raise Skip.after(WORKS)
        number = len(self.done)
        key = key or key_of(stage, str(number))
        job = Job(
            kind=stage,
            key=key,
            label=f"{stage} {number}",
            plugin=(self.found.kind, self.found.name),
            options=self.fewer_steps(stage, views, self.options if options is None else options),
            seed=seed,
            reads=self.features(stage, views)
            if fitted is None
            else {"fitted": ArtifactRef(kind=Path(fitted).parents[1].name, key=Path(fitted).name)},
            views=views,
            parameters=dict(parameters or {}),
            series=series,
            resources=Resources(threads=1),
            place=self.sandbox.place,
        )
        events: list[Event] = []
        folder = self.store.folder(stage, key)
        before = self.sandbox.listing(folder)
        outcome = self.worker.run(job, events.append, self.timeout)
        after = self.sandbox.listing(folder)
        strays = tuple(sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path)))
        done = Done(stage, job.label, key, outcome, folder, tuple(events), strays, self.worker.too_long)
        self.done.append(done)
        return done

    def features(self, stage: str, views: Views) -> Mapping[str, ArtifactRef]:
        """Features of the pictures of an annotator that needs them: vectors at random, the same for the first picture of each set."""
        import numpy as np

        if stage != "annotate" or not getattr(self.plugin, "needs_features", False):
            return {}
        reads = {}
        for view, name in (("images", "features"), ("references", "reference_features")):
            count = len(read_views(self.store, views[view]))
            reads[name] = ArtifactRef(kind="features", key=key_of(name, str(count)))
            if self.store.get("features", reads[name].key) is None:
                with self.store.build("features", reads[name].key) as build:
                    np.save(build.folder / FEATURES, np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32))
                    build.publish(StageRecord())
        return reads

    def fewer_steps(self, stage: str, views: Views, options: Mapping[str, object]) -> Mapping[str, object]:
        """The options of a stage. A training on few pictures has a third of the steps: it has to give something, not to be good."""
        steps = options.get(STEPS)
        learned = any(view.images.key in self._large for each in views.values() for view in each)
        if stage != "train" or learned or not isinstance(steps, int):
            return options
        return {**options, STEPS: max(1, steps // FEWER)}

    def run(self, stage: str, views: Views, **parts: Any) -> Done:
        """Like `attempt`, but raises Failure if the stage fails."""
        done = self.attempt(stage, views, **parts)
        if done.outcome.error:
            raise self.failed(done)
        return done

    def unsound_boxes(self, stage: str) -> str:
        """The first note about boxes that this stage yielded and the core dropped or cut; empty if there is none."""
        notes = (note for done in self.done if done.stage == stage for note in done.outcome.record.notes)
        return next((note for note in notes if CUT in note or DROPPED in note), "")

    def restart_worker(self) -> None:
        """Ends the worker's process; the next stage starts a new one."""
        if self.worker.process is not None:
            kill(self.worker.process)

    def failed(self, done: Done, what: str = "") -> Failure:
        """The Failure for a stage's error, located at the innermost line of the plugin in its traceback."""
        lines = re.findall(r'File "([^"]+)", line (\d+)', done.outcome.trace)
        own = Path(self.home).name
        mine = [(file, line) for file, line in lines if own in Path(file).parts]
        file, line = [("", ""), *lines, *mine][-1]
        place = f"{file}:{line}" if file else self.method(done.stage)
        return Failure(f"{what or done.stage}: {done.outcome.error}", place, done.outcome.trace)

    def method(self, name: str = "") -> str:
        """The location of a method of the plugin, or of its class if it has no such method."""
        return location_of(inspect.unwrap(getattr(self.found.cls, name, self.found.cls))) or self.home

    def owns(self, places: list[list[Any]]) -> bool:
        """Whether the innermost of these places is in the plugin's code."""
        return bool(places) and str(places[0][0]).startswith(self.home)

    def innermost(self, places: list[list[Any]]) -> str:
        """The innermost of these places in the plugin's code, or the innermost of all if there is none."""
        mine = [place for place in places if self.owns([place])]
        file, line = (mine or places or [[self.home, 1]])[0]
        return f"{file}:{line}"

    def run_with_fault(self, fault: str, stage: str, views: Views, label: str, **parts: Any) -> tuple[Done, float | None]:
        """Runs a stage and injects a fault at its first progress event with this label.

        Returns the stage and the time of the fault, None if the stage ended first.
        """
        done = self.attempt(stage, views, parameters={FAULT: [fault, label]}, **parts)
        return done, next((note["time"] for note in self.sandbox.logged("fault") if note["job"] == done.label), None)


def key_of(*parts: str) -> str:
    """A key for an artifact in the bench's store."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()
