"""A store in a folder that several hosts share: no build of another's is touched, whatever their clocks and their file system do."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from synthbench.planning.stage import key_of
from synthbench.storage import leases
from synthbench.storage.leases import acquire, is_abandoned, owner_is_running, this_host
from synthbench.storage.local import LocalStore
from synthbench.storage.managed_local import ManagedLocalStore
from synthbench.storage.store import Busy, StageRecord
from synthbench_fakes import SUITE

KEY = key_of({"stage": "fit"})
HOST = ("unshare", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child")
"""A command that runs another as on a host of its own: another name can be set, and its processes are not seen."""


def can(*command: str) -> bool:
    """Whether namespaces may be made here."""
    try:
        return subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


needs_namespaces = pytest.mark.skipif(not can(*HOST), reason="namespaces may not be made here")
RUN = """
import socket, sys
from synthbench.storage import leases
leases.HEARTBEAT, leases.WATCHED, leases.STALE = 0.2, 10.0, 30.0
socket.sethostname(sys.argv[1])
from synthbench.experiment import Experiment
results = Experiment(sys.argv[2], store=sys.argv[3], trust_store=True, changes=sys.argv[4:]).run(out=None, in_process=True)
assert not results.failures
print(sum(stage.seconds for stage in results.stages), len({stage.key for stage in results.stages}))
"""


def run_on(host: str, store: Path, *changes: str) -> subprocess.Popen[str]:
    command = [*HOST, sys.executable, "-c", RUN, host, str(SUITE), str(store), *changes]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@needs_namespaces
def test_two_hosts_do_each_stage_once(tmp_path: Path) -> None:
    changes = ("generators.paint.slow=0.05", "detectors.threshold.slow=0.2", "detectors.strict.slow=0.2")
    hosts = [run_on(name, tmp_path / "store", *changes) for name in ("one", "two")]
    answers = [host.communicate(timeout=500)[0] for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0]
    assert answers[0] == answers[1], "the seconds of one result of each stage"
    assert not [*(tmp_path / "store" / "building").iterdir()]


BUILDS = """
import os, sys, time
from pathlib import Path
from synthbench.storage import leases
from synthbench.storage.local import LocalStore
leases.HEARTBEAT = 0.2
with LocalStore(Path(sys.argv[1]), trust=True).build("fit", sys.argv[2]) as build:
    (build.folder / "half").write_text("half")
    print(os.getpid(), flush=True)
    time.sleep(float(sys.argv[3]))
"""


@contextmanager
def building_elsewhere(store: LocalStore) -> Iterator[subprocess.Popen[str]]:
    """Another host that builds."""
    command = [*HOST, sys.executable, "-c", BUILDS, store.address, KEY, "300"]
    host = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert host.stdout is not None
        assert host.stdout.readline().strip(), "it builds"
        yield host
    finally:
        host.kill()
        host.wait()


@needs_namespaces
def test_what_another_host_builds_is_not_touched_until_it_is_gone(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "STALE", 8.0)
    monkeypatch.setattr(leases, "WATCHED", 2.0)
    half = store.root / "building" / f"fit-{KEY[:16]}" / "half"
    with building_elsewhere(store) as host:
        for _ in range(20):
            store.sweep()
            with pytest.raises(Busy), store.build("fit", KEY):
                pytest.fail("another host makes it")
            time.sleep(0.25)
        assert half.read_text() == "half"
        host.kill()
    assert half.exists(), "nobody here can tell yet"
    deadline = time.monotonic() + 60
    while store.is_busy("fit", KEY):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with store.build("fit", KEY) as build:
        assert not [*build.folder.iterdir()]
        build.publish(StageRecord())


def lease_of_another_host(path: Path, *, skew: float = 0.0, age: float = 0.0) -> Path:
    path.write_text(json.dumps({"host": "another", "process": os.getpid(), "started": "1", "id": "x"}))
    beat(path, skew - age)
    return path


def beat(path: Path, skew: float) -> None:
    """A heartbeat of a host with another clock, on a file system that keeps the writer's times."""
    os.utime(path, (time.time() + skew,) * 2)


