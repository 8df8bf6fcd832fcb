"""The data sources, fetched from a copy of each publisher's layout on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import synthbench_datasets
from PIL import Image
from synthbench import Sample, SampleRequest, Splits, SynthbenchError
from synthbench.contract import fetching
from synthbench.contract.stages import PluginKind
from synthbench.execution.stage_run import StageRun
from synthbench.testing import run_checks
from synthbench.testing.loopback import Loopback, serving
from synthbench_datasets import AppleBBCH81, MinneApple, VoetmanData, VoetmanImages, applebbch81, minneapple, voetman

APPLES = Path(__file__).parents[4] / "shared" / "data" / "apples_bbch81"
needs_apples = pytest.mark.skipif(not APPLES.is_dir(), reason="needs a copy of the photographs")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server that stands for every host."""
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    monkeypatch.setenv("SYNTHBENCH_DATA", str(tmp_path / "data"))
    (tmp_path / "there").mkdir()
    with serving(tmp_path / "there") as loopback:
        monkeypatch.setenv("SYNTHBENCH_MIRROR", loopback.address)
        yield loopback


def place(loopback: Loopback, address: str, content: bytes) -> Path:
    path = loopback.root / urlsplit(address).path.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def png(pixels: np.ndarray) -> bytes:
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "PNG")
    return held.getvalue()


def noise(seed: int, width: int = 60, height: int = 80) -> bytes:
    return png(np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8))


def told_by(plugin: AppleBBCH81 | MinneApple | VoetmanImages) -> str:
    """What a person is told before anything is fetched."""
    assert plugin.remote is not None
    return plugin.remote.told()


def corners(sample: Sample) -> list[list[float]]:
    assert sample.boxes is not None
    found: list[list[float]] = sample.boxes.xyxy.tolist()
    return found


def counted(splits: Splits) -> dict[str, tuple[int, int]]:
    found = {split: [sample.boxes for sample in getattr(splits, split)] for split in ("train", "test")}
    return {split: (len(boxes), sum(len(each) for each in boxes if each is not None)) for split, boxes in found.items()}


# AppleBBCH81

# Two of its label files at the commit that is fetched (S. Kodors et al., CC BY 4.0); a sliver at the left edge is the first line's.
LABELS = """0 0.998591 0.182300 0.002817 0.082338
0 0.674859 0.682850 0.110455 0.095391
0 0.605073 0.642184 0.137564 0.124509
0 0.558886 0.859072 0.127520 0.120494
0 0.939347 0.959158 0.121306 0.081684
0 0.741632 0.971709 0.129532 0.056582
0 0.663311 0.982252 0.131539 0.035495
0 0.272210 0.979241 0.122501 0.041518"""
MORE_LABELS = """0 0.114397 0.259062 0.078321 0.086353
0 0.377973 0.348428 0.119488 0.124509
0 0.661636 0.011044 0.080328 0.022087"""


def test_label_files_of_applebbch81_are_converted_as_known(tmp_path: Path) -> None:
    for name, text in (("DSC_1042_17kv1r16k_2", LABELS), ("DSC_1079_17kv3r7k_9", MORE_LABELS)):
        (tmp_path / "labels.txt").write_text(text)
        boxes = applebbch81.boxes_in(tmp_path / "labels.txt")
        known = next(crop for crop in applebbch81.crops() if crop.name == name)
        assert len(boxes) == known.boxes
        assert sum(map(sum, boxes)) == pytest.approx(known.sum, abs=0.005)
    assert boxes == [(48.15, 138.17, 50.13, 55.27), (203.67, 183.15, 76.47, 79.69), (397.74, 0.0, 51.41, 14.14)]
    (tmp_path / "labels.txt").write_text("0 0.5 0.5 0.1\n")
    with pytest.raises(SynthbenchError, match=r"labels\.txt: line 1 is not a class and four numbers"):
        applebbch81.boxes_in(tmp_path / "labels.txt")


def test_no_tree_of_applebbch81_is_in_both_splits() -> None:
    trees: dict[str, set[str]] = {"train": set(), "test": set()}
    for crop in applebbch81.crops():
        trees[crop.split] |= {*re.findall(applebbch81.TREE, crop.name)}
    assert {split: len(names) for split, names in trees.items()} == {"train": 82, "test": 52}
    assert not trees["train"] & trees["test"]
    rows = {split: {int(re.findall(r"kv(\d+)r", tree)[0]) for tree in names} for split, names in trees.items()}
    assert rows == {"train": {1, 4, 8, 9, 10, 13, 36, 37}, "test": {3, 7, 11, 12, 38, 39}}


