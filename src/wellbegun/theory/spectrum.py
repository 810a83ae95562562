"""Whether a matrix has directions that independent entries do not have."""

import math

import numpy as np

from wellbegun._typing import Array

_SOME = 8192  # entries among which repeated magnitudes are looked for: sorting takes as long as all the rest
EDGE = 5.0  # fluctuations by which no largest singular value of random matrices exceeds what is usual


def beyond_chance(matrix: Array) -> float:
    """How far the largest singular value lies above the largest of independent entries (Marchenko and Pastur 1967), in
    units of its fluctuation (Johnstone 2001): below 3 for random matrices, more once gradients, or somebody, have added
    directions. Scales and means of rows and columns are taken out: laws may have them. nan if there are few rows or
    columns, or if magnitudes repeat.

    >>> drawn = np.random.default_rng(0).normal(size=(64, 32))
    >>> beyond_chance(drawn) < 3, beyond_chance(drawn + np.outer(drawn[:, 0], drawn[0])) > EDGE
    (True, True)
    """
    found = matrix.astype(np.float64)
    known = min(found.shape) >= 8 and bool((np.isfinite(found) & (found != 0)).all())
    some = np.abs(found.ravel()[:: -(-found.size // _SOME)]) if known else found[:0]
    if not known or 1.1 * len(np.unique(some)) < some.size:
        return math.nan
    for axis in (1, 0):
        found = found / np.sqrt(np.mean(found**2, axis=axis, keepdims=True))
    for axis in (1, 0):
        found = found - found.mean(axis=axis, keepdims=True)
    n, m = (math.sqrt(size - 1) for size in found.shape)  # one direction went with the means
    largest = float(np.linalg.norm(found, 2)) * n * m / float(np.linalg.norm(found))
    return 2 * (largest - n - m) / math.cbrt(1 / n + 1 / m)
