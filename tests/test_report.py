"""Reports: what they say of results, from the JSON alone, and their pictures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from synthbench.contract.types import Boxes, Sample
from synthbench.errors import SynthbenchError
from synthbench.execution.runner import RunState
from synthbench.plan.planner import Cell, Generated, Plan, Stage, View
from synthbench.report import render_file
from synthbench.report.markdown import render
from synthbench.report.pictures import draw_pictures
from synthbench.storage.boxes import write_boxes
from synthbench.storage.coco import write_set
from synthbench.storage.local import Artifact

KINDS = {"real": "real", "references": "references", "gan x teacher": "generated", "both": "mix"}
Values = dict[tuple[str, str], list[float | None]]


def entry(name: str, **options: object) -> dict[str, Any]:
    origin = {"plugin": name, "version": 1, "license": "MIT", "distribution": "synthbench-toy", "release": "0.1"}
    return {"name": name, **origin, "options": options}


def results(values: Values, *, rendered: bool = True, **changes: Any) -> dict[str, Any]:
    """Results as `collect` gives them; `values`: the AP of each seed of a training set and a detector, None where it failed."""
    rows, detectors = (dict.fromkeys(names) for names in zip(*values, strict=True))
    seeds = list(range(max(map(len, values.values()))))
    cells = [
        {
            "training_set": row,
            "detector": detector,
            "seed": seed,
            "metrics": {} if value is None else {"AP": value, "AP50": value + 0.1},
            "training": {"training_images": 20, "training_boxes": 50} if value is not None else {},
            "seconds": {"train": 30.0 if value is not None else 0.0, "predict": 1.0},
            "keys": {},
            "failed": "k1" if value is None else None,
        }
        for (row, detector), found in values.items()
        for seed, value in enumerate(found)
    ]
    costs = {"fit": 100.0, "sample": 50.0, "train": 30.0, "predict": 2.0, "annotate": 1.0}
    return {
        "schema": 1,
        "suite": {
            "name": "toy",
            "file": "suites/toy.toml",
            "title": "Toys",
            "about": "",
            "seeds": seeds,
            "references": 20,
            "images": 96,
            "data": entry("orchard", size=96),
            "generators": [entry("gan", prompt="a | b")],
            "annotators": [entry("teacher"), entry("native")],
            "detectors": [entry(name) for name in detectors],
            "mixes": [{"name": "both", "parts": ["references", "gan x teacher"]}],
        },
        "data": {
            "categories": ["apple"],
            "rendered": rendered,
            "license": "CC0-1.0",
            "source": "somewhere",
            "counts": {"train": {"images": 160, "boxes": 900}, "test": {"images": 80, "boxes": 400}},
        },
        "rows": [{"name": row, "kind": KINDS[row]} for row in rows],
        "cells": cells,
        "generated": [{"name": "gan x teacher", "generator": "gan", "annotator": "teacher", "images": 96, "boxes": 300}],
        "judged": [{"annotator": "teacher", "generator": "", "precision": 0.75, "hits": 3}],
        "stages": [{"kind": "fit", "label": "fit gan", "key": "k1", "state": "failed"}]
        + [
            {
                "kind": "train",
                "label": f"train {n}",
                "key": f"t{n}",
                "state": "done",
                "cached": True,
                "seconds": 30.0,
                "peak_memory": 2**20,
                "notes": ["warm"],
            }
            for n in (1, 2)
        ],
        "costs": {row: dict.fromkeys(costs, 0.0) if row in ("real", "references") else costs for row in rows},
        "failures": [],
        "environment": {
            "synthbench": "0.1.0",
            "commit": "abc123+",
            "python": "3.11",
            "platform": "Linux",
            "processors": 2,
            "packages": {"torch": "2.15.0"},
            "device": "cpu",
            "workers": 2,
            "wall_seconds": 3700.0,
        },
        "command": "synthbench run suites/toy.toml",
        "pictures": {},
    } | changes


def lead(held: dict[str, Any]) -> str:
    """The answer's section."""
    return render(held, "toy.json").split("## The answer")[1].split("\n## ")[0]


def three(real: float | None, references: float | None, generated: float | None) -> Values:
    return {("real", "yolo"): [real], ("references", "yolo"): [references], ("gan x teacher", "yolo"): [generated]}


def test_generated_images_that_add_something() -> None:
    told = lead(results(three(0.52, 0.28, 0.31)))
    assert "Trained on generated images alone (`gan x teacher`, 96 images), yolo reaches **AP 0.310** on the 80 test images" in told
    assert "trained on all 160 real images it reaches 0.520, so generated images stand **0.210 AP below**." in told
    assert "Trained on the 20 references (images picked from the real ones) alone" in told
    assert "it reaches 0.280: **generated images add 0.030 AP to what the references give by themselves.**" in told
    assert "once, with one seed" in told
    assert "flatters" not in told


