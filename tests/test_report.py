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
from synthbench.metrics import Matches, match
from synthbench.reporting import render_file, write_report
from synthbench.reporting.fairness import explained
from synthbench.reporting.markdown import render
from synthbench.reporting.pictures import MACHINE, TRUE, draw_pictures
from synthbench.reporting.scores import Scores
from synthbench.reporting.tiles import Gallery, TileRow
from synthbench.reporting.verdicts import in_real_images, worth_of
from synthbench.results.ap_table import Scored, Table
from synthbench.results.claims import Deviations, Difference, Equivalent, Evidence, Figure, Level, Settling, Verdict, Word
from synthbench.results.files import read_results, write_results
from synthbench.results.model import Comparison, Correlation, Draw, Results, Similarity, SplitCheck
from synthbench.results.prove import prove
from synthbench.similarity.boxes import box_distances
from synthbench.similarity.distances import image_distances

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
            0.48,
            "**Whether generated images replace the 160 real images is not settled** for yolo: if means and spread stay as they are, it "
            "takes about 7 more replicates for `yolo` (then *replaces*) to settle the best set.",
        ),
    ],
)
def test_the_answer_for_one_detector(generated: float, said: str) -> None:
    told = lead(thrice(three(0.52, 0.28, generated)))
    assert said in told
    assert "with an error rate of 5 % over all 1 combinations" in told
    assert "over 3 replicates, which differ in the references, the seeds of the generators and the seeds of the detectors" in told
    assert "and over 80 test images" in told


@pytest.mark.parametrize(("generated", "word"), [(0.48, "replaces"), (0.46, "does not")])
def test_what_an_open_verdict_would_be_settled_as_is_said(generated: float, word: str) -> None:
    other: Values = {("real", "detr"): [0.6], ("references", "detr"): [0.5], ("gan x teacher", "detr"): [0.55]}
    told = lead(thrice(three(0.52, 0.28, generated) | other))
    assert "is not settled** for any of the 2 detectors" in told
    assert f"7 more replicates for `yolo` (then *{word}*)" in told
    assert re.search(rf"\| yolo .*\| not settled \| +7 more replicates \(then \*{word}\*\) \|", told)


def test_where_more_real_images_bring_nothing_the_answer_says_so() -> None:
    told = lead(thrice(three(0.52, 0.51, 0.47)))
    assert "**The 20 references alone cannot be told from the 160 real images** for `yolo` (\N{MINUS SIGN}0.010 [" in told
    assert "0.030, +0.010]), in brackets their AP minus that of real." in told
    assert "generated ones have little to stand in for" in told
    assert "did as well as" not in lead(thrice(three(0.52, 0.28, 0.47)))


def test_what_an_image_is_worth_is_not_told_where_the_curve_is_flat() -> None:
    def shown(references: float, high: float, generated: float = 0.47) -> str:
        held = thrice(three(0.52, references, generated))
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
    assert shown(0.51, 20.0) == "fewer than 20", "it is below the references all the same"
    assert shown(0.51, 20.0, generated=0.50) == "not told", "another table says that it cannot be told from the references"


@pytest.mark.parametrize(
    ("position", "images", "low", "high", "said"),
    [
        ("fewer", None, None, 20.0, "fewer than 20"),
        ("fewer", None, None, 20.4, "at most 20"),
        ("within", 20.2, None, 20.4, "at most 20"),
        ("fewer", None, None, 23.2, "fewer than 20 [under 20, 23]"),
        ("fewer", None, None, None, "fewer than 20 [under 20, over 160]"),
        ("within", 34.0, 22.0, 51.0, "34 [22, 51]"),
        ("more", None, 150.0, None, "more than all 160 [150, over 160]"),
        ("more", None, 159.7, None, "at least 160"),
        ("more", None, 160.0, None, "more than all 160"),
    ],
)
def test_an_interval_at_one_end_of_the_curve_is_told_as_that_side_alone(
    position: Any, images: float | None, low: float | None, high: float | None, said: str
) -> None:
    worth = Equivalent(
        training_set="gan x teacher",
        detector="yolo",
        position=position,
        images=images,
        low=low,
        high=high,
        bounded=True,
        smallest=20,
        largest=160,
    )
    assert worth_of(worth) == said
    alone = structs.replace(worth, low=None, high=None, bounded=False)
    assert worth_of(alone).endswith(", interval unknown"), "told apart from what all of an interval says"


