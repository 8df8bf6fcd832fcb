"""Running a bundle's experiment again: the suite is rebuilt from its results, and honest figures come out again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs
from synthbench.cli import main
from synthbench.errors import SynthbenchError
from synthbench.execution.state import look_up
from synthbench.experiment import Experiment
from synthbench.planning.making import make_plan
from synthbench.planning.plan import Plan
from synthbench.publishing.rebuilding import rebuild
from synthbench.publishing.rerunning import fresh_seeds
from synthbench.publishing.submission import Author
from synthbench.publishing.writing import pack, write_bundle
from synthbench.registry import installed
from synthbench.results.collect import collect
from synthbench.results.files import read_results, write_results
from synthbench.results.model import Comparison, Draw, Results, Seeds, Similarity, SplitCheck
from synthbench.storage.local import LocalStore
from synthbench.suite.reader import read_suite
from synthbench_fakes import SUITE

SUITES = Path(__file__).parents[1] / "suites"
SMALL: dict[str, Any] = {
    "name": "squares",
    "baselines": ["real"],
    "references": 3,
    "images": 4,
    "data": {"use": "fake-squares", "test": 24},
    "generators": [{"use": "fake-paint", "name": "paint"}],
    "annotators": [{"use": "native"}],
    "detectors": [{"use": "fake-threshold", "name": "threshold"}, {"use": "fake-threshold", "name": "strict", "margin": 20.0}],
}
CHANGES: dict[str, list[str]] = {
    "squares": [],
    "named": [
        'names={"paint x native" = "painted", "real" = "all", "references + painted" = "both"}',
        'leave_out=["paint x teacher"]',
        'baselines=["real", "real x teacher"]',
        "real_counts=[5, 4]",
        'generated_counts={"references + painted" = [1, 3], "painted" = [2]}',
        "seeds={references = [3, 1, 2], generators = [5, 6, 7], detectors = 4}",
        "holdout=1",
        "margin=0.1",
        "timeout=99.5",
        "allow_duplicates=true",
    ],
    "mixed": ['mix=[{name = "m", parts = ["4 real", "paint x native"]}]', "real_counts=[4]", 'leave_out=["4 real"]', "baselines=[]"],
}


def planned(source: Path | dict[str, Any], store: LocalStore, *changes: str) -> Plan:
    return make_plan(read_suite(source, installed(), changes), installed(), store)


def unrun(plan: Plan, store: LocalStore) -> Results:
    """The results of a plan of which nothing was run, as a file has them."""
    return msgspec.json.decode(msgspec.json.encode(collect(plan, look_up(plan, store))), type=Results)


def check_same(plan: Plan, again: Plan) -> None:
    assert again.suite.rows == plan.suite.rows
    assert [(row.name, row.whole) for row in again.suite.rows] == [(row.name, row.whole) for row in plan.suite.rows]
    assert [stage.key for stage in again.stages] == [stage.key for stage in plan.stages]
    assert [stage.label for stage in again.stages] == [stage.label for stage in plan.stages]
    cells = [
        [
            (cell.replicate, cell.training_set.name, cell.detector, cell.seed, cell.draw, cell.score.key, cell.held_out)
            for cell in each.cells
        ]
        for each in (plan, again)
    ]
    assert cells[0] == cells[1]
    assert again.suite.settings.margin == plan.suite.settings.margin
    assert again.suite.settings.timeout == plan.suite.settings.timeout


@pytest.mark.parametrize("name", sorted(path.stem for path in SUITES.glob("*.toml")))
def test_a_suite_is_rebuilt_from_its_results(name: str, store: LocalStore, photos: Path) -> None:
    path = SUITES / f"{name}.toml"
    on_photos = 'use = "coco"' in path.read_text()
    plan = planned(path, store, *([f"data.path={photos}"] if on_photos else []))
    results = unrun(plan, store)
    check_same(plan, planned(rebuild(results, results.suite.seeds, installed(), photos if on_photos else None), store))


@pytest.mark.parametrize("name", CHANGES)
def test_names_parts_and_mixes_are_rebuilt(name: str, store: LocalStore) -> None:
    plan = planned(SUITE, store, *CHANGES[name])
    results = unrun(plan, store)
    if name == "named":  # of a run; here nothing was compared
        results = structs.replace(results, similarity=Similarity(splits=SplitCheck(allowed=True)))
    check_same(plan, planned(rebuild(results, results.suite.seeds, installed()), store))


def test_the_detector_that_describes_images_is_found_by_its_space(store: LocalStore) -> None:
    plan = planned(SUITES / "apples.toml", store)
    results = unrun(plan, store)
    space = plan.suite.describer.plugin.feature_space if plan.suite.describer else ""

    def described_by(space: str) -> Any:
        compared = Comparison(
            training_set="a x b",
            generator="a",
            annotator="b",
            draw=Draw(),
            references_key="",
            images_key="",
            distances={f"{space}: frechet": 1.0, "box_size": 1.0},
        )
        known = structs.replace(results, similarity=Similarity(splits=SplitCheck(allowed=False), generated=[compared]))
        return rebuild(known, results.suite.seeds, installed()).get("features")

    assert space
    assert described_by(space) is None, "it is the first that can"
    assert described_by("another space") is None, "no installed plugin has it, and no AP depends on it"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda suite: structs.replace(suite, detectors=[structs.replace(suite.detectors[0], plugin="gone")]),
            "detectors.threshold: .*gone",
        ),
        (
            lambda suite: structs.replace(suite, data=structs.replace(suite.data, version=7)),
            "data: was computed by version 7 of fake-squares, here is version 1; install synthbench-fakes",
        ),
        (
            lambda suite: structs.replace(suite, data=structs.replace(suite.data, options={**suite.data.options, "folder": "secret"})),
            "data.folder: 'secret' is a file or folder of another machine; name yours with --set data.folder=PATH",
        ),
        (
            lambda suite: structs.replace(suite, data=structs.replace(suite.data, options={**suite.data.options, "more": ["a", "b"]})),
            "data.more: 'a, b' is a file or folder",
        ),
        (
            lambda suite: structs.replace(
                suite, detectors=[structs.replace(suite.detectors[0], options={"weights": "model.safetensors"}), suite.detectors[1]]
            ),
            "detectors.threshold.weights: 'model.safetensors' is a file or folder",
        ),
        (
            lambda suite: structs.replace(suite, generators=[structs.replace(suite.generators[0], options={"shfit": 3})]),
            "generators.paint.shfit: unknown option, did you mean 'shift'",
        ),
        (lambda suite: structs.replace(suite, annotators=suite.annotators * 9999), "1 generators with 19998 annotators are too many"),
        (lambda suite: structs.replace(suite, name="../x"), "its report cannot be named"),
        (lambda suite: structs.replace(suite, margin=3.0), "margin"),
    ],
)
def test_what_cannot_be_rebuilt_is_named(change: Callable[[Any], Any], problem: str, store: LocalStore) -> None:
    results = unrun(planned(SUITE, store), store)
    results = structs.replace(results, suite=change(results.suite))
    with pytest.raises(SynthbenchError, match=problem):
        rebuild(results, results.suite.seeds, installed())


def test_a_part_of_a_mix_that_nothing_tells_of_is_named(store: LocalStore) -> None:
    changes = ['names={"paint x native" = "painted"}', 'leave_out=["paint x native"]']
    results = unrun(planned(SUITE, store, *changes), store)
    with pytest.raises(SynthbenchError, match="references \\+ painted: the bundle does not say what its part 'painted' is made of"):
        rebuild(results, results.suite.seeds, installed())


def test_only_files_can_be_named_anew(store: LocalStore, tmp_path: Path) -> None:
    results = unrun(planned(SUITE, store), store)
    weights = structs.replace(results.suite.detectors[0], options={"weights": "model.safetensors"})
    results = structs.replace(results, suite=structs.replace(results.suite, detectors=[weights, results.suite.detectors[1]]))
    (tmp_path / "mine.safetensors").touch()
    named = f"detectors.threshold.weights={tmp_path / 'mine.safetensors'}"
    content = rebuild(results, results.suite.seeds, installed(), changes=[named])
    assert content["detectors"][0]["weights"] == str(tmp_path / "mine.safetensors")
    with pytest.raises(SynthbenchError, match=r"it can only name files anew: detectors\.threshold\.weights"):
        rebuild(results, results.suite.seeds, installed(), changes=[named, "detectors.strict.margin=3.0"])


def test_fresh_seeds_are_above_all_of_a_bundle() -> None:
    assert fresh_seeds(Seeds(references=(0, 9), generators=(1, 2), detectors=(4,))) == Seeds(
        references=(10, 11), generators=(10, 11), detectors=(4,)
    )
    assert fresh_seeds(Seeds(references=(0, 1), generators=(0, 1), detectors=(0, 1)), 3, 70).detectors == (70, 71, 72)
    with pytest.raises(SynthbenchError, match="seeds up to 1; fresh ones begin above them"):
        fresh_seeds(Seeds(references=(0, 1), generators=(0, 1), detectors=(0, 1)), first=1)
    with pytest.raises(SynthbenchError, match="at least 2"):
        fresh_seeds(Seeds(references=(0, 1), generators=(0, 1), detectors=(0, 1)), 1)


# The command, on whole bundles.


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports and a store of an honest run, of one whose detector `strict` had another margin than it says, and of a single replicate."""
    folder = tmp_path_factory.mktemp("rerun")
    for name, changes in {"honest": [], "forged": ["detectors.strict.margin=110.0"], "once": ["seeds=[0]"]}.items():
        experiment = Experiment(SMALL, changes=["seeds=[0, 1, 2]", *changes], store=folder / "store")
        experiment.run(out=folder / name, in_process=True)
    path = folder / "forged" / "squares.json"
    results = read_results(path)
    strict = structs.replace(results.suite.detectors[1], options={**results.suite.detectors[1].options, "margin": 20.0})
    suite = structs.replace(results.suite, detectors=[results.suite.detectors[0], strict])
    write_results(path, structs.replace(results, suite=suite))
    for name in ("honest", "forged", "once"):
        store = LocalStore(folder / "store")
        write_bundle(pack(folder / name / "squares.json", store, list(store.contents()), Author()), folder / f"{name}.zip")
    return folder