@pytest.mark.parametrize(
    ("generated", "said"),
    [
        (0.20, "**generated images do 0.080 AP worse than the references they were made from.**"),
        (0.29, "**generated images neither add to the references nor fall behind them** (a difference of +0.010 AP"),
        (0.27, "nor fall behind them** (a difference of \N{MINUS SIGN}0.010 AP, no more than another seed may change)"),
        (0.53, "generated images stand **0.010 AP above**, no more than another seed may change."),
        (0.52, "generated images stand **level**, no more than another seed may change."),
    ],
)
def test_a_disappointing_or_undecided_result_is_said_plainly(generated: float, said: str) -> None:
    assert said in lead(results(three(0.52, 0.28, generated)))


def test_nothing_generated() -> None:
    told = lead(results({("real", "yolo"): [0.5], ("real", "detr"): [0.6], ("references", "yolo"): [0.2], ("references", "detr"): [0.1]}))
    assert "This suite compares detectors: it has no generated images. Trained on all 160 real images, the best detector, detr," in told
    assert "Trained on the 20 references (images picked from the real ones), the best detector, yolo, reaches **AP 0.200**." in told


def test_every_generated_row_failed() -> None:
    failure = {
        "key": "k1",
        "label": "fit gan",
        "error": "out of ```memory```",
        "trace": "x\n" * 20 + "the end",
        "cells": ["a / b / seed 0"] * 9,
    }
    held = results(three(0.5, None, None), failures=[failure])
    told = lead(held)
    assert "**No generated training set has a score**, so this run says nothing of generated images." in told
    assert "Training on the 20 references (images picked from the real ones) gave no score." in told
    assert "**1 of 3 stages failed** and cost 2 of 3 cells" in told
    whole = render(held, "toy.json")
    assert "### fit gan\n\n````\nout of ```memory```\n````" in whole
    assert whole.count("x\n") == 11  # and the last line: the trace's last twelve
    assert "a / b / seed 0 and 3 more" in whole
    assert re.search(r"`gan x teacher` +\| +failed \|", whole)


def test_nothing_at_all() -> None:
    assert "**There is no answer: not one cell has a score.**" in lead(results(three(None, None, None)))
    told = render(results(three(None, None, None), data={}), "toy.json")
    assert "> **The data could not be loaded**" in told.split("## The answer")[0]


def test_rows_that_the_suite_leaves_out() -> None:
    told = lead(results({("gan x teacher", "yolo"): [0.3]}))
    assert "How far that is from real images is not known: this suite does not train on all real images." in told
    assert "was not measured, so whether generating added anything is not known." in told
    assert "its training on the real images gave no score" in lead(results(three(None, 0.2, 0.3)))


def test_several_seeds() -> None:
    held = results(
        {("real", "yolo"): [0.5, 0.52, 0.54], ("references", "yolo"): [0.2, 0.3, 0.25], ("gan x teacher", "yolo"): [0.29, None, 0.31]}
    )
    told = lead(held)
    assert "yolo reaches **AP 0.300 (0.290 to 0.310)**" in told
    assert "**generated images neither add to the references nor fall behind them** (a difference of +0.050 AP" in told  # the ranges meet
    assert "trained 3 times, with different seeds" in told
    whole = render(held, "toy.json")
    assert "0.520 ± 0.020 |" in whole
    assert "0.300 ± 0.014 (\N{MINUS SIGN}0.220), 1 of 3 seeds failed |" in whole


def test_the_best_of_several_is_told_as_such_and_differences_are_a_detectors_own() -> None:
    values: Values = {("real", "yolo"): [0.4], ("gan x teacher", "yolo"): [0.35], ("real", "detr"): [0.6], ("gan x teacher", "detr"): [0.3]}
    told = lead(results(values))
    assert "yolo reaches **AP 0.350** on the 80 test images; trained on all 160 real images it reaches 0.400" in told
    assert "the best of 2 combinations, chosen by its test score" in told
    assert "from \N{MINUS SIGN}0.300 to \N{MINUS SIGN}0.050 AP" in told


def test_a_mix_is_held_against_its_real_part() -> None:
    told = lead(results(three(0.52, 0.28, 0.31) | {("both", "yolo"): [0.4]}))
    assert "The best mix, `both` (references + gan x teacher), brings yolo to **AP 0.400**; `references` alone brings it to 0.280" in told
    assert "a difference of +0.120." in told


def test_detectors_that_learned_nothing() -> None:
    assert "**No detector learned much here:** the highest AP of all is 0.010" in lead(results(three(0.01, 0.0, 0.0)))


def test_the_first_lines_say_what_the_test_images_are() -> None:
    values = three(0.52, 0.28, 0.31)
    first = render(results(values), "toy.json").splitlines()[:3]
    assert first[0] == "# Toys"
    assert first[2].startswith("> **The test images (80 apple images) are rendered, not photographs.**")
    photographs = render(results(values, rendered=False), "toy.json")
    assert photographs.splitlines()[2] == "> The test images (80 apple images) are photographs."
    assert "trained on all 160 real photographs" in photographs
    assert "rendered" not in photographs


