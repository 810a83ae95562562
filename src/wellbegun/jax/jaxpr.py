"""A function as one flat list of equations: calls within calls are opened, so an equation's index says which it is."""

import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from wellbegun.backend import Equation, Operand, Program, Value, values_in
from wellbegun.graph.facts import Array, Numbers
from wellbegun.jax.loops import opened

_OPENED = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # where an equation keeps the body of a call
_LOOPS = frozenset({"scan", "while", "cond"})  # whose bodies run as often as values say
_WITHIN = re.compile(r"\w+\(|\)")  # what transforms add to names of scopes: vmap(...)
_STOPS = frozenset({"stop_gradient", "while"})
_CUSTOM = frozenset({"custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"})  # with derivatives of their own


class _Move:
    """A move of a value that is made once something else than its reverse reads it: transforms add such pairs."""

    def __init__(self, source: Value, name: str, shape: tuple[int, ...], params: dict[str, Any], scopes: Any) -> None:
        self.source, self.shape, self.how = source, shape, (name, params, scopes)
        self.made: Value | None = None

    def reversed_by(self, equation: Any) -> bool:
        """Whether an equation that reads it gives the source again."""
        name, shape = equation.primitive.name, tuple(equation.outvars[0].aval.shape)
        if self.how[0] == "transpose" == name:
            order = self.how[1]["permutation"]
            return [order[axis] for axis in equation.params["permutation"]] == list(range(len(order)))
        return self.how[0] == "reshape" and name in ("reshape", "squeeze") and shape == self.source.shape


class _Flattener:
    def __init__(self) -> None:
        self.equations: list[Equation] = []
        self.calls: dict[int, Equation] = {}
        self.constants: dict[int, Any] = {}
        self.signals: set[int] = set()
        self.values = 0

    def value(self, shape: tuple[int, ...], dtype: Any) -> Value:
        self.values += 1
        real, complex_ = jnp.issubdtype(dtype, jnp.floating), jnp.issubdtype(dtype, jnp.complexfloating)
        numbers: Numbers = "real" if real else "complex" if complex_ else "integer"
        return Value(self.values, Array(tuple(shape), numbers), str(dtype))

    def open(self, body: Any, operands: Sequence[Operand], scopes: tuple[str, ...]) -> tuple[Operand, ...]:
        """The equations of a body, given what it is called with; what it gives."""
        inner, known = getattr(body, "jaxpr", body), dict[Any, Operand | _Move]()
        known.update(zip(inner.invars, operands, strict=True))
        for variable, held in zip(inner.constvars, getattr(body, "consts", ()), strict=True):
            known[variable] = self.value(variable.aval.shape, variable.aval.dtype)
            self.constants[self.values] = held

        def operand(atom: Any) -> Operand:
            return atom.val if isinstance(atom, core.Literal) else self.settled(known[atom])

        for source in inner.eqns:
            first = next((known[atom] for atom in source.invars[:1] if not isinstance(atom, core.Literal)), None)
            if isinstance(first, _Move) and first.reversed_by(source):
                known[source.outvars[0]] = first.source
                continue
            inputs = tuple(operand(atom) for atom in source.invars)
            within = (*scopes, *filter(None, _WITHIN.sub("", str(source.source_info.name_stack)).split("/")))
            known.update(zip(source.outvars, self._equation(source, inputs, within), strict=True))
        return tuple(operand(atom) for atom in inner.outvars)

    def settled(self, operand: Any) -> Operand:
        """An operand, which is made now if it is a move."""
        if not isinstance(operand, _Move):
            return operand
        if operand.made is None:
            (name, params, scopes), source = operand.how, operand.source
            operand.made = self.add(name, (source,), [(operand.shape, source.dtype)], scopes, params)[0]
        return operand.made

    def _equation(self, source: Any, inputs: tuple[Operand, ...], scopes: tuple[str, ...]) -> Sequence[Operand | _Move]:
        called, name, first = _body(source), source.primitive.name, len(self.equations)
        if called is None or len(getattr(called, "jaxpr", called).invars) != len(inputs):
            return opened(self, source, inputs, scopes) or self._single(source, inputs, scopes)
        made = self.open(called, inputs, scopes)
        last = len(self.equations) - 1
        own = {value.number for equation in self.equations[first:] for value in values_in(equation.outputs)}
        whole = all(isinstance(value, Value) and value.number in own for value in made)
        if name in _CUSTOM and last >= first and whole and len(set(made)) == len(made):
            compute = partial(_run, source.primitive, source.params)
            self.calls[first] = Equation(first, name, inputs, made, scopes, source.params, last, compute)
        return made

    def _single(self, source: Any, inputs: tuple[Operand, ...], scopes: tuple[str, ...]) -> Sequence[Operand | _Move]:
        """One equation, with products and moves in the form that most models have them in."""
        name, arrays = source.primitive.name, [(each.aval.shape, each.aval.dtype) for each in source.outvars]
        signals = [isinstance(value, Value) and value.number in self.signals for value in inputs]
        if name == "dot_general" and all(signals):
            return self._product(source, inputs, scopes)
        if name == "dot_general" and signals[1]:
            return (self._turned(source, inputs, scopes),)
        if name == "reshape" and signals[0] and _plain(inputs[0].shape) == _plain(arrays[0][0]):
            return (_Move(inputs[0], name, arrays[0][0], {"new_sizes": arrays[0][0]}, scopes),)
        return self.add(name, inputs, arrays, scopes, source.params, source.primitive)

    def add(
        self,
        name: str,
        inputs: tuple[Operand, ...],
        shapes: Sequence[tuple[tuple[int, ...], Any]],
        scopes: tuple[str, ...],
        params: dict[str, Any],
        primitive: Any = None,
    ) -> tuple[Value, ...]:
        index, made = len(self.equations), tuple(self.value(shape, dtype) for shape, dtype in shapes)
        compute: Any = partial(_run, primitive or getattr(jax.lax, name), params)
        compute = _cut(compute) if name == "while" else compute
        self.equations.append(Equation(index, name, inputs, made, scopes, params, index, compute))
        if any(value.number in self.signals for value in values_in(inputs)):
            self.signals.update(value.number for value in made)
        return made

    def _turned(self, source: Any, inputs: tuple[Operand, ...], scopes: tuple[str, ...]) -> Any:
        """A product of a weight and a signal with the signal first, as most are."""
        (summed, others), (first, second) = source.params["dimension_numbers"]
        shared, (left, right) = len(first), (len(operand.shape) - len(summed) - len(first) for operand in inputs)
        params = dict(source.params, dimension_numbers=((others, summed), (second, first)))
        back = (*range(shared), *range(shared + right, shared + right + left), *range(shared, shared + right))
        output = source.outvars[0].aval
        order = [back.index(axis) for axis in range(len(back))]
        shape = tuple(output.shape[axis] for axis in order)
        (made,) = self.add("dot_general", inputs[::-1], [(shape, output.dtype)], scopes, params, source.primitive)
        return (
            made if left == 0 or right == 0 else _Move(made, "transpose", output.shape, {"permutation": back}, scopes)
        )

    def _product(self, source: Any, inputs: tuple[Operand, ...], scopes: tuple[str, ...]) -> tuple[Operand, ...]:
        """A product of two signals as one of matrices (..., rows, terms) and (..., terms, columns): what is measured of
        attentions looks at rows and columns, wherever a model has its heads."""
        (summed, others), (first, second) = source.params["dimension_numbers"]
        left, right, output = *inputs, source.outvars[0].aval
        rows = [axis for axis in range(len(left.shape)) if axis not in (*summed, *first)]
        columns = [axis for axis in range(len(right.shape)) if axis not in (*others, *second)]
        left = self._matrices(left, [*first], [rows, [*summed]], scopes)
        right = self._matrices(right, [*second], [[*others], columns], scopes)
        batch = tuple(range(len(first)))
        params = dict(source.params, dimension_numbers=(((len(batch) + 1,), (len(batch),)), (batch, batch)))
        shape = (*left.shape[:-1], right.shape[-1])
        made = self.add("dot_general", (left, right), [(shape, output.dtype)], scopes, params, source.primitive)
        return made if shape == output.shape else (self._reshaped(made[0], output.shape, scopes),)

    def _matrices(self, value: Value, batch: list[int], sides: list[list[int]], scopes: tuple[str, ...]) -> Value:
        order = (*batch, *sides[0], *sides[1])
        if order != tuple(range(len(order))):
            shape = tuple(value.shape[axis] for axis in order)
            (value,) = self.add("transpose", (value,), [(shape, value.dtype)], scopes, {"permutation": order})
        kept = value.shape[: len(batch)]
        split = len(batch) + len(sides[0])
        shape = (*kept, math.prod(value.shape[len(batch) : split]), math.prod(value.shape[split:]))
        return value if shape == value.shape else self._reshaped(value, shape, scopes)

    def _reshaped(self, value: Value, shape: tuple[int, ...], scopes: tuple[str, ...]) -> Value:
        return self.add("reshape", (value,), [(shape, value.dtype)], scopes, {"new_sizes": tuple(shape)})[0]


