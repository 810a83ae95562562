"""What wellbegun does not know is said: operations between weights whose effect on a signal is not understood."""

from collections.abc import Collection, Iterable, Sequence

from wellbegun.graph.model import WEIGHTED, Operation

_SHOWN = 5


def opaque_notes(operations: Iterable[Operation], integers: Collection[int]) -> tuple[str, ...]:
    """A note that names each unknown operation which the signal of a weight passes through, and its place.

    `integers`: operations that give integers or truth values, which carry no signal.
    """
    carried: set[int] = set()
    places: dict[str, list[str]] = {}
    inside: dict[str, list[str]] = {}
    for operation in operations:
        opaque = operation.kind == "opaque"
        if opaque and operation.uses:
            inside.setdefault(operation.name, []).extend(use.parameter for use in operation.uses)
        starts = operation.kind in WEIGHTED or operation.kind == "lookup" or (opaque and bool(operation.uses))
        if not starts and not carried.intersection(operation.inputs):
            continue
        if operation.kind == "opaque" and operation.index not in integers:
            listed = places.setdefault(operation.name, [])
            where = operation.scope or "the model itself"
            listed += [where] if where not in listed else []
        if operation.index not in integers:
            carried.update(operation.outputs)
    held = tuple(
        f"The operation {name!r} is not known, and what it does with these parameters was not looked at: "
        f"{', '.join(dict.fromkeys(names))}."
        for name, names in inside.items()
    )
    return held + tuple(
        f"The operation {name!r} is not known and a weight's signal passes through it, in {some_of(found)}: "
        "what lies behind it was not taken into account."
        for name, found in places.items()
    )


def some_of(names: Sequence[str], most: int = _SHOWN) -> str:
    """The first of them, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
