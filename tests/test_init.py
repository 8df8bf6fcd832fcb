"""`synthbench init`, and what is said where a plugin is not installed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from synthbench.cli import main
from synthbench.errors import SuiteError, SynthbenchError
from synthbench.registry import Registry, installed
from synthbench.shipped import SHIPPED, extra_of, install_command
from synthbench.starting.example import DETECTORS, example
from synthbench.suite.inputs import resolve_suite
from synthbench.suite.reader import read_suite

ROOT = Path(__file__).parents[1]
WORKSPACE = {folder.name for folder in (ROOT / "plugins").iterdir() if (folder / "pyproject.toml").exists()}


def without(*extras: str) -> Registry:
    """The registry of this environment, as if the plugins of these extras were not installed."""
    gone = {each for extra in extras for each in SHIPPED[extra]}
    whole = installed()
    return Registry(
        found={key: value for key, value in whole.found.items() if key not in gone},
        checkpoints={name: path for name, path in whole.checkpoints.items() if ("checkpoint", name) not in gone},
    )


def test_the_table_of_shipped_plugins_is_that_of_the_workspace() -> None:
    registry = installed()
    assert {*SHIPPED} == WORKSPACE
    found = {(kind, name): info.distribution for (kind, name), info in registry.found.items()}
    ours = {each: name for each, name in found.items() if name.removeprefix("synthbench-") in WORKSPACE}
    checkpoints = {
        ("checkpoint", name): "synthbench-checkpoints" for name, path in registry.checkpoints.items() if path.is_relative_to(ROOT)
    }
    assert {each: f"synthbench-{extra}" for extra, contents in SHIPPED.items() for each in contents} == ours | checkpoints


def test_each_plugin_of_the_workspace_has_an_extra_and_only_its_own_brings_ultralytics() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {*extras} == WORKSPACE | {"example", "all", "onnx", "ray", "s3"}
    for extra in WORKSPACE:
        assert f"synthbench-{extra}" in extras[extra]
    assert [extra for extra, brought in extras.items() if "synthbench-yolov8" in brought] == ["yolov8"]
    assert extras["all"] == [f"synthbench[{','.join(sorted({*WORKSPACE, 'onnx', 's3'}))}]"]


def test_a_plugin_that_is_not_installed_is_named_with_its_distribution() -> None:
    with pytest.raises(SynthbenchError) as error:
        without("yolov8").get("detector", "yolov8")
    assert str(error.value) == ("no detector named 'yolov8' is installed; it is in synthbench-yolov8: pip install \"synthbench[yolov8]\"")


def test_so_is_a_checkpoint() -> None:
    suite = read_suite({"data": {"use": "orchard"}, "detectors": [{"use": "detr", "weights": "small-detr"}]}, installed())
    with pytest.raises(SuiteError, match=r'synthbench-checkpoints: pip install "synthbench\[checkpoints\]"'):
        resolve_suite(suite, without("checkpoints"), lambda path, read: "")


def test_the_command_is_not_offered_for_what_nobody_ships() -> None:
    assert extra_of("detector", "mine") is None
    with pytest.raises(SynthbenchError, match=r"no detector named 'mine' is installed; known: "):
        without("yolov8").get("detector", "mine")


@pytest.mark.parametrize("detector", DETECTORS)
def test_the_example_is_valid_with_each_detector(detector: str) -> None:
    extras = [extra for name in DETECTORS if name != detector and (extra := extra_of("detector", name))]
    registry = without(*extras)
    made = example(registry)
    suite = read_suite(tomllib.loads(made.text), registry)
    assert [entry.name for entry in suite.detectors] == [detector]
    assert [row.name for row in suite.rows] == ["real", "references", "sd15-dreambooth x teacher", "copy-paste x native"]
    resolve_suite(suite, registry, lambda path, read: "")  # the checkpoints are there
    assert made.left_out == {}


@pytest.mark.parametrize(
    ("gone", "rows", "said"),
    [
        (["rivals"], ["sd15-dreambooth x teacher"], {"copy-paste": install_command("rivals")}),
        (["diffusers"], ["copy-paste x native"], {"sd15-dreambooth": install_command("diffusers")}),
        (["checkpoints"], ["copy-paste x native"], {"sd15-dreambooth": install_command("checkpoints")}),
        (["diffusers", "checkpoints", "rivals"], [], {"sd15-dreambooth": install_command("diffusers", "checkpoints")}),
    ],
)
def test_the_example_leaves_out_what_is_not_installed_and_says_how_to_get_it(
    gone: list[str], rows: list[str], said: dict[str, str]
) -> None:
    registry = without(*gone)
    made = example(registry)
    suite = read_suite(tomllib.loads(made.text), registry)
    assert [row.name for row in suite.rows] == ["real", "references", *rows]
    assert said.items() <= made.left_out.items()
    for command in made.left_out.values():
        assert f"#     {command}\n" in made.text


@pytest.mark.parametrize(
    ("gone", "lacking"), [(["orchard"], "the data source 'orchard'"), (["fasterrcnn", "detr", "mmdet", "yolov8"], "a detector")]
)
def test_without_scenes_or_a_detector_there_is_no_example(gone: list[str], lacking: str) -> None:
    with pytest.raises(SynthbenchError) as error:
        example(without(*gone))
    assert str(error.value) == f'the example needs {lacking}: pip install "synthbench[example]"'


def test_init_writes_the_example_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--example"]) == 0
    assert capsys.readouterr().out == "wrote example.toml\n\nnext:\n  synthbench run example.toml\n"
    text = Path("example.toml").read_text()
    assert main(["init", "--example"]) == 2
    assert capsys.readouterr().err == "example.toml: is there already, and nothing was written; name another file with -o\n"
    assert Path("example.toml").read_text() == text
    assert main(["init", "--example", "-o", "no/where.toml"]) == 2
    assert main(["init"]) == 2
