"""Two limits of a fill, as kernels of the same make: one that only stores, and one that only draws words and stores.

Both are transforms, handed to the engine under parameters of their own, so loops, stores, pieces and threads are those
of every other kernel. The one that only stores never reads its words, and LLVM drops the generator.
"""

from typing import Any, NamedTuple

import numpy as np

from timing import Task
from wellbegun.engine import transforms, transforms64
from wellbegun.engine import workers as engines
from wellbegun.engine.parameters import TRANSFORMS
from wellbegun.engine.regions import Rows
from wellbegun.streams import stream_key


class StoreParameters(NamedTuple):
    """value = value"""

    value: Any


class WordParameters(NamedTuple):
    """value = the bits of the word"""

    unused: Any


def _store(_ops: Any, _word: Any, p: Any) -> Any:
    return p.value


def _words(ops: Any, word: Any, _p: Any) -> Any:
    return ops.number(word)


for _kind, _name, _transform in ((StoreParameters, "_store", _store), (WordParameters, "_words", _words)):
    TRANSFORMS[_kind] = _name
    for _library in (transforms, transforms64):
        setattr(_library, _name, _transform)


def task(kind: type, flat: np.ndarray, dtype: str, threads: int) -> Task:
    """Fill the whole of `flat` (uint16 for the 16-bit dtypes) with one of the two."""
    real = np.float64 if dtype == "float64" else np.float32
    key, rows = stream_key(0, "limit"), [Rows(0, 0, 1, flat.size, 0, 0)]
    return lambda: engines.draw(flat, rows, key, kind(real(0)), dtype, threads=threads, engine="compiled")
