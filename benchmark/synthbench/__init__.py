"""synthbench: can images from a fine-tuned diffusion model replace the photographs you don't have?

What plugins and scripts need is here, each name loaded on first use (PEP 562), so that importing this package takes no time.
The other packages are the harness's own.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not from typing: importing this package takes next to no time
if TYPE_CHECKING:
    from synthbench.contract.box_sources import BoxSource, FromAnnotator, FromDetector, FromGenerator, FromPeople, NoBoxes
    from synthbench.contract.environment import Environment
    from synthbench.contract.fetching import RemoteFile
    from synthbench.contract.hookspecs import (
        Annotator,
        BoxChecker,
        DataSource,
        Detector,
        Exporter,
        FeatureReader,
        FeatureSpace,
        Generator,
        Locator,
        hookimpl,
    )
    from synthbench.contract.onnx import OnnxInput
    from synthbench.contract.options import EntryName, Weights, option
    from synthbench.contract.remote import Remote
    from synthbench.contract.training import curve_steps, training_batches
    from synthbench.contract.types import (
        Boxes,
        ImageSet,
        Picture,
        PublishedScore,
        Rejected,
        Run,
        Sample,
        SampleRequest,
        Splits,
        derive_seed,
    )
    from synthbench.contract.unpacking import unpack
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
    from synthbench.data.coco import CocoFolder
    from synthbench.errors import SynthbenchError
    from synthbench.experiment import Experiment, plan, report, run
    from synthbench.results.model import Results

__version__ = "0.1.0"

_HOMES = {
    "contract.box_sources": ("BoxSource", "FromAnnotator", "FromDetector", "FromGenerator", "FromPeople", "NoBoxes"),
    "contract.environment": ("Environment",),
    "contract.fetching": ("RemoteFile",),
    "contract.hookspecs": (
        "Annotator",
        "BoxChecker",
        "DataSource",
        "Detector",
        "Exporter",
        "FeatureReader",
        "FeatureSpace",
        "Generator",
        "Locator",
        "hookimpl",
    ),
    "contract.onnx": ("OnnxInput",),
    "contract.options": ("EntryName", "Weights", "option"),
    "contract.remote": ("Remote",),
    "contract.training": ("curve_steps", "training_batches"),
    "contract.types": (
        "Boxes",
        "ImageSet",
        "Picture",
        "PublishedScore",
        "Rejected",
        "Run",
        "Sample",
        "SampleRequest",
        "Splits",
        "derive_seed",
    ),
    "contract.unpacking": ("unpack",),
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
    "data.coco": ("CocoFolder",),
    "errors": ("SynthbenchError",),
    "experiment": ("Experiment", "plan", "report", "run"),
    "results.model": ("Results",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Annotator",
    "BoxChecker",
    "BoxSource",
    "Boxes",
    "CocoFolder",
    "DataSource",
    "Detector",
    "EntryName",
    "Environment",
    "Experiment",
    "Exporter",
    "FeatureReader",
    "FeatureSpace",
    "FromAnnotator",
    "FromDetector",
    "FromGenerator",
    "FromPeople",
    "Generator",
    "ImageSet",
    "Locator",
    "NoBoxes",
    "OnnxInput",
    "Picture",
    "PublishedScore",
    "Rejected",
    "Remote",
    "RemoteFile",
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
    "unpack",
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
