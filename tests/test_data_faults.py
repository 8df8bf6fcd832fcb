"""Every fault that people's folders have: found, listed with its file, and never corrected in silence."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_folders import BOX, LINE, SIZE, coco, photo, pixels, seed_of, turned_photo, voc, voc_object, yolo
from PIL import Image
from synthbench.cli import main
from synthbench.curation.importing import Choices, Outcome, check_folder, import_folder
from synthbench.curation.sheet import draw_sheet, legend_of
from synthbench.data.coco import CocoFolder
from synthbench.data.formats.dataset import Dataset
from synthbench.data.formats.faults import KINDS, Faults, Unclear
from synthbench.data.formats.reading import Reading, read_folder
from synthbench.errors import SynthbenchError

Make = Callable[[Path], Path]
XYXY = [[10, 5, 30, 15]]


def two(root: Path, line: str, **more: Any) -> Path:
    """A good YOLO label and one with another line."""
    return yolo(root, {"a": LINE, "b": line}, **more)


def with_file(file: str, text: str, **more: Any) -> Make:
    """A good YOLO folder with one more file."""

    def make(root: Path) -> Path:
        two(root, LINE, **more)
        (root / file).write_text(text)
        return root

    return make


def listed_twice(root: Path) -> Path:
    coco(root, {"a.jpg": [BOX]})
    content = json.loads((root / "annotations.json").read_text())
    content["images"].append({**content["images"][0], "id": 9})
    (root / "annotations.json").write_text(json.dumps(content))
    return root


def foreign(root: Path) -> Path:
    coco(root, {"a.jpg": [BOX]})
    content = json.loads((root / "annotations.json").read_text())
    content["images"][0]["file_name"] = "C:\\Users\\me\\orchard\\a.jpg"
    (root / "annotations.json").write_text(json.dumps(content))
    return root


def unreadable(root: Path) -> Path:
    two(root, LINE)
    (root / "images" / "b.jpg").write_bytes(b"no image")
    return root


def ambiguous(root: Path) -> Path:
    coco(root, {"a.jpg": [BOX], "b.jpg": [BOX]})
    for folder in "xy":
        photo(root / "images" / folder / "a.jpg", 2)
    (root / "images" / "a.jpg").unlink()
    return root


def damaged(root: Path) -> Path:
    yolo(root, {"a": LINE, "b": LINE})
    file = root / "images" / "b.jpg"
    file.write_bytes(file.read_bytes()[:-40])
    return root


def saved(mode: str, suffix: str) -> Make:
    def make(root: Path) -> Path:
        yolo(root, {"a": LINE, "b": LINE})
        (root / "images" / "b.jpg").unlink()
        image = Image.fromarray(pixels(1)).convert("L" if mode == "I;16" else mode)
        if mode == "I;16":
            image = Image.fromarray(np.asarray(image, np.uint16) * 257)
        image.save(root / "images" / f"b{suffix}")
        return root

    return make


def with_frames(root: Path) -> Path:
    yolo(root, {"a": LINE, "b": LINE})
    (root / "images" / "b.jpg").unlink()
    first, second = (Image.fromarray(pixels(seed)) for seed in (1, 2))
    first.save(root / "images" / "b.tif", save_all=True, append_images=[second])
    return root


def other_size(size: tuple[int, int]) -> Make:
    def make(root: Path) -> Path:
        coco(root, {"a.jpg": [BOX], "b.jpg": [BOX]})
        photo(root / "images" / "b.jpg", 1, size)
        return root

    return make


def turned(size_in_labels: tuple[int, int], orientation: int = 6) -> Make:
    def make(root: Path) -> Path:
        coco(root, {"a.jpg": [BOX], "b.jpg": [BOX]})
        content = json.loads((root / "annotations.json").read_text())
        content["images"][1] |= {"width": size_in_labels[0], "height": size_in_labels[1]}
        (root / "annotations.json").write_text(json.dumps(content))
        turned_photo(root / "images" / "b.jpg", orientation, 1)
        return root

    return make


def categories(*rows: tuple[int, str], used: int) -> Make:
    def make(root: Path) -> Path:
        annotations = [{"id": 1, "image_id": 1, "category_id": used, "bbox": BOX}]
        return coco(root, {"a.jpg": []}, categories=[{"id": i, "name": name} for i, name in rows], annotations=annotations)

    return make


def moved(name: str, to: str, make: Make) -> Make:
    def changed(root: Path) -> Path:
        make(root)
        (root / to).parent.mkdir(parents=True, exist_ok=True)
        (root / name).rename(root / to)
        return root

    return changed


def copied(source: str, target: str, make: Make) -> Make:
    def changed(root: Path) -> Path:
        make(root)
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        (root / target).write_bytes((root / source).read_bytes())
        return root

    return changed


def resaved(root: Path) -> Path:
    """Two sides of a split, and a training image that is a test image in another quality."""
    yolo(root, {"train/a_1": LINE, "train/b_1": LINE, "test/c_1": LINE, "test/d_1": LINE}, names=None)
    with Image.open(root / "images" / "test" / "c_1.jpg") as image:
        image.save(root / "images" / "train" / "b_1.jpg", quality=40)
    return root


def in_lists(root: Path, **lists: str) -> Path:
    """Lists of splits of a Pascal VOC folder."""
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for name, content in lists.items():
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text(content)
    return root


OBJECT = voc_object()
READING: dict[str, tuple[Make, str, str]] = {
    # kind: (folder, the file that is named, what the text or place says)
    "no class names": (lambda root: two(root, "3 0.5 0.5 0.2 0.2"), "labels/b.txt", "class 3"),
    "other names": (with_file("labels/classes.txt", "pear\napple\n", names=("apple", "pear")), "labels/classes.txt", "data.yaml"),
    "unread format": (with_file("images/c.HEIC", "ftypheic"), "images/c.HEIC", ""),
    "no image": (moved("images/b.jpg", "other/z.jpg", lambda root: two(root, LINE)), "labels/b.txt", ""),
    "listed, not there": (
        lambda root: in_lists(voc(root, {"a": OBJECT, "b": OBJECT}), train="a\nz.jpg\n", test="b\n"),
        "ImageSets/Main/train.txt",
        "line 2 z.jpg",
    ),
    "not listed": (copied("images/a.jpg", "images/z.jpg", lambda root: coco(root, {"a.jpg": [BOX]})), "images/z.jpg", ""),
    "no box left": (
        lambda root: coco(root, {"a.jpg": [BOX], "b.jpg": [(70, 5, 20, 10), (10, 5, 0, 10)]}),
        "images/b.jpg",
        "annotations.json: none of its 2 can be used",
    ),
    "unreadable labels": (lambda root: voc(root, {"a": OBJECT, "b": "<object>"}), "Annotations/b.xml", "mismatched tag"),
    "unreadable entry": (lambda root: two(root, "0 0.5 zero 0.2 0.2"), "labels/b.txt", "line 1"),
    "listed twice": (listed_twice, "images/a.jpg", "image 9"),
    "image id twice": (
        lambda root: coco(
            root,
            {"a.jpg": [BOX], "b.jpg": [BOX], "c.jpg": []},
            images=[{"id": i, "file_name": name, "width": 60, "height": 40} for i, name in ((1, "a.jpg"), (2, "b.jpg"), (2, "c.jpg"))],
        ),
        "annotations.json",
        "image 2",
    ),
    "ambiguous name": (ambiguous, "annotations.json", "a.jpg"),
    "other encoding": (lambda root: yolo(root, {"a": LINE, os.fsdecode(b"caf\xe9"): LINE}), "images/caf_.jpg", "caf_.jpg"),
    "equal names": (lambda root: yolo(root, {"x/a": LINE, "y/a": LINE}), "images/y/a.jpg", "images/x/a.jpg"),
    "other spelling": (moved("images/a.jpg", "images/A.JPG", lambda root: coco(root, {"a.jpg": [BOX]})), "annotations.json", "a.jpg"),
    "foreign path": (
        foreign,
        "annotations.json",
        "C:/Users/me/orchard/a.jpg",
    ),
    "other file name": (lambda root: voc(root, {"a": OBJECT}, filename="DSC_1.jpg"), "Annotations/a.xml", "DSC_1.jpg"),
    "leads out": (
        lambda root: coco(
            root,
            {"a.jpg": [BOX]},
            images=[
                {"id": 1, "file_name": "a.jpg", "width": 60, "height": 40},
                {"id": 2, "file_name": "../../a.jpg", "width": 60, "height": 40},
            ],
        ),
        "annotations.json",
        "../../a.jpg",
    ),
    "category ids": (categories((0, "apple"), (17, "pear"), used=17), "annotations.json", "0, 17"),
    "category id twice": (categories((1, "apple"), (1, "pear"), used=1), "annotations.json", "'pear' and 'apple'"),
    "category name twice": (categories((1, "apple"), (2, "apple"), used=2), "annotations.json", "apple"),
    "category names alike": (
        lambda root: yolo(
            root, {"a": LINE, "b": LINE.replace("0", "2", 1), "c": LINE.replace("0", "3", 1)}, ("apple", "Pear", " Apple ", "pear")
        ),
        " Apple ",
        "and 'apple'",
    ),
    "unknown category": (
        lambda root: coco(
            root,
            {"a.jpg": []},
            annotations=[{"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX}, {"id": 7, "image_id": 1, "category_id": 5, "bbox": BOX}],
        ),
        "annotations.json",
        "annotation 7",
    ),
    "category without boxes": (categories((1, "fruit"), (2, "apple"), used=2), "fruit", ""),
    "no size": (lambda root: two(root, "0 0.5 0.5 0 0.2"), "images/b.jpg", "labels/b.txt: 0x8"),
    "outside": (lambda root: two(root, "0 0.9 0.5 0.4 0.2"), "images/b.jpg", "line 1"),
    "wholly outside": (lambda root: two(root, "0 1.5 0.5 0.4 0.2"), "images/b.jpg", "line 1"),
    "swapped corners": (lambda root: voc(root, {"a": voc_object((30, 6, 11, 15))}), "images/a.jpg", "object 1"),
    "pixels": (lambda root: two(root, "0 20 10 20 10"), "labels/b.txt", "line 1"),
    "shares": (
        lambda root: coco(root, {"a.jpg": [BOX], "b.jpg": [(0.1, 0.2, 0.5, 0.5)]}),
        "annotations.json",
        "annotation 2",
    ),
    "polygon": (lambda root: two(root, "0 0.1 0.1 0.5 0.1 0.3 0.6"), "labels/b.txt", "line 1"),
    "oriented box": (lambda root: two(root, "0 0.1 0.1 0.5 0.1 0.5 0.6 0.1 0.6"), "labels/b.txt", "line 1"),
    "keypoints": (lambda root: two(root, "0 0.5 0.5 0.2 0.2 0.4 0.4 2 0.6 0.6 1", kpt_shape=[2, 3]), "labels/b.txt", "line 1"),
    "confidence": (lambda root: two(root, "0 0.5 0.5 0.2 0.2 0.87"), "labels/b.txt", "line 1"),
    "given twice": (lambda root: two(root, LINE + LINE), "images/b.jpg", "line 2"),
    "tiny": (lambda root: two(root, "0 0.5 0.5 0.05 0.05"), "images/b.jpg", "3x2"),
    "counted from 0": (lambda root: voc(root, {"a": voc_object((0, 5, 30, 15)), "b": OBJECT}), "Annotations/a.xml", "1 boxes"),
    "difficult": (lambda root: voc(root, {"a": voc_object(more="<difficult>1</difficult>")}), "Annotations/a.xml", "object 1"),
    "truncated": (lambda root: voc(root, {"a": voc_object(more="<truncated>1</truncated>")}), "Annotations/a.xml", "object 1"),
    "crowd": (
        lambda root: coco(root, {"a.jpg": []}, annotations=[{"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX, "iscrowd": 1}]),
        "images/a.jpg",
        "annotation 1",
    ),
    "unreadable image": (
        lambda root: (two(root, LINE), (root / "images" / "b.jpg").write_bytes(b"no image"))[0],
        "images/b.jpg",
        "identify",
    ),
    "damaged image": (damaged, "images/b.jpg", "truncated"),
    "other size": (other_size((120, 80)), "images/b.jpg", "60x40 in the labels, 120x80 in the file"),
    "wrong size": (other_size((90, 90)), "images/b.jpg", "90x90"),
    "turned": (turned(SIZE), "images/b.jpg", "60x40"),
    "turned or not": (turned(SIZE, orientation=3), "images/b.jpg", ""),
    "grey": (saved("L", ".jpg"), "images/b.jpg", "L"),
    "16 bits": (saved("I;16", ".png"), "images/b.png", ""),
    "CMYK": (saved("CMYK", ".jpg"), "images/b.jpg", "CMYK"),
    "other mode": (saved("RGBA", ".png"), "images/b.png", "RGBA"),
    "several frames": (with_frames, "images/b.tif", "2"),
}


def read(root: Path, **options: object) -> tuple[Dataset, Faults]:
    faults = Faults()
    return read_folder(root, Reading(**options), faults), faults  # type: ignore[arg-type]


def imported(root: Path, **options: object) -> Outcome:
    return import_folder(root, root.parent / "imported", Choices(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", READING)
def test_a_fault_is_listed_with_its_file(kind: str, tmp_path: Path) -> None:
    make, file, says = READING[kind]
    _, faults = read(make(tmp_path / "photos"))
    found = faults.of(kind)
    assert len(found) == 1, faults.found
    assert found[0].file in (file, file.replace("images/", "JPEGImages/"))
    assert says in f"{found[0].where} {found[0].text}"


def test_a_folder_without_faults_has_none(tmp_path: Path) -> None:
    makes: tuple[Make, ...] = (
        lambda root: yolo(root, {"a": LINE, "b": ""}),
        lambda root: coco(root, {"a.jpg": [BOX], "b.jpg": []}),
        lambda root: voc(root, {"a": OBJECT, "b": ""}),
    )
    for make in makes:
        dataset, faults = read(make(tmp_path / str(len(list(tmp_path.iterdir())))))
        assert faults.found == []
        np.testing.assert_allclose(dataset.boxes.xyxy, XYXY, atol=1e-4)


def test_every_kind_has_a_test() -> None:
    after = {
        *("no label file", "crowd lost", "same file", "same file, other boxes", "near-duplicate", "near-duplicate across"),
        *("duplicates not looked for", "no split", "validation split", "group across", "no groups", "on both sides", "too small"),
        *("category on one side", "few test images"),
    }
    assert {*READING, *after} == {*KINDS}


# What becomes of the boxes


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("outside", [42, 16, 60, 24]),
        ("pixels", [10, 5, 30, 15]),
        ("shares", [6, 8, 36, 28]),
        ("polygon", [6, 4, 30, 24]),
        ("oriented box", [6, 4, 30, 24]),
        ("keypoints", [24, 16, 36, 24]),
        ("confidence", [24, 16, 36, 24]),
        ("other size", [20, 10, 60, 30]),
        # stored 60x40 and turned clockwise: x is 40 less the old lower and upper edge
        ("turned", [25, 10, 35, 30]),
        ("turned or not", [10, 5, 30, 15]),
    ],
)
def test_a_box_that_was_changed_is_where_it_should_be(kind: str, expected: list[float], tmp_path: Path) -> None:
    dataset, _ = read(READING[kind][0](tmp_path / "photos"))
    b = next(number for number, each in enumerate(dataset.photos) if each.path.endswith("b.jpg"))
    np.testing.assert_allclose(dataset.boxes.xyxy[dataset.boxes.photo == b], [expected], atol=1e-3)


def test_corners_of_voc_count_from_1_unless_one_is_0(tmp_path: Path) -> None:
    one, _ = read(voc(tmp_path / "one", {"a": voc_object((11, 6, 30, 15))}))
    zero, _ = read(voc(tmp_path / "zero", {"a": voc_object((0, 5, 30, 15))}))
    told, _ = read(tmp_path / "one", voc_base=0)
    assert one.boxes.xyxy.tolist() == XYXY
    assert zero.boxes.xyxy.tolist() == [[0, 5, 30, 15]]
    assert told.boxes.xyxy.tolist() == [[11, 6, 30, 15]]


UNUSABLE: list[dict[str, object]] = [
    {"bbox": [10, "five", 20, 10]},
    {"bbox": []},
    {"bbox": [10, 5, 0, 10]},
    {"bbox": [70, 5, 20, 10]},
    {"category_id": 5},
    {"bbox": [10, 5, float("nan"), 10]},
]


def coco_with(root: Path, row: dict[str, object]) -> Path:
    """Six images with a box each, of which the second one's is another."""
    rows = [{"id": number, "image_id": number, "category_id": 1, "bbox": BOX} for number in range(1, 7)]
    rows[1] |= row
    return coco(root, {f"{name}.jpg": [] for name in "abcdef"}, annotations=rows)


