"""Suites: what is wrong is told all at once, with its place and the nearest fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from synthbench.errors import SuiteError
from synthbench.registry import installed
from synthbench.suite.changes import apply_change
from synthbench.suite.model import Suite
from synthbench.suite.reader import read_suite
from synthbench.suite.training_sets import Replicate, Seeds
from synthbench_fakes import SUITE

DATA = '[data]\nuse = "fake-squares"\n'
DETECTOR = '[[detectors]]\nuse = "fake-threshold"\n'


def read(text: str, folder: Path, *changes: str) -> Suite:
    file = folder / "some.toml"
    file.write_text(text)
    return read_suite(file, installed(), changes)


def problems(text: str, folder: Path, *changes: str) -> list[str]:
    """What is wrong, each line without the name of the file, which it must begin with."""
    with pytest.raises(SuiteError) as caught:
        read(text, folder, *changes)
    file = f"{folder / 'some.toml'}: "
    assert all(problem.startswith(file) for problem in caught.value.problems)
    return [problem.removeprefix(file) for problem in caught.value.problems]


def test_a_suite_has_every_name_resolved_and_every_default_filled_in() -> None:
    suite = read_suite(SUITE, installed())
    assert suite.name == "squares"
    assert [entry.name for entry in suite.detectors] == ["threshold", "strict"]
    assert suite.detectors[1].plugin.margin == 20
    assert suite.detectors[1].info.distribution == "synthbench-fakes"
    assert suite.seeds == Seeds(references=(0,), generators=(0,), detectors=(0,))
    pairs = [(row.generator, row.annotator) for row in suite.rows if row.kind == "generated"]
    assert pairs == [("paint", "native"), ("paint", "teacher")]


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    told = problems(
        """
        refrences = 3
        images = 0
        baselines = ["real", "refs"]
        seeds = [1, 1]
        [data]
        use = "fake-squares"
        trian = 3
        [[generators]]
        use = "fake-pain"
        [[annotators]]
        use = "teacher"
        detector = "treshold"
        [[detectors]]
        use = "fake-threshold"
        name = "threshold"
        margin = "wide"
        [[detectors]]
        use = "fake-threshold"
        score = 2
        fail = "rise"
        [[mix]]
        name = "both"
        parts = ["real", "fake-pain x taecher"]
        [[mix]]
        name = "none"
        parts = []
        """,
        tmp_path,
    )
    assert told == [
        "refrences: unknown key, did you mean 'references'?",
        "images: expected `int` >= 1, got 0",
        "seeds: a seed appears twice in [1, 1], so two replicates would be the same",
        "data.trian: unknown option, did you mean 'train'?",
        "generators[0].use: no generator named 'fake-pain' is installed, did you mean 'fake-paint'?",
        "detectors[0].margin: expected `float`, got 'wide'",
        "detectors[1].score: expected `float` <= 1.0, got 2",
        "detectors[1].fail: unknown value 'rise', did you mean 'raise'?",
        "annotators.teacher: its boxes come from the detector 'treshold', which is not in this suite, did you mean 'threshold'?",
        "mix[1].parts: expected `array` of length >= 1, got []",
        "baselines: unknown row 'refs'; known: real, real x teacher, references",
        "mix.both.parts: no training set 'fake-pain x taecher', did you mean 'fake-pain x teacher'?",
    ]


def test_annotators_start_from_each_other_in_no_circle(tmp_path: Path) -> None:
    annotators = """
        baselines = ["real", "real x last"]
        [[generators]]
        use = "fake-paint"
        [[annotators]]
        use = "native"
        [[annotators]]
        use = "fake-shrink"
        annotator = "nativ"
        [[annotators]]
        use = "fake-shrink"
        name = "one"
        annotator = "two"
        [[annotators]]
        use = "fake-shrink"
        name = "two"
        annotator = "one"
        [[annotators]]
        use = "fake-shrink"
        name = "last"
        annotator = "native"
        """
    assert problems(annotators + DATA + DETECTOR, tmp_path) == [
        "annotators.fake-shrink: its boxes come from the annotator 'nativ', which is not in this suite, did you mean 'native'?",
        "annotators.one: its boxes come from itself in the end: one <- two <- one; name one with other boxes",
        "annotators.two: its boxes come from itself in the end: two <- one <- two; name one with other boxes",
        "baselines: 'real x last': native takes over a generator's boxes, and real images have none",
    ]


def test_two_entries_of_one_plugin_need_names(tmp_path: Path) -> None:
    assert problems(DATA + DETECTOR + DETECTOR, tmp_path) == [
        "detectors: the name 'fake-threshold' is used twice; give one of them another with name = …"
    ]
    assert len(read(DATA + DETECTOR + DETECTOR + 'name = "other"\n', tmp_path).detectors) == 2


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    assert problems("", tmp_path) == [
        f"data.use: missing: the name of a data-source; installed: {', '.join(installed().names('data-source'))}",
        "detectors: missing: a suite needs at least one [[detectors]] table",
    ]
    generators = '[[generators]]\nuse = "fake-paint"\n'
    assert problems(DATA + DETECTOR + generators, tmp_path) == [
        "annotators: missing: generated images need boxes, so name at least one [[annotators]]"
    ]
    assert problems(DATA + DETECTOR + '[[annotators]]\nuse = "teacher"\n', tmp_path) == [
        "annotators[0].detector: missing: write it there, or give --set annotators[0].detector=VALUE"
    ]


def test_shapes_that_are_not_a_suites_are_told(tmp_path: Path) -> None:
    assert problems('detectors = "fake-threshold"\n' + DATA, tmp_path) == ["detectors: expected [[detectors]], an array of tables"]
    assert problems(DATA + DETECTOR + 'name = "a b"\n', tmp_path) == [
        "detectors[0].name: expected up to 100 letters, digits and '_.+-', no '_' at either end, got 'a b'"
    ]
    assert problems("data = 3\n" + DETECTOR, tmp_path)[0].startswith("data.use: missing")


def test_a_mix_may_not_take_anothers_name(tmp_path: Path) -> None:
    mix = '[[mix]]\nname = "{}"\nparts = ["real", "references"]\n'
    assert problems(DATA + DETECTOR + mix.format("real"), tmp_path) == ["mix.real.name: the name of another training set"]
    assert problems(DATA + DETECTOR + 2 * mix.format("all"), tmp_path) == ["mix.all.name: the name of another training set"]


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("detectors.threshold.margin=7.5", 7.5),
        ("detectors[0].margin=7.5", 7.5),
        ("detectors.0.margin = 7.5", 7.5),
        ("detectors[threshold].margin=7.5", 7.5),
    ],
)
def test_a_value_is_set_by_name_and_by_number(change: str, value: float) -> None:
    assert read_suite(SUITE, installed(), [change]).detectors[0].plugin.margin == value


def test_settings_and_single_tables_are_set_too() -> None:
    suite = read_suite(SUITE, installed(), ["data.train=9", "seeds=[0, 1]", "title=Not TOML, so a string"])
    assert (suite.data.plugin.train, suite.settings.seeds, suite.settings.title) == (9, (0, 1), "Not TOML, so a string")


def test_a_name_with_a_dot_is_set_in_brackets() -> None:
    content: dict[str, Any] = {"detectors": [{"use": "fake-threshold", "name": "v1.5"}]}
    apply_change(content, "detectors[v1.5].margin=2")
    assert content["detectors"][0]["margin"] == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("images", "--set images: expected KEY=VALUE, as in --set data.path=photos"),
        ("detectors.treshold.margin=1", "no entry 'treshold', did you mean 'threshold'?"),
        ("detectors.9.margin=1", "no entry '9'"),
        ("images.more=1", "'images' is a value, it has no 'more'"),
        ("detectors.threshold.mragin=1", "detectors[0].mragin: unknown option, did you mean 'margin'?"),
    ],
)
def test_a_change_that_fits_nothing_is_told(change: str, told: str) -> None:
    with pytest.raises(SuiteError) as caught:
        read_suite(SUITE, installed(), [change])
    assert told in str(caught.value)


def test_a_syntax_error_is_told_with_its_line(tmp_path: Path) -> None:
    assert "line 2" in problems("images = 3\nseeds == [0]\n", tmp_path)[0]


def test_a_missing_suite_is_told_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "apples.toml").write_text("")
    with pytest.raises(SuiteError, match=r"aples\.toml: no such suite, did you mean '.*apples\.toml'\?"):
        read_suite(tmp_path / "aples.toml", installed())


def test_a_folder_is_no_suite(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"not a file"):
        read_suite(tmp_path, installed())


def test_relative_paths_stay_relative_to_where_the_command_is_typed(tmp_path: Path) -> None:
    suite = read('[data]\nuse = "fake-squares"\nfolder = "photos/red"\n' + DETECTOR, tmp_path)
    assert suite.data.plugin.folder == Path("photos/red")


def test_seeds_are_a_list_or_a_table(tmp_path: Path) -> None:
    def seeds(text: str) -> Seeds:
        return read(f"seeds = {text}\n" + DATA + DETECTOR, tmp_path).seeds

    assert seeds("[2, 1]") == Seeds(references=(2, 1), generators=(2, 1), detectors=(2, 1))
    table = seeds("{ references = [3, 4], detectors = 5 }")
    assert table == Seeds(references=(3, 4), generators=(0,), detectors=(5,))
    assert problems("seeds = { generators = [1, 1] }\n" + DATA + DETECTOR, tmp_path) == [
        "seeds: a seed appears twice in [1, 1], so two replicates would be the same"
    ]
    assert problems("seeds = { references = [0, 1], detectors = [0, 1, 2] }\n" + DATA + DETECTOR, tmp_path) == [
        "seeds: 2 seeds of the references for 3 replicates: expected 3, or one for all"
    ]
    assert problems("replicates = 3\nseeds = [0, 1]\n" + DATA + DETECTOR, tmp_path) == [
        "seeds: 2 seeds, but replicates = 3; leave one of them out"
    ]
    assert [*read("replicates = 2\n" + DATA + DETECTOR, tmp_path).seeds] == [Replicate(0, 0, 0, 0), Replicate(1, 1, 1, 1)]


def test_training_sets_can_be_renamed_and_mixed_by_either_name() -> None:
    names = ["names={ 'paint x teacher' = 'painted', real = 'photographs' }", "mix=[{ name = 'all', parts = ['painted', 'real'] }]"]
    suite = read_suite(SUITE, installed(), names)
    assert [row.name for row in suite.rows] == ["photographs", "references", "paint x native", "painted", "all"]
    assert [part.name for part in suite.rows[-1].parts] == ["painted", "photographs"]
    with pytest.raises(SuiteError, match="names: no training set 'paint x taecher', did you mean 'paint x teacher'"):
        read_suite(SUITE, installed(), ["names={ 'paint x taecher' = 'painted' }"])
    with pytest.raises(SuiteError, match="the name of another training set"):
        read_suite(SUITE, installed(), ["names={ 'paint x teacher' = 'real' }"])


def test_a_suite_can_be_python_values() -> None:
    content = {"name": "mine", "images": 7, "data": {"use": "fake-squares"}, "detectors": [{"use": "fake-threshold"}]}
    suite = read_suite(content, installed(), ["images=8"])
    assert (suite.name, suite.settings.images) == ("mine", 8)
    assert content["images"] == 7, "the caller's values stay as they are"
    with pytest.raises(SuiteError, match="mine: imagse: unknown key"):
        read_suite({**content, "imagse": 3}, installed())
