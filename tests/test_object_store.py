"""The store in an object store: as complete, as careful and as plain as the one in a folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from msgspec import structs
from synthbench import Environment
from synthbench.errors import SynthbenchError
from synthbench.execution.environments import environment_spec_of
from synthbench.experiment import Experiment
from synthbench.planning.stage import key_of
from synthbench.storage import object_leases, objects
from synthbench.storage.leases import this_host
from synthbench.storage.managed_remote import ManagedRemoteStore as RemoteStore
from synthbench.storage.manifest import seal
from synthbench.storage.object_leases import acquire, beat_of, lease_of
from synthbench.storage.objects import Objects
from synthbench.storage.remote_names import files_name, record_name
from synthbench.storage.store import Artifact, Busy, DamagedArtifact, StageRecord, Store, StoredFile, open_store
from synthbench_fakes import SUITE


@dataclass(frozen=True)
class Elsewhere:
    """A plugin with an environment of its own."""

    environment: ClassVar[Environment] = Environment(dependencies=("numpy",), python="3.11")


KEY = key_of({"stage": "fit"})


@pytest.fixture(params=["memory", "file", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place of each kind."""
    monkeypatch.setenv("SYNTHBENCH_STORE_CACHE", str(tmp_path / "caches"))
    if request.param == "file":
        return f"file://{tmp_path}/objects"
    start = request.getfixturevalue("s3") if request.param == "s3" else "memory://"
    return f"{start}/{tmp_path.name}-{time.time_ns()}"


@pytest.fixture
def stores(address: str, tmp_path: Path) -> tuple[RemoteStore, RemoteStore]:
    """The same store as two hosts see it, each with its own cache."""
    return RemoteStore(address, cache=tmp_path / "one"), RemoteStore(address, cache=tmp_path / "two")


def put(store: Store, content: str, key: str = KEY, **arguments: Any) -> Artifact:
    with store.build("fit", key, **arguments) as build:
        (build.folder / "deep").mkdir()
        (build.folder / "model").write_text(content)
        (build.folder / "deep" / "more").write_text("more")
        return build.publish(StageRecord(label=content, facts={"images": len(content)}))


def test_what_one_host_publishes_another_fetches_whole(stores: tuple[RemoteStore, RemoteStore]) -> None:
    one, two = stores
    assert one.get("fit", KEY) is None
    put(one, "model")
    assert list(two.contents()) == [("fit", KEY)]
    assert two.present([("fit", KEY), ("fit", "0" * 64)]) == {("fit", KEY)}
    found = two.get("fit", KEY)
    assert found is not None
    assert found.record.label == "model"
    assert not found.folder.exists(), "nobody has asked for its files"
    whole = two.verify("fit", KEY)
    assert whole is not None
    assert (whole.folder / "model").read_text() == "model"
    assert (whole.folder / "deep" / "more").read_text() == "more"
    assert not list((two.cache.root / "building").iterdir())
    two.check("fit", KEY)


