"""synthbench: can images from a fine-tuned diffusion model replace the photographs you don't have?

What a plugin needs is here; the rest of the package is the harness's own.
"""

from synthbench.errors import SynthbenchError
from synthbench.hookspecs import Environment, hookimpl
from synthbench.options import Weights, option
from synthbench.types import Boxes, Brief, ImageSet, Picture, Run, Sample, Splits, derive_seed

__all__ = [
    "Boxes",
    "Brief",
    "Environment",
    "ImageSet",
    "Picture",
    "Run",
    "Sample",
    "Splits",
    "SynthbenchError",
    "Weights",
    "derive_seed",
    "hookimpl",
    "option",
]
__version__ = "0.1.0"