def test_detectors_that_disagree_are_all_named() -> None:
    values = three(0.52, 0.28, 0.31) | {("real", "detr"): [0.6], ("references", "detr"): [0.59], ("gan x teacher", "detr"): [0.6]}
    told = lead(thrice(values))
    assert "depends on the detector**: they do for `detr` and they do not for `yolo`; at most 0.05 AP worse counts as replacing." in told
    assert "Compared with the 20 references alone, the best generated set is better for `yolo` and" in told
    assert "not distinguishable for `detr`." in told
    assert re.search(r"\| yolo +\| +0\.520 \[0\.500, 0\.540\] \| `gan x teacher` \(96 images\) +\| +.0\.210 \[.0\.230, .0\.190\] \|", told)
    assert "does not" in told


def test_an_answer_for_some_of_the_detectors_is_one_in_part() -> None:
    values = three(0.52, 0.28, 0.31) | {("real", "detr"): [0.6], ("references", "detr"): [0.5], ("gan x teacher", "detr"): [0.55]}
    told = lead(thrice(values))
    assert "is settled in part**: they do not for `yolo` and it is not settled for `detr`; at most 0.05 AP worse counts" in told


def test_where_generated_images_replace_real_ones_and_the_references_alone_do_better_one_sentence_says_both() -> None:
    told = lead(thrice(three(0.52, 0.54, 0.50)))
    assert "a generated training set is at most 0.05 AP worse (though the 20 references alone do better)." in told
    detr: Values = {("real", "detr"): [0.6], ("references", "detr"): [0.59], ("gan x teacher", "detr"): [0.6]}
    told = lead(thrice(three(0.52, 0.54, 0.50) | detr))
    assert "at most 0.05 AP worse (though the 20 references alone do better for `yolo`)." in told
    told = lead(thrice(three(0.52, 0.54, 0.50) | detr | {("gan x teacher", "detr"): [0.5]}))
    assert "they do for `yolo` (though the 20 references alone do better) and they do not for `detr`" in told
    assert "(though" not in lead(thrice(three(0.52, 0.51, 0.50))), "it cannot be told"


def test_what_generated_images_add_to_the_references_is_said() -> None:
    told = lead(thrice(three(0.52, 0.28, 0.31) | {("both", "yolo"): [0.33]}))
    assert re.search(
        r"Added to the references, `gan x teacher` changes their AP by \+0\.050 \[\+0\.0\d\d, \+0\.0\d\d\] with `yolo`\.", told
    )
    assert "Added to" not in lead(results(three(0.52, 0.28, 0.31) | {("both", "yolo"): [0.33]})), "one replicate settles nothing"


@pytest.mark.parametrize(
    ("generated", "both", "said"),
    [
        (
            0.20,
            0.29,
            "train on them as they are, since nothing that is made from them is shown to be better. `both` cannot be told from them.",
        ),
        (0.20, 0.31, "with `yolo`, train on `both` (AP +0.030 [+0.010, +0.050])."),
        (0.32, 0.31, "train on `gan x teacher` (AP +0.040 [+0.020, +0.060]) or `both` (AP +0.030 [+0.010, +0.050])."),
        (0.20, 0.20, "is shown to be better. More"),
    ],
)
def test_who_has_the_references_alone_is_told_what_the_intervals_settle(generated: float, both: float, said: str) -> None:
    values = three(0.52, 0.28, generated) | {("both", "yolo"): [both]}
    told = lead(thrice(values))
    advice = told.split("**What to do with the 20 references and nothing else**: ")[1].split("\n")[0]
    assert said in advice
    assert advice.endswith("More real images are better with `yolo` (`real`: AP +0.240 [+0.220, +0.260]).")
    table = told.split("Every training set against the 20 references alone")[1].split("</details>")[0]
    words = {
        generated: "worse" if generated < 0.28 else "better",
        both: "worse" if both < 0.26 else "better" if both > 0.3 else "cannot be told",
    }
    for row, ap in (("gan x teacher", generated), ("both", both)):
        assert re.search(rf"\| `{row}` +\| yolo +\| +20 \| +\S+ \[\S+, \S+\] \| +{words[ap]} \|", table)
    assert "`references` " not in table, "they are the base"
    assert "of these 3\ncomparisons" in table, "that some are settled by luck alone is said"


