"""Two runs side by side: what differs is named, and a difference counts only if seeds and test images do not explain it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from synthbench.cli import main
from synthbench.evidence import levels
from synthbench.evidence.intervals import LEVEL
from synthbench.evidence.welch import NORMAL, Mean, compare_means, holm, mean_of
from synthbench.experiment import Experiment
from synthbench.results.compare import ComparedCell, Comparison, compare
from synthbench.results.files import read_results, write_results
from synthbench.results.model import Results
from synthbench_fakes import SUITE

REPORTS = sorted((Path(__file__).parents[1] / "reports").glob("*.json"))
BASE = ("data.test=24",)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared") / "store"


def run(store: Path, *changes: str) -> Results:
    return Experiment(SUITE, changes=[*BASE, *changes], store=store).run(out=None, in_process=True)


@pytest.fixture(scope="module")
def first(store: Path) -> Results:
    return run(store, "seeds=[0, 1, 2]")


@pytest.fixture(scope="module")
def other_seeds(store: Path) -> Results:
    return run(store, "seeds=[7, 8, 9]")


@pytest.fixture(scope="module")
def once(store: Path) -> Results:
    return run(store, "seeds=[0]")


def cell_of(found: Comparison, training_set: str, detector: str) -> ComparedCell:
    return next(each for each in found.cells if (each.training_set, each.detector) == (training_set, detector))


# The statistics.


@pytest.mark.parametrize("freedom", [1.0, 1.7, 2.0, 5.3, 30.0, 1e4])
def test_degrees_of_freedom_are_had_back_from_an_interval(freedom: float) -> None:
    reach = float(stats.t.ppf(0.975, freedom)) * 0.013
    found = mean_of(0.4, 0.4 - reach, 0.4 + reach, 0.013)
    assert found is not None
    assert found.freedom == pytest.approx(freedom, rel=1e-5)


def test_a_mean_without_any_spread_is_known_exactly() -> None:
    assert mean_of(0.4, 0.4, 0.4, 0.0) == Mean(0.4, 0.0, NORMAL)


@pytest.mark.parametrize(
    ("low", "high", "error"),
    [(None, None, None), (0.3, 0.5, -0.1), (0.399, 0.401, 0.1), (0.45, 0.5, 0.1), (float("nan"), 0.5, 0.1), (0.3, float("inf"), 0.1)],
)
def test_figures_that_contradict_each_other_say_nothing(low: float | None, high: float | None, error: float | None) -> None:
    assert mean_of(0.4, low, high, error) is None


@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_a_single_pair_is_compared_as_scipy_does(one: int, other: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = rng.normal(0.4, 0.02, one), rng.normal(0.43, 0.05, other)
    means = [Mean(float(each.mean()), float(each.std(ddof=1)) / len(each) ** 0.5, len(each) - 1) for each in samples]
    (change,) = compare_means([(means[0], means[1])])
    expected = stats.ttest_ind(samples[1], samples[0], equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert (change.p, change.low, change.high) == pytest.approx((expected.pvalue, interval.low, interval.high), rel=1e-6)


def test_what_is_not_random_differs_if_it_is_not_equal() -> None:
    same, other = compare_means([(Mean(0.4, 0, NORMAL), Mean(0.4, 0, NORMAL)), (Mean(0.4, 0, NORMAL), Mean(0.41, 0, NORMAL))])
    assert not same.beyond
    assert other.beyond


@given(st.lists(st.floats(0, 1), max_size=12))
@settings(max_examples=300, deadline=None)
def test_adjusted_p_values_reject_what_the_step_down_rejects(p_values: list[float]) -> None:
    rejected: set[int] = set()
    for rank, number in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[number] * (len(p_values) - rank) > LEVEL:
            break
        rejected.add(number)
    assert {number for number, p in enumerate(holm(p_values)) if p <= LEVEL} == rejected


def test_two_runs_of_the_same_experiment_seldom_differ() -> None:
    """Six rows, three replicates each, test images in common or not: at most 5 % of pairs of runs have any difference."""
    rng = np.random.default_rng(5)

    def one_run(images: np.ndarray[Any, Any]) -> list[Mean]:
        values = 0.5 + rng.normal(0, 0.02, (6, 3)) + images[0]
        resampled = values[..., None] + images[None, None, 1:]
        found = []
        for each in levels(values, resampled, 100):
            assert each.interval is not None
            mean = mean_of(each.mean, *each.interval, each.error)
            assert mean is not None
            found.append(mean)
        return found

    def differs(*, shared: bool) -> bool:
        images = rng.normal(0, 0.01, 101)
        pair = one_run(images), one_run(images if shared else rng.normal(0, 0.01, 101))
        return any(change.beyond for change in compare_means(list(zip(*pair, strict=True))))

    for shared in (True, False):
        rate = np.mean([differs(shared=shared) for _ in range(400)])
        assert rate <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5, f"shared images: {shared}"


# Whole runs.


def test_a_run_and_itself_are_the_very_same(first: Results) -> None:
    found = compare(first, first)
    assert found.agrees
    assert found.differences == []
    assert {each.finding for each in found.cells} == {"same"}
    assert len(found.cells) == 5 * 2
    assert all(each.same_keys == 3 for each in found.cells)
    assert found.same_test_images


def test_other_seeds_explain_their_differences(first: Results, other_seeds: Results) -> None:
    found = compare(first, other_seeds)
    assert {each.about for each in found.differences} == {"seeds"}
    assert found.agrees
    assert {each.finding for each in found.cells} == {"explained"}
    assert any(abs(each.change) > 0.001 for each in found.cells)
    for each in found.cells:
        assert each.low is not None
        assert each.high is not None
        assert each.low <= each.change <= each.high


def test_another_option_is_named_and_its_effect_found(first: Results, store: Path) -> None:
    found = compare(first, run(store, "seeds=[7, 8, 9]", "detectors.strict.margin=70.0"))
    assert [(each.about, each.place, each.first, each.second) for each in found.differences if each.about != "seeds"] == [
        ("detectors", "strict.option margin", 20.0, 70.0)
    ]
    assert not found.agrees
    findings = {detector: {each.finding for each in found.cells if each.detector == detector} for detector in ("threshold", "strict")}
    assert findings["threshold"] == {"explained"}
    assert "beyond" in findings["strict"]
    assert cell_of(found, "real", "strict").change < 0


def test_scores_of_the_same_recipe_count(first: Results, store: Path) -> None:
    found = compare(first, run(store, "seeds=[0, 1, 2, 3]"))
    assert {each.same_keys for each in found.cells} == {3}
    assert found.agrees


def test_with_one_replicate_nothing_is_known(first: Results, once: Results) -> None:
    found = compare(first, once)
    assert {each.finding for each in found.cells} == {"unknown"}
    assert not found.agrees
    assert all(each.p is None for each in found.cells)
    assert compare(once, once).agrees, "what is the very same needs no interval"


def test_what_only_one_has_is_listed(first: Results, store: Path) -> None:
    fewer = run(store, "seeds=[0, 1, 2]", 'leave_out=["paint x teacher"]')
    found = compare(first, fewer)
    assert set(found.only_first) == {("paint x teacher", "threshold"), ("paint x teacher", "strict")}
    assert found.only_second == []
    assert compare(fewer, first).only_second == found.only_first
    assert [(each.about, each.place, each.second) for each in found.differences] == [("training sets", "paint x teacher", None)]


@pytest.mark.parametrize("path", REPORTS, ids=[path.stem for path in REPORTS])
def test_results_of_any_version_are_compared(path: Path, first: Results) -> None:
    old = read_results(path)
    assert compare(old, old).agrees
    assert not compare(old, first).agrees
    assert compare(old, first).same_test_images is False


# The command.


def test_the_command_says_what_it_found(first: Results, other_seeds: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(tmp_path / name) for name in ("a.json", "b.json")]
    for path, results in zip(paths, (first, other_seeds), strict=True):
        write_results(Path(path), results)
    assert main(["compare", *paths]) == 0
    told = capsys.readouterr().out
    assert "the same in both: settings, data, generators" in told
    assert "No AP figure differs by more than seeds and test images explain (10 compared)." in told
    assert "the reports begin" in told
    assert main(["compare", *paths, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["agrees"] is True
    assert msgspec.convert({name: content[name] for name in Comparison.__struct_fields__}, Comparison) == compare(first, other_seeds)
    assert len(content["first_sentences"]) == 2


def test_the_command_fails_where_nothing_is_known(
    first: Results, once: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(tmp_path / "a.json", first)
    write_results(tmp_path / "b.json", once)
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 1
    assert "Of 10 of 10 AP figures nothing can be said" in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "c.json")]) == 2


def test_names_and_numbers_from_strangers_are_harmless(
    first: Results, other_seeds: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "\x1b[31m\n\u202ered"
    content: dict[str, Any] = json.loads(msgspec.json.encode(other_seeds).replace(b'"strict"', json.dumps(hostile).encode()))
    content["suite"]["title"] = hostile * 200
    content["suite"]["caveat"] = hostile
    for level in content["evidence"]["levels"]:
        level["figure"] |= {"error": -1.0, "mean": float("nan")}
    (tmp_path / "hostile.json").write_text(json.dumps(content))
    write_results(tmp_path / "a.json", first)
    for other in ("a.json", "hostile.json"):
        assert main(["compare", str(tmp_path / other), str(tmp_path / "hostile.json")]) == 1, "a mean that is no number equals nothing"
        told = capsys.readouterr().out
        assert all(character.isprintable() or character == "\n" for character in told)
        assert not [line for line in told.splitlines() if line.startswith(("red", "\N{REPLACEMENT CHARACTER}"))], "a name makes no line"
        assert max(map(len, told.splitlines())) < 400
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "hostile.json"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["agrees"] is False
