"""Arrays of the playground as one compressed text.

Logarithms are whole two-hundredths (a step is 1.2 %), stored as differences along the layers; -32768 stands for log 0.
Shares are bytes; of histograms the square roots, so that thin tails keep their shape. All is compressed together by
gzip, which browsers can undo, and written in base64.
"""

import base64
import gzip
from collections.abc import Mapping
from typing import Any

import numpy as np

from wellbegun._typing import Array

STEP = 200
NOTHING = -32768


def logs(values: Array) -> Array:
    """int16 differences along the last axis.

    >>> logs(np.array([[0.0, 0.5, -np.inf]])).tolist()
    [[0, 100, 32668]]
    """
    finite = np.where(np.isfinite(values), values, 0.0)
    whole = np.where(np.isfinite(values), np.clip(np.round(finite * STEP), -32767, 32767), NOTHING)
    # differences may leave int16; adding them up in int16 again gives the same numbers
    return np.diff(whole.astype(np.int64), axis=-1, prepend=0).astype(np.int16)


def shares(values: Array) -> Array:
    """Bytes of numbers in [0, 1]."""
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)


def histograms(values: Array) -> Array:
    """Bytes of the square roots of shares."""
    return shares(np.sqrt(values))


def pack(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """ "fields": name -> [offset in bytes, shape, "i2" or "u1"], and "data", the text. Low bytes of int16 stand first,
    then all high bytes."""
    fields, parts, at = {}, [], 0
    for name, array in arrays.items():
        wide = array.dtype == np.int16
        raw = np.ascontiguousarray(array, "<i2" if wide else np.uint8).view(np.uint8)
        plain = raw.reshape(-1, 2).T.tobytes() if wide else raw.tobytes()
        fields[name] = [at, list(array.shape), "i2" if wide else "u1"]
        parts.append(plain)
        at += len(plain)
    packed = gzip.compress(b"".join(parts), 9, mtime=0)
    return {"fields": fields, "data": base64.b64encode(packed).decode()}
