"""Zero-shot annotators and detectors, with small models of the real classes that have random weights."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, get_args

import numpy as np
import pytest
from synthbench import Boxes, FromAnnotator, FromDetector, FromGenerator, ImageSet, Sample, SynthbenchError
from synthbench.contract.options import configure
from synthbench.execution.stage_run import StageRun
from synthbench.storage.coco import write_set
from synthbench_zeroshot import GroundingDino, GroundingDinoDetector, Owlv2, Sam2
from synthbench_zeroshot.testing import Kind, write_checkpoint
from synthbench_zeroshot.tuning import Tuned, tune

KINDS = get_args(Kind)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("weights")
    return {kind: str(write_checkpoint(kind, folder / kind)) for kind in KINDS}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Six pictures of odd sizes, one without boxes, one with a crowd and an empty box; two categories."""
    rng = np.random.default_rng(0)
    samples = []
    for number, (width, height) in enumerate([(80, 50), (33, 97), (64, 64), (80, 50), (41, 40)]):
        image = rng.integers(60, 120, (height, width, 3), dtype=np.uint8)
        image[5:25, 6:24] = (230, 30, 30) if number % 2 else (30, 30, 230)
        samples.append(Sample(image, Boxes.of([(6, 5, 24, 25)], [number % 2])))
    samples.append(Sample(samples[0].image, Boxes.none()))
    samples.append(Sample(samples[2].image, Boxes.of([(0, 0, 40, 40), (5, 5, 5, 9), (-4, 2, 20, 30)], crowd=[1, 0, 0])))
    return write_set(tmp_path_factory.mktemp("data"), ("red_apple", "leaf"), samples)


def annotator(kind: str, weights: dict[str, str], **options: object) -> GroundingDino | Owlv2:
    chosen: type[GroundingDino | Owlv2] = Owlv2 if kind == "owlv2" else GroundingDino
    made, problems = configure(chosen, {"weights": weights[kind], **options})
    assert made is not None, problems
    return made


FINDERS = [kind for kind in KINDS if kind != "sam2"]


@pytest.mark.parametrize("kind", FINDERS)
def test_every_family_gives_boxes_inside_the_pictures(kind: str, weights: dict[str, str], data: ImageSet, tmp_path: Path) -> None:
    run = StageRun(tmp_path)
    options = annotator(kind, weights, batch_size=2, nms_iou=0.6, score_threshold=0.0, max_detections=9)
    found = list(options.annotate(data.without_boxes(), data, run))
    for picture, boxes in zip(data, found, strict=True):
        assert 0 < len(boxes) <= 9
        assert (boxes.xyxy >= 0).all()
        assert (boxes.xyxy <= [picture.width, picture.height] * 2).all()
        assert set(boxes.labels.tolist()) <= {0, 1}
        assert (np.diff(boxes.scores) <= 0).all()
    one = list(replace(options, batch_size=1).annotate(data[:3].without_boxes(), data, run))
    for alone, together in zip(one[:1], found[:1], strict=True):
        assert len(alone) > 0
        assert len(together) > 0


@pytest.mark.parametrize("kind", FINDERS)
def test_a_batch_gives_the_boxes_of_single_images(kind: str, weights: dict[str, str], data: ImageSet, tmp_path: Path) -> None:
    same = data.subset([0, 3, 5])
    both = [
        list(annotator(kind, weights, batch_size=size, score_threshold=0.0).annotate(same, data, StageRun(tmp_path))) for size in (1, 3)
    ]
    for one, other in zip(*both, strict=True):
        np.testing.assert_allclose(one.xyxy, other.xyxy, atol=0.05)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-3)


