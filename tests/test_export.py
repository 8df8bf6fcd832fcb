"""`synthbench export`: the best generated set and the best detector of a report, to use elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import synthbench
import yaml
from PIL import Image
from synthbench import Boxes, ImageSet, OnnxInput, Picture, Run, SynthbenchError
from synthbench.cli import main
from synthbench.data.formats.faults import Faults
from synthbench.data.formats.reading import Reading, read_folder
from synthbench.exporting import detect
from synthbench.exporting.detector import NotExported, write_file, write_onnx
from synthbench.exporting.onnx_check import check
from synthbench.registry import installed
from synthbench.results.files import read_results
from synthbench_fakes import SUITE


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store and a report of red squares."""
    folder = tmp_path_factory.mktemp("finished")
    synthbench.run(SUITE, store=folder / "store", out=folder / "reports", device="cpu")
    return folder


def export(finished: Path, target: Path, *more: str) -> int:
    return main(["export", str(finished / "reports/squares.json"), "-o", str(target), "--store", str(finished / "store"), *more])


def test_the_best_set_and_the_best_detector_are_written(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(finished, tmp_path / "home") == 0
    told = capsys.readouterr().out
    assert "4 images of paint x " in told
    assert "no ONNX file: fake-threshold has no export to ONNX" in told
    results = read_results(finished / "reports/squares.json")
    best = max((cell for cell in results.cells if cell.metrics), key=lambda cell: cell.metrics["AP"])
    card = (tmp_path / "home/detector/README.md").read_text()
    assert f"# Detector: {best.detector}, trained on {best.training_set}" in card
    assert f"AP {best.metrics['AP']:.3f}" in card
    assert "There is no ONNX file: fake-threshold has no export to ONNX." in card
    own = {path.name for path in (tmp_path / "home/detector/own").iterdir()}
    assert own
    assert "stage.json" not in own
    assert all(f"`{name}`" in card for name in own)


def test_the_data_set_is_the_same_in_coco_and_in_yolo(finished: Path, tmp_path: Path) -> None:
    assert export(finished, tmp_path / "home", "--training-set", "paint x native") == 0
    folder = tmp_path / "home/dataset"
    content = json.loads((folder / "train.json").read_text())
    boxes: dict[str, list[list[float]]] = {image["file_name"]: [] for image in content["images"]}
    names = {image["id"]: image["file_name"] for image in content["images"]}
    for row in content["annotations"]:
        boxes[names[row["image_id"]]].append([row["category_id"] - 1, *row["bbox"]])
    assert len(boxes) == 4
    assert sum(map(len, boxes.values())) >= 4
    assert {path.name for path in (folder / "images").iterdir()} == set(boxes)
    for name, rows in boxes.items():
        with Image.open(folder / "images" / name) as image:
            width, height = image.size
        lines = [list(map(float, line.split())) for line in (folder / f"labels/{Path(name).stem}.txt").read_text().splitlines()]
        again = [[label, (x - w / 2) * width, (y - h / 2) * height, w * width, h * height] for label, x, y, w, h in lines]
        assert np.allclose(np.array(again).reshape(-1, 5), np.array(rows).reshape(-1, 5), atol=1e-4)
    data = (folder / "data.yaml").read_text()
    assert data.startswith("# val: put real photographs of yours there")
    assert yaml.safe_load(data) | {"names": ["square"], "train": "images", "val": "images"} == yaml.safe_load(data)
    read = read_folder(folder, Reading("yolo"), faults := Faults())
    assert len(read.boxes) == len(content["annotations"])
    assert not faults.found
    card = (folder / "README.md").read_text()
    for each in (
        "# Generated images: paint x native",
        "Chosen as asked: detectors",
        "plugin fake-paint 1",
        "## Licences",
        "They are no photographs",
    ):
        assert each in card, each


@pytest.mark.parametrize(
    ("trained_on", "told"),
    [
        ("references", "references, not on this set"),
        ("references + painted", "references + painted, of which this set is a part"),
        ("paint x native", ""),
    ],
)
def test_a_detector_that_learned_from_something_else_than_the_set_beside_it_says_so(
    trained_on: str, told: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(finished, tmp_path / "home", "--training-set", "paint x native", "--trained-on", trained_on) == 0
    out = capsys.readouterr().out
    card = (tmp_path / "home/dataset/README.md").read_text()
    if told:
        assert f"the detector was trained on {told}; --trained-on 'paint x native' exports one" in out
        assert f"The detector that was exported with it was trained on {told}." in card
    assert ("the detector was trained on" in out) is bool(told)
    assert ("The detector that was exported with it" in card) is bool(told)


def test_a_name_with_marks_of_markdown_is_text_in_the_cards(tmp_path: Path) -> None:
    (tmp_path / "marked.toml").write_text(SUITE.read_text() + '[names]\n"paint x native" = "# 1"\n')
    synthbench.run(tmp_path / "marked.toml", store=tmp_path / "store", out=tmp_path / "reports", device="cpu")
    command = ["export", str(tmp_path / "reports/marked.json"), "-o", str(tmp_path / "home"), "--store", str(tmp_path / "store")]
    assert main([*command, "--training-set", "# 1", "--trained-on", "# 1"]) == 0
    assert "# Generated images: \uff03 1\n" in (tmp_path / "home/dataset/README.md").read_text()
    assert ", trained on \uff03 1\n" in (tmp_path / "home/detector/README.md").read_text()


def test_an_exported_set_is_data_of_another_suite(finished: Path, tmp_path: Path) -> None:
    assert export(finished, tmp_path / "home") == 0
    folder = tmp_path / "home/dataset"
    (folder / "test.json").write_text((folder / "train.json").read_text())
    suite = {
        "references": 2,
        "allow_duplicates": True,
        "baselines": ["references"],
        "data": {"use": "coco", "path": str(folder)},
        "detectors": [{"use": "fake-threshold"}],
    }
    results = synthbench.run(suite, store=tmp_path / "store", out=None, device="cpu")
    assert results.data is not None
    assert results.data.train.images == 4
    assert not results.failures


def test_what_cannot_be_exported_is_told(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more, message in (
        (["--training-set", "pant x native"], "no generated set of this report, did you mean 'paint x native'?"),
        (["--detector", "nobody"], "--detector nobody: not in this report; known: strict, threshold"),
        (["--trained-on", "reel"], "--trained-on reel: not in this report, did you mean 'real'?"),
    ):
        assert export(finished, tmp_path / "home", *more) == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    (tmp_path / "home").mkdir()
    (tmp_path / "home/mine").touch()
    assert export(finished, tmp_path / "home") == 2
    assert "is there already" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["mine"]


def test_a_named_training_is_exported(finished: Path, tmp_path: Path) -> None:
    assert export(finished, tmp_path / "home", "--detector", "strict", "--trained-on", "references") == 0
    assert "# Detector: strict, trained on references\n\nChosen as asked." in (tmp_path / "home/detector/README.md").read_text()


# ONNX

PICTURES = [(40, 30), (30, 40), (64, 64)]


@dataclass(frozen=True, kw_only=True)
class Constant:
    """Always finds the same two boxes in its input, which is a square of 32 pixels."""

    name: ClassVar[str] = "constant"
    license: ClassVar[str] = "CC0-1.0"
    shift: float = 0.0
    broken: bool = False

    def export(self, fitted: Path, categories: Sequence[str], file: Path, run: Run) -> OnnxInput:
        from onnx import TensorProto, helper, numpy_helper, save_model

        if self.broken:
            raise SynthbenchError("these options cannot be exported")
        outputs = {
            "boxes": np.array([[4, 8, 12, 20], [1, 2, 3, 4]], np.float32) + self.shift,
            "scores": np.array([0.9, 0.3], np.float32),
            "labels": np.array([0, 0], np.int64),
        }
        nodes = [helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value)) for name, value in outputs.items()]
        kinds = {"boxes": TensorProto.FLOAT, "scores": TensorProto.FLOAT, "labels": TensorProto.INT64}
        infos = [helper.make_tensor_value_info(name, kinds[name], value.shape) for name, value in outputs.items()]
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])
        graph = helper.make_graph(nodes, "constant", [image], infos)
        save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(file))
        return OnnxInput(size=32, fit="stretch")


