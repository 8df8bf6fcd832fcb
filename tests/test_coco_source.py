"""The data source `coco`, on real files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from synthbench.contract.options import configure
from synthbench.data.coco import CocoFolder
from synthbench.data.tiling import tiles
from synthbench.errors import SynthbenchError
from synthbench.execution.stage_run import StageRun
from synthbench.storage.coco import write_set

if TYPE_CHECKING:
    from synthbench.contract.types import Sample, Splits

APPLES = Path(__file__).parents[2] / "shared" / "data" / "apples_bbch81"
Change = Callable[[dict[str, Any]], None]


def picture(width: int, height: int, boxes: list[tuple[int, int, int, int]], seed: int = 0) -> Image.Image:
    """Green noise with red rectangles, given as COCO boxes."""
    pixels = np.random.default_rng(seed).integers(0, 80, (height, width, 3), np.uint8)
    pixels[..., 1] += 100
    for x, y, across, down in boxes:
        pixels[y : y + down, x : x + across] = (250, 10, 10)
    return Image.fromarray(pixels)


def annotated(
    names: list[str], boxes: list[tuple[float, float, float, float]], size: tuple[int, int] = (60, 40), **more: Any
) -> dict[str, Any]:
    """Annotations: every image has the same size and boxes."""
    rows = [(number, box) for number in range(1, len(names) + 1) for box in boxes]
    return {
        "info": {"description": "toy", "url": "https://example.org/toy"},
        "licenses": [{"id": 1, "name": "CC0-1.0", "url": "https://example.org/cc0"}],
        "images": [{"id": i + 1, "file_name": name, "width": size[0], "height": size[1]} for i, name in enumerate(names)],
        "annotations": [
            {"id": i + 1, "image_id": image, "category_id": 1, "bbox": list(box), "iscrowd": 0} for i, (image, box) in enumerate(rows)
        ],
        "categories": [{"id": 1, "name": "apple"}],
        **more,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two training images and a test image of 60x40, a red box on each."""
    (tmp_path / "images").mkdir()
    for seed, name in enumerate(["a.png", "b.jpg", "t.png"]):
        picture(60, 40, [(10, 5, 20, 10)], seed).save(tmp_path / "images" / name)
    write(tmp_path, "train.json", annotated(["a.png", "b.jpg"], [(10, 5, 20, 10)]))
    write(tmp_path, "test.json", annotated(["t.png"], [(10, 5, 20, 10)]))
    return tmp_path


def write(folder: Path, name: str, held: object) -> None:
    (folder / name).write_text(json.dumps(held))


def changed(folder: Path, name: str, change: Change) -> None:
    held = json.loads((folder / name).read_text())
    change(held)
    write(folder, name, held)


def loaded(folder: Path, **options: Any) -> tuple[Splits, list[Sample], list[Sample], list[str]]:
    run = StageRun(folder)
    splits = CocoFolder(path=folder, **options).load(run)
    return splits, list(splits.train), list(splits.test), run.notes


def refused(folder: Path, **options: Any) -> str:
    with pytest.raises(SynthbenchError) as caught:
        CocoFolder(path=folder, **options).load(StageRun(folder))
    return str(caught.value)


def pixels(sample: Sample) -> np.ndarray[Any, Any]:
    assert isinstance(sample.image, np.ndarray)
    return sample.image


def red_box(image: np.ndarray[Any, Any]) -> list[int]:
    """Where the red rectangle is, xyxy, x2 and y2 exclusive."""
    down, across = np.nonzero((image[..., 0] > 150) & (image[..., 1] < 80))
    return [int(across.min()), int(down.min()), int(across.max()) + 1, int(down.max()) + 1]


def corners(sample: Sample) -> list[list[float]]:
    assert sample.boxes is not None
    made: list[list[float]] = sample.boxes.xyxy.tolist()
    return made


def test_untouched_images_are_given_as_files(folder: Path) -> None:
    splits, train, test, notes = loaded(folder)
    assert splits.categories == ("apple",)
    assert [sample.image for sample in train] == [folder / "images" / "a.png", folder / "images" / "b.jpg"]
    assert corners(train[0]) == corners(test[0]) == [[10, 5, 30, 15]]
    assert train[1].about == {"file": "b.jpg"}
    assert (splits.license, splits.source) == ("CC0-1.0 (https://example.org/cc0)", "toy (https://example.org/toy)")
    assert (splits.rendered, notes) == (False, [])