def apples(loopback: Loopback) -> None:
    """The publishers' layout, of a copy of the chosen photographs and of their boxes."""
    names = {crop.name for crop in applebbch81.crops()}
    for split in ("train", "test"):
        content = json.loads((APPLES / f"{split}.json").read_text())
        lines: dict[int, list[str]] = {image["id"]: [] for image in content["images"]}
        for row in content["annotations"]:
            x, y, width, height = (value / 640 for value in row["bbox"])
            lines[row["image_id"]].append(f"0 {x + width / 2:.6f} {y + height / 2:.6f} {width:.6f} {height:.6f}")
        for image in content["images"]:
            if (name := Path(image["file_name"])).stem in names:
                place(loopback, f"{applebbch81.ADDRESS}/images/{name}", (APPLES / "images" / name).read_bytes())
                place(loopback, f"{applebbch81.ADDRESS}/labels/{name.stem}.txt", "\n".join(lines[image["id"]]).encode())


@needs_apples
def test_applebbch81_fetches_itself(there: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = applebbch81.crops()[::20]
    monkeypatch.setattr(applebbch81, "crops", lambda: some)
    apples(there)
    wrong = next(path for path in there.root.rglob("*.jpg"))
    right = wrong.read_bytes()
    wrong.write_bytes(right[:-1] + b"\0")
    with pytest.raises(SynthbenchError, match=f"{wrong.name}: its SHA256 is .*: the file there is another one"):
        AppleBBCH81().load(StageRun(tmp_path, offline=False))
    wrong.write_bytes(right)
    there.breaks[f"/{wrong.relative_to(there.root)}"] = [1000]
    run = StageRun(tmp_path, offline=False)
    splits = AppleBBCH81(resize=64).load(run)
    assert "CC BY 4.0" in splits.license
    assert "10.3390/drones8120734" in splits.source
    assert "Credit S. Kodors et al." in run.notes[0]
    assert "16 of 32 files have the checksums" in run.notes[1]
    assert "no checksum is known to compare with; SHA-256 at the first download" in run.notes[2]
    assert not any("other boxes" in note for note in run.notes)
    boxes = {split: sum(crop.boxes for crop in some if crop.split == split) for split in ("train", "test")}
    assert counted(splits) == {"train": (10, boxes["train"]), "test": (6, boxes["test"])}
    asked = len(there.asked)
    sample = next(iter(AppleBBCH81().load(StageRun(tmp_path)).test))
    assert sample.about["group"] == "17kv3r7k", "offline from now on"
    assert len(there.asked) == asked


@needs_apples
def test_the_boxes_of_applebbch81_are_those_of_the_published_report() -> None:
    assert not applebbch81.other_boxes(APPLES)
    assert {split: sum(crop.boxes for crop in applebbch81.crops() if crop.split == split) for split in ("train", "test")} == {
        "train": 2003,
        "test": 1213,
    }


def test_other_boxes_of_applebbch81_are_noted(tmp_path: Path) -> None:
    from synthbench_datasets.folders import Labelled, write_coco

    crops = applebbch81.crops()
    for split in ("train", "test"):
        write_coco(tmp_path / f"{split}.json", [Labelled(f"{c.name}.jpg", 640, 640) for c in crops if c.split == split], applebbch81.ABOUT)
    assert applebbch81.other_boxes(tmp_path) == [crop.name for crop in crops]
    applebbch81.check_names(tmp_path)


def test_other_photographs_are_told_from_applebbch81(tmp_path: Path) -> None:
    for text, message in ((None, "no train.json"), ("{}", "is not COCO"), ('{"images": [{"file_name": "a.jpg"}]}', "other photographs")):
        if text is not None:
            (tmp_path / "train.json").write_text(text)
        with pytest.raises(SynthbenchError, match=f"{message}.*--set data.use=coco"):
            list(AppleBBCH81(path=tmp_path).inputs())


# MinneApple


def mask(*boxes: tuple[int, int, int, int]) -> bytes:
    """Instances numbered from 1; x, y, width, height."""
    pixels = np.zeros((80, 60), np.uint8)
    for number, (x, y, width, height) in enumerate(boxes, 1):
        pixels[y : y + height, x : x + width] = number
    return png(pixels)


def archives(loopback: Loopback, monkeypatch: pytest.MonkeyPatch, labels: str = "masks", missing: str = "") -> None:
    """Two videos of three frames to train on, two rows of two to test on, in the two archives."""
    members: dict[str, bytes] = {}
    for number, name in enumerate(f"video{video}_{frame}.png" for video in (1, 2) for frame in range(3)):
        members[f"detection/train/images/{name}"] = noise(number)
        members[f"detection/train/masks/{name}"] = mask((5, 6, 10, 12), (30, 40, 20, 8), (50, 70, 1, 9))
    tests = [f"row{row}_{frame}.png" for row in (1, 2) for frame in range(2)]
    members |= {f"detection/test/images/{name}": noise(50 + number) for number, name in enumerate(tests)}
    members |= {"detection/train/images/._video1_0.png": b"no image", "detection/readme.txt": b"text"}
    members.pop(missing, None)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as second:
        second.writestr("test_data/test_data/counting/ground_truth.txt", "text")
        second.writestr("test_data/test_data/notes.json", "[1, 2]")
        if labels == "masks":
            for name in tests:
                second.writestr(f"test_data/test_data/segmentation/masks/{name}", mask((1, 2, 3, 4)))
        else:
            images = [{"id": number, "file_name": f"images/{name}", "width": 60, "height": 80} for number, name in enumerate(tests)]
            rows = [{"id": number, "image_id": number, "category_id": 1, "bbox": [1, 2, 3, 4]} for number in range(len(tests))]
            annotations = {"images": images[: 4 if labels == "coco" else 3], "annotations": rows[: 4 if labels == "coco" else 3]}
            second.writestr("test_data/test_data/detection/ground_truth.json", json.dumps(annotations))
    for name, held in (("PHOTOGRAPHS", packed.getvalue()), ("TEST", zipped.getvalue())):
        file = getattr(minneapple, name)
        place(loopback, file.address, held)
        monkeypatch.setattr(minneapple, name, replace(file, digest=f"md5:{hashlib.md5(held).hexdigest()}"))


@pytest.mark.parametrize("labels", ["masks", "coco"])
def test_minneapple_fetches_itself(labels: str, there: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archives(there, monkeypatch, labels)
    assert "(about 3 GB) from conservancy.umn.edu" in told_by(MinneApple())
    assert "Not for commercial purposes" in told_by(MinneApple())
    there.breaks[urlsplit(minneapple.PHOTOGRAPHS.address).path] = [2000]
    run = StageRun(tmp_path, offline=False)
    splits = MinneApple().load(run)
    assert "CC BY-NC-SA 3.0 US" in splits.license
    assert "Not for commercial purposes" in run.notes[0]
    assert "train: 6 images with 12 boxes; others have counted 670 with 28179" in run.notes[2]
    assert [score.AP for score in splits.published] == [0.438, 0.433, 0.341]
    train, test = list(splits.train), list(splits.test)
    assert [sample.about["group"] for sample in train] == ["video1"] * 3 + ["video2"] * 3
    assert [sample.about["group"] for sample in test] == ["row1"] * 2 + ["row2"] * 2
    assert corners(train[0]) == [[5, 6, 15, 18], [30, 40, 50, 48]], "the instance of one pixel's width is left out"
    assert corners(test[0]) == [[1, 2, 4, 6]]
    assert (there.asked[1][1], len(there.asked)) == ("bytes=2000-", 3)


def test_minneapple_is_split_by_video_without_the_second_archive(there: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archives(there, monkeypatch)
    splits = MinneApple(test_videos=("video2",)).load(StageRun(tmp_path, offline=False))
    assert not splits.published, "these are other test photographs"
    assert counted(splits) == {"train": (3, 6), "test": (3, 6)}
    assert len(there.asked) == 1
    for videos, message in ((("video3",), "no video 'video3'; known: video1, video2"), (("video1", "video2"), "names all videos")):
        with pytest.raises(SynthbenchError, match=message):
            MinneApple(test_videos=videos).load(StageRun(tmp_path))


def test_another_archive_than_minneapples_is_refused(there: Loopback, tmp_path: Path) -> None:
    place(there, minneapple.PHOTOGRAPHS.address, b"something else")
    with pytest.raises(SynthbenchError, match=r"its MD5 is .*, not d24a2f70144f1a3c5a52ffef66c50630: the file there is another one"):
        MinneApple().load(StageRun(tmp_path, offline=False))
    assert not list((tmp_path / "data").rglob("*.gz*"))


@pytest.mark.parametrize(
    ("labels", "missing", "message"),
    [
        ("part", "", r"neither a folder of masks nor a COCO file in it has all 4 test photographs; it has test_data/test_data"),
        ("masks", "detection/train/masks/video1_1.png", "has 6 training images and 5 masks"),
    ],
)
def test_what_archives_lack_is_told(
    labels: str, missing: str, message: str, there: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives(there, monkeypatch, labels, missing)
    with pytest.raises(SynthbenchError, match=message):
        MinneApple().load(StageRun(tmp_path, offline=False))
    assert not (tmp_path / "data/minneapple/files").exists()
    assert (tmp_path / "data/minneapple/downloads").is_dir(), "3 GB need not be fetched again"


# The generated images of Voetman et al.


@pytest.fixture
def images(there: Loopback, monkeypatch: pytest.MonkeyPatch) -> Loopback:
    """Ten of the images."""
    monkeypatch.setattr(voetman, "COUNT", 10)
    for number in range(10):
        place(there, f"{voetman.ADDRESS}/images/{number}_apple_sd.png", noise(number, 60, 60))
        place(there, f"{voetman.ADDRESS}/labels/{number}_apple_sd.txt", f"0 0.5 0.5 0.{number + 1:02d} 0.5\n".encode())
    return there


def test_the_generated_images_are_a_generator_with_boxes_by_people(images: Loopback, tmp_path: Path) -> None:
    generator, run = VoetmanImages(), StageRun(tmp_path, seed=3, offline=False)
    assert "no licence file" in told_by(generator)
    assert "fetches 20 files from raw.githubusercontent.com" in told_by(generator)
    generator.fit(None, run)  # type: ignore[arg-type]
    all_images = list(generator.sample(tmp_path, SampleRequest(0, 10, ("apple",)), StageRun(tmp_path, seed=3)))
    numbers = [int(str(sample.about["file"]).split("_")[0]) for sample in all_images]
    assert sorted(numbers) == list(range(10))
    for number, sample in zip(numbers, all_images, strict=True):
        width = 60 * (number + 1) / 100
        assert corners(sample)[0] == pytest.approx([30 - width / 2, 15, 30 + width / 2, 45])
        assert Path(str(sample.image)).read_bytes() == noise(number, 60, 60)
    later = list(generator.sample(tmp_path, SampleRequest(4, 6, ("apple",)), StageRun(tmp_path, seed=3)))
    assert [sample.about["file"] for sample in later] == [sample.about["file"] for sample in all_images[4:6]]
    for request, message in (
        (SampleRequest(0, 11, ("apple",)), "has 10 images, and the suite asks for 11"),
        (SampleRequest(0, 2, ("apple", "pear")), "the data have 2 categories"),
    ):
        with pytest.raises(SynthbenchError, match=message):
            list(generator.sample(tmp_path, request, StageRun(tmp_path)))


def test_the_generated_images_are_a_data_source_to_judge_annotators(images: Loopback, tmp_path: Path) -> None:
    run = StageRun(tmp_path, offline=False)
    splits = VoetmanData().load(run)
    assert splits.license == "none stated"
    assert [sample.about["file"] for sample in splits.test] == ["0_apple_sd.png", "5_apple_sd.png"]
    assert any("not on photographs" in note for note in run.notes)
    assert counted(VoetmanData().load(StageRun(tmp_path))) == {"train": (8, 8), "test": (2, 2)}


def test_a_label_file_that_is_missing_is_told(images: Loopback, tmp_path: Path) -> None:
    place(images, f"{voetman.ADDRESS}/labels/3_apple_sd.txt", b"").unlink()
    with pytest.raises(SynthbenchError, match=r"labels/3_apple_sd\.txt: cannot be downloaded \(404"):
        VoetmanData().load(StageRun(tmp_path, offline=False))


@pytest.mark.parametrize("kind", [pytest.param("data-source", marks=pytest.mark.slow), "generator"])
def test_the_generated_images_keep_the_contract(kind: PluginKind, images: Loopback, tmp_path: Path) -> None:
    VoetmanData().load(StageRun(tmp_path, offline=False))
    results = list(run_checks(kind, "voetman-generated", {"path": str(tmp_path / "data/voetman-generated/files")}))
    assert not [(result.check, result.reason) for result in results if result.status == "failed"]


def test_minneapple_keeps_the_contract(there: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archives(there, monkeypatch)
    MinneApple().load(StageRun(tmp_path, offline=False))
    results = list(run_checks("data-source", "minneapple", {"path": str(tmp_path / "data/minneapple/files")}))
    assert not [(result.check, result.reason) for result in results if result.status == "failed"]


def test_the_plugins_know_their_remote_data_without_fetching() -> None:
    for cls in (*synthbench_datasets.synthbench_data_sources(), *synthbench_datasets.synthbench_generators()):
        remote = cls().remote  # type: ignore[attr-defined]
        assert all(file.address.startswith("https://") for file in remote.files)
        assert cls(path=Path("x")).remote is None  # type: ignore[call-arg,attr-defined]