@pytest.mark.parametrize("shape", [(48, 80), (80, 48), (40, 40)])
def test_owlv2_reads_boxes_of_pictures_that_are_not_square(shape: tuple[int, int], weights: dict[str, str], tmp_path: Path) -> None:
    """A box around what the model is shown of a bright spot is the box of the spot in the picture."""
    import torch
    from synthbench_zeroshot.owl import Owl

    owl = Owl.open(weights["owlv2"], StageRun(tmp_path))
    height, width = shape
    image = np.zeros((height, width, 3), np.uint8)
    spot = np.array([width - 24, height - 32, width - 8, height - 8])
    image[spot[1] : spot[3], spot[0] : spot[2]] = 255
    shown = owl.processor(images=[image], text=[["spot"]], max_length=16, return_tensors="pt")["pixel_values"][0, 0]
    down, across = torch.nonzero(shown > 0.5 * shown.max(), as_tuple=True)
    x1, y1, x2, y2 = (float(each) / len(shown) for each in (across.min(), down.min(), across.max() + 1, down.max() + 1))
    box = torch.tensor([[[(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], [0.5, 0.5, 1.0, 1.0]]])
    (found,) = owl.decode(SimpleNamespace(logits=torch.tensor([[[2.0], [1.0]]]), pred_boxes=box), [shape])
    np.testing.assert_allclose(found.xyxy[0], spot, atol=1.3)  # the processor blurs what it makes smaller
    np.testing.assert_allclose(found.xyxy[1], [0, 0, width, height], err_msg="a box in the padding ends with the picture")


def test_a_score_is_the_mean_over_the_tokens_of_its_prompt() -> None:
    import torch
    from synthbench_zeroshot.grounding import category_scores, decode

    ids = torch.tensor([101, 201, 301, 1012, 202, 1012, 102, 0])  # "a ##a . b ." with its beginning, end and padding
    chance = torch.tensor([[0.9, 0.2, 0.6, 0.9, 0.3, 0.9, 0.9, 0.9], [0.1, 0.1, 0.1, 0.1, 0.7, 0.1, 0.1, 0.1]])
    scores = category_scores(torch.logit(chance), ids, 2)
    np.testing.assert_allclose(scores, [[0.4, 0.3], [0.1, 0.7]], atol=1e-6)
    boxes = decode(scores, torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.0, 0.5, 0.2, 1.0]]), 80, 40, 3)
    np.testing.assert_allclose(boxes.xyxy, [[20, 10, 60, 30], [0, 0, 8, 40]], atol=1e-4)
    assert boxes.labels.tolist() == [3, 4]
    with pytest.raises(SynthbenchError, match="makes 2 prompts of 3"):
        category_scores(torch.logit(chance), ids, 3)


def test_more_categories_than_a_text_holds_are_looked_for_in_parts(weights: dict[str, str], data: ImageSet, tmp_path: Path) -> None:
    from synthbench_zeroshot.grounding import Grounding

    finder = Grounding.open(weights["mm-grounding-dino"], 0, StageRun(tmp_path))
    prompts = [f"fruit {number}" for number in range(10)]  # 7 tokens each with their separator, and the text holds 62
    assert [(first, len(part)) for first, part in finder.parts(prompts)] == [(0, 8), (8, 2)]
    (boxes,) = finder.detect([data[0].pixels()], prompts)
    assert len(boxes) == 2 * finder.model.config.num_queries
    assert boxes.labels[:20].max() < 8 <= boxes.labels[20:].min()
    for prompt, reason in (("x" * 90, "has 90 tokens, of at most 61"), ("\u200b", "is nothing to its tokenizer")):
        with pytest.raises(SynthbenchError, match=reason):
            finder.parts([prompt])
    many = replace(data, categories=tuple(prompts))
    with pytest.raises(SynthbenchError, match="10 categories are 2 texts"):
        detector(weights).train(many, StageRun(tmp_path))


def test_prompts_that_cannot_be_meant_are_errors(weights: dict[str, str], data: ImageSet, tmp_path: Path) -> None:
    from synthbench_zeroshot.prompts import candidates

    assert candidates(("red_apple", "no. 2", "leaf"), {"leaf": ("leaf", "green leaf")}) == [
        ("red apple",),
        ("no 2",),
        ("leaf", "green leaf"),
    ]
    cases = {"apple. leaf": "contains '.'", " ": "an empty one", "what?": r"contains '\?'"}
    for prompt, reason in cases.items():
        with pytest.raises(SynthbenchError, match=reason):
            GroundingDino(prompts={"leaf": ("leaf", prompt)})
    with pytest.raises(SynthbenchError, match="'leaf' has none"):
        Owlv2(prompts={"leaf": ()})
    with pytest.raises(SynthbenchError, match="no category 'leav', did you mean 'leaf'"):
        list(annotator("owlv2", weights, prompts={"leav": "leaf"}).annotate(data, data, StageRun(tmp_path)))


