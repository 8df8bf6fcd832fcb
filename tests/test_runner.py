"""Runs: every cell is scored, a failure costs its own cells alone, and nothing is done twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from synthbench.errors import SynthbenchError
from synthbench.execution.engines import Engine, InProcess, Worker
from synthbench.execution.jobs import Job, Outcome
from synthbench.execution.provenance import code_hash
from synthbench.execution.runner import Conditions, Runner, RunState, changed_plugins, look_up
from synthbench.plan.planner import Plan, Stage, make_plan
from synthbench.registry import installed
from synthbench.results.collect import collect
from synthbench.storage.local import Store
from synthbench.storage.views import ViewRef
from synthbench.suite.reader import read_suite
from synthbench_fakes import SUITE, Threshold

if TYPE_CHECKING:
    from synthbench.execution.stage_run import Event

PlanOf = Callable[..., Plan]
LONG = 120.0  # seconds: no stage takes as long, however busy the machine


class Heard:
    """Remembers what a run said."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.events: list[Event] = []
        self.outcomes: dict[str, Outcome] = {}

    def started(self, stage: Stage) -> None:
        self.begun.append(stage.label)

    def heard(self, stage: Stage, event: Event) -> None:
        self.events.append(event)

    def finished(self, stage: Stage, outcome: Outcome) -> None:
        self.outcomes[stage.label] = outcome


def carry_out(plan: Plan, store: Store, engines: list[Engine] | None = None, heard: Heard | None = None) -> RunState:
    return Runner(plan, store, engines or [InProcess()], heard or Heard(), Conditions("cpu", timeout=LONG)).run()


def results(plan: Plan, state: RunState) -> dict[str, Any]:
    return collect(plan, state, {})


def scores(plan: Plan, state: RunState) -> list[dict[str, Any]]:
    """Every figure of a run that must not differ between two."""
    held = results(plan, state)
    return [each | {"seconds": None} for each in held["cells"]] + held["judged"] + held["generated"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Store, RunState, Heard]:
    """The suite of squares, two seeds, carried out by two workers."""
    store = Store(tmp_path_factory.mktemp("finished"))
    plan = make_plan(read_suite(SUITE, installed(), ["seeds=[0, 1]"]), installed(), store)
    engines: list[Engine] = [Worker(store.root / "logs" / f"{number}.log", 1, offline=True) for number in range(2)]
    heard = Heard()
    return plan, store, carry_out(plan, store, engines, heard), heard


def test_every_cell_is_scored(finished: tuple[Plan, Store, RunState, Heard]):
    plan, _, state, heard = finished
    assert len(state.artifacts) == len(plan.stages) == len(heard.outcomes)
    cells = results(plan, state)["cells"]
    assert len(cells) == 5 * 2 * 2
    assert all(0 < cell["metrics"]["AP"] <= 1 and cell["failed"] is None for cell in cells)
    assert len({cell["metrics"]["AP"] for cell in cells}) > 3, "the figures tell cells apart"
    assert len(list((finished[1].root / "logs").iterdir())) == 2
    assert not list(finished[1].root.rglob("*.building"))


def test_annotators_are_held_against_the_truth(finished: tuple[Plan, Store, RunState, Heard]):
    plan, _, state, _ = finished
    judged = {each["annotator"]: each for each in results(plan, state)["judged"]}
    assert {*judged} == {"native", "teacher"}
    assert all(0 < each["precision"] <= 1 and 0 < each["recall"] <= 1 and each["hits"] for each in judged.values())


def test_no_stage_begins_before_what_it_needs_and_none_twice(finished: tuple[Plan, Store, RunState, Heard]):
    plan, _, _, heard = finished
    assert sorted(heard.begun) == sorted(stage.label for stage in plan.stages)
    for stage in plan.stages:
        assert all(heard.begun.index(needed.label) < heard.begun.index(stage.label) for needed in stage.needs)


