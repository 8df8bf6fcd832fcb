"""`synthbench init FOLDER` writes a suite that fits the photographs, the machine and what is installed."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import synthbench
from photo_folders import BOX, coco
from PIL import Image
from synthbench.cli import main
from synthbench.errors import SynthbenchError
from synthbench.registry import Registry, installed
from synthbench.shipped import SHIPPED
from synthbench.starting import machine as machines
from synthbench.starting.choices import choose, prompt
from synthbench.starting.example import example
from synthbench.starting.folder import look
from synthbench.starting.machine import Machine
from synthbench.starting.own import Own, own, spoken_duration
from synthbench.starting.writing import rendered
from synthbench.suite.model import Suite
from synthbench.suite.reader import read_suite

SMALL = Machine(processors=2, memory=8.0)
LARGE = Machine(processors=16, memory=64.0, gpu="Some GPU", gpu_memory=48.0)


def photographs(
    folder: Path,
    *,
    classes: tuple[str, ...] = ("red_apple",),
    train: int = 8,
    test: int = 4,
    size: tuple[int, int] = (64, 48),
    side: float = 12.0,
) -> Path:
    """A folder of noise with a box of each class in every image; the images are there if they are few."""
    (folder / "images").mkdir(parents=True)
    rng, number = np.random.default_rng(0), 0
    categories = [{"id": index, "name": name} for index, name in enumerate(classes, start=1)]
    for split, count in (("train", train), ("test", test)):
        images, annotations = [], []
        for _ in range(count):
            number += 1
            name = f"{number}.png"
            if train <= 20:
                Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)).save(folder / "images" / name)
            images.append({"id": number, "file_name": name, "width": size[0], "height": size[1]})
            boxes = [{"category_id": index, "bbox": [2.0, 2.0 + 3 * index, side, side]} for index in range(1, len(classes) + 1)]
            annotations += [{"id": 100 * number + index, "image_id": number, **box} for index, box in enumerate(boxes)]
        (folder / f"{split}.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return folder


def written(folder: Path, machine: Machine = SMALL, registry: Registry | None = None) -> tuple[Own, Suite]:
    """What `init` writes for a folder, and the suite that is read of it."""
    registry = registry or installed()
    made = own(folder, Path("mine.toml"), machine, registry)
    return made, read_suite(tomllib.loads(made.text), registry)


def test_a_few_photographs_give_a_suite_that_can_be_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photographs(tmp_path / "orchard")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machines, "this_machine", lambda: SMALL)
    assert main(["init", "orchard"]) == 0
    said = capsys.readouterr().out
    assert "orchard: 8 training and 4 test images; training boxes: 8 of red_apple" in said
    assert "machine: 2 processors, 8 GiB of memory, no GPU" in said
    assert said.endswith("next:\n  synthbench plan orchard.toml\n  synthbench run orchard.toml\n")
    plan = synthbench.plan("orchard.toml", store=tmp_path / "store")
    assert [row.name for row in plan.suite.rows] == [
        "real",
        "references",
        "sd15-dreambooth x teacher",
        "copy-paste x native",
        "augment x native",
    ]
    assert (plan.suite.settings.references, plan.suite.settings.images, plan.planned) == (2, 6, 3)
    assert plan.suite.generator("sd15-dreambooth").plugin.instance_prompt == "a photo of red apple"
    assert main(["init", "orchard"]) == 2  # nothing is replaced


def test_every_line_is_explained(tmp_path: Path) -> None:
    texts = [example(installed()).text]
    for machine in (SMALL, LARGE):
        folder = photographs(tmp_path / f"photos{machine.processors}", train=200, size=(4000, 3000), side=30, classes=("a", "b"))
        texts.append(written(folder, machine)[0].text)
    for text in texts:
        lines = text.splitlines()
        for before, line in pairwise(lines):
            if re.match(r"\w+ = ", line) and not line.startswith("caveat"):
                assert " # " in line or before.startswith("# "), line


def test_three_classes_are_in_the_suite(tmp_path: Path) -> None:
    folder = photographs(tmp_path / "fruit", classes=("red apples", "plum", "class 3"), train=200, test=40)
    made, suite = written(folder)
    assert made.facts.classes == {"red apples": 200, "plum": 200, "class 3": 200}
    assert "200 of red apples, 200 of plum, 200 of class 3." in made.text
    plugin = suite.generator("sd15-dreambooth").plugin
    assert plugin.instance_prompt in ("a photo of red apples, plum and class 3", "a photo of {classes}")
    assert plugin.boxes is False or hasattr(plugin, "class_words")
    settings = suite.settings
    assert (settings.references, settings.holdout, settings.real_counts, settings.reference_choice) == (20, 20, (60,), "varied")


def test_generators_that_know_several_classes_get_their_words(tmp_path: Path) -> None:
    facts = look(photographs(tmp_path / "fruit", classes=("red_apple", "plum")))
    able = replace(choose(facts, SMALL, installed()), placeholder=True, prompt=prompt(facts.classes, placeholder=True))
    values = {"facts": facts, "machine": SMALL, "folder": "fruit", "file": "fruit.toml", "classes": "x", "duration": ""}
    generator = tomllib.loads(rendered("folder.toml", **vars(able), **values))["generators"][0]
    assert (generator["instance_prompt"], generator["class_words"]) == ("a photo of {classes}", {"red_apple": "red apple"})
    assert "boxes" not in generator
    assert prompt(["0", "_"], placeholder=False) == "a photo of an object"


@pytest.mark.parametrize(
    ("classes", "apart"),
    [
        (("apple", "plum"), True),
        (("apple", "pineapple"), True),
        (("apple", "Apple"), False),
        (("apple", "apple_leaf"), False),
        (("leaf", "apple-leaf"), False),
    ],
)
def test_boxes_come_from_attention_only_to_classes_that_can_be_told_apart(classes: tuple[str, str], apart: bool, tmp_path: Path) -> None:
    made, suite = written(photographs(tmp_path / "fruit", classes=classes))
    assert suite.generator("sd15-dreambooth").plugin.boxes == apart
    assert ("sd15-dreambooth x native" in [row.name for row in suite.rows]) == apart
    assert "map_scales" in made.text or not apart


@pytest.mark.parametrize(
    ("size", "side", "machine", "expected"),
    [
        ((640, 480), 61.0, SMALL, (256, 0, 256)),  # (size for detectors, tile, resize)
        ((640, 480), 24.0, Machine(8, 32.0), (320, 0, 320)),
        ((640, 480), 24.0, SMALL, (256, 512, 256)),
        ((4000, 3000), 30.0, SMALL, (256, 640, 256)),
        ((4000, 3000), 6.0, SMALL, (256, 256, 256)),  # tiles are not enlarged
        ((200, 150), 5.0, SMALL, (256, 0, 0)),
        ((4000, 3000), 30.0, LARGE, (640, 1600, 640)),
        ((1000, 800), 100.0, LARGE, (640, 0, 640)),
    ],
)
def test_sizes_leave_objects_visible(
    tmp_path: Path, size: tuple[int, int], side: float, machine: Machine, expected: tuple[int, int, int]
) -> None:
    _, suite = written(photographs(tmp_path / "photos", train=100, size=size, side=side), machine)
    image_size, tile, resize = expected
    assert (suite.detectors[0].plugin.image_size, suite.data.plugin.tile) == (image_size, tile)
    assert suite.data.plugin.resize in (resize, 0 if tile == resize else resize)


def test_more_processors_compare_more_detectors_and_little_memory_takes_smaller_batches(tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", train=200)
    names = [[entry.name for entry in written(folder, machine)[1].detectors] for machine in (SMALL, Machine(4, 16.0))]
    assert names == [["fasterrcnn"], ["fasterrcnn", "yolov8"]]
    sizes = [written(folder, Machine(2, memory))[1].detectors[0].plugin.batch_size for memory in (0.0, 8.0, 3.5, 2.5)]
    assert sizes == [8, 8, 4, 1]


def test_a_gpu_gets_stable_diffusion_and_no_estimate(tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", train=200)
    made, suite = written(folder, LARGE)
    assert made.minutes is None
    assert "not measured on a GPU yet" in made.text
    assert "--download" in made.text
    assert suite.generator("sd15-dreambooth").plugin.pretrained_model_name_or_path == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert [entry.name for entry in suite.generators] == ["sd15-dreambooth", "sdxl-lora", "copy-paste", "augment"]
    _, smaller = written(folder, Machine(8, 32.0, "Some GPU", 12.0))
    assert [entry.name for entry in smaller.generators] == ["sd15-dreambooth", "copy-paste", "augment"]
    assert smaller.generator("sd15-dreambooth").plugin.method == "lora"


def test_the_estimate_grows_with_the_work(tmp_path: Path) -> None:
    few, _ = written(photographs(tmp_path / "few", train=100))
    more, _ = written(photographs(tmp_path / "more", train=100, size=(4000, 3000), side=30))
    assert few.minutes is not None
    assert more.minutes is not None
    assert 10 < few.minutes < more.minutes
    assert [spoken_duration(each) for each in (2.0, 26.0, 89.0, 130.0)] == [
        "about 5 minutes",
        "about 25 minutes",
        "about 90 minutes",
        "about 2 hours",
    ]


def test_what_is_not_installed_is_left_out_and_named(tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos")
    whole = installed()

    def without(*extras: str) -> Registry:
        gone = {each for extra in extras for each in SHIPPED[extra]}
        found = {key: value for key, value in whole.found.items() if key not in gone}
        return Registry(found, {name: path for name, path in whole.checkpoints.items() if ("checkpoint", name) not in gone})

    made, suite = written(folder, registry=without("diffusers", "fasterrcnn"))
    assert [entry.name for entry in suite.detectors] == ["yolov8"]
    assert [entry.name for entry in suite.annotators] == ["native"]
    assert suite.settings.reference_choice == "random"  # YOLOv8 does not describe images
    assert '# sd15-dreambooth is not installed: pip install "synthbench[diffusers]"' in made.text
    assert '# fasterrcnn is not installed: pip install "synthbench[fasterrcnn]"' in made.text
    made, suite = written(folder, registry=without("diffusers", "rivals"))
    assert [row.name for row in suite.rows] == ["real", "references"]
    with pytest.raises(SynthbenchError, match=r'no detector is installed: pip install "synthbench\[fasterrcnn\]"'):
        written(folder, registry=without("fasterrcnn", "detr", "yolov8", "mmdet"))


def test_names_from_strangers_stay_within_their_strings_and_comments(tmp_path: Path) -> None:
    folder = photographs(tmp_path / 'a "b"', classes=('x"\n[data]\nuse = "evil', "яблоко"))
    made, suite = written(folder)
    assert [*made.facts.classes] == ['x"\n[data]\nuse = "evil', "яблоко"]
    assert suite.data.plugin.path == folder
    assert suite.data.info.name == "coco"
    assert "яблоко" in suite.settings.title


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["labels/train/a.txt", "images/train/a.jpg"], "looks like YOLO"),
        (["data.yaml", "train/images/a.jpg"], "looks like YOLO"),
        (["Annotations/a.xml", "JPEGImages/a.jpg"], "looks like Pascal VOC"),
        (["images/a.jpg", "annotations.json"], "looks like COCO"),
        (["a.jpg"], "lacks images/, train.json, test.json"),
    ],
)
def test_a_folder_in_another_format_gets_the_command_that_converts_it(
    tmp_path: Path, files: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    with pytest.raises(SynthbenchError) as error:
        look(folder)
    assert said in str(error.value)
    assert f"synthbench data import {folder} {folder}-coco, then synthbench init {folder}-coco" in str(error.value)
    monkeypatch.chdir(folder)
    with pytest.raises(SynthbenchError) as error:
        look(Path())
    assert f"synthbench data import . {folder}-coco, then synthbench init {folder}-coco" in str(error.value)


def test_a_name_without_end_is_cut_wherever_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    categories = [{"id": 1, "name": "apple" * 20_000}, {"id": 2, "name": "APPLE" * 20_000}]
    rows = [{"id": number, "image_id": number, "category_id": 1 + number % 2, "bbox": BOX} for number in range(1, 9)]
    coco(Path("photos"), {f"{name}.jpg": [] for name in "abcdefgh"}, annotations=rows, categories=categories)
    for command, status in (
        ("data check photos", 0),
        ("data import photos mine --group none", 0),
        ("data import photos other --classes appel", 2),
        ("data import photos other --names appel", 2),
        ("init mine", 0),
        ("plan mine.toml", 0),
        ("plan mine.toml --set data.categories=['appel']", 2),
    ):
        assert main(command.split()) == status
        told = "".join(capsys.readouterr())
        assert max(map(len, told.splitlines())) < 700, command
    assert max(map(len, Path("photos-check/faults.csv").read_text().splitlines())) < 10_000


def test_a_folder_that_is_wrong_says_how(tmp_path: Path) -> None:
    with pytest.raises(SynthbenchError, match="no such folder"):
        look(tmp_path / "none")
    folder = photographs(tmp_path / "photos")
    (folder / "train.json").write_text("{}")
    with pytest.raises(SynthbenchError, match=r"not a folder that a suite can read\n  train\.json: no list 'images'"):
        look(folder)
    (folder / "train.json").write_text(
        '{"images": [{"id": 1, "file_name": "a", "width": 9, "height": 9}], "annotations": [], "categories": []}'
    )
    with pytest.raises(SynthbenchError, match=r"train\.json has no boxes, so there is nothing to learn"):
        look(folder)


def test_the_gpu_is_what_the_driver_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machines.this_machine().gpu == ""
    for output, expected in (("NVIDIA L4, 24564", ("NVIDIA L4", 24564 / 1024)), ("No devices were found", ("", 0.0))):
        tool.write_text(f"#!/bin/sh\necho '{output}'\n")
        tool.chmod(0o755)
        assert machines.first_gpu() == expected
