"""Finding plugins: a broken one is listed with its error, hurts the suite that names it, and ends nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from synthbench.errors import SuiteError, SynthbenchError
from synthbench.registry import Registry, discover, installed
from synthbench.suite.reader import read_suite
from synthbench_fakes import SUITE

HEAD = """
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar, TYPE_CHECKING
from synthbench import hookimpl, option
from synthbench.contract.hookspecs import Detector

from pathlib import Path

if TYPE_CHECKING:
    from fractions import Fraction
"""
FIRST_LINE = len(HEAD.splitlines()) + 1
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
ANNOTATOR = DETECTOR.replace("train(self, data, run)", "annotate(self, images, references, run)").replace(
    "predict(self, fitted, images, run)", "boxes_from(self)"
) + HOOK.replace("detectors", "annotators")
PluginInfo = Callable[..., Registry]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PluginInfo:
    """The registry of modules with these sources, in the order of their names."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def found(**sources: str) -> Registry:
        for name, source in sources.items():
            monkeypatch.delitem(sys.modules, f"plugin_{name}", raising=False)
            (tmp_path / f"plugin_{name}.py").write_text(HEAD + source)
        return discover([EntryPoint(name, f"plugin_{name}", "synthbench") for name in sources])

    return found


def test_a_sound_plugin_is_found(found: PluginInfo) -> None:
    registry = found(good=DETECTOR + HOOK)
    assert registry.broken == []
    assert registry.names("detector") == ["some"]
    assert registry.get("detector", "some").cls().epochs == 3


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
        (DETECTOR.replace('name: ClassVar[str] = "some"', "") + HOOK, "detector Some: lacks name"),
        (DETECTOR.replace("frozen=True, ", "") + HOOK, "detector 'some': its class is not a frozen dataclass"),
        (DETECTOR.replace("@dataclass(frozen=True, kw_only=True)", "") + HOOK, "its class is not a frozen dataclass"),
        (DETECTOR.replace("epochs: int", "epochs: Fraction") + HOOK, "the types of its options cannot be read: name 'Fraction'"),
        (DETECTOR.replace("epochs: int", "epochs: int[3]") + HOOK, "the types of its options cannot be read: "),
        (DETECTOR.replace('"some"', '"some one"') + HOOK, "name should be letters, digits and '_.+-', not 'some one'"),
        (DETECTOR.replace("ClassVar[int] = 1", "ClassVar[str] = '1.0'") + HOOK, "version should be a whole number, not '1.0'"),
        (DETECTOR.replace("version: ClassVar[int]", "version: int") + HOOK, "version is an option; annotate it as ClassVar, or not at all"),
        (DETECTOR.replace('"MIT"', "None") + HOOK, "detector 'some': lacks license"),
        (DETECTOR.replace('"MIT"', '" "') + HOOK, "license should be an SPDX expression, not ' '"),
        (DETECTOR.replace("self, data, run", "self, data") + HOOK, "'some': train(self, data) should be train(self, data, run)"),
        (
            DETECTOR.replace("self, data, run", "self, data, run, *, log") + HOOK,
            "train(self, data, run, *, log) should be train(self, data, run)",
        ),
        (DETECTOR.replace("self, data, run", "self, run, data") + HOOK, "train(self, run, data) should be train(self, data, run)"),
        (
            DETECTOR.replace("(self, data, run): ...", "(self, data): ...").replace("fitted, images", "images: list[int]") + HOOK,
            "train(self, data) should be train(self, data, run); predict(self, images, run) should be predict(self, fitted, images, run)",
        ),
        (
            DETECTOR.replace("def train(self, data, run): ...", "train = 3") + HOOK,
            "train should be a method, train(self, data, run), not 3",
        ),
        (DETECTOR.replace("def train", "async def train") + HOOK, "train is async, but the core does not await it"),
        (
            DETECTOR.replace("run): ...", "run): yield", 1) + HOOK,
            "train is a generator function, but the core does not iter",
        ),
        (
            DETECTOR.replace("class Some", "class Some(Detector)").replace("def predict", "def predikt") + HOOK,
            "detector 'some': lacks predict",
        ),
        (
            DETECTOR.replace("train(self, data, run)", "annotate(self, images, references, run)") + HOOK.replace("detectors", "annotators"),
            "annotator 'some': lacks boxes_from",
        ),
        (ANNOTATOR, "annotator 'some': boxes_from should be a property, not a method"),
        (ANNOTATOR.replace("boxes_from(self)", "needs_features(self)"), "needs_features should be a property, not a method"),
        (
            DETECTOR.replace("train(self, data, run)", "fit(self, references, run)").replace(
                "predict(self, fitted, images", "sample(self, fitted, request"
            )
            + "    def locate(self, images, run): ...\n"
            + HOOK.replace("detectors", "generators"),
            "generator 'some': locate(self, images, run) should be locate(self, fitted, images, run)",
        ),
        (DETECTOR + "    smoke_options = {'epoks': 1}" + HOOK, "smoke_options: unknown option 'epoks', did you mean 'epochs'?"),
        (DETECTOR + "    smoke_options = 'epochs'" + HOOK, "smoke_options should be a mapping of options to values, not 'epochs'"),
        (
            DETECTOR.replace("epochs: int = 3", "epochs: int = option(3, stage='sample')") + HOOK,
            "epochs: option(…, stage='sample'), but stage can be 'predict'",
        ),
        (
            ANNOTATOR.replace("boxes_from(self)", "train(self, data, run)").replace(
                "epochs: int = 3", "epochs: int = option(3, stage='predict')"
            ),
            "epochs: option(…, stage='predict'), but stage has no meaning for this kind of plugin",
        ),
        (DETECTOR + "    renamed_options = {'epoch': 'epoks'}" + HOOK, "renamed_options: no option 'epoks', did you mean 'epochs'?"),
        (
            DETECTOR + "    replaced_options = {'steps': 3}" + HOOK,
            "replaced_options should be a mapping of old names to what to do instead",
        ),
        (DETECTOR + "    seeded = 'no'" + HOOK, "seeded should be True or False, not 'no'"),
        (DETECTOR + "    def environment(self): ..." + HOOK, "environment should be an Environment, None, or a property"),
        (
            DETECTOR + HOOK.replace("(Some,)", "Some"),
            "synthbench_detectors: expected a sequence of classes, as in (This, That), got <class",
        ),
        (DETECTOR + HOOK.replace("(Some,)", "None"), "synthbench_detectors: expected a sequence of classes, as in (This, That), got None"),
        (
            DETECTOR + HOOK.replace("(Some,)", "'some'"),
            "synthbench_detectors: expected a sequence of classes, as in (This, That), got 'some'",
        ),
        (DETECTOR + HOOK.replace("_detectors", "_checkpoints"), "synthbench_checkpoints: expected a mapping of names to paths, got "),
        (DETECTOR + HOOK.replace("@hookimpl", ""), "synthbench_detectors is not marked with @hookimpl"),
        (DETECTOR, "contains no plugin: no function is marked with @hookimpl; the hooks are synthbench_data_sources, "),
        (DETECTOR + HOOK.replace("detectors()", "detectors(register)"), "Argument(s) {'register'} are declared in the hookimpl but"),
        ("class Panic(BaseException): ...\nraise Panic('in native code')", "Panic: in native code"),
    ],
)
def test_a_broken_plugin_is_listed_with_its_error_and_ends_nothing(found: PluginInfo, source: str, error: str) -> None:
    registry = found(bad=source, good=DETECTOR.replace('"some"', '"other"') + HOOK)
    assert [(each.entry_point, error in each.error) for each in registry.broken] == [("bad", True)], registry.broken
    assert registry.names("detector") == ["other"]


