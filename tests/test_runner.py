"""Runs: every cell is scored, a failure costs its own cells alone, and nothing is done twice."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from marked import needs_proc, wait_for
from msgspec import structs
from synthbench.contract.stages import STAGES, StageKind
from synthbench.errors import SynthbenchError
from synthbench.execution.conditions import Conditions
from synthbench.execution.engines import Engine, InProcess, Workers
from synthbench.execution.jobs import Job, Outcome, Place
from synthbench.execution.listener import Listener
from synthbench.execution.perform import Task
from synthbench.execution.processes import processes_with
from synthbench.execution.provenance import code_hash, commit
from synthbench.execution.runner import Runner
from synthbench.execution.state import RunState, changed_plugins, look_up
from synthbench.execution.worker_process import MARK, Worker, kill, worker_command
from synthbench.planning.making import make_plan
from synthbench.planning.plan import Plan
from synthbench.planning.stage import Stage
from synthbench.registry import installed
from synthbench.results.collect import collect
from synthbench.results.model import Results
from synthbench.storage.coco import read_set
from synthbench.storage.local import LocalBuild, LocalStore, disk_errors_explained
from synthbench.storage.references import ArtifactRef, ViewRef
from synthbench.storage.store import Artifact, StageRecord
from synthbench.suite.reader import read_suite
from synthbench_fakes import SUITE, Squares, Threshold

if TYPE_CHECKING:
    from synthbench.execution.stage_run import Event

PlanOf = Callable[..., Plan]
LONG = 120.0  # seconds: no stage takes as long, however busy the machine


class Heard(Listener):
    """Remembers what a run said."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.events: list[Event] = []
        self.outcomes: dict[str, Outcome] = {}
        self.waited: list[str] = []
        self.repaired: list[tuple[str, str]] = []
        self.asked: list[tuple[str, str]] = []

    def started(self, stage: Stage) -> None:
        self.begun.append(stage.label)

    def heard(self, stage: Stage, event: Event) -> None:
        self.events.append(event)

    def finished(self, stage: Stage, outcome: Outcome) -> None:
        self.outcomes[stage.label] = outcome

    def postponed(self, stage: Stage) -> None:
        self.begun.remove(stage.label)
        self.waited.append(stage.label)

    def damaged(self, stage: Stage, message: str) -> None:
        self.repaired.append((stage.label, message))

    def waits(self, stage: Stage, message: str) -> None:
        self.asked.append((stage.label, message))


def carry_out(plan: Plan, store: LocalStore, engines: list[Engine] | None = None, heard: Heard | None = None) -> RunState:
    return Runner(plan, store, engines or [InProcess(store)], heard or Heard(), Conditions(device="cpu", timeout=LONG)).run()


def results(plan: Plan, state: RunState) -> Results:
    return collect(plan, state)


def scores(plan: Plan, state: RunState) -> list[object]:
    """Every figure of a run that must not differ between two."""
    found = results(plan, state)
    cells = [structs.replace(cell, train_seconds=0.0, predict_seconds=0.0) for cell in found.cells]
    return [*cells, *found.judged, *found.generated]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, LocalStore, RunState, Heard]:
    """The suite of squares, two seeds, carried out by two workers."""
    store = LocalStore(tmp_path_factory.mktemp("finished"))
    plan = make_plan(read_suite(SUITE, installed(), ["seeds=[0, 1]"]), installed(), store)
    engines: list[Engine] = [Workers(store, store.root / "logs" / f"{number}.log", 1) for number in range(2)]
    heard = Heard()
    return plan, store, carry_out(plan, store, engines, heard), heard


