"""Plugins' own environments: made only after confirmation, once, completely, and removed by command."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import Distribution
from importlib.util import find_spec
from pathlib import Path

import pytest
from slurm_here import missing, slurm_here
from synthbench.contract.environment import Environment
from synthbench.errors import SynthbenchError
from synthbench.execution.environments import Environments, EnvironmentSpec, requirement
from synthbench_fakes import SUITE

ELSEWHERE = Path(__file__).with_name("elsewhere")
SYNTHBENCH = str(Path(sys.executable).with_name("synthbench"))
RUN = [SYNTHBENCH, "run", "suite.toml", "--workers", "1", "--set", 'baselines=["references"]', "--set", "generators=[]"]


@pytest.fixture(scope="module")
def installed_here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that makes the plugin of `elsewhere` an installed distribution of whoever has it on PYTHONPATH."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "synthbench_elsewhere").symlink_to(ELSEWHERE / "synthbench_elsewhere")
    about = folder / "synthbench_elsewhere-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: synthbench-elsewhere\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text("[synthbench]\nelsewhere = synthbench_elsewhere\n")
    (about / "direct_url.json").write_text(json.dumps({"url": ELSEWHERE.as_uri(), "dir_info": {"editable": True}}))
    return folder


@pytest.fixture(scope="module")
def variables(installed_here: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = os.pathsep.join([str(installed_here), os.environ["PYTHONPATH"]])
    return os.environ | {"PYTHONPATH": path, "SYNTHBENCH_ENVIRONMENTS": str(tmp_path_factory.mktemp("environments") / "here")}


def told(command: Sequence[str], folder: Path, variables: dict[str, str], rc: int = 0) -> str:
    done = subprocess.run(command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == rc, done.stdout + done.stderr
    return done.stdout + done.stderr


def write_suite(folder: Path) -> Path:
    text = SUITE.read_text().replace("[[mix]]", "[[ignored]]").partition("[[ignored]]")[0]
    (folder / "suite.toml").write_text(text + '\n[[detectors]]\nuse = "fake-elsewhere"\n')
    return folder


def test_nothing_is_installed_unasked_and_what_would_be_is_shown(variables: dict[str, str], tmp_path: Path) -> None:
    variables = variables | {"SYNTHBENCH_ENVIRONMENTS": str(tmp_path / "none")}
    said = told(RUN, write_suite(tmp_path), variables, rc=2)
    assert "numpy==1.26.4" in said
    assert "synthbench-elsewhere" in said
    assert "--make-environments" in said
    assert not (tmp_path / "none").exists()
    assert not (tmp_path / "reports").exists()


@pytest.fixture(scope="module")
def made(variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The results of a run that was allowed to make the environment, by the answer to its question."""
    folder = write_suite(tmp_path_factory.mktemp("made"))
    assert "no environments" in told([SYNTHBENCH, "env", "list"], folder, variables)
    assert ask(folder, variables, "no") == 2
    assert "no environments" in told([SYNTHBENCH, "env", "list"], folder, variables)
    assert ask(folder, variables, "yes") == 0
    held: dict[str, object] = json.loads((folder / "reports" / "suite.json").read_text())
    return held | {"markdown": (folder / "reports" / "suite.md").read_text()}