@pytest.mark.parametrize(
    "method",
    [
        "def train(self, images, _run): ...",
        "def train(self, data, run, *, log=print, **more): ...",
        "def train(self, *both): ...",
        "def train(me, data, /, run, times=3): ...",
        "@staticmethod\n    def train(data, run): ...",
        "@classmethod\n    def train(cls, data, run): ...",
        "train = lambda self, data, run: None",
        "train = partialmethod(lambda self, times, data, run: None, 3)",
        "@cached_property\n    def environment(self): ...\n    def train(self, data, run): ...",
        "environment = None\n    smoke_options = {'epochs': 1}\n    seeded = False\n    def train(self, data, run): ...",
    ],
)
def test_whatever_the_core_can_call_is_sound(found: PluginInfo, method: str) -> None:
    imports = "from functools import cached_property, partialmethod\n"
    assert found(a=imports + DETECTOR.replace("def train(self, data, run): ...", method) + HOOK).broken == []


def test_the_location_of_an_error_is_shown(found: PluginInfo, tmp_path: Path) -> None:
    (tmp_path / "deeper.py").write_text("\n1 / 0\n")
    registry = found(
        deep="import deeper",
        lost=DETECTOR.replace("predict", "predikt") + HOOK,
        none=DETECTOR + HOOK.replace("(Some,)", "None"),
        raises=HOOK.replace("(Some,)", "[][0]"),
        syntax="\n1 +",
    )
    ours = {each.entry_point: each.location.removeprefix(f"{tmp_path}/") for each in registry.broken}
    detector = len(DETECTOR.splitlines())
    assert ours == {
        "deep": "deeper.py:2",
        "lost": f"plugin_lost.py:{FIRST_LINE + 1}",
        "none": f"plugin_none.py:{FIRST_LINE + detector + 1}",
        "raises": f"plugin_raises.py:{FIRST_LINE + 3}",
        "syntax": f"plugin_syntax.py:{FIRST_LINE + 1}",
    }


