"""What is computed from drawn values: exponentials and logarithms of float64 from operations that IEEE 754
defines exactly, so the same bits anywhere.

`expm1` and `log1p` by Kahan's quotients: the rounding error of 1 + x meets itself in its logarithm and goes.
"""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from wellbegun._arguments import message
from wellbegun._typing import Array
from wellbegun.engine import transforms64, workers
from wellbegun.engine.reference import OPS, cast, plain
from wellbegun.engine.regions import Region, region_of, size_of, tiles, within
from wellbegun.errors import ArgumentError
from wellbegun.laws import Built, Mapped, MappedCopy, ScaledRows
from wellbegun.laws.precision import LARGEST, REAL_OF, inside

_TILE = 1 << 15  # elements at once
_LIMIT = 707.0  # e^x is finite and normal within


def _exp(x: Array) -> Array:
    return transforms64.exp(OPS, np.clip(x, -_LIMIT, _LIMIT))


def _log(x: Array) -> Array:
    return transforms64.log(OPS, np.ascontiguousarray(x))


def _expm1(x: Array) -> Array:
    power = _exp(x)
    less = power - 1.0
    exact = np.where(less == -1.0, -1.0, less * x / _log(power))
    return np.where(power == 1.0, x, exact)


def _log1p(x: Array) -> Array:
    more = 1.0 + x
    return np.where(more == 1.0, x, _log(more) * x / (more - 1.0))


EXACT = SimpleNamespace(exp=_exp, log=_log, expm1=_expm1, log1p=_log1p, maximum=np.maximum)
"""For functions of `wellbegun.laws.mapped`."""


def draw(write: Callable[..., None], law: Mapped, out: Array, job: Any) -> None:
    """Writer of `Mapped`; `write` draws its base, in float64 and in tiles."""

    def tile(region: Region) -> None:
        base = np.empty(size_of(region))
        write(law.law, base, replace(job, region=region, dtype="float64", threads=1))
        out[within(region, job.region)] = _stored(law, base, job.dtype)

    workers.parallel(tile, list(tiles(job.region, _TILE)) if out.size else [], job.threads)


def follow(write: Callable[..., None], law: MappedCopy, out: Array, job: Any) -> None:
    """Writer of `MappedCopy`."""
    write(law.law, out, replace(job, name=law.stream))
    out[...] = _stored(law, np.array(plain(out, job.dtype), dtype=np.float64), job.dtype)


def build(write: Callable[..., None], law: Built, out: Array, job: Any) -> None:
    """Writer of `Built`."""
    if job.dtype in REAL_OF and law.in_parts:
        for side, target in (("real", out.real), ("imag", out.imag)):
            write(law.component(side), target, job.sub(side, dtype=REAL_OF[job.dtype]))
        return
    base, shape = law.source(job.shape)
    drawn, full = np.empty(shape), region_of(None, shape)
    write(base, drawn, replace(job, name=law.stream or job.name, shape=shape, region=full, dtype="float64"))
    try:
        whole = np.asarray(law.whole(drawn, job.shape), dtype=np.float64)
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        raise ArgumentError(message("fill", "law", "one of moderate numbers", law)) from error
    part = whole[tuple(slice(*bounds) for bounds in job.region)]
    if part.size and not np.abs(part).max() <= LARGEST[REAL_OF.get(job.dtype, job.dtype)]:
        raise ArgumentError(message("fill", "law", f"within the range of {job.dtype}", law))
    out[...] = part if job.dtype not in ("float16", "bfloat16") else cast(part.astype(np.float32), job.dtype)


def multiply(write: Callable[..., None], law: ScaledRows, out: Array, job: Any) -> None:
    """Writer of `ScaledRows`."""
    write(law.law, out, job)
    leading = tuple(slice(*bounds) for bounds in job.region[: law.axes])
    factors, each = law.rows(job.shape)[leading], max(1, _TILE // max(out[:1].size, 1))
    for start in range(0, len(out) if out.size else 0, each):
        part = slice(start, start + each)
        values = plain(out[part], job.dtype) * factors[part]
        out[part] = cast(values.astype(np.float32), job.dtype) if job.dtype in ("float16", "bfloat16") else values


@np.errstate(all="ignore")  # lanes that `where` throws away
def _stored(law: Mapped | MappedCopy, base: Array, dtype: str) -> Array:
    values = law.values(base.reshape(-1), EXACT).reshape(base.shape)
    low, high = np.sort(law.values(np.array(law.law.support()), EXACT)).tolist()
    if low < high:
        values = np.clip(values, *inside(low, high, dtype))
    return values if dtype == "float64" else cast(values.astype(np.float32), dtype)
