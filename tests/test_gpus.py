"""Several GPUs in one machine: each worker sees one. The machine's `nvidia-smi` is a script here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import synthbench
from synthbench.execution.crews import LocalCrew, processors
from synthbench.execution.engines import Workers
from synthbench.execution.gpus import VISIBLE, pinned, visible_gpus
from synthbench.execution.jobs import Place
from synthbench.storage.local import LocalStore
from synthbench_fakes import SUITE

TWO = ["GPU-aaaa", "GPU-bbbb"]


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program `nvidia-smi` before all others."""
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv(VISIBLE, raising=False)


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "bin", monkeypatch, f"printf '%s\\n' {' '.join(TWO)}")


def test_gpus_are_those_of_the_machine_or_those_that_are_visible(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert visible_gpus() == TWO
    for given, names in (("3,1", ["3", "1"]), ("", []), ("-1", []), ("0,-1,2", ["0"]), ("GPU-bbbb", ["GPU-bbbb"])):
        monkeypatch.setenv(VISIBLE, given)
        assert visible_gpus() == names


def test_a_driver_that_does_not_answer_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "bin", monkeypatch, "echo no devices were found; exit 9")
    assert visible_gpus() == []


def test_workers_are_shared_out_among_gpus() -> None:
    assert pinned("auto", TWO, 1) == TWO
    assert pinned("cuda", TWO, 2) == [*TWO, *TWO]
    assert pinned("auto", TWO[:1], 3) == [None] * 3, "one is found without being told"
    for device in ("cpu", "cuda:1", "mps"):
        assert pinned(device, TWO, 2) == [None, None]


def test_each_worker_sees_one_gpu(two_gpus: None, store: LocalStore) -> None:
    crew = LocalCrew(store, device="auto", workers=2, threads=None, in_process=False, offline=True)
    engines = crew.engines()
    assert crew.threads == max(1, processors() // 4)
    seen = []
    for engine in engines[:4]:
        assert isinstance(engine, Workers)
        worker = engine._worker(Place())
        process = worker._started()
        assert process is not None
        variables = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        seen += [each.decode().partition("=")[2] for each in variables if each.startswith(VISIBLE.encode())]
        engine.close()
    assert seen == [*TWO, *TWO]


def test_stages_that_use_no_gpu_do_not_keep_one_busy(two_gpus: None, store: LocalStore) -> None:
    engines = LocalCrew(store, device="auto", workers=None, threads=None, in_process=False, offline=True).engines()
    assert [engine.suits("train") for engine in engines] == [True, True, False, False]
    assert [engine.suits("score") for engine in engines] == [False, False, True, True]
    without = LocalCrew(store, device="cpu", workers=1, threads=None, in_process=False, offline=True).engines()
    assert [(engine.suits("train"), engine.suits("score")) for engine in without] == [(True, True)]


def test_a_run_has_a_stage_for_each_gpu_at_a_time(two_gpus: None, tmp_path: Path) -> None:
    small = ["annotators=[]", "generators=[]", "mix=[]"]
    assert synthbench.run(SUITE, changes=small, store=tmp_path / "store", out=None).environment.workers == 2
