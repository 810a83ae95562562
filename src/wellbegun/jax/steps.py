"""Equations -> steps of a model: layers of a framework, and a softmax that is written out, are one step each."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from wellbegun.backend import Equation, Operand, Program, Step, Value, values_in
from wellbegun.graph.facts import Fact, Gather, Move, Norm, Softmax
from wellbegun.jax.described import Layer

_PRODUCTS = frozenset({"dot_general", "conv_general_dilated"})
MOVES = frozenset({"reshape", "broadcast_in_dim", "transpose", "squeeze", "expand_dims", "convert_element_type",
                    "stop_gradient", "copy"})  # fmt: skip


class Told(NamedTuple):
    """What a model says of itself: its modules by their path, and the name of each parameter's value."""

    layers: Mapping[str, Layer]
    names: Mapping[int, str]
    owned: bool

    def of(self, equation: Equation, depth: int | None = None) -> tuple[str, Layer]:
        """The innermost module that an equation is in; `depth`: or one further out."""
        for scope in reversed(equation.scopes[:depth]):
            path, called, _ = scope.partition("#")
            if called and path in self.layers:
                return path, self.layers[path]
        return "", Layer()


def steps_of(program: Program, told: Told) -> Iterator[Step]:
    """All steps, in the order in which their outputs are known."""
    told, together = told._replace(names=_named(program, told.names)), dict[int, Step]()
    homes = _homes(program, told.names)
    for step in (*_layers(program, told, homes), *_softmaxes(program, told)):
        together.update({equation.index: step for equation in step.equations})
    for equation in program.equations:
        whole = together.get(equation.index)
        if whole is None:
            (scope, layer), outputs = told.of(equation), tuple(values_in(equation.outputs))
            home = homes.get(equation.index, "")
            scope = scope or (home if told.owned else "")
            own = layer.does == "product" and _path(told, equation.inputs[0]) != scope
            yield Step(equation.name, scope, (equation,), _read(program, equation), outputs, layer=own)
        elif whole.last == equation.index:
            yield whole


def _read(program: Program, equation: Equation) -> tuple[Operand, ...]:
    """What an equation reads; of the steps of a loop that are one, what depends on the batch: parameters are known from
    its first steps."""
    signals = tuple(value for value in values_in(equation.inputs) if value.number in program.signals)
    return signals if signals and equation.name in ("scan", "while") else equation.inputs


def _path(told: Told, operand: Operand) -> str | None:
    """Where a parameter is."""
    return told.names[operand.number].rpartition(".")[0] if getattr(operand, "number", 0) in told.names else None


def _named(program: Program, names: Mapping[int, str]) -> dict[int, str]:
    """Names of parameters also where these were moved, as the rows of a stack are."""
    found = dict(names)
    for equation in program.equations:
        given = next(values_in(equation.inputs), None)
        if given is not None and given.number in found and equation.name in MOVES | {"slice"}:
            found.update((value.number, found[given.number]) for value in values_in(equation.outputs))
    return found


def _homes(program: Program, names: Mapping[int, str]) -> dict[int, str]:
    """Equation -> path of the parameter that it reads, itself or moved."""
    paths, found = {number: name.rpartition(".")[0] for number, name in names.items()}, dict[int, str]()
    for equation in program.equations:
        read = [paths[value.number] for value in values_in(equation.inputs) if value.number in paths]
        if read:
            found[equation.index] = read[-1]
        if read and not any(value.number in program.signals for value in values_in(equation.inputs)):
            paths.update((value.number, read[-1]) for value in values_in(equation.outputs))
    return found


# ---------------------------------------------------------------------- layers of a framework
def _layers(program: Program, told: Told, homes: Mapping[int, str]) -> Iterator[Step]:
    """Each call of a layer that is one step, and products with their biases."""
    calls: dict[tuple[str, ...], list[Equation]] = {}
    for equation in program.equations:
        for depth in range(1, len(equation.scopes) + 1):
            if "#" in equation.scopes[depth - 1] and told.of(equation, depth)[1].does:
                calls.setdefault(equation.scopes[:depth], []).append(equation)
                break
    readers: dict[int, set[int]] = {value.number: {-1} for value in values_in(program.outputs)}
    for equation in program.equations:
        for value in values_in(equation.inputs):
            readers.setdefault(value.number, set()).add(equation.index)
    for scopes, equations in calls.items():
        path, layer = told.of(equations[0], len(scopes))
        if layer.does == "product":
            yield from _biased(program, path, equations, readers)
        else:
            yield from _layer(program, layer, path, equations, readers, told.names)
    inside = {equation.index for equations in calls.values() for equation in equations}
    for product in program.equations if told.owned else ():
        if product.name in _PRODUCTS and product.index in homes.keys() - inside:
            after = (program.equations[index] for index in readers.get(product.outputs[0].number, ()) if index >= 0)
            added = [e for e in after if homes.get(e.index) == homes[product.index] and _row(e, product)]
            yield from _biased(program, homes[product.index], [product, *added], readers)


def _row(equation: Equation, product: Equation) -> bool:
    """Whether what is added to a product is one number for each unit."""
    others = [value for value in values_in(equation.inputs) if value not in product.outputs]
    return all(sum(size > 1 for size in value.shape) <= 1 for value in others)


def _layer(
    program: Program,
    layer: Layer,
    path: str,
    equations: list[Equation],
    readers: Mapping[int, set[int]],
    names: Mapping[int, str],
) -> Iterator[Step]:
    own = {equation.index for equation in equations}
    made = [value for equation in equations for value in values_in(equation.outputs)]
    given = dict.fromkeys(v for equation in equations for v in values_in(equation.inputs) if v not in made)
    signals = [value for value in given if value.number in program.signals]
    outputs = [v for v in made if v.number in program.signals and readers.get(v.number, own) - own]
    if len(signals) == 1 == len(outputs):
        held = {names[value.number].rpartition(".")[2]: value for value in given if value.number in names}
        others = [held[name] for name in ("weight", "bias") if name in held]
        fact = _fact(layer, len(signals[0].shape), held)
        inputs = (*others, *signals) if isinstance(fact, Gather) else (*signals, *others)
        yield Step(type(fact).__name__.lower(), path, tuple(equations), inputs, tuple(outputs), fact)


def _fact(layer: Layer, rank: int, held: Mapping[str, Value]) -> Fact:
    if layer.does == "table":
        return Gather((0,), rank=max(rank, 2), layer=True)
    if layer.does == "mask":
        return Move("masked", axes=tuple((axis,) for axis in range(rank)))
    scale = 1 if "weight" in held else None
    shift = None if "bias" not in held else 1 if scale is None else 2
    return Norm(layer.over, layer.name != "RMSNorm", rank - 1 if layer.last else 1, scale, shift)


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
def _softmaxes(program: Program, told: Told) -> Iterator[Step]:
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
            yield Step(name, told.of(equation)[0], equations, (shifted.inputs[0],), outputs, fact)


def _behind(makers: Mapping[int, Equation], value: Operand, passed: list[Equation], also: str = "") -> Equation | None:
    """What made a value before it was moved; it and the moves are added to `passed`. `also`: counts as a move too."""
    while isinstance(value, Value) and value.number in makers:
        maker = makers[value.number]
        passed.append(maker)
        if maker.name not in MOVES and maker.name != also:
            return maker
        value = next(values_in(maker.inputs), None)
    return None
