"""The logits of an attention in numbers: how far those of one query spread, and how even its weights are."""

import math
from typing import NamedTuple

import torch

from wellbegun.torch.trace.aten import Attended

SAMPLES, HEADS, QUERIES = 2, 4, 32
_MASKED = 5e3  # a key this far below a query's best one is hidden from it, as by -10000 or -inf


class Scores(NamedTuple):
    """Of some queries: standard deviation of logits, entropy in units of log(keys), most keys seen; nan if not told."""

    std: float
    entropy: float
    keys: int


_NOTHING = Scores(math.nan, math.nan, 0)


def of_softmax(logits: torch.Tensor, weights: torch.Tensor, *, logarithm: bool) -> Scores:
    """Of the input and the output of a softmax over the last axis."""
    if logarithm or logits.ndim < 2 or logits.shape != weights.shape:
        return _NOTHING
    rows = _some(logits.detach())
    return _scores(rows.reshape(-1, rows.shape[-1]).double())


def of_attention(call: Attended) -> Scores:
    """Of queries and keys, which a fused kernel multiplies without showing the product."""
    query, key = call.query.detach(), call.key.detach()
    if query.ndim < 3 or not query.numel() or not key.numel():
        return _NOTHING
    step = -(-query.shape[-2] // QUERIES)
    asked = torch.arange(0, query.shape[-2], step, device=query.device)
    repeat = query.shape[1] // key.shape[1] if query.ndim > 3 else 1  # grouped queries share keys
    some = query[:SAMPLES, :HEADS] if query.ndim > 3 else query[:SAMPLES]
    heads = torch.arange(some.shape[1], device=key.device) // max(repeat, 1) if query.ndim > 3 else None
    keys = key[:SAMPLES] if heads is None else key[:SAMPLES, heads]
    scale = call.scale if call.scale is not None else query.shape[-1] ** -0.5
    logits = some[..., asked, :].double() @ keys.double().mT * scale
    if call.mask is not None:
        logits = _masked(logits, call.mask.detach(), asked)
    if call.causal:
        hidden = torch.arange(key.shape[-2], device=key.device)[None] > asked[:, None]
        logits = logits.masked_fill(hidden, -math.inf)
    return _scores(logits.reshape(-1, logits.shape[-1]))


def _masked(logits: torch.Tensor, mask: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    mask = mask[..., asked, :] if mask.shape[-2] > 1 else mask
    for axis in range(mask.ndim - 2):  # samples and heads, or one for all
        wanted = logits.shape[axis - mask.ndim]
        mask = mask.narrow(axis, 0, min(mask.shape[axis], wanted))
    mask = mask[..., : logits.shape[-1]]
    return logits.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else logits + mask.double()


def _some(logits: torch.Tensor) -> torch.Tensor:
    for axis, most in ((0, SAMPLES), (1, HEADS)):
        if logits.ndim > axis + 2:
            logits = logits.narrow(axis, 0, min(logits.shape[axis], most))
    return logits[..., :: -(-max(logits.shape[-2], 1) // QUERIES), :]


def _scores(rows: torch.Tensor) -> Scores:
    best = rows.amax(dim=1, keepdim=True)
    seen = torch.isfinite(rows) & (rows > best - _MASKED)
    counts = seen.sum(dim=1)
    rows, seen, counts = rows[counts > 1], seen[counts > 1], counts[counts > 1]
    if not len(rows):
        return _NOTHING
    logits = torch.where(seen, rows, 0.0)
    mean = logits.sum(dim=1) / counts
    variance = torch.where(seen, logits - mean[:, None], 0.0).square().sum(dim=1) / counts
    weights = torch.softmax(torch.where(seen, rows, -math.inf), dim=1)
    entropy = torch.special.entr(weights).sum(dim=1) / counts.double().log()
    return Scores(float(variance.mean().sqrt()), float(entropy.mean()), int(counts.max()))