def test_what_needs_no_generative_model_is_marked_in_the_advice_and_other_detectors_are_told_apart() -> None:
    values = three(0.52, 0.28, 0.20) | {("paste x native", "yolo"): [0.4], ("real", "detr"): [0.6], ("references", "detr"): [0.59]}
    values |= {("gan x teacher", "detr"): [0.5], ("paste x native", "detr"): [0.59]}
    told = lead(thrice(values, {"name": "paste x native", "kind": "generated", "generator": "paste", "annotator": "native", "images": 96}))
    assert (
        "with `yolo`, train on `paste x native` (AP +0.120 [+0.100, +0.140], without a generative model); with `detr`, train on them"
        in told
    )


def test_a_mix_with_more_real_images_is_no_advice_for_who_has_the_references_alone() -> None:
    values = three(0.52, 0.28, 0.20) | {("all", "yolo"): [0.6]}
    told = lead(thrice(values, {"name": "all", "kind": "mix", "parts": ["real", "gan x teacher"]}))
    assert "nothing that is made from them is shown to be better" in told
    assert re.search(r"\| `all` +\| yolo .*\| +better \|", told), "the table has it"


def test_nothing_is_advised_from_one_replicate_or_without_references() -> None:
    assert "What to do" not in lead(results(three(0.52, 0.28, 0.52)))
    assert "against the 20 references" not in lead(results(three(0.52, 0.28, 0.52)))
    assert "What to do" not in lead(thrice({("real", "yolo"): [0.52], ("gan x teacher", "yolo"): [0.3]}))


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


def test_nothing_generated_shows_how_far_the_references_fall_behind(tmp_path: Path) -> None:
    held = thrice({("real", "yolo"): [0.5], ("references", "yolo"): [0.2]})
    drawn = draw_pictures(held, tmp_path)
    told = render(structs.replace(held, pictures=drawn), "toy.json")
    assert told.count("How far each training set is from the real images, in AP, by detector (dashed: the margin of 0.05; lines:") == 2
    assert f"]({drawn['differences']['file']})" in told


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


def test_that_the_seed_moves_some_detectors_more_than_others_is_told() -> None:
    values = {pair: found * 3 for pair, found in three(0.52, 0.28, 0.31).items()}
    one = structs.replace(claimed(values), variance=Deviations(detector=0.03, references=0.0, generator=None, test_images=0.01))
    told = lead(results(values, evidence=msgspec.to_builtins(one)))
    assert "the detector's seed by 0.030, the choice of references by too little to be told and the choice of test images by 0.010." in told
    values |= {("real", "detr"): [0.4, 0.5, 0.6]}
    two = structs.replace(claimed(values), variance=one.variance)
    told = lead(results(values, evidence=msgspec.to_builtins(two)))
    assert "all detectors together; the AP with `real` moves between replicates by too little to be told with `yolo` and by 0.100" in told


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
    assert held.evidence is not None
    apart = Verdict(training_set="paste x native", detector="yolo", word="replaces", level=0.05, settling=None)
    held = structs.replace(held, evidence=structs.replace(held.evidence, verdicts=[*held.evidence.verdicts, apart]))
    told = render(held, "toy.json")
    assert "over all 2 combinations together, 1 without a generative model apart (Holm's correction)" in told
    assert "**Generated images do not replace the 160 real images**" in told, "whatever rivals do"
    assert "**Made without a generative model, `paste x native` replaces them** for `yolo`." in told
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


