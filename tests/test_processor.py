"""What is told of the processor: it moves the last digits of a training."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthbench.execution.perform import name_device
from synthbench.execution.processor import processor


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("model name\t: A Chip\nflags\t\t: fpu avx avx2 avx512f\n\nmodel name\t: Another\nflags\t\t: fpu\n", "A Chip, AVX-512"),
        ("model name\t: A Chip\nflags\t\t: fpu avx avx2\n", "A Chip, AVX2"),
        ("model name\t: A Chip\n", "A Chip"),
    ],
)
def test_model_and_vector_instructions_are_read(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(content)
    assert processor(tmp_path / "cpuinfo") == told


def test_a_limit_of_onednn_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    (tmp_path / "cpuinfo").write_text("model name\t: A Chip\nflags\t\t: avx avx2 avx512f\n")
    assert processor(tmp_path / "cpuinfo") == "A Chip, AVX-512, oneDNN held to AVX2"


def test_something_is_told_on_any_system(tmp_path: Path) -> None:
    assert processor(tmp_path / "nothing"), "of the platform module"
    assert name_device("cpu", 2) == f"cpu ({processor()}, 2 threads)"
    assert name_device("mps", 2) == "mps"
