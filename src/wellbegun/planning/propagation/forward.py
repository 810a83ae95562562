"""One operation forward: from the signals that come in to the one that goes out, or why theory does not say."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wellbegun.errors import WellbegunError
from wellbegun.graph import Analysis, Operation
from wellbegun.planning.propagation.weights import Laws, Shapes, Unpredictable, affine_of, inside, origins, product
from wellbegun.theory import Signal
from wellbegun.theory.propagation import (
    affine,
    normalized,
    plus,
    plus_bias,
    through_function,
    through_weight,
    times,
)


@dataclass(frozen=True)
class Step:
    """A predicted output. `growth` and `contrast` say how relative errors of the second moment, and errors of the
    correlation, come through; `exact`: the input's own noise does not count, because it is known what came in.
    `judged`: whether the measured value should agree (a part of a value may differ from the whole)."""

    signal: Signal
    growth: float = 1.0
    contrast: float = 1.0
    exact: bool = False
    judged: bool = True
    slope: float = 1.0  # E phi'^2
    twin_slope: float | None = None


class Forward:
    """Steps through the operations of one planned model."""

    def __init__(self, graph: Analysis, laws: Laws, shapes: Shapes) -> None:
        self.graph, self.laws, self.shapes = graph, laws, shapes
        self._origins = origins(graph)

    def step(self, operation: Operation, signals: Mapping[int, Signal]) -> Step:
        """The output of an operation.

        Raises:
            Unpredictable: theory does not say, with the reason.
        """
        needed = (operation.root,) if operation.kind == "pointwise" and operation.root else operation.inputs
        for value in needed:
            if value not in signals:
                maker = self.graph.producers.get(value)
                raise Unpredictable(f"follows {maker.place if maker else 'the batch'}, which is not predicted")
        rule = getattr(self, f"_{operation.kind}", None)
        if rule is None:
            raise Unpredictable(_REASONS.get(operation.kind, f"{operation.kind}: no theory"))
        try:
            found: Step = rule(operation, [signals[value] for value in needed])
        except WellbegunError as error:
            raise Unpredictable(str(error)) from error
        return found

    # ------------------------------------------------------------------ weights
    def share(self, operation: Operation) -> float:
        """Of the terms of a convolution that are no padding, as far as shapes are known."""
        sizes = [self.shapes.get(value) for value in (*operation.inputs, *operation.outputs)]
        if operation.kind != "conv" or len(sizes) != 2 or sizes[0] is None or sizes[1] is None:
            return 1.0
        weight = next((use.parameter for use in operation.uses if use.slot == "weight" and use.computed is None), None)
        if weight is None:
            raise Unpredictable("its weight is computed from parameters")
        return inside(sizes[0], sizes[1], self.laws.entry(weight))

    def _linear(self, operation: Operation, given: list[Signal]) -> Step:
        known = affine_of(self.laws, operation, self.share(operation))
        signal = through_weight(affine(given[0], 1.0, known.shift) if known.shift else given[0], known.weight)
        signal = plus_bias(signal, *known.bias)
        apart = given[0].apart if known.weight.inputs_mirrored and given[0].twin is not None else 1.0
        return Step(signal, contrast=apart, exact=True)

    _conv = _linear

    def _lookup(self, operation: Operation, _: list[Signal]) -> Step:
        if len(operation.uses) != 1 or operation.uses[0].slot != "table" or operation.uses[0].computed is not None:
            raise Unpredictable("its table is computed from parameters")
        mean, variance = self.laws.average(operation.uses[0].parameter)
        return Step(Signal(variance + mean**2, mean, None, normal=True), exact=True)

    # ------------------------------------------------------------------ functions
    def _pointwise(self, operation: Operation, given: list[Signal]) -> Step:
        assert operation.function is not None
        if operation.uses and any(use.slot != "negative_slope" for use in operation.uses):
            raise Unpredictable("a function with parameters")
        if self.graph.is_linear(operation):
            at_zero, at_one = np.asarray(operation.function(np.array([0.0, 1.0])), np.float64)
            factor = float(at_one - at_zero)
            judged = operation.entries != "written"  # into memory that may be half written
            moved = affine(given[0], factor, float(at_zero))
            return Step(moved, judged=judged, slope=factor**2, twin_slope=factor**2)
        if not given[0].normal:
            raise Unpredictable("a function of a value that is not normal")
        bent = through_function(given[0], operation.function)
        return Step(bent.signal, bent.growth, bent.contrast, slope=bent.slope, twin_slope=bent.twin_slope)

    def _add(self, operation: Operation, given: list[Signal]) -> Step:
        if operation.arithmetic not in ("sum", "difference") or len(given) != 2 or operation.uses:
            raise Unpredictable("no plain sum of two values")
        self._independent(operation)
        return Step(plus(given[0], given[1], -1.0 if operation.arithmetic == "difference" else 1.0))

    def _gate(self, operation: Operation, given: list[Signal]) -> Step:
        if operation.arithmetic != "product" or len(given) != 2 or operation.uses:
            raise Unpredictable("no plain product of two values")
        self._independent(operation)
        return Step(times(given[0], given[1]))

    def _independent(self, operation: Operation) -> None:
        one, two = (self._origins(value) for value in operation.inputs)
        if one & two or not one | two:
            raise Unpredictable("its two values come from the same weight")

    # ------------------------------------------------------------------ parameters entry by entry
    def _scale(self, operation: Operation, given: list[Signal]) -> Step:
        mean, variance = self._single(operation, "scale")
        return Step(self._scaled(given[0], mean, variance), slope=variance + mean**2)

    def _shift(self, operation: Operation, given: list[Signal]) -> Step:
        if operation.arithmetic != "sum":
            raise Unpredictable("a shift that is no plain sum")
        return Step(plus_bias(given[0], *self._single(operation, operation.uses[0].slot if operation.uses else "")))

    def _single(self, operation: Operation, slot: str) -> tuple[float, float]:
        if len(operation.uses) != 1 or operation.uses[0].slot != slot or not operation.uses[0].exact:
            raise Unpredictable("a constant that depends on no parameter of the plan")
        return self.laws.average(operation.uses[0].parameter)

    @staticmethod
    def _scaled(signal: Signal, mean: float, variance: float) -> Signal:
        out = affine(signal, (mean**2 + variance) ** 0.5)
        return out._replace(mean=mean * signal.mean, normal=signal.normal and not variance)

    def _norm(self, operation: Operation, given: list[Signal]) -> Step:
        if operation.over != "units":
            raise Unpredictable("a normalization over samples, groups, or written by hand")
        signal = normalized(given[0], centred=operation.centred)
        for use in operation.uses:
            if not use.exact:
                raise Unpredictable("a scale computed from a parameter")
            average = self.laws.average(use.parameter)
            signal = self._scaled(signal, *average) if use.slot == "norm_scale" else plus_bias(signal, *average)
        return Step(signal, growth=0.0)

    # ------------------------------------------------------------------ moves
    def _move(self, operation: Operation, given: list[Signal]) -> Step:
        first = given[0] if given else None
        if first is None or operation.uses:
            raise Unpredictable("a parameter or constant that stands for a signal")
        if any(abs(other.second - first.second) > 1e-9 * first.second for other in given):
            raise Unpredictable("put together from different values")
        readers = self.graph.consumers.get(operation.outputs[0], ())
        padding = operation.entries == "part" and all(r.entries in ("part", "written") for r in readers)
        if operation.entries == "written" or padding:  # layers pad their inputs with parts of them
            return Step(first._replace(twin=None, cross=None), judged=False)
        if operation.entries not in ("same", "reordered"):
            raise Unpredictable(f"{operation.name} changes values or leaves some out")
        before, after = self.shapes.get(operation.inputs[0]), self.shapes.get(operation.outputs[0])
        if before is not None and after is not None and before[:1] != after[:1]:
            if product(before) != product(after):
                raise Unpredictable(f"{operation.name} changes values or leaves some out")
            return Step(first._replace(overlap=None, cross=None))  # other things are samples now
        return Step(first)


_REASONS = {
    "opaque": "not known to theory",
    "matmul": "product of two values",
    "attention": "attention",
    "softmax": "softmax",
    "recurrent": "a recurrent layer",
    "pool": "average or maximum of positions that depend on each other",
    "mean": "average of values that depend on each other",
    "concat": "put together from several values",
    "split": "a part of a value",
    "conv_transpose": "a transposed convolution, whose borders are not known",
    "statistic": "the mean or variance inside a normalization",
}