def _plain(shape: Sequence[int]) -> list[int]:
    return [size for size in shape if size != 1]


def _run(primitive: Any, params: dict[str, Any], inputs: Sequence[Any]) -> list[Any]:
    if not hasattr(primitive, "bind"):
        return [primitive(*inputs, **params)]
    found = primitive.bind(*inputs, **primitive.get_bind_params(params))
    return list(found) if primitive.multiple_results else [found]


def _body(source: Any) -> Any:
    if source.primitive.name in _LOOPS:
        return None
    return next((source.params[key] for key in _OPENED if hasattr(source.params.get(key), "eqns")), None)


def _cut(compute: Callable[..., Any]) -> Callable[..., Any]:
    """The same, which gradients do not come back through."""
    return lambda inputs: compute([jax.lax.stop_gradient(array) for array in inputs])


def program_of(closed: Any, batch: int) -> Program:
    """The flat form of what `jax.make_jaxpr` gave; `batch`: the first input that is no state of the model."""
    made = _Flattener()
    inputs = tuple(made.value(variable.aval.shape, variable.aval.dtype) for variable in closed.jaxpr.invars)
    made.signals.update(value.number for value in inputs[batch:])
    outputs = made.open(closed, inputs, ())
    integers = (e for e in made.equations if all(value.array.numbers == "integer" for value in values_in(e.outputs)))
    stops = frozenset(e.index for e in (*integers, *(e for e in made.equations if e.name in _STOPS)))
    held = frozenset(e.index for e in made.equations if e.name == "stop_gradient")
    signals = frozenset(made.signals)
    return Program(tuple(made.equations), made.calls, inputs, outputs, made.constants, signals, stops, held)


def channels_last(program: Program) -> bool:
    """Whether images have their channels on the last axis: as convolutions read them; without one, they are."""
    found = (e.params["dimension_numbers"].lhs_spec for e in program.equations if e.name == "conv_general_dilated")
    return next((spec[1] != 1 for spec in found), True)