BARE: list[tuple[str, Make]] = [
    ("unreadable labels", lambda root: voc(root, {**dict.fromkeys("acdef", OBJECT), "b": "<object>"})),
    (
        "unreadable labels",
        lambda root: (yolo(root, dict.fromkeys("abcdef", LINE)), (root / "labels" / "b.txt").write_bytes(b"0 \xff 0.5 0.2 0.2"))[0],
    ),
    ("no box left", lambda root: voc(root, {**dict.fromkeys("acdef", OBJECT), "b": "<object><name>apple</name></object>"})),
    ("no box left", lambda root: yolo(root, {**dict.fromkeys("acdef", LINE), "b": "0 0,5 0,5 0,2 0,2"})),
    ("no box left", lambda root: yolo(root, {**dict.fromkeys("acdef", LINE), "b": "0 0.5 zero 0.2 0.2\n0 0.5 0.5 0 0.2"})),
    *(("no box left", partial(coco_with, row=row)) for row in UNUSABLE),
]


@pytest.mark.parametrize(("kind", "make"), BARE)
def test_an_image_whose_every_label_was_left_out_is_not_an_empty_one(kind: str, make: Make, tmp_path: Path) -> None:
    outcome = imported(make(tmp_path / "photos"), unlabelled="empty", group="none")
    assert [photo.name for photo in outcome.dataset.photos] == ["a.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"]
    assert len(outcome.faults.of(kind)) == 1
    assert not outcome.faults.of("no label file")
    assert outcome.summary.empty == 0


