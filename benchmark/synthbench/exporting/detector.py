"""A trained detector as files: those that its plugin wrote, and ONNX with a script that runs it where its library is not."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from synthbench.contract.environment import environment_of
from synthbench.contract.options import configure
from synthbench.contract.types import Boxes, ImageSet
from synthbench.errors import SynthbenchError
from synthbench.execution.stage_run import StageRun
from synthbench.exporting import detect, onnx_check
from synthbench.registry import Registry
from synthbench.results.model import EntryInfo

RECORD = "stage.json"


class NotExported(Exception):
    """Why there is no ONNX file."""


@dataclass(frozen=True)
class Onnx:
    """What came of the ONNX file. checked: against the run. problem: why there is no file, or why it was not checked."""

    written: bool
    checked: onnx_check.Checked | None = None
    problem: str = ""


def copy_own(trained: Path, folder: Path) -> None:
    """Copies what the plugin left after training."""
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns(RECORD))


def write_onnx(entry: EntryInfo, trained: Path, folder: Path, images: ImageSet, predicted: list[Boxes], registry: Registry) -> Onnx:
    """Writes `detector.onnx`, `detector.json` and `detect.py`, and compares its boxes with those of the run.

    images: the test images. predicted: the run's boxes for them. What cannot be done is told, not raised. A file that gives other
    boxes is deleted.
    """
    try:
        write_file(plugin_of(entry, registry), trained, folder, images.categories)
        checked = onnx_check.check(folder, images, predicted)
    except NotExported as error:
        return Onnx(False, problem=str(error))
    except ModuleNotFoundError as error:
        return Onnx(True, problem=f"not checked, since {error.name} is not installed: pip install 'synthbench[onnx]'")
    except Exception as error:  # onnxruntime's errors have no common base class
        remove_onnx(folder)
        return Onnx(False, problem=f"onnxruntime cannot run what was written ({first_line(error)})")
    if not checked.holds:
        remove_onnx(folder)
        return Onnx(False, problem=f"it gave other boxes than the run, so it was deleted: {checked}")
    return Onnx(True, checked)


def plugin_of(entry: EntryInfo, registry: Registry) -> Any:
    """The plugin of an entry with the options of the report. Raises NotExported if it is not installed or of another version."""
    try:
        info = registry.get("detector", entry.plugin)
    except SynthbenchError as error:
        raise NotExported(str(error)) from error
    plugin, problems = configure(info.cls, entry.options)
    if plugin is None:
        raise NotExported(f"{entry.name}: its options are not those of the installed version: {'; '.join(problems)}")
    if info.cls.version != entry.version:
        raise NotExported(f"{entry.name} is of version {entry.version} of {entry.plugin}, and version {info.cls.version} is installed")
    return plugin


def write_file(plugin: Any, trained: Path, folder: Path, categories: tuple[str, ...]) -> None:
    """Has the plugin write its ONNX file, with the description and the script beside it. Raises NotExported."""
    if not hasattr(plugin, "export"):
        raise NotExported(f"{plugin.name} has no export to ONNX")
    if environment_of(plugin) is not None:
        raise NotExported(f"{plugin.name} runs in an environment of its own, where nothing is exported")
    try:
        with tempfile.TemporaryDirectory() as workdir, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's tracer, about every shape
            made = plugin.export(trained, categories, folder / "detector.onnx", StageRun(Path(workdir)))
    except SynthbenchError as error:
        raise NotExported(str(error)) from error
    except ImportError as error:
        raise NotExported(f"it needs the package {error.name or first_line(error)}: pip install 'synthbench[onnx]'") from error
    except Exception as error:  # a plugin's library may raise anything
        raise NotExported(f"{type(error).__name__}: {first_line(error)}") from error
    about = {**asdict(made), "categories": list(categories), "detector": plugin.name, "license": plugin.license}
    (folder / "detector.json").write_text(json.dumps(about, indent=1))
    shutil.copyfile(Path(detect.__file__), folder / "detect.py")


def first_line(error: Exception) -> str:
    """What an error says, shortened."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def remove_onnx(folder: Path) -> None:
    """Deletes what `write_onnx` wrote."""
    for name in ("detector.onnx", "detector.json", "detect.py"):
        (folder / name).unlink(missing_ok=True)
