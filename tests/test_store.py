"""The store: what is there is whole, nothing foreign is touched, and a full disk is told in plain words."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from synthbench.errors import SynthbenchError
from synthbench.planning.stage import key_of
from synthbench.storage.leases import STALE, acquire, this_host
from synthbench.storage.local import LocalStore
from synthbench.storage.managed_local import ManagedLocalStore
from synthbench.storage.store import Busy, DamagedArtifact, StageRecord

KEY = key_of({"stage": "fit"})


def put(store: LocalStore, content: str) -> Path:
    with store.build("fit", KEY) as build:
        (build.folder / "model").write_text(content)
        return build.publish(StageRecord(label=content)).folder


def leftovers(store: LocalStore) -> list[str]:
    damaged = [path.name for path in store.root.rglob("*.damaged")]
    return sorted([*damaged, *(path.name for path in (store.root / "building").iterdir())])


def settle(*paths: Path) -> None:
    """Makes files look as if they had been written a minute ago."""
    for path in paths:
        os.utime(path, ns=(time.time_ns() - 60 * 10**9,) * 2)


def test_what_was_published_is_found_again(store: LocalStore) -> None:
    folder = put(store, "one")
    found = LocalStore(store.root).get("fit", KEY)
    assert found is not None
    assert (found.folder, found.record.label) == (folder, "one")
    assert (found.folder / "model").read_text() == "one"
    assert not leftovers(store)


def test_a_half_built_folder_is_never_seen_and_goes(store: LocalStore) -> None:
    def build_half() -> None:
        with store.build("fit", KEY) as build:
            (build.folder / "model").write_text("half")
            assert store.get("fit", KEY) is None
            raise RuntimeError

    with pytest.raises(RuntimeError):
        build_half()
    assert store.get("fit", KEY) is None
    assert not leftovers(store)


def test_of_two_makers_the_first_stays(store: LocalStore) -> None:
    put(store, "first")
    put(store, "second")
    found = store.get("fit", KEY)
    assert found is not None
    assert found.record.label == "first"
    assert not leftovers(store)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[]", b"{}", b'{"label": "new"}'])
def test_a_damaged_record_is_told_and_set_aside_not_deleted(store: LocalStore, damage: bytes) -> None:
    folder = put(store, "old")
    (folder / "stage.json").write_bytes(damage)
    with pytest.raises(DamagedArtifact, match=f"{folder}: damaged: stage.json: "):
        store.get("fit", KEY)
    assert (Path(store.set_aside("fit", KEY)) / "model").read_text() == "old"
    put(store, "new")
    found = store.get("fit", KEY)
    assert found is not None
    assert found.record.label == "new"
    (aside,) = leftovers(store)
    assert aside.endswith(".damaged")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / "model").write_text("olb"), "model is not what was stored"),
        (lambda folder: (folder / "model").write_text(""), "model is not what was stored"),
        (lambda folder: (folder / "model").unlink(), "model is missing"),
        (lambda folder: (folder / "more").touch(), "more is not one of its files"),
        (lambda folder: (folder / "more").symlink_to(folder / "model"), "more: neither a file nor a folder"),
        (lambda folder: (folder / "more").symlink_to(folder.parent), "more: neither a file nor a folder"),
        (lambda folder: os.mkfifo(folder / "more"), "more: neither a file nor a folder"),
    ],
)
def test_a_damaged_file_is_told(store: LocalStore, damage: Callable[[Path], None], told: str) -> None:
    folder = put(store, "old")
    settle(folder / "model")
    assert store.verify("fit", KEY) is not None
    damage(folder)
    with pytest.raises(DamagedArtifact, match=told):
        store.verify("fit", KEY)


def test_a_digit_changed_in_a_record_is_damage(store: LocalStore) -> None:
    with store.build("score", KEY) as build:
        folder = build.publish(StageRecord(facts={"AP": 0.123})).folder
    record = folder / "stage.json"
    record.write_text(record.read_text().replace("0.123", "0.923"))
    with pytest.raises(DamagedArtifact, match="its checksum is that of another content"):
        store.get("score", KEY)


def test_a_result_with_a_link_is_not_stored(store: LocalStore) -> None:
    with store.build("fit", KEY) as build:
        (build.folder / "weights").symlink_to("/etc/hostname")
        with pytest.raises(SynthbenchError, match="weights: neither a file nor a folder"):
            build.publish(StageRecord())
    assert store.get("fit", KEY) is None


def test_one_process_makes_a_stage_at_a_time(store: LocalStore) -> None:
    assert not store.is_busy("fit", KEY)
    with store.build("fit", KEY):
        assert store.is_busy("fit", KEY)
        with pytest.raises(Busy), store.build("fit", KEY):
            pytest.fail("it is being made")
    assert not store.is_busy("fit", KEY)
    assert not leftovers(store)


def test_a_store_that_somebody_else_made_is_used_only_if_told(store: LocalStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(store, "mine")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another user"))
    with pytest.raises(SynthbenchError, match=r"was not made by this user on this machine.*use it with --trust-store"):
        LocalStore(store.root)
    assert LocalStore(store.root, trust=True).get("fit", KEY) is not None
    (store.root / "synthbench-store.json").write_text('{"schema": 3, "id": "0", "seal": ""}')
    with pytest.raises(SynthbenchError, match="--trust-store"):
        LocalStore(store.root)


@pytest.mark.parametrize("name", ["building", "logs", "fit", "hashes.json", "building/fit-0.lease", "series/abc"])
def test_a_store_with_a_link_is_refused_and_what_it_leads_to_is_untouched(store: LocalStore, tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    link = store.root / name
    link.parent.mkdir(exist_ok=True)
    if link.is_dir():
        link.rmdir()
    link.symlink_to(precious)
    with pytest.raises(SynthbenchError, match=f"{link}: is a link, and a store contains none: remove it"):
        LocalStore(store.root)
    assert precious.read_text() == "mine"


def test_an_artifact_that_is_a_file_is_damage(store: LocalStore) -> None:
    folder = put(store, "old")
    shutil.rmtree(folder)
    folder.write_text("not a folder")
    with pytest.raises(DamagedArtifact):
        store.get("fit", KEY)
    assert Path(store.set_aside("fit", KEY)).read_text() == "not a folder"
    assert store.get("fit", KEY) is None
    managed = ManagedLocalStore(store.root)
    managed.remove(managed.leftovers())
    assert not leftovers(store)


def test_a_folder_that_cannot_be_changed_keeps_its_damage_and_says_so(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, "old")

    def refused(**_: object) -> str:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("tempfile.mkdtemp", refused)
    with pytest.raises(SynthbenchError, match=r"damaged, and cannot be renamed \(Operation not permitted\)"):
        store.set_aside("fit", KEY)


def test_damage_that_cannot_be_set_aside_is_told(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(store, "old")
    (folder / "stage.json").unlink()

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(SynthbenchError, match=r"damaged, and cannot be renamed \(Operation not permitted\); remove it by hand"):
        store.set_aside("fit", KEY)


def test_a_record_of_another_result_is_damage(store: LocalStore) -> None:
    other = key_of({"stage": "score"})
    for key, score in ((KEY, 0.1), (other, 0.9)):
        with store.build("fit", key) as build:
            build.publish(StageRecord(facts={"AP": score}))
    one, two = store.folder("fit", KEY), store.folder("fit", other)
    one.rename(one.with_name("aside"))
    two.rename(one)
    with pytest.raises(DamagedArtifact, match=f"it is the record of fit {other[:12]}"):
        store.get("fit", KEY)


def test_nothing_outside_is_removed_through_a_link(store: LocalStore, tmp_path: Path) -> None:
    put(store, "old")
    (tmp_path / "thesis.damaged").mkdir()
    (store.root / "fit" / "00").symlink_to(tmp_path)
    with pytest.raises(SynthbenchError, match="is a link, and a store contains none"):
        LocalStore(store.root)
    assert (tmp_path / "thesis.damaged").exists()


def test_a_store_of_another_schema_is_refused(store: LocalStore) -> None:
    mark = store.root / "synthbench-store.json"
    mark.write_text(mark.read_text().replace('"schema": 3', '"schema": 99'))
    with pytest.raises(SynthbenchError, match="a store of schema 99"):
        LocalStore(store.root)


def test_no_store_is_made_that_could_not_be_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/dev/null")
    with pytest.raises(SynthbenchError, match="set XDG_DATA_HOME to a folder that can, or give --trust-store"):
        LocalStore(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert LocalStore(tmp_path / "new", trust=True).root.exists()


def test_a_link_that_leads_to_another_folder_changes_the_hash(store: LocalStore, tmp_path: Path) -> None:
    for name, content in (("v1", "one"), ("v2", "two")):
        (tmp_path / "w" / name).mkdir(parents=True)
        (tmp_path / "w" / name / "a.bin").write_text(content)
    hashes = []
    for target in ("v1", "v2"):
        (tmp_path / "w" / "weights").unlink(missing_ok=True)
        (tmp_path / "w" / "weights").symlink_to(target)
        hashes.append(store.content_hash(tmp_path / "w"))
    assert hashes[0] != hashes[1]


def test_an_artifact_that_is_a_link_is_damage(store: LocalStore, tmp_path: Path) -> None:
    folder = put(store, "old")
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedArtifact, match="it is a link"):
        store.get("fit", KEY)
    assert store.set_aside("fit", KEY)
    assert (tmp_path / "elsewhere" / "model").read_text() == "old"
    assert store.get("fit", KEY) is None


def test_a_foreign_folder_is_refused_and_untouched(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "apple.jpg").write_text("mine")
    with pytest.raises(SynthbenchError, match=r"not a store of synthbench and not empty; name another folder with --store"):
        LocalStore(photos)
    assert [path.name for path in photos.iterdir()] == ["apple.jpg"]


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SynthbenchError, match="--store"):
        LocalStore(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_cannot_be_written_is_told(store: LocalStore, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with store.build("fit", KEY) as build:
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(SynthbenchError, match=rf"{os.strerror(number)}.*make room or name another folder with --store"):
            build.publish(StageRecord())
    monkeypatch.undo()
    assert store.get("fit", KEY) is None
    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(SynthbenchError, match="the next run goes on from there"), store.build("fit", KEY):
        pass


def test_the_hash_of_a_folder_is_that_of_names_and_contents(store: LocalStore, tmp_path: Path) -> None:
    folders = []
    for number, (name, content) in enumerate([("a", "1"), ("a", "1"), ("a", "2"), ("b", "1")]):
        folder = tmp_path / str(number) / "data"
        folder.mkdir(parents=True)
        (folder / name).write_text(content)
        folders.append(store.content_hash(folder))
    assert folders[0] == folders[1]
    assert len({*folders}) == 3


def test_what_a_link_leads_to_counts(store: LocalStore, tmp_path: Path) -> None:
    folder, images = tmp_path / "data", tmp_path / "elsewhere"
    for each in (folder, images):
        each.mkdir()
    (folder / "images").symlink_to(images)
    (images / "round").symlink_to(folder)
    (images / "a.png").write_text("one")
    first = store.content_hash(folder)
    (images / "b.png").write_text("two")
    assert store.content_hash(folder) != first


def test_changed_content_under_the_same_name_is_noticed(store: LocalStore, tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_text("one")
    fresh = store.content_hash(file)
    file.write_text("two")  # of the same size, within one tick of the clock
    assert store.content_hash(file) != fresh
    file.write_text("one")
    settle(file)
    assert LocalStore(store.root).content_hash(file) == fresh
    file.write_text("two")
    assert LocalStore(store.root).content_hash(file) != fresh


def test_a_file_that_did_not_change_is_read_once(store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights"
    file.write_text("one")
    monkeypatch.setattr("synthbench.storage.hashes.SETTLED", -1)
    value = store.content_hash(file)
    again = LocalStore(store.root)
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("it was read again"))
    assert again.content_hash(file) == value


def test_hashing_nothing_is_told(store: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(SynthbenchError, match=r"nowhere: no such file or folder"):
        store.content_hash(tmp_path / "nowhere")


def test_a_key_is_the_same_however_its_recipe_is_ordered() -> None:
    assert key_of({"a": 1, "b": [1, 2]}) == key_of({"b": [1, 2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})


def test_the_store_says_what_it_is(store: LocalStore) -> None:
    assert json.loads((store.root / "synthbench-store.json").read_text())["schema"] == 3
    assert LocalStore(store.root).root == store.root


def test_a_stopped_fit_is_continued_and_other_stages_are_not(store: LocalStore) -> None:
    def stop(*, resumable: bool) -> Path:
        with suppress(RuntimeError), store.build("fit", KEY, resumable=resumable) as build:
            (build.folder / "state").write_text("step 200")
            raise RuntimeError
        return build.folder

    assert not stop(resumable=False).exists()
    assert stop(resumable=True).exists()
    store.sweep()
    with store.build("fit", KEY, resumable=True) as build:
        assert (build.folder / "state").read_text() == "step 200"
        build.publish(StageRecord())
    assert store.get("fit", KEY) is not None
    assert not leftovers(store)


KILLED = """
import os, signal, sys
from pathlib import Path
from synthbench.storage.local import LocalStore
with LocalStore(Path(sys.argv[1])).build("fit", "k" * 64) as build:
    (build.folder / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_swept_away_and_what_lives_is_not(store: LocalStore) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED, store.address], check=False).returncode == -signal.SIGKILL
    assert len(leftovers(store)) == 2, "a folder and its lease"
    with store.build("fit", KEY) as build:
        store.sweep()
        assert sorted(leftovers(store)) == [build.folder.name, f"{build.folder.name}.lease"]
    assert not leftovers(store)