def verify(folder: Path, name: str, *arguments: str) -> int:
    command = ["verify", str(folder / f"{name}.zip"), "--rerun", "--in-process", "--store", str(folder / "mine"), *arguments]
    return main(command)


def test_an_honest_bundle_comes_out_again(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(folder, "honest", "--out", str(tmp_path / "out")) == 0
    told = capsys.readouterr().out
    assert "re-scored with the true boxes in the bundle" in told
    assert "with the bundle's own seeds all its" in told
    assert "(references 3, 4, 5, generators 3, 4, 5, detectors 3, 4, 5)" in told
    assert "re-run: with fresh seeds all 4 AP figures came out again" in told
    assert "differences of less than about 0." in told, "how much would have been noticed"
    again = read_results(tmp_path / "out" / "squares.json")
    assert again.suite.seeds.detectors == (3, 4, 5)
    assert {cell.keys.score for cell in again.cells}.isdisjoint(
        cell.keys.score for cell in read_results(folder / "honest/squares.json").cells
    )


def test_other_fresh_seeds_and_numbers_of_replicates(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(folder, "honest", "--replicates", "2", "--first-seed", "50") == 0
    assert "detectors 50, 51)" in capsys.readouterr().out


def test_numbers_of_another_experiment_do_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(folder, "forged") == 1
    told = capsys.readouterr().out
    assert "re-scored with the true boxes in the bundle" in told, "its predictions give its numbers"
    assert "stages of the bundle would not be the same here, even with its own seeds" in told
    assert "The first: train strict on real" in told
    assert "does not hold: real / strict: AP" in told
    assert "does not hold: real / threshold" not in told
    assert "re-scored, but not re-run" in told


def test_a_figure_that_is_missing_here_does_not_hold(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "fails"
    path = folder / name / "squares.json"
    results = read_results(folder / "honest" / "squares.json")
    strict = structs.replace(results.suite.detectors[1], options={**results.suite.detectors[1].options, "fail": "raise"})
    suite = structs.replace(results.suite, detectors=[results.suite.detectors[0], strict])
    path.parent.mkdir()
    write_results(path, structs.replace(results, suite=suite))
    store = LocalStore(folder / "store")
    write_bundle(pack(path, store, list(store.contents()), Author()), folder / f"{name}.zip")
    assert verify(folder, name) == 1
    assert "does not hold: real / strict: has no AP here" in capsys.readouterr().out


def test_one_replicate_states_no_interval(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(folder, "once") == 2
    assert "its experiment was done once" in capsys.readouterr().err


def test_nothing_runs_before_the_numbers_hold(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = read_results(folder / "honest" / "squares.json")
    cell = structs.replace(results.cells[0], metrics={**results.cells[0].metrics, "AP": 0.99})
    write_results(tmp_path / "squares.json", structs.replace(results, cells=[cell, *results.cells[1:]]))
    store = LocalStore(folder / "store")
    write_bundle(pack(tmp_path / "squares.json", store, list(store.contents()), Author()), tmp_path / "changed.zip")
    write_bundle(pack(folder / "honest/squares.json", store, list(store.contents()), Author(), with_truth=False), tmp_path / "without.zip")
    for name, word in (("changed", "does not hold: cells[0].metrics.AP"), ("without", "self-reported")):
        assert main(["verify", str(tmp_path / f"{name}.zip"), "--rerun", "--in-process", "--store", str(tmp_path / "mine")]) == 1
        told = capsys.readouterr().out
        assert word in told
        assert "runs again" not in told