@pytest.fixture
def pictures(tmp_path: Path) -> ImageSet:
    (tmp_path / "photos").mkdir()
    found = []
    for number, size in enumerate(PICTURES):
        pixels = np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"photos/{number}.png")
        found.append(Picture(tmp_path / f"photos/{number}.png", *size))
    return ImageSet(("apple",), tuple(found))


def predicted() -> list[Boxes]:
    """What `Constant` finds, in pixels of the pictures."""
    boxes = np.array([[4, 8, 12, 20], [1, 2, 3, 4]], float) / 32
    return [Boxes.of(boxes * np.array([width, height] * 2), scores=[0.9, 0.3]) for width, height in PICTURES]


def test_an_onnx_file_is_compared_with_the_run(pictures: ImageSet, tmp_path: Path) -> None:
    write_file(Constant(), tmp_path, tmp_path, pictures.categories)
    same = check(tmp_path, pictures, predicted())
    assert (same.images, same.boxes, same.same) == (3, 12, 12)
    assert same.corner < 1e-4
    assert same.score < 1e-6
    assert same.holds
    assert "12 of 12 boxes on 3 test images are those of the run" in str(same)
    write_file(Constant(shift=4), tmp_path, tmp_path, pictures.categories)
    other = check(tmp_path, pictures, predicted())
    assert not other.holds
    assert other.same == 0
    few = [boxes.keep([0]) for boxes in predicted()]
    write_file(Constant(), tmp_path, tmp_path, pictures.categories)
    assert not check(tmp_path, pictures, few).holds, "a box too many counts as well"
    about = json.loads((tmp_path / "detector.json").read_text())
    (tmp_path / "detector.json").write_text(json.dumps({**about, "min_side": 4.5}))
    assert check(tmp_path, pictures, few).holds, "the second box has sides of 2 pixels in the input, and of up to 4 in the pictures"
    (tmp_path / "detector.json").write_text(json.dumps(about))
    again = [Boxes.of(boxes.xyxy, scores=[0.9, 0.2]) for boxes in predicted()]
    assert not check(tmp_path, pictures, again).holds, "and so does another score"


