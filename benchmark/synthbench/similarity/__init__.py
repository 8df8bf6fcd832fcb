"""How alike images and their boxes are: near-duplicates, distances between sets, and images that differ most.

Pure functions over arrays: nothing here reads files or knows where images come from.
"""

from synthbench.similarity.boxes import box_distances
from synthbench.similarity.distances import density_and_coverage, frechet, image_distances, kernel, wasserstein
from synthbench.similarity.duplicates import Fingerprint, Pair, fingerprint, near_duplicates
from synthbench.similarity.variety import farthest_first

__all__ = [
    "Fingerprint",
    "Pair",
    "box_distances",
    "density_and_coverage",
    "farthest_first",
    "fingerprint",
    "frechet",
    "image_distances",
    "kernel",
    "near_duplicates",
    "wasserstein",
]
