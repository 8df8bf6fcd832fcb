"""Reports: what they say of results, from the JSON alone, and their pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import structs
from PIL import Image
from synthbench.contract.images import write_image
from synthbench.contract.types import Boxes, Picture
from synthbench.errors import SynthbenchError
from synthbench.exporting.choosing import best_set
from synthbench.reporting import render_file, write_report
from synthbench.reporting.markdown import render
from synthbench.reporting.pictures import MACHINE, TRUE, draw_pictures
from synthbench.reporting.scores import Scores
from synthbench.reporting.tiles import Gallery, TileRow
from synthbench.reporting.verdicts import in_real_images
from synthbench.results.claims import Difference, Equivalent, Evidence, Figure, Level, Settling, Verdict, Word
from synthbench.results.files import read_results, write_results
from synthbench.results.model import Results

Values = dict[tuple[str, str], list[float | None]]


def entry(name: str, **options: object) -> dict[str, Any]:
    origin = {"plugin": name, "version": 1, "license": "MIT", "distribution": "synthbench-toy", "release": "0.1"}
    return {"name": name, **origin, "options": options}


def results(values: Values, more: Sequence[dict[str, Any]] = (), *, rendered: bool = True, **changes: Any) -> Results:
    """Results as a run gives them; `values`: the AP of each seed of a training set and a detector, None if it failed."""
    rows, detectors = (dict.fromkeys(names) for names in zip(*values, strict=True))
    seeds = list(range(max(map(len, values.values()))))
    cells = [
        {
            "training_set": row,
            "detector": detector,
            "seed": seed,
            "replicate": seed,
            "draw": {},
            "metrics": {} if value is None else {"AP": value, "AP50": value + 0.1},
            "training": {"images": 20, "boxes": 50, "metrics": {"toy": {"steps": 3}}} if value is not None else None,
            "train_seconds": 30.0 if value is not None else 0.0,
            "predict_seconds": 1.0,
            "keys": {"train": "", "predict": "", "score": ""},
            "failed": "k1" if value is None else None,
        }
        for (row, detector), found in values.items()
        for seed, value in enumerate(found)
    ]
    costs = {"fit": 100.0, "sample": 50.0, "train": 30.0, "predict": 2.0, "annotate": 1.0}
    sets: list[dict[str, Any]] = [
        {"name": "real", "kind": "real"},
        {"name": "references", "kind": "references"},
        {"name": "gan x teacher", "kind": "generated", "generator": "gan", "annotator": "teacher", "images": 96},
        {"name": "both", "kind": "mix", "parts": ["references", "gan x teacher"]},
        *more,
    ]
    content = {
        "schema": 3,
        "suite": {
            "name": "toy",
            "file": "suites/toy.toml",
            "title": "Toys",
            "about": "",
            "seeds": {"references": seeds, "generators": seeds, "detectors": seeds},
            "references": 20,
            "images": 96,
            "timeout": 60.0,
            "data": entry("orchard", size=96),
            "generators": [entry("gan", prompt="a | b"), {**entry("paste"), "rival": True}],
            "annotators": [entry("teacher"), entry("native")],
            "detectors": [entry(name) for name in detectors],
        },
        "data": {
            "categories": ["apple"],
            "rendered": rendered,
            "license": "CC0-1.0",
            "source": "somewhere",
            "train": {"images": 160, "boxes": 900},
            "test": {"images": 80, "boxes": 400},
        },
        "training_sets": [each for each in sets if each["name"] in rows],
        "cells": cells,
        "generated": [
            {"training_set": "gan x teacher", "generator": "gan", "annotator": "teacher", "draw": {}, "images": 96, "boxes": 300}
        ],
        "judged": [{"annotator": "teacher", "generator": "", "draw": {}, "precision": 0.75, "hits": 3}],
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
    }
    return msgspec.convert(content | changes, Results)


def lead(held: Results) -> str:
    """The answer's section."""
    return render(held, "toy.json").split("## The answer")[1].split("\n## ")[0]


def three(real: float | None, references: float | None, generated: float | None) -> Values:
    return {("real", "yolo"): [real], ("references", "yolo"): [references], ("gan x teacher", "yolo"): [generated]}