def test_records_are_read_once_on_a_host_and_again_when_they_have_changed(
    stores: tuple[RemoteStore, RemoteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = stores
    put(one, "first")
    assert two.present([("fit", KEY)])
    again = RemoteStore(two.address, cache=two.cache.root)
    with monkeypatch.context() as patch:
        patch.setattr(Objects, "read", lambda *_: pytest.fail("it is on this host already"))
        assert again.present([("fit", KEY)])
        found = again.get("fit", KEY)
    assert found is not None
    assert found.record.label == "first"
    one.set_aside("fit", KEY)
    put(one, "another")
    again = RemoteStore(two.address, cache=two.cache.root)
    again.present([("fit", KEY)])
    found = again.get("fit", KEY)
    assert found is not None
    assert found.record.label == "another"


def test_the_latest_records_come_first(stores: tuple[RemoteStore, RemoteStore]) -> None:
    one, two = stores
    for number in range(3):
        put(one, f"model {number}", f"{number}" * 64)
        time.sleep(1.1 if one.address.startswith("s3") else 0.02)  # S3 counts in seconds
    one.objects.write(record_name("fit", "1" * 64), b"{")
    assert [each.label for each in two.recent("fit")][-1] == "model 0"
    assert {each.label for each in two.recent("fit")} == {"model 0", "model 2"}
    assert [each.label for each in two.recent("fit", 2)] == ["model 2"], "the damaged one was the last to be written"
    assert not [*two.recent("train")]


def test_an_artifact_is_there_when_its_record_is(stores: tuple[RemoteStore, RemoteStore], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = stores

    def broken(*_: object) -> bool:
        raise SynthbenchError("the connection broke")

    monkeypatch.setattr(Objects, "create", lambda self, name, content: broken() if name.startswith("records") else True)
    with pytest.raises(SynthbenchError, match=r"the connection broke\. The result is kept in .* and uploaded by the next run on this host"):
        put(one, "model")
    monkeypatch.undo()
    assert two.get("fit", KEY) is None
    assert not two.present([("fit", KEY)])
    assert one.objects.find("files")
    assert one.present([("fit", KEY)])
    assert one.get("fit", KEY) is not None
    assert two.verify("fit", KEY) is not None, "the next look uploaded what the cache had kept"


def test_the_first_of_two_that_made_the_same_counts(stores: tuple[RemoteStore, RemoteStore]) -> None:
    one, two = stores
    with two.build("fit", KEY) as late:
        (late.folder / "model").write_text("second")
        one.objects.delete([lease_of(f"fit-{KEY[:16]}")])  # as if it had been taken over
        put(one, "first")
        assert (late.publish(StageRecord(label="second")).folder / "model").read_text() == "first"
    found = two.verify("fit", KEY)
    assert found is not None
    assert (found.folder / "model").read_text() == "first"
    assert len({name.split("/")[3] for name in one.objects.find("files")}) == 1, "the second's files are gone"


@pytest.mark.parametrize("damage", ["changed", "missing", "record"])
def test_a_damaged_artifact_is_set_aside_and_never_used(stores: tuple[RemoteStore, RemoteStore], damage: str) -> None:
    one, two = stores
    record = put(one, "model").record
    name = f"{files_name(record)}/model"
    if damage == "changed":
        one.objects.write(name, b"modem")
    elif damage == "missing":
        one.objects.delete([name])
    else:
        content = one.objects.read(record_name("fit", KEY)) or b""
        one.objects.write(record_name("fit", KEY), content.replace(b'"images": 5', b'"images": 6'))
    what = {"changed": "model is not what was stored", "missing": "model is missing", "record": "its checksum is that of another content"}
    for look in (two.check, two.verify):
        with pytest.raises(DamagedArtifact, match=what[damage]):
            look("fit", KEY)
    assert not two.cache.folder("fit", KEY).exists()
    assert two.set_aside("fit", KEY).startswith(f"{two.address}/damaged/fit/")
    assert two.set_aside("fit", KEY) == ""
    assert two.get("fit", KEY) is None
    put(two, "again")
    found = RemoteStore(one.address, cache=one.cache.root).verify("fit", KEY)
    assert found is not None
    assert (found.folder / "model").read_text() == "again", "also where the damaged one was in the cache"


@pytest.mark.parametrize("name", ["../../../evil", "/tmp/evil", "a/../../evil", "stage.json", "a//b", "a\\b"])
def test_a_record_that_names_files_elsewhere_is_damage(stores: tuple[RemoteStore, RemoteStore], name: str, tmp_path: Path) -> None:
    one, two = stores
    record = structs.replace(put(one, "model").record, files={name: StoredFile(size=1, sha256="0" * 64)})
    one.objects.write(record_name("fit", KEY), seal(record))
    two.present([("fit", KEY)])
    for look in (two.get, two.verify):
        with pytest.raises(DamagedArtifact, match="is no name of a file below the artifact's folder"):
            look("fit", KEY)
    assert not [*tmp_path.rglob("evil")]


def test_what_was_set_aside_does_not_come_back_from_a_cache(stores: tuple[RemoteStore, RemoteStore]) -> None:
    one, two = stores
    put(one, "wrong")
    two.set_aside("fit", KEY)
    again = RemoteStore(one.address, cache=one.cache.root)
    again.present([("fit", KEY)])
    assert again.get("fit", KEY) is None


def test_a_damaged_cache_is_fetched_again(stores: tuple[RemoteStore, RemoteStore]) -> None:
    one, two = stores
    put(one, "model")
    for name, content in (("model", "modem"), ("stage.json", "{")):
        found = two.verify("fit", KEY)
        assert found is not None
        (found.folder / name).write_text(content)
        whole = two.verify("fit", KEY)
        assert whole is not None
        assert (whole.folder / "model").read_text() == "model"


def test_a_folder_that_cannot_be_listed_is_not_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RemoteStore(f"file://{tmp_path}/objects", cache=tmp_path / "one")
    put(store, "model")
    scandir = os.scandir

    def refused(path: Any) -> Any:
        if str(path).endswith("records/fit"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refused)
    with pytest.raises(SynthbenchError, match="access was refused"):
        [*store.contents()]


def test_a_damaged_cache_says_that_it_is_one(stores: tuple[RemoteStore, RemoteStore]) -> None:
    one, _ = stores
    (one.cache.root / "synthbench-store.json").write_text("garbage")
    with pytest.raises(SynthbenchError, match=rf"{one.cache.root}: is damaged and no cache of {one.address} any more; move it away"):
        RemoteStore(one.address, cache=one.cache.root)


def test_a_connection_that_breaks_while_files_are_checked_is_told(
    stores: tuple[RemoteStore, RemoteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = stores
    put(one, "model")

    def broken(*_: object) -> None:
        raise ConnectionError("closed")

    monkeypatch.setattr("hashlib.file_digest", broken)
    with pytest.raises(SynthbenchError, match=rf"{one.address}: cannot be reached \(closed\); the next run goes on"):
        one.check("fit", KEY)


def test_one_host_makes_a_stage_at_a_time(stores: tuple[RemoteStore, RemoteStore], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = stores
    monkeypatch.setattr("synthbench.storage.remote.POLL", 0.0)
    assert not two.is_busy("fit", KEY)
    with one.build("fit", KEY):
        assert two.is_busy("fit", KEY)
        with pytest.raises(Busy), two.build("fit", KEY):
            pytest.fail("it is being made")
    assert not two.is_busy("fit", KEY)
    assert not one.objects.find("leases")


def test_of_many_at_once_one_gets_the_lease(stores: tuple[RemoteStore, RemoteStore]) -> None:
    got = []
    threads = [threading.Thread(target=lambda: got.append(acquire(stores[0].objects, "a"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (lease,) = filter(None, got)
    lease.release()
    assert not stores[0].objects.find("leases")


def others_lease(store: RemoteStore, **owner: object) -> bytes:
    content = json.dumps({"host": "another", "process": os.getpid(), "started": "1", "id": "x", **owner}).encode()
    store.objects.write(lease_of("a"), content)
    return content


def test_a_lease_whose_process_is_gone_is_taken_over_at_once_on_its_host(stores: tuple[RemoteStore, RemoteStore]) -> None:
    others_lease(stores[0], host=this_host())
    lease = acquire(stores[0].objects, "a")
    assert lease is not None
    assert lease.is_ours
    assert acquire(stores[1].objects, "a") is None
    lease.release()


KILLED = """
import os, signal, sys
from pathlib import Path
from synthbench.storage.objects import Objects
from synthbench.storage.remote import RemoteStore
from synthbench.storage.store import StageRecord
real = Objects.create
def create(self, name, content):
    if name.startswith("records"):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, name, content)
Objects.create = create
with RemoteStore(sys.argv[1], cache=Path(sys.argv[2])).build("fit", sys.argv[3]) as build:
    (build.folder / "model").write_text("model")
    build.publish(StageRecord(label="theirs"))
"""


def test_what_a_killed_process_had_finished_is_not_lost(tmp_path: Path) -> None:
    address = f"file://{tmp_path}/objects"
    RemoteStore(address, cache=tmp_path / "one")
    command = [sys.executable, "-c", KILLED, address, str(tmp_path / "one"), KEY]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    one, two = RemoteStore(address, cache=tmp_path / "one"), RemoteStore(address, cache=tmp_path / "two")
    assert one.objects.find("files")
    assert two.get("fit", KEY) is None, "no record, no artifact"
    one.sweep()
    with one.build("fit", KEY):
        found = one.get("fit", KEY)
        assert found is not None
        assert found.record.label == "theirs", "the cache had it"
    assert two.verify("fit", KEY) is not None
    assert not one.objects.find("leases")
    assert not [*(one.cache.root / "building").iterdir()]


@pytest.mark.parametrize("skew", [-7200, 0, 7200])
def test_a_lease_of_another_host_is_taken_over_when_its_heart_stops(
    stores: tuple[RemoteStore, RemoteStore], monkeypatch: pytest.MonkeyPatch, skew: int
) -> None:
    monkeypatch.setattr("synthbench.storage.leases.STALE", 4.0)
    monkeypatch.setattr("synthbench.storage.leases.WATCHED", 2.0)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + skew)  # this host's clock
    content = others_lease(stores[0])
    for beat in range(4):
        stores[0].objects.write(beat_of("a", content), str(beat).encode())
        assert acquire(stores[1].objects, "a") is None
        time.sleep(0.2)
    deadline = time.monotonic() + 20
    while (lease := acquire(stores[1].objects, "a")) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert lease.is_ours
    lease.release()
    assert not stores[0].objects.find("leases")


def test_an_owner_that_wakes_up_late_takes_nothing_back(stores: tuple[RemoteStore, RemoteStore], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthbench.storage.leases.HEARTBEAT", 0.05)
    monkeypatch.setattr(object_leases, "is_abandoned", lambda *_: True)
    first = acquire(stores[0].objects, "a")
    second = acquire(stores[1].objects, "a")
    assert first is not None
    assert second is not None
    time.sleep(0.3)
    assert not first.is_ours
    first.release()
    assert second.is_ours
    second.release()


def test_without_writes_under_a_condition_the_last_to_write_wins(
    stores: tuple[RemoteStore, RemoteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "SETTLE", 0.5)
    monkeypatch.setattr(Objects, "_create", Objects.write)
    one, two = Objects(stores[0].address), Objects(stores[1].address)
    assert not one.is_conditional
    assert not two.is_conditional
    got: list[bool] = []
    threads = [
        threading.Thread(target=lambda store, content: got.append(store.create("a", content)), args=each)
        for each in ((one, b"1"), (two, b"2"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False, True]
    assert not one.create("a", b"3")


def test_every_kind_of_store_here_knows_conditions(stores: tuple[RemoteStore, RemoteStore]) -> None:
    assert stores[0].objects.is_conditional
    assert len(stores[0].objects.find("")) == 1, "the mark alone is left"


@pytest.mark.parametrize("kind", ["memory", pytest.param("s3", marks=pytest.mark.slow)])
def test_a_whole_suite_runs_on_it_and_another_host_computes_nothing(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{request.getfixturevalue('s3') if kind == 's3' else 'memory:/'}/{tmp_path.name}"
    for host in ("one", "two"):
        monkeypatch.setenv("SYNTHBENCH_STORE_CACHE", str(tmp_path / host))
        experiment = Experiment(SUITE, store=address)
        assert len(experiment.cached) == (len(experiment.plan.stages) if host == "two" else 0)
        results = experiment.run(out=None, in_process=True)
        assert not results.failures
        assert len({cell.metrics["AP"] for cell in results.cells}) > 1


def test_workers_do_not_see_memory(tmp_path: Path) -> None:
    with pytest.raises(SynthbenchError, match=r"memory://a: this process's memory, which no worker sees; .* or give --in-process"):
        Experiment(SUITE, store="memory://a").run(out=None, device="cpu")


def test_a_plugins_own_environment_can_open_the_store(stores: tuple[RemoteStore, RemoteStore]) -> None:
    needs = stores[0].packages
    assert needs == (("s3fs",) if stores[0].address.startswith("s3") else ())
    usual, spec = (environment_spec_of(Elsewhere(), "synthbench", each) for each in ((), needs))
    assert usual is not None
    assert spec is not None
    assert spec.harness == (*usual.harness, *needs)
    assert (spec.name == usual.name) == (not needs)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, s3: str) -> None:
    with pytest.raises(SynthbenchError, match=r"nowhere://a: no known kind of store .* an address is like s3://bucket/prefix"):
        open_store("nowhere://a")
    with pytest.raises(SynthbenchError, match="contains a password") as refused:
        open_store("sftp://me:secret@host/a")
    assert "secret" not in str(refused.value)
    with pytest.raises(SynthbenchError, match=r"there is no such bucket or folder .*; make it, or correct --store"):
        open_store("s3://missing/a")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3")  # where it keeps what was imported
    with pytest.raises(SynthbenchError, match=r"needs a package that is not installed .*; for S3: pip install 'synthbench\[s3\]'"):
        open_store(f"{s3}/a")
    monkeypatch.undo()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(fsspec.get_filesystem_class("s3"), "cachable", False)  # else it goes on with the credentials of before
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(SynthbenchError, match=r"no credentials were found .*AWS_ACCESS_KEY_ID"):
        open_store(f"{s3}/a")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(SynthbenchError, match=r"cannot be reached .*AWS_ENDPOINT_URL"):
        open_store(f"{s3}/a")


def test_a_store_that_somebody_else_made_is_used_only_if_told(address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    RemoteStore(address)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another user"))
    with pytest.raises(SynthbenchError, match=r"was not made by this user on this machine.*use it with --trust-store"):
        RemoteStore(address)
    assert not RemoteStore(address, trust=True).is_ours


def test_a_foreign_prefix_is_refused_and_untouched(address: str) -> None:
    Objects(address).write("thesis.pdf", b"mine")
    with pytest.raises(SynthbenchError, match="not a store of synthbench and not empty"):
        RemoteStore(address)
    assert [*Objects(address).find("")] == ["thesis.pdf"]
