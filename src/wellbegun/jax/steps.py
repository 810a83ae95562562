"""Equations -> steps of a model: layers of Flax, and a softmax that is written out, are one step each."""

from collections.abc import Iterator, Mapping
from typing import Any

from flax import nnx

from wellbegun.backend import Equation, Operand, Program, Step, Value, values_in
from wellbegun.graph.facts import Fact, Gather, Move, Norm, Softmax
from wellbegun.graph.model import Over

_NORMS: Mapping[type[Any], Over] = {
    nnx.BatchNorm: "samples", nnx.LayerNorm: "units", nnx.RMSNorm: "units", nnx.GroupNorm: "groups",
    nnx.InstanceNorm: "groups",
}  # fmt: skip
_WHOLE: tuple[type[Any], ...] = (*_NORMS, nnx.Embed, nnx.Dropout)
# layers whose bias is part of their product
_BIASED: tuple[type[Any], ...] = (nnx.Linear, nnx.LinearGeneral, nnx.Einsum, nnx.Conv, nnx.ConvTranspose)
_PRODUCTS = frozenset({"dot_general", "conv_general_dilated"})
MOVES = frozenset({"reshape", "broadcast_in_dim", "transpose", "squeeze", "expand_dims", "convert_element_type",
                    "stop_gradient", "copy"})  # fmt: skip
Modules = Mapping[str, nnx.Module]  # by their path


def steps_of(program: Program, modules: Modules, attributes: Mapping[int, str]) -> Iterator[Step]:
    """All steps, in the order in which their outputs are known. `attributes`: what a module calls a parameter, by the
    number of its value."""
    together: dict[int, Step] = {}
    for step in (*_layers(program, modules, attributes), *_softmaxes(program, modules)):
        together.update({equation.index: step for equation in step.equations})
    for equation in program.equations:
        whole = together.get(equation.index)
        if whole is None:
            scope, outputs = _scope(equation, modules), tuple(values_in(equation.outputs))
            layer = isinstance(modules.get(scope), _BIASED)
            yield Step(equation.name, scope, (equation,), equation.inputs, outputs, layer=layer)
        elif whole.last == equation.index:
            yield whole


def _scope(equation: Equation, modules: Modules) -> str:
    paths = (scope.partition("#")[0] for scope in reversed(equation.scopes))
    return next((path for path in paths if path in modules), "")


# ---------------------------------------------------------------------- layers of Flax
def _layers(program: Program, modules: Modules, attributes: Mapping[int, str]) -> Iterator[Step]:
    """Each call of a layer that is one step, and products with their biases."""
    calls: dict[tuple[str, ...], list[Equation]] = {}
    for equation in program.equations:
        for depth, scope in enumerate(equation.scopes, 1):
            if isinstance(modules.get(scope.partition("#")[0]), (*_WHOLE, *_BIASED)):
                calls.setdefault(equation.scopes[:depth], []).append(equation)
                break
    readers: dict[int, set[int]] = {value.number: {-1} for value in values_in(program.outputs)}
    for equation in program.equations:
        for value in values_in(equation.inputs):
            readers.setdefault(value.number, set()).add(equation.index)
    for scopes, equations in calls.items():
        path = scopes[-1].partition("#")[0]
        if isinstance(modules[path], _BIASED):
            yield from _biased(program, path, equations, readers)
        else:
            yield from _layer(program, modules[path], path, equations, readers, attributes)


def _layer(
    program: Program,
    module: nnx.Module,
    path: str,
    equations: list[Equation],
    readers: Mapping[int, set[int]],
    attributes: Mapping[int, str],
) -> Iterator[Step]:
    own = {equation.index for equation in equations}
    made = [value for equation in equations for value in values_in(equation.outputs)]
    given = dict.fromkeys(v for equation in equations for v in values_in(equation.inputs) if v not in made)
    signals = [value for value in given if value.number in program.signals]
    outputs = [v for v in made if v.number in program.signals and readers.get(v.number, own) - own]
    if len(signals) == 1 == len(outputs):
        held = {attributes[value.number]: value for value in given if value.number in attributes}
        others = [held[name] for name in ("embedding", "scale", "bias") if name in held]
        fact = _fact(module, len(signals[0].shape), held)
        inputs = (*others, *signals) if isinstance(fact, Gather) else (*signals, *others)
        yield Step(type(fact).__name__.lower(), path, tuple(equations), inputs, tuple(outputs), fact)


def _fact(module: nnx.Module, rank: int, held: Mapping[str, Value]) -> Fact:
    if isinstance(module, nnx.Embed):
        return Gather((0,), rank=max(rank, 2), layer=True)
    if isinstance(module, nnx.Dropout):
        return Move("masked", axes=tuple((axis,) for axis in range(rank)))
    over = next(over for kind, over in _NORMS.items() if isinstance(module, kind))
    scale = 1 if "scale" in held else None
    shift = None if "bias" not in held else 1 if scale is None else 2
    return Norm(over, not isinstance(module, nnx.RMSNorm), rank - 1, scale, shift)


def _biased(program: Program, path: str, equations: list[Equation], readers: Mapping[int, set[int]]) -> Iterator[Step]:
    """A product and the bias that is added to it."""
    product = next((equation for equation in equations if equation.name in _PRODUCTS), None)
    for equation in equations if product is not None else ():
        assert product is not None
        alone = readers.get(product.outputs[0].number) == {equation.index}
        bias = [v for v in values_in(equation.inputs) if v != product.outputs[0] and v.number not in program.signals]
        if equation.name == "add" and alone and bias:
            inputs, outputs = (*product.inputs, bias[0]), tuple(values_in(equation.outputs))
            yield Step(product.name, path, (product, equation), inputs, outputs, layer=True)


# ---------------------------------------------------------------------- softmax
def _softmaxes(program: Program, modules: Modules) -> Iterator[Step]:
    """exp(x - max x) / sum(exp(x - max x)), and its logarithm, written out."""
    makers = {value.number: equation for equation in program.equations for value in values_in(equation.outputs)}
    for equation in program.equations:
        if equation.name not in ("div", "sub") or len(list(values_in(equation.inputs))) < 2:
            continue
        logarithm, passed = equation.name == "sub", [equation]
        total = _behind(makers, equation.inputs[1], passed, also="log" if logarithm else "")
        above = _behind(makers, total.inputs[0], passed) if total is not None and total.name == "reduce_sum" else None
        shifted = _behind(makers, above.inputs[0], passed) if above is not None and above.name == "exp" else None
        if total is None or above is None or shifted is None or shifted.name != "sub":
            continue
        largest = _behind(makers, shifted.inputs[1], passed, also="max")
        start = shifted.outputs[0] if logarithm else above.outputs[0]
        if largest is not None and largest.name == "reduce_max" and equation.inputs[0] == start:
            equations = tuple(sorted({e.index: e for e in passed}.values(), key=lambda e: e.index))
            fact, name = Softmax(int(total.params["axes"][0]), logarithm), "log_softmax" if logarithm else "softmax"
            outputs = tuple(values_in(equation.outputs))
            yield Step(name, _scope(equation, modules), equations, (shifted.inputs[0],), outputs, fact)


def _behind(makers: Mapping[int, Equation], value: Operand, passed: list[Equation], also: str = "") -> Equation | None:
    """What made a value before it was moved; it and the moves are added to `passed`. `also`: counts as a move too."""
    while isinstance(value, Value) and value.number in makers:
        maker = makers[value.number]
        passed.append(maker)
        if maker.name not in MOVES and maker.name != also:
            return maker
        value = next(values_in(maker.inputs), None)
    return None
