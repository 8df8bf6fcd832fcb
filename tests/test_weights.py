"""Starting weights: nothing is fetched or unpickled unasked, and what is missing is named."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from synthbench import SynthbenchError, fetched, find_weights, is_address, is_hub_id, read_weights
from synthbench.execution.stage_run import StageRun

OFFLINE = StageRun(Path())
ONLINE = StageRun(Path(), offline=False)
PICKLES = StageRun(Path(), allow_pickle=True)

PROGRAM = """
from pathlib import Path
from synthbench import SynthbenchError, find_weights
from synthbench.execution.stage_run import StageRun
try:
    find_weights("somebody/something", StageRun(Path()))
except SynthbenchError as error:
    print(error)
"""


def test_a_missing_file_of_the_hub_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    environment = {"HF_HOME": str(tmp_path), "PATH": ""}
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment).stdout
    assert "model.safetensors of somebody/something" in told
    assert "hf download somebody/something model.safetensors" in told
    assert "--download" in told


def test_a_hub_id_is_told_from_a_path(tmp_path: Path) -> None:
    assert is_hub_id("owner/name")
    assert is_hub_id("owner/name@refs/pr/1")
    assert not any(is_hub_id(other) for other in ("name", "./name", "~/name", "/owner/name", "owner/name/more", str(tmp_path)))


def test_a_file_or_a_folder_is_found_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    for name in (str(tmp_path), str(tmp_path / "model.safetensors"), "~/model.safetensors"):
        assert read_weights(find_weights(name, OFFLINE), OFFLINE).keys() == {"a"}
    with pytest.raises(SynthbenchError, match=r"no\.pth: no such file; name a file, a folder with model\.safetensors or a hub id"):
        find_weights(str(tmp_path / "no.pth"), OFFLINE)


class Harm:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit('a pickle ran code')",)


def test_pickles_are_opened_where_allowed_and_run_nothing(tmp_path: Path) -> None:
    held = {"a": torch.ones(2)}
    for number, wrapped in enumerate((held, {"state_dict": held, "epoch": 3}, {"model": held})):
        path = tmp_path / f"{number}.pth"
        torch.save(wrapped, path)
        assert torch.equal(read_weights(path, PICKLES)["a"], held["a"])
        with pytest.raises(SynthbenchError, match="is a pickle: convert it to"):
            read_weights(path, OFFLINE)
    (tmp_path / "harm.pth").write_bytes(pickle.dumps(Harm(), protocol=2))
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    for name, message in (
        ("harm.pth", "not a readable checkpoint"),
        ("broken.safetensors", "not a readable checkpoint"),
        ("list.pth", "does not contain a state dict"),
        ("other.pth", "does not contain a state dict"),
    ):
        with pytest.raises(SynthbenchError, match=message):
            read_weights(tmp_path / name, PICKLES)


def test_an_address_says_what_lies_there() -> None:
    assert is_address("https://example.org/models/faster_rcnn_r50-047c8118.pth")
    assert is_address("https://example.org/a-047c8118aa.safetensors")
    for other in (
        "http://example.org/a-047c8118.pth",
        "https://example.org/a.pth",
        "https://example.org/a-047c8118.zip",
        "/tmp/a-047c8118.pth",
    ):
        assert not is_address(other)


def test_an_address_is_fetched_under_download_alone_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.save({"state_dict": {"a": torch.ones(2)}}, tmp_path / "held")
    digest = hashlib.sha256((tmp_path / "held").read_bytes()).hexdigest()
    there = tmp_path / "there" / f"held-{digest[:8]}.pth"
    there.parent.mkdir()
    shutil.copy(tmp_path / "held", there)
    kept = tmp_path / "hub/checkpoints" / there.name
    with pytest.raises(SynthbenchError, match=f"{kept} is missing: run with --download, or get https://example.org/{there.name}"):
        find_weights(f"https://example.org/{there.name}", OFFLINE)
    assert fetched(there.as_uri(), ONLINE) == kept  # a file's address stands for one of the network, which there is not here
    assert read_weights(find_weights(f"https://example.org/{there.name}", OFFLINE), PICKLES).keys() == {"a"}
    with pytest.raises(SynthbenchError, match="is a pickle"):
        read_weights(kept, OFFLINE)
    kept.write_bytes(b"altered")
    with pytest.raises(SynthbenchError, match="is not the one in its name"):
        find_weights(f"https://example.org/{there.name}", OFFLINE)
    kept.unlink()
    there.write_bytes(b"altered")
    with pytest.raises(SynthbenchError, match=r"weights: file:.*the file there is another one, or it was altered on its way"):
        fetched(there.as_uri(), ONLINE)
    assert not kept.exists()
