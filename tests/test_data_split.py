"""Which images belong together, and the split that is made of them."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_folders import LINE, pixels, yolo
from PIL import Image
from synthbench.cli import main
from synthbench.curation.importing import Choices, Outcome, import_folder
from synthbench.curation.splitting import balanced, united
from synthbench.errors import SynthbenchError
from synthbench.similarity.duplicates import alike, fingerprint, near_duplicates
from synthbench.suite.prompts import stems


def imported(root: Path, **options: Any) -> Outcome:
    return import_folder(root, root.parent / f"imported-{len(list(root.parent.iterdir()))}", Choices(**options))


def sides(outcome: Outcome) -> dict[str, str]:
    return {photo.name: photo.split for photo in outcome.dataset.photos}


@pytest.mark.parametrize(
    ("names", "group_of"),
    [
        ([f"DSC_{photo}_{crop}" for photo in range(1000, 1010) for crop in (0, 3, 11)], lambda name: name.rpartition("_")[0]),
        ([f"p{photo}_{x}_{y}" for photo in range(8) for x in (0, 512) for y in (0, 512)], lambda name: name.split("_")[0]),
        ([f"video{video}/frame{at:03d}" for video in range(5) for at in range(6)], lambda name: name.split("/")[0]),
        ([f"orchard-{video}-frame{at}" for video in "abcde" for at in range(6)], lambda name: name.split("-")[1]),
        ([f"IMG{at}_jpg.rf.{seed * 7919 + at:032x}" for at in range(8) for seed in (1, 2, 3)], lambda name: name.split("_")[0]),
    ],
)
def test_images_that_belong_together_by_their_names_stay_together(names: list[str], group_of: Any, tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", dict.fromkeys(names, LINE))
    for seed in range(3):
        outcome = imported(root, seed=seed, duplicates=False)
        found: dict[str, set[str]] = {}
        for name, side in sides(outcome).items():
            found.setdefault(group_of(name.removesuffix(".jpg")), set()).add(side)
        assert all(len(each) == 1 for each in found.values())
        assert set.union(*found.values()) == {"train", "test"}
        share = Counter(sides(outcome).values())["test"] / len(names)
        assert 0.15 < share < 0.45


@pytest.mark.parametrize("kinds", [("IMG",), ("apple", "pear", "plum")])
def test_names_that_tell_nothing_or_the_class_make_no_groups(kinds: tuple[str, ...], tmp_path: Path) -> None:
    lines = {f"{kind}_{at:04d}": f"{label}{LINE[1:]}" for label, kind in enumerate(kinds) for at in range(30 // len(kinds))}
    outcome = imported(yolo(tmp_path / "photos", lines, names=kinds), duplicates=False)
    assert outcome.faults.of("no groups")
    assert Counter(sides(outcome).values()) == {"train": 21, "test": 9}


def test_groups_by_a_pattern_or_by_times_or_none(tmp_path: Path) -> None:
    names = [f"r{row}t{tree}x{at}" for row in range(4) for tree in range(3) for at in range(2)]
    root = yolo(tmp_path / "photos", dict.fromkeys(names, LINE))
    rows = imported(root, group=r"^(r\d+)", duplicates=False)
    assert rows.groups is not None
    assert len(set(rows.groups.of)) == 4
    for number, name in enumerate(names):  # three bursts, an hour apart
        os.utime(root / "images" / f"{name}.jpg", (1e9 + 3600 * (number % 3) + number,) * 2)
    times = imported(root, group="time:60", duplicates=False)
    assert times.groups is not None
    assert len(set(times.groups.of)) == 3
    assert len(set(imported(root, group="none", duplicates=False).groups.of)) == 24  # type: ignore[union-attr]
    for told, words in (("(", "not a regular expression"), ("zzz", "matches no name"), ("time:x", "expected time or time:SECONDS")):
        with pytest.raises(SynthbenchError, match=words):
            imported(root, group=told, duplicates=False)


def test_bursts_by_exif_times_stay_together(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", dict.fromkeys("abcdefghijkl", LINE))
    for number, name in enumerate("abcdefghijkl"):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"2024:09:14 1{number % 4}:00:0{number // 4}"
        Image.fromarray(pixels(number)).save(root / "images" / f"{name}.jpg", exif=exif)
    outcome = imported(root, duplicates=False)
    assert outcome.groups is not None
    assert outcome.groups.rule.startswith("EXIF times")
    side = sides(outcome)
    assert all(len({side[f"{name}.jpg"] for name in burst}) == 1 for burst in ("aei", "bfj", "cgk", "dhl"))


def test_a_split_has_the_share_of_every_class_also_of_a_rare_one() -> None:
    rng = np.random.default_rng(0)
    parts = [{-1: int(rng.integers(1, 4)), 0: int(rng.integers(1, 30)), **({1: 2} if number % 10 == 0 else {})} for number in range(200)]
    for seed in range(5):
        chosen = balanced(parts, 0.3, seed)
        for key in (-1, 0, 1):
            total = sum(part.get(key, 0) for part in parts)
            share = sum(parts[number].get(key, 0) for number in chosen) / total
            assert abs(share - 0.3) < 0.05, (key, share)


def test_a_split_depends_on_its_seed_alone(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", dict.fromkeys((f"{at:02d}" for at in range(40)), LINE))
    first, again, other = (sides(imported(root, seed=seed, group="none", duplicates=False)) for seed in (0, 0, 1))
    assert first == again != other


def test_everything_in_one_group_is_refused(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", dict.fromkeys("abcd", LINE))
    with pytest.raises(SynthbenchError, match=r"all 4 images belong together by names, as told.*--group none"):
        imported(root, group=r"(\.jpg)")


def test_parts_join_over_both_relations() -> None:
    assert united(["a", "a", "b", "c"], [0, 1, 1, 2]) == [[0, 1, 2], [3]]


def test_images_that_look_alike_in_one_set_are_those_that_look_alike_in_two() -> None:
    rng = np.random.default_rng(1)
    images = [pixels(seed, (80, 60)) for seed in range(12)]
    images += [np.clip(image.astype(int) + rng.integers(-8, 9, image.shape), 0, 255).astype(np.uint8) for image in images[:4]]
    images += [np.ascontiguousarray(images[5][:, ::-1]), images[6]]
    prints = [fingerprint(image) for image in images]
    sets, nearest = alike(prints)
    assert nearest == {12: 0, 13: 1, 14: 2, 15: 3, 16: 5, 17: 6}
    assert [sets[at] for at in nearest] == [sets[first] for first in nearest.values()]
    assert len(set(sets)) == 12
    pairs = near_duplicates(prints[:12], prints[12:])
    assert {12 + pair.second: pair.first for pair in pairs} == nearest


# The commands


def test_import_check_and_export_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = yolo(tmp_path / "photos", {**dict.fromkeys("abcdef", LINE), "g": LINE + LINE, "h": None})
    assert main(["data", "check", str(root)]) == 0
    told = capsys.readouterr().out
    assert "yolo: 8 images, 7 boxes, 1 class" in told
    assert "given twice: boxes that repeat another one of the same" in told
    assert (tmp_path / "photos-check" / "faults.csv").is_file()
    assert main(["data", "import", str(root), str(tmp_path / "out")]) == 2
    assert "--unlabelled empty or --unlabelled skip" in capsys.readouterr().err
    assert main(["data", "import", str(root), str(tmp_path / "out"), "--unlabelled", "empty", "--test", "0.25"]) == 0
    assert "8 images (2 test, 6 train)" in capsys.readouterr().out
    assert main(["data", "export", str(tmp_path / "out"), str(tmp_path / "voc"), "--to", "voc"]) == 0
    assert len(list((tmp_path / "voc" / "Annotations").glob("*.xml"))) == 8
    assert main(["data", "check", str(tmp_path / "voc"), "--json", "--out", str(tmp_path / "check")]) == 0
    about = json.loads(capsys.readouterr().out.partition("{")[2].join(["{", ""]))
    assert about["summary"]["boxes"] == 7


SUITE = """
references = 2
images = 2
[data]
use = "coco"
path = "{path}"
[[generators]]
use = "sd15-dreambooth"
pretrained_model_name_or_path = "small-sd15"
instance_prompt = "{prompt}"
boxes = false
[[annotators]]
use = "teacher"
detector = "fasterrcnn"
[[detectors]]
use = "fasterrcnn"
"""


@pytest.mark.parametrize(
    ("name", "prompt", "warned"),
    [("apple", "a photo of red apples", False), ("pear", "a photo of red apples", True), ("pear", "a photo of {classes}", False)],
)
def test_plan_reads_the_data_and_warns(name: str, prompt: str, warned: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"train/{letter}_{at}" for letter in "abc" for at in (1, 2)] + ["test/c_3", "test/d_1", "test/d_2"]
    root = yolo(tmp_path / "photos", {**dict.fromkeys(names, LINE), "test/e_1": "0 0.5 0.5 0.04 0.04"}, names=None)
    import_folder(root, tmp_path / "data", Choices(), ask=lambda _question, _answers: "empty")
    content = json.loads((tmp_path / "data" / "train.json").read_text())
    for split in ("train", "test"):
        content = json.loads((tmp_path / "data" / f"{split}.json").read_text())
        content["categories"][0]["name"] = name
        (tmp_path / "data" / f"{split}.json").write_text(json.dumps(content))
    (tmp_path / "suite.toml").write_text(SUITE.format(path=tmp_path / "data", prompt=prompt))
    command = ["plan", str(tmp_path / "suite.toml"), "--store", str(tmp_path / "store")]
    assert main(command) == 0
    told = capsys.readouterr().err
    assert "group across: 1 groups" in told
    assert "tiny: 1 boxes" in told
    assert (f'instance_prompt: "{prompt}" names none of the categories (pear)' in told) == warned
    assert ("names none of the categories" in told) == warned
    next((tmp_path / "data" / "images").rglob("*.jpg")).write_bytes(b"no image")
    assert main(command) == 2
    assert "not a readable image" in capsys.readouterr().err


def test_words_are_compared_without_plurals() -> None:
    assert stems("Cherries, peaches and red Apples") == ["cherry", "peach", "and", "red", "apple"]
    assert stems("bus") == stems("bus")
    assert set(stems("tomatoes")) == set(stems("tomato"))
