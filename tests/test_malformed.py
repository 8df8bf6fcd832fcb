"""Faulty files of users, made at random: each is read or refused with an error that says what is wrong, never with a traceback."""

from __future__ import annotations

import json
import random
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from synthbench.data.coco import CocoFolder
from synthbench.errors import SuiteError, SynthbenchError
from synthbench.execution.border import Border
from synthbench.execution.stage_run import StageRun
from synthbench.planning.making import make_plan
from synthbench.registry import installed
from synthbench.storage.coco import write_set
from synthbench.storage.local import LocalStore
from synthbench.suite.reader import read_suite
from synthbench_fakes import SUITE

ODD: list[object] = [
    None,
    -1,
    0,
    2**70,
    1e308,
    "x",
    "",
    [],
    {},
    True,
    "../a.png",
    "/etc/passwd",
    "\ud800",
    "a\0b",
    "a" * 5000,
    [[]],
    [1, 2],
    "NaN",
]
LINES = [
    "[",
    "images = -3",
    "seeds = []",
    "[data]",
    "[[detectors]]",
    "use = 1",
    "x = " + "[" * 3000,
    "name = '\\u0000'",
    "references = 1e400",
    "timeout = nan",
    "baselines = ['']",
    "[[mix]]\nname = 'm'\nparts = ['m']",
    "[names]\nreal = 'references'",
    "title = '''\n\n# x'''",
    "[generators]",
    "[[generators.x]]",
    "images = 2026-01-01",
    "\ufeff",
    "fail = 'no'",
    "margin = 'a'",
    "weights = '\\u0007'",
    "[[annotators]]\nuse = 'teacher'\ndetector = 'nobody'",
]


def coco_json(names: list[str]) -> dict[str, object]:
    boxes: list[object] = [{"id": i, "image_id": i, "category_id": 1, "bbox": [10, 5, 20, 10], "iscrowd": 0} for i in range(len(names))]
    images = [{"id": i, "file_name": name, "width": 60, "height": 40} for i, name in enumerate(names)]
    return {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "apple"}], "info": {}, "licenses": []}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four images in two annotation files."""
    folder = tmp_path_factory.mktemp("coco")
    (folder / "images").mkdir()
    for seed, name in enumerate(["a.png", "b.jpg", "c.png", "d.jpg"]):
        pixels = np.random.default_rng(seed).integers(0, 255, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / name)
    (folder / "train.json").write_text(json.dumps(coco_json(["a.png", "b.jpg"])))
    (folder / "test.json").write_text(json.dumps(coco_json(["c.png", "d.jpg"])))
    return folder


def disturb(content: object, draw: random.Random) -> None:
    """Removes, doubles or replaces one value somewhere in parsed JSON."""
    if isinstance(content, dict) and content:
        key = draw.choice(sorted(content))
        if isinstance(content[key], (dict, list)) and content[key] and draw.random() < 0.75:
            return disturb(content[key], draw)
        if draw.random() < 0.3:
            del content[key]
        else:
            content[key] = draw.choice(ODD)
    elif isinstance(content, list) and content:
        index = draw.randrange(len(content))
        if isinstance(content[index], (dict, list)) and draw.random() < 0.75:
            return disturb(content[index], draw)
        if draw.random() < 0.3:
            content.append(content[index])
        else:
            content[index] = draw.choice(ODD)
    return None


@given(seed=st.integers(0, 2**32), faults=st.integers(1, 4))
@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_malformed_folder_of_photographs_is_read_or_refused(sound: Path, tmp_path: Path, seed: int, faults: int) -> None:
    draw = random.Random(seed)
    folder = tmp_path / "data"
    shutil.copytree(sound, folder)
    try:
        for _ in range(faults):
            file = folder / draw.choice(["train.json", "test.json"])
            if draw.random() < 0.15:
                content = file.read_bytes()
                file.write_bytes(content[: draw.randrange(len(content))] + draw.choice([b"", b"\xff", b"}", b"NaN"]))
            elif draw.random() < 0.2:
                image = draw.choice(sorted((folder / "images").iterdir()))
                image.write_bytes(image.read_bytes()[: draw.randrange(200)])
            else:
                with suppress(ValueError):
                    content = json.loads(file.read_bytes())
                    disturb(content, draw)
                    file.write_text(json.dumps(content))
        resize, tile = draw.choice([0, 32]), draw.choice([0, 24])
        with suppress(SynthbenchError):
            source = CocoFolder(path=folder, resize=resize, tile=tile)
            LocalStore(tmp_path / "store").content_hash(folder, list(source.inputs()))
            splits = source.load(StageRun(folder))
            for name, split in (("train", splits.train), ("test", splits.test)):
                border = Border(len(splits.categories))
                images = write_set(tmp_path / "stored" / name, splits.categories, border.samples(split))
                assert len(images)
                for picture in images:
                    boxes = picture.boxes
                    assert boxes is not None
                    assert np.isfinite(boxes.xyxy).all()
                    assert (boxes.xyxy[:, 2:] > boxes.xyxy[:, :2]).all()
                    assert ((boxes.labels >= 0) & (boxes.labels < len(splits.categories))).all()
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(tmp_path / "stored", ignore_errors=True)


@given(seed=st.integers(0, 2**32), faults=st.integers(1, 4))
@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_malformed_suite_is_read_or_refused_with_its_name(tmp_path: Path, seed: int, faults: int) -> None:
    draw = random.Random(seed)
    lines = SUITE.read_text().splitlines()
    for _ in range(faults):
        place = draw.randrange(len(lines))
        match draw.randrange(4):
            case 0:
                del lines[place]
            case 1:
                lines.insert(place, draw.choice(LINES))
            case 2:
                lines[place] = lines[place].replace(
                    *draw.choice([('"', "'''"), ("=", "=="), ("e", "\x1b"), ("fake", "fkae"), ("3", "-3.5")])
                )
            case _:
                lines.insert(place, draw.choice(lines))
    file = tmp_path / "suite.toml"
    file.write_text("\n".join(lines))
    try:
        make_plan(read_suite(file, installed()), installed(), LocalStore(tmp_path / "store"))
    except SuiteError as error:
        assert all(str(file) in problem for problem in error.problems), error.problems  # noqa: PT017 - most are refused


@pytest.mark.parametrize(
    "change", ["detectors[0]=5", "detectors=5", "x" * 5000 + "=1", "title=\ud800", "data.train=" + "[" * 3000, "=", "[]=1", "a.b.c=1"]
)
def test_an_odd_change_is_refused(tmp_path: Path, change: str) -> None:
    with pytest.raises(SuiteError):
        make_plan(read_suite(SUITE, installed(), [change]), installed(), LocalStore(tmp_path / "store"))


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf", b""])
def test_a_byte_order_mark_is_no_fault(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "squares.toml"
    file.write_bytes(content + SUITE.read_bytes())
    assert read_suite(file, installed()).settings.title == "Red squares"


@pytest.mark.parametrize("name", ["a" * 5000 + ".toml", "a\0b.toml", "."])
def test_an_impossible_suite_file_is_refused(name: str) -> None:
    with pytest.raises(SuiteError):
        read_suite(Path(name), installed())
