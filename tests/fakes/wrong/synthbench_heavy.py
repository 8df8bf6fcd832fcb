"""A plugin whose loading imports what takes long to import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from synthbench import hookimpl
from synthbench_fakes import Threshold

if TYPE_CHECKING:
    from synthbench.contract.hookspecs import Detector


@dataclass(frozen=True, kw_only=True)
class Heavy(Threshold):
    name: ClassVar[str] = "heavy"

    margin: float = float(np.float64(0))


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    return (Heavy,)