class Known:
    """A finder that knows what is on the pictures, how sure it is, and which prompt works."""

    default_threshold: ClassVar[float] = 0.5

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def detect(self, images: Sequence[Any], prompts: Sequence[str]) -> list[Boxes]:
        self.asked.append(tuple(prompts))
        good = 0.4 if prompts[0] == "good" else 0.05
        right, far, leaf = (6, 5, 24, 25), (40, 30, 60, 45), (10, 10, 30, 30)
        return [Boxes.of([right, far, leaf], [0, 0, 1], [good, 0.1, 0.8]) for _ in images]


def tuned(finder: Known, data: ImageSet, threshold: float | None, *choices: tuple[str, ...], tmp_path: Path) -> Tuned:
    return tune(finder, data, choices, threshold, StageRun(tmp_path), batch_size=1, nms_iou=0.5)


def test_prompts_and_thresholds_are_chosen_on_the_references(data: ImageSet, tmp_path: Path) -> None:
    references = data.subset([0, 2])  # each has one object of category 0
    finder = Known()
    found = tuned(finder, references, None, ("bad", "good"), ("leaf",), tmp_path=tmp_path)
    # Category 1 has no object, so its 2 boxes of 0.8 are wrong at any threshold, and it keeps the default. Untuned, nothing else is found.
    assert (found.prompts, found.thresholds, found.f1_untuned) == (("good", "leaf"), (0.25, 0.5), 0.0)
    assert found.f1 == pytest.approx(2 * 2 / (4 + 2))
    assert finder.asked == [("bad", "leaf")] * 2 + [("good", "leaf")] * 2

    finder = Known()
    assert tuned(finder, references, 0.3, ("bad", "good"), ("leaf",), tmp_path=tmp_path) == replace(found, thresholds=(0.3, 0.3))
    finder = Known()
    assert tuned(finder, references, 0.3, ("good",), ("leaf",), tmp_path=tmp_path) == Tuned(("good", "leaf"), (0.3, 0.3))
    assert finder.asked == [], "nothing is to be chosen"


def test_prompts_of_several_rounds_are_measured_together(data: ImageSet, tmp_path: Path) -> None:
    finder = Known()
    both = data.subset([0])
    leaf = both.with_boxes([Boxes.of([(6, 5, 24, 25), (10, 10, 30, 30)], [0, 1])])
    found = tuned(finder, leaf, None, ("good", "bad"), ("leaf", "leave"), tmp_path=tmp_path)
    assert found.prompts == ("good", "leaf")
    assert len(finder.asked) == 2
    finder.asked.clear()
    found = tuned(finder, leaf, None, ("bad", "good"), ("leaf",), tmp_path=tmp_path)
    assert found.f1 == 1.0
    assert found.thresholds == (0.25, 0.4)


def test_references_without_boxes_leave_the_defaults(data: ImageSet, tmp_path: Path) -> None:
    finder = Known()
    assert tuned(finder, data.subset([5]), None, ("bad", "good"), ("leaf",), tmp_path=tmp_path) == Tuned(("bad", "leaf"), (0.5, 0.5))
    assert finder.asked == []