def test_the_whole_report() -> None:
    pictures = {"samples": {"file": "toy/samples.jpg"}, "predictions": {"file": "toy/predictions.jpg", "threshold": 0.5}}
    told = render(results(three(0.52, 0.28, 0.31), pictures=pictures), "toy.json")
    assert "| `gan x teacher`  | 0.310 (\N{MINUS SIGN}0.210) |" in told
    assert re.search(r"AP50, trained on(.|\n)*`gan x teacher` +\| 0\.410 \(\N{MINUS SIGN}0\.210\) \|", told)
    assert "0.09 to 0.12 AP" in told
    assert "arXiv 2306.09762" in told
    assert "](toy/samples.jpg)" in told
    assert "a score of at least 0.5" in told
    assert "ap.png" not in told
    assert "| `teacher`   | \N{EN DASH}              |       0.750 |        \N{EN DASH} |" in told
    assert "Not judged: `native`" in told
    assert "- train 1 and 1 more: warm" in told
    assert "synthbench 0.1.0 (commit `abc123`, with changes that are in no commit), Python 3.11, torch 2.15.0." in told
    assert "| `gan`     | `prompt` | `'a \\| b'` |" in told
    assert "took 61 min 40 s" in told
    assert "```sh\nsynthbench run suites/toy.toml\n```" in told
    assert "None" not in told
    assert "nan" not in told


def test_it_is_rendered_from_the_json_alone_and_the_same_each_time(tmp_path: Path) -> None:
    file = tmp_path / "toy.json"
    file.write_text(json.dumps(results(three(0.52, 0.28, 0.31))))
    written = render_file(file)
    assert written == tmp_path / "toy.md"
    first = written.read_bytes()
    assert render_file(file).read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toy.json", "toy.md"]


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 0}'])
def test_a_file_that_holds_no_results(tmp_path: Path, content: str) -> None:
    file = tmp_path / "toy.json"
    file.write_text(content)
    with pytest.raises(SynthbenchError, match=r"toy\.json: no"):
        render_file(file)


@pytest.fixture
def carried_out(tmp_path: Path) -> tuple[Plan, RunState]:
    """A plan whose generator sampled, whose second cell failed, and of whose stages the rest is in `tmp_path`."""
    rng = np.random.default_rng(0)
    box = Boxes.of([[2, 3, 20, 12]])

    def samples(count: int, boxes: Boxes | None = box) -> list[Sample]:
        return [Sample(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8), boxes) for _ in range(count)]

    data, sampled, annotated = (Stage(kind, kind) for kind in ("data", "sample", "annotate"))
    references = View(data, "train", (2, 0))
    predicted, scored = Stage("predict", "p"), Stage("score", "s")
    views = {"real": (View(data, "train"),), "references": (references,)}
    for split in ("train", "test"):
        write_set(tmp_path / data.key / split, ("apple",), samples(7))
    write_set(tmp_path / sampled.key, ("apple",), samples(2, None))
    (tmp_path / annotated.key).mkdir()
    write_boxes(tmp_path / annotated.key / "boxes.npz", [box, Boxes.none()])
    (tmp_path / predicted.key).mkdir()
    write_boxes(tmp_path / predicted.key / "boxes.npz", [box] * 7)
    fitted = Stage("fit", "f", views={"references": (references,)})
    lost = Stage("predict", "lost", seed=1)
    cells = (Cell("real", "yolo", 0, fitted, predicted, scored), Cell("references", "yolo", 0, fitted, lost, lost))
    made = (Generated("gan x teacher", "gan", "teacher", sampled, annotated),)
    stages = (data, fitted, sampled, annotated, predicted, scored)
    plan = Plan(suite=None, data=data, training_sets=views, generated=made, judged=(), cells=cells, stages=stages)  # type: ignore[arg-type]
    return plan, RunState(artifacts={stage.key: Artifact(tmp_path / stage.key, {}) for stage in stages})


def test_pictures(carried_out: tuple[Plan, RunState], tmp_path: Path) -> None:
    plan, state = carried_out
    folder = tmp_path / "reports" / "toy"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("stays")
    held = results(three(0.5, None, 0.3))
    drawn = draw_pictures(plan, state, held, folder)
    assert {name: facts["file"] for name, facts in drawn.items()} == {
        "samples": "toy/samples.jpg",
        "predictions": "toy/predictions.jpg",
        "bars": "toy/ap.png",
        "costs": "toy/costs.png",
    }
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert sizes.pop("mine.txt") == 5
    assert sum(sizes.values()) < 600_000
    with Image.open(folder / "samples.jpg") as sheet:
        assert sheet.height > 2 * 100  # references and one generated training set
    before = {name: (folder / name).read_bytes() for name in sizes}
    draw_pictures(plan, state, held, folder)
    assert before == {name: (folder / name).read_bytes() for name in sizes}


def test_pictures_of_a_run_of_which_little_is_there(carried_out: tuple[Plan, RunState], tmp_path: Path) -> None:
    plan, state = carried_out
    held = results(three(None, None, None))
    for lost in [stage for stage in plan.stages if stage.kind != "sample"]:
        del state.artifacts[lost.key]
    drawn = draw_pictures(plan, state, held, tmp_path / "toy")
    assert list(drawn) == ["samples"]  # sampled images, which nobody annotated
    state.artifacts.clear()
    assert draw_pictures(plan, state, held, tmp_path / "toy") == {}
