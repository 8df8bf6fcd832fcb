"""How long `synthbench plugins` takes where 200 distributions are installed, 20 of them broken: whole processes, medians.

    uv run python tests/performance/bench_plugins.py

They are made in a temporary folder, which PYTHONPATH puts before this environment's own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 9
INSTALLED, BROKEN = 200, 20
SYNTHBENCH = Path(sys.executable).with_name("synthbench")
SOUND = '''
"""A detector with a few options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import Boxes, ImageSet, Run, Weights, hookimpl, option

if TYPE_CHECKING:
    from synthbench.contract.hookspecs import Detector

Count = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True, kw_only=True)
class Finds:
    """Finds objects, as a contributed detector might."""

    name: ClassVar[str] = "NAME"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    weights: Weights = ""
    backbone: Literal["small", "large"] = "small"
    image_size: Annotated[int, Meta(ge=64)] = 256
    epochs: Count = 12
    batch: Count = 8
    learning_rate: Annotated[float, Meta(gt=0)] = 1e-3
    anchors: tuple[float, ...] = ()
    score: Annotated[float, Meta(ge=0, le=1)] = option(0.05, stage="predict")

    def train(self, data: ImageSet, run: Run) -> None:
        from synthbench_there_is_no_such_module import train

        train(self, data, run)

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        yield Boxes.none()


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    return (Finds,)
'''
WAYS = (  # to be broken: what to replace in the source, and by what
    ("Count = ", "import nothing_of_the_kind\n\nCount = "),
    ("Count = ", "1 +\n\nCount = "),
    ("Count = ", "raise SystemExit('no GPU')\n\nCount = "),
    ("return (Finds,)", "return (Finds, Finds)"),
    ("return (Finds,)", "return Finds"),
    ("def predict", "def predikt"),
    ("train(self, data: ImageSet, run: Run)", "train(self, data: ImageSet)"),
    ('"NAME"', '"plugin_0"'),
    ("version: ClassVar[int] = 1", 'version: ClassVar[str] = "1.0"'),
    ("def synthbench_detectors", "def synthbench_detektors"),
)


def install(folder: Path) -> None:
    """Makes the distributions; the first is sound."""
    for number in range(INSTALLED):
        name, source = f"plugin_{number}", SOUND
        if number % (INSTALLED // BROKEN) == 1:
            source = source.replace(*WAYS[number // (INSTALLED // BROKEN) % len(WAYS)])
        (folder / f"{name}.py").write_text(source.replace("NAME", name))
        about = folder / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "entry_points.txt").write_text(f"[synthbench]\n{name} = {name}\n")
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: synthbench\n\n" + "Words.\n" * 200
        )


def environment(path: str) -> dict[str, str]:
    """This process's, with a path; modules may be compiled once, as an installer does."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPATH": path}


def seconds(command: list[str], path: str = "") -> float:
    """The median wall time of a command over `RUNS` runs, after one that is not counted: it compiles what was written."""
    times = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(path))
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> None:
    """Prints a line for each command, then how many plugins it listed."""
    listing = [str(SYNTHBENCH), "plugins"]
    with tempfile.TemporaryDirectory() as folder:
        install(Path(folder))
        bare, plain, full = seconds([sys.executable, "-c", "pass"]), seconds(listing), seconds(listing, folder)
        told = subprocess.run([*listing, "--json"], check=True, capture_output=True, env=environment(folder)).stdout
    ours = {each: [one for one in json.loads(told)[each] if "plugin_" in one["distribution"]] for each in ("plugins", "broken")}
    broken = {each["distribution"] for each in ours["broken"]}
    assert len(broken) == BROKEN, f"{len(broken)} of {BROKEN} were found to be broken"
    print(f"{'python -c pass':<46} {bare:6.3f} s")
    print(f"{'synthbench plugins, this environment':<46} {plain:6.3f} s  {plain / bare:5.1f} x bare")
    print(f"{f'synthbench plugins, {INSTALLED} more, {BROKEN} of them broken':<46} {full:6.3f} s  {full / bare:5.1f} x bare")
    print(f"{len(ours['plugins'])} plugins found sound in them, {len(ours['broken'])} errors told")


if __name__ == "__main__":
    main()