def test_what_was_tuned_is_logged_and_used(weights: dict[str, str], data: ImageSet, tmp_path: Path) -> None:
    run = StageRun(tmp_path)
    options = annotator("mm-grounding-dino", weights, prompts={"red_apple": ["apple", "red apple"]})
    found = list(options.annotate(data[:2].without_boxes(), data, run))
    assert run.metrics.keys() == {"prompts", "score_thresholds", "references_f1", "references_f1_untuned"}
    apple, leaf = (part.split(": ") for part in str(run.metrics["prompts"]).split("; "))
    assert apple[0] == "red_apple"
    assert apple[1] in ("apple", "red apple")
    assert leaf == ["leaf", "leaf"]
    least = [float(part.split(": ")[1]) for part in str(run.metrics["score_thresholds"]).split("; ")]
    for boxes in found:
        assert (boxes.scores >= np.array(least)[boxes.labels] - 1e-3).all()


def test_sam2_puts_the_box_around_the_largest_part_of_an_outline() -> None:
    from synthbench_zeroshot.tightening import box_of

    mask = np.zeros((40, 60), bool)
    mask[10:20, 12:30] = True  # the object
    mask[24:26, 12:14] = True  # a speck
    mask[0:3, 40:60] = True  # another object
    np.testing.assert_array_equal(box_of(mask, np.array([10.0, 8, 33, 27]), 0.1), [12, 10, 30, 20])
    np.testing.assert_array_equal(box_of(mask, np.array([18.0, 8, 28, 27]), 0.1), [17, 10, 29, 20], "cut off a tenth outside")
    np.testing.assert_array_equal(box_of(mask, np.array([50.0, 30, 59, 39]), 0.1), [0, 0, 0, 0])


def test_sam2_keeps_scores_labels_and_what_it_cannot_outline(weights: dict[str, str], data: ImageSet, tmp_path: Path) -> None:
    boxes = Boxes.of([(4, 3, 30, 29), (1, 1, 20, 20), (-5, 6, 12, 30)], [0, 1, 1], [0.9, 0.4, 0.7])
    images = data[:3].with_boxes([boxes, Boxes.none(), boxes])
    for options, kept in ((Sam2(annotator="any"), 3), (Sam2(detector="any"), 2), (Sam2(), 3)):
        run = StageRun(tmp_path)
        found = list(replace(options, weights=weights["sam2"], batch_size=2, min_iou=0.3).annotate(images, data, run))
        assert [len(each) for each in found] == [kept, 0, kept]
        assert int(run.metrics["tightened"]) + int(run.metrics["unchanged"]) == 2 * kept
        assert found[0].scores.tolist() == [score for score in (0.9, 0.4, 0.7) if kept == 3 or score >= 0.5]
        assert (found[0].xyxy >= 0).all()
    strict = list(replace(Sam2(weights=weights["sam2"]), min_iou=1.0).annotate(images, data, StageRun(tmp_path)))
    np.testing.assert_array_equal(strict[0].xyxy, boxes.xyxy.clip(0))
    with pytest.raises(SynthbenchError, match="has no boxes to tighten"):
        list(Sam2(weights=weights["sam2"]).annotate(data.without_boxes(), data, StageRun(tmp_path)))


def test_sam2_opens_the_checkpoints_for_videos_that_the_hub_has(weights: dict[str, str], data: ImageSet, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(weights["sam2"], tmp_path / "video"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "sam2_video"}))
    both = [next(iter(Sam2(weights=each, min_iou=0.0).annotate(data, data, StageRun(tmp_path)))) for each in (weights["sam2"], str(folder))]
    np.testing.assert_array_equal(both[0].xyxy, both[1].xyxy)


def test_sam2_says_whose_boxes_it_starts_from() -> None:
    assert Sam2().boxes_from == FromGenerator()
    assert Sam2(annotator="teacher").boxes_from == FromAnnotator("teacher")
    assert Sam2(detector="yolov8").boxes_from == FromDetector("yolov8")
    assert configure(Sam2, {"annotator": "a", "detector": "b"})[1] == [
        "detector: the boxes come from the annotator or from the detector; name one of them"
    ]


def detector(checkpoints: dict[str, str], **options: object) -> GroundingDinoDetector:
    usual: dict[str, object] = {"weights": checkpoints["mm-grounding-dino"], "max_train_steps": 2, "batch_size": 2}
    made, problems = configure(GroundingDinoDetector, {**usual, **options})
    assert made is not None, problems
    return made


