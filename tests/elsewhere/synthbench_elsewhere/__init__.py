"""A detector that needs what numpy 2 took away, so it runs in an environment of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from synthbench import Boxes, Environment, ImageSet, Run, hookimpl

if TYPE_CHECKING:
    from synthbench.contract.hookspecs import Detector


@dataclass(frozen=True, kw_only=True)
class Brightest:
    """One box around the reddest pixels of an image."""

    name: ClassVar[str] = "fake-elsewhere"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    environment: ClassVar[Environment] = Environment(dependencies=("numpy==1.26.4",))

    share: float = 0.8

    def train(self, data: ImageSet, run: Run) -> None:
        import numpy as np

        reddest = [picture.pixels()[..., 0].max() for picture in run.track(data, "train", unit="images")]
        least = np.float_(np.mean(reddest)) * self.share  # type: ignore[attr-defined]
        (run.workdir / "model.json").write_text(json.dumps({"least": float(least)}))

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        import numpy as np

        least = json.loads((fitted / "model.json").read_text())["least"]
        for picture in images:
            y, x = np.nonzero(picture.pixels()[..., 0] >= least)
            yield Boxes.of([(x.min(), y.min(), x.max() + 1, y.max() + 1)] if len(x) else [])


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    return (Brightest,)