def test_every_cell_is_scored(finished: tuple[Plan, LocalStore, RunState, Heard]) -> None:
    plan, _, state, heard = finished
    assert len(state.artifacts) == len(plan.stages) == len(heard.outcomes)
    cells = results(plan, state).cells
    assert len(cells) == 5 * 2 * 2
    assert all(0 < cell.metrics["AP"] <= 1 and cell.failed is None for cell in cells)
    assert len({cell.metrics["AP"] for cell in cells}) > 3, "the figures tell cells apart"
    wrong = [[cell.metrics[f"error_{name}"] for name in ("class", "place", "both", "duplicate", "background", "missed")] for cell in cells]
    assert any(cost > 0 for costs in wrong for cost in costs), "and say what went wrong"
    assert any(cell.metrics["error_missed_count"] > 0 for cell in cells)
    assert {file.name for file in (finished[1].root / "logs").iterdir()} >= {"0-synthbench.log", "1-synthbench.log"}
    assert not list((finished[1].root / "building").iterdir())


def test_annotators_are_held_against_the_truth(finished: tuple[Plan, LocalStore, RunState, Heard]) -> None:
    plan, _, state, _ = finished
    judged = {each.annotator: each for each in results(plan, state).judged}
    assert {*judged} == {"native", "teacher"}
    assert all(each.precision and each.recall and each.hits for each in judged.values())


def test_no_stage_begins_before_what_it_needs_and_none_twice(finished: tuple[Plan, LocalStore, RunState, Heard]) -> None:
    plan, _, _, heard = finished
    assert sorted(heard.begun) == sorted(stage.label for stage in plan.stages)
    for stage in plan.stages:
        assert all(heard.begun.index(needed.label) < heard.begun.index(stage.label) for needed in stage.needs)