def test_options_are_held_to_bounds() -> None:
    for key, value in {"resize": -1, "tile": -1, "tile_overlap": 1.0, "min_visible": 1.1, "categories": "apple"}.items():
        made, problems = configure(CocoFolder, {"path": "somewhere", key: value})
        assert made is None
        assert problems[0].startswith(key)
    assert configure(CocoFolder, {})[1] == ["path: missing"]


def test_images_come_lazily_and_a_broken_one_is_named(folder: Path) -> None:
    whole = (folder / "images" / "b.jpg").read_bytes()
    (folder / "images" / "b.jpg").write_bytes(whole[: len(whole) // 2])
    train = iter(CocoFolder(path=folder, resize=30).load(StageRun(folder)).train)
    assert pixels(next(train)).shape == (20, 30, 3)
    with pytest.raises(SynthbenchError, match=r"b\.jpg: not a readable image"):
        next(train)


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", ".png"), ("L", ".jpg"), ("P", ".png"), ("RGBA", ".png"), ("CMYK", ".jpg"), ("I;16", ".png")]
)
def test_other_modes_become_rgb(folder: Path, mode: str, suffix: str) -> None:
    name = f"odd{suffix}"
    image = picture(60, 40, [(10, 5, 20, 10)])
    if mode == "I;16":
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(folder / "images" / name)
    else:
        image.convert(mode).save(folder / "images" / name)
    write(folder, "train.json", annotated([name], [(10, 5, 20, 10)]))
    _, (sample,), _, _ = loaded(folder)
    assert (pixels(sample).shape, pixels(sample).dtype) == ((40, 60, 3), np.uint8)
    wanted = np.asarray(image.convert("L" if mode in ("L", "I;16") else "RGB").convert("RGB"), np.int64)
    assert np.abs(pixels(sample) - wanted).mean() < (30 if suffix == ".jpg" or mode == "P" else 0.5)


UNTURN = {  # what has to be done to an upright image so that a reader who follows EXIF sees it upright again
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("turn", UNTURN)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_turned_images_come_upright_with_their_boxes(folder: Path, turn: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    stored = picture(60, 40, [(8, 8, 24, 16)]).transpose(UNTURN[turn])
    stored.save(folder / "images" / f"turned{suffix}", exif=exif, quality=95)
    write(folder, "train.json", annotated([f"turned{suffix}"], [(8, 8, 24, 16)]))
    _, (sample,), _, notes = loaded(folder)
    assert red_box(pixels(sample)) == [8, 8, 32, 24]
    assert corners(sample) == [[8, 8, 32, 24]]
    if turn < 5:
        assert "1 images turned upright; as their size does not tell" in notes[0]
        return
    assert notes == []
    x1, y1, x2, y2 = red_box(np.asarray(stored))
    write(folder, "train.json", annotated([f"turned{suffix}"], [(x1, y1, x2 - x1, y2 - y1)], stored.size))
    _, (sample,), _, notes = loaded(folder)
    assert red_box(pixels(sample)) == [8, 8, 32, 24]
    assert corners(sample) == [[8, 8, 32, 24]]
    assert "which were drawn on them as stored" in notes[0]


def test_a_size_that_fits_neither_way_is_refused(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(60, 40, []).save(folder / "images" / "a.png", exif=exif)
    changed(folder, "train.json", lambda held: held["images"][0].update(width=61))
    assert "a.png is said to be 61x40, but is 60x40 as stored and 40x60 upright" in refused(folder)


def test_every_problem_is_told_at_once(folder: Path) -> None:
    def spoil(held: dict[str, Any]) -> None:
        held["images"].append({"id": 3, "file_name": "gone.png", "width": 60, "height": 40})
        held["images"].append({"id": 4, "file_name": "../out.png", "width": 60, "height": 40})
        held["annotations"][0]["image_id"] = 99
        held["annotations"][1]["category_id"] = 7

    changed(folder, "train.json", spoil)
    (folder / "test.json").write_text('{"images": [],\n "annotations": [}')
    text = refused(folder)
    for part in (
        "gone.png: no such image",
        "image ../out.png leads out of the folder",
        "annotation 1 is of image 99",
        "annotation 2 is of category 7",
        "test.json: line 2, column 18: not JSON",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda held: held.pop("annotations"), "no list 'annotations'"),
        (lambda held: held["images"][0].pop("file_name"), "images[0]: object missing required field `file_name`"),
        (lambda held: held["annotations"][1].update(bbox=[1, 2, 3]), "annotations[1]: expected `array` of length 4, got 3"),
        (lambda held: held["annotations"][1].update(bbox=[1, 2, 3, float("nan")]), "annotations[1]: bbox [1.0, 2.0, 3.0, nan]"),
        (lambda held: held["images"][1].update(id=1), "images: id 1 is there 2 times"),
        (lambda held: held["images"][1].update(file_name="a.png"), "image a.png is listed 2 times"),
        (lambda held: held.update(annotations=[]), "train.json: no boxes of apple"),
        (lambda held: held.update(images=[], annotations=[]), "train.json: no images"),
        (
            lambda held: held["categories"][0].update(name="appel"),
            "test.json: category 'apple' is not in train.json, did you mean 'appel'?",
        ),
    ],
)
def test_what_is_wrong_is_named(folder: Path, change: Change, part: str) -> None:
    changed(folder, "train.json", change)
    assert part in refused(folder)


def test_missing_things_are_named(folder: Path) -> None:
    assert "no such folder" in refused(folder / "elsewhere")
    assert "images: no such folder 'photos'" in refused(folder, images="photos")
    assert "train: '../train.json' leads out of the folder" in refused(folder, train="../train.json")
    assert "nothing.json: no such annotation file" in refused(folder, test="nothing.json")
    text = refused(folder, categories=("apples", "pear"))
    assert "train.json: no category 'apples', did you mean 'apple'?" in text
    assert "test.json: no category 'pear'; known: apple" in text


@pytest.mark.parametrize("held", [b"", b"\xff\xfe\x00", b"\x80", b"[" * 100_000, b"9" * 5000, b"[]"])
def test_what_is_not_an_annotation_file_is_named(folder: Path, held: bytes) -> None:
    (folder / "train.json").write_bytes(held)
    assert "1 problem\n  train.json: " in refused(folder)


def test_a_long_list_is_cut(folder: Path) -> None:
    write(folder, "train.json", annotated([f"{number}.png" for number in range(30)], [(1, 1, 5, 5)]))
    text = refused(folder)
    assert "30 problems" in text
    assert text.count("no such image") == 20
    assert text.endswith("and 10 more")


def test_boxes_beyond_the_image_are_mended_and_noted(folder: Path) -> None:
    boxes = [(50, 30, 20, 20), (-5, 5, 10, 10), (59.8, 39.8, 0.4, 0.4), (60, 5, 10, 10), (5, 5, 0, 10), (5, 5, -3, 4)]
    write(folder, "train.json", annotated(["a.png"], boxes))
    _, (sample,), _, notes = loaded(folder)
    assert np.allclose(corners(sample), [[50.0, 30.0, 60.0, 40.0], [0.0, 5.0, 5.0, 15.0], [59.8, 39.8, 60.0, 40.0]])
    assert notes == [
        "train.json: 2 boxes clipped to their image: image a.png annotation 1, image a.png annotation 2",
        "train.json: 3 boxes without size within their image dropped: "
        "image a.png annotation 4, image a.png annotation 5, image a.png annotation 6",
    ]
    write(folder, "train.json", annotated(["a.png"], [(50, 30, 20, 20)] * 7))
    assert loaded(folder)[3][0].endswith("annotation 5, …")


def test_an_image_that_lost_all_its_boxes_is_no_empty_one(folder: Path) -> None:
    changed(folder, "train.json", lambda held: held["annotations"][1].update(bbox=[70, 5, 10, 10]))
    assert "train.json: b.jpg: none of its 1 boxes has a size within it" in refused(folder)


def test_categories_are_chosen_ordered_and_counted(folder: Path) -> None:
    names = [{"id": 9, "name": "apple"}, {"id": 2, "name": "leaf"}, {"id": 5, "name": "pear"}]
    held = annotated(["a.png"], [(1, 1, 5, 5), (2, 2, 5, 5), (3, 3, 5, 5)], categories=names)
    for row, (category, crowd) in zip(held["annotations"], [(9, 1), (2, 0), (5, 0)], strict=True):
        row.update(category_id=category, iscrowd=crowd)
    write(folder, "train.json", held)
    splits, (sample,), _, notes = loaded(folder)
    assert splits.categories == ("leaf", "pear", "apple")
    assert sample.boxes is not None
    assert (sample.boxes.labels.tolist(), sample.boxes.crowd.tolist()) == ([2, 0, 1], [True, False, False])
    assert notes == []

    splits, (sample,), _, notes = loaded(folder, categories=("apple",))
    assert splits.categories == ("apple",)
    assert corners(sample) == [[1, 1, 6, 6]]
    assert notes == ["train.json: 2 annotations of categories that were not chosen left out"]


def test_resizing_takes_the_boxes_along(folder: Path) -> None:
    _, train, _, _ = loaded(folder, resize=30)
    assert pixels(train[0]).shape == (20, 30, 3)
    assert corners(train[0]) == [[5, 2.5, 15, 7.5]]
    _, train, _, _ = loaded(folder, resize=60)
    assert train[0].image == folder / "images" / "a.png"
    _, train, _, _ = loaded(folder, resize=120)
    assert red_box(pixels(train[0])) == [20, 10, 60, 30]


def test_shrinking_does_not_alias(folder: Path) -> None:
    stripes = np.zeros((40, 60, 3), np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(folder / "images" / "a.png")
    _, train, _, _ = loaded(folder, resize=15)
    assert np.abs(pixels(train[0]).astype(int)[:, 2:-2] - 100).max() < 5


def test_tiles_cover_the_image_and_keep_the_boxes_they_show(folder: Path) -> None:
    _, train, _, _ = loaded(folder, tile=20)
    first = train[:6]
    assert [(sample.about["left"], sample.about["top"]) for sample in first] == [(x, y) for y in (0, 20) for x in (0, 20, 40)]
    assert [corners(sample) for sample in first] == [[[10, 5, 20, 15]], [[0, 5, 10, 15]], [], [], [], []]
    assert red_box(pixels(first[0])) == [10, 5, 20, 15]
    _, train, _, _ = loaded(folder, tile=20, min_visible=0.6)
    assert not any(corners(sample) for sample in train)
    _, train, _, _ = loaded(folder, tile=20, resize=10)
    assert pixels(train[0]).shape == (10, 10, 3)
    assert corners(train[0]) == [[5, 2.5, 10, 7.5]]


def test_an_image_smaller_than_a_tile_stays_whole(folder: Path) -> None:
    _, train, _, _ = loaded(folder, tile=100)
    assert train[0].image == folder / "images" / "a.png"
    _, train, _, _ = loaded(folder, tile=50)
    assert [pixels(sample).shape for sample in train[:2]] == [(40, 50, 3)] * 2


@pytest.mark.parametrize(("length", "side", "overlap"), [(1000, 640, 0.0), (1000, 250, 0.2), (641, 640, 0.0), (97, 32, 0.9), (64, 64, 0.5)])
def test_neighbouring_tiles_share_what_was_asked_for(length: int, side: int, overlap: float) -> None:
    starts = [x1 for x1, _, _, _ in tiles(length, side, side, overlap)]
    assert (starts[0], starts[-1]) == (0, length - side)
    steps = np.diff(starts)
    assert (steps > 0).all()
    assert (steps <= side * (1 - overlap) + 1).all()


def test_images_are_grouped_by_their_names_or_by_the_image_they_are_tiles_of(folder: Path) -> None:
    def groups(**options: Any) -> list[str | int | float | None]:
        splits = CocoFolder(path=folder, **options).load(StageRun(folder / "work"))
        return [sample.about.get("group") for sample in splits.train]

    assert groups() == [None, None]
    assert groups(group="^.") == ["a", "b"]
    assert groups(group=r"(.)\.(?:png|jpg)") == ["a", "b"]
    assert groups(tile=40) == ["a.png", "a.png", "b.jpg", "b.jpg"]
    with pytest.raises(SynthbenchError, match=r"group: '\^x' does not match the file name a.png"):
        groups(group="^x")
    with pytest.raises(SynthbenchError, match=r"group: '\(' is not a regular expression"):
        CocoFolder(path=folder, group="(")


@pytest.mark.skipif(not APPLES.is_dir(), reason="the photographs are not here")
def test_the_orchard_photographs(tmp_path: Path) -> None:
    run = StageRun(tmp_path)
    splits = CocoFolder(path=APPLES).load(run)
    train, test = list(splits.train), list(splits.test)
    assert (len(train), len(test)) == (200, 120)
    assert [sum(len(sample.boxes or ()) for sample in samples) for samples in (train, test)] == [2003, 1213]
    assert run.notes == []
    assert splits.license == "CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)"
    stored = write_set(tmp_path / "set", splits.categories, train[:3])
    assert isinstance(train[0].image, Path)
    assert stored[0].path.read_bytes() == train[0].image.read_bytes()
