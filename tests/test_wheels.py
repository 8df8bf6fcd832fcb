"""Wheels of the core and of each plugin build and hold what they need; one that takes minutes installs them and runs the example.

uv run pytest -n 0 -m slow tests/test_wheels.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = {folder.name for folder in (ROOT / "plugins").iterdir() if (folder / "pyproject.toml").exists()}
UV = shutil.which("uv") or "uv"
QUICK = (
    "replicates=1",
    "data.train=12",
    "data.test=4",
    "references=4",
    "images=4",
    "generators.sd15-dreambooth.max_train_steps=2",
    "annotators.teacher.score_threshold=0.0",  # after two steps no detector is sure of anything
)
"""Changes with which the example takes seconds."""


def uv(*arguments: str | Path) -> None:
    """Runs uv. Fails with what it says."""
    done = subprocess.run([UV, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with all of them."""
    folder = tmp_path_factory.mktemp("wheels")
    uv("build", "--quiet", "--all-packages", "--wheel", "--out-dir", folder)
    return folder


def metadata(wheel: Path) -> Message:
    """What a wheel says of itself."""
    with zipfile.ZipFile(wheel) as opened:
        (name,) = [name for name in opened.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_string(opened.read(name).decode())


@pytest.mark.xdist_group("wheels")
def test_each_distribution_has_a_wheel_and_only_one_needs_ultralytics(wheels: Path) -> None:
    found = {about["Name"]: about for about in map(metadata, wheels.glob("*.whl"))}
    assert {*found} == {"synthbench", *(f"synthbench-{name}" for name in PLUGINS)}
    needing = {name for name, about in found.items() if any("ultralytics" in each for each in about.get_all("Requires-Dist", []))}
    assert needing == {"synthbench-yolov8"}
    assert found["synthbench-yolov8"]["License-Expression"] == "AGPL-3.0-only"
    core = found["synthbench"].get_all("Requires-Dist", [])
    assert not any("synthbench" in each and "extra ==" not in each for each in core)  # no plugin comes with the core alone
    assert {*found["synthbench"].get_all("Provides-Extra", [])} == PLUGINS | {"example", "all", "onnx", "ray", "s3"}


@pytest.mark.xdist_group("wheels")
def test_the_wheel_of_the_core_holds_every_file_of_its_folder(wheels: Path) -> None:
    (wheel,) = wheels.glob("synthbench-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        packed = {name for name in opened.namelist() if name.startswith("synthbench/") and not name.endswith("/")}
    source = ROOT / "benchmark"
    files = (path for path in (source / "synthbench").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert packed == {path.relative_to(source).as_posix() for path in files}
    assert {"synthbench/starting/templates/example.toml", "synthbench/starting/templates/folder.toml"} <= packed


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("extras", "detector"), [("diffusers,yolov8", "yolov8"), ("example", "fasterrcnn")])
def test_the_example_runs_where_only_the_wheels_are_installed(wheels: Path, tmp_path: Path, extras: str, detector: str) -> None:
    environment = tmp_path / "environment"
    uv("venv", "--quiet", environment)
    constraints = tmp_path / "constraints.txt"  # what is tried together, and so in uv's cache; and our own from nowhere but these wheels
    tried = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["constraint-dependencies"]
    ours = [f"{wheel.name.partition('-')[0].replace('_', '-')} @ {wheel.as_uri()}" for wheel in sorted(wheels.glob("*.whl"))]
    constraints.write_text("\n".join([*tried, *ours]))
    python = environment / "bin" / "python"
    uv("pip", "install", "--quiet", "--python", python, "--constraints", constraints, f"synthbench[{extras}]")
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(*arguments: str) -> str:
        command = [str(environment / "bin" / "synthbench"), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("init", "--example").startswith("wrote example.toml\n")
    quick = [argument for change in (*QUICK, f"detectors.{detector}.max_train_steps=2") for argument in ("--set", change)]
    run("run", "example.toml", *quick)
    report = (tmp_path / "reports" / "example.md").read_text()
    assert "sd15-dreambooth x teacher" in report
    assert detector in report
    assert ("ultralytics" in str([*environment.glob("lib/*/site-packages/*")])) == ("yolov8" in extras)
