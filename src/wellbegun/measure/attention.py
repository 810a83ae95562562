"""The logits of an attention in numbers: how far those of one query spread, and how even its weights are."""

import math
from typing import NamedTuple

import numpy as np

from wellbegun._typing import Array
from wellbegun.backend import Attended, Handle
from wellbegun.graph import Operation
from wellbegun.measure.samples import size_of

SAMPLES, HEADS, QUERIES = 2, 4, 32
_HIDDEN = 60.0  # a key this far below the best one of its query in every head looks hidden, as by -100
_MASKED = 5e3  # a key this far below a query's best one is hidden from it, as by -10000 or -inf


class Scores(NamedTuple):
    """Of some queries: standard deviation of logits, entropy in units of log(keys), most keys seen; nan if not told."""

    std: float
    entropy: float
    keys: int


_NOTHING = Scores(math.nan, math.nan, 0)


def scores_of_softmax(operation: Operation, logits: Handle, weights: Handle) -> Scores:
    """Of the input and the output of a softmax."""
    rank = len(logits.shape)
    if operation.logarithm or rank < 2 or logits.shape != weights.shape:
        return _NOTHING
    if operation.axis is not None and operation.axis != rank - 1:
        logits = logits.transposed([*(axis for axis in range(rank) if axis != operation.axis), operation.axis])
    first = next((axis for axis in range(rank - 4) if logits.shape[axis] != 1), max(rank - 4, 0))  # samples
    most = (slice(SAMPLES), slice(HEADS))[: rank - 2 - first]
    between = [slice(None)] * (rank - 2 - first - len(most))
    places = [*[slice(None)] * first, *most, *between, _every(logits.shape[-2])]
    rows = _unmasked(logits.part(*places).array().astype(np.float64), first)
    return _scores(rows.reshape(-1, rows.shape[-1]).astype(np.float64))


def _unmasked(logits: Array, first: int) -> Array:
    """Keys that every head hides from a query: loud logits would hide others in each."""
    heads = tuple(range(first, logits.ndim - 2))
    heads = heads[-1:] if heads and logits.shape[heads[-1]] > 1 else heads  # samples, or windows, hide other keys
    if not heads or math.prod(logits.shape[axis] for axis in heads) < 2:
        return logits
    with np.errstate(all="ignore"):
        far = logits < logits.max(axis=-1, keepdims=True) - _HIDDEN
    return np.where(far.all(axis=heads, keepdims=True), -math.inf, logits)


def scores_of_attention(call: Attended) -> Scores:
    """Of queries and keys, which a fused kernel multiplies without showing the product."""
    query, key = call.query, call.key
    rank, queries = len(query.shape), query.shape[-2] if len(query.shape) > 1 else 0
    if rank < 3 or not size_of(query) or not size_of(key):
        return _NOTHING
    first = (slice(SAMPLES), slice(HEADS))[: rank - 2]
    between = [slice(None)] * (rank - 2 - len(first))
    some = query.part(*first, *between, _every(queries)).array().astype(np.float64)
    repeat = query.shape[1] // key.shape[1] if rank > 3 else 1  # grouped queries share keys
    heads = () if rank == 3 else (np.arange(some.shape[1]) // max(repeat, 1),)
    keys = key.part(slice(SAMPLES), *heads).array().astype(np.float64)
    scale = call.scale if call.scale is not None else query.shape[-1] ** -0.5
    logits = some @ np.swapaxes(keys, -1, -2) * scale
    asked = np.arange(0, queries, -(-queries // QUERIES))
    if call.mask is not None:
        logits = _masked(logits, call.mask)
    if call.causal:
        logits = np.where(np.arange(key.shape[-2])[None] > asked[:, None], -math.inf, logits)
    return _scores(logits.reshape(-1, logits.shape[-1]))


def _every(queries: int) -> slice:
    return slice(None, None, -(-max(queries, 1) // QUERIES))


def _masked(logits: Array, mask: Handle) -> Array:
    rank = len(mask.shape)
    wanted = [min(mask.shape[axis], logits.shape[axis - rank]) for axis in range(rank - 2)]  # samples, heads; or one
    rows = _every(mask.shape[-2]) if mask.shape[-2] > 1 else slice(None)
    part = mask.part(*map(slice, wanted), rows, slice(logits.shape[-1])).array()
    if mask.kind == "integer":
        return np.where(part, logits, -math.inf)
    added = part.astype(np.float64)
    found: Array = logits + np.where(added <= -_HIDDEN, -math.inf, added)
    return found


def _scores(rows: Array) -> Scores:
    with np.errstate(all="ignore"):
        best = rows.max(axis=1, keepdims=True)
        seen = np.isfinite(rows) & (rows > best - _MASKED)
        counts = seen.sum(axis=1)
        rows, seen, best, counts = rows[counts > 1], seen[counts > 1], best[counts > 1], counts[counts > 1]
        if not len(rows):
            return _NOTHING
        logits = np.where(seen, rows, 0.0)
        mean = logits.sum(axis=1) / counts
        variance = (np.where(seen, logits - mean[:, None], 0.0) ** 2).sum(axis=1) / counts
        weights = np.where(seen, np.exp(rows - best), 0.0)
        weights /= weights.sum(axis=1, keepdims=True)
        entropy = -np.where(weights > 0, weights * np.log(weights), 0.0).sum(axis=1) / np.log(counts)
    return Scores(float(np.sqrt(variance.mean())), float(entropy.mean()), int(counts.max()))
