"""Distances between two sets: of features (N, D), or of single values.

Features are points of one feature space, such as a network's last layer. Figures of different feature spaces cannot be compared,
nor can Frechet distances of different numbers of images: its bias is positive and about proportional to 1 / N (Binkowski et al.,
arXiv 1801.01401, section 4; Chong and Forsyth, arXiv 1911.07023). With fewer images than dimensions, the covariance
matrices are singular, and most of the distance may be bias. The kernel distance is unbiased.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Features = NDArray[np.floating]

NEIGHBOURS = 5  # Naeem et al.'s k


def image_distances(real: Features, generated: Features) -> dict[str, float]:
    """All distances of features: `frechet`, `kernel`, `density`, `coverage`. Empty if a set has fewer than two images."""
    if min(len(real), len(generated)) < 2:
        return {}
    density, coverage = density_and_coverage(real, generated)
    return {"frechet": frechet(real, generated), "kernel": kernel(real, generated), "density": density, "coverage": coverage}


def frechet(first: Features, second: Features) -> float:
    """The Frechet distance of Gaussians fitted to features (N, D) and (M, D) (Heusel et al., arXiv 1706.08500). N, M >= 2.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). With the centred features X and Y, C1 C2 has the eigenvalues of
    (X Y^T) (X Y^T)^T / ((N - 1) (M - 1)), so the trace of its root is the sum of the singular values of X Y^T, an N x M matrix.
    """
    one, other = _checked(first, second)
    means = one.mean(0), other.mean(0)
    one, other = one - means[0], other - means[1]
    variances = np.square(one).sum() / (len(one) - 1) + np.square(other).sum() / (len(other) - 1)
    root = np.linalg.svd(one @ other.T, compute_uv=False).sum() / np.sqrt((len(one) - 1) * (len(other) - 1))
    return float(max(np.square(means[0] - means[1]).sum() + variances - 2 * root, 0.0))


def kernel(first: Features, second: Features) -> float:
    """The unbiased squared maximum mean discrepancy with the kernel (x y / D + 1)^3 (Binkowski et al., arXiv 1801.01401).

    Of features (N, D) and (M, D), N, M >= 2, all at once: no mean over subsets. It may be negative.
    """
    one, other = _checked(first, second)
    within = 0.0
    for each in (one, other):
        similar = _cubic(each, each)
        within += (similar.sum() - np.trace(similar)) / (len(each) * (len(each) - 1))
    return float(within - 2 * _cubic(one, other).mean())


def density_and_coverage(real: Features, generated: Features, neighbours: int = NEIGHBOURS) -> tuple[float, float]:
    """Density and coverage of generated features (M, D) around real ones (N, D) (Naeem et al., arXiv 2002.09797, equations 4 and 5).

    The ball of a real image reaches to its k-th nearest real neighbour. Density: how many balls an image is in, in units of k, a
    mean; about 1 for images of the same distribution, and it may be more. Coverage: the share of balls with an image in them.
    k is smaller if there are not k other real images. N >= 2.
    """
    one, other = _checked(real, generated)
    k = min(neighbours, len(one) - 1)
    among = _squared_distances(one, one)
    np.fill_diagonal(among, 0)  # rounding
    radii = np.partition(among, k, axis=1)[:, k]  # the image itself is its nearest
    inside = _squared_distances(one, other) <= radii[:, None]
    return float(inside.sum() / (k * len(other))), float(inside.any(1).mean())


def wasserstein(first: ArrayLike, second: ArrayLike) -> float:
    """The 1-Wasserstein distance of two sets of numbers, in their unit. Raises ValueError if a set is empty."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(np.ravel(first), np.ravel(second)))


def _checked(first: Features, second: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1] or min(len(one), len(other)) < 2:
        raise ValueError(f"expected features (N, D) and (M, D) of at least two images each, not {one.shape} and {other.shape}")
    return one, other


def _cubic(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    kernels: NDArray[np.float64] = (one @ other.T / one.shape[1] + 1) ** 3
    return kernels


def _squared_distances(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    squares: NDArray[np.float64] = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    return squares.clip(0)
