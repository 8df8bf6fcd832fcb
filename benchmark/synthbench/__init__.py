"""synthbench: can images from a fine-tuned diffusion model replace the photographs you don't have?

What plugins and scripts need is here, each name loaded on first use (PEP 562), so that importing this package takes no time.
The other packages are the harness's own.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not from typing: importing this package takes next to no time
if TYPE_CHECKING:
    from synthbench.contract.box_sources import BoxSource, FromAnnotator, FromDetector, FromGenerator, NoBoxes
    from synthbench.contract.environment import Environment
    from synthbench.contract.hookspecs import Annotator, DataSource, Detector, FeatureSpace, Generator, Locator, hookimpl
    from synthbench.contract.options import EntryName, Weights, option
    from synthbench.contract.training import curve_steps, training_batches
    from synthbench.contract.types import Boxes, ImageSet, Picture, Rejected, Run, Sample, SampleRequest, Splits, derive_seed
    from synthbench.contract.weights import (
        check_pickle,
        fetched,
        find_weights,
        hub_file,
        is_address,
        is_hub_id,
        read_weights,
        split_revision,
    )
    from synthbench.errors import SynthbenchError
    from synthbench.experiment import Experiment, plan, report, run
    from synthbench.results.model import Results

__version__ = "0.1.0"

_HOMES = {
    "contract.box_sources": ("BoxSource", "FromAnnotator", "FromDetector", "FromGenerator", "NoBoxes"),
    "contract.environment": ("Environment",),
    "contract.hookspecs": ("Annotator", "DataSource", "Detector", "FeatureSpace", "Generator", "Locator", "hookimpl"),
    "contract.options": ("EntryName", "Weights", "option"),
    "contract.training": ("curve_steps", "training_batches"),
    "contract.types": ("Boxes", "ImageSet", "Picture", "Rejected", "Run", "Sample", "SampleRequest", "Splits", "derive_seed"),
    "contract.weights": (
        "check_pickle",
        "fetched",
        "find_weights",
        "hub_file",
        "is_address",
        "is_hub_id",
        "read_weights",
        "split_revision",
    ),
    "errors": ("SynthbenchError",),
    "experiment": ("Experiment", "plan", "report", "run"),
    "results.model": ("Results",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Annotator",
    "BoxSource",
    "Boxes",
    "DataSource",
    "Detector",
    "EntryName",
    "Environment",
    "Experiment",
    "FeatureSpace",
    "FromAnnotator",
    "FromDetector",
    "FromGenerator",
    "Generator",
    "ImageSet",
    "Locator",
    "NoBoxes",
    "Picture",
    "Rejected",
    "Results",
    "Run",
    "Sample",
    "SampleRequest",
    "Splits",
    "SynthbenchError",
    "Weights",
    "check_pickle",
    "curve_steps",
    "derive_seed",
    "fetched",
    "find_weights",
    "hookimpl",
    "hub_file",
    "is_address",
    "is_hub_id",
    "option",
    "plan",
    "read_weights",
    "report",
    "run",
    "split_revision",
    "training_batches",
]


def __getattr__(name: str) -> object:
    """Loads a public name from the module that defines it."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'synthbench' has no attribute '{name}'")
    import importlib

    value: object = getattr(importlib.import_module(f"synthbench.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
