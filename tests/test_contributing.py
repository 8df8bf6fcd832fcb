"""CONTRIBUTING works as it is written: a plugin from outside is written, installed, found, checked, run and reported.

Every command and every piece of code on the page is carried out, in the page's order, in a folder and an environment of
the test's own; `NOT_CARRIED_OUT` says what is not, and why.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from synthbench.contract.environment import Environment
from synthbench.execution.environments import find_uv
from synthbench.registry import installed

ROOT = Path(__file__).parents[1]
NOT_CARRIED_OUT = {
    "pip install uv": "it would change the developer's environment; the README begins with it",
    "uv run pytest": "this test is part of it; README and .ci/run name it",
    ".ci/run": "this test is part of it",
}
OWN_LINES = 40  # that a contributor writes, at most


@dataclass(frozen=True)
class Block:
    """Code on the page. before: the paragraph above it."""

    language: str
    code: str
    before: str

    @property
    def file(self) -> str:
        """Where the page says to write it, empty where it does not."""
        found = re.search(r"[Ww]rite (?:it|this) to\s`([^`]+)`:$", self.before)
        return found[1] if found else ""

    @property
    def commands(self) -> list[str]:
        """Its lines, without comments."""
        return [command for line in self.code.splitlines() if (command := line.partition("#")[0].strip())]


def blocks() -> list[Block]:
    """All code on the page, in order."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [Block(each[1], each[2], page[: each.start()].strip().split("\n\n")[-1]) for each in found]


@dataclass
class Walk:
    """A folder and an environment in which the page's commands are carried out, and what each said."""

    folder: Path
    python: Path
    said: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    """What stood in files before the page's code took its place."""

    def follow(self, block: Block) -> None:
        """Does what one block of the page asks for."""
        if block.file:
            file = self.folder / block.file
            self.replaced[block.file] = file.read_text() if file.exists() else ""
            file.write_text(block.code)
        for command in block.commands if block.language == "bash" else ():
            if command not in NOT_CARRIED_OUT:
                self.said[command] = self.carry_out(command)

    def carry_out(self, command: str) -> str:
        """What a command says; fails where it does."""
        match shlex.split(command):
            case ["uv", "run", "synthbench", *rest]:
                words = [str(self.python), "-m", "synthbench", *rest]
            case ["uv", "run", "pytest", *rest]:
                words = [str(self.python), "-m", "pytest", "-p", "no:cacheprovider", *rest]
            case ["uv", "pip", "install", *rest]:
                # What the plugin depends on is there, but uv does not look where this environment has it from.
                words = [find_uv(), "pip", "install", "--python", str(self.python), "--no-deps", *rest]
            case _:
                pytest.fail(f"a command of the page that this test cannot carry out: {command}")
        taken = ("PYTHONPATH", "VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT")
        variables = {name: value for name, value in os.environ.items() if name not in taken}
        variables["SYNTHBENCH_ENVIRONMENTS"] = str(self.folder / "environments")
        done = subprocess.run(words, cwd=self.folder, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def scores(self, suite: str) -> dict[str, dict[str, float]]:
        """AP50 of each detector on each training set, from the results that a report was made of."""
        found: dict[str, dict[str, float]] = {}
        for cell in json.loads((self.folder / "reports" / f"{suite}.json").read_text())["cells"]:
            found.setdefault(cell["detector"], {})[cell["training_set"]] = cell["metrics"]["AP50"]
        return found


def make_environment(folder: Path) -> Path:
    """The interpreter of a new environment that finds what this one holds, and can be installed into without touching it."""
    subprocess.run([find_uv(), "venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)], check=True)
    (own,) = folder.glob("lib/python*/site-packages")
    # addsitedir, unlike a folder's name, heeds the .pth files through which editable distributions are found.
    (own / "here.pth").write_text(f"import site; site.addsitedir({sysconfig.get_paths()['purelib']!r})\n")
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Everything on the page, carried out in its order."""
    folder = tmp_path_factory.mktemp("walk")
    walk = Walk(folder, make_environment(folder / "environment"))
    for block in blocks():
        walk.follow(block)
    return walk


def test_a_plugin_from_outside_is_installed_beside_the_others_and_found(walk: Walk):
    listed = {tuple(line.split()) for line in walk.said["uv run synthbench plugins"].splitlines()}
    assert ("detector", "blobs", "1", "Apache-2.0", "synthbench-blobs", "0.1.0") in listed
    assert any(row[:2] == ("detector", "fasterrcnn") for row in listed)
    assert "blobs" not in installed().names("detector"), "the developer's own environment stays as it is"


def test_its_row_is_in_the_report_at_once(walk: Walk):
    (scores,) = walk.scores("suite").values()
    assert {*scores} == {"real", "references"}
    assert all(0.2 < score < 0.6 for score in scores.values()), "the page says about 0.35"


def test_the_contributors_own_detector_is_reported_beside_another(walk: Walk):
    scores = walk.scores("mine")
    assert {*scores} == {"blobs", "fasterrcnn"}
    assert min(scores["blobs"].values()) > 0.7, "the page says so"
    report = (walk.folder / "reports" / "mine.md").read_text()
    assert re.search(r"^\|.* blobs .* fasterrcnn .*\|$", report, re.MULTILINE), "a column each"


def test_the_contributor_writes_few_lines(walk: Walk):
    (source,) = (block for block in blocks() if block.file.endswith("__init__.py"))
    compared = difflib.ndiff(walk.replaced[source.file].splitlines(), source.code.splitlines())
    own = [line for line in compared if line.startswith("+ ") and line[2:].strip()]
    assert 0 < len(own) < OWN_LINES


def test_the_page_lists_what_is_written(walk: Walk):
    (listing,) = (block for block in blocks() if not block.language)
    said = re.findall(r"^wrote (.+)$", walk.said["uv run synthbench new detector blobs"], re.MULTILINE)
    assert sorted(line.split()[0] for line in listing.code.splitlines()) == sorted(said)


def test_the_code_that_is_written_nowhere_works():
    (example,) = (block for block in blocks() if block.language in ("python", "toml") and not block.file)
    found: dict[str, object] = {}
    exec(example.code, found)
    assert isinstance(found["environment"], Environment)


def test_what_is_not_carried_out_is_what_readme_and_ci_do():
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    commands = {command for block in blocks() if block.language == "bash" for command in block.commands}
    assert commands >= {*NOT_CARRIED_OUT}
    assert "pip install uv" in readme
    assert "uv run pytest" in readme
    assert "uv run pytest" in ci
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
