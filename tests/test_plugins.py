"""Finding plugins: a broken one is listed with its error, hurts the suite that names it, and ends nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from synthbench.errors import SuiteError, SynthbenchError
from synthbench.plugins import Registry, discover, installed
from synthbench.suite import read_suite

HEAD = """
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar, TYPE_CHECKING
from synthbench import hookimpl

if TYPE_CHECKING:
    from fractions import Fraction
"""
DETECTOR = """
@dataclass(frozen=True, kw_only=True)
class Some:
    name: ClassVar[str] = "some"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "MIT"
    epochs: int = 3
    def train(self, data, run): ...
    def predict(self, fitted, images, run): ...
"""
HOOK = """
@hookimpl
def synthbench_detectors():
    return (Some,)
"""
Found = Callable[..., Registry]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Found:
    """The registry of modules with these sources, in the order of their names."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def found(**sources: str) -> Registry:
        for name, source in sources.items():
            monkeypatch.delitem(sys.modules, f"plugin_{name}", raising=False)
            (tmp_path / f"plugin_{name}.py").write_text(HEAD + source)
        return discover([EntryPoint(name, f"plugin_{name}", "synthbench") for name in sources])

    return found


def test_a_sound_plugin_is_found(found: Found):
    registry = found(good=DETECTOR + HOOK)
    assert registry.broken == []
    assert registry.names("detector") == ["some"]
    assert registry.get("detector", "some").plugin().epochs == 3


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import nothing_of_the_kind", "ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        ("1 +", "SyntaxError: invalid syntax"),
        ("raise SystemExit('no GPU')", "SystemExit: no GPU"),
        (DETECTOR + HOOK.replace("_detectors", "_detektors"), "unknown hook 'synthbench_detektors'"),
        (DETECTOR + HOOK.replace("(Some,)", "1 / 0"), "ZeroDivisionError: division by zero"),
        (DETECTOR + HOOK.replace("(Some,)", "(Some(),)"), "is not a class"),
        (DETECTOR.replace("predict", "predikt") + HOOK, "detector 'some': lacks predict"),
        (DETECTOR.replace('license: ClassVar[str] = "MIT"', "") + HOOK, "detector 'some': lacks license"),
        (DETECTOR.replace('name: ClassVar[str] = "some"', "") + HOOK, "type object 'Some' has no attribute 'name'"),
        (DETECTOR.replace("frozen=True, ", "") + HOOK, "detector 'some': its class is not a frozen dataclass"),
        (DETECTOR.replace("@dataclass(frozen=True, kw_only=True)", "") + HOOK, "its class is not a frozen dataclass"),
        (DETECTOR.replace("epochs: int", "epochs: Fraction") + HOOK, "the types of its options cannot be read: name 'Fraction'"),
        (
            DETECTOR.replace("def train", "def annotate") + HOOK.replace("detectors", "annotators"),
            "annotator 'some': lacks boxes_from",
        ),
    ],
)
def test_a_broken_plugin_is_listed_with_its_error_and_ends_nothing(found: Found, source: str, error: str):
    registry = found(bad=source, good=DETECTOR.replace('"some"', '"other"') + HOOK)
    assert [(each.entry_point, error in each.error) for each in registry.broken] == [("bad", True)], registry.broken
    assert registry.names("detector") == ["other"]


def test_of_two_of_one_name_the_first_stays(found: Found):
    registry = found(a=DETECTOR + HOOK, b=DETECTOR.replace("epochs: int = 3", "epochs: int = 4") + HOOK)
    assert registry.get("detector", "some").plugin().epochs == 3
    assert [each.error for each in registry.broken] == ["detector 'some': the name is in use by ?"]


def test_a_suite_that_names_a_broken_one_gets_its_error(found: Found, tmp_path: Path):
    registry = found(bad="import nothing_of_the_kind", good=DETECTOR + HOOK)
    (tmp_path / "some.toml").write_text('[[detectors]]\nuse = "sone"\n[[detectors]]\nuse = "some"\n')
    with pytest.raises(SuiteError) as caught:
        read_suite(tmp_path / "some.toml", registry)
    named = next(problem for problem in caught.value.problems if "detectors[0]" in problem)
    assert named.endswith("did you mean 'some'?; bad is broken: ModuleNotFoundError: No module named 'nothing_of_the_kind'")
    assert not any("detectors[1]" in problem for problem in caught.value.problems)


def test_shipped_checkpoints_are_named_once(found: Found, tmp_path: Path):
    hook = """
from pathlib import Path
@hookimpl
def synthbench_checkpoints():
    return {name: Path(__file__).with_name(file) for name, file in %s.items()}
"""
    (tmp_path / "weights").touch()
    registry = found(a=hook % {"tiny": "weights", "some/one": "weights", "lost": "nothing"}, b=hook % {"tiny": "weights"})
    assert registry.checkpoints == {"tiny": tmp_path / "weights"}
    assert [each.error.split(":")[0] for each in registry.broken] == ["checkpoint 'some/one'", "checkpoint 'lost'", "checkpoint 'tiny'"]


def test_an_unknown_name_is_told_with_what_is_there():
    with pytest.raises(SynthbenchError, match=r"no detector named 'fake-treshold' is installed, did you mean 'fake-threshold'\?"):
        installed().get("detector", "fake-treshold")


def test_a_suite_that_names_one_broken_thing_gets_its_error_alone(found: Found):
    registry = found(a=DETECTOR.replace("predict", "predikt") + HOOK)
    with pytest.raises(SynthbenchError, match=r"a is broken: detector 'some': lacks predict$"):
        registry.get("detector", "some")
    with pytest.raises(SynthbenchError) as caught:
        registry.get("detector", "other")
    assert "broken" not in str(caught.value)


def test_the_plugins_of_the_core_are_sound():
    assert not [each for each in installed().broken if each.distribution in ("synthbench", "synthbench-fakes")]
    assert {("annotator", "native"), ("annotator", "teacher"), ("data-source", "coco")} <= {*installed().found}