@pytest.mark.parametrize("skew", [-7200, 0, 7200])
def test_clocks_need_not_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skew: float) -> None:
    monkeypatch.setattr(leases, "STALE", 3.0)
    monkeypatch.setattr(leases, "WATCHED", 1.5)
    path = lease_of_another_host(tmp_path / "a.lease", skew=skew)
    for _ in range(12):
        beat(path, skew)
        assert acquire(path) is None, "its heart beats"
        time.sleep(0.1)
    deadline = time.monotonic() + 20
    while (lease := acquire(path)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    lease.release()


def test_one_look_is_not_enough_to_take_a_lease_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lease_of_another_host(tmp_path / "a.lease", age=24 * 3600)
    assert not is_abandoned(path), "its clock may be wrong"
    monkeypatch.setattr(leases, "WATCHED", 0.0)
    assert is_abandoned(path)


def test_a_process_that_the_system_hides_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.dumps({"host": this_host(), "process": 1, "started": "5"}).encode()
    monkeypatch.setattr(leases, "started", lambda _: leases.HIDDEN)
    assert owner_is_running(content) is None
    monkeypatch.setattr(leases, "started", lambda _: "5")
    assert owner_is_running(content) is True
    monkeypatch.setattr(leases, "started", lambda _: None)
    assert owner_is_running(content) is False
    assert owner_is_running(b"") is None, "written by an earlier version, and not complete yet"


def failing_after(function: Callable[..., Any], number: int) -> Callable[..., Any]:
    """A call over NFS whose answer was lost: it succeeds, is sent again, and reports the failure of the second time."""

    def called(*arguments: Any) -> None:
        function(*arguments)
        raise OSError(number, os.strerror(number))

    return called


def test_a_rename_that_succeeded_and_reported_failure_publishes(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.build("fit", KEY) as build:
        (build.folder / "model").write_text("model")
        monkeypatch.setattr(Path, "rename", failing_after(Path.rename, errno.ENOENT))
        assert (build.publish(StageRecord()).folder / "model").read_text() == "model"
    monkeypatch.undo()
    assert store.verify("fit", KEY) is not None
    assert not [*(store.root / "building").iterdir()]


def test_a_link_that_succeeded_and_reported_failure_is_a_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", failing_after(os.link, errno.EEXIST))
    lease = acquire(tmp_path / "a.lease")
    assert lease is not None
    assert acquire(tmp_path / "a.lease") is None
    lease.release()
    assert not [*tmp_path.iterdir()]


def test_an_abandoned_lease_is_taken_over_by_a_rename_that_reported_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "WATCHED", 0.0)
    path = lease_of_another_host(tmp_path / "a.lease", age=24 * 3600)
    monkeypatch.setattr(Path, "rename", failing_after(Path.rename, errno.ENOENT))
    lease = acquire(path)
    assert lease is not None
    lease.release()
    assert not [*tmp_path.iterdir()], "nothing is left of the old one"


def test_a_file_system_without_hard_links_has_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    lease = acquire(tmp_path / "a.lease")
    assert lease is not None
    assert acquire(tmp_path / "a.lease") is None
    lease.release()
    assert not [*tmp_path.iterdir()]


def test_a_stale_handle_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = acquire(tmp_path / "a.lease")
    assert lease is not None
    real, failures = Path.read_bytes, [OSError(errno.ESTALE, "Stale file handle")]

    def stale(path: Path) -> bytes:
        if failures:
            raise failures.pop()
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", stale)
    assert lease.is_ours
    lease.release()


def test_of_many_at_once_one_gets_a_lease(tmp_path: Path) -> None:
    for number in range(20):
        with ThreadPoolExecutor(8) as threads:
            got = [*threads.map(acquire, [tmp_path / f"{number}.lease"] * 8)]
        (lease,) = filter(None, got)
        lease.release()
    assert not [*tmp_path.iterdir()]


def test_what_another_host_has_just_published_is_seen_before_it_is_made_again(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalStore(store.root).build("fit", KEY) as build:
        build.publish(StageRecord(label="theirs"))
    folder = store.folder("fit", KEY)
    unseen, real, probe = {str(folder)}, os.path.lexists, leases.file_system_time

    def remembered(path: Any) -> bool:  # NFS: a name that was not there some seconds ago
        return str(path) not in unseen and real(path)

    def changes(parent: Path) -> float:
        unseen.difference_update({str(each) for each in [folder] if each.parent == parent})
        return probe(parent)

    monkeypatch.setattr(os.path, "lexists", remembered)
    monkeypatch.setattr("synthbench.storage.local.file_system_time", changes)
    assert store.get("fit", KEY) is None
    with store.build("fit", KEY):
        found = store.get("fit", KEY)
    assert found is not None
    assert found.record.label == "theirs"


def test_files_that_nfs_keeps_for_a_while_are_no_part_of_a_result(store: LocalStore) -> None:
    silly = f".nfs{'0' * 16}{'a' * 8}"
    with store.build("fit", KEY) as build:
        (build.folder / "model").write_text("model")
        (build.folder / silly).write_text("removed, and open")
        artifact = build.publish(StageRecord())
    assert {*artifact.record.files} == {"model"}
    assert store.verify("fit", KEY) is not None
    (artifact.folder / silly).unlink()
    assert store.verify("fit", KEY) is not None
    (artifact.folder / ".nfs-notes").write_text("mine")
    assert ManagedLocalStore(store.root).foreign("fit", KEY) == [".nfs-notes"]


def test_what_a_killed_process_left_between_two_steps_is_removed_when_it_is_old(store: LocalStore) -> None:
    building = store.root / "building"
    names = [f".clock-{'0' * 32}", f".probe-{'1' * 32}", f"fit-0.lease.{'2' * 32}"]
    for name in (*names, "notes.txt"):
        (building / name).write_text("")
    (building / "removed-1").mkdir()
    store.sweep()
    assert sorted(each.name for each in building.iterdir()) == sorted([*names, "notes.txt"])
    for each in building.iterdir():
        os.utime(each, (time.time() - 4 * 3600,) * 2)
    store.sweep()
    assert [each.name for each in building.iterdir()] == ["notes.txt"]


def test_hosts_that_make_a_store_at_once_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 7)  # in containers most have the same
    made: list[LocalStore] = []
    threads = [threading.Thread(target=lambda: made.append(LocalStore(tmp_path / "store"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert sorted(each.name for each in (tmp_path / "store").iterdir()) == ["building", "synthbench-store.json"]
