"""Straight lines in the plane along which a function of two arguments has kinks and jumps.

They are looked for on a few probes across the plane, and lines laid through what is found there.
"""

import numpy as np

from wellbegun._typing import Array
from wellbegun.theory.activations import PairFunction
from wellbegun.theory.quadrature import panels

_ENDS = np.array([0, 1.3717, 3, 4.6173, 6, 7.2891])  # of panels: no kink will be at those between by chance
_PROBES = np.array([-2.1713, -0.8329, 0.3137, 1.3631, -1.4571, -0.2713, 0.8117, 2.2411])  # of the other argument
_FIRST = 4  # of them, on which kinks are looked for everywhere; on others, around kinks that one of these has
_STAGGER = 0.0027  # between places on one probe and on the next: together they see thin bands along axes
_AROUND = 0.0217  # what is looked at on all probes around a kink on one
_KINK = 1e-9  # what a kink adds to a panel, at least
_MOST = 128  # rough panels on one level, and kinks: more are noise, or run along curves


def lines(function: PairFunction, owner: str) -> Array:
    """Lines a u + b v = c, a^2 + b^2 = 1: a, b and c of each.

    >>> [[round(float(part), 9) for part in line] for line in lines(lambda u, v: np.abs(u - v), "abs")]
    [[-0.707106781, 0.707106781, 0.0]]
    """
    return _through(_kinks(function, owner))


def _kinks(function: PairFunction, owner: str) -> Array:
    """Points (u, v) on the probes where the function has a kink or a jump, and the number of the probe."""
    edges, count = np.unique(np.concatenate([_ENDS, -_ENDS])), len(_PROBES)
    probe = np.repeat(np.concatenate([np.arange(_FIRST), count + np.arange(_FIRST)]), len(edges) - 1)
    left = np.tile(edges[:-1], 2 * _FIRST) + probe % count * _STAGGER
    x, probe = _on_probes(function, probe, left, np.tile(np.diff(edges), 2 * _FIRST), owner)
    across = probe // count
    beside = (np.abs(x - x[:, None]) < 1e-6) & (across == across[:, None])
    alone = beside.sum(axis=1) == 1
    if 0 < alone.sum() <= _FIRST:  # thin bands along axes, that others missed, ends of lines, or what is small
        again, at = (part.ravel() for part in np.meshgrid(x[alone] - 0.47 * _AROUND, np.arange(count)))
        at += np.tile(across[alone] * count, count)
        more = _on_probes(function, at, again, np.full(len(at), _AROUND), owner)
        x, probe = _distinct(np.concatenate([x, more[0]]), np.concatenate([probe, more[1]]))
    return np.stack([*_points(probe, x), probe], axis=1)


def _on_probes(function: PairFunction, probe: Array, left: Array, width: Array, owner: str) -> tuple[Array, Array]:
    """Where kinks and jumps are in panels on probes, and on which."""
    found = panels(lambda x, row: function(*_points(probe[row], x)), left, width, owner, most=_MOST, tolerance=_KINK)
    return _distinct(found.kinks, probe[found.rows])


def _distinct(x: Array, probe: Array) -> tuple[Array, Array]:
    """Of each kink the last place, which is the most precise."""
    order = np.lexsort((x, probe))
    apart = (np.diff(probe[order], prepend=-1) > 0) | (np.diff(x[order], prepend=-np.inf) > 1e-6)
    last = np.maximum.reduceat(order, np.flatnonzero(apart)) if len(order) else order
    return x[last], probe[last]


def _points(probe: Array, x: Array) -> tuple[Array, Array]:
    """u and v of what lies at x on a probe: the first run along u."""
    other, across = _PROBES[probe % len(_PROBES)], probe < len(_PROBES)
    return np.where(across, x, other), np.where(across, other, x)


def _through(points: Array) -> Array:
    """Lines a u + b v = c, a^2 + b^2 = 1, on which points of three probes or more lie; of two, if they run along an
    axis."""
    u, v, probe = points.T
    i, j = np.triu_indices(len(points) if len(points) <= _MOST else 0, 1)
    apart = (probe[i] != probe[j]) & (np.hypot(u[i] - u[j], v[i] - v[j]) > 1e-6)
    i, j = i[apart], j[apart]
    a, b = v[j] - v[i], u[i] - u[j]
    length = np.hypot(a, b)
    a, b = (part / length * np.sign(0.7 * a + 0.7141 * b) for part in (a, b))
    c = a * u[i] + b * v[i]
    key = np.round(np.arctan2(b, a) * 1e6) * 1e9 + np.round(c * 1e6)
    order = np.lexsort((-length, key))  # the two points that are farthest from each other tell most
    _, first, count = np.unique(key[order], return_index=True, return_counts=True)
    found = np.stack([a, b, c], axis=1)[order[first]]
    upright = (np.abs(found[:, :2]).min(axis=1) < 1e-9) & (probe[i] // len(_PROBES) == probe[j] // len(_PROBES))[
        order[first]
    ]
    return found[(count >= 3) | upright]
