"""What CONTRIBUTING shows works: its detector, typed off the page, gets its row in a report."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SYNTHBENCH = Path(sys.executable).with_name("synthbench")
SUITE = """
references = 6
[data]
use = "orchard"
train = 16
test = 8
"""


@pytest.fixture
def blocks() -> dict[str, list[str]]:
    """The code on the page, by language."""
    found: dict[str, list[str]] = {}
    for language, code in re.findall(r"```(\w+)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL):
        found.setdefault(language, []).append(code)
    return found


def test_the_detector_on_the_page_gets_its_row(blocks: dict[str, list[str]], tmp_path: Path) -> None:
    project = tomllib.loads(blocks["toml"][0])["project"]
    (module,) = project["entry-points"]["synthbench"].values()
    (tmp_path / f"{module}.py").write_text(blocks["python"][0])
    about = tmp_path / f"{module}-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (about / "entry_points.txt").write_text(f"[synthbench]\nblobs = {module}\n")
    (tmp_path / "suite.toml").write_text(SUITE + blocks["toml"][1])
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    told = subprocess.run(
        [str(SYNTHBENCH), "run", "suite.toml", "--workers", "1"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
    held = json.loads((tmp_path / "reports" / "suite.json").read_text())
    assert {cell["detector"] for cell in held["cells"]} == {"blobs"}
    assert all(cell["metrics"]["AP50"] > 0.05 for cell in held["cells"])
    assert "blobs" in (tmp_path / "reports" / "suite.md").read_text()