def test_a_broken_class_or_hook_does_not_take_its_neighbours_along(found: PluginInfo) -> None:
    nameless = DETECTOR.replace("Some", "Nameless").replace("name: ClassVar", "nom: ClassVar")
    hooks = HOOK.replace("(Some,)", "(Nameless, Some)") + HOOK.replace("detectors", "generators").replace("(Some,)", "1 / 0")
    registry = found(a=DETECTOR + nameless + hooks)
    assert registry.names("detector") == ["some"]
    assert [each.error for each in registry.broken] == [
        "synthbench_generators: ZeroDivisionError: division by zero",
        "detector Nameless: lacks name",
    ]


def test_a_class_that_is_registered_twice_is_there_once(found: PluginInfo) -> None:
    registry = found(a=DETECTOR + HOOK.replace("(Some,)", "(Some, Some)"), b="from plugin_a import *\n" + HOOK)
    assert registry.names("detector") == ["some"]
    assert [(each.entry_point, each.error) for each in registry.broken] == [
        ("a", "detector 'some': registered twice, by the same distribution"),
        ("b", "detector 'some': registered twice, by the same distribution"),
    ]


def test_ctrl_c_while_a_plugin_is_imported_is_the_users(found: PluginInfo) -> None:
    with pytest.raises(KeyboardInterrupt):
        found(a="raise KeyboardInterrupt")


def test_of_two_of_one_name_the_first_stays(found: PluginInfo) -> None:
    registry = found(a=DETECTOR + HOOK, b=DETECTOR.replace("epochs: int = 3", "epochs: int = 4") + HOOK)
    assert registry.get("detector", "some").cls().epochs == 3
    assert [each.error for each in registry.broken] == ["detector 'some': the name is in use by ?"]


def test_a_suite_that_names_a_broken_one_gets_its_error(found: PluginInfo, tmp_path: Path) -> None:
    registry = found(bad="import nothing_of_the_kind", good=DETECTOR + HOOK)
    (tmp_path / "some.toml").write_text('[[detectors]]\nuse = "sone"\n[[detectors]]\nuse = "some"\n')
    with pytest.raises(SuiteError) as caught:
        read_suite(tmp_path / "some.toml", registry)
    named = next(problem for problem in caught.value.problems if "detectors[0]" in problem)
    error = "ModuleNotFoundError: No module named 'nothing_of_the_kind'"
    assert named.endswith(f"did you mean 'some'?; bad is broken: {error} ({tmp_path / 'plugin_bad.py'}:{FIRST_LINE})")
    assert not any("detectors[1]" in problem for problem in caught.value.problems)


def test_shipped_checkpoints_are_named_once(found: PluginInfo, tmp_path: Path) -> None:
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


def test_an_unknown_name_is_told_with_what_is_there() -> None:
    with pytest.raises(SynthbenchError, match=r"no detector named 'fake-treshold' is installed, did you mean 'fake-threshold'\?"):
        installed().get("detector", "fake-treshold")


def test_a_suite_that_names_one_broken_thing_gets_its_error_alone(found: PluginInfo) -> None:
    registry = found(a=DETECTOR.replace("predict", "predikt") + HOOK)
    with pytest.raises(SynthbenchError, match=r"a is broken: detector 'some': lacks predict \(.*plugin_a.py:\d+\)$"):
        registry.get("detector", "some")
    with pytest.raises(SynthbenchError) as caught:
        registry.get("detector", "other")
    assert "broken" not in str(caught.value)


