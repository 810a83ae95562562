"""Loops and choices whose bodies become equations of what surrounds them: `scan`, `while` and `cond`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from jax import lax

from wellbegun.backend import FIRST, SHORT, Operand, Value

MOST = 20_000  # equations that a loop is written out to
Scopes = tuple[str, ...]
Arrays = Sequence[tuple[tuple[int, ...], Any]]  # shapes and dtypes


class Writer(Protocol):
    """Writes equations down."""

    signals: set[int]

    def open(self, body: Any, operands: Sequence[Operand], scopes: Scopes) -> tuple[Operand, ...]:
        """Those of a body; what it gives."""

    def add(
        self, name: str, inputs: tuple[Operand, ...], arrays: Arrays, scopes: Scopes, params: Any, primitive: Any = None
    ) -> tuple[Value, ...]:
        """One."""


def opened(writer: Writer, source: Any, inputs: tuple[Operand, ...], scopes: Scopes) -> tuple[Operand, ...] | None:
    """What a loop or a choice gives, with its body written out; None: it is none of those that are known."""
    known = _KNOWN.get(source.primitive.name)
    return None if known is None else known(writer, source, inputs, scopes)


def _scan(writer: Writer, source: Any, inputs: tuple[Operand, ...], scopes: Scopes) -> tuple[Operand, ...] | None:
    """Each step for itself: what it runs over comes in rows, and what it gives is put together again. Of long loops
    that pass a state on, the first steps, and the rest as one equation."""
    params, body, length = source.params, source.params["jaxpr"], source.params["length"]
    held, carried = _counts(params)
    kept = held + carried
    consts, carry, over = inputs[:held], inputs[held:kept], inputs[kept:]
    kinds = [variable.aval for variable in body.jaxpr.invars[kept:]]
    stacked = any(isinstance(x, Value) and x.number not in writer.signals and _matrix(x) for x in over)
    whole = length * _size(body.jaxpr) <= MOST and (stacked or length <= SHORT)
    order = list(reversed(range(length)) if params["reverse"] else range(length))
    steps, rows = order if whole else order[:FIRST], dict[int, Sequence[Operand]]()
    if not steps:
        return None
    for step in steps:
        each = [_row(writer, x, step, kind, scopes) for x, kind in zip(over, kinds, strict=True)]
        made = writer.open(body, (*consts, *carry, *each), (*scopes, f"scan[{step}]"))
        carry, rows[step] = made[: len(carry)], made[len(carry) :]
    if len(steps) < length:
        start, stop = (0, length - FIRST) if params["reverse"] else (FIRST, length)
        parts = [_part(writer, x, start, stop, kind, scopes) for x, kind in zip(over, kinds, strict=True)]
        given, avals = (*consts, *carry, *parts), [variable.aval for variable in body.jaxpr.outvars]
        shapes = [a.shape if at < len(carry) else (stop - start, *a.shape) for at, a in enumerate(avals)]
        arrays = [(shape, aval.dtype) for shape, aval in zip(shapes, avals, strict=True)]
        rest = writer.add("scan", given, arrays, scopes, dict(params, length=stop - start), source.primitive)
        carry, left = rest[: len(carry)], rest[len(carry) :]
    else:
        start, left = length, ()
    return (*carry, *_stacks(writer, source.outvars[len(carry) :], rows, start, left, scopes))


def _counts(params: Mapping[str, Any]) -> tuple[int, int]:
    """How many constants and carried values come in; from JAX 0.12 on told by trees."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    consts, carry, _ = params["ft_in"].unpack()
    return len(list(consts)), len(list(carry))


