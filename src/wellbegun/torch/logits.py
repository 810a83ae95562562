"""Attentions whose logits can be corrected: the ways of queries and keys to their product, and how logits spread."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from wellbegun.graph import WEIGHTED, ModelGraph, attentions_of, way
from wellbegun.graph.residual import weights_before
from wellbegun.torch.held import Held

_SAMPLES, _QUERIES = 16, 64  # of which logits are looked at


@dataclass
class Pair:
    """The query and key weights of one attention."""

    names: tuple[str, str]
    query: Held
    key: Held
    values: tuple[int, int]
    scale: float  # what turns products of queries and keys into logits
    transposed: bool  # whether the operation itself transposes the keys
    place: str

    @property
    def until(self) -> int:
        """The operation after which both queries and keys are known."""
        return max(self.query.way[-1], self.key.way[-1])

    def spread(self) -> float | None:
        """Standard deviation of the logits of a query over its keys; None if there is nothing to tell it from."""
        query, key = self.query.tensor_of(self.values[0]), self.key.tensor_of(self.values[1])
        if query is None or key is None or query.is_complex() or min(query.ndim, key.ndim) < 2:
            return None
        key = key.mT if self.transposed else key
        if query.ndim > 2:
            step = -(-query.shape[0] // _SAMPLES)
            query, key = query[::step], key[::step]
        if query.ndim > 3 and query.shape[-3] != key.shape[-3]:  # several heads of queries share one of keys
            key = key.repeat_interleave(query.shape[-3] // key.shape[-3], dim=-3)
        query = query[..., :: -(-query.shape[-2] // _QUERIES), :]
        logits = (query.float() @ key.float()) * self.scale
        return float(logits.var(dim=-1, correction=0).mean().sqrt()) if logits.shape[-1] > 1 else None


def pairs_of(graph: ModelGraph, free: Collection[str]) -> Iterator[Pair]:
    """Attentions whose queries and keys each come straight from one weight of its own, one of them free at least."""
    for attention in attentions_of(graph):
        if attention.scale is None or attention.query is None or attention.key is None:
            continue
        one, two = _side(graph, attention.query), _side(graph, attention.key)
        if one is None or two is None or one[0] == two[0] or not {one[0], two[0]} & set(free):
            continue
        product, values = graph.operations[attention.product], (attention.query, attention.key)
        known = values, attention.scale, product.kind == "attention", product.place
        yield Pair((one[0], two[0]), Held(one[1]), Held(two[1]), *known)


def _side(graph: ModelGraph, value: int) -> tuple[str, tuple[int, ...]] | None:
    """The one weight that queries (or keys) are proportional to, and the way from it."""
    weights = list(weights_before(graph, value))
    if len(weights) != 1 or weights[0].kind not in WEIGHTED:
        return None
    found = way(graph, [weights[0].index], value)
    names = [use.parameter for use in weights[0].uses if use.slot == "weight" and use.exact]
    return (names[0], found) if found is not None and len(names) == 1 == len(graph.uses_of(names[0])) else None