def claimed(values: Values, reach: float = 0.02, margin: float = 0.05) -> Evidence:
    """Evidence in which every interval reaches this far on both sides of its mean, and bounds as far."""

    def figure(mean: float, replicates: int) -> Figure:
        low, high = mean - reach, mean + reach
        return Figure(mean=mean, replicates=replicates, low=low, high=high, error=reach / 4, lower=low, upper=high)

    def mean(row: str, detector: str) -> float | None:
        known = [value for value in values.get((row, detector), []) if value is not None]
        return sum(known) / len(known) if known else None

    levels, differences, verdicts = [], [], []
    for row, detector in values:
        own = mean(row, detector)
        if own is None:
            continue
        levels.append(Level(training_set=row, detector=detector, figure=figure(own, len(values[row, detector]))))
        for base in {"real", "references", "real x teacher", "paste x native"} - {row}:
            if (other := mean(base, detector)) is None:
                continue
            found = figure(own - other, 3)
            differences.append(Difference(training_set=row, detector=detector, base=base, figure=found))
            if base == "real" and row in ("gan x teacher", "both"):
                assert found.low is not None
                assert found.high is not None
                word: Word = "replaces" if found.low > -margin else "does not" if found.high < -margin else "not settled"
                settling = Settling(replicates=7, images=None) if word == "not settled" else None
                verdicts.append(Verdict(training_set=row, detector=detector, word=word, level=0.05, settling=settling))
    return Evidence(margin=margin, images=80, groups=80, resamples=1000, levels=levels, differences=differences, verdicts=verdicts, same=[])


def thrice(values: Values, *more: dict[str, Any]) -> Results:
    """Results of three replicates with the same figures, and the evidence that they give. more: other training sets."""
    repeated: Values = {pair: found * 3 for pair, found in values.items()}
    return results(repeated, more, evidence=msgspec.to_builtins(claimed(repeated)))


@pytest.mark.parametrize(
    ("generated", "said"),
    [
        (
            0.31,
            "**Generated images do not replace the 160 real images**: for yolo, every set of generated images alone is more than 0.05 AP "
            "worse.",
        ),
        (0.50, "**Generated images replace the 160 real images**: for yolo, a generated training set is at most 0.05 AP worse."),
        (
            0.47,
            "**Whether generated images replace the 160 real images is not settled** for yolo: at the present spread it takes about 7 more "
            "replicates for `yolo` to settle the best set.",
        ),
    ],
)
def test_the_answer_for_one_detector(generated: float, said: str) -> None:
    told = lead(thrice(three(0.52, 0.28, generated)))
    assert said in told
    assert "with an error rate of 5 % over all 1 combinations" in told
    assert "over 3 replicates, which differ in the references, the seeds of the generators and the seeds of the detectors" in told
    assert "and over 80 test images" in told


def test_where_more_real_images_bring_nothing_the_answer_says_so() -> None:
    told = lead(thrice(three(0.52, 0.51, 0.47)))
    assert "**The 20 references alone cannot be told from the 160 real images** for `yolo` (AP " in told
    assert "0.010 [\N{MINUS SIGN}0.030, +0.010])" in told
    assert "generated ones have little to stand in for" in told
    assert "did as well as" not in lead(thrice(three(0.52, 0.28, 0.47)))


def test_what_an_image_is_worth_is_not_told_where_the_curve_is_flat() -> None:
    def shown(references: float, high: float) -> str:
        held = thrice(three(0.52, references, 0.47))
        assert held.evidence is not None
        worth = Equivalent(
            training_set="gan x teacher",
            detector="yolo",
            images=34.0,
            position="within",
            low=22.0,
            high=high,
            bounded=True,
            smallest=20,
            largest=160,
        )
        return in_real_images(
            Scores(structs.replace(held, evidence=structs.replace(held.evidence, equivalents=[worth]))), "gan x teacher", "yolo"
        )

    assert shown(0.28, 51.0) == "34 [22, 51]"
    assert shown(0.51, 51.0) == "not told"
    assert shown(0.51, 20.0) != "not told", "it is below the references all the same"