def test_charts_say_what_their_marks_mean_legibly_on_a_telephone_and_without_colours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}

    def save(figure: Any, axes: Any, path: Path) -> str:
        drawn[path.stem] = figure
        return f"{path.parent.name}/{path.name}"

    monkeypatch.setattr("synthbench.reporting.charts.save", save)
    values = three(0.52, 0.28, 0.31) | {("few", "yolo"): [0.5], ("40 real", "yolo"): [0.4], ("both", "yolo"): [0.4]}
    part = {"name": "few", "kind": "part", "generator": "gan", "annotator": "teacher", "images": 24, "whole": "gan x teacher"}
    draw_pictures(thrice(values, part, {"name": "40 real", "kind": "subset", "images": 40}), tmp_path)
    said = {
        "worth": {"real images", "best generated set", "fewer of its images"},
        "differences": {"generated images alone", "real images, or with them", "all real images", "margin of 0.05"},
    }
    for name, labels in said.items():
        figure = drawn[name]
        (legend,) = figure.legends
        assert {text.get_text() for text in legend.get_texts()} == labels
        pixels = [text.get_fontsize() / 72 * 360 / figure.get_figwidth() for text in legend.get_texts()]
        assert min(pixels) > 8, "at 360 pixels"
        looks = [(line.get_marker(), line.get_linestyle(), line.get_markerfacecolor() == "white") for line in legend.get_lines()]
        assert len({*looks}) == len(labels), "told apart without colours"
    marks = {line.get_marker() for line in drawn["differences"].axes[0].get_lines() if len(line.get_xdata()) == 1}
    assert marks == {"o", "s"}, "those of the legend"
    assert [tick.get_text() for tick in drawn["worth"].axes[0].get_xticklabels()] == ["20", "24", "40", "96", "160"]


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


def cost_of(labelled: float, generated: float, *more: dict[str, Any], reach: float = 0.02, **extra: float) -> str:
    """The section of a report with AP 0.52 on real images; `extra`: the AP of training sets in `more`."""
    values: Values = three(0.52, 0.28, generated) | {("real x teacher", "yolo"): [labelled]}
    values |= {(name, "yolo"): [ap] for name, ap in extra.items()}
    repeated: Values = {pair: found * 3 for pair, found in values.items()}
    sets = [{"name": "real x teacher", "kind": "labelled", "annotator": "teacher"}, *more]
    held = results(repeated, sets, evidence=msgspec.to_builtins(claimed(repeated, reach)))
    return render(counted(held, {"real": 160, "real x teacher": 160, "gan x teacher": 96, "96 real": 96}), "toy.json")


def counted(held: Results, images: dict[str, int]) -> Results:
    """The same results with these numbers of images that detectors were trained on."""
    cells = [
        structs.replace(cell, training=structs.replace(cell.training, images=images.get(cell.training_set, 20))) if cell.training else cell
        for cell in held.cells
    ]
    return structs.replace(held, cells=cells)


def test_what_cost_the_ap_is_split_into_boxes_and_images() -> None:
    section = cost_of(0.45, 0.31).split("## What cost the AP?")[1].split("\n## ")[0]
    assert re.search(r"\| yolo +\| `gan x teacher` \(96 images\) \| +.0\.070 \[.*\| +.0\.140 \[.*\| +.0\.210 \[", section)
    assert "TIDE" not in section, "no errors are known"


@pytest.mark.parametrize(
    ("labelled", "generated", "said"),
    [
        (0.45, 0.31, "With `yolo` and `gan x teacher` **the images cost most** (\N{MINUS SIGN}0.140 ["),
        (0.35, 0.31, "With `yolo` and `gan x teacher` **the boxes cost most** (\N{MINUS SIGN}0.170 ["),
        (0.45, 0.37, "\N{MINUS SIGN}0.050]) cost AP, but which cost more is not settled."),
        (0.51, 0.48, "With `yolo` and `gan x teacher` the images cost AP (\N{MINUS SIGN}0.030 ["),
        (0.48, 0.47, "\N{MINUS SIGN}0.020]), but whether more than the images is not settled."),
        (0.51, 0.50, "With `yolo` and `gan x teacher` it is not settled that either cost any."),
    ],
)
def test_what_cost_most_is_said_as_far_as_the_intervals_settle_it(labelled: float, generated: float, said: str) -> None:
    assert said in cost_of(labelled, generated)