def test_a_second_run_does_nothing(finished: tuple[Plan, LocalStore, RunState, Heard]) -> None:
    plan, store, state, _ = finished

    class Never(InProcess):
        def run(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
            pytest.fail(f"{job.label} was carried out again")

    again = carry_out(plan, LocalStore(store.root), [Never(store)])
    assert again.cached == {stage.key for stage in plan.stages}
    assert scores(plan, again) == scores(plan, state)


def test_another_store_and_no_workers_give_the_same_figures_digit_for_digit(
    finished: tuple[Plan, LocalStore, RunState, Heard], plan_of: PlanOf, store: LocalStore
) -> None:
    plan = plan_of("seeds=[0, 1]")
    assert scores(plan, carry_out(plan, store)) == scores(finished[0], finished[2])


def test_a_run_goes_on_from_what_is_there(plan_of: PlanOf, store: LocalStore) -> None:
    small = plan_of('baselines=["references"]')
    carry_out(small, store)
    heard = Heard()
    plan = plan_of('baselines=["references"]', "detectors.strict.score=0.5")
    carry_out(plan, store, heard=heard)
    assert heard.begun
    assert all(" strict " in label and label.split()[0] in ("predict", "score") for label in heard.begun)


def test_a_failing_detector_costs_its_cells_alone(plan_of: PlanOf, store: LocalStore) -> None:
    plan = plan_of("detectors.strict.fail=raise", "detectors.strict.fail_with=6")
    state = carry_out(plan, store)
    found = results(plan, state)
    lost = [(cell.training_set, cell.detector) for cell in found.cells if not cell.metrics]
    assert lost == [("real", "strict")]
    (failure,) = found.failures
    assert failure.label == "train strict on real"
    assert failure.error == "RuntimeError: as it was told to"
    assert 'raise RuntimeError("as it was told to")' in failure.trace
    assert failure.cells == ["real / strict / seed 0"]
    assert [cell.failed for cell in found.cells].count(failure.key) == 1
    assert {stage.label: stage.state for stage in found.stages}["predict strict on real -> test"] == "blocked"
    assert store.get("train", failure.key) is None


def test_a_failing_teacher_costs_what_it_would_have_labelled(plan_of: PlanOf, store: LocalStore) -> None:
    plan = plan_of("detectors.threshold.fail=raise", "detectors.threshold.fail_with=3")
    found = results(plan, carry_out(plan, store))
    lost = [(cell.training_set, cell.detector) for cell in found.cells if not cell.metrics]
    assert lost == [("references", "threshold"), ("paint x teacher", "threshold"), ("paint x teacher", "strict")]
    (failure,) = found.failures
    assert len(failure.cells) == 3
    assert {cell.failed for cell in found.cells if not cell.metrics} == {failure.key}


def test_a_plugin_whose_code_has_changed_since_is_told_and_made_again_with_another_version(
    plan_of: PlanOf, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of()
    carry_out(plan, store)
    assert changed_plugins(plan, look_up(plan, store)) == []
    monkeypatch.setattr("synthbench.execution.state.code_hash", lambda plugin: "other" if plugin is Threshold else code_hash(plugin))
    assert changed_plugins(plan, look_up(plan, store)) == ["strict", "threshold"]
    monkeypatch.setattr(Threshold, "version", 2)
    again = plan_of()
    assert changed_plugins(again, look_up(again, store)) == []
    assert len(look_up(again, store).cached) < len(again.stages)


def test_a_failure_is_tried_again(plan_of: PlanOf, store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("of this one time")

    plan = plan_of()
    monkeypatch.setattr("synthbench_fakes.misbehave", fail)
    assert carry_out(plan, store).failures
    monkeypatch.undo()
    assert not carry_out(plan, store).failures


def test_held_out_images_are_in_no_training_set(plan_of: PlanOf, store: LocalStore) -> None:
    plan = plan_of("holdout=2")
    state = carry_out(plan, store)
    shown: dict[str, set[bytes]] = {}
    for stage in plan.stages:
        if stage.kind == "select":
            images = read_set(state.artifacts[stage.key].folder)
            shown.setdefault(stage.parameters["split"], set()).update(picture.path.read_bytes() for picture in images)
            assert stage.parameters["split"] == "train" or all(picture.boxes is None for picture in images)
    assert {split: len(images) for split, images in shown.items()} == {"train": 4, "holdout": 2, "test": 4}
    assert not shown["train"] & shown["holdout"]
    held_out = {cell.training_set: cell.held_out_ap for cell in results(plan, state).cells}
    assert all((ap is not None) == (row in ("paint x native", "paint x teacher")) for row, ap in held_out.items())
    failed = carry_out(plan_of("holdout=6"), store)
    assert any("holds out 6 real training images, but there are only 6" in outcome.error for outcome in failed.failures.values())


def test_more_references_than_images_are_told(plan_of: PlanOf, store: LocalStore) -> None:
    state = carry_out(plan_of("references=7"), store)
    told = {outcome.error for outcome in state.failures.values()}
    assert told == {"the suite asks for 7 real training images, but there are only 6"}


def test_a_full_disk_ends_the_run_and_keeps_what_is_finished(plan_of: PlanOf, store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of()
    publish = store.publish

    def full(build: LocalBuild, record: StageRecord) -> Artifact:
        if build.kind == "fit":
            with disk_errors_explained(store.root):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return publish(build, record)

    monkeypatch.setattr(store, "publish", full)
    with pytest.raises(SynthbenchError, match="make room or name another folder with --store"):
        carry_out(plan, store)
    assert store.get("data", plan.data.key) is not None
    assert store.get("fit", next(stage.key for stage in plan.stages if stage.kind == "fit")) is None


@pytest.fixture(scope="module")
def train_set(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """A store that holds two training images, `TRAIN_SET`."""
    store = LocalStore(tmp_path_factory.mktemp("data"))
    data = Job(kind="data", key="d" * 64, place=FAKES, plugin=("data-source", "fake-squares"), options={"train": 2, "test": 1})
    parameters = {"split": "train", "count": None, "seed": 0}
    reads = {"data": ArtifactRef(kind="data", key=data.key)}
    for job in (data, Job(kind="select", key=TRAIN_SET.images.key, reads=reads, parameters=parameters)):
        assert not InProcess(store).run(job, lambda _: None, LONG).error
    return store


FAKES = Place(distribution="synthbench-fakes")
TRAIN_SET = ViewRef(images=ArtifactRef(kind="select", key="5" * 64))


@pytest.fixture(scope="module")
def worker(train_set: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(
        tmp_path_factory.mktemp("worker") / "log", 1, True, worker_command(sys.executable, train_set.address, FAKES.distribution)
    )
    yield worker
    worker.close()


def train(worker: Worker, timeout: float = LONG, emit: Callable[[Event], None] | None = None, **options: Any) -> Outcome:
    key = uuid.uuid4().hex * 2
    job = Job(kind="train", key=key, plugin=("detector", "fake-threshold"), options=options, views={"data": [TRAIN_SET]}, place=FAKES)
    return worker.run(job, emit or (lambda _: None), timeout)


def pid(worker: Worker) -> int:
    assert worker.process is not None
    return worker.process.pid


@pytest.mark.parametrize(
    ("fail", "timeout", "told", "last"),
    [
        ("crash", LONG, "the worker ended with status 7", "about to crash"),
        ("silent", LONG, "the worker ended with status 3", ""),
        ("memory", LONG, "the worker was killed (SIGKILL: often by the system, when memory runs out)", ""),
        ("fork", LONG, "the worker was killed (SIGKILL", ""),
        ("nonsense", LONG, "the worker wrote nonsense: b'no event\\n'", ""),
        ("hang", 2.0, "took longer than the suite's timeout of 2 s and was stopped", ""),
    ],
)
def test_a_worker_that_is_lost_costs_its_stage_and_is_started_again(
    worker: Worker, fail: str, timeout: float, told: str, last: str
) -> None:
    assert not train(worker).error
    lost = pid(worker)
    outcome = train(worker, timeout, fail=fail)
    assert outcome.error.startswith(told)
    assert last in outcome.trace
    with pytest.raises(ProcessLookupError):
        os.kill(lost, 0)
    assert not train(worker).error
    assert pid(worker) != lost


def test_a_worker_outlives_what_a_plugin_raises(worker: Worker) -> None:
    assert not train(worker).error
    same = pid(worker)
    outcome = train(worker, fail="raise")
    assert outcome.error == "RuntimeError: as it was told to"
    assert "misbehave" in outcome.trace
    assert not train(worker).error
    assert pid(worker) == same


def test_a_worker_killed_from_outside_in_mid_job_costs_its_stage(worker: Worker) -> None:
    outcome = train(worker, emit=lambda _: os.kill(pid(worker), signal.SIGKILL), slow=60.0)
    assert "SIGKILL" in outcome.error
    assert not train(worker).error


def test_the_timeout_does_not_count_the_start_of_the_worker(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    worker.environment["SYNTHBENCH_FAKE_SLOW_START"] = "3"
    if worker.process is not None:
        kill(worker.process)
    assert train(worker, 2.0).error == ""
    del worker.environment["SYNTHBENCH_FAKE_SLOW_START"]
    monkeypatch.setattr("synthbench.execution.worker_process.START", 0.05)
    assert worker.process is not None
    kill(worker.process)
    assert train(worker).error == "the worker did not start within 0.05 s"


def test_a_longer_sampling_samples_the_missing_images_only(plan_of: PlanOf, store: LocalStore) -> None:
    carry_out(plan_of("images=4"), store)
    plan = plan_of("images=8")
    state = carry_out(plan, store)
    longer = next(stage for stage in plan.stages if stage.kind == "sample")
    assert state.artifacts[longer.key].record.facts == {"images": 8, "reused_images": 4}
    alone = LocalStore(store.root.parent / "alone")
    fresh = carry_out(plan_of("images=8", store=alone), alone)
    assert fresh.artifacts[longer.key].record.facts["reused_images"] == 0
    assert scores(plan, state) == scores(plan, fresh)
    files = [sorted((each.artifacts[longer.key].folder / "images").iterdir()) for each in (state, fresh)]
    assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]


def test_what_a_plugin_logs_cannot_change_the_results_of_the_core(
    plan_of: PlanOf, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = Threshold.train

    def train_and_log(self: Threshold, data: Any, run: Any) -> None:
        learn(self, data, run)
        run.log_metrics(images=-1, training_set="mine", name="mine", AP=1.0)

    monkeypatch.setattr(Threshold, "train", train_and_log)
    plan = plan_of()
    cell = results(plan, carry_out(plan, store)).cells[0]
    assert cell.training_set == "real"
    assert cell.training is not None
    assert (cell.training.images, cell.training.metrics["fake-threshold"]["AP"]) == (6, 1.0)
    assert cell.metrics["AP"] < 1


def test_a_new_kind_of_stage_is_one_entry_and_one_function(plan_of: PlanOf, store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STAGES, "count", StageKind(name="count", function=f"{__name__}:count_images", inputs=("images",), cost="count"))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[count_images.__module__])
    plan = plan_of()
    stage = Stage(kind="count", label="count the test images", views={"images": (plan.test,)})
    plan = replace(plan, stages=(*plan.stages, stage))
    state = carry_out(plan, store)
    assert state.artifacts[stage.key].record.facts == {"images": 4}
    assert results(plan, state).stages[-1].facts == {"images": 4}
    assert all("count" in costs for costs in results(plan, state).costs.values())


def count_images(task: Task) -> None:
    task.facts["images"] = len(task.images("images"))


def test_a_worker_runs_the_plugins_of_one_distribution_only(train_set: LocalStore, tmp_path: Path) -> None:
    engine = Workers(train_set, tmp_path / "log", 1)
    orchard = Place(distribution="synthbench-orchard")
    options = {"train": 1, "test": 1}
    jobs = [
        Job(kind="data", key=uuid.uuid4().hex * 2, plugin=("data-source", name), options=options, place=place)
        for name, place in (("fake-squares", FAKES), ("orchard", orchard), ("fake-squares", orchard))
    ]
    try:
        assert not engine.run(jobs[0], lambda _: None, LONG).error
        assert engine.is_warm_for(FAKES)
        fakes = pid(engine.workers[FAKES])
        assert not engine.run(jobs[1], lambda _: None, LONG).error
        assert engine.is_warm_for(orchard)
        assert not engine.is_warm_for(FAKES)
        with pytest.raises(ProcessLookupError):
            os.kill(fakes, 0)
        assert "no data-source named 'fake-squares' is installed" in engine.run(jobs[2], lambda _: None, LONG).error
    finally:
        engine.close()


def test_a_worker_that_died_while_it_waited_costs_nothing(worker: Worker) -> None:
    assert not train(worker).error
    before = pid(worker)
    os.kill(before, signal.SIGKILL)
    assert not train(worker).error
    assert pid(worker) != before


@needs_proc
def test_what_a_plugin_starts_in_a_session_of_its_own_ends_with_its_worker(train_set: LocalStore, tmp_path: Path) -> None:
    worker = Worker(tmp_path / "log", 1, True, worker_command(sys.executable, train_set.address, FAKES.distribution))
    assert not train(worker, fail="daemon").error
    assert processes_with(MARK, worker.mark)
    worker.close()
    wait_for(lambda: not processes_with(MARK, worker.mark))


@pytest.mark.parametrize(
    ("damage", "again"),
    [
        ("data", {"data", "select"}),
        ("sample", {"sample"}),
        ("train", {"train"}),
    ],
)
def test_a_damaged_result_is_made_again_before_what_needs_it(plan_of: PlanOf, store: LocalStore, damage: str, again: set[str]) -> None:
    plan = plan_of()
    first = carry_out(plan, store)
    for stage in plan.stages:
        if stage.kind == "predict":
            shutil.rmtree(first.artifacts[stage.key].folder)
    victim = next(stage for stage in plan.stages if stage.kind == damage)
    for file in first.artifacts[victim.key].folder.rglob("*"):
        if file.is_file() and file.name != "stage.json":
            file.write_bytes(file.read_bytes()[:-1] + b"~")  # in place: hard links of it are damaged, too
    heard = Heard()
    second = carry_out(plan, LocalStore(store.root), heard=heard)
    assert not second.failures
    assert scores(plan, second) == scores(plan, first)
    done = {label.split()[0] for label in heard.begun}
    assert done - {"predict", "load"} <= again | {"load"}
    assert heard.repaired or damage == "data"


def test_files_that_change_while_a_stage_reads_them_cost_that_stage(
    plan_of: PlanOf, store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a").write_text("one")
    plan = plan_of(f"data.folder={tmp_path / 'photos'}")
    load = Squares.load

    def load_and_change(self: Squares, run: Any) -> Any:
        (tmp_path / "photos" / "a").write_text("two")
        return load(self, run)

    monkeypatch.setattr(Squares, "load", load_and_change)
    state = carry_out(plan, store)
    assert [outcome.error for outcome in state.failures.values()] == [
        "files that it reads changed while it ran, so its result was set aside; run again"
    ]
    assert store.get("data", plan.data.key) is None
    monkeypatch.undo()
    assert not carry_out(plan_of(f"data.folder={tmp_path / 'photos'}"), store).failures


def test_a_stage_that_another_run_makes_is_waited_for(plan_of: PlanOf, store: LocalStore) -> None:
    plan = plan_of()
    stage = next(stage for stage in plan.stages if stage.kind == "fit")
    heard = Heard()
    with store.build("fit", stage.key, resumable=True):
        run = threading.Thread(target=carry_out, args=(plan, LocalStore(store.root), None, heard), daemon=True)
        run.start()
        wait_for(lambda: stage.label in heard.waited)
        assert stage.label not in heard.outcomes
    run.join(LONG)
    assert not heard.outcomes[stage.label].error
    assert len(heard.outcomes) == len(plan.stages)


def test_a_worker_that_cannot_be_started_costs_its_stage(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "log", 1, True, [str(tmp_path / "bin" / "python")])
    assert "its worker could not be started: " in train(worker).error


def test_a_closed_worker_starts_no_more(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "log", 1, True, worker_command(sys.executable, str(tmp_path)))
    worker.close()
    assert train(worker).error == "stopped before it began"
    assert worker.process is None


def test_a_stage_tells_how_far_it_is(worker: Worker) -> None:
    events: list[Event] = []
    outcome = train(worker, emit=events.append)
    told = [event for event in events if event["event"] == "progress"]
    assert told[-1] == {"event": "progress", "label": "train", "done": 2, "total": 2, "unit": "images", "figures": {}}
    assert outcome.record.facts["images"] == 2
    assert {*outcome.record.metrics} == {"fake-threshold"}
    assert outcome.record.packages["numpy"]
    assert outcome.record.peak_memory > 10 * 2**20


def test_a_full_disk_ends_the_run_with_a_sentence_and_what_is_finished_stays(plan_of: PlanOf, store: LocalStore) -> None:
    class Full(InProcess):
        def run(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
            if job.kind == "train":
                return Outcome(error="OSError: [Errno 28]", disk_full=True)
            return super().run(job, emit, timeout)

    plan = plan_of()
    with pytest.raises(SynthbenchError, match=r"make room or name another folder with --store"):
        carry_out(plan, store, [Full(store)])
    assert store.get("data", plan.data.key) is not None


def test_what_a_plugin_logs_is_in_the_workers_log(finished: tuple[Plan, LocalStore, RunState, Heard]) -> None:
    _, store, _, heard = finished
    logged = [str(event["message"]) for event in heard.events if event["event"] == "log"]
    written = "".join(file.read_text() for file in (store.root / "logs").iterdir())
    assert logged
    assert all(message in written for message in logged)


def test_the_peak_on_a_gpu_is_that_of_the_stage(plan_of: PlanOf, store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    peak = 5 * 2**30

    def reset(device: str) -> None:
        assert device == "cuda:1"
        nonlocal peak
        peak = 3 * 2**20

    cuda = SimpleNamespace(
        is_available=lambda: True,
        is_initialized=lambda: True,
        reset_peak_memory_stats=reset,
        max_memory_allocated=lambda device: peak,
        get_device_name=lambda device: "a GPU",
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda, set_num_threads=lambda count: None))
    state = Runner(plan_of(), store, [InProcess(store)], Heard(), Conditions(device="cuda:1", timeout=LONG)).run()
    assert {artifact.record.peak_gpu_memory for artifact in state.artifacts.values()} == {0, 3 * 2**20}  # 0: the core's own stages use none


def test_results_of_a_checkout_name_its_commit() -> None:
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        pytest.skip("not in a checkout")

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    assert git("rev-parse", f"{commit().rstrip('+')}^{{commit}}") == git("rev-parse", "HEAD")