def test_detectors_that_disagree_are_all_named() -> None:
    values = three(0.52, 0.28, 0.31) | {("real", "detr"): [0.6], ("references", "detr"): [0.59], ("gan x teacher", "detr"): [0.6]}
    told = lead(thrice(values))
    assert "depends on the detector**: they do for `detr` and they do not for `yolo` (at most 0.05 AP worse counts)." in told
    assert "Compared with the 20 references alone, the best generated set is better for `yolo` and" in told
    assert "not distinguishable for `detr`." in told
    assert re.search(r"\| yolo +\| +0\.520 \[0\.500, 0\.540\] \| `gan x teacher` \(96 images\) +\| +.0\.210 \[.0\.230, .0\.190\] \|", told)
    assert "does not" in told


def test_an_answer_for_some_of_the_detectors_is_one_in_part() -> None:
    values = three(0.52, 0.28, 0.31) | {("real", "detr"): [0.6], ("references", "detr"): [0.5], ("gan x teacher", "detr"): [0.55]}
    told = lead(thrice(values))
    assert "is settled in part**: they do not for `yolo` and it is not settled for `detr` (at most 0.05 AP worse counts)." in told


def test_what_generated_images_add_to_the_references_is_said() -> None:
    told = lead(thrice(three(0.52, 0.28, 0.31) | {("both", "yolo"): [0.33]}))
    assert re.search(
        r"Added to the references, `gan x teacher` changes their AP by \+0\.050 \[\+0\.0\d\d, \+0\.0\d\d\] with `yolo`\.", told
    )
    assert "Added to" not in lead(results(three(0.52, 0.28, 0.31) | {("both", "yolo"): [0.33]})), "one replicate settles nothing"


def test_one_replicate_settles_nothing() -> None:
    told = lead(results(three(0.52, 0.28, 0.52)))
    assert "**Whether generated images replace the 160 real images is not settled: the experiment was done once.**" in told
    assert "The closest generated set came out" in told
    two = three(0.52, 0.28, 0.52) | {("real", "detr"): [0.6], ("gan x teacher", "detr"): [0.4]}
    assert "The closest generated sets came out" in lead(results(two))
    assert "`replicates = 3` in the suite gives intervals and verdicts" in told
    first = lead(structs.replace(results(three(0.52, 0.28, 0.52)), replicates_planned=3))
    assert "the replicates to come give intervals and verdicts" in first
    assert "replicates = 3" not in first
    assert "replaces*" not in told
    assert "[" not in told.split("|")[0], "no interval"
    assert "Compared with" not in told


def test_nothing_generated() -> None:
    told = lead(results({("real", "yolo"): [0.5], ("real", "detr"): [0.6], ("references", "yolo"): [0.2], ("references", "detr"): [0.1]}))
    assert "This suite compares no generated images. Trained on the 160 real images, the best detector, detr, reaches **AP 0.600**." in told
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
    assert "**No generated training set has a score**, so this run says nothing about generated images." in told
    assert "Training on the 20 references (images picked from the real ones) gave no score." in told
    assert "**1 of 3 stages failed**, so 2 of 3 cells have no score" in told
    whole = render(held, "toy.json")
    assert "### fit gan\n\n````\nout of ```memory```\n````" in whole
    assert whole.count("x\n") == 11  # and the last line: the trace's last twelve
    assert "a / b / seed 0 and 3 more" in whole
    assert re.search(r"`gan x teacher` +\| +failed \|", whole)


def test_nothing_at_all() -> None:
    assert "**There is no answer: not one cell has a score.**" in lead(results(three(None, None, None)))
    told = render(results(three(None, None, None), data=None), "toy.json")
    assert "> **The data could not be loaded**" in told.split("## The answer")[0]


def test_rows_that_the_suite_leaves_out() -> None:
    told = lead(results({("gan x teacher", "yolo"): [0.3]}))
    assert "**How far generated images are from the 160 real images is not known**: this suite does not train on them." in told
    assert "was not measured, so whether generating added anything is not known." in told
    assert "not known**: training on them gave no score." in lead(results(three(None, 0.2, 0.3)))


