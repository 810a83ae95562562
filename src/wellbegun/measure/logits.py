"""Attentions whose logits can be corrected: the ways of queries and keys to their product, and how logits spread."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from wellbegun.backend import Handle
from wellbegun.graph import WEIGHTED, Analysis, Operation, attentions_of, way
from wellbegun.graph.inference import inferred
from wellbegun.graph.walk import weights_before

_SAMPLES, _QUERIES = 16, 64  # of which logits are looked at


class Step(NamedTuple):
    """An operation of the pass, with what went in and came out."""

    operation: Operation
    inputs: tuple[Handle, ...]
    outputs: tuple[Handle, ...]


@dataclass
class Delay:
    """The way from weights to where their size is judged, and what has happened on it: it is shown to others later."""

    way: tuple[int, ...]
    steps: list[Step] = field(default_factory=list)

    @property
    def values(self) -> tuple[Handle, ...]:
        """All that the operations gave."""
        return tuple(output for step in self.steps for output in step.outputs)

    def value(self, value: int) -> Handle | None:
        """What an operation gave as this value of the graph."""
        for step in reversed(self.steps):
            if value in step.operation.outputs:
                return step.outputs[step.operation.outputs.index(value)]
        return None


@dataclass
class Pair:
    """The query and key weights of one attention."""

    names: tuple[str, str]
    query: Delay
    key: Delay
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
        query, key = self.query.value(self.values[0]), self.key.value(self.values[1])
        if query is None or key is None or query.kind == "complex" or min(len(query.shape), len(key.shape)) < 2:
            return None
        if not self.transposed:
            axes = range(len(key.shape))
            key = key.transposed([*axes[:-2], axes[-1], axes[-2]])
        rank = len(query.shape)
        if rank > 2:
            some = slice(None, None, -(-query.shape[0] // _SAMPLES))
            query, key = query.part(some), key.part(some)
        rows = slice(None, None, -(-query.shape[-2] // _QUERIES))
        query = query.part(*[slice(None)] * (rank - 2), rows)
        return query.spread(key, self.scale) if key.shape[-2] > 1 else None


@inferred("which logits are brought to unit order", lambda *_: ())
def pairs_of(graph: Analysis, free: Collection[str]) -> tuple[Pair, ...]:
    """Attentions whose queries and keys each come straight from one weight of its own, one of them free at least."""
    return tuple(_pairs(graph, free))


def _pairs(graph: Analysis, free: Collection[str]) -> Iterator[Pair]:
    for attention in attentions_of(graph):
        if attention.scale is None or attention.query is None or attention.key is None:
            continue
        one, two = _side(graph, attention.query), _side(graph, attention.key)
        if one is None or two is None or one[0] == two[0] or not {one[0], two[0]} & set(free):
            continue
        product, values = graph.operations[attention.product], (attention.query, attention.key)
        known = values, attention.scale, product.kind == "attention", product.place
        yield Pair((one[0], two[0]), Delay(one[1]), Delay(two[1]), *known)


def _side(graph: Analysis, value: int) -> tuple[str, tuple[int, ...]] | None:
    """The one weight that queries (or keys) are proportional to, and the way from it."""
    weights = list(weights_before(graph, value))
    if len(weights) != 1 or weights[0].kind not in WEIGHTED:
        return None
    path = way(graph, [weights[0].index], value)
    names = [use.parameter for use in weights[0].uses if use.slot == "weight" and use.exact]
    return (names[0], path) if path is not None and len(names) == 1 == len(graph.uses_of(names[0])) else None