def test_training_sets_of_other_numbers_of_images_are_told_beside_what_the_number_alone_changes() -> None:
    said = "Generated sets of 96 images are compared with `real x teacher` (160 images)"
    told = cost_of(0.45, 0.31)
    assert said in told
    assert "how much is not known" in told
    like = {"name": "96 real", "kind": "subset", "images": 96}
    told = cost_of(0.45, 0.31, like, **{"96 real": 0.49})
    assert said in told
    assert re.search(r"\| +both \| +AP change by the number alone \|", told)
    assert re.search(r"\| `gan x teacher` \(96 images\) \|.*\| +.0\.030 \[.0\.050, .0\.010\] \|", told)


def test_real_images_with_automatic_boxes_are_said_to_lack_those_held_out() -> None:
    labelled = {"name": "real x teacher", "kind": "labelled", "annotator": "teacher"}
    held = results(three(0.52, 0.28, 0.31) | {("real x teacher", "yolo"): [0.45]}, [labelled])
    assert "all real training images, boxes by `teacher`" in render(held, "toy.json")
    held = structs.replace(held, suite=structs.replace(held.suite, holdout=20))
    assert "all real training images but 20 held-out ones, boxes by `teacher`" in render(held, "toy.json")


def test_one_replicate_does_not_settle_what_cost_most() -> None:
    values = three(0.52, 0.28, 0.31) | {("real x teacher", "yolo"): [0.45]}
    told = render(results(values, [{"name": "real x teacher", "kind": "labelled", "annotator": "teacher"}]), "toy.json")
    assert "Without intervals it is not settled what cost most." in told
    assert "cost most**" not in told


def test_two_training_sets_have_one_interval_whichever_of_them_is_the_base() -> None:
    rng = np.random.default_rng(0)
    aps = {"real": 0.5, "references": 0.4, "real x teacher": 0.45, "gan x teacher": 0.35, "paste x native": 0.42}
    values: Values = {(row, "yolo"): [ap + float(rng.normal(0, 0.02)) for _ in range(3)] for row, ap in aps.items()}
    labelled = {"name": "real x teacher", "kind": "labelled", "annotator": "teacher"}
    rival = {"name": "paste x native", "kind": "generated", "generator": "paste", "annotator": "native", "images": 96}
    held = results(values, [labelled, rival])
    cells = [structs.replace(cell, keys=structs.replace(cell.keys, score=str(number))) for number, cell in enumerate(held.cells)]
    matches = {cell.keys.score: one_match(rng) for cell in cells}
    found = prove(cells, held.training_sets, held.suite, held.data, Scored(matches, 1))
    bases = {each.base for each in found.differences}
    assert bases == {"real", "references", "real x teacher", "paste x native"}
    pairs = [(row, base) for row in bases for base in bases if row != base]
    for row, base in pairs:
        one, other = found.difference(row, "yolo", base), found.difference(base, "yolo", row)
        assert one is not None
        assert other is not None
        assert None not in (one.low, one.high, one.lower, other.low, other.high, other.upper)
        assert (one.mean, one.low, one.high, one.lower) == tuple(-each for each in (other.mean, other.high, other.low, other.upper))  # type: ignore[operator]
        assert one.error == other.error
    table = Table(cells, [each.name for each in held.training_sets], Scored(matches, 1), Scored(matches, 1).weights())
    for row, estimate in zip(table.rows, table.differences("real"), strict=True):
        figure = found.difference(row, "yolo", "real")
        assert row == "real" or (figure is not None and (figure.low, figure.high) == estimate.interval), (
            "pooled over the differences to real"
        )


