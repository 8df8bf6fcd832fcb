"""Plans: a key holds everything a result depends on, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from synthbench.errors import SuiteError
from synthbench.planning.making import make_plan
from synthbench.planning.plan import Plan
from synthbench.planning.stage import BoxesOf, HiddenBoxes, OwnBoxes, Stage, View, key_of
from synthbench.registry import Registry, installed
from synthbench.storage.local import LocalStore
from synthbench.suite.hub import fetch_commits
from synthbench.suite.reader import read_suite
from synthbench_fakes import SUITE

PlanOf = Callable[..., Plan]


def keys(plan: Plan) -> dict[str, str]:
    return {stage.label: stage.key for stage in plan.stages}


def changed(before: Plan, after: Plan) -> set[str]:
    """The labels of the stages whose keys differ."""
    return {label for label, key in keys(after).items() if keys(before).get(label) != key}


def stage(plan: Plan, label: str) -> Stage:
    return next(stage for stage in plan.stages if stage.label == label)


def test_each_stage_comes_after_those_it_needs_and_once(plan_of: PlanOf) -> None:
    plan = plan_of("seeds=[0, 1]")
    seen: set[str] = set()
    for each in plan.stages:
        assert {needed.key for needed in each.needs} <= seen, each.label
        assert each.key not in seen, each.label
        seen.add(each.key)


def test_there_is_a_cell_for_each_training_set_detector_and_seed(plan_of: PlanOf) -> None:
    plan = plan_of("seeds=[0, 1]")
    rows = ["real", "references", "paint x native", "paint x teacher", "references + painted"]
    assert [row.name for row in plan.suite.rows] == rows
    wanted = [(seed, row, detector) for seed in (0, 1) for row in rows for detector in ("threshold", "strict")]
    assert [(cell.replicate, cell.training_set.name, cell.detector) for cell in plan.cells] == wanted
    assert all(cell.seed == cell.replicate for cell in plan.cells)


def test_baselines_can_be_left_out(plan_of: PlanOf) -> None:
    assert "real" not in [row.name for row in plan_of('baselines=["references"]').suite.rows]


def test_a_training_set_can_be_left_out_and_still_be_part_of_a_mix(plan_of: PlanOf) -> None:
    rows = [row.name for row in plan_of().suite.rows]
    (left_out, *_) = [row for row in rows if " x " in row]
    plan = plan_of(f'leave_out=["{left_out}"]', f'mix=[{{name="both", parts=["references", "{left_out}"]}}]')
    names = [row.name for row in plan.suite.rows]
    assert left_out not in names
    assert {row for row in rows if "+" not in row} - {left_out} <= {*names}
    assert "both" in names
    with pytest.raises(SuiteError, match="leave_out: no training set 'nothing'"):
        plan_of('leave_out=["nothing"]')


def test_boxes_that_no_row_has_are_not_judged(plan_of: PlanOf) -> None:
    assert ("native", "paint") in {(each.annotator, each.generator) for each in plan_of().judged}
    judged = {(each.annotator, each.generator) for each in plan_of('leave_out=["paint x native"]', "mix=[]").judged}
    assert ("native", "paint") not in judged
    assert ("teacher", "") in judged


def test_the_same_suite_has_the_same_keys_wherever_the_store_lies(plan_of: PlanOf, tmp_path: Path) -> None:
    assert keys(plan_of()) == keys(plan_of(store=LocalStore(tmp_path / "other")))


def test_a_detectors_option_changes_that_detectors_stages_alone(plan_of: PlanOf) -> None:
    before = plan_of()
    strict = {stage.label for stage in before.stages if " strict on " in stage.label}
    assert strict
    assert changed(before, plan_of("detectors.strict.margin=9")) == strict


def test_a_late_option_of_a_detector_does_not_train_again(plan_of: PlanOf) -> None:
    before = plan_of()
    told = changed(before, plan_of("detectors.strict.score=0.5"))
    assert told == {stage.label for stage in before.stages if " strict on " in stage.label and stage.kind in ("predict", "score")}


def test_the_teachers_detector_moves_what_it_labels(plan_of: PlanOf) -> None:
    told = changed(plan_of(), plan_of("detectors.threshold.score=0.5"))
    assert {"annotate paint x teacher", "train strict on paint x teacher", "judge teacher"} <= told
    assert not told & {"sample paint", "train strict on paint x native", "train threshold on references"}


def test_the_teachers_model_is_that_of_the_references_cell(plan_of: PlanOf) -> None:
    plan = plan_of()
    cell = next(cell for cell in plan.cells if (cell.training_set.name, cell.detector) == ("references", "threshold"))
    boxes = stage(plan, "annotate paint x teacher").views["images"][0].boxes
    assert isinstance(boxes, BoxesOf)
    assert boxes.stage.reads["fitted"] is cell.train


@pytest.mark.parametrize("first", ["native", "teacher"])
def test_an_annotator_starts_from_the_boxes_of_another(first: str, plan_of: PlanOf) -> None:
    teacher = '{ use = "teacher", detector = "threshold" }'
    two = f'{{ use = "fake-shrink", annotator = "{first}", name = "once" }}, {{ use = "fake-shrink", annotator = "once", name = "twice" }}'
    plan = plan_of(f'annotators=[{{ use = "native" }}, {teacher}, {two}]')
    for where in ("paint", "test"):
        chain = []
        last = stage(plan, f"annotate {where} x twice")
        while isinstance(boxes := last.views["images"][0].boxes, BoxesOf) and boxes.stage.kind == "annotate":
            chain.append(boxes.stage.label)
            assert boxes.stage.views["images"][0].images is last.views["images"][0].images
            last = boxes.stage
        assert chain == [f"annotate {where} x once", f"annotate {where} x {first}"]
    judged = {(each.annotator, each.generator) for each in plan.judged}
    assert ("twice", "paint" if first == "native" else "") in judged, "the generator's boxes on the test images are where it starts"
    assert changed(plan, plan_of(f'annotators=[{{ use = "native" }}, {teacher}, {two}]', "annotators.once.by=2")) >= {
        "annotate paint x once",
        "annotate paint x twice",
    }


def test_more_images_do_not_fit_again(plan_of: PlanOf) -> None:
    told = changed(plan_of(), plan_of("images=8"))
    assert "sample paint" in told
    assert "fit paint" not in told
    assert "train strict on real" not in told


def test_a_late_option_of_a_generator_does_not_fit_again(plan_of: PlanOf) -> None:
    told = changed(plan_of(), plan_of("generators.paint.noise=10"))
    assert "sample paint" in told
    assert not told & {"fit paint", "load fake-squares"}


def test_the_order_of_seeds_changes_no_key(plan_of: PlanOf) -> None:
    assert {s.key for s in plan_of("seeds=[0, 1]").stages} == {s.key for s in plan_of("seeds=[1, 0]").stages}


def test_each_key_holds_the_seeds_it_depends_on_and_no_others(plan_of: PlanOf) -> None:
    def kinds(which: str) -> set[str]:
        before = plan_of(f"seeds={{ {which} = 0 }}")
        return {label.split()[0] for label in changed(before, plan_of(f"seeds={{ {which} = 1 }}"))}

    everything = {"select", "fit", "sample", "locate", "train", "predict", "annotate", "score", "judge", "compare"}
    assert kinds("references") == everything
    assert kinds("generators") == everything - {"select"}
    assert kinds("detectors") == {"train", "predict", "score"}
    before, after = (plan_of(f"seeds={{ references = {seed} }}") for seed in (0, 1))
    assert not {label for label in changed(before, after) if label.endswith(" on real")}


def test_every_random_choice_of_a_replicate_differs(plan_of: PlanOf) -> None:
    plan = plan_of("replicates=3")
    made: dict[tuple[str, str, str], set[str]] = {}
    for cell in plan.cells:
        for kind in ("train", "predict", "score"):
            made.setdefault((cell.training_set.name, cell.detector, kind), set()).add(getattr(cell, kind).key)
    assert {len(keys) for keys in made.values()} == {3}
    drawn = Counter(stage.kind for stage in plan.stages if "references" in stage.label or stage.kind in ("fit", "sample"))
    assert {kind: drawn[kind] for kind in ("select", "fit", "sample")} == {"select": 3, "fit": 3, "sample": 3}
    seeds = [(cell.draw.references, cell.draw.generator, cell.seed) for cell in plan.cells if cell.training_set.kind == "generated"]
    assert {*seeds} == {(0, 0, 0), (1, 1, 1), (2, 2, 2)}


def test_subsets_of_the_real_images_contain_the_references(plan_of: PlanOf) -> None:
    plan = plan_of("real_counts=[4, 5]", "references=4", "replicates=2")
    rows = [row.name for row in plan.suite.rows]
    assert rows[:4] == ["real", "references", "4 real", "5 real"]
    trained = {(cell.training_set.name, cell.replicate): cell.train.key for cell in plan.cells if cell.detector == "strict"}
    assert trained["4 real", 0] == trained["references", 0], "the same images, so the same training"
    assert len({trained["5 real", each] for each in (0, 1)} | {trained["4 real", each] for each in (0, 1)}) == 4
    selected = {stage.parameters["count"]: stage.parameters["seed"] for stage in plan.stages if stage.kind == "select"}
    assert selected[4] == selected[5], "one order of images, so the larger subset holds the smaller one"


def test_fewer_generated_images_are_the_first_of_one_sampling(plan_of: PlanOf) -> None:
    counts = '{ "paint x teacher" = [2], "references + painted" = [2, 3] }'
    plan = plan_of(f"generated_counts={counts}", "images=4", "replicates=2")
    parts = {row.name: row for row in plan.suite.rows if row.kind == "part"}
    assert [*parts] == ["paint x teacher, 2 generated", "references + painted, 2 generated", "references + painted, 3 generated"]
    assert len([stage for stage in plan.stages if stage.kind == "sample"]) == 2, "one of each replicate"
    cells = {(cell.training_set.name, cell.replicate): cell.train for cell in plan.cells if cell.detector == "strict"}
    (view,) = cells["paint x teacher, 2 generated", 0].views["data"]
    assert (view.first, view.images.count) == (2, 4)
    assert [view.first for view in cells["references + painted, 3 generated", 1].views["data"]] == [None, 3]
    assert cells["paint x teacher, 2 generated", 0].key != cells["paint x teacher, 2 generated", 1].key, "drawn anew"
    asked = plan_of("images=2")
    alone = next(cell for cell in asked.cells if (cell.training_set.name, cell.detector) == ("paint x teacher", "strict"))
    assert alone.train.key == cells["paint x teacher, 2 generated", 0].key, "what a suite with fewer images trains"


def test_held_out_images_score_the_generated_sets_and_nothing_else(plan_of: PlanOf) -> None:
    plain, plan = plan_of(), plan_of("holdout=2")
    scored = {cell.training_set.name for cell in plan.cells if cell.held_out}
    assert scored == {"paint x native", "paint x teacher"}
    assert not [cell for cell in plain.cells if cell.held_out]
    selected = {stage.parameters["split"]: stage.parameters for stage in plan.stages if stage.kind == "select"}
    assert {split: held.get("holdout") for split, held in selected.items()} == {"train": 2, "holdout": 2, "test": None}
    assert plan.data.key == plain.data.key
    assert not {cell.train.key for cell in plan.cells} & {cell.train.key for cell in plain.cells}, "the references are drawn from fewer"


def test_parts_of_what_is_not_generated_are_refused(plan_of: PlanOf) -> None:
    for counts, problem in (
        ("{ references = [2] }", "no training set 'references' with generated images"),
        ('{ "paint x teacher" = [4] }', "4 is not fewer than images = 4"),
        ('{ "paint x teacher" = [2, 2] }', "2 is there twice"),
        ('{ "real and labelled" = [2] }', "no training set 'real and labelled' with generated images"),
        ('{ "paint x native" = [2] }', "take it out of leave_out"),
    ):
        with pytest.raises(SuiteError, match=problem):
            plan_of(
                f"generated_counts={counts}",
                "images=4",
                'leave_out=["paint x native"]',
                'mix=[{ name = "real and labelled", parts = ["real", "real x teacher"] }]',
            )


def test_a_part_of_a_mix_counts_the_images_of_all_its_generators(plan_of: PlanOf) -> None:
    mix = 'mix=[{ name = "both", parts = ["references", "paint x native", "paint x teacher"] }]'
    rows = {row.name: row for row in plan_of(mix, "generated_counts={ both = [2] }", "images=4").suite.rows}
    assert {name: row.generated_images for name, row in rows.items() if name.startswith("both")} == {"both": 8, "both, 4 generated": 4}


def test_a_name_that_another_training_set_has_is_refused(plan_of: PlanOf) -> None:
    with pytest.raises(SuiteError, match=r"names\.real: 'references' is what another training set is called"):
        plan_of('names={ real = "references", references = "real" }')


def test_real_images_with_an_annotators_boxes_are_a_row(plan_of: PlanOf) -> None:
    plan = plan_of('baselines=["real", "references", "real x teacher"]')
    (cell,) = [cell for cell in plan.cells if cell.training_set.name == "real x teacher" and cell.detector == "strict"]
    (view,) = cell.train.views["data"]
    assert view.images.label == "select the real training images"
    assert isinstance(view.boxes, BoxesOf)
    assert view.boxes.stage.kind == "annotate"
    (shown,) = view.boxes.stage.views["images"]
    assert isinstance(shown.boxes, BoxesOf), "the detector's, never the truth"
    with pytest.raises(SuiteError, match="native takes over a generator's boxes"):
        plan_of('baselines=["real x native"]')


def test_what_has_one_seed_is_drawn_once(plan_of: PlanOf) -> None:
    plan = plan_of("seeds={ references = [0, 1, 2], generators = [3, 4, 5], detectors = [5] }")
    cells = Counter(cell.training_set.name for cell in plan.cells if cell.detector == "strict")
    assert set(cells.values()) == {3}, "a cell for each replicate"
    made = {
        row: len({cell.score.key for cell in plan.cells if cell.training_set.name == row and cell.detector == "strict"}) for row in cells
    }
    assert made == {"real": 1, "references": 3, "paint x native": 3, "paint x teacher": 3, "references + painted": 3}
    assert len({stage.label for stage in plan.stages if stage.kind in ("fit", "sample", "train")}) == len(
        [stage for stage in plan.stages if stage.kind in ("fit", "sample", "train")]
    ), "labels tell draws apart"


def test_no_plugin_is_given_the_data_with_the_true_boxes_of_the_test_images(plan_of: PlanOf) -> None:
    for each in plan_of("seeds=[0, 1]").stages:
        if each.entry is not None and each.kind != "data":
            assert all(needed.kind != "data" for needed in each.needs), each.label
            assert all(view.images.kind in ("select", "sample") for views in each.views.values() for view in views)
    assert all(
        isinstance(view.boxes, HiddenBoxes | BoxesOf)
        for each in plan_of().stages
        for views in each.views.values()
        for view in views
        if view.images.label == "select the test images"
    )


def test_the_first_images_are_the_same_in_a_longer_sampling(plan_of: PlanOf) -> None:
    short, long = (stage(plan_of(f"images={count}"), "sample paint") for count in (4, 8))
    assert short.key != long.key
    assert short.series == long.series
    assert View(short, OwnBoxes(), 4).recipe == View(long, OwnBoxes(), 4).recipe


def test_whole_numbers_give_one_key_however_they_are_written(plan_of: PlanOf) -> None:
    assert keys(plan_of("detectors.strict.margin=5")) == keys(plan_of("detectors.strict.margin=5.0"))
    assert key_of({"a": 0}) == key_of({"a": 0.0}) != key_of({"a": False})


def test_a_key_is_that_of_the_readable_recipe(plan_of: PlanOf) -> None:
    plan = plan_of("detectors.strict.margin=5.0", "holdout=1", "annotators.teacher.score_threshold=1.0")
    for each in plan.stages:
        assert each.key == key_of(each.recipe), each.label
        if each.series:
            assert each.series == key_of({name: value for name, value in each.recipe.items() if name != "count"}), each.label


def test_equal_training_sets_with_different_names_are_rows_of_their_own(plan_of: PlanOf) -> None:
    parts = 'parts=["references", "paint x native"]'
    plan = plan_of(f'mix=[{{name="one", {parts}}}, {{name="two", {parts}}}]')
    one, two = ([each for each in plan.cells if each.training_set.name == name] for name in ("one", "two"))
    assert [each.score.key for each in one] == [each.score.key for each in two]
    assert {"one", "two"} <= {each.training_set.name for each in plan.sets}


def test_paths_in_a_list_are_keyed_by_what_is_there(plan_of: PlanOf, tmp_path: Path) -> None:
    for name, content in (("one", "a"), ("two", "a"), ("three", "b")):
        (tmp_path / name).write_text(content)
    one, two, three = (plan_of(f"data.more=['{tmp_path / name}']") for name in ("one", "two", "three"))
    assert keys(one) == keys(two)
    assert "load fake-squares" in changed(one, three)
    assert one.suite.data.plugin.more == (tmp_path / "one",)
    with pytest.raises(SuiteError, match=r"fake-squares\.more: .*no such file or folder"):
        plan_of("data.more=['nowhere']")


def test_earlier_replicates_come_first_and_stay_the_same(plan_of: PlanOf) -> None:
    one, two = plan_of(), plan_of("replicates=2")
    assert [stage.key for stage in two.stages[: len(one.stages)]] == [stage.key for stage in one.stages]
    assert {two.replicates[stage.key] for stage in one.stages} == {0}
    assert {two.replicates[stage.key] for stage in two.stages[len(one.stages) :]} == {1}


def test_seeds_of_detectors_alone_share_one_generator_and_one_teacher(plan_of: PlanOf) -> None:
    one, two = plan_of(), plan_of("seeds={ detectors = [0, 1] }")
    for kind in ("data", "fit", "sample", "locate", "annotate", "judge"):
        assert [s.key for s in two.stages if s.kind == kind] == [s.key for s in one.stages if s.kind == kind], kind
    assert {s.key for s in one.stages} <= {s.key for s in two.stages}


def test_another_seed_changes_everything_but_the_data(plan_of: PlanOf) -> None:
    before = plan_of()
    assert changed(before, plan_of("seeds=[1]")) == {stage.label for stage in before.stages} - {
        "load fake-squares",
        "compare training and test images",
        "select the test images",
        "select the real training images",
    }


def test_names_titles_and_patience_are_not_in_the_keys(plan_of: PlanOf) -> None:
    before = {stage.key for stage in plan_of().stages}
    assert {stage.key for stage in plan_of("title=Else", "timeout=5", "detectors.strict.name=other").stages} == before


def test_the_version_of_a_plugin_is_in_the_keys(plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan_of()
    monkeypatch.setattr(installed().get("generator", "fake-paint").cls, "version", 2)
    assert {"fit paint", "sample paint", "train strict on paint x native"} <= changed(before, plan_of())


def test_a_checkpoints_content_is_in_the_key_and_its_place_is_not(plan_of: PlanOf, tmp_path: Path) -> None:
    for folder, content in (("one", "a"), ("two", "a"), ("three", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.safetensors").write_text(content)
    one, two, three = (plan_of(f"detectors.strict.weights={tmp_path / folder}") for folder in ("one", "two", "three"))
    assert keys(one) == keys(two)
    assert "train strict on real" in changed(one, three)
    assert "train threshold on real" not in changed(one, three)
    assert one.suite.detectors[1].plugin.weights == str(tmp_path / "one")


def test_a_shipped_checkpoint_is_found_by_its_name_and_keyed_by_its_content(tmp_path: Path, store: LocalStore) -> None:
    shipped = tmp_path / "shipped.safetensors"
    shipped.write_text("weights")
    registry = Registry(installed().found, {"tiny": shipped})
    by_name, by_path = (
        make_plan(read_suite(SUITE, registry, [f"detectors.strict.weights={value}"]), registry, store) for value in ("tiny", shipped)
    )
    assert keys(by_name) == keys(by_path)
    assert by_name.suite.detectors[1].plugin.weights == str(shipped)


def test_a_hub_id_stands_for_itself(plan_of: PlanOf) -> None:
    assert plan_of("detectors.strict.weights=someone/model").suite.detectors[1].plugin.weights == "someone/model"


def test_a_hub_id_is_pinned_to_the_commit_in_the_hubs_cache(plan_of: PlanOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    def weights(value: str) -> object:
        plan = plan_of(f"detectors.strict.weights={value}")
        (trained, *_) = [each for each in plan.stages if each.kind == "train" and each.entry and each.entry.name == "strict"]
        assert trained.entry is not None
        return trained.entry.plugin.weights, trained.recipe["options"]["weights"]

    references = tmp_path / "models--owner--model/refs"
    references.mkdir(parents=True)
    assert weights("owner/model") == ("owner/model", "owner/model")
    for name, letter in (("main", "a"), ("v2", "b")):
        (references / name).write_text(40 * letter)
    assert weights("owner/model") == (f"owner/model@{40 * 'a'}",) * 2
    assert weights("owner/model@v2") == (f"owner/model@{40 * 'b'}",) * 2
    assert weights(f"owner/model@{40 * 'c'}") == (f"owner/model@{40 * 'c'}",) * 2


def test_the_hub_is_asked_for_commits_only_for_a_download(plan_of: PlanOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    asked: list[tuple[str, str, str | None]] = []

    def hf_hub_download(name: str, file: str, revision: str | None = None) -> str:
        asked.append((name, file, revision))
        if file == "model_index.json":
            raise OSError("no such file")
        references = tmp_path / f"models--{name.replace('/', '--')}/refs"
        references.mkdir(parents=True)
        (references / (revision or "main")).write_text(40 * "d")
        return file

    monkeypatch.setattr("huggingface_hub.hf_hub_download", hf_hub_download)
    suite = plan_of("detectors.strict.weights=owner/model@v3").suite
    assert not asked
    fetch_commits(suite, installed())
    fetch_commits(suite, installed())
    assert asked == [("owner/model", "model_index.json", "v3"), ("owner/model", "config.json", "v3")]
    assert plan_of("detectors.strict.weights=owner/model@v3").suite.detectors[1].plugin.weights == f"owner/model@{40 * 'd'}"


def test_inputs_that_are_not_there_are_told_all_at_once(plan_of: PlanOf) -> None:
    with pytest.raises(SuiteError) as caught:
        plan_of("data.folder=nowhere", "detectors.strict.weights=tiny", "detectors.threshold.weights=./tiny")
    told = caught.value.problems
    assert len(told) == 3
    assert told[0].endswith(f"fake-squares.folder: {Path.cwd() / 'nowhere'}: no such file or folder")
    assert "strict.weights: './tiny' is no shipped" not in told[2]
    assert "threshold.weights: './tiny' is no installed checkpoint, file, folder, hub id or address" in told[1]


def test_a_path_is_keyed_by_what_lies_there(plan_of: PlanOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_text("1")
    before = plan_of("data.folder=~/photos")
    assert before.suite.data.plugin.folder == photos
    photos.rename(tmp_path / "moved")
    assert keys(plan_of(f"data.folder={tmp_path / 'moved'}")) == keys(before)
    (tmp_path / "moved" / "a.png").write_text("2")
    assert "load fake-squares" in changed(before, plan_of(f"data.folder={tmp_path / 'moved'}"))


def test_the_recipe_is_readable(plan_of: PlanOf) -> None:
    recipe = stage(plan_of("detectors.strict.score=0.5"), "train strict on real").recipe
    assert (recipe["plugin"], recipe["version"]) == ("fake-threshold", 1)
    assert recipe["options"]["margin"] == 20
    assert "score" not in recipe["options"], "a late option"
    assert not {"device", "threads", "label"} & {*recipe}