@pytest.mark.parametrize("format", ["coco", "yolo"])
def test_names_make_one_class_of_two(format: str, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    if format == "coco":
        rows = [{"id": number, "image_id": number, "category_id": number, "bbox": BOX} for number in (1, 2)]
        categories = [{"id": 1, "name": "apple"}, {"id": 2, "name": "Apple"}]
        coco(root, {"a.jpg": [], "b.jpg": []}, annotations=rows, categories=categories)
    else:
        yolo(root, {"a": LINE, "b": f"1{LINE[1:]}"}, names=("apple", "Apple"))
    assert len(read(root)[1].of("category names alike")) == 1
    dataset, faults = read(root, names=("apple", "apple"))
    assert dataset.categories == ("apple",)
    assert dataset.boxes.label.tolist() == [0, 0]
    assert faults.counts() == {"category name twice": 1}


def test_an_image_of_which_some_lines_can_be_read_stays(tmp_path: Path) -> None:
    dataset, faults = read(two(tmp_path / "photos", f"{LINE}0 0.5 zero 0.2 0.2"))
    assert (len(dataset.photos), len(dataset.boxes), len(faults.of("unreadable entry"))) == (2, 2, 1)


def test_boxes_below_min_side_are_left_out_and_listed(tmp_path: Path) -> None:
    dataset, faults = read(two(tmp_path / "photos", "0 0.5 0.5 0.05 0.05"), min_side=4)
    assert len(dataset.boxes) == 1
    assert [each.file for each in faults.of("too small")] == ["images/b.jpg"]


@pytest.mark.parametrize(("answer", "boxes", "crowd"), [("keep", 1, 0), ("ignore", 1, 1), ("drop", 0, 0)])
def test_difficult_boxes_become_what_is_said(answer: str, boxes: int, crowd: int, tmp_path: Path) -> None:
    hard = voc_object(more="<difficult>1</difficult>")
    root = voc(tmp_path / "photos", {"a": hard, **dict.fromkeys("bcdef", OBJECT)})
    outcome = imported(root, difficult=answer)
    a = next(number for number, each in enumerate(outcome.dataset.photos) if each.name == "a.jpg")
    part = outcome.dataset.boxes.photo == a
    assert (int(part.sum()), int(outcome.dataset.boxes.crowd[part].sum())) == (boxes, crowd)


def test_classes_without_names_are_called_after_their_number_or_as_told(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": LINE, "b": "1 0.5 0.5 0.2 0.2"}, names=None)
    assert read(root)[0].categories == ("class 0", "class 1")
    dataset, faults = read(root, names=("apple", "pear"))
    assert dataset.categories == ("apple", "pear")
    assert faults.found == []


def test_names_in_other_alphabets_and_forms_of_accents(tmp_path: Path) -> None:
    composed, taken_apart = "p\u00eache-\u6843.jpg", "pe\u0302che-\u6843.jpg"
    root = coco(tmp_path / "photos", {composed: [BOX]})
    (root / "images" / composed).rename(root / "images" / taken_apart)
    dataset, faults = read(root)
    assert len(dataset.boxes) == 1
    assert faults.counts() == {"other spelling": 1}


# What an import decides


def test_images_without_a_label_file_are_asked_about(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {**dict.fromkeys("abcd", LINE), "e": None})
    with pytest.raises(Unclear, match=r"1 of 5 images have no label file, such as images/e.jpg.*--unlabelled empty or --unlabelled skip"):
        imported(root)
    assert not (tmp_path / "imported").exists()
    asked = []

    def ask(question: str, answers: tuple[str, ...]) -> str:
        asked.append((question, answers))
        return "empty"

    outcome = import_folder(root, tmp_path / "asked", Choices(), ask=ask)
    assert len(outcome.dataset.photos) == 5
    assert asked[0][1] == ("empty", "skip")
    assert [each.file for each in outcome.faults.of("no label file")] == ["images/e.jpg"]
    assert len(imported(root, unlabelled="skip").dataset.photos) == 4


def test_what_becomes_of_a_fault_is_what_was_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hard = voc_object((31, 21, 40, 30), more="<difficult>1</difficult>")
    root = voc(tmp_path / "photos", dict.fromkeys("abcde", OBJECT + hard))
    photo(root / "JPEGImages" / "f.jpg", 7)
    for number, (said, unlabelled, difficult) in enumerate(
        [
            ("--unlabelled empty", "kept", "kept"),
            ("--unlabelled skip --difficult drop", "left out", "left out"),
            ("--unlabelled skip --difficult ignore", "left out", "changed"),
        ]
    ):
        out = tmp_path / str(number)
        assert main(["data", "import", str(root), str(out), "--group", "none", *said.split()]) == 0
        rows = (out / "faults.csv").read_text()
        assert f"no label file,{unlabelled},JPEGImages/f.jpg" in rows
        assert f"difficult,{difficult},Annotations/a.xml" in rows
        assert re.search(rf"^1 +{unlabelled} +no label file:", capsys.readouterr().out, re.MULTILINE)


def test_a_folder_of_which_nothing_is_labelled_is_refused(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": None, "b": None})
    with pytest.raises(SynthbenchError, match="none of the 2 images has a label file"):
        imported(root, reading=Reading(format="yolo"))


def test_the_same_file_twice_stays_once_the_one_of_the_test_images(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"train/a": LINE, "train/b": LINE, "test/c": LINE, "test/d": LINE}, names=None)
    for name, source in (("train/b", "test/c"), ("test/d", "test/c")):
        (root / "images" / f"{name}.jpg").write_bytes((root / "images" / f"{source}.jpg").read_bytes())
    (root / "labels" / "test" / "d.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    outcome = imported(root)
    assert sorted(photo.path for photo in outcome.dataset.photos) == ["images/test/c.jpg", "images/train/a.jpg"]
    assert [each.file for each in outcome.faults.of("same file")] == ["images/train/b.jpg"]
    assert [each.file for each in outcome.faults.of("same file, other boxes")] == ["images/test/d.jpg"]


def test_a_training_image_that_looks_like_a_test_image_is_left_out(tmp_path: Path) -> None:
    outcome = imported(resaved(tmp_path / "photos"))
    assert [(each.file, each.text) for each in outcome.faults.of("near-duplicate across")] == [
        ("images/train/b_1.jpg", "and images/test/c_1.jpg (test)")
    ]
    assert len(outcome.dataset.photos) == 3


def test_images_that_look_alike_end_on_one_side_of_a_new_split(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {f"{letter}": LINE for letter in "abcdefgh"})
    for source, target in (("a", "e"), ("b", "f"), ("c", "g"), ("d", "h")):
        with Image.open(root / "images" / f"{source}.jpg") as image:
            image.save(root / "images" / f"{target}.jpg", quality=40)
    for seed in range(5):
        outcome = import_folder(root, tmp_path / f"imported-{seed}", Choices(seed=seed, test=0.4))
        side = {each.name[0]: each.split for each in outcome.dataset.photos}
        assert {side["a"], side["b"], side["c"], side["d"]} == {"train", "test"}
        assert all(side[one] == side[other] for one, other in ("ae", "bf", "cg", "dh"))
        assert len(outcome.faults.of("near-duplicate")) == 4


def test_large_folders_are_not_compared_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthbench.curation.importing.SEARCHED", 3)
    root = resaved(tmp_path / "photos")
    outcome = import_folder(root, tmp_path / "first", Choices())
    assert set(outcome.faults.counts()) == {"no class names", "few test images", "duplicates not looked for"}
    told = import_folder(root, tmp_path / "second", Choices(duplicates=True))
    assert set(told.faults.counts()) == {"no class names", "few test images", "near-duplicate", "near-duplicate across"}


def test_crops_of_one_photograph_on_both_sides_are_listed(tmp_path: Path) -> None:
    names = [f"train/{letter}_{number}" for letter in "abc" for number in (1, 2)] + ["test/c_3", "test/d_1", "test/d_2"]
    outcome = imported(
        yolo(
            tmp_path / "photos",
            dict.fromkeys(names, LINE),
            names=None,
        )
    )
    found = outcome.faults.of("group across")
    assert [each.text for each in found] == ["group 'c': 1 test, 2 train"]


def test_a_validation_split_is_used_and_named(tmp_path: Path) -> None:
    for splits, expected in (("train val", {"train", "test"}), ("train val test", {"train", "test"})):
        root = tmp_path / splits.replace(" ", "-")
        names = [f"{split}/{letter}{at}" for at, split in enumerate(splits.split()) for letter in "ab"]
        outcome = import_folder(yolo(root, dict.fromkeys(names, LINE), names=None), tmp_path / f"{root.name}-out", Choices())
        assert {each.split for each in outcome.dataset.photos} == expected
        assert "2 images, used as " in outcome.faults.of("validation split")[0].text
    assert sum(each.split == "train" for each in outcome.dataset.photos) == 4


def test_an_image_of_two_splits_is_a_test_image(tmp_path: Path) -> None:
    root = coco(tmp_path / "photos", {"a.jpg": [BOX], "b.jpg": [BOX]}, file="train.json")
    coco(root, {"b.jpg": [BOX], "c.jpg": [BOX]}, file="test.json")
    outcome = imported(root)
    assert [each.file for each in outcome.faults.of("on both sides")] == ["images/b.jpg"]
    assert {each.name: each.split for each in outcome.dataset.photos} == {"a.jpg": "train", "b.jpg": "test", "c.jpg": "test"}


def test_an_image_in_two_lists_of_pascal_voc_is_listed(tmp_path: Path) -> None:
    root = voc(tmp_path / "photos", dict.fromkeys("abc", OBJECT))
    outcome = imported(in_lists(root, trainval="a\nb\n", train="a\nb\n", test="b\nc\n"))
    assert [each.file for each in outcome.faults.of("on both sides")] == ["JPEGImages/b.jpg"]
    assert {each.name: each.split for each in outcome.dataset.photos} == {"a.jpg": "train", "b.jpg": "test", "c.jpg": "test"}


def test_a_folder_of_another_machine_is_not_the_one_that_only_shares_the_name_images(tmp_path: Path) -> None:
    root = yolo(
        tmp_path / "photos", {f"{side}/{n}": LINE for side in ("train", "val") for n in "abc"}, val="../valid/images", train="images/train"
    )
    outcome = imported(root, duplicates=False)
    assert not outcome.faults.of("on both sides")
    assert [(each.file, each.where, each.text) for each in outcome.faults.of("listed, not there")] == [
        ("data.yaml", "val", "../valid/images")
    ]
    assert not outcome.resplit
    assert sorted(each.split for each in outcome.dataset.photos) == ["test"] * 3 + ["train"] * 3


def test_a_category_on_one_side_and_one_without_boxes(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"train/a": LINE, "test/b": LINE + "1 0.7 0.7 0.2 0.2\n"}, names=None)
    (root / "classes.txt").write_text("apple\npear\nfruit\n")
    outcome = imported(root)
    assert [each.file for each in outcome.faults.of("category on one side")] == ["pear"]
    assert [each.file for each in outcome.faults.of("category without boxes")] == ["fruit"]
    assert outcome.dataset.categories == ("apple", "pear")


def test_no_split_and_no_groups_are_said(tmp_path: Path) -> None:
    outcome = imported(yolo(tmp_path / "photos", dict.fromkeys("abcdef", LINE)))
    assert set(outcome.faults.counts()) == {"no split", "no groups", "few test images"}


@pytest.mark.parametrize(("tests", "few"), [(39, True), (40, False)])
def test_few_test_images_are_told_before_anything_is_trained(
    tests: int, few: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    labels = dict.fromkeys([f"train/{name}" for name in "abc"] + [f"test/{number}" for number in range(tests)], LINE)
    yolo(Path("photos"), labels, names=None)
    for command in ("data check photos", "data import photos mine --group none", "init mine", "plan mine.toml"):
        main(command.split())
        assert ("fewer than 40" in "".join(capsys.readouterr())) is few, command
    outcome = check_folder(yolo(Path("unsplit"), dict.fromkeys("abcdef", LINE)), Choices(), None)
    assert [each.text for each in outcome.faults.of("few test images")] == ["2 test images"]


def test_few_groups_are_few_test_images(tmp_path: Path) -> None:
    names = [f"train/r{row}_{number}" for row in range(2) for number in range(2)]
    names += [f"test/q{row}_{number}" for row in range(4) for number in range(12)]
    yolo(tmp_path / "photos", dict.fromkeys(names, LINE), names=None)
    import_folder(tmp_path / "photos", tmp_path / "mine", Choices())
    assert not any("few test" in each for each in CocoFolder(path=tmp_path / "mine").check().warnings)
    assert any("(4 groups of test images)" in each for each in CocoFolder(path=tmp_path / "mine", group="(.*)_").check().warnings)


def test_a_check_lists_and_changes_nothing(tmp_path: Path) -> None:
    root = resaved(tmp_path / "photos")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    outcome = check_folder(root, Choices(), tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert outcome.faults.of("near-duplicate across")
    assert outcome.summary.images == {"train": 2, "test": 2}
    content = (tmp_path / "out" / "faults.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")  # without it, Excel takes UTF-8 for another encoding
    lines = content.decode("utf-8-sig").splitlines()
    assert lines[0] == "fault,what became of it,file,where,more"
    assert len(lines) == 1 + len(outcome.faults.found)
    with Image.open(tmp_path / "out" / "contact-sheet.jpg") as sheet:
        assert sheet.size[0] > 500


def test_a_contact_sheet_has_a_different_legend_for_each_name_in_any_alphabet(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": LINE})
    legends = set()
    names = ("apple", "äpfel", "ápfel", "яблоко", "μήλο", "苹果", "梨子")
    for name in names:
        dataset, _ = read(root, names=(name,))
        draw_sheet(dataset, tmp_path / "sheet.png")
        with Image.open(tmp_path / "sheet.png") as sheet:
            legends.add(sheet.crop((0, 0, sheet.width, 20)).tobytes())
    assert len(legends) == len(names)


def test_the_name_of_an_image_is_right_below_it(tmp_path: Path) -> None:
    dataset, _ = read(yolo(tmp_path / "photos", {"a": LINE}))
    draw_sheet(dataset, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        below = np.asarray(sheet.convert("RGB"))[26 + 160 :]  # the image has 240x160 pixels, below the legend and a gap
    lettered = np.flatnonzero(below.min(2).max(1) > 150)
    assert 0 < lettered[0] < lettered[-1] < 18


def test_a_file_name_that_a_spreadsheet_would_calculate_is_made_harmless(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": LINE})
    (root / "labels" / "a.txt").rename(root / "labels" / "=1+1.txt")
    check_folder(root, Choices(reading=Reading(format="yolo")), tmp_path / "out")
    rows = (tmp_path / "out" / "faults.csv").read_text()
    assert ",labels/=1+1.txt," in rows  # begins with the folder: no formula
    from synthbench.curation.fault_list import harmless

    assert harmless("=1+1.txt") == "'=1+1.txt"


def test_labels_with_entities_are_not_read(tmp_path: Path) -> None:
    root = voc(tmp_path / "photos", {"a": OBJECT, "b": OBJECT})
    file = root / "Annotations" / "b.xml"
    file.write_text('<!DOCTYPE a [<!ENTITY x "apple">]>' + file.read_text())
    _, faults = read(root)
    assert "entities" in faults.of("unreadable labels")[0].text


def test_a_check_counts_the_images_of_a_split_that_are_left(tmp_path: Path) -> None:
    for split, names in (("train", "abcd"), ("val", "ef"), ("test", "gh")):
        for name in names:
            photo(tmp_path / "photos" / split / "images" / f"{name}.jpg", seed_of(name))
            file = tmp_path / "photos" / split / "labels" / f"{name}.txt"
            file.parent.mkdir(exist_ok=True)
            file.write_text(LINE)
    broken = tmp_path / "photos" / "test" / "images" / "g.jpg"
    content = bytearray(broken.read_bytes())
    table = content.find(b"\xff\xc4") + 5  # of Huffman codes: the file looks whole until it is decoded
    content[table : table + 16] = b"\xff" * 16
    broken.write_bytes(content)
    outcome = check_folder(tmp_path / "photos", Choices(), None)
    assert [each.file for each in outcome.faults.of("damaged image")] == ["test/images/g.jpg"]
    assert outcome.summary.images == {"train": 4, "val": 2, "test": 1}


def hostile_link(root: Path) -> None:
    (root / "b.json").symlink_to("nowhere")


def hostile_pipe(root: Path) -> None:
    os.mkfifo(root / "b.json")


def hostile_depth(root: Path) -> None:
    (root / "b.json").write_text('{"images": [], "annotations": ' + "[" * 100_000)


@pytest.mark.parametrize("hostile", [hostile_link, hostile_pipe, hostile_depth])
def test_a_file_that_is_none_is_passed_over(hostile: Callable[[Path], None], tmp_path: Path) -> None:
    root = coco(tmp_path / "photos", {"a.jpg": [BOX]})
    hostile(root)
    dataset, _ = read(root)
    assert len(dataset.boxes) == 1


@pytest.mark.parametrize("width", ["NaN", "Infinity", "1e400", "-1", "0.5"])
def test_an_impossible_width_is_no_width(width: str, tmp_path: Path) -> None:
    root = coco(tmp_path / "photos", {"a.jpg": [BOX]})
    file = root / "annotations.json"
    file.write_text(file.read_text().replace('"width": 60', f'"width": {width}'))
    dataset, _ = read(root)
    assert [photo.size for photo in dataset.photos] == [SIZE]


ANCHORS = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGED = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new}\n  <<: [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        f"{ANCHORS}names: *j\n",
        f"{ANCHORS}names: [apple]\nlicense: *j\npath: *j\n",
        f"{MERGED}names: [apple]\n",
        "names: " + "[" * 100_000,
        "names: [0x" + "f" * 6000 + "]\n",
        "names: [apple]\nnc: 0x" + "f" * 6000 + "\n",
        "names: {'²': apple}\n",
    ],
    ids=["anchors", "anchors elsewhere", "merged", "deep", "huge name", "huge count", "digit of another alphabet"],
)
def test_a_description_from_a_stranger_is_read_or_passed_over(text: str, tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": LINE}, names=None)
    (root / "data.yaml").write_text(text)
    dataset, _ = read(root)
    assert len(dataset.boxes) == 1
    assert len(dataset.license) <= 1000


@pytest.mark.parametrize("folder", ["annotations", "Label", "txt"])
def test_label_files_in_a_folder_of_another_name_are_found(folder: str, tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": LINE, "b": LINE}, names=None)
    (root / "labels").rename(root / folder)
    (root / folder / "notes.txt").write_text("twelve trees")
    dataset, faults = read(root)
    assert (len(dataset.photos), len(dataset.boxes)) == (2, 2)
    assert not faults.of("no image")


def test_texts_that_are_no_labels_do_not_make_a_folder_one_of_labels(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": LINE, "b": LINE})
    (root / "annotations").mkdir()
    (root / "annotations" / "a.txt").write_text(LINE + "\n" + LINE)
    dataset, _ = read(root)
    assert len(dataset.boxes) == 2, "those of `labels`"
    captions = yolo(tmp_path / "captions", {"a": None}, names=None)
    (captions / "annotations").mkdir()
    (captions / "annotations" / "a.txt").write_text("a tree with apples")
    with pytest.raises(SynthbenchError, match="no labels"):
        read(captions)


def test_a_name_in_another_encoding_gets_one_in_utf_8(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": LINE, "b": LINE})
    name = os.fsdecode(b"caf\xe9")
    photo(root / "images" / f"{name}.jpg", 7)
    (root / "labels" / f"{name}.txt").write_text(LINE)
    outcome = imported(root, group="none")
    assert [each.name for each in outcome.dataset.photos] == ["a.jpg", "b.jpg", "caf_.jpg"]
    assert (tmp_path / "imported" / "images" / "caf_.jpg").is_file()
    assert [(each.kind, each.file) for each in outcome.faults.of("other encoding")] == [("other encoding", "images/caf_.jpg")]


def test_a_check_writes_beside_the_folder_it_is_in_and_never_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = yolo(tmp_path / "photos", {"a": LINE, "b": LINE})
    for folder, source in ((root, "."), (root / "images", "..")):
        monkeypatch.chdir(folder)
        assert main(["data", "check", source]) == 0
        assert (tmp_path / "photos-check" / "contact-sheet.jpg").is_file()
        (tmp_path / "photos-check" / "contact-sheet.jpg").unlink()
    before = sorted(root.rglob("*"))
    for out in (root, root / "found"):
        assert main(["data", "check", str(root), "--out", str(out)]) == 2
    assert main(["data", "check", "/"]) == 2
    assert sorted(root.rglob("*")) == before
    assert f"{root / 'found'}: lies in {root}" in capsys.readouterr().err


@pytest.mark.parametrize("side", ["nan", "inf", "-1"])
def test_a_side_is_a_number_of_pixels(side: str, tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": LINE, "b": LINE})
    with pytest.raises(SystemExit):
        main(["data", "check", str(root), f"--min-side={side}"])


def test_classes_that_only_fill_a_gap_of_numbers_are_no_fault(tmp_path: Path) -> None:
    _, faults = read(two(tmp_path / "photos", "3 0.5 0.5 0.2 0.2"))
    assert faults.counts() == {"no class names": 1}


def test_a_folder_that_was_imported_has_nothing_odd_from_the_import(tmp_path: Path) -> None:
    imported(yolo(tmp_path / "photos", dict.fromkeys("abcdef", LINE)))
    assert read(tmp_path / "imported")[1].found == []


# What people's folders had that was taken in silence, or told in words that help nobody


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 0,5 0,5 0,2 0,2", "'0,5' is no number; write decimals with a point"),
        ("0,0.5,0.5,0.2,0.2", "'0,0.5,0.5,0.2,0.2' is no class number; blanks separate the numbers of a line"),
        ("0 0.5 0.5 0.2 0.1_5", "'0.1_5' is no number"),
        ("1_0 0.5 0.5 0.2 0.2", "'1_0' is no class number"),
        ("0 0.5 nan 0.2 0.2", "nan is not finite"),
        ("inf 0.5 0.5 0.2 0.2", "'inf' is no class number"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_with_what_is_wrong_in_it(line: str, says: str, tmp_path: Path) -> None:
    _, faults = read(two(tmp_path / "photos", line))
    assert [each.text for each in faults.of("unreadable entry")] == [says]


@pytest.mark.parametrize(
    ("inner", "says"),
    [
        (voc_object().replace(">11<", ">10,5<"), "its xmin: '10,5' is no number; write decimals with a point"),
        (voc_object().replace(">11<", ">1_1<"), "its xmin: '1_1' is no number"),
        (voc_object().replace("ymax", "bottom"), "it has no ymax"),
        (voc_object(more="<bndbox/>"), "it has several bndboxes; each box is an object of its own"),
    ],
)
def test_an_object_that_cannot_be_read_is_told_with_what_is_wrong_in_it(inner: str, says: str, tmp_path: Path) -> None:
    _, faults = read(voc(tmp_path / "photos", {"a": OBJECT, "b": inner}))
    assert [each.text for each in faults.of("unreadable entry")] == [says]


def test_labels_in_another_encoding_say_what_to_do(tmp_path: Path) -> None:
    root = two(tmp_path / "photos", LINE, names=None)
    (root / "labels" / "b.txt").write_text(LINE, encoding="utf-16")
    (root / "classes.txt").write_text("\u00e4pfel\n", encoding="latin-1")
    dataset, faults = read(root)
    found = {(each.file, each.text) for each in faults.of("unreadable labels")}
    assert found == {(file, "not in UTF-8; save it again as UTF-8") for file in ("labels/b.txt", "classes.txt")}
    assert len(dataset.photos) == 1


def test_a_data_yaml_that_is_none_says_why(tmp_path: Path) -> None:
    root = two(tmp_path / "photos", LINE)
    for text, says in (
        ("", "no YAML with names"),
        ("names: [apple", "expected ',' or ']'"),
        ("names:\n\t- apple", "cannot start any token"),
    ):
        (root / "data.yaml").write_text(text)
        _, faults = read(root)
        assert [each.file for each in faults.of("unreadable labels")] == ["data.yaml"]
        assert says in faults.of("unreadable labels")[0].text


@pytest.mark.parametrize(("names", "unnamed"), [({1: "apple", 2: "pear"}, 0), (["", "apple"], 0), ({0: "apple", 2: "pear"}, 1)])
def test_a_class_with_boxes_and_without_a_name_is_listed_wherever_the_gap_is(names: Any, unnamed: int, tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": LINE + "1 0.7 0.7 0.2 0.2"}, names=None)
    (root / "data.yaml").write_text(json.dumps({"names": names}).replace('"1"', "1").replace('"2"', "2").replace('"0"', "0"))
    dataset, faults = read(root)
    assert [each.text for each in faults.of("no class names")] == [f"class {unnamed}, 1 boxes"]
    assert dataset.categories[unnamed] == f"class {unnamed}"


def test_a_class_is_called_what_stands_in_data_yaml(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": LINE}, names=None)
    (root / "data.yaml").write_text("names: [no, 1.50, 2020-01-01, 7]\n")
    assert read(root)[0].categories == ("no", "1.50", "2020-01-01", "7")


def test_other_lists_of_names_do_not_matter_where_a_user_says_them(tmp_path: Path) -> None:
    root = READING["other names"][0](tmp_path / "photos")
    assert read(root, names=("pear", "apple"))[1].of("other names") == []


def test_a_split_that_is_no_folder_is_listed(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": LINE, "b": LINE}, train=3, val="val.txt", test="images")
    _, faults = read(root)
    found = [(each.file, each.where, each.text) for each in faults.of("listed, not there")]
    assert found == [("data.yaml", "train", "3 is no folder and no list of images"), ("data.yaml", "val", "val.txt")]


def test_images_whose_names_differ_only_in_case_keep_their_own_labels(tmp_path: Path) -> None:
    lines = {"a": "0 0.2 0.2 0.1 0.1", "A": "0 0.8 0.8 0.1 0.1", "b": LINE}
    root = yolo(tmp_path / "photos", lines)
    if not (root / "images" / "A.jpg").samefile(root / "images" / "a.jpg"):
        dataset, faults = read(root)
        assert {photo.path: photo.labels for photo in dataset.photos} == {f"images/{name}.jpg": f"labels/{name}.txt" for name in lines}
        assert not faults.found
        objects = {name: voc_object((low, 6, 30, 15)) for name, low in (("a", 11), ("A", 21))}
        dataset, faults = read(voc(tmp_path / "voc", objects, filename="photo.jpg"))
        assert {photo.path: photo.labels for photo in dataset.photos} == {f"JPEGImages/{n}.jpg": f"Annotations/{n}.xml" for n in objects}


@pytest.mark.parametrize("make", [yolo, voc])
def test_labels_of_another_spelling_are_used_and_listed(make: Callable[..., Path], tmp_path: Path) -> None:
    root = make(tmp_path / "photos", {"b": LINE if make is yolo else OBJECT})
    labels = next(file for file in root.rglob("b.*") if file.suffix != ".jpg")
    labels.rename(labels.with_name("B" + labels.suffix))
    dataset, faults = read(root)
    assert len(dataset.boxes) == 1
    assert [Path(each.file).stem for each in faults.of("other spelling")] == ["B"]


def test_upper_case_of_a_suffix_or_folder_is_no_other_spelling(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": "0 0.2 0.2 0.1 0.1", "A": "0 0.8 0.8 0.1 0.1"})
    for file in [*(root / "labels").iterdir()]:
        file.rename(file.with_suffix(".TXT"))
    (root / "labels").rename(root / "Labels")
    dataset, faults = read(root)
    assert {photo.path: photo.labels for photo in dataset.photos} == {f"images/{name}.jpg": f"Labels/{name}.TXT" for name in "aA"}
    assert not faults.found


def beside(root: Path, **texts: str) -> Path:
    """Images with text files beside them."""
    for name, text in texts.items():
        photo(root / f"{name}.jpg", seed_of(name))
        (root / f"{name}.txt").write_text(text)
    return root


def test_labels_beside_images_that_cannot_be_read_are_no_missing_ones(tmp_path: Path) -> None:
    root = beside(tmp_path / "photos", a=LINE, b="0 0,5 0,5 0,2 0,2", c="# Anna\n" + LINE, d="\ufeff" + LINE)
    dataset, faults = read(root)
    assert [photo.path for photo in dataset.photos if photo.labels] == ["a.jpg", "c.jpg", "d.jpg"]
    assert [each.file for each in faults.of("unreadable entry")] == ["b.txt", "c.txt"]
    assert [each.file for each in faults.of("no box left")] == ["b.jpg"]
    assert not check_folder(root, Choices(), None).faults.of("no label file")


def test_captions_beside_images_are_no_labels(tmp_path: Path) -> None:
    with pytest.raises(SynthbenchError, match="2 images and no labels"):
        read(beside(tmp_path / "photos", a="an apple", b="a pear on a tree in the sun"))


def test_labels_beside_an_image_count_where_others_are_in_a_folder(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": LINE, "b": LINE, "c": None})
    (root / "labels" / "b.txt").rename(root / "images" / "b.txt")
    (root / "images" / "c.txt").write_text("an apple")
    dataset, _ = read(root)
    assert {photo.path: photo.labels for photo in dataset.photos} == {
        "images/a.jpg": "labels/a.txt",
        "images/b.jpg": "images/b.txt",
        "images/c.jpg": "",
    }


def test_xml_of_another_kind_with_the_name_of_an_image_does_not_make_it_an_empty_one(tmp_path: Path) -> None:
    root = voc(tmp_path / "photos", {"a": OBJECT, "b": OBJECT})
    file = root / "Annotations" / "b.xml"
    file.write_text(file.read_text().replace("<annotation>", '<annotation xmlns="http://example.org">'))
    (root / "settings.xml").write_text("<settings/>")
    dataset, faults = read(root)
    assert [photo.path for photo in dataset.photos] == ["JPEGImages/a.jpg"]
    assert [(each.file, each.text) for each in faults.of("unreadable labels")] == [
        ("Annotations/b.xml", "its root is <{http://example.org}annotation>, not <annotation>")
    ]


def test_a_box_in_shares_does_not_make_other_files_count_from_0(tmp_path: Path) -> None:
    dataset, faults = read(voc(tmp_path / "photos", {"a": OBJECT, "b": voc_object((0.1, 0.2, 0.5, 0.5))}))
    assert not faults.of("counted from 0")
    np.testing.assert_allclose(dataset.boxes.xyxy, [*XYXY, [6, 8, 30, 20]])


def test_a_folder_of_photographs_in_an_unread_format_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "IMG_1.HEIC").write_bytes(b"ftypheic")
    with pytest.raises(SynthbenchError, match=r"no images in it.*save them as JPEG or PNG.*IMG_1.HEIC"):
        read(tmp_path / "photos")


def test_the_table_of_faults_fits_on_a_terminal_of_80_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = two(tmp_path / "photos", LINE + "3 0.5 0.5 0.2 0.2")
    photo(root / "images" / f"{'long' * 30}.jpg", 7)
    (root / "images" / "c.heic").write_bytes(b"ftypheic")
    assert main(["data", "check", str(root), "--out", str(tmp_path / "out")]) == 0
    table = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert len(table) > 10
    assert max(map(len, table)) <= 80
    assert f"{KINDS['unread format'][1].split()[-1]}" in " ".join(table)


def test_a_legend_of_many_classes_takes_several_lines_and_cuts_none(tmp_path: Path) -> None:
    names = tuple(f"a sort of apple that is called {number}" for number in range(9))
    dataset, _ = read(yolo(tmp_path / "photos", {"a": LINE}), names=names)
    entries, lines = legend_of(names, 256)
    assert lines == 9
    assert all(entry.words == name for entry, name in zip(entries, names, strict=True))
    draw_sheet(dataset, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (256, 9 * 18 + 8 + 240 + 18 + 8)
        lit = np.asarray(sheet.convert("RGB"))[: 9 * 18].max(2) > 150
    assert lit.reshape(9, 18, 256).any((1, 2)).all()
    assert not lit[:, -8:].any()
    assert len(legend_of(names, 1496)[0]) == 9
    assert legend_of(("apple", "pear"), 256)[1] == 1
    wide = legend_of(("\u82f9" * 40,), 256)[0][0]
    assert wide.font.getlength(wide.words) <= 240
