from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthbench_checkpoints import NAMES, synthbench_checkpoints

SHIPPED = synthbench_checkpoints()


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_is_whole_and_holds_no_pickle(name: str) -> None:
    folder = SHIPPED[name]
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert any(file.suffix == ".safetensors" for file in files)
    assert not [file for file in files if file.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl")]
    for index in folder.rglob("*.index.json"):
        shards = set(json.loads(index.read_text())["weight_map"].values())
        assert all((index.parent / shard).exists() for shard in shards)


def test_all_together_are_small() -> None:
    size = sum(file.stat().st_size for folder in SHIPPED.values() for file in folder.rglob("*") if file.is_file())
    assert size < 40e6


def test_each_comes_with_its_training_log() -> None:
    training = Path(__file__).parents[1] / "training"
    for name in ("vae", "sd", "sdxl", "detr"):
        lines = (training / "logs" / f"{name}.jsonl").read_text().splitlines()
        first, last = json.loads(lines[0]), json.loads(lines[-1])
        measure = "l1" if name == "vae" else "loss"
        assert last["step"] > first["step"]
        assert last[measure] < first[measure]
