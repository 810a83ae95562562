"""What fills of one kind have in common, done once: independent entries then take a seed and an address."""

import itertools
from functools import lru_cache
from typing import NamedTuple

from wellbegun.engine import workers
from wellbegun.engine.parameters import Parameters, parameters_of
from wellbegun.engine.regions import Rows, overlaps, rows_of
from wellbegun.laws import Law
from wellbegun.laws.independent import Drawn
from wellbegun.laws.precision import REAL_OF
from wellbegun.streams import stream_key

_FEW = 8  # groups of rows that are worth keeping


class Prepared(NamedTuple):
    """Whole tensors of a law that draws each entry for itself, in a real dtype, in memory with certain strides."""

    parameters: Parameters
    dtype: str
    rows: tuple[Rows, ...]

    @property
    def kind(self) -> tuple[type, str]:
        """What it has in common with all that a kernel draws."""
        return type(self.parameters), self.dtype

    def draw(self, seed: int, address: int) -> None:
        """Have a kernel write the stream (seed, "") to an address."""
        paint = workers.compiled(address, stream_key(seed, ""), self.parameters, self.dtype, self.rows)
        workers.spread(paint, self.rows, None)


@lru_cache(1024)
def prepared(law: Law, dtype: str, shape: tuple[int, ...], pitches: tuple[int, ...]) -> Prepared | None:
    """For a law that fits shape and dtype; None where entries depend on each other, or memory is not as simple.

    Args:
        law, dtype: What is drawn.
        shape: Of the whole tensor, axes in canonical order.
        pitches: Strides of its memory, in items.
    """
    if not isinstance(law, Drawn) or dtype in REAL_OF or min(pitches, default=0) < 0 or overlaps(shape, pitches):
        return None
    found = rows_of(shape, tuple((0, size) for size in shape), pitches)
    rows = tuple(itertools.islice(found or (), _FEW + 1))
    return Prepared(parameters_of(law, dtype), dtype, rows) if 0 < len(rows) <= _FEW and all(shape) else None