def one_match(rng: np.random.Generator) -> Matches:
    """The matches of a detector that finds each of 30 objects, one an image, more or less well."""
    boxes = [Boxes.of([[10, 10, 40, 40]]) for _ in range(30)]
    found = [Boxes.of([[10, 10, 40 - float(rng.uniform(0, 14)), 40]], scores=[float(rng.random())]) for _ in range(30)]
    return match(boxes, found)


def test_errors_are_shown_by_their_kinds() -> None:
    held = results(three(0.52, 0.28, 0.31))
    cells = [msgspec.structs.replace(cell, metrics=cell.metrics | {"error_place": 0.125, "error_missed": 0.25}) for cell in held.cells]
    section = render(msgspec.structs.replace(held, cells=cells), "toy.json").split("## What cost the AP?")[1].split("\n## ")[0]
    assert re.search(r"\| yolo +\| `gan x teacher` \(20 images\) +\|.*\| +0\.125 \|.*\| +0\.250 \|", section)


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
    assert "not which is best" not in render(held, "toy.json"), "there is one detector"
    assert "not which is best." in render(results(three(0.52, 0.28, 0.31) | {("real", "detr"): [0.6]}), "toy.json")
    assert "takes the same number of optimizer steps: yolo 100." in render(trained(held, [100] * 3), "toy.json")
    assert "**Trainings differ in their steps**" in render(trained(held, [100, 80, 100]), "toy.json")
    assert "yolo from 80 to 100." in render(trained(held, [100, 80, 100]), "toy.json")
    assert "still falling at the end of yolo (3 of 3)." in render(trained(held, [100] * 3, falling), "toy.json")
    assert "still falling" not in render(trained(held, [100] * 3, flat), "toy.json")
    short = lead(trained(held, [100] * 3, falling))
    assert "`yolo` was not trained to a plateau, so longer training may change what is said of it." in short
    assert "plateau" not in lead(trained(held, [100] * 3, flat))


def test_every_distance_is_explained() -> None:
    boxed = [Picture(Path("a.png"), 8, 8, Boxes.of([[0, 0, 4, 4]]))]
    features = np.random.default_rng(0).normal(size=(8, 3))
    names = [*box_distances(boxed, boxed), *(f"network: {name}" for name in image_distances(features, features))]
    told = "".join(explained(names))
    for name in names:
        assert f"`{name.removeprefix('network: ')}`" in told
    assert explained(["network: theirs"]) == []


def test_correlations_of_distances_with_ap_are_a_table() -> None:
    compared = Comparison(
        training_set="gan x teacher",
        generator="gan",
        annotator="teacher",
        draw=Draw(),
        references_key="",
        images_key="",
        nearest=[],
        distances={"box_size": 0.5, "colours: frechet": 2.0},
        images=96,
        pairs=0,
    )
    found = [
        Correlation(distance="box_size", detector="yolo", sets=6, value=-0.43),
        Correlation(distance="colours: frechet", detector="yolo", sets=6, value=0.02),
        Correlation(distance="box_size", detector="detr", sets=5, value=0.6),
        Correlation(distance="colours: frechet", detector="detr", sets=5, value=None),
    ]
    similarity = Similarity(splits=SplitCheck(allowed=False, train_images=8, test_images=8), generated=[compared], correlations=found)
    told = render(structs.replace(results(three(0.52, 0.28, 0.31)), similarity=similarity), "toy.json")
    assert "rank correlations of distances with AP, over 6 sets and draws." in told
    assert re.search(r"\| distance +\| +yolo \| +detr \|", told)
    assert re.search(r"\| box_size +\| +\N{MINUS SIGN}0\.43 \| +\+0\.60 \|", told)
    assert re.search(r"\| colours: frechet +\| +\+0\.02 \| +\N{EN DASH} \|", told)
    assert "What the distances are:\n\n- `box_size`: " in told
    assert "- `box_count`: " not in told, "it is not in the table"
    few = structs.replace(similarity, correlations=[structs.replace(each, sets=2, value=None) for each in found])
    told = render(structs.replace(results(three(0.52, 0.28, 0.31)), similarity=few), "toy.json")
    assert "cannot be said: too few sets." in told
    assert "rank correlations" not in told
