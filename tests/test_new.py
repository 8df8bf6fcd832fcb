"""`synthbench new` writes plugins that pass every check and get their rows at once, and nothing over what is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from synthbench.cli import main
from synthbench.cli.parser import KINDS
from synthbench.contract.stages import PLUGIN_KINDS as ALL_KINDS

ROOT = Path(__file__).parents[1]
TOGETHER = """
references = 8
images = 16
[data]
use = "some-data-source"
[[generators]]
use = "some-generator"
[[annotators]]
use = "native"
[[annotators]]
use = "some-annotator"
[[detectors]]
use = "some-detector"
"""
WITH_TORCH = """
references = 8
baselines = ["references"]
[data]
use = "some-data-source"
[[detectors]]
use = "some-torch-detector"
image_size = 96
width = 16
max_train_steps = 150
"""

TEMPLATES = (*KINDS, "torch-detector")


def folder_of(written: Path, template: str) -> Path:
    return written / f"synthbench-some-{template}"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a new plugin of each template, installed for the processes that tests start."""
    folder = tmp_path_factory.mktemp("written")
    for template in TEMPLATES:
        made = folder_of(folder, template)
        kind = template.removeprefix("torch-")
        assert main(["new", kind, f"some-{template}", "--folder", str(made), *(["--torch"] if kind != template else [])]) == 0
        install(made)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join([*(str(folder_of(folder, each)) for each in TEMPLATES), os.environ["PYTHONPATH"]]))
        yield folder


def install(folder: Path) -> None:
    """Makes the plugin an installed distribution of whoever has the folder on PYTHONPATH."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    about = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = "\n".join(f"{name} = {module}" for name, module in project["entry-points"]["synthbench"].items())
    (about / "entry_points.txt").write_text(f"[synthbench]\n{points}\n")


def told(*command: str, folder: Path = ROOT) -> str:
    """What a command of this environment says; fails where it does."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_kind_can_be_written():
    assert set(KINDS) == set(ALL_KINDS)


def test_what_is_written_passes_the_linter_and_the_type_checker(written: Path, tmp_path: Path):
    told("ruff", "check", "--no-cache", "--config", "pyproject.toml", str(written))
    told("ruff", "format", "--no-cache", "--check", "--config", "pyproject.toml", str(written))
    modules = [str(file) for file in written.glob("*/synthbench_*/*.py")]
    assert len({Path(module).parent for module in modules}) == len(TEMPLATES)
    told("mypy", "--cache-dir", str(tmp_path), *modules)  # another run's modules have the same names


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_is_written_keeps_the_contract(written: Path, template: str):
    told("pytest", "-q", "-p", "no:cacheprovider", ".", folder=folder_of(written, template))


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_suite_that_is_written_names_options_that_exist(written: Path, template: str, tmp_path: Path):
    assert "to run" in told("synthbench", "plan", str(folder_of(written, template) / "suite.toml"), folder=tmp_path)


@pytest.mark.usefixtures("written")
def test_a_detector_with_torch_learns_from_few_references_and_takes_its_weights_up_again(tmp_path: Path):
    (tmp_path / "suite.toml").write_text(WITH_TORCH)
    told("synthbench", "run", "suite.toml", "--device", "cpu", folder=tmp_path)
    (cell,) = json.loads((tmp_path / "reports" / "suite.json").read_text())["cells"]
    assert cell["metrics"]["AP50"] > 0.5
    (weights,) = {file.parent for file in tmp_path.rglob("model.safetensors")}
    again = ["--set", f'detectors.some-torch-detector.weights="{weights}"', "--set", "detectors.some-torch-detector.max_train_steps=1"]
    told("synthbench", "run", "suite.toml", "--device", "cpu", *again, folder=tmp_path)
    (cell,) = json.loads((tmp_path / "reports" / "suite.json").read_text())["cells"]
    assert cell["metrics"]["AP50"] > 0.3, "one step would not do from scratch"


def test_only_a_detector_is_written_with_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "generator", "patches", "--torch"]) == 2
    assert "there is no template of a generator with torch" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("written")
def test_all_that_is_written_works_together_in_one_suite(tmp_path: Path):
    (tmp_path / "suite.toml").write_text(TOGETHER)
    told("synthbench", "run", "suite.toml", "--device", "cpu", folder=tmp_path)
    held = json.loads((tmp_path / "reports" / "suite.json").read_text())
    scores = {cell["training_set"]: cell["metrics"]["AP50"] for cell in held["cells"]}
    assert {*scores} == {"real", "references", "some-generator x native", "some-generator x some-annotator"}
    assert min(scores.values()) > 0.5
    (judged,) = held["judged"]
    assert min(judged["precision"], judged["recall"]) > 0.5


def test_it_says_what_it_wrote_and_what_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "detector", "my-net2"]) == 0
    said = capsys.readouterr().out
    assert "wrote synthbench-my-net2/synthbench_my_net2/__init__.py\n" in said
    assert [line.strip() for line in said.partition("next:\n")[2].splitlines()] == [
        "uv pip install --editable synthbench-my-net2",
        "uv run synthbench check my-net2",
        "uv run synthbench run synthbench-my-net2/suite.toml",
    ]
    assert "class MyNet2:" in Path("synthbench-my-net2/synthbench_my_net2/__init__.py").read_text()


def test_what_is_there_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    Path("synthbench-blobs").mkdir()
    assert main(["new", "detector", "blobs"]) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert list(tmp_path.rglob("*")) == [tmp_path / "synthbench-blobs"]


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("my net!", "did you mean 'my-net'?"),
        ("3d", "did you mean 'my-3d'?"),
        ("a/../b", "did you mean 'a-b'?"),
        ("net-", "did you mean 'net'?"),
        ("yolov8", "in use by synthbench-yolov8; take another name, such as 'my-yolov8'"),
        ("orchard", "synthbench-orchard is installed already; take another name, such as 'my-orchard'"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_another(
    name: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "detector", name]) == 2
    assert fix in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "class_"), [("boxes", "BoxesDetector"), ("none", "NoneDetector"), ("detector", "DetectorDetector")])
def test_a_class_is_not_named_like_what_its_module_uses(name: str, class_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "detector", name]) == 0
    source = Path(f"synthbench-{name}/synthbench_{name}/__init__.py").read_text()
    assert f"class {class_}:" in source
    assert f"return ({class_},)" in source