def _stacks(
    writer: Writer, variables: Sequence[Any], rows: Any, start: int, left: Sequence[Value], scopes: Scopes
) -> list[Operand]:
    """What the steps give one after the other; `left`: what those from `start` on gave as one."""
    found: list[Operand] = []
    for place, variable in enumerate(variables):
        shape, dtype = tuple(variable.aval.shape), variable.aval.dtype
        if type(variable).__name__ == "DropVar":  # nobody reads it
            found.append(0)
            continue
        row = (1, *shape[1:])
        parts = [
            (step, writer.add("broadcast_in_dim", (rows[step][place],), [(row, dtype)], scopes, _onto(row))[0])
            for step in sorted(rows)
        ]
        parts = sorted([*parts, *([(start, left[place])] if left else [])], key=lambda part: part[0])
        values = tuple(value for _, value in parts)
        found += writer.add("concatenate", values, [(shape, dtype)], scopes, {"dimension": 0}, _concatenate)
    return found


def _onto(row: tuple[int, ...]) -> dict[str, Any]:
    return {"shape": row, "broadcast_dimensions": tuple(range(1, len(row)))}


def _concatenate(*operands: Any, dimension: int) -> Any:
    return lax.concatenate(operands, dimension)


def _part(writer: Writer, value: Value, start: int, stop: int, kind: Any, scopes: Scopes) -> Value:
    shape, rest = (stop - start, *value.shape[1:]), value.shape[1:]
    params = {"start_indices": (start, *(0 for _ in rest)), "limit_indices": (stop, *rest), "strides": None}
    return writer.add("slice", (value,), [(shape, kind.dtype)], scopes, params)[0]


def _row(writer: Writer, value: Value, step: int, kind: Any, scopes: Scopes) -> Value:
    part = _part(writer, value, step, step + 1, kind, scopes)
    return writer.add("reshape", (part,), [(part.shape[1:], kind.dtype)], scopes, {"new_sizes": part.shape[1:]})[0]


def _matrix(value: Value) -> bool:
    return len(value.shape) > 1 and value.array.numbers != "integer"


def _size(body: Any) -> int:
    """Number of equations, those of calls included."""
    inner = (getattr(each, "jaxpr", each) for e in body.eqns for each in e.params.values() if hasattr(each, "eqns"))
    return len(body.eqns) + sum(map(_size, inner))


def _while(writer: Writer, source: Any, inputs: tuple[Operand, ...], scopes: Scopes) -> tuple[Operand, ...]:
    """The first step, if there is one, and all others as one equation, which no gradient comes back through."""
    params = source.params
    asked, held = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    start = inputs[held:]
    (goes,) = writer.open(params["cond_jaxpr"], (*inputs[:asked], *start), scopes)
    once = writer.open(params["body_jaxpr"], (*inputs[asked:held], *start), (*scopes, "while[0]"))
    arrays = [(variable.aval.shape, variable.aval.dtype) for variable in source.outvars]
    state = tuple(
        one if one is other else writer.add("select_n", (goes, one, other), [array], scopes, {})[0]
        for one, other, array in zip(start, once, arrays, strict=True)
    )
    return writer.add("while", (*inputs[:held], *state), arrays, scopes, params, source.primitive)


def _cond(writer: Writer, source: Any, inputs: tuple[Operand, ...], scopes: Scopes) -> tuple[Operand, ...] | None:
    """All branches, and a choice of what they give; only one, if it is known beforehand which."""
    branches, (which, *given) = source.params["branches"], inputs
    if source.params.get("branches_platforms"):
        return None
    if not isinstance(which, Value):
        return writer.open(branches[min(max(int(which), 0), len(branches) - 1)], given, scopes)
    made = [writer.open(body, given, (*scopes, f"cond[{place}]")) for place, body in enumerate(branches)]
    arrays = [(variable.aval.shape, variable.aval.dtype) for variable in source.outvars]
    return tuple(
        each[0]
        if all(one is each[0] for one in each)
        else writer.add("select_n", (which, *each), [array], scopes, {})[0]
        for each, array in zip(zip(*made, strict=True), arrays, strict=True)
    )


_KNOWN: Mapping[str, Callable[..., tuple[Operand, ...] | None]] = {"scan": _scan, "while": _while, "cond": _cond}
