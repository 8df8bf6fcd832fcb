"""Damage: whatever happens to files of a store or to results, no figure is wrong in silence and nothing ends in a traceback."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from msgspec import structs
from synthbench.errors import SynthbenchError
from synthbench.experiment import Experiment, report
from synthbench.results.model import Results
from synthbench_fakes import SUITE

STORE_TRIALS, RESULTS_TRIALS, PARTS = 160, 60, 4
WAYS = ("truncate", "zeros", "flip", "delete", "folder", "append", "empty", "digit")


def harm(file: Path, draw: random.Random) -> str:
    """Damages a file in one of the ways in which disks and people do."""
    content, way = file.read_bytes(), draw.choice(WAYS)
    place = draw.randrange(max(len(content), 1))
    if way == "delete":
        file.unlink()
    elif way == "folder":
        file.unlink()
        file.mkdir()
    elif way == "digit":
        digits = [number for number, byte in enumerate(content) if chr(byte).isdigit()]
        place = draw.choice(digits) if digits else place
        file.write_bytes(content[:place] + b"7" + content[place + 1 :])
    else:
        changed = {
            "truncate": content[:place],
            "zeros": content[:place] + bytes(len(content[place : place + 400])) + content[place + 400 :],
            "flip": content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :] if content else b"",
            "append": content + b"more",
            "empty": b"",
        }
        file.write_bytes(changed[way])
    return way


def figures(results: Results) -> list[object]:
    """Everything that must not change."""
    cells = [structs.replace(cell, train_seconds=0.0, predict_seconds=0.0) for cell in results.cells]
    return [*cells, *results.judged, *results.generated, results.data, [stage.facts for stage in results.stages]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[object]]:
    """A folder with a store and a report, and their figures."""
    folder = tmp_path_factory.mktemp("finished")
    results = Experiment(SUITE, store=folder / "store").run(out=folder / "reports", in_process=True)
    assert not results.failures
    return folder, figures(results)


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, PARTS))])
def test_a_damaged_store_heals_with_the_same_figures(finished: tuple[Path, list[object]], tmp_path: Path, part: int) -> None:
    source, expected = finished
    draw = random.Random(part)
    ways = set()
    for number in range(STORE_TRIALS // PARTS):
        folder = tmp_path / str(number)
        shutil.copytree(source / "store", folder / "store")
        stored = sorted((folder / "store").glob("*/[0-9a-f][0-9a-f]/*"))
        shutil.rmtree(draw.choice([each for each in stored if each.parents[1].name in ("train", "predict", "score", "judge", "annotate")]))
        files = sorted(each for each in (folder / "store").glob("*/[0-9a-f][0-9a-f]/*/**/*") if each.is_file())
        victim = draw.choice(files)
        ways.add(way := harm(victim, draw))
        out = folder / "reports" if number % 10 == 0 else None  # drawing a report takes longer than all the rest
        results = Experiment(SUITE, store=folder / "store").run(out=out, in_process=True)
        assert not results.failures, f"{way} {victim}"
        assert figures(results) == expected, f"{way} {victim}"
        shutil.rmtree(folder)
    assert len(ways) > 5


def test_results_that_are_damaged_are_told_or_rendered(finished: tuple[Path, list[object]], tmp_path: Path) -> None:
    source, _ = finished
    draw = random.Random(3)
    told = 0
    for number in range(RESULTS_TRIALS):
        folder = tmp_path / str(number)
        shutil.copytree(source / "reports", folder)
        file = folder / "squares.json"
        if number % 2:
            content = json.loads(file.read_bytes())
            lose(content, draw)
            file.write_text(json.dumps(content))
        else:
            harm(draw.choice([file, folder / "squares" / "tiles.json", folder / "squares" / "tiles.webp"]), draw)
        try:
            report(file)
        except SynthbenchError as error:
            told += 1
            assert str(folder) in str(error)  # noqa: PT017 - some are rendered
        shutil.rmtree(folder)
    assert told > RESULTS_TRIALS // 4


def lose(content: object, draw: random.Random) -> None:
    """Removes or replaces one value somewhere in parsed JSON."""
    while True:
        if isinstance(content, dict) and content:
            key = draw.choice(sorted(content))
            if isinstance(content[key], (dict, list)) and content[key] and draw.random() < 0.8:
                content = content[key]
                continue
            if draw.random() < 0.5:
                del content[key]
            else:
                content[key] = draw.choice([None, -1, "x", [], {}, 1e308, "\x1b[31m", True])
        elif isinstance(content, list) and content:
            index = draw.randrange(len(content))
            if isinstance(content[index], (dict, list)) and content[index] and draw.random() < 0.8:
                content = content[index]
                continue
            content[index] = draw.choice([None, -1, "x", {}])
        return
