"""The published leaderboards: what the command makes of their entries, and the same figures as the published reports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from synthbench.cli import main
from synthbench.results.files import read_results

REPORTS = Path(__file__).parents[1] / "reports"
BOARDS = {"leaderboard": "apples.json", "leaderboard-photos": "photos.json"}


@pytest.mark.parametrize("name", BOARDS)
def test_a_leaderboard_is_what_the_command_makes(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board, made = REPORTS / name, tmp_path / name
    shutil.copytree(board, made)
    kept = {"season.json", "entry.json", "receipt.json", "shown.js"}
    for path in made.rglob("*"):
        if path.is_file() and path.name not in kept and path.parent.name != "pictures":
            path.unlink()
    assert main(["leaderboard", "--out", str(made)]) == 0
    capsys.readouterr()
    files = [{str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()} for folder in (board, made)]
    assert files[0].keys() == files[1].keys()
    assert [each for each in files[0] if files[0][each] != files[1][each]] == [], f"renew it: synthbench leaderboard --out reports/{name}"


@pytest.mark.parametrize(("name", "report"), BOARDS.items())
def test_its_figures_are_those_of_the_published_report(name: str, report: str) -> None:
    results = read_results(REPORTS / report)
    assert results.evidence is not None
    stated = {(each.training_set, each.detector): each.figure.mean for each in results.evidence.levels}
    rows = json.loads((REPORTS / name / "leaderboard.json").read_bytes())["rows"]
    assert rows
    for row in rows:
        assert row["ap"] == stated[row["training_set"], row["detector"]]
        assert row["level"] == "re-scored"
