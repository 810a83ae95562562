"""A function drawn with characters."""

from collections.abc import Callable
from typing import Any

import numpy as np

from wellbegun._typing import Array
from wellbegun.theory.gains import factor_of

REACH = 4.0  # of the normal input: 1 in 16,000 lies beyond
_WIDTH, _HEIGHT = 41, 11


def points(function: Callable[..., Any], arguments: int, count: int = _WIDTH) -> tuple[Array, Array]:
    """Inputs and values of an activation; psi of a gate u psi(v), or what comes of u = 1."""
    z, gate = np.linspace(-REACH, REACH, count), factor_of(function) if arguments > 1 else None
    with np.errstate(all="ignore"):
        given = [z] if gate is not None or arguments == 1 else [np.ones(count), z]
        return z, np.asarray((function if gate is None else gate[0])(*given), np.float64)


def curve(z: Array, phi: Array) -> str:
    """A picture with both axes and their ends.

    >>> top, *_, ends = curve(np.linspace(-1, 1, 5), np.array([0.0, 0.0, 0.0, 1.0, 2.0])).splitlines()
    >>> top.split(), ends.split()
    (['2', '┤', '│', '•'], ['-1', '1'])
    """
    known = phi[np.isfinite(phi)]
    low, high = min(float(known.min(initial=0.0)), 0.0), max(float(known.max(initial=0.0)), 0.0)
    step = (high - low or 1.0) / (_HEIGHT - 1)
    cells = np.full((_HEIGHT, len(z)), " ")
    cells[:, int(np.abs(z).argmin())] = "│"
    cells[round(high / step)] = "─"
    for column, value in enumerate(phi):
        if np.isfinite(value):
            cells[round((high - value) / step), column] = "•"
    ends = {0: f"{high:.3g}", _HEIGHT - 1: f"{low:.3g}"}
    lines = [f"{ends.get(row, ''):>8} {'┤' if row in ends else '│'} {''.join(cells[row])}" for row in range(_HEIGHT)]
    return "\n".join([*(line.rstrip() for line in lines), f"{'':9}  {z[0]:<{len(z) - 2}g}{z[-1]:g}"])