def test_a_second_run_does_nothing(finished: tuple[Plan, Store, RunState, Heard]):
    plan, store, state, _ = finished

    class Never(InProcess):
        def carry_out(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
            pytest.fail(f"{job.label} was carried out again")

    again = carry_out(plan, Store(store.root), [Never()])
    assert again.cached == {stage.key for stage in plan.stages}
    assert scores(plan, again) == scores(plan, state)


def test_another_store_and_no_workers_give_the_same_figures_digit_for_digit(
    finished: tuple[Plan, Store, RunState, Heard], plan_of: PlanOf, store: Store
):
    plan = plan_of("seeds=[0, 1]")
    assert scores(plan, carry_out(plan, store)) == scores(finished[0], finished[2])


def test_a_run_goes_on_from_what_is_there(plan_of: PlanOf, store: Store):
    small = plan_of('baselines=["references"]')
    carry_out(small, store)
    heard = Heard()
    plan = plan_of('baselines=["references"]', "detectors.strict.score=0.5")
    carry_out(plan, store, heard=heard)
    assert heard.begun
    assert all(" strict " in label and label.split()[0] in ("predict", "score") for label in heard.begun)


def test_a_failing_detector_costs_its_cells_alone(plan_of: PlanOf, store: Store):
    plan = plan_of("detectors.strict.fail=raise", "detectors.strict.fail_with=6")
    state = carry_out(plan, store)
    held = results(plan, state)
    lost = [(cell["training_set"], cell["detector"]) for cell in held["cells"] if not cell["metrics"]]
    assert lost == [("real", "strict")]
    (failure,) = held["failures"]
    assert failure["label"] == "train strict on real"
    assert failure["error"] == "RuntimeError: as it was told to"
    assert 'raise RuntimeError("as it was told to")' in failure["trace"]
    assert failure["cells"] == ["real / strict / seed 0"]
    assert [cell["failed"] for cell in held["cells"]].count(failure["key"]) == 1
    assert {stage["label"]: stage["state"] for stage in held["stages"]}["predict strict on real -> test"] == "blocked"
    assert store.get("train", failure["key"]) is None


def test_a_failing_teacher_costs_what_it_would_have_labelled(plan_of: PlanOf, store: Store):
    plan = plan_of("detectors.threshold.fail=raise", "detectors.threshold.fail_with=3")
    held = results(plan, carry_out(plan, store))
    lost = [(cell["training_set"], cell["detector"]) for cell in held["cells"] if not cell["metrics"]]
    assert lost == [("references", "threshold"), ("paint x teacher", "threshold"), ("paint x teacher", "strict")]
    (failure,) = held["failures"]
    assert len(failure["cells"]) == 3
    assert {cell["failed"] for cell in held["cells"] if not cell["metrics"]} == {failure["key"]}


def test_a_plugin_whose_code_has_changed_since_is_told_and_made_again_with_another_version(
    plan_of: PlanOf, store: Store, monkeypatch: pytest.MonkeyPatch
):
    plan = plan_of()
    carry_out(plan, store)
    assert changed_plugins(plan, look_up(plan, store)) == []
    monkeypatch.setattr("synthbench.execution.runner.code_hash", lambda plugin: "other" if plugin is Threshold else code_hash(plugin))
    assert changed_plugins(plan, look_up(plan, store)) == ["strict", "threshold"]
    monkeypatch.setattr(Threshold, "version", 2)
    again = plan_of()
    assert changed_plugins(again, look_up(again, store)) == []
    assert len(look_up(again, store).cached) < len(again.stages)


def test_a_failure_is_tried_again(plan_of: PlanOf, store: Store, monkeypatch: pytest.MonkeyPatch):
    def fail(_: str) -> None:
        raise RuntimeError("of this one time")

    plan = plan_of()
    monkeypatch.setattr("synthbench_fakes.misbehave", fail)
    assert carry_out(plan, store).failures
    monkeypatch.undo()
    assert not carry_out(plan, store).failures


def test_more_references_than_images_are_told(plan_of: PlanOf, store: Store):
    state = carry_out(plan_of("references=7"), store)
    told = {outcome.error for outcome in state.failures.values()}
    assert told == {"references = 7, but the real training set holds only 6 images"}


def test_a_full_disk_ends_the_run_and_keeps_what_is_finished(plan_of: PlanOf, store: Store, monkeypatch: pytest.MonkeyPatch):
    plan = plan_of()
    publish = store.publish

    def full(stage: str, *given: Any) -> Any:
        if stage == "fit":
            raise SynthbenchError("no space left")
        return publish(stage, *given)

    monkeypatch.setattr(store, "publish", full)
    with pytest.raises(SynthbenchError, match="no space left"):
        carry_out(plan, store)
    assert store.get("data", plan.data.key) is not None
    assert not list(store.root.rglob("*.building"))


@pytest.fixture(scope="module")
def train_set(tmp_path_factory: pytest.TempPathFactory) -> ViewRef:
    folder = tmp_path_factory.mktemp("data")
    job = Job(stage="data", label="", workdir=str(folder), plugin=("data-source", "fake-squares"), options={"train": 2, "test": 1})
    assert not InProcess().carry_out(job, lambda _: None, LONG).error
    return ViewRef(folder=str(folder / "train"))


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    made = Worker(tmp_path_factory.mktemp("worker") / "log", 1, offline=True)
    yield made
    made.close()


def train(worker: Worker, folder: Path, data: ViewRef, timeout: float = LONG, emit: Callable[[Event], None] | None = None, **options: Any):
    folder.mkdir(exist_ok=True)
    job = Job(stage="train", label="", workdir=str(folder), plugin=("detector", "fake-threshold"), options=options, views={"data": [data]})
    return worker.carry_out(job, emit or (lambda _: None), timeout)


def pid(worker: Worker) -> int:
    assert worker.process is not None
    return worker.process.pid


@pytest.mark.parametrize(
    ("fail", "timeout", "told", "last"),
    [
        ("crash", LONG, "the worker ended with status 7", "about to crash"),
        ("silent", LONG, "the worker ended with status 3", ""),
        ("memory", LONG, "the worker was killed (SIGKILL: often the system, for want of memory)", ""),
        ("fork", LONG, "the worker was killed (SIGKILL", ""),
        ("nonsense", LONG, "the worker wrote nonsense: b'no event\\n'", ""),
        ("hang", 2.0, "took longer than the suite's timeout of 2 s and was stopped", ""),
    ],
)
def test_a_worker_that_is_lost_costs_its_stage_and_is_started_again(
    worker: Worker, train_set: ViewRef, tmp_path: Path, fail: str, timeout: float, told: str, last: str
):
    assert not train(worker, tmp_path / "before", train_set).error
    lost = pid(worker)
    outcome = train(worker, tmp_path / "lost", train_set, timeout, fail=fail)
    assert outcome.error.startswith(told)
    assert last in outcome.trace
    with pytest.raises(ProcessLookupError):
        os.kill(lost, 0)
    assert not train(worker, tmp_path / "after", train_set).error
    assert pid(worker) != lost


def test_a_worker_outlives_what_a_plugin_raises(worker: Worker, train_set: ViewRef, tmp_path: Path):
    assert not train(worker, tmp_path / "before", train_set).error
    same = pid(worker)
    outcome = train(worker, tmp_path / "lost", train_set, fail="raise")
    assert outcome.error == "RuntimeError: as it was told to"
    assert "misbehave" in outcome.trace
    assert not train(worker, tmp_path / "after", train_set).error
    assert pid(worker) == same


def test_a_worker_killed_from_outside_in_mid_job_costs_its_stage(worker: Worker, train_set: ViewRef, tmp_path: Path):
    outcome = train(worker, tmp_path / "lost", train_set, emit=lambda _: os.kill(pid(worker), signal.SIGKILL), slow=60.0)
    assert "SIGKILL" in outcome.error
    assert not train(worker, tmp_path / "after", train_set).error


def test_a_worker_that_cannot_be_started_costs_its_stage(train_set: ViewRef, tmp_path: Path):
    worker = Worker(tmp_path / "log", 1, offline=True, command=[str(tmp_path / "bin" / "python")])
    assert "its worker could not be started: " in train(worker, tmp_path / "train", train_set).error


def test_a_closed_worker_starts_no_more(train_set: ViewRef, tmp_path: Path):
    worker = Worker(tmp_path / "log", 1, offline=True)
    worker.close()
    assert train(worker, tmp_path / "late", train_set).error == "stopped before it began"
    assert worker.process is None


def test_a_stage_tells_how_far_it_is(worker: Worker, train_set: ViewRef, tmp_path: Path):
    events: list[Event] = []
    outcome = train(worker, tmp_path / "told", train_set, emit=events.append)
    told = [event for event in events if event["event"] == "progress"]
    assert told[-1] == {"event": "progress", "label": "train", "done": 2, "total": 2, "unit": "images", "figures": {}}
    assert outcome.records["training_images"] == 2
    assert outcome.packages["numpy"]
    assert outcome.peak_memory > 10 * 2**20


def test_a_full_disk_ends_the_run_with_a_sentence_and_what_is_finished_stays(plan_of: PlanOf, store: Store):
    class Full(InProcess):
        def carry_out(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
            if job.stage == "train":
                return Outcome(error="OSError: [Errno 28]", disk_full=True)
            return super().carry_out(job, emit, timeout)

    plan = plan_of()
    with pytest.raises(SynthbenchError, match=r"make room or name another folder with --store"):
        carry_out(plan, store, [Full()])
    assert store.get("data", plan.data.key) is not None


def test_what_a_plugin_logs_is_in_the_workers_log(finished: tuple[Plan, Store, RunState, Heard]):
    _, store, _, heard = finished
    logged = [str(event["message"]) for event in heard.events if event["event"] == "log"]
    written = "".join(file.read_text() for file in (store.root / "logs").iterdir())
    assert logged
    assert all(message in written for message in logged)
