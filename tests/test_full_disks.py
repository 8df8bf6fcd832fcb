"""Disks that are full or can only be read: a run goes on or says what to do, and nothing is lost. On small file systems of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from synthbench_fakes import SUITE

OWN = ("unshare", "--mount")
RUN = f"{sys.executable} -m synthbench run {SUITE} --in-process --store $STORE --out $OUT"


def can_mount() -> bool:
    """Whether small file systems may be made here."""
    try:
        command = [*OWN, "sh", "-c", "mount -t tmpfs none /mnt"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not can_mount(), reason="file systems may not be mounted here")


def typed(script: str, folder: Path) -> list[str]:
    """What a script prints, one part for each `next`; `$DISK` is a file system of its own with 400 kB."""
    disk = folder / "disk"
    disk.mkdir()
    start = f"DISK={disk} STORE={folder}/store OUT={folder}/out; mount -t tmpfs -o size=400k none $DISK; next() {{ echo ===; }}\n"
    command = [*OWN, "sh", "-c", start + script]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=500, check=False)
    return ended.stdout.split("===\n")


FILLS = """
import subprocess, sys
from pathlib import Path
from synthbench.errors import SynthbenchError
from synthbench.experiment import Experiment
from synthbench.storage.managed_local import ManagedLocalStore
suite, store = sys.argv[1], Path(sys.argv[2])
try:
    Experiment(suite, store=store).run(out=None, in_process=True)
except SynthbenchError as error:
    print(error)
stored = len(list(ManagedLocalStore(store).contents()))
print(stored > 0, len([each for each in store.glob("building/**/*") if each.is_file()]))
subprocess.run(["mount", "-o", "remount,size=100m", store.parent], check=True)
again = Experiment(suite, store=store)
print(len(again.cached) == stored, again.run(out=None, in_process=True).failures)
managed = ManagedLocalStore(store)
for each in managed.contents():
    managed.check(*each)
"""


def test_a_full_store_says_so_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    (said,) = typed(f"{sys.executable} -c '{FILLS}' {SUITE} $DISK/store", tmp_path)
    told, kept, done = said.splitlines()
    assert "disk/store: cannot be written (No space left on device); make room or name another folder with --store" in told
    assert kept == "True 0", "finished stages are there, and no half ones"
    assert done == "True []"


@pytest.mark.slow
def test_a_full_disk_for_reports_keeps_the_store_and_the_earlier_report(tmp_path: Path) -> None:
    full, done = typed(
        f"""
        OUT=$DISK/out; mkdir $OUT; echo earlier > $OUT/squares.md
        dd if=/dev/zero of=$DISK/fill bs=1k count=380 2> /dev/null
        {RUN}; echo status $?; cat $OUT/squares.md
        rm $DISK/fill
        next; mount -o remount,size=100m $DISK; {RUN}; echo status $?; ls $OUT
        """,
        tmp_path,
    )
    assert "cannot be written (No space left on device)" in full
    assert full.endswith("status 2\nearlier\n")
    assert "Traceback" not in full
    assert "status 0" in done
    assert "squares.json" in done


@pytest.mark.slow
def test_a_full_folder_for_temporary_files_stops_nothing(tmp_path: Path) -> None:
    (done,) = typed(f"dd if=/dev/zero of=$DISK/fill bs=1k 2> /dev/null; TMPDIR=$DISK {RUN} --workers 2; echo status $?", tmp_path)
    assert done.endswith("status 0\n")


@pytest.mark.slow
def test_a_store_that_can_only_be_read_leaves_the_earlier_report(tmp_path: Path) -> None:
    more = f"{RUN} --set detectors.threshold.margin=2"
    first, refused, detached = typed(
        f"STORE=$DISK/store; mount -o remount,size=100m $DISK; {RUN} > /dev/null 2>&1; cat $OUT/squares.md | sha256sum; next; "
        f"mount -o remount,ro $DISK; {more}; echo $?; cat $OUT/squares.md | sha256sum; next; {more} --detach; echo $?",
        tmp_path,
    )
    said, status, same = refused.splitlines()[-3:]
    assert "disk/store: cannot be written (Read-only file system); make room or name another folder with --store" in said
    assert (status, same) == ("2", first.strip())
    assert "cannot be written (Read-only file system)" in detached
    assert detached.endswith("2\n")


def test_a_store_that_can_only_be_read_serves_what_it_has(tmp_path: Path) -> None:
    done, planned, told = typed(
        f"""
        mount -o remount,size=100m $DISK; STORE=$DISK/store
        {RUN} > /dev/null; rm -r $OUT; mount -o remount,ro $DISK
        {RUN}; echo status $?
        next; {sys.executable} -m synthbench plan {SUITE} --store $STORE | tail -1
        {sys.executable} -m synthbench store check --store $STORE
        next; {RUN} --set detectors.threshold.score=0.4; echo status $?
        """,
        tmp_path,
    )
    assert done.endswith("status 0\n"), "nothing is to be computed"
    assert "0 to run" in planned
    assert " artifacts checked, 0 damaged" in planned
    assert "cannot be written (Read-only file system); make room or name another folder with --store" in told
    assert "status 2" in told
    assert "Traceback" not in told
