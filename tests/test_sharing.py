"""What stages share is made once, whatever stops or damages it, and for nobody who asks for something else."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from marked import wait_for
from synthbench.execution.conditions import Conditions
from synthbench.execution.engines import Engine, InProcess, Workers
from synthbench.execution.jobs import Job, Outcome
from synthbench.execution.listener import Listener
from synthbench.execution.runner import Runner
from synthbench.execution.sharing import SHARED, recipe_of, shared_folder
from synthbench.execution.stage_run import StageRun
from synthbench.planning.plan import Plan
from synthbench.planning.stage import Stage, key_of
from synthbench.storage.local import LocalStore
from synthbench.storage.managed_local import ManagedLocalStore

RECIPE: dict[str, Any] = {"stage": "fit", "seed": 5, "plugin": "painter", "version": 1, "options": {"size": 8, "rate": 0.1}, "reads": {}}
PALETTE = ("generators.paint.palette=5", "mix=[]", "baselines=[]")


def job(**changes: Any) -> Job:
    return Job(kind="fit", key="0" * 64, plugin=("generator", "painter"), about={"recipe": RECIPE | changes})


def share(store: LocalStore, make: Callable[[Path], None], options: tuple[str, ...] = ("size",), **changes: Any) -> Path:
    return shared_folder(job(**changes), store, StageRun(Path()), "colours", options, make)


def write(folder: Path) -> None:
    (folder / "red").write_text("1")


def refuse(folder: Path) -> None:
    pytest.fail(f"{folder} is made again")


def builder(store: LocalStore, seconds: float) -> subprocess.Popen[bytes]:
    """A process that shares the folder, and takes some time to make it."""
    return subprocess.Popen([sys.executable, __file__, str(store.root), str(seconds)])


def build(root: Path, seconds: float) -> None:
    """What such a process does."""

    def make(folder: Path) -> None:
        write(folder)
        with (root / "made.txt").open("a") as log:
            log.write("made\n")
        time.sleep(seconds)

    share(LocalStore(root), make)


class Heard(Listener):
    """Remembers how stages ended."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}

    def finished(self, stage: Stage, outcome: Outcome) -> None:
        self.outcomes[stage.label] = outcome


def shared(store: LocalStore) -> list[str]:
    return [key for kind, key in store.contents() if kind == SHARED]


def test_a_folder_is_made_once_for_stages_that_agree(store: LocalStore) -> None:
    folder = share(store, write)
    assert (folder / "red").read_text() == "1"
    other = RECIPE["options"] | {"rate": 0.5}
    run = StageRun(Path())
    again = shared_folder(job(options=other, reads={"references": "another draw"}), store, run, "colours", ("size",), refuse)
    assert again == folder
    assert run.notes[0].startswith("colours: from the store")
    assert not ManagedLocalStore(store.root).leftovers()


@pytest.mark.parametrize(
    "changes",
    [{"seed": 6}, {"plugin": "sculptor"}, {"version": 2}, {"environment": {"python": "3.12"}}, {"options": {"size": 9, "rate": 0.1}}],
)
def test_a_stage_that_differs_in_what_counts_has_its_own(store: LocalStore, changes: dict[str, Any]) -> None:
    share(store, write)
    share(store, write, **changes)
    assert len(shared(store)) == 2


def test_an_option_that_is_not_in_the_stages_key_is_refused(store: LocalStore) -> None:
    with pytest.raises(ValueError, match="shared 'colours': prompts: not among the options that count for this stage"):
        share(store, write, ("size", "prompts"))


def test_a_changed_file_of_weights_changes_the_key(plan_of: Callable[..., Plan], tmp_path: Path) -> None:
    def key_with(content: bytes) -> str:
        weights = tmp_path / "weights.safetensors"
        weights.write_bytes(content)
        plan = plan_of(f'detectors.threshold.weights="{weights}"')
        train = next(stage for stage in plan.stages if stage.label.startswith("train threshold"))
        assert train.entry is not None
        return key_of(recipe_of(train.recipe, "features", ["weights"]))

    assert key_with(b"one") != key_with(b"two")
    assert key_with(b"one") == key_with(b"one")


def test_a_stop_leaves_nothing_half_and_the_next_attempt_goes_on(store: LocalStore) -> None:
    def stop(folder: Path) -> None:
        write(folder)
        raise KeyboardInterrupt

    def go_on(folder: Path) -> None:
        assert (folder / "red").read_text() == "1"
        (folder / "blue").write_text("2")

    with pytest.raises(KeyboardInterrupt):
        share(store, stop)
    assert not shared(store)
    assert len(ManagedLocalStore(store.root).leftovers()) == 1, "`synthbench store gc` finds it"
    assert {path.name for path in share(store, go_on).iterdir()} == {"red", "blue", "stage.json"}
    assert not ManagedLocalStore(store.root).leftovers()


def test_a_damaged_folder_is_set_aside_and_made_again(store: LocalStore) -> None:
    (share(store, write) / "red").write_text("2")
    assert (share(LocalStore(store.root), write) / "red").read_text() == "1"
    (aside,) = ManagedLocalStore(store.root).leftovers()
    assert (Path(aside.place) / "red").read_text() == "2"


def test_of_several_processes_one_makes_it_and_the_others_wait(store: LocalStore) -> None:
    processes = [builder(store, 0.3) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (store.root / "made.txt").read_text() == "made\n"
    assert len(shared(store)) == 1


def test_a_builder_that_is_killed_is_followed_by_the_one_that_waits(store: LocalStore) -> None:
    process = builder(store, 600)
    wait_for(lambda: list((store.root / "building").glob("shared-*.partial/red")))
    Timer(1, process.kill).start()
    assert (share(store, lambda folder: (folder / "blue").touch()) / "red").read_text() == "1"
    process.wait(60)
    assert not list((store.root / "building").iterdir())


def test_fits_of_several_draws_share_and_give_what_each_gives_alone(
    plan_of: Callable[..., Plan], store: LocalStore, tmp_path: Path
) -> None:
    heard = Heard()
    plan = plan_of("seeds={references = [0, 1, 2]}", *PALETTE)
    engines: list[Engine] = [Workers(store, store.root / "logs" / f"{number}.log", 1) for number in range(2)]
    state = Runner(plan, store, engines, heard, Conditions(device="cpu", timeout=120)).run()
    assert not state.failures
    fits = [outcome.record for label, outcome in heard.outcomes.items() if label.startswith("fit ")]
    assert [sum("from the store" in note for note in record.notes) for record in fits].count(1) == 2
    (key,) = shared(store)
    artifact = store.verify(SHARED, key)
    assert artifact is not None
    assert len(artifact.record.files) == 5
    for draw in range(3):
        alone = LocalStore(tmp_path / str(draw))
        plan = plan_of(f"seeds={{references = [{draw}]}}", *PALETTE, store=alone)
        Runner(plan, alone, [InProcess(alone)], Heard(), Conditions(device="cpu", timeout=120)).run()
        (fit,) = (stage for stage in plan.stages if stage.kind == "fit")
        files = [each.record.files for each in (store.get("fit", fit.key), alone.get("fit", fit.key)) if each is not None]
        assert files == [files[0]] * 2


if __name__ == "__main__":
    build(Path(sys.argv[1]), float(sys.argv[2]))
