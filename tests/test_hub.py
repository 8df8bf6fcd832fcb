"""Weights from a hub: nothing is fetched unasked, and what is missing is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from synthbench.hub import is_hub_id

PROGRAM = """
from synthbench.errors import SynthbenchError
from synthbench.hub import hub_file
try:
    hub_file("somebody/something", "model.safetensors")
except SynthbenchError as error:
    print(error)
"""


def test_a_missing_file_is_named_with_the_way_to_get_it(tmp_path: Path):
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": ""}
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment).stdout
    assert "model.safetensors of somebody/something" in told
    assert "hf download somebody/something model.safetensors" in told
    assert "--download" in told


def test_a_hub_id_is_told_from_a_path(tmp_path: Path):
    assert is_hub_id("owner/name")
    assert not any(is_hub_id(other) for other in ("name", "./name", "~/name", "/owner/name", "owner/name/more", str(tmp_path)))
