"""Tables: how many rows of a codebook are taken, and whether what is looked up tells samples apart."""

from collections.abc import Collection

import numpy as np

from wellbegun.backend import Session
from wellbegun.graph import WEIGHTED, Analysis, Operation, Use
from wellbegun.graph.attention import scoring
from wellbegun.graph.inference import inferred
from wellbegun.graph.walk import forward, of_the_batch
from wellbegun.health import CodebookStats
from wellbegun.measure.forward import ForwardStatistics
from wellbegun.measure.samples import Rows

_COLUMNS = 8  # of a table that are looked at first


@inferred("how many codes are used", lambda *_: ())
def codebook_stats(graph: Analysis, seen: ForwardStatistics) -> tuple[CodebookStats, ...]:
    """One for each table whose rows are compared with a signal before one is picked for each place."""
    found = []
    for index, (used, places) in seen.codes.items():
        operation = graph.operations[index]
        for use in operation.uses:
            if use.slot == "table" and any(other.index < index for other, _ in graph.uses_of(use.parameter)):
                codes = graph.parameters[use.parameter].shape[0]
                found.append(CodebookStats(operation.place, use.parameter, used, codes, places))
    return tuple(found)


@inferred("whether tables tell samples apart", lambda *_: ())
def blank_tables(
    graph: Analysis, session: Session, seen: ForwardStatistics, wanted: Collection[int] | None
) -> tuple[tuple[str, str], ...]:
    """Places and tables that give the same for whatever is looked up, where nothing else of the batch tells samples
    apart on its way through weights to the output. What no weight reads is a readout: it may start at zero."""
    blank = {
        o.index: use.parameter
        for o in graph.operations
        for use in o.uses
        if o.kind == "lookup" and use.slot == "table" and seen.looked_up.get(o.index, 0) > 1
        if any(reader.kind in WEIGHTED for reader in forward(graph, o.outputs)) and _alike(session, use)
    }
    told = blank and _told(graph, blank.keys(), seen, frozenset(wanted or graph.outputs))
    return () if told else tuple((graph.operations[index].place, name) for index, name in blank.items())


def _told(graph: Analysis, blank: Collection[int], seen: ForwardStatistics, outputs: frozenset[int]) -> bool:
    """Whether samples that differ reach the outputs around tables that are blank, and around masks and labels: through
    a weight or another table, or as numbers."""
    shut = {*blank, *scoring(graph, outputs)}

    def ways(values: Collection[int]) -> list[Operation]:
        found = forward(graph, values, lambda reader: reader.index not in shut)
        return [reader for reader in found if reader.index not in shut]

    differ = of_the_batch(graph) - seen.alike
    read = [o for o in ways(differ) if o.kind in WEIGHTED or o.kind == "lookup"]
    numbers = {value for value in differ if value in seen.inputs}
    ends = ways(numbers.union(*(o.outputs for o in read)))
    return any(outputs.intersection(o.outputs) for o in (*read, *ends))


def _alike(session: Session, use: Use) -> bool:
    """Whether all rows of a table are the same, but for those that pad."""
    handle = session.parameter(use.parameter)
    if not handle.largest():
        return True
    others = np.setdiff1d(np.arange(handle.shape[0]), use.zero_rows)
    some = Rows(handle, 1).some(_COLUMNS)[others]
    return bool((some == some[:1]).all()) and len({*Rows(handle, 1).hashes()[others].tolist()}) == 1
