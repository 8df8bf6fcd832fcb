"""How long a plan takes, and in which order its stages run."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest
from synthbench.cli import main
from synthbench.errors import SynthbenchError
from synthbench.execution.conditions import Conditions
from synthbench.execution.engines import InProcess
from synthbench.execution.jobs import Job, Outcome
from synthbench.execution.listener import Listener
from synthbench.execution.runner import Runner
from synthbench.planning.durations import Durations, durations_of, read_times
from synthbench.planning.making import make_plan
from synthbench.planning.plan import Plan
from synthbench.planning.schedule import simulate, ways_to_the_end
from synthbench.planning.stage import Stage
from synthbench.registry import installed
from synthbench.storage.local import LocalStore
from synthbench.storage.store import StageRecord
from synthbench.suite.reader import read_suite
from synthbench_fakes import SUITE


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return make_plan(read_suite(SUITE, installed()), installed(), LocalStore(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def finished(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    store = LocalStore(tmp_path_factory.mktemp("finished"))
    assert not Runner(plan, store, [InProcess(store)], Listener(), Conditions()).run().failures
    return store


def some_seconds(plan: Plan, seed: int = 0) -> Mapping[str, float]:
    draw = random.Random(seed)
    return {stage.key: draw.uniform(1, 100) for stage in plan.stages}


def test_the_way_from_a_stage_is_its_longest_chain(plan: Plan) -> None:
    seconds = some_seconds(plan)

    def longest(stage: Stage) -> float:
        after = [each for each in plan.stages if stage.key in {needed.key for needed in each.needs}]
        return seconds[stage.key] + max((longest(each) for each in after), default=0.0)

    ways = ways_to_the_end(plan.stages, seconds)
    assert ways == pytest.approx({stage.key: longest(stage) for stage in plan.stages})


@pytest.mark.parametrize("seed", range(5))
def test_machines_shorten_a_plan_down_to_its_longest_chain_and_no_further(plan: Plan, seed: int) -> None:
    seconds = some_seconds(plan, seed)
    found = [simulate(plan, seconds, machines) for machines in (1, 2, 4, 1000)]
    assert found[0].seconds == pytest.approx(sum(seconds.values()))
    assert found[0].busy == pytest.approx(1)
    assert found[-1].seconds == pytest.approx(found[-1].longest)
    for schedule in found:
        least = max(schedule.longest, schedule.work / schedule.machines)
        assert least - 1e-9 <= schedule.seconds <= schedule.work / schedule.machines + schedule.longest + 1e-9, "Graham's bound"


def test_what_is_in_the_store_takes_no_time(plan: Plan) -> None:
    done = {stage.key for stage in plan.stages[:5]}
    seconds = {stage.key: 1.0 for stage in plan.stages if stage.key not in done}
    assert simulate(plan, seconds, 1, done).seconds == len(seconds)
    assert simulate(plan, {}, 3, {stage.key for stage in plan.stages}).seconds == 0


def test_stages_take_as_long_as_those_most_like_them(plan: Plan) -> None:
    fit = next(stage for stage in plan.stages if stage.kind == "fit")
    assert fit.entry
    name = fit.entry.info.name
    same, other, unlike = (
        StageRecord(kind="fit", recipe=recipe, seconds=seconds)
        for recipe, seconds in ((fit.recipe, 4.0), ({"plugin": name, "options": {"x": 1}}, 6.0), ({"plugin": "another"}, 20.0))
    )
    assert Durations.of_records([same, other, unlike]).of(fit) == 4
    assert Durations.of_records([other, unlike]).of(fit) == 6
    assert Durations.of_records([unlike]).of(fit) == 20
    assert Durations.of_records([same], {"fit": 3.0}).of(fit) == 3
    assert Durations.of_records([same], {"fit": 3.0, f"fit.{name}": 2.0}).of(fit) == 2
    assert Durations().of(fit) is None


def test_a_store_tells_how_long_stages_like_these_took(plan: Plan, finished: LocalStore) -> None:
    known = durations_of(plan.stages, finished)
    for stage in plan.stages:
        artifact = finished.get(stage.kind, stage.key)
        assert artifact
        assert known.of(stage) is not None
    other = make_plan(read_suite(SUITE, installed(), ["images=7"]), installed(), finished)
    assert all(known.of(stage) is not None for stage in other.stages)


class Noting(InProcess):
    """Notes the kinds and keys of jobs in their order."""

    def __init__(self, store: LocalStore) -> None:
        super().__init__(store)
        self.keys: list[str] = []

    def run(self, job: Job, emit: object, timeout: float) -> Outcome:
        self.keys.append(job.key)
        return super().run(job, emit, timeout)  # type: ignore[arg-type]


def test_the_longest_chain_is_begun_first(plan: Plan, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    engine = Noting(store)
    runner = Runner(plan, store, [engine], Listener(), Conditions())
    ways = dict(runner._ways)
    runner.run()
    position = {key: number for number, key in enumerate(engine.keys)}
    for stage in plan.stages:
        ready_at = max((position[each.key] for each in stage.needs), default=-1)
        before = engine.keys[ready_at + 1 : position[stage.key]]
        same = [key for key in before if plan.replicates.get(key, 0) == plan.replicates.get(stage.key, 0)]
        assert all(ways[key] >= ways[stage.key] for key in same), stage.label


def test_the_command_says_how_long_and_at_what_price(finished: LocalStore, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    where = ["--store", str(finished.root), "--set", "images=7"]
    assert main(["plan", str(SUITE), *where, "--machines", "1,2", "--price", "2"]) == 0
    told = capsys.readouterr().out
    assert "stages at a time" in told
    assert "price" in told
    assert "the longest chain of stages takes" in told
    empty = ["--store", str(tmp_path / "empty")]
    assert main(["plan", str(SUITE), *empty]) == 0
    assert "no estimate of the time: this store has run no stage of the kind" in capsys.readouterr().out
    times = tmp_path / "times.toml"
    kinds = {stage.kind for stage in make_plan(read_suite(SUITE, installed()), installed(), finished).stages}
    times.write_text("".join(f"{kind} = 60\n" for kind in kinds))
    assert main(["plan", str(SUITE), *empty, "--times", str(times), "--machines", "1000"]) == 0
    assert "0%" not in (told := capsys.readouterr().out).split("busy")[0]
    assert "1000" in told


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("trian = 3", "'trian' is no kind of stage"),
        ("train = '3'", "should be seconds"),
        ("train = -1", "should be seconds"),
        ("train = inf", "should be seconds"),
        (f"train = {'9' * 400}", "should be seconds"),
        ("train = true", "should be seconds"),
        ("[train]\nx = []", "train.x is"),
        ("=", "cannot be read"),
    ],
)
def test_a_table_of_times_that_is_none_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "times.toml"
    path.write_text(text)
    with pytest.raises(SynthbenchError, match=reason):
        read_times(path)
