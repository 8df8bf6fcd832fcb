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
    assert not [file for file in folder.rglob("config.json") if "/" in json.loads(file.read_text()).get("_name_or_path", "")], "no folder"


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_is_small(name: str) -> None:
    sizes = [file.stat().st_size for file in SHIPPED[name].rglob("*") if file.is_file()]
    assert sum(sizes) < 20e6
    assert max(sizes) < 8e6


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("photo-")])
def test_a_checkpoint_from_photographs_credits_them_and_has_none(name: str) -> None:
    notice = (SHIPPED[name] / "NOTICE").read_text()
    assert all(word in notice for word in ("S. Kodors", "CC BY 4.0", "https://doi.org/10.3390/drones8120734", "changed"))
    assert not [file for file in SHIPPED[name].rglob("*") if file.suffix in (".png", ".jpg", ".npz")]


def test_each_comes_with_its_training_log() -> None:
    training = Path(__file__).parents[1] / "training"
    for name in ("vae", "sd", "sdxl", "detr", "photo-vae", "photo-sd", "photo-sdxl", "photo-detr"):
        lines = (training / "logs" / f"{name}.jsonl").read_text().splitlines()
        first, last = json.loads(lines[0]), json.loads(lines[-1])
        measure = "held_out_l1" if name == "photo-vae" else "l1" if name == "vae" else "loss"
        assert last["step"] > first["step"]
        assert last[measure] < first[measure]