def test_zero_shot_learns_nothing_and_stores_no_weights(weights: dict[str, str], data: ImageSet, tmp_path: Path) -> None:
    run = StageRun(tmp_path)
    options = detector(weights, max_train_steps=0, score_threshold=0.0)
    options.train(data, run)
    assert run.metrics["steps"] == 0
    assert [file.name for file in tmp_path.iterdir()] == ["zero-shot.json"]
    found = list(options.predict(tmp_path, data.without_boxes(), run))
    other = annotator("mm-grounding-dino", weights, score_threshold=0.0, nms_iou=0.7, batch_size=1)
    for boxes, same in zip(found, other.annotate(data.without_boxes(), data, run), strict=True):
        np.testing.assert_array_equal(boxes.xyxy, same.xyxy)


@pytest.mark.parametrize("kind", ["grounding-dino", "mm-grounding-dino"])
def test_fine_tuning_leaves_the_text_backbone(kind: str, weights: dict[str, str], data: ImageSet, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    run = StageRun(tmp_path)
    options = detector(
        weights, weights=weights[kind], max_train_steps=8, batch_size=2, learning_rate=2e-3, backbone_learning_rate_factor=0.5
    )
    options.train(data.subset([0, 1]), run)  # the same two images in every step, so that losses can be compared
    assert run.metrics["steps"] == 8
    losses = [value for _, value in run.curves["loss"]]
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:2]), losses
    old, new = (load_file(Path(folder) / "model.safetensors") for folder in (weights[kind], tmp_path))
    same = {name for name in old if np.array_equal(old[name], new[name])}
    assert {name for name in old if ".text_backbone." in name} <= same
    assert not {name for name in old if "text_projection" in name or (".backbone." in name and name.endswith("query.weight"))} & same
    found = list(options.predict(tmp_path, data.without_boxes(), run))
    assert all((np.diff(boxes.scores) <= 0).all() and len(boxes) <= 100 for boxes in found)


@pytest.mark.parametrize("images", [1, 7])
def test_every_training_set_gets_exactly_the_steps_that_were_asked_for(
    images: int, weights: dict[str, str], data: ImageSet, tmp_path: Path, rates: list[float]
) -> None:
    run = StageRun(tmp_path)
    detector(weights, max_train_steps=6, learning_rate=1e-3, backbone_learning_rate_factor=1.0).train(data[:images], run)
    assert len(rates) == run.metrics["steps"] == 6
    assert max(rates) == pytest.approx(1e-3, rel=0.05)
    assert rates[-1] < 1e-4
    assert run.curves["loss"][-1][0] == 6