def test_the_plugins_of_the_core_are_sound() -> None:
    assert not [each for each in installed().broken if each.distribution in ("synthbench", "synthbench-fakes")]
    assert {("annotator", "native"), ("annotator", "teacher"), ("data-source", "coco")} <= {*installed().found}


class Site:
    """A folder of installed distributions, and the command line where it is on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, name: str, source: str, entry_points: str = "[synthbench]\n{name} = {name}\n", metadata: bool = True) -> None:
        (self.folder / f"{name}.py").write_text(HEAD + source)
        about = self.folder / f"{name}-2.0.dist-info"
        about.mkdir()
        (about / "entry_points.txt").write_text(entry_points.format(name=name))
        if metadata:
            (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")

    def typed(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # Twice on the path, as it is easily.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(self.folder), str(self.folder), os.environ["PYTHONPATH"]])}
        command = [sys.executable, "-m", "synthbench", *arguments]
        return subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, check=False)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_installed_distributions_that_are_broken_are_listed_and_hurt_nobody(site: Site) -> None:
    site.install("alone", DETECTOR.replace('"some"', '"alone"') + HOOK)
    site.install("again", "from alone import *\n" + HOOK)
    site.install("taker", DETECTOR.replace('"some"', '"fake-threshold"') + HOOK)
    site.install("builtin", DETECTOR.replace('"some"', '"builtin"') + HOOK, "[synthbench]\nbuiltin = builtin\nbuiltin2 = builtin\n")
    site.install("chatty", "print('hello')\nimport sys\nsys.exit('bye')")
    site.install("absent", "", "[synthbench]\nabsent = nothing_of_the_kind\n")
    site.install("nobody", "import nothing_of_the_kind", metadata=False)
    site.install("garbled", "", "[other]\nno equals sign\n")
    site.install("signless", "", "[synthbench]\nno equals sign\n")
    site.install("foreign", DETECTOR.replace('"some"', '"foreign"') + HOOK)
    (site.folder / "foreign-2.0.dist-info" / "METADATA").write_bytes("Name: f\xf6reign\n".encode("latin-1"))
    told = site.typed("plugins", "--json")
    assert told.returncode == 0
    assert "hello" in told.stderr
    listed = json.loads(told.stdout)
    ours = {each["name"]: each["distribution"] for each in listed["plugins"]}
    assert ours["foreign"].startswith("? ")
    assert "signless-2.0.dist-info" in {each["distribution"] for each in listed["broken"]}
    assert (ours["alone"], ours["builtin"], ours["fake-threshold"]) == ("again 2.0", "builtin 2.0", "synthbench-fakes 1.0")
    names = ("alone", "taker", "builtin", "chatty", "absent", "nobody", "?")
    assert {(each["distribution"], each["entry_point"], each["error"]) for each in listed["broken"] if each["distribution"] in names} == {
        ("absent", "absent", "ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        ("alone", "alone", "detector 'alone': registered twice, by again first"),
        ("builtin", "builtin2", "detector 'builtin': registered twice, by the same distribution"),
        ("chatty", "chatty", "SystemExit: bye"),
        ("?", "nobody", "ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        ("taker", "taker", "detector 'fake-threshold': the name is in use by synthbench-fakes"),
    }
    assert f"({site.folder / 'chatty.py'}:{FIRST_LINE + 2})" in site.typed("plugins").stdout


def test_a_suite_runs_beside_broken_plugins_unless_it_names_one(site: Site) -> None:
    site.install("absent", "import nothing_of_the_kind")
    site.install("wrong", DETECTOR.replace('"some"', '"wrong"').replace("self, data, run", "self, data") + HOOK)
    small = ["--set", 'baselines=["references"]', "--set", "mix=[]", "--set", "generators=[]", "--set", "annotators=[]", "--device", "cpu"]
    ran = site.typed("run", str(SUITE), *small, "--workers", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "cells 2/2" in ran.stdout
    named = site.typed("run", str(SUITE), *small, "--set", "detectors.strict.use=wrong")
    assert (named.returncode, named.stdout) == (2, "")
    error = "wrong is broken: detector 'wrong': train(self, data) should be train(self, data, run)"
    assert f"{error} ({site.folder / 'wrong.py'}:{FIRST_LINE + 1})" in named.stderr
    assert "Traceback" not in named.stderr
