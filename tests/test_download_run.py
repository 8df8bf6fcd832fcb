"""From nothing to a report on photographs that fetch themselves, on a copy of the publishers' layout on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from synthbench.testing.loopback import serving

APPLES = Path(__file__).parents[2] / "shared" / "data" / "apples_bbch81"
SUITE = """
references = 4
baselines = ["references"]

[data]
use = "applebbch81"
resize = 64

[[detectors]]
use = "fake-threshold"
"""


@pytest.mark.slow
@pytest.mark.skipif(not APPLES.is_dir(), reason="needs a copy of the photographs")
def test_one_command_fetches_photographs_and_reports_on_them(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE)
    command = [sys.executable, "-m", "synthbench", "run", "suite.toml", "--download", "--device", "cpu"]
    base = tmp_path / "there/ai-agriculture-circuits-and-systems/AppleBBCH81/982445d15077531a3bff0da27aa1764c64863fca/data"
    lay_out(base)
    with serving(tmp_path / "there") as loopback:
        loopback.breaks = {f"/{path.relative_to(loopback.root)}": [5000] for path in base.glob("images/*0.jpg")}
        environment = {**os.environ, "SYNTHBENCH_MIRROR": loopback.address, "SYNTHBENCH_DATA": str(tmp_path / "data")}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "AppleBBCH81: fetches 640 files (28 MB and the label files) from raw.githubusercontent.com to" in done.stdout
    assert "Licence: CC BY 4.0. Credit S. Kodors et al." in done.stdout
    report = (tmp_path / "reports/suite.md").read_text()
    assert "Credit S. Kodors et al." in report
    assert "320 of 640 files have the checksums that this version of the plugin states" in report
    assert "SHA-256 at the first download" in report
    assert "are photographs" in report
    results = json.loads((tmp_path / "reports/suite.json").read_text())
    assert results["data"]["train"] == {"images": 200, "boxes": 2003}
    assert results["data"]["test"] == {"images": 120, "boxes": 1213}
    assert results["evidence"]["groups"] in (52, 0), "one replicate has no intervals"


def lay_out(base: Path) -> None:
    """The publishers' files, of a copy of the photographs and of their boxes."""
    (base / "labels").mkdir(parents=True)
    (base / "images").symlink_to(APPLES / "images")
    for split in ("train", "test"):
        content = json.loads((APPLES / f"{split}.json").read_text())
        lines: dict[int, list[str]] = {image["id"]: [] for image in content["images"]}
        for row in content["annotations"]:
            x, y, width, height = (value / 640 for value in row["bbox"])
            lines[row["image_id"]].append(f"0 {x + width / 2:.6f} {y + height / 2:.6f} {width:.6f} {height:.6f}")
        for image in content["images"]:
            (base / "labels" / f"{Path(image['file_name']).stem}.txt").write_text("\n".join(lines[image["id"]]))