def test_figures_have_their_intervals_and_losses_are_told() -> None:
    values: Values = {
        ("real", "yolo"): [0.5, 0.52, 0.54],
        ("references", "yolo"): [0.2, 0.3, 0.25],
        ("gan x teacher", "yolo"): [0.29, None, 0.31],
    }
    whole = render(results(values, evidence=msgspec.to_builtins(claimed(values))), "toy.json")
    assert "0.520 [0.500, 0.540] |" in whole
    assert "0.300 [0.280, 0.320], 1 of 3 trainings failed |" in whole


def test_a_seed_that_does_nothing_is_told() -> None:
    values = three(0.52, 0.28, 0.31)
    held = msgspec.structs.replace(claimed(values), same=["gan x teacher / yolo"])
    told = lead(results({pair: found * 2 for pair, found in values.items()}, evidence=msgspec.to_builtins(held)))
    assert "predicted the very same boxes**: gan x teacher / yolo." in told


def test_the_caveat_of_a_suite_stands_in_the_answer() -> None:
    held = results(three(0.52, 0.28, 0.31))
    held = msgspec.structs.replace(held, suite=msgspec.structs.replace(held.suite, caveat="The base model never saw an apple."))
    assert "The base model never saw an apple." in lead(held)


def test_detectors_that_learned_nothing_have_no_verdict() -> None:
    assert "**No detector learned much here**: with all real images the highest AP is 0.010" in lead(thrice(three(0.01, 0.0, 0.0)))
    values = three(0.52, 0.28, 0.31) | {("real", "detr"): [0.01], ("references", "detr"): [0.0], ("gan x teacher", "detr"): [0.0]}
    told = lead(thrice(values))
    assert "`detr` learned next to nothing from the real images, and is left out of this." in told
    assert "for yolo, every set of generated images alone is more than 0.05 AP worse" in told
    assert "nothing learned" in told


def test_the_first_lines_say_what_the_test_images_are() -> None:
    values = three(0.52, 0.28, 0.31)
    first = render(results(values), "toy.json").splitlines()[:3]
    assert first[0] == "# Toys"
    assert first[2].startswith("> **The test images (80 apple images) are rendered, not photographs.**")
    photographs = render(results(values, rendered=False), "toy.json")
    assert photographs.splitlines()[2] == "> The test images (80 apple images) are photographs."
    assert "replace the 160 real photographs" in photographs
    assert "rendered" not in photographs


def test_scores_that_others_published_are_shown_beside() -> None:
    from synthbench.results.model import Published

    measured = results(three(0.52, 0.28, 0.31))
    assert "Published by others" not in render(measured, "toy.json")
    assert measured.data is not None
    score = Published(method="Mask R-CNN | big", source="its authors", AP=0.433, AP50=0.763)
    told = render(structs.replace(measured, data=structs.replace(measured.data, published=[score])), "toy.json")
    assert "Published by others on the same test images" in told
    assert re.search(r"\| Mask R-CNN \\\| big \| +0\.433 \| +0\.763 \| +\N{EN DASH} \| +its authors \|", told)


def test_the_whole_report() -> None:
    pictures = {"samples": {"file": "toy/samples.jpg"}, "predictions": {"file": "toy/predictions.jpg", "threshold": 0.5}}
    told = render(results(three(0.52, 0.28, 0.31), pictures=pictures), "toy.json")
    assert "| `gan x teacher`  |  0.310 |" in told
    assert re.search(r"AP50, trained on(.|\n)*`gan x teacher` +\| +0\.410 \|", told)
    assert "0.09 to 0.12 AP" in told
    assert "arXiv 2306.09762" in told
    assert "](toy/samples.jpg)" in told
    assert "a score of at least 0.5" in told
    assert "matrix.png" not in told
    assert "| `teacher`   | \N{EN DASH}              |       0.750 |        \N{EN DASH} |" in told
    assert "Not evaluated: `native`" in told
    assert "- train 1 and 1 more: warm" in told
    assert "synthbench 0.1.0 (commit `abc123`, with changes that are in no commit), Python 3.11, torch 2.15.0." in told
    assert "| `gan`     | `prompt` | `'a \\| b'` |" in told
    assert "took 61 min 40 s" in told
    assert "```sh\nsynthbench run suites/toy.toml\n```" in told
    assert "None" not in told
    assert "nan" not in told