class Stub:
    """A registry of one plugin."""

    def __init__(self, cls: type) -> None:
        self.cls = cls

    def get(self, kind: str, name: str) -> Any:
        return type("Info", (), {"cls": self.cls})


def test_a_file_that_gives_other_boxes_is_not_kept(pictures: ImageSet, tmp_path: Path, finished: Path) -> None:
    entry = read_results(finished / "reports/squares.json").suite.detectors[0]

    def written(folder: str, **options: object) -> Any:
        from msgspec import structs

        (tmp_path / folder).mkdir()
        asked = structs.replace(entry, plugin="constant", version=1, options=options)
        cls = type("Constant1", (Constant,), {"version": 1})
        return write_onnx(asked, tmp_path, tmp_path / folder, pictures, predicted(), Stub(cls))  # type: ignore[arg-type]

    good = written("good")
    assert good.written
    assert good.checked.holds
    assert {path.name for path in (tmp_path / "good").iterdir()} == {"detector.onnx", "detector.json", "detect.py"}
    for folder, options, message in (
        ("shifted", {"shift": 4.0}, "it gave other boxes than the run, so it was deleted"),
        ("broken", {"broken": True}, "these options cannot be exported"),
        ("unknown", {"no": 1}, "its options are not those of the installed version: no: unknown option"),
    ):
        bad = written(folder, **options)
        assert not bad.written
        assert message in bad.problem
        assert not list((tmp_path / folder).iterdir())
    with pytest.raises(NotExported, match="fake-threshold has no export to ONNX"):
        write_file(installed().get("detector", "fake-threshold").cls(), tmp_path, tmp_path, ("apple",))


def test_the_script_runs_without_synthbench(pictures: ImageSet, tmp_path: Path) -> None:
    write_file(Constant(), tmp_path, tmp_path, pictures.categories)
    code = "import runpy, sys; sys.modules['synthbench'] = None; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, str(tmp_path / "detect.py"), "--draw", str(tmp_path / "drawn"), str(pictures[0].path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(told) == {str(pictures[0].path): [{"box": [5.0, 7.5, 15.0, 18.75], "score": 0.9, "category": "apple"}]}
    (drawn,) = (tmp_path / "drawn").iterdir()
    assert drawn.name == f"{pictures[0].path.name}.png"
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert f"{drawn} is there already" in again.stderr


@pytest.mark.parametrize(("width", "height"), [(40, 30), (17, 90), (64, 64), (5, 5)])
def test_photographs_are_resized_as_opencv_and_pillow_do(width: int, height: int) -> None:
    import cv2

    pixels = np.random.default_rng(0).integers(0, 255, (48, 36, 3), np.uint8)
    ours, theirs = detect.opencv_resize(pixels, width, height), cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1
    for fit, shape in (("stretch", (32, 32)), ("longest", (32, 24)), ("letterbox", (32, 32))):
        values, (left, top), (across, down) = detect.prepare(pixels, {"size": 32, "fit": fit, "resample": "pillow"})
        assert values.shape == (1, 3, *shape)
        assert values.dtype == np.float32
        assert 36 * across + 2 * left == pytest.approx(shape[1])
        assert 48 * down + 2 * top == pytest.approx(shape[0])


def test_images_that_a_review_rejected_are_not_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Images with one to three squares, of which those stay that have as many as the one reference."""
    suite = tomllib.loads(SUITE.read_text()) | {"images": 12, "mix": []}
    suite["annotators"] = [{"use": "native"}, {"use": "review", "annotator": "native", "count_factor": 1.0, "size_factor": 4.0}]
    suite["data"]["seed"] = 3
    synthbench.run({**suite, "references": 1, "title": "squares"}, store=tmp_path / "store", out=tmp_path / "reports", device="cpu")
    (results,) = (tmp_path / "reports").glob("*.json")
    capsys.readouterr()
    arguments = ["-o", str(tmp_path / "home"), "--store", str(tmp_path / "store"), "--training-set", "paint x review"]
    assert main(["export", str(results), *arguments]) == 0
    count = len(list((tmp_path / "home/dataset/images").iterdir()))
    assert 0 < count < 12
    assert f"{count} images of paint x review" in capsys.readouterr().out
    card = (tmp_path / "home/dataset/README.md").read_text()
    assert f"\n{count} generated images with" in card
    assert f"{12 - count} more were sampled and left out" in card