def test_the_same_seed_gives_the_same_boxes_and_another_seed_others(weights: dict[str, str], data: ImageSet, tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        options = detector(weights, learning_rate=1e-2, max_train_steps=1)
        options.train(data, StageRun(tmp_path / name, seed))
        found.append(next(options.predict(tmp_path / name, data.without_boxes(), StageRun(tmp_path))))
    np.testing.assert_array_equal(found[0].xyxy, found[1].xyxy)
    assert not np.array_equal(found[0].scores, found[2].scores)


def test_trains_on_images_without_boxes(weights: dict[str, str], data: ImageSet, tmp_path: Path) -> None:
    options = detector(weights, score_threshold=1.0)
    options.train(data.subset([5]), StageRun(tmp_path))
    assert [len(boxes) for boxes in options.predict(tmp_path, data.without_boxes(), StageRun(tmp_path))] == [0] * len(data)
    with pytest.raises(SynthbenchError, match="no images"):
        options.train(data[:0], StageRun(tmp_path))


def test_mirrored_images_have_mirrored_boxes(data: ImageSet) -> None:
    from synthbench_zeroshot.data import example

    image, boxes = example(data[0], mirrored=True)
    (x1, y1, x2, y2), sides = boxes.xyxy[0] * [80, 50, 80, 50], data[0].boxes
    assert sides is not None
    np.testing.assert_allclose([80 - x2, y1, 80 - x1, y2], sides.xyxy[0])
    assert (image[round(y1) : round(y2), round(x1) : round(x2)] == (30, 30, 230)).all()
    assert len(example(data[6], mirrored=False)[1]) == 1, "without the crowd and the empty box"


def test_says_what_is_wrong_with_weights(weights: dict[str, str], data: ImageSet, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    good = Path(weights["mm-grounding-dino"])
    empty, pickled, partial = (tmp_path / name for name in ("empty", "pickled", "partial"))
    for folder in (empty, pickled, partial):
        folder.mkdir()
    for file in good.iterdir():
        if file.suffix != ".safetensors":
            for folder in (pickled, partial):
                (folder / file.name).write_bytes(file.read_bytes())
    (pickled / "pytorch_model.bin").write_bytes(b"no")
    tensors = load_file(good / "model.safetensors")
    kept = {name: value for name, value in tensors.items() if "text_projection" not in name}
    save_file(kept, partial / "model.safetensors", metadata={"format": "pt"})
    cases = {
        str(empty): "has no config.json",
        str(good / "model.safetensors"): "is a file; name the folder",
        str(pickled): "--allow-pickle",
        str(partial): "lacks tensors of a MMGroundingDinoForObjectDetection, such as model.text_projection",
        weights["owlv2"]: "a model of the type 'owlv2'; it must be grounding-dino or mm-grounding-dino",
        "nobody/nothing@0123": "hf download nobody/nothing --revision 0123",
    }
    for name, message in cases.items():
        with pytest.raises(SynthbenchError, match=message):
            list(GroundingDino(weights=name).annotate(data, data, StageRun(tmp_path)))


def test_a_suite_has_all_of_them(weights: dict[str, str], data: ImageSet, tmp_path: Path) -> None:
    import synthbench
    from synthbench.storage.coco import ANNOTATIONS

    for split, numbers in (("train", (0, 1, 3, 4)), ("test", (2,))):
        samples = [Sample(data[number].path, data[number].boxes) for number in numbers]
        write_set(tmp_path / "photos" / split, data.categories, samples)
    photos = {"path": str(tmp_path / "photos"), "images": ".", "train": f"train/{ANNOTATIONS}", "test": f"test/{ANNOTATIONS}"}
    for split in ("train", "test"):
        file = tmp_path / "photos" / split / ANNOTATIONS
        content = json.loads(file.read_text())
        content["images"] = [{**image, "file_name": f"{split}/{image['file_name']}"} for image in content["images"]]
        file.write_text(json.dumps(content))
    prompts = {"leaf": ["leaf", "green leaf"]}
    suite = {
        "references": 2,
        "baselines": ["references", "real x tight"],
        "data": {"use": "coco", **photos},
        "annotators": [
            {"use": "grounding-dino", "name": "words", "weights": weights["mm-grounding-dino"], "prompts": prompts, "score_threshold": 0.0},
            {"use": "sam2", "name": "tight", "annotator": "words", "weights": weights["sam2"], "min_iou": 0.1},
        ],
        "detectors": [{"use": "grounding-dino", "weights": weights["mm-grounding-dino"], "max_train_steps": 0}],
    }
    results = synthbench.run(suite, store=tmp_path / "store", out=None, device="cpu", in_process=True)
    assert not results.failures
    assert {each.annotator for each in results.judged} == {"words", "tight"}
    logged = {stage.label: stage.metrics for stage in results.stages if stage.kind == "annotate"}
    assert logged["annotate test x words"]["grounding-dino"].keys() >= {"references_f1", "references_f1_untuned"}
    assert logged["annotate test x words"] == logged["annotate real x words"], "tuned on the same references"
    assert "tightened" in logged["annotate real x tight"]["sam2"]
    assert len({cell.metrics["AP"] for cell in results.cells}) == 1, "zero-shot, what it is trained on does not matter"


def test_importing_the_plugin_is_light() -> None:
    code = "import sys, synthbench_zeroshot; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'transformers', 'PIL')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