def test_it_is_rendered_from_the_json_alone_and_the_same_each_time(tmp_path: Path) -> None:
    file = tmp_path / "toy.json"
    write_results(file, results(three(0.52, 0.28, 0.31)))
    written = render_file(file)
    assert written == tmp_path / "toy.md"
    first = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*.*"))}
    assert sorted(path.name for path in first) == ["costs.png", "differences.png", "matrix.png", "toy.json", "toy.md"]
    render_file(file)
    assert {path: path.read_bytes() for path in sorted(tmp_path.rglob("*.*"))} == first


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"schema": 0}', '{"schema": 1}', '{"schema": 2}', '{"schema": 3, "suite": 3}', '{"schema": 4}']
)
def test_a_file_that_holds_no_results(tmp_path: Path, content: str) -> None:
    file = tmp_path / "toy.json"
    file.write_text(content)
    with pytest.raises(SynthbenchError, match=r"toy\.json: no"):
        render_file(file)


def pictures(folder: Path, count: int) -> list[Picture]:
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        write_image(folder / f"{number}.png", rng.integers(0, 255, (40, 60, 3), dtype=np.uint8))
        found.append(Picture(folder / f"{number}.png", 60, 40, Boxes.of([[2, 3, 20, 12]])))
    return found


def test_pictures_are_drawn_from_files_alone_and_the_same_each_time(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "toy"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("stays")
    rows = [TileRow("references", pictures(tmp_path, 6), machine=False), TileRow("gan x teacher", pictures(tmp_path, 2), machine=True)]
    path = folder.with_suffix(".json")
    write_report(results(three(0.5, None, 0.3)), path, lambda: Gallery(samples=rows, predictions=rows[:1], opposed=rows[1:]))
    assert {name: facts["file"] for name, facts in read_results(path).pictures.items()} == {
        "samples": "toy/samples.jpg",
        "predictions": "toy/predictions.jpg",
        "opposed": "toy/opposed.jpg",
        "matrix": "toy/matrix.png",
        "differences": "toy/differences.png",
        "costs": "toy/costs.png",
    }
    sizes = {each.name: each.stat().st_size for each in folder.iterdir()}
    assert sizes.pop("mine.txt") == 5
    assert sum(sizes.values()) < 600_000
    with Image.open(folder / "samples.jpg") as sheet:
        assert sheet.height > 2 * 100  # references and one generated training set
        assert (np.abs(np.asarray(sheet, int) - TRUE).sum(2) < 90).any(), "true boxes are cyan"
        assert (np.abs(np.asarray(sheet, int) - MACHINE).sum(2) < 90).any(), "a model's are yellow"
    before = {each: each.read_bytes() for each in (*folder.iterdir(), path, path.with_suffix(".md"))}
    for each in (folder / "samples.jpg", folder / "predictions.jpg", folder / "matrix.png", path.with_suffix(".md")):
        each.unlink()
    render_file(path)
    assert before == {each: each.read_bytes() for each in before}


def test_pictures_of_a_run_of_which_little_is_there(tmp_path: Path) -> None:
    path = tmp_path / "toy.json"
    write_report(results(three(None, None, None)), path, lambda: Gallery(samples=[TileRow("gan", pictures(tmp_path, 1), machine=True)]))
    assert list(read_results(path).pictures) == ["samples"]


def test_no_figure_is_lost_if_the_images_cannot_be_read(tmp_path: Path) -> None:
    def gather() -> Any:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        write_report(results(three(0.5, 0.2, 0.3)), tmp_path / "toy.json", gather)
    assert read_results(tmp_path / "toy.json").cells[0].metrics["AP"] == 0.5


def test_rivals_are_no_generative_models_and_are_compared_with_them() -> None:
    values = three(0.52, 0.28, 0.31) | {("paste x native", "yolo"): [0.5], ("real", "detr"): [0.6], ("gan x teacher", "detr"): [0.4]}
    values |= {("paste x native", "detr"): [0.3]}
    held = thrice(values, {"name": "paste x native", "kind": "generated", "generator": "paste", "annotator": "native", "images": 96})
    told = render(held, "toy.json")
    assert "**Generated images do not replace the 160 real images**" in told, "whatever rivals do"
    section = told.split("## Does something simpler do as well?")[1].split("\n## ")[0]
    assert (
        "**`paste x native` with yolo does better than the best generative model**; the best generative model does better than" in section
    )
    assert re.search(r"\| `paste x native` +\| yolo +\| 0\.500 \[.*\| +`gan x teacher` \| +.0\.190 \[.0\.210, .0\.170\] \|", section)
    assert "Does something simpler" not in render(thrice(three(0.52, 0.28, 0.31)), "toy.json")


@pytest.mark.parametrize(("rival_ap", "rival"), [(0.5, "paste x native"), (0.3, "")])
def test_an_export_says_if_a_rival_did_better_than_the_set_that_it_takes(rival_ap: float, rival: str) -> None:
    values = three(0.52, 0.28, 0.31) | {("paste x native", "yolo"): [rival_ap]}
    chosen = best_set(thrice(values, {"name": "paste x native", "kind": "generated", "generator": "paste", "annotator": "native"}))
    assert chosen
    assert chosen.cell.training_set == "gan x teacher"
    assert chosen.rival == rival
    assert chosen.why == f"as the {'set of a generative model' if rival else 'generated set'} with the highest AP"


def test_fewer_generated_images_are_a_curve_and_no_candidates(tmp_path: Path) -> None:
    values = three(0.52, 0.28, 0.31) | {("few", "yolo"): [0.5], ("40 real", "yolo"): [0.4]}
    part = {"name": "few", "kind": "part", "generator": "gan", "annotator": "teacher", "images": 24, "whole": "gan x teacher"}
    held = thrice(values, part, {"name": "40 real", "kind": "subset", "images": 40})
    told = render(held, "toy.json")
    assert "**Generated images do not replace the 160 real images**" in told, "though a part does, by luck"
    assert "`few`" not in told.split("The verdict on every generated training set")[1].split("</details>")[0]
    curve = told.split("AP by the number of generated images")[1].split("</details>")[0]
    assert re.findall(r"\| `gan x teacher` \| +(\d+) \| (0\.\d+) ", curve) == [("24", "0.500"), ("96", "0.310")]
    assert "`gan x teacher` with the first 24 generated images" in told
    assert {"worth", "differences"} <= {*draw_pictures(held, tmp_path)}


def test_the_best_generated_set_is_chosen_on_held_out_images() -> None:
    values = three(0.52, 0.28, 0.31) | {("gan x native", "yolo"): [0.30]}
    held = thrice(values, {"name": "gan x native", "kind": "generated", "generator": "gan", "annotator": "native", "images": 96})
    assert re.search(r"\| yolo +\|.*\| `gan x teacher` \(96 images\) +\|", lead(held))
    assert "flatters" in lead(held)
    aps = {"gan x teacher": 0.2, "gan x native": 0.25}
    cells = [msgspec.structs.replace(cell, held_out_ap=aps.get(cell.training_set)) for cell in held.cells]
    held = msgspec.structs.replace(held, cells=cells, suite=msgspec.structs.replace(held.suite, holdout=20))
    assert re.search(r"\| yolo +\|.*\| `gan x native` \(96 images\) +\|", lead(held))
    assert "chosen by the AP on held-out real images (20)" in lead(held)
    assert "the 140 real images" in lead(held), "those that are left"


def test_a_set_without_a_score_is_not_called_worse() -> None:
    values = three(0.52, 0.28, 0.31) | {("gan x native", "yolo"): [None]}
    held = thrice(values, {"name": "gan x native", "kind": "generated", "generator": "gan", "annotator": "native", "images": 96})
    assert "every set of generated images alone that has a score is more than 0.05 AP worse" in lead(held)


def test_what_stayed_the_same_in_all_replicates_is_told() -> None:
    held = thrice(three(0.52, 0.28, 0.31))
    seeds = msgspec.structs.replace(held.suite.seeds, references=(0,))
    told = lead(msgspec.structs.replace(held, suite=msgspec.structs.replace(held.suite, seeds=seeds)))
    assert "differ in the seeds of the generators and the seeds of the detectors (the references stayed the same in all" in told


def test_a_choice_on_test_images_is_told_if_one_set_has_no_held_out_score() -> None:
    values = three(0.52, 0.28, 0.31) | {("gan x native", "yolo"): [0.30]}
    held = thrice(values, {"name": "gan x native", "kind": "generated", "generator": "gan", "annotator": "native", "images": 96})
    cells = [msgspec.structs.replace(cell, held_out_ap=0.2 if cell.training_set == "gan x teacher" else None) for cell in held.cells]
    held = msgspec.structs.replace(held, cells=cells, suite=msgspec.structs.replace(held.suite, holdout=20))
    assert "flatters" in lead(held)
    assert "held-out real images (20)" not in lead(held)


def test_a_detector_without_held_out_scores_is_told() -> None:
    held = thrice(three(0.52, 0.28, 0.31) | {("real", "detr"): [0.6], ("gan x teacher", "detr"): [0.4]})
    cells = [msgspec.structs.replace(cell, held_out_ap=0.2 if cell.detector == "yolo" else None) for cell in held.cells]
    held = msgspec.structs.replace(held, cells=cells, suite=msgspec.structs.replace(held.suite, holdout=20))
    assert "For detr a score on them is missing, so it was chosen on the test images." in lead(held)


def test_what_cost_the_ap_is_split_into_boxes_and_images() -> None:
    values = three(0.52, 0.28, 0.31) | {("real x teacher", "yolo"): [0.45]}
    held = thrice(values, {"name": "real x teacher", "kind": "labelled", "annotator": "teacher"})
    section = render(held, "toy.json").split("## What cost the AP?")[1].split("\n## ")[0]
    assert re.search(r"\| yolo +\| `gan x teacher` \| +.0\.070 \[.*\| +.0\.140 \[.*\| +.0\.210 \[", section)
    assert "TIDE" not in section, "no errors are known"


def test_errors_are_shown_by_their_kinds() -> None:
    held = results(three(0.52, 0.28, 0.31))
    cells = [msgspec.structs.replace(cell, metrics=cell.metrics | {"error_place": 0.125, "error_missed": 0.25}) for cell in held.cells]
    section = render(msgspec.structs.replace(held, cells=cells), "toy.json").split("## What cost the AP?")[1].split("\n## ")[0]
    assert re.search(r"\| yolo +\| `gan x teacher` +\|.*\| +0\.125 \|.*\| +0\.250 \|", section)


def trained(held: Results, steps: Sequence[int], loss: Sequence[tuple[int, float]] = ()) -> Results:
    """The same results with these optimizer steps, cell by cell, and this learning curve in all."""
    training = [
        msgspec.structs.replace(cell.training, metrics={"toy": {"steps": count}}, curves={"loss": list(loss)})
        for cell, count in zip(held.cells, steps, strict=True)
        if cell.training
    ]
    cells = [msgspec.structs.replace(cell, training=each) for cell, each in zip(held.cells, training, strict=True)]
    return msgspec.structs.replace(held, cells=cells)


def test_whether_trainings_are_equal_and_long_enough_is_told() -> None:
    held = results(three(0.52, 0.28, 0.31))
    falling = [(number, 10.0 - number) for number in range(10)]
    flat = [(number, max(1.0, 10.0 - 4 * number)) for number in range(10)]
    assert "takes the same number of optimizer steps: yolo 100." in render(trained(held, [100] * 3), "toy.json")
    assert "**Trainings differ in their steps**" in render(trained(held, [100, 80, 100]), "toy.json")
    assert "yolo from 80 to 100." in render(trained(held, [100, 80, 100]), "toy.json")
    assert "still falling at the end of yolo (3 of 3)." in render(trained(held, [100] * 3, falling), "toy.json")
    assert "still falling" not in render(trained(held, [100] * 3, flat), "toy.json")