def ask(folder: Path, variables: dict[str, str], answer: str) -> int:
    """The exit status of a run whose question is answered at a terminal."""
    terminal, end = pty.openpty()
    run = subprocess.Popen(RUN, cwd=folder, env=variables, stdin=end, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.write(terminal, f"{answer}\n".encode())
    status = run.wait()
    os.close(terminal)
    os.close(end)
    return status


def test_its_library_cannot_live_here_and_gets_its_row_beside_the_others(made: dict[str, object]) -> None:
    import numpy as np

    assert int(np.__version__.partition(".")[0]) >= 2
    cells: list[dict[str, dict[str, float]]] = made["cells"]  # type: ignore[assignment]
    assert {str(cell["detector"]) for cell in cells} == {"threshold", "strict", "fake-elsewhere"}
    assert all(cell["metrics"]["AP50"] > 0 for cell in cells)
    own = made["environment"]["own_environments"]["fake-elsewhere"]  # type: ignore[index]
    assert own["packages"]["numpy"] == "1.26.4"
    shared = made["environment"]["packages"]  # type: ignore[index]
    assert shared["numpy"] == np.__version__
    assert "`fake-elsewhere` in an environment of its own: Python 3." in str(made["markdown"])


@pytest.mark.usefixtures("made")
def test_what_was_made_serves_the_next_run_and_is_listed_shown_and_removed(variables: dict[str, str], tmp_path: Path) -> None:
    said = told(RUN, write_suite(tmp_path), variables)
    assert "making" not in said
    listed = told([SYNTHBENCH, "env", "list"], tmp_path, variables).splitlines()
    assert len(listed) == 2
    name = listed[1].split()[0]
    assert json.loads(told([SYNTHBENCH, "env", "show", "else"], tmp_path, variables))["packages"]["numpy"] == "1.26.4"
    assert "did you mean" in told([SYNTHBENCH, "env", "show", f"{name}0"], tmp_path, variables, rc=2)
    folder = Path(variables["SYNTHBENCH_ENVIRONMENTS"])
    with (folder / f"{name}.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # as a run does
        assert "in use" in told([SYNTHBENCH, "env", "remove", name], tmp_path, variables, rc=2)
    assert f"removed {name}" in told([SYNTHBENCH, "env", "remove", name], tmp_path, variables)
    assert not (folder / name).exists()
    assert "no environments" in told([SYNTHBENCH, "env", "list"], tmp_path, variables)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["ray", "slurm"])
def test_on_a_cluster_it_is_made_once_where_its_stages_run(
    engine: str, made: dict[str, object], variables: dict[str, str], tmp_path: Path
) -> None:
    folder, there = write_suite(tmp_path), tmp_path / "there"
    command = [*(each for each in RUN if each not in ("--workers", "1")), "--engine", engine, "--device", "cpu", "--threads", "1"]
    with ExitStack() as stack:
        if engine == "ray" and find_spec("ray") is None:
            pytest.skip("needs Ray")
        if engine == "slurm":
            if missing():
                pytest.skip(f"needs a real SLURM, as root; missing: {', '.join(missing())}")
            stack.enter_context(slurm_here(tmp_path / "slurm"))
            (folder / "slurm.toml").write_text('jobs = 2\nthreads = 1\noptions = ["--oversubscribe"]\n')
            command += ["--slurm", "slurm.toml"]
        variables = os.environ | variables | {"SYNTHBENCH_ENVIRONMENTS": str(there)}
        told([*command, "--make-environments"], folder, variables)
    found = json.loads((folder / "reports" / "suite.json").read_text())
    assert [figures_of(cell) for cell in found["cells"]] == [figures_of(cell) for cell in made["cells"]]  # type: ignore[attr-defined]
    assert found["environment"]["own_environments"]["fake-elsewhere"]["packages"]["numpy"] == "1.26.4"
    assert len([each for each in there.iterdir() if each.is_dir()]) == 1


def figures_of(cell: dict[str, object]) -> tuple[object, ...]:
    """What must be the same wherever a cell's stages ran."""
    return cell["detector"], cell["training_set"], cell["metrics"]


def test_of_two_makers_one_waits_for_the_other(variables: dict[str, str], tmp_path: Path) -> None:
    variables = variables | {"SYNTHBENCH_ENVIRONMENTS": str(tmp_path / "both")}
    runs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        folder = write_suite(tmp_path / name)
        runs.append(
            subprocess.Popen([*RUN, "--make-environments"], cwd=folder, env=variables, stdout=subprocess.PIPE, text=True, stderr=-2)
        )
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert "".join(said).count("making the environment") == 1
    assert len(list((tmp_path / "both").glob("*/environment.json"))) == 1
    assert not list((tmp_path / "both").glob("*.building"))


def test_in_process_says_that_it_cannot_enter_it(variables: dict[str, str], tmp_path: Path) -> None:
    variables = variables | {"SYNTHBENCH_ENVIRONMENTS": str(tmp_path / "none")}
    said = told([*RUN, "--in-process", "--make-environments"], write_suite(tmp_path), variables, rc=2)
    assert "synthbench-elsewhere: runs in an environment of its own, which needs a worker process: leave --in-process away" in said
    assert not (tmp_path / "none").exists()


SPEC = EnvironmentSpec("synthbench-none", Environment(dependencies=("numpy==0.0.1",)), ("pluggy",), (), "")


def test_one_that_cannot_be_made_is_told_in_uvs_words_and_leaves_nothing(tmp_path: Path) -> None:
    environments = Environments(tmp_path)
    left = tmp_path / f"{SPEC.name}.killed.building"
    left.mkdir()
    environments.sweep()
    with pytest.raises(SynthbenchError, match=r"(?s)could not be made: pip install failed.*numpy==0\.0\.1"):
        environments.make(SPEC, lambda _: None)
    assert not environments.names()
    assert [each.suffix for each in tmp_path.iterdir()] == [".lock"]


def test_what_a_maker_at_work_has_made_is_not_swept_away(tmp_path: Path) -> None:
    environments = Environments(tmp_path)
    built = tmp_path / f"{SPEC.name}.now.building"
    built.mkdir()
    with (tmp_path / f"{SPEC.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environments.sweep()
        assert built.exists()
    environments.sweep()
    assert not built.exists()


def test_one_whose_python_is_gone_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHBENCH_ENVIRONMENTS", str(tmp_path))
    environments = Environments(tmp_path)
    (tmp_path / SPEC.name / "bin").mkdir(parents=True)
    (tmp_path / SPEC.name / "environment.json").write_text("{}")
    (tmp_path / SPEC.name / "bin" / "python").symlink_to(tmp_path / "gone")
    assert environments.about(SPEC.name) is None
    assert "its Python is gone" in told([SYNTHBENCH, "env", "list"], tmp_path, {**os.environ})
    with pytest.raises(SynthbenchError, match="could not be made"):
        environments.make(SPEC, lambda _: None)
    assert not environments.names()


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ({"url": "https://example.org/a.whl", "archive_info": {}}, "some @ https://example.org/a.whl"),
        (
            {"url": "https://example.org/a", "vcs_info": {"vcs": "git", "commit_id": "12ab"}, "subdirectory": "plugins/some"},
            "some @ git+https://example.org/a@12ab#subdirectory=plugins/some",
        ),
    ],
)
def test_a_distribution_is_taken_from_where_it_came_from(tmp_path: Path, origin: dict[str, object], expected: str) -> None:
    (tmp_path / "METADATA").write_text("Metadata-Version: 2.1\nName: some\nVersion: 1.0\n")
    (tmp_path / "direct_url.json").write_text(json.dumps(origin))
    assert requirement(Distribution.at(tmp_path)) == (expected,)


@pytest.mark.parametrize(
    "changed",
    [
        replace(SPEC, environment=Environment(dependencies=("numpy==0.0.2",))),
        replace(SPEC, environment=replace(SPEC.environment, python="3.99")),
        replace(SPEC, environment=replace(SPEC.environment, build_variables={"MAX_JOBS": "2"})),
        replace(SPEC, environment=replace(SPEC.environment, no_build_isolation=("numpy",))),
        replace(SPEC, environment=replace(SPEC.environment, overrides=("pillow",))),
        replace(SPEC, identity="of another release"),
    ],
)
def test_its_name_says_what_is_in_it(changed: EnvironmentSpec) -> None:
    assert changed.name != SPEC.name
    assert SPEC.name.startswith("none-")
    assert replace(SPEC).name == SPEC.name
