"""Mean-field theory of a plain network: the curves that stand beside what was measured.

For wide layers with independent (or orthogonal) weights of variance gain^2 / n, the second moment q of the sums and the
gradient follow from two averages of the activation, V(q) = E phi(sqrt(q) z)^2 and S(q) = E phi'(sqrt(q) z)^2:
q -> gain^2 V(q), and the gradient grows by gain^2 S(q) from layer to layer. Mirrored pairs show the next layer only
psi(a) = phi(a) - phi(-a).
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from wellbegun._typing import Array
from wellbegun.theory import activation_of, moments, odd_part

_GRID = np.linspace(math.log(1e-4), math.log(1e4), 257)  # of log q; beyond it V and S are power laws


class Curves(NamedTuple):
    """Logarithms (base 10) by layer: RMS handed on, and the gradient's RMS up to one factor for all layers."""

    handed: Array
    gradient: Array


@functools.cache
def averages(activation: str, *, paired: bool = False) -> tuple[Array, Array]:
    """log V and log S on the grid, by quadrature; `paired`: of what the next layer sees of a mirrored pair."""
    function = odd_part(activation_of(activation)) if paired else activation_of(activation)
    points = [moments(function, q=math.exp(log_q)) for log_q in _GRID]
    # moments differentiates phi(sqrt(q) z) by z: a factor sqrt(q)
    slopes = [each.slope / math.exp(log_q) for each, log_q in zip(points, _GRID, strict=True)]
    return np.log([each.second for each in points]), np.log(slopes)


def _line(table: Array) -> Callable[[Array], Array]:
    """Straight between the points, and on beyond the ends."""
    from scipy.interpolate import make_interp_spline

    return make_interp_spline(_GRID, table, k=1)


def curves(activation: str, gains: Array, depth: int, *, mirrored: bool = False) -> list[Curves]:
    """What theory expects in each layer, for inputs of RMS 1.

    Args:
        activation: A built-in name.
        gains: std * sqrt(fan_in) of the weights of each network; for mirrored ones that of the repeated block.
        depth: Number of layers.
        mirrored: Units in pairs of opposite sign.

    Source: He et al. 2015, arXiv:1502.01852; Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017,
        arXiv:1611.01232.

    >>> both = curves("relu", np.array([math.sqrt(2), 1.0]), 10)
    >>> bool(np.allclose(both[0].handed, 0)), round(float(both[1].handed[9]), 6)
    (True, -1.50515)
    """
    seen, passed = map(_line, averages(activation, paired=mirrored))
    second, slope = map(_line, averages(activation))
    grow = 2 * np.log(np.asarray(gains, np.float64))
    log_q = grow.copy()
    handed, back, carried = [], [], np.zeros_like(grow)
    for _ in range(depth):
        handed.append(second(log_q))
        carried = carried + grow + passed(log_q)
        back.append(slope(log_q) - carried)
        log_q = grow + seen(log_q)
    half = 0.5 / math.log(10)  # of second moments, to RMS
    return [Curves(h * half, g * half) for h, g in zip(np.array(handed).T, np.array(back).T, strict=True)]
