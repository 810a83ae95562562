"""Tables: how many rows of a codebook are taken, and whether what is looked up tells samples apart."""

from collections.abc import Collection

from wellbegun.graph import WEIGHTED, Analysis, Operation
from wellbegun.graph.attention import scoring
from wellbegun.graph.inference import inferred
from wellbegun.graph.walk import around, backward, descendants, forward, of_the_batch
from wellbegun.health import CodebookStats
from wellbegun.measure.forward import ForwardStatistics


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
    graph: Analysis, seen: ForwardStatistics, wanted: Collection[int] | None
) -> tuple[tuple[str, str], ...]:
    """Places and tables that give the same for whatever is looked up, where nothing else tells samples apart on its way
    through weights to the output. What no weight reads is a readout: it may start at zero."""
    read = seen.reads.blank or _read_by_hand(graph, seen)
    picked = [graph.operations[index] for index in sorted(read)]
    blank = [o for o in picked if any(reader.kind in WEIGHTED for reader in forward(graph, o.outputs))]
    told = blank and _told(graph, seen, {*read, *seen.reads.shut}, frozenset(wanted or graph.outputs))
    return () if told else tuple((operation.place, _table(graph, operation)) for operation in blank)


def _table(graph: Analysis, read: Operation) -> str:
    """The parameter that holds what is read, if one does."""
    before = (read, *backward(graph, read.inputs, nearest=True))
    return next((use.parameter for operation in before for use in operation.uses), "")


def _read_by_hand(graph: Analysis, seen: ForwardStatistics) -> set[int]:
    """Rows that were picked by numbers, not by values of the pass, so that nothing of the batch reaches an output; none
    of it is in the graph where Python's own numbers were made of it first."""
    held = {o.index: seen.reads.held[v] for o in graph.operations for v in o.outputs if v in seen.reads.held}
    batch = of_the_batch(graph)
    ids = batch - seen.alike - {*seen.inputs}
    if (batch and not ids) or around(graph, (), graph.outputs) or not all(held.values()):
        return set()
    return {*held}


def _told(graph: Analysis, seen: ForwardStatistics, blank: Collection[int], outputs: frozenset[int]) -> bool:
    """Whether samples that differ reach the outputs around what is blank, and around masks and labels: through a weight
    or another table, or as numbers; or noise does, which the model draws for each sample."""
    shut = {*blank, *scoring(graph, outputs)}

    def ways(values: Collection[int]) -> list[Operation]:
        found = forward(graph, values, lambda reader: reader.index not in shut)
        return [reader for reader in found if reader.index not in shut]

    batch = of_the_batch(graph)
    differ, dependent = batch - seen.alike, descendants(graph, batch)
    read = [o for o in ways(differ) if o.kind in WEIGHTED or o.kind == "lookup"]
    numbers = {value for value in differ if value in seen.inputs}
    constants = (value for o in graph.operations if not (o.inputs or o.uses) for value in o.outputs)
    sizes = {seen.reads.samples.get(value) for value in differ}
    drawn = [value for value in constants if seen.reads.drawn.get(value, 0) in sizes]
    apart = (graph.operations[index] for index in seen.reads.told)
    noise = (o.outputs for o in apart if o.kind != "add" or not dependent.issuperset(o.inputs))
    ends = ways(numbers.union(drawn, *noise, *(o.outputs for o in read)))
    return any(outputs.intersection(o.outputs) for o in (*read, *ends))