def other_hosts_lease(store: LocalStore, age: float) -> Path:
    """A folder that another host builds in, whose lease was touched so many seconds ago."""
    folder = store.root / "building" / "fit-abc.xyz"
    folder.mkdir()
    lease = folder.with_name(f"{folder.name}.lease")
    lease.write_text(json.dumps({"host": "another", "process": os.getpid(), "started": "1", "id": "x"}))
    os.utime(lease, (time.time() - age,) * 2)
    return folder


def test_another_hosts_work_stays_while_its_heart_beats(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = other_hosts_lease(store, 30)
    store.sweep()
    assert folder.exists(), "its process id says nothing on this host"
    os.utime(f"{folder}.lease", (time.time() - STALE - 30,) * 2)
    store.sweep()
    assert folder.exists(), "it has to be watched for a minute: clocks may disagree"
    monkeypatch.setattr("synthbench.storage.leases.WATCHED", 0.0)
    store.sweep()
    assert not folder.exists()


def test_a_process_id_that_was_reused_is_not_the_owner(store: LocalStore) -> None:
    folder = other_hosts_lease(store, 0)
    lease = Path(f"{folder}.lease")
    lease.write_text(json.dumps({"host": this_host(), "process": os.getpid(), "started": "1", "id": "x"}))
    store.sweep()
    assert not folder.exists(), "this process has that id, but started at another time"


def test_a_lease_is_held_by_one_and_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthbench.storage.leases.HEARTBEAT", 0.02)
    path = tmp_path / "a.lease"
    first = acquire(path)
    assert first is not None
    assert acquire(path) is None
    os.utime(path, (1.0, 1.0))
    time.sleep(0.3)
    assert path.stat().st_mtime > 1.0
    first.release()
    assert not path.exists()
    second = acquire(path)
    assert second is not None
    second.release()


def test_a_stage_that_another_process_took_over_is_not_stored(store: LocalStore) -> None:
    with store.build("fit", KEY) as build:
        Path(f"{build.folder}.lease").write_text("another's")
        with pytest.raises(SynthbenchError, match="another process took over"):
            build.publish(StageRecord())
    assert store.get("fit", KEY) is None


def test_what_tools_leave_in_a_folder_does_not_change_its_hash_and_other_hidden_files_do(store: LocalStore, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_text("a")
    before = store.content_hash(folder)
    (folder / ".DS_Store").write_text("x")
    assert store.content_hash(folder) == before
    (folder / ".config").write_text("x")
    assert store.content_hash(folder) != before


def test_a_file_replaced_with_its_old_size_and_date_is_noticed(store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthbench.storage.hashes.SETTLED", -1)
    file = tmp_path / "weights"
    file.write_text("one")
    settle(file)
    before, times = store.content_hash(file), file.stat()
    file.write_text("two")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert store.content_hash(file) != before


def test_names_that_are_not_utf8_are_hashed(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    before = store.content_hash(tmp_path / "data")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/data/\xe4pfel.txt")).write_text("x")
    assert store.content_hash(tmp_path / "data") != before


def test_a_pipe_is_not_read_and_the_system_is_not_searched(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    os.mkfifo(tmp_path / "data" / "pipe")
    assert store.content_hash(tmp_path / "data")
    with pytest.raises(SynthbenchError, match="neither a file nor a folder"):
        store.content_hash(tmp_path / "data" / "pipe")
    with pytest.raises(SynthbenchError, match="contains far more than what you mean"):
        store.content_hash(Path("/proc"))
