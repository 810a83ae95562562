"""Where an operation stands: how many weights come before it, in which stack and block, what its input comes from."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.attention import Attention, attentions_of
from wellbegun.graph.function import Function
from wellbegun.graph.inference import inferred
from wellbegun.graph.model import WEIGHTED, Operation
from wellbegun.graph.residual import Branch
from wellbegun.graph.walk import TRANSPARENT, ancestors, backward, depths, weights_before


@dataclass(frozen=True)
class Stack:
    """A residual stream, counted in blocks as papers do: one self-attention and what follows it."""

    kind: str  # "decoder" if it attends to other values than its own, "encoder" if a decoder attends to it, or "alone"
    layers: int
    other: int  # blocks of the decoder or encoder it belongs to; 0 if there is none
    width: int  # of the stream; 0 if unknown


@dataclass(frozen=True)
class Places:
    """What is known of every operation and stream."""

    depth: Mapping[int, int]  # operation -> weighted operations in series before it
    stacks: Mapping[int, Stack]  # stream -> its stack
    blocks: Mapping[int, int]  # sum of a branch -> number of its block in the stack, from 0
    aside: Mapping[int, Branch]  # weights of a cross-attention that read the encoder -> the branch they serve
    heads: Mapping[int, int]  # weights of queries, keys and values -> width of a head


def _nowhere(graph: Analysis, _: tuple[Branch, ...]) -> Places:
    return Places(dict.fromkeys(range(len(graph.operations)), 0), {}, {}, {}, {})


@inferred("in which block operations are", _nowhere)
def places_of(graph: Analysis, branches: tuple[Branch, ...]) -> Places:
    """Find them all."""
    inside = innermost(branches)
    own: dict[int, int] = {}  # sum of a branch -> its self-attentions
    crossing: dict[int, Branch] = {}
    partners: dict[int, int | None] = {}  # decoder stream -> encoder stream
    aside: dict[int, Branch] = {}
    heads: dict[int, int] = {}
    for attention in attentions_of(graph):
        sides = [_weights(graph, value) for value in attention[:3]]
        heads.update((weight.index, attention.width) for side in sides for weight in side)
        branch = inside.get(graph.producers[attention.output].index)
        if branch is None:
            continue
        outside = [weight.index for side in sides[1:] for weight in side if weight.index not in branch.interior]
        if not outside:
            own[branch.add] = own.get(branch.add, 0) + 1
            continue
        crossing[branch.add] = branch
        encoder, last = _encoder(graph, attention, branch, branches)
        partners[branch.stream] = encoder if encoder is not None else partners.get(branch.stream)
        aside.update((index, branch) for index in outside if index > last)
    layers, blocks = _blocks(branches, own, set(crossing))
    encoders = {encoder: decoder for decoder, encoder in partners.items() if encoder is not None}
    stacks = {}
    for stream, count in layers.items():
        kind = "decoder" if stream in partners else "encoder" if stream in encoders else "alone"
        partner = partners.get(stream, encoders.get(stream))
        other = layers.get(partner, 0) if partner is not None else 0
        stacks[stream] = Stack(kind, count, other, _width(graph, branches, stream))
    return Places(depths(graph), stacks, blocks, aside, heads)


def innermost(branches: Iterable[Branch]) -> dict[int, Branch]:
    """Operation -> the smallest branch it is in."""
    found: dict[int, Branch] = {}
    for branch in sorted(branches, key=lambda branch: -len(branch.interior)):
        found.update(dict.fromkeys(branch.interior, branch))
    return found


def _weights(graph: Analysis, value: int | None) -> tuple[Operation, ...]:
    found = () if value is None else weights_before(graph, value, functions=True)
    return tuple(operation for operation in found if operation.kind in WEIGHTED)


def _encoder(
    graph: Analysis, attention: Attention, branch: Branch, branches: tuple[Branch, ...]
) -> tuple[int | None, int]:
    """(stream that a cross-attention reads, its last sum before): the latest one above its keys."""
    assert attention.key is not None
    above = ancestors(graph, [attention.key])
    read = [
        other for other in branches if other.stream != branch.stream and graph.operations[other.add].outputs[0] in above
    ]
    last = max(read, key=lambda other: other.add, default=None)
    return (None, -1) if last is None else (last.stream, last.add)


def _blocks(
    branches: tuple[Branch, ...], own: Mapping[int, int], crossing: set[int]
) -> tuple[dict[int, int], dict[int, int]]:
    """Blocks of each stream and the block of each branch: a self-attention starts one; without any, two branches do."""
    attending = Counter(branch.stream for branch in branches if branch.add in own)
    layers: dict[int, int] = {}
    blocks: dict[int, int] = {}
    started: Counter[int] = Counter()
    for branch in branches:
        if attending[branch.stream]:
            started[branch.stream] += branch.add in own
            layers[branch.stream] = attending[branch.stream]
            blocks[branch.add] = max(started[branch.stream] - 1, 0)
        else:
            crossed = sum(other.add in crossing for other in branches if other.stream == branch.stream)
            layers[branch.stream] = max(math.ceil((branch.count - crossed) / 2), 1)
            blocks[branch.add] = branch.index // 2
    return layers, blocks


def _width(graph: Analysis, branches: tuple[Branch, ...], stream: int) -> int:
    """Outputs of the weights that end the branches of a stream."""
    for branch in branches:
        for index in branch.ends if branch.stream == stream else ():
            for use in graph.operations[index].uses:
                if use.slot == "weight" and use.layout is not None:
                    return graph.size_of(use, "o")
    return 0


# ---------------------------------------------------------------------- what is next to an operation
@inferred("which function feeds a weight", lambda *_: None)
def feeding(graph: Analysis, operation: Operation) -> Function | None:
    """The nonlinearity that the input of a weight comes from, if there is one before the next weight."""

    def bends(made: Operation) -> bool:
        return made.kind == "pointwise" and not graph.is_linear(made)

    def passes(made: Operation) -> bool:
        return made.kind in TRANSPARENT or (made.kind == "pointwise" and not bends(made))

    before = backward(graph, operation.inputs, passes, nearest=True)
    return next((made.function for made in before if bends(made)), None)
