"""COCO, YOLO and Pascal VOC: layouts, round trips, and the same boxes as a kept converter reads and writes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_folders import BOX, LINE, coco, photo, seed_of, voc, voc_object, yolo
from synthbench.curation.importing import Choices, export_folder, import_folder
from synthbench.data.formats.dataset import Dataset
from synthbench.data.formats.faults import Faults, Unclear
from synthbench.data.formats.headers import look, plain_jpeg
from synthbench.data.formats.naming import names_for
from synthbench.data.formats.reading import Reading, read_folder
from synthbench.data.formats.tree import split_of
from synthbench.errors import SynthbenchError

APPLES = Path(__file__).parents[2] / "shared" / "data" / "apples_bbch81"
PANLABEL = Path(sys.executable).with_name("panlabel")
FORMATS = ("coco", "yolo", "voc")


def read(root: Path, **options: Any) -> Dataset:
    return read_folder(root, Reading(**options), Faults())


def boxes_of(dataset: Dataset) -> dict[str, list[list[float]]]:
    """By an image's last name: category's position, and corners to 1e-3 pixel, sorted."""
    starts = dataset.boxes.starts(len(dataset.photos))
    rows = np.column_stack([dataset.boxes.label, dataset.boxes.xyxy])
    return {
        photo.path.rpartition("/")[2]: sorted(rows[first:end].tolist())
        for photo, first, end in zip(dataset.photos, starts[:-1], starts[1:], strict=True)
    }


def assert_same_boxes(first: Dataset, second: Dataset, tolerance: float = 1e-3) -> None:
    one, other = boxes_of(first), boxes_of(second)
    assert one.keys() == other.keys()
    for name, rows in one.items():
        np.testing.assert_allclose(np.array(rows).reshape(-1, 5), np.array(other[name]).reshape(-1, 5), atol=tolerance, err_msg=name)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """COCO with two splits: three categories, an empty image, a crowd, odd sizes and numbers, equal names, a name with a space."""
    return odd_folder(tmp_path / "odd", {"train": ["a.jpg", "b c.jpg", "x/é.jpg"], "test": ["d.jpg", "y/é.jpg"]})


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """The same without folders among the images, which panlabel passes over in Pascal VOC."""
    return odd_folder(tmp_path / "flat", {"train": ["a.jpg", "b c.jpg", "é.jpg"], "test": ["d.jpg", "e.jpg"]})


def odd_folder(root: Path, splits: dict[str, list[str]]) -> Path:
    rng = np.random.default_rng(3)
    for split, names in splits.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, name in enumerate(names, start=1):
            size = (int(rng.integers(50, 1000)), int(rng.integers(50, 1000)))
            photo(root / "images" / name, seed_of(name), size)
            images.append({"id": number, "file_name": name, "width": size[0], "height": size[1]})
            for _ in range(0 if name == "a.jpg" else 6):
                x, y = rng.uniform(0, 0.6, 2) * size
                width, height = rng.uniform(0.05, 0.35, 2) * size
                row = {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": len(annotations) % 2 + 1,
                    "bbox": [x, y, width, height],
                }
                annotations.append(row | {"iscrowd": int(len(annotations) == 8)})
        categories = [{"id": i, "name": name} for i, name in enumerate(("pear", "apple", "unused & <odd>"), start=1)]
        content = {"info": {"description": "Odd: a test"}, "licenses": [{"id": 1, "name": "CC0", "url": "https://example.org/cc0"}]}
        (root / f"{split}.json").write_text(json.dumps(content | {"images": images, "annotations": annotations, "categories": categories}))
    return root


@pytest.mark.parametrize("format", ["yolo", "voc"])
def test_a_round_trip_keeps_boxes_and_the_second_one_every_byte(format: str, odd: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    export_folder(odd, start, "coco", Choices())
    made = [start]
    for number in (1, 2):
        out = export_folder(made[-1], tmp_path / f"{format}{number}", format, Choices())
        made.append(tmp_path / f"{format}{number}")
        export_folder(made[-1], tmp_path / f"coco{number}", "coco", Choices())
        made.append(tmp_path / f"coco{number}")
        crowds = {"crowd lost"} if format == "yolo" and number == 1 else set()
        assert set(out.faults.counts()) - {"crowd", "equal names", "category without boxes"} <= crowds | {"difficult"}
    assert files_of(made[1]) == files_of(made[3])
    assert files_of(made[2]) == files_of(made[4])
    first, last = read(odd), read(made[2])
    if format == "yolo":  # which has no word for a crowd
        first.boxes = first.boxes.keep(~first.boxes.crowd)
    else:
        assert files_of(start) == files_of(made[2])
    assert int(last.boxes.crowd.sum()) == int(first.boxes.crowd.sum())
    assert (last.categories, last.license, last.source) == (first.categories, first.license, first.source)
    assert [photo.split for photo in last.photos].count("test") == 2
    assert_same_boxes(first, last)


@pytest.mark.parametrize("format", FORMATS)
def test_what_we_write_is_read_without_being_told(format: str, odd: Path, tmp_path: Path) -> None:
    export_folder(odd, tmp_path / "out", format, Choices())
    assert read(tmp_path / "out").format == format


@pytest.mark.skipif(not APPLES.is_dir(), reason="the photographs are not here")
@pytest.mark.parametrize("format", ["yolo", "voc"])
def test_real_photographs_keep_their_boxes_and_their_split(format: str, tmp_path: Path) -> None:
    export_folder(APPLES, tmp_path / "other", format, Choices())
    outcome = import_folder(tmp_path / "other", tmp_path / "back", Choices(duplicates=False))
    assert set(outcome.faults.counts()) == {"duplicates not looked for"}
    assert outcome.summary.images == {"train": 200, "test": 120}
    assert_same_boxes(read(APPLES), outcome.dataset)
    for split in ("train", "test"):
        names = [
            {image["file_name"] for image in json.loads((folder / f"{split}.json").read_text())["images"]}
            for folder in (APPLES, tmp_path / "back")
        ]
        assert names[0] == names[1]


# Against a kept converter


def panlabel(source: Path, source_format: str, target: Path, target_format: str) -> None:
    command = [PANLABEL, "convert", "--from", source_format, "--to", target_format, "-i", source, "-o", target, "--allow-lossy"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("format", "off"), [("yolo", 0), ("voc", 1)])
def test_our_folders_have_the_same_boxes_for_panlabel(format: str, off: int, flat: Path, tmp_path: Path) -> None:
    """panlabel takes corners of Pascal VOC as they stand there, so its left and upper edges are a pixel further in."""
    export_folder(flat, tmp_path / "ours", format, Choices())
    (tmp_path / "theirs").mkdir()
    panlabel(tmp_path / "ours", format, tmp_path / "theirs" / "annotations.json", "coco")
    (tmp_path / "theirs" / "images").symlink_to(tmp_path / "ours" / ("images" if format == "yolo" else "JPEGImages"))
    theirs, ours = read(tmp_path / "theirs"), read(tmp_path / "ours")
    ours.boxes.label = np.array([theirs.categories.index(ours.categories[label]) for label in ours.boxes.label])
    ours.boxes.xyxy[:, :2] += off
    assert len(theirs.boxes) == len(ours.boxes) > 20
    assert_same_boxes(theirs, ours)


@pytest.mark.parametrize("format", ["yolo", "voc"])
def test_panlabels_folders_have_the_same_boxes_for_us(format: str, flat: Path, tmp_path: Path) -> None:
    export_folder(flat, tmp_path / "coco", "coco", Choices())
    (tmp_path / "coco" / "test.json").unlink()
    panlabel(tmp_path / "coco" / "train.json", "coco", tmp_path / "theirs", format)
    images = tmp_path / "theirs" / ("images" if format == "yolo" else "JPEGImages")
    for name in ("a.jpg", "b c.jpg", "é.jpg"):
        images.mkdir(exist_ok=True)
        (images / name).write_bytes((tmp_path / "coco" / "images" / name).read_bytes())
    theirs, ours = read(tmp_path / "theirs", voc_base=0), read(tmp_path / "coco")
    ours.boxes.label = np.array([theirs.categories.index(ours.categories[label]) for label in ours.boxes.label])
    assert len(ours.boxes) == 12
    assert_same_boxes(theirs, ours)


# Layouts


def moved_to(pattern: Callable[[str, str], tuple[str, str]]) -> Callable[[Path], Path]:
    """A YOLO folder with images and labels at other places: by split and name."""

    def make(root: Path) -> Path:
        for split in ("train", "valid"):
            for name in (f"{split}1", f"{split}2"):
                image, label = (root / each for each in pattern(split, name))
                photo(image, seed_of(name))
                label.parent.mkdir(parents=True, exist_ok=True)
                label.write_text(LINE)
        return root

    return make


LAYOUTS = {
    "images/train": moved_to(lambda split, name: (f"images/{split}/{name}.jpg", f"labels/{split}/{name}.txt")),
    "train/images": moved_to(lambda split, name: (f"{split}/images/{name}.jpg", f"{split}/labels/{name}.txt")),
    "beside": moved_to(lambda split, name: (f"{split}/{name}.jpg", f"{split}/{name}.txt")),
    "deep": moved_to(lambda split, name: (f"data/images/{split}/{name}.jpg", f"data/labels/{split}/{name}.txt")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_yolo_without_data_yaml(layout: str, tmp_path: Path) -> None:
    dataset = read(LAYOUTS[layout](tmp_path / "photos"))
    assert dataset.format == "yolo"
    assert sorted(photo.split for photo in dataset.photos) == ["train", "train", "val", "val"]
    assert len(dataset.boxes) == 4
    assert {photo.name.removeprefix("data/") for photo in dataset.photos} == {"train1.jpg", "train2.jpg", "valid1.jpg", "valid2.jpg"}


@pytest.mark.parametrize(
    ("train", "val", "path"),
    [
        ("images/one", "images/two", None),
        ("../one/images", "../two/images", None),
        ("images/one", "images/two", "."),
        ("images/one", "images/two", "/content/datasets/orchard"),
        ("/home/me/orchard/images/one", "/home/me/orchard/images/two", None),
        (["images/one"], ["images/two"], None),
        ("train.txt", "val.txt", None),
    ],
)
def test_data_yaml_says_which_split_a_folder_is(train: Any, val: Any, path: str | None, tmp_path: Path) -> None:
    more = {"train": train, "val": val} | ({"path": path} if path else {})
    root = yolo(tmp_path / "photos", {f"{side}/{letter}": LINE for side in ("one", "two") for letter in "abc"}, **more)
    if "../" in train:
        for side in ("one", "two"):
            for kind in ("images", "labels"):
                (root / side).mkdir(exist_ok=True)
                (root / kind / side).rename(root / side / kind)
    for file, side in (("train.txt", "one"), ("val.txt", "two")):
        (root / file).write_text("".join(f"./images/{side}/{letter}.jpg\n" for letter in "abc"))
    dataset = read(root)
    assert {photo.path.split("/")[-2 if "../" not in train else 0]: photo.split for photo in dataset.photos} == {
        "one": "train",
        "two": "val",
    }
    assert len(dataset.boxes) == 6


@pytest.mark.parametrize("names", [["apple", "pear"], {0: "apple", 1: "pear"}])
def test_data_yaml_names_classes_as_a_list_or_a_table(names: Any, tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": "1 0.5 0.5 0.2 0.2"}, names=None)
    import yaml

    (root / "data.yaml").write_text(yaml.safe_dump({"train": "images", "val": "images", "names": names}))
    assert read(root).categories == ("apple", "pear")


def test_voc_beside_images_and_with_sets(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    voc(beside, {"a": voc_object(), "b": ""})
    (beside / "Annotations" / "a.xml").rename(beside / "JPEGImages" / "a.xml")
    (beside / "Annotations" / "b.xml").rename(beside / "JPEGImages" / "b.xml")
    assert len(read(beside).boxes) == 1
    sets = voc(tmp_path / "sets", dict.fromkeys(["a", "b 1", "c"], voc_object()))
    (sets / "ImageSets" / "Main").mkdir(parents=True)
    for name, content in (("trainval", "a\nb 1\n"), ("train", "a\n"), ("val", "b 1\n"), ("test", "c\n")):
        (sets / "ImageSets" / "Main" / f"{name}.txt").write_text(content)
    assert [photo.split for photo in read(sets).photos] == ["train", "val", "test"]


@pytest.mark.parametrize(
    ("image", "file", "name"),
    [
        ("images/a.jpg", "annotations.json", "a.jpg"),
        ("images/a.jpg", "annotations/instances_train2017.json", "a.jpg"),
        ("train2017/a.jpg", "annotations/instances_train2017.json", "a.jpg"),
        ("train/a.jpg", "train/_annotations.coco.json", "a.jpg"),
        ("images/a.jpg", "annotations.json", "images/a.jpg"),
        ("a.jpg", "annotations.json", "a.jpg"),
        ("data/a.jpg", "labels.json", "a.jpg"),
    ],
)
def test_images_of_coco_are_found_where_people_put_them(image: str, file: str, name: str, tmp_path: Path) -> None:
    root = coco(tmp_path / "photos", {"a.jpg": [BOX]}, file=file, images=[{"id": 1, "file_name": name, "width": 60, "height": 40}])
    target = root / image
    target.parent.mkdir(parents=True, exist_ok=True)
    (root / "images" / "a.jpg").rename(target)
    faults = Faults()
    dataset = read_folder(root, Reading(), faults)
    assert [photo.path for photo in dataset.photos] == [image]
    assert faults.counts().keys() <= {"foreign path"}
    assert len(dataset.boxes) == 1


def test_a_folder_with_two_formats_or_none_says_what_to_do(tmp_path: Path) -> None:
    both = coco(yolo(tmp_path / "both", {"a": LINE}), {"a.jpg": [BOX]})
    with pytest.raises(Unclear, match=r"coco \(annotations.json\), yolo \(data.yaml\); say which to read with --format coco\|yolo"):
        read(both)
    assert read(both, format="coco").format == "coco"
    assert read(both, format="yolo").format == "yolo"
    photo(tmp_path / "none" / "a.jpg")
    with pytest.raises(SynthbenchError, match="1 images and no labels"):
        read(tmp_path / "none")
    with pytest.raises(SynthbenchError, match="no such folder"):
        read(tmp_path / "nowhere")


def test_a_target_that_is_there_or_inside_is_refused_and_nothing_stays(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": LINE, "b": LINE})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    for target, words in ((tmp_path / "full", "is there already"), (root / "inner", "lies in")):
        with pytest.raises(SynthbenchError, match=words):
            import_folder(root, target, Choices())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "photos"]


def test_images_are_links_or_copies(tmp_path: Path) -> None:
    root = yolo(tmp_path / "photos", {"a": LINE, "b": LINE})
    import_folder(root, tmp_path / "links", Choices())
    import_folder(root, tmp_path / "copies", Choices(copy=True))
    assert (tmp_path / "links" / "images" / "a.jpg").samefile(root / "images" / "a.jpg")
    assert not (tmp_path / "copies" / "images" / "a.jpg").samefile(root / "images" / "a.jpg")


def test_names_stay_apart() -> None:
    assert names_for(["images/train/a.jpg", "images/val/b.jpg"]) == ["a.jpg", "b.jpg"]
    assert names_for(["images/train/a.jpg", "images/val/a.jpg"]) == ["train/a.jpg", "val/a.jpg"]
    assert names_for(["x/a.jpg", "x/a.png", "x/A.jpg"]) == ["x/a.jpg", "x/a_png.png", "x/A_jpg.jpg"]


def test_splits_are_named_by_folders_and_label_files() -> None:
    told = {"images/val2017/a.jpg": "val", "train/images/a.jpg": "train", "annotations/instances_test.json": "test", "b/test.jpg": ""}
    assert {path: split_of(path) for path in told} == told


def test_the_short_way_to_read_a_header_agrees_with_pillow(tmp_path: Path) -> None:
    from PIL import Image
    from synthbench.contract.images import read_header

    ways: tuple[dict[str, Any], ...] = ({}, {"progressive": True}, {"optimize": True}, {"subsampling": 0}, {"icc_profile": b"x" * 9000})
    for number, save in enumerate(ways):
        for mode in ("RGB", "L", "CMYK"):
            path = photo(tmp_path / f"{number}{mode}.jpg", number, (61 + number, 47))
            Image.open(path).convert(mode).save(path, **save)
            found = look(str(path))
            assert (found.header, found.mode, found.damaged) == (read_header(path), mode, "")
            short = plain_jpeg(path.read_bytes()[:4096])
            assert short == (None if "icc_profile" in save else (mode, 61 + number, 47))
