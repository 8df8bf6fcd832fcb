"""Runs a plan: whatever is not in the store yet, as many stages at a time as there are engines."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property

from synthbench.errors import SynthbenchError
from synthbench.execution.agenda import Agenda
from synthbench.execution.conditions import Conditions, make_job, place_of
from synthbench.execution.engines import Engine
from synthbench.execution.jobs import Outcome
from synthbench.execution.listener import Listener
from synthbench.execution.stage_run import Event
from synthbench.execution.state import RunState, look_up
from synthbench.planning.durations import Durations
from synthbench.planning.plan import Plan
from synthbench.planning.schedule import assumed, ways_to_the_end
from synthbench.planning.stage import Stage
from synthbench.registry import installed
from synthbench.storage.local import CANNOT_WRITE, disk_errors_explained
from synthbench.storage.store import Artifact, DamagedArtifact, Store
from synthbench.suite.inputs import resolve_entry

STARTING = 600.0
"""Seconds of a longer way that outweigh starting another worker: libraries load for seconds, and take memory for good."""
RETRIED = 2  # times that a stage is tried again whose machine was lost; more often, it may be what brings machines down
NEW = 5.0  # seconds between two looks for new engines
RENEWED = 2  # times that one damaged result is made again in a run; more often, something else is wrong


def expected_ways(plan: Plan, state: RunState) -> dict[str, float]:
    """By key, how long the longest chain of stages from this one on will take, as far as the stages in the store tell."""
    known = Durations.of_records(artifact.record for artifact in state.artifacts.values())
    return ways_to_the_end(plan.stages, {stage.key: assumed(stage, known.of(stage)) for stage in plan.stages})


class Runner:
    """Runs one plan once.

    ask: asks people for what a stage waits for, when everything that they must be shown is there, and says where.
    more: gives the engines that came up since the start, each once.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        engines: Sequence[Engine],
        listener: Listener,
        conditions: Conditions,
        ask: Callable[[Stage, RunState], str] | None = None,
        more: Callable[[], Sequence[Engine]] = list,
    ) -> None:
        self.plan = plan
        self.store = store
        self.engines = [*engines]
        self.more = more
        self.listener = listener
        self.conditions = conditions
        self.ask = ask or ask_nobody
        self.state = look_up(plan, store)
        self.agenda = Agenda(plan, self.state)
        self._elsewhere: set[str] = set()  # being made by other runs
        self._renewed: Counter[str] = Counter()  # damaged results that were set aside
        self._lost: Counter[str] = Counter()  # times that a stage's machine was lost
        self._changed = threading.Condition(threading.RLock())
        self._asking: set[str] = set()
        self._error: BaseException | None = None
        self._stopping = False

    def run(self, after_replicate: Callable[[int, RunState], None] | None = None) -> RunState:
        """Runs every stage that can be run. If a stage fails, the stages that depend on it are skipped.

        after_replicate: is called with the number of complete replicates, each time that it grows, but not after the last one.
        Raises SynthbenchError if the store cannot be written, KeyboardInterrupt on Ctrl-C; what is finished stays.
        """
        for damage in self.state.damaged:
            self.set_aside(damage)
        self._ask_people()
        threads: list[threading.Thread] = []
        if self._is_going_on():
            self._start(self.engines, threads)
            threading.Thread(target=self._grow, args=(threads,), daemon=True).start()
        complete = self.agenda.complete
        try:
            while (now := self._wait_beyond(complete)) is not None:
                complete, state = now
                if after_replicate is not None:
                    after_replicate(complete, state)
        finally:
            with self._changed:
                self._stopping = True
                self._changed.notify_all()
            for engine in self.engines:
                engine.close()
            for thread in threads:
                if thread.is_alive():
                    thread.join(5)
        if self._error is not None:
            raise self._error
        return self.state

    def _start(self, engines: Sequence[Engine], threads: list[threading.Thread]) -> None:
        """Starts a thread for each engine."""
        for engine in engines:
            threads.append(threading.Thread(target=self._work, args=(engine,), daemon=True))
            threads[-1].start()

    def _grow(self, threads: list[threading.Thread]) -> None:
        """Takes in new engines, until the run ends."""
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._stopping, NEW):
                    return
            found: Sequence[Engine] = []
            with suppress(Exception):  # a cluster that does not answer just now has none; a stage tells what is wrong with it
                found = self.more()
            with self._changed:
                if not self._stopping:
                    self.engines += found
                    self._start(found, threads)

    def _wait_beyond(self, complete: int) -> tuple[int, RunState] | None:
        """Waits until more replicates than these are complete; their number, and the state then. None if the run ends before."""
        with self._changed:
            while self._is_going_on():
                if (now := self.agenda.complete) > complete:
                    return now, self.state.copy()
                self._changed.wait(0.5)  # wakes up now and then, so that Ctrl-C is noticed
            return None

    def _is_going_on(self) -> bool:
        """Whether there is anything to wait for. Called with the lock held, or before the threads start."""
        if self._error is not None or not self.agenda.left:
            return False
        return not self._is_over() or self.agenda.is_running

    def _is_over(self) -> bool:
        """Whether the time for starting stages is over."""
        return self.conditions.deadline is not None and time.monotonic() >= self.conditions.deadline

    def _work(self, engine: Engine) -> None:
        try:
            while (stage := self._next(engine)) is not None:
                self._run_stage(stage, engine)
        except BaseException as error:  # raised again by the main thread
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()

    def _next(self, engine: Engine) -> Stage | None:
        """A stage that can start, waiting for one if need be; None if nothing is left.

        One of the earliest replicate, with the longest way to the end of the plan, and of those the first in the plan; a worker that must
        be started costs STARTING.
        """
        with self._changed:
            while not self._stopping and self._error is None:
                if not self.agenda.left or self._is_over():
                    self._changed.notify_all()
                    return None
                ready = [each for each in self.agenda.ready.values() if engine.suits(each.kind) and not self._is_elsewhere(each)]
                if ready:
                    earliest = min(self.plan.replicates.get(each.key, 0) for each in ready)
                    ready = [each for each in ready if self.plan.replicates.get(each.key, 0) == earliest]
                    stage = max(
                        ready, key=lambda each: (self._ways[each.key] + self._head_start(each, engine), -self.agenda.place[each.key])
                    )
                    self.agenda.start(stage)
                    return stage
                self._changed.wait(0.5)
            return None

    @cached_property
    def _ways(self) -> dict[str, float]:
        """See `expected_ways`: when the first stage is chosen, as a run with nothing to do needs none."""
        return expected_ways(self.plan, self.state)

    def _head_start(self, stage: Stage, engine: Engine) -> float:
        return STARTING if engine.is_warm_for(place_of(stage, self.conditions)) else 0.0

    def _ask_people(self) -> None:
        """Asks people for all that can be asked by now; what waits for them is settled for this run."""
        with self._changed:
            found = [each for each in self.agenda.to_ask() if each.key not in self._asking]
            self._asking |= {each.key for each in found}
            state = self.state.copy() if found else self.state
        for stage in found:
            message = self.ask(stage, state)  # writes files, so other stages go on meanwhile
            with self._changed:
                self.state.waiting[stage.key] = stage
                self.agenda.look_at(stage)
                self.listener.waits(stage, message)
                self._changed.notify_all()

    def _is_elsewhere(self, stage: Stage) -> bool:
        """Whether another run makes the result of a stage."""
        if stage.key in self._elsewhere and self.store.is_busy(stage.kind, stage.key):
            return True
        self._elsewhere.discard(stage.key)
        return False

    def _run_stage(self, stage: Stage, engine: Engine) -> None:
        with self._changed:
            self.listener.started(stage)
        outcome = Outcome()
        if (artifact := self._stored(stage)) is None:  # another run may have made it by now
            outcome = engine.run(make_job(stage, self.conditions), lambda event: self._hear(stage, event), self.conditions.timeout)
            if self._stopping:
                return
            if outcome.disk_full:
                if CANNOT_WRITE in outcome.error:  # it is explained already, and the disk may be one that can only be read
                    raise SynthbenchError(outcome.error)
                with disk_errors_explained(self.store.address):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if outcome.busy or (outcome.damaged and self._renew(*outcome.damaged)):
                self._postpone(stage, elsewhere=outcome.busy)
                return
            artifact = self._stored(stage)
            if artifact is None and outcome.lost and self._may_try_again(stage):
                self._postpone(stage, elsewhere=False)
                return
            if artifact is not None and (changed := changed_inputs(stage, self.store)):
                self.store.set_aside(stage.kind, stage.key)
                artifact, outcome = None, Outcome(error=changed, record=outcome.record)
        if artifact is not None:  # also if the worker died just after it had stored the result
            outcome = Outcome(record=artifact.record)
        elif not outcome.error:
            outcome = Outcome(error="it finished, but its result is not in the store", record=outcome.record)
        with self._changed:
            if artifact is None:
                self.state.failures[stage.key] = outcome
            else:
                self.state.artifacts[stage.key] = artifact
            self.agenda.end(stage)
            if artifact is None and stage.about.refuses:
                self.agenda.refuse(stage)
            self.listener.finished(stage, outcome)
            self._changed.notify_all()
        self._ask_people()

    def _stored(self, stage: Stage) -> Artifact | None:
        """The result of a stage, if it is in the store; a damaged one is set aside."""
        try:
            return self.store.get(stage.kind, stage.key)
        except DamagedArtifact as damage:
            self.set_aside(damage)
            return None

    def _postpone(self, stage: Stage, *, elsewhere: bool) -> None:
        with self._changed:
            self.agenda.end(stage)
            if elsewhere:
                self._elsewhere.add(stage.key)
            self.listener.postponed(stage)
            self._changed.notify_all()

    def _may_try_again(self, stage: Stage) -> bool:
        """Whether a stage whose machine was lost is run again in this run."""
        with self._changed:
            self._lost[stage.key] += 1
            return self._lost[stage.key] <= RETRIED

    def _renew(self, kind: str, key: str) -> bool:
        """Has the stage of a damaged result run again, before those that need it. False if that was tried already."""
        with self._changed:
            self._renewed[key] += 1
            if self._renewed[key] > RENEWED * len(self.engines):
                return False
            try:
                self.store.verify(kind, key)  # another worker may have met the same damage, and it may be mended
            except DamagedArtifact as damage:
                self.set_aside(damage)
            return True

    def set_aside(self, damage: DamagedArtifact) -> None:
        """Takes a damaged result out of the way and says so; its stage is to run again."""
        where = self.store.set_aside(damage.kind, damage.key)
        with self._changed:
            self.state.artifacts.pop(damage.key, None)
            self.state.cached.discard(damage.key)
            stage = next(each for each in self.plan.stages if each.key == damage.key)
            self.agenda.look_at(stage)
            self.listener.damaged(stage, f"{damage}; {f'set aside as {where}, and ' if where else ''}made again")

    def _hear(self, stage: Stage, event: Event) -> None:
        with self._changed:
            self.listener.heard(stage, event)


def ask_nobody(stage: Stage, state: RunState) -> str:  # noqa: ARG001 - what a runner calls
    """Asks nothing."""
    return ""


def changed_inputs(stage: Stage, store: Store) -> str:
    """An error if the files that a stage's options name are not those that its key was made of; empty if they are."""
    if stage.entry is None or not stage.inputs:
        return ""
    try:
        _, hashes = resolve_entry(stage.entry, installed(), store.content_hash)
    except SynthbenchError as error:
        return f"files that it reads changed while it ran ({error}); run again"
    return "" if hashes == stage.inputs else "files that it reads changed while it ran, so its result was set aside; run again"
