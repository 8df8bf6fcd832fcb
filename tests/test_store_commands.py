"""`synthbench store`: what is listed, shown, copied and removed, in a folder and in an object store."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from synthbench.cli import main
from synthbench.cli.needed import needed
from synthbench.errors import SynthbenchError
from synthbench.experiment import Experiment
from synthbench.storage import leases, managed_remote
from synthbench.storage.copying import copy
from synthbench.storage.inventory import ManagedStore, open_managed
from synthbench.storage.object_leases import ObjectLease
from synthbench.storage.objects import Objects
from synthbench.storage.remote_names import record_name
from synthbench.storage.store import StageRecord, is_remote
from synthbench_fakes import SUITE

OTHER = "detectors.threshold.score=0.4"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of two suites, and the results of both."""
    folder = tmp_path_factory.mktemp("finished")
    for name, changes in (("one", ()), ("two", (OTHER,))):
        assert not Experiment(SUITE, store=folder / "store", changes=changes).run(out=folder / name, in_process=True).failures
    return folder


@pytest.fixture(params=["folder", "objects"])
def store(request: pytest.FixtureRequest, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a copy of it, of either kind."""
    monkeypatch.setenv("SYNTHBENCH_STORE_CACHE", str(tmp_path / "caches"))
    address = str(tmp_path / "copy") if request.param == "folder" else f"memory://{tmp_path.name}-{time.time_ns()}"
    assert main(["store", "push", address, "--store", str(finished / "store")]) == 0
    return address


def contents(address: str) -> set[tuple[str, str]]:
    return set(opened(address).contents())


def report_without_stages(finished: Path, folder: Path) -> Path:
    """A report that needs nothing of a store."""
    keep = folder / "none.json"
    keep.write_text(json.dumps(json.loads((finished / "one" / "squares.json").read_text()) | {"stages": []}))
    return keep


def opened(address: str) -> ManagedStore:
    return open_managed(address, trust=False)


def test_everything_is_copied_and_nothing_twice(store: str, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = opened(str(finished / "store"))
    assert contents(store) == set(source.contents())
    for kind, key in contents(store):
        ours, theirs = opened(store).verify(kind, key), source.get(kind, key)
        assert ours is not None
        assert theirs is not None
        assert ours.record == theirs.record
        assert opened(store).series_of(kind, key) == source.series_of(kind, key)
    capsys.readouterr()
    assert main(["store", "push", store, "--store", str(finished / "store")]) == 0
    assert capsys.readouterr().out == f"0 copied, {len(contents(store))} there already\n"
    assert main(["store", "check", "--store", store]) == 0


def test_a_pulled_suite_runs_without_computing(store: str, tmp_path: Path) -> None:
    assert main(["store", "pull", store, str(SUITE), "--store", str(tmp_path / "mine")]) == 0
    mine = Experiment(SUITE, store=tmp_path / "mine")
    assert len(mine.cached) == len(mine.plan.stages)
    assert contents(str(tmp_path / "mine")) == {(stage.kind, stage.key) for stage in mine.plan.stages}
    other = Experiment(SUITE, store=tmp_path / "mine", changes=[OTHER])
    assert len(other.cached) < len(other.plan.stages), "it was not asked for"


def test_a_copy_that_broke_off_goes_on(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, count = copy, 0

    def breaks(*arguments: object) -> str:
        nonlocal count
        count += 1
        if count > 5:
            raise SynthbenchError("the connection broke")
        return str(real(*arguments))  # type: ignore[arg-type]

    monkeypatch.setattr("synthbench.cli.store.copy", breaks)
    command = ["store", "push", str(tmp_path / "copy"), "--store", str(finished / "store")]
    assert main(command) == 2
    assert len(contents(str(tmp_path / "copy"))) == 5
    monkeypatch.undo()
    assert main(command) == 0
    assert main(["store", "check", "--store", str(tmp_path / "copy")]) == 0
    assert contents(str(tmp_path / "copy")) == contents(str(finished / "store"))


def test_what_is_damaged_is_named_and_not_copied(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["store", "pull", store, "--store", str(tmp_path / "mine")])
    victim = next((tmp_path / "mine").glob("train/*/*/model.json"))
    victim.write_text(victim.read_text().replace("least", "lesat"))
    capsys.readouterr()
    assert main(["store", "push", str(tmp_path / "theirs"), "--store", str(tmp_path / "mine")]) == 1
    out = capsys.readouterr().out
    assert f"{victim.parent}: damaged: model.json is not what was stored; not copied" in out
    assert "not copied: 1 damaged" in out
    assert ("train", victim.parent.name) not in contents(str(tmp_path / "theirs"))


@pytest.mark.parametrize("tidied", [False, True])
def test_a_copy_that_is_damaged_is_replaced_after_it_was_set_aside(
    store: str, finished: Path, capsys: pytest.CaptureFixture[str], tidied: bool
) -> None:
    key = next(key for kind, key in contents(store) if kind == "train")
    spoil(store, "train", key)
    push = ["store", "push", store, "--store", str(finished / "store")]
    capsys.readouterr()
    assert main(push) == 0, "push reads no file of the other store"
    assert main(["store", "check", "--store", store]) == 1
    assert "1 damaged; a run that needs it makes it again, and push and pull copy whole ones after --set-aside" in capsys.readouterr().out
    assert main(["store", "check", "--set-aside", "--store", store]) == 1
    assert "model.json is not what was stored; it is " in capsys.readouterr().out
    assert ("train", key) not in contents(store)
    if tidied:
        assert main(["store", "gc", "--yes", "--store", store]) == 0
    capsys.readouterr()
    assert main(push) == 0
    assert "1 copied" in capsys.readouterr().out
    assert main(["store", "check", "--store", store]) == 0


def test_a_copy_that_another_host_set_aside_is_replaced(
    store: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = next(key for kind, key in contents(store) if kind == "train")
    spoil(store, "train", key)
    with monkeypatch.context() as there:
        there.setenv("SYNTHBENCH_STORE_CACHE", str(tmp_path / "elsewhere"))
        assert main(["store", "check", "--set-aside", "--store", store]) == 1
    capsys.readouterr()
    assert main(["store", "push", store, "--store", str(finished / "store")]) == 0
    assert "1 copied" in capsys.readouterr().out, "what lies in this host's cache is not there"
    assert main(["store", "check", "--store", store]) == 0


@pytest.mark.parametrize("record", ["damaged", "gone"])
def test_damaged_files_without_their_record_are_replaced(
    finished: Path, tmp_path: Path, record: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"memory://{tmp_path.name}-{time.time_ns()}"
    push = ["store", "push", address, "--store", str(finished / "store")]
    monkeypatch.setenv("SYNTHBENCH_STORE_CACHE", str(tmp_path / "one"))
    assert main(push) == 0
    key = next(key for kind, key in contents(address) if kind == "train")
    spoil(address, "train", key)
    objects, name = Objects(address), record_name("train", key)
    if record == "damaged":
        objects.write(name, (objects.read(name) or b"")[:-9])
        assert main(["store", "check", "--set-aside", "--store", address]) == 1
    else:
        objects.delete([name])
    monkeypatch.setenv("SYNTHBENCH_STORE_CACHE", str(tmp_path / "two"))
    assert main(push) == 0
    assert main(["store", "check", "--store", address]) == 0


def test_gc_leaves_what_was_copied_again_while_it_asked(store: str, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managed_remote, "YOUNG", -1.0)
    push = ["store", "push", store, "--store", str(finished / "store")]
    spoil(store, "train", next(key for kind, key in contents(store) if kind == "train"))
    assert main(["store", "check", "--set-aside", "--store", store]) == 1
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("synthbench.cli.store.answered_yes", lambda: main(push) == 0)
    assert main(["store", "gc", "--store", store]) == 0
    assert main(["store", "check", "--store", store]) == 0
    assert not opened(store).leftovers()


def test_gc_touches_nothing_of_an_artifact_that_is_on_its_way(store: str, finished: Path, tmp_path: Path) -> None:
    managed, before = opened(store), contents(store)
    keep = report_without_stages(finished, tmp_path)
    kind, key = next(iter(before))
    with pytest.MonkeyPatch.context() as patch, managed.hold(f"{kind}-{key[:16]}"):
        patch.setattr("synthbench.cli.store.refuse_beside_runs", lambda _: None)  # as if it had begun just after the look
        assert main(["store", "gc", "--keep", str(keep), "--yes", "--store", store]) == 0
    assert contents(store) == {(kind, key)}
    assert main(["store", "check", "--store", store]) == 0


def test_a_cache_sends_nothing_while_another_process_is_at_work_on_it(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTHBENCH_STORE_CACHE", str(tmp_path / "caches"))
    address = f"memory://{tmp_path.name}-{time.time_ns()}"
    main(["store", "push", address, "--store", str(finished / "store")])
    kind, key = next(iter(contents(address)))
    objects = Objects(address)
    objects.delete([record_name(kind, key)])
    with opened(address).hold(f"{kind}-{key[:16]}"):
        assert opened(address).get(kind, key) is None
        assert objects.read(record_name(kind, key)) is None
    assert opened(address).get(kind, key) is not None
    assert objects.read(record_name(kind, key)) is not None


def test_gc_goes_on_where_another_process_was_quicker(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in [key for kind, key in contents(store) if kind == "train"][:2]:
        spoil(store, "train", key)
    monkeypatch.setattr(managed_remote, "YOUNG", -1.0)
    assert main(["store", "check", "--set-aside", "--store", store]) == 1
    managed = opened(store)
    left = managed.leftovers()
    assert len(left) >= 2
    assert opened(store).remove(left[:1]) == 1
    managed.remove(left)
    assert not managed.leftovers()


def test_a_whole_artifact_that_replaced_a_damaged_one_is_not_set_aside(
    store: str, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = next(key for kind, key in contents(store) if kind == "train")
    spoil(store, "train", key)

    @contextmanager
    def late(self: ManagedStore, name: str) -> Iterator[bool]:
        self.set_aside("train", key)
        assert main(["store", "push", store, "--store", str(finished / "store")]) == 0
        yield True

    monkeypatch.setattr(type(opened(store)), "hold", late)
    assert main(["store", "check", "--set-aside", "--store", store]) == 1
    assert "model.json is not what was stored; another process was first" in capsys.readouterr().out
    assert main(["store", "check", "--store", store]) == 0


def test_what_cannot_be_set_aside_is_told_and_the_rest_is_checked(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in [key for kind, key in contents(store) if kind == "train"][:2]:
        spoil(store, "train", key)
    with opened(store).hold("run-1"):
        assert main(["store", "check", "--set-aside", "--store", store]) == 2
        assert "nothing was changed, since there are at work: run-1" in capsys.readouterr().err

    def refused(self: ManagedStore, name: str) -> bool:
        raise SynthbenchError("the disk can only be read")

    monkeypatch.setattr(type(opened(store)), "hold", refused)
    assert main(["store", "check", "--set-aside", "--store", store]) == 1
    out = capsys.readouterr().out
    assert out.count("model.json is not what was stored; it stays: the disk can only be read") == 2
    assert f"{len(contents(store))} artifacts checked, 2 damaged" in out


def spoil(address: str, kind: str, key: str) -> None:
    """Changes a file of an artifact, and not its size."""
    if not is_remote(address):
        file = Path(address) / kind / key[:2] / key / "model.json"
        file.write_text(file.read_text().replace("least", "lesat"))
        return
    objects = Objects(address)
    name = next(name for name in objects.find(f"files/{kind}/{key}") if name.endswith("/model.json"))
    objects.write(name, (objects.read(name) or b"").replace(b"least", b"lesat"))


def test_a_file_that_changes_on_the_way_does_not_arrive(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = opened(str(finished / "store")), opened(str(tmp_path / "copy"))
    kind, key = next(each for each in source.contents() if each[0] == "train")
    monkeypatch.setattr("synthbench.storage.copying.describe_files", lambda _: {})
    with pytest.raises(SynthbenchError, match="changed while it was copied; run the command again"):
        copy(source, target, kind, key)
    assert target.get(kind, key) is None


def test_artifacts_are_listed_and_shown(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["store", "list", "--store", store]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["kind", "key", "MB", "age", "label"]
    assert len(lines) == len(contents(store)) + 2
    assert re.fullmatch(rf"{len(contents(store))} artifacts, [\d.]+ MB", lines[-1])
    row = next(line for line in lines if line.startswith("score")).split()
    assert (row[2], row[4]) == ("0.0", "s"), "a small one, made some seconds ago"
    assert main(["store", "list", "--kind", "data", "--store", store]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["store", "show", f"score/{row[1]}", "--store", store]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["kind"] == "score"
    assert record["key"].startswith(row[1])
    assert "matches.npz" in record["files"]
    assert main(["store", "show", "0123456789", "--store", store]) == 2
    assert "no artifact has such a key" in capsys.readouterr().err
    assert main(["store", "show", "", "--store", store]) == 2
    assert "the beginning of several keys: " in capsys.readouterr().err


@pytest.mark.parametrize("keep", ["suite", "report"])
def test_gc_keeps_what_suites_and_reports_need(store: str, finished: Path, capsys: pytest.CaptureFixture[str], keep: str) -> None:
    both, name = contents(store), str(SUITE) if keep == "suite" else str(finished / "one" / "squares.json")
    stages = {(stage.kind, stage.key) for stage in Experiment(SUITE, store=store).plan.stages}
    capsys.readouterr()
    assert main(["store", "gc", "--keep", name, "--store", store]) == 2
    asked = capsys.readouterr()
    assert re.search(rf"{len(both - stages)} artifacts and 0 leftovers, [\d.]+ MB", asked.out)
    assert "give --yes, or answer at a terminal" in asked.err
    assert contents(store) == both
    assert main(["store", "gc", "--keep", name, "--store", store, "--yes"]) == 0
    assert contents(store) == stages
    assert len(Experiment(SUITE, store=store).cached) == len(stages)
    assert main(["store", "gc", "--keep", name, "--store", store, "--yes"]) == 0
    assert capsys.readouterr().out.endswith("nothing to remove\n")


def test_gc_keeps_all_of_several(store: str, finished: Path) -> None:
    both = contents(store)
    keep = [str(SUITE), str(finished / "two" / "squares.json")]
    assert main(["store", "gc", "--store", store, "--yes", "--keep", *keep]) == 0
    assert contents(store) == both


def test_gc_removes_nothing_for_a_suite_that_cannot_be_read(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(store)
    for name in ("nowhere.toml", "nowhere.json"):
        assert main(["store", "gc", "--keep", str(tmp_path / name), "--store", store, "--yes"]) == 2
    assert contents(store) == before


def test_gc_waits_for_a_run(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(store)
    with opened(store).build("fit", "f" * 64):
        assert main(["store", "gc", "--keep", str(SUITE), "--store", store, "--yes"]) == 2
        assert "nothing was changed, since there are at work: fit-ffffffffffffffff; wait for their end" in capsys.readouterr().err
    with opened(store).hold("run-1"):  # between two stages, or while they wait for a machine
        assert main(["store", "gc", "--keep", str(SUITE), "--store", store, "--yes"]) == 2
        assert "at work: run-1; wait" in capsys.readouterr().err
    assert contents(store) == before


def test_gc_asks_again_whether_a_run_has_begun_when_it_was_answered(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(store)
    with ExitStack() as running:
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("synthbench.cli.store.answered_yes", lambda: running.enter_context(opened(store).hold("run-1")))
        assert main(["store", "gc", "--keep", str(SUITE), "--store", store]) == 2
    assert contents(store) == before


def test_what_a_process_has_taken_up_since_it_was_listed_stays(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there, key = opened(store), "f" * 64
    with suppress(KeyboardInterrupt), there.build("fit", key, resumable=True) as build:
        (build.folder / "half").write_text("half")
        raise KeyboardInterrupt
    left = there.leftovers()
    assert len(left) == 1
    with opened(store).build("fit", key, resumable=True) as build:
        assert there.remove(left) == 0
        assert (build.folder / "half").read_text() == "half"


def test_a_lease_that_another_machine_left_is_watched_and_removed(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(leases, "WATCHED", 0.5)
    monkeypatch.setattr(leases, "STALE", 0.2)
    there = opened(store)
    with there.hold("run-1"):
        pass
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(leases, "this_host", lambda: "elsewhere")
        elsewhere.setattr(leases.Lease, "release", lambda self: self._released.set())
        elsewhere.setattr(ObjectLease, "release", lambda self: self._released.set())
        with there.hold("run-2"):
            pass
    time.sleep(0.5)
    assert opened(store).doubtful() == ["run-2"]
    assert main(["store", "gc", "--keep", str(SUITE), "--store", store, "--yes"]) == 0
    assert "watching for 0 s whether another machine still works on run-2" in capsys.readouterr().out
    assert not opened(store).building()


def test_a_store_is_the_same_however_it_is_named(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = str(finished / "store")
    for other in (f"file://{mine}", f"{mine}/../store"):
        assert main(["store", "push", other, "--store", mine]) == 2
        assert "a store in a folder; name it by its path" in (said := capsys.readouterr().err) or "the same store twice" in said
    objects = f"file://{tmp_path}/objects"
    assert main(["store", "push", objects, "--store", mine]) == 0
    assert main(["store", "list", "--store", f"{tmp_path}/objects"]) == 2
    assert f"a store of objects; name it with --store {objects}" in capsys.readouterr().err
    for nothing in ("s3://", "memory://"):
        assert main(["store", "list", "--store", nothing]) == 2
        assert "names no bucket or folder" in capsys.readouterr().err


def test_gc_leaves_what_synthbench_did_not_write(tmp_path: Path, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied = tmp_path / "copy"
    main(["store", "push", str(copied), "--store", str(finished / "store")])
    note = next(each for each in copied.glob("score/*/*")) / "note.txt"
    note.write_text("mine")
    others = [copied / "thesis.txt", copied / "fit" / "00" / "mine.damaged", copied / "data" / "ab" / "notes"]
    others += [copied / "cache" / "ab" / "abcdef0123456789", copied / "data" / "ab" / "abstract.txt"]
    for each in others:
        each.parent.mkdir(parents=True, exist_ok=True)
        each.write_text("mine")
    capsys.readouterr()
    keep = report_without_stages(finished, tmp_path)
    assert main(["store", "gc", "--keep", str(keep), "--store", str(copied), "--yes"]) == 0
    assert "stays: it has files that synthbench did not write, such as note.txt" in capsys.readouterr().out
    assert [path for path in (note, *others) if path.exists()] == [note, *others]
    assert contents(str(copied)) == {("score", note.parent.name)}
    assert main(["store", "check", "--set-aside", "--store", str(copied)]) == 1
    assert main(["store", "gc", "--store", str(copied), "--yes"]) == 0
    assert "stays; remove it by hand: synthbench may not have written note.txt" in capsys.readouterr().out
    assert [each.read_text() for each in (*copied.rglob("note.txt"), *others)] == ["mine"] * (1 + len(others))


def test_gc_leaves_objects_that_synthbench_did_not_write(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYNTHBENCH_STORE_CACHE", str(tmp_path / "caches"))
    monkeypatch.setattr(managed_remote, "YOUNG", -1.0)
    address = f"memory://{tmp_path.name}-{time.time_ns()}"
    main(["store", "push", address, "--store", str(finished / "store")])
    key, other, broken, *_ = (key for kind, key in contents(address) if kind == "train")
    names = ["files/README.txt", "files/my/papers/a.txt", f"files/train/{key}/note.txt", "damaged/mine.txt", "damaged/a/mine.txt"]
    names += ["leases/mine.txt", "records/train/mine.json"]
    beside, damaged = (
        next(iter(Objects(address).find(f"files/train/{each}"))).rpartition("/")[0] + "/note.txt" for each in (other, broken)
    )
    names += [beside, damaged]
    for name in names:
        Objects(address).write(name, b"mine")
    spoil(address, "train", other)
    assert main(["store", "check", "--set-aside", "--store", address]) == 1
    record = record_name("train", broken)
    Objects(address).write(record, b"{")
    keep = report_without_stages(finished, tmp_path)
    for command in (["gc"], ["gc", "--keep", str(keep)]):
        assert main(["store", *command, "--yes", "--store", address]) == 0
    assert contents(address) == {("train", broken)}
    theirs = {name for name in Objects(address).find("") if "note.txt" in name or "mine" in name or name in names}
    assert theirs == set(names)
    assert not Objects(address).find(f"files/train/{key}").keys() - set(names)
    assert not Objects(address).find(f"files/train/{other}").keys() - set(names)


def test_gc_removes_what_was_set_aside_and_what_broke_off(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managed_remote, "YOUNG", -1.0)
    there, (kind, key) = opened(store), next(each for each in contents(store) if each[0] == "train")
    there.set_aside(kind, key)
    left = there.leftovers()
    assert left
    assert sum(each.size for each in left) > 0
    assert main(["store", "gc", "--store", store, "--yes"]) == 0
    assert not opened(store).leftovers()
    for each in contents(store):
        opened(store).check(*each)


def test_shared_folders_stay_with_the_stages_that_use_them(store: str) -> None:
    there = opened(store)
    recipes = [found.record.recipe for each in contents(store) if each[0] == "fit" and (found := there.get(*each))]
    stage = next(each for each in recipes if each.get("options"))
    name, options = "class images", {next(iter(stage["options"])): next(iter(stage["options"].values()))}
    from synthbench.execution.sharing import recipe_of

    used = recipe_of(stage, name, list(options))
    for key, recipe in (("a" * 64, used), ("b" * 64, {**used, "seed": 99})):
        with there.build("shared", key) as build:
            build.publish(StageRecord(label=name, recipe=recipe))
    assert main(["store", "gc", "--keep", str(SUITE), "--store", store, "--yes"]) == 0
    assert ("shared", "a" * 64) in contents(store)
    assert ("shared", "b" * 64) not in contents(store)
    assert ("shared", "a" * 64) in needed([str(SUITE)], opened(store))


def test_a_command_that_looks_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for address in (str(tmp_path / "none"), "memory://none"):
        for command in (["list"], ["show", "a"], ["check"], ["gc"], ["push", str(tmp_path / "target")]):
            assert main(["store", *command, "--store", address]) == 2
            assert f"{address}: no store; name one with --store" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_a_damaged_artifact_is_listed(store: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["store", "pull", store, "--store", str(tmp_path / "mine")])
    next((tmp_path / "mine").glob("score/*/*/stage.json")).write_text("{")
    capsys.readouterr()
    assert main(["store", "list", "--kind", "score", "--store", str(tmp_path / "mine")]) == 0
    assert re.search(r"score .* 0\.0 .* damaged\n", capsys.readouterr().out)
