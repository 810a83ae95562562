"""Watches one forward pass at the dispatcher and writes down a ModelGraph.

The dispatch mode sees every ATen operation, so functional calls, operators and bare parameters look the same. What it
cannot see (recurrent layers as a whole, module paths, which argument is a layer's input) `layers` tells it.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

from wellbegun.graph import ModelGraph, Operation, Parameter, Use
from wellbegun.graph.model import Kind, Slot
from wellbegun.torch.sandbox import about_to_write
from wellbegun.torch.trace import aten, axes, fake
from wellbegun.torch.trace.expression import ROOT, Expression, Expressions
from wellbegun.torch.trace.guards import answered, finite_notes
from wellbegun.torch.trace.opaque import opaque_notes
from wellbegun.torch.trace.provenance import Knowledge
from wellbegun.torch.trace.reparametrized import derived_by, step
from wellbegun.torch.trace.uses import index_of, other_uses, recurrent_uses, weight_uses
from wellbegun.torch.trace.values import Fixed, Known, Signal, number_of, storage_of, template, tensors_in

Observer = Callable[[Operation, tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]], None]  # with inputs, outputs
Operands = list[tuple[torch.Tensor, Known]]
Statistic = tuple[frozenset[int], frozenset[int], frozenset[int]]  # as in Signal: statistic_of, makers, normed
Pointwise = tuple[Kind, int | None, Expression | None]  # kind; root and function of one value
_NO_STATISTIC: Statistic = (frozenset(), frozenset(), frozenset())


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records operations on what it is told about: parameters by identity, and the batch."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No wrapper that turns the compiler off around each operation: it is off already."""
        return False

    def __init__(
        self, known: dict[int, axes.Derived], parameters: dict[str, Parameter], observer: Observer | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.parameters, self.observer = parameters, observer
        self.operations: list[Operation] = []
        self.sections: dict[str, int] = {}
        self.scopes: list[str] = [""]
        self.failed_in = ""  # innermost module whose forward raised
        self.failed_at = ""  # the operation that raised
        self.paused = False
        self._known = Knowledge(known, self._alias)
        self._expressions = Expressions()
        self._integers: set[int] = set()  # operations whose outputs hold no real or complex numbers
        self._makers: dict[int, int] = {}  # value -> index of the operation that made it
        self._axes: dict[int, int | None] = {}  # value -> axis of its units
        self._asked: list[Operation] = []  # where a path depends on whether values are finite
        self._values = 0

    # ------------------------------------------------------------------ what a tensor is
    def signal(self, tensor: torch.Tensor) -> None:
        """Declare a tensor as a new value that depends on the batch."""
        self._values += 1
        self._axes[self._values] = aten.usual_axis(tensor.ndim)
        self._known.remember(tensor, Signal(self._values, self._values))

    def declare(self, tensor: torch.Tensor, name: str) -> None:
        """Declare a tensor that a module has computed as a parameter of its own."""
        self._known.remember(tensor, axes.of_parameter(name, tensor))

    def source(self, tensor: torch.Tensor) -> None:
        """Take a tensor that depends on no batch for a signal: parameters that stand for themselves, or constants."""
        self._known.remember(tensor, self._source(self.of(tensor), "token"))

    def _source(self, found: Known, slot: Slot) -> Signal:
        names = found.names if isinstance(found, axes.Derived) else frozenset()
        self._values += 1
        uses = tuple(Use(name, slot) for name in sorted(names))
        what = "parameter" if names else "constant"
        scope = self.scopes[-1]
        self.operations.append(Operation(len(self.operations), "move", what, scope, (), (self._values,), uses))
        return Signal(self._values, self._values)

    def of(self, tensor: torch.Tensor) -> Known:
        """What is known of a tensor."""
        return self._known.of(tensor)

    def _alias(self, tensor: torch.Tensor, signals: list[Signal], derived: list[axes.Derived]) -> None:
        """A tensor some of whose memory was written to through another one, by what depends on the batch."""
        names = sorted(frozenset().union(*(known.names for known in derived)))
        uses = tuple(Use(name, "token") for name in names)
        self._axes[self._values + 1] = self._axes.get(signals[0].value) if signals else None
        self._append("move", "alias", signals, [tensor], uses, entries="written")

    # ------------------------------------------------------------------ dispatch
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        quiet = self.paused or aten.name_of(func) in aten.IGNORED
        tensors = [] if quiet else tensors_in((args, list(kwargs.values())))
        operands: Operands = [(tensor, self.of(tensor)) for tensor in tensors]
        if written := aten.written(func, args, kwargs):
            about_to_write(written)
        try:
            result = fake.run(func, args, kwargs)
        except Exception as error:  # of any kind: remembered for the message, and raised again
            result = self._assumed(error, tensors)
            if result is None:
                self.failed_at = self.failed_at or aten.name_of(func)
                raise
        if not quiet:
            outputs = tensors_in(result)
            self._record(func, args, kwargs, operands, outputs)
            for output in outputs:
                if any(output is tensor for tensor in written):
                    self._known.wrote(output)
        return result

    def _assumed(self, error: Exception, tensors: list[torch.Tensor]) -> bool | None:
        """The answer to a fake tensor that was asked for its value, where it is whether others are finite."""
        known = self.of(tensors[0]) if isinstance(error, DataDependentOutputException) and tensors else None
        with no_dispatch():
            found = answered(known.value, self._maker) if isinstance(known, Signal) else None
        self._asked += [] if found is None else [found[1]]
        return None if found is None else found[0]

    def _record(self, func: Any, args: Any, kwargs: Any, operands: Operands, outputs: list[torch.Tensor]) -> None:
        name = aten.name_of(func)
        if name == "copy_":
            operands = operands[1:]  # what was there before does not matter
        signals = [known for _, known in operands if isinstance(known, Signal)]
        derived = [known for _, known in operands if isinstance(known, axes.Derived)]
        if name in aten.CREATIONS or name in aten.FILLS:
            self._create(name, func, args, kwargs, outputs)
        elif name in {"detach", "alias"}:
            self._known.remember(outputs[0], operands[0][1])  # the same value under another name
        elif signals:
            self._compute(func, args, kwargs, operands, outputs)
        elif derived:
            self._derive(func, args, kwargs, operands, outputs)
        else:
            self._fix(func, args, kwargs, operands, outputs)

    def _create(self, name: str, func: Any, args: Any, kwargs: Any, outputs: list[torch.Tensor]) -> None:
        number = aten.CREATIONS.get(name)
        if name in aten.FILLS and isinstance(args[-1], (int, float)):
            number = float(args[-1])
        made = step(func, args, kwargs, self._known.constant) if number is None and "empty" not in name else None
        for output in outputs:
            self._known.remember(output, Fixed(number, made, lost=number is None and made is None))

    def _fix(self, func: Any, args: Any, kwargs: Any, operands: Operands, outputs: list[torch.Tensor]) -> None:
        moved = aten.rearranges(func)
        for position, output in enumerate(outputs):
            first = operands[0][1] if moved and operands else None
            number = first.number if isinstance(first, Fixed) else number_of(output)
            self._known.remember(output, Fixed(number, step(func, args, kwargs, self._known.constant, position)))

    def _derive(self, func: Any, args: Any, kwargs: Any, operands: Operands, outputs: list[torch.Tensor]) -> None:
        zero = aten.name_of(func) in aten.PRODUCTS_BY_ENTRY and any(known == Fixed(0.0) for _, known in operands)
        for position, output in enumerate(outputs):
            if zero:  # a first state of zeros, times a parameter
                self._known.remember(output, Fixed(0.0))
                continue
            shares = any(storage_of(output) == storage_of(tensor) for tensor, _ in operands)
            found = derived_by(func, operands, output, index_of(func, args), shares)
            made = step(func, args, kwargs, self._known.constant, position)
            self._known.remember(output, replace(found, expression=made))

    # ------------------------------------------------------------------ operations on the batch's values
    def _compute(self, func: Any, args: Any, kwargs: Any, operands: Operands, outputs: list[torch.Tensor]) -> None:
        name, uses = aten.name_of(func), None
        special = any(isinstance(found, axes.Derived) or getattr(found, "picked", None) for _, found in operands)
        if special:  # most operations meet no parameter
            mixed = {id(arg) for arg in args[:3]} if name.startswith(aten.ATTENTIONS) else set()
            operands = [(tensor, self._standing(name, found, id(tensor) in mixed)) for tensor, found in operands]
            weights = {id(tensor): self._as_weight(found, operands) for tensor, found in operands}
            uses = weight_uses(func, args, weights, self.sections)
            if uses is not None:
                operands = self._settle(operands, weights)
        known = {id(tensor): found for tensor, found in operands}
        signals = [found for found in known.values() if isinstance(found, Signal)]
        expression, root = None, None
        if uses is not None:
            kind: Kind = uses[0]
        elif aten.is_pointwise(func) or name == "copy_":
            kind, root, expression = self._pointwise(func, args, kwargs, known)
        else:
            kind = aten.kind_of(func, len({signal.root for signal in signals}) > 1)
        found = uses[1] if uses else other_uses(name, args, known, kind) if special else ()
        if kind == "add" and (biases := self._picked_biases(known)):
            kind, found = "shift", (*found, *biases)
            signals = [signal for signal in signals if signal.picked is None]
        elif kind == "shift" and signals:
            found = tuple(replace(use, slot="bias") if self._one_each(use, signals[0]) else use for use in found)
        statistic = self._statistics(name, kind, signals)
        inputs = tuple(tensor for tensor, known_as in operands if isinstance(known_as, Signal))
        if kind == "attention" and (tell := getattr(self.observer, "attended", None)) is not None:
            tell(aten.attended(func, args, kwargs))
        width = aten.terms(kind, name, args)
        shown: Any = {"root": root, "expression": expression, "statistic": statistic, "inputs": inputs, "width": width}
        shown.update(aten.meaning_of(func, kind), scale=aten.scale_of(kind, width, kwargs))
        shown["overwrites"] = aten.overwrites(func, isinstance(operands[0][1], Signal))
        self._place_units(func, args, kind, operands, outputs)
        self._append(kind, name, signals, outputs, found, **shown)
        if special:
            self._keep_picked(func, args, operands, outputs)

    def _place_units(self, func: Any, args: Any, kind: str, operands: Operands, outputs: list[torch.Tensor]) -> None:
        """Say which axis holds the units of the values that come next."""
        first = next(((tensor, known) for tensor, known in operands if isinstance(known, Signal)), None)
        for position, output in enumerate(outputs):
            given, same = None, False
            if first is not None and isinstance(first[1], Signal) and first[0].ndim == output.ndim:
                given, same = self._axes.get(first[1].value), first[0].shape == output.shape
            self._axes[self._values + 1 + position] = aten.unit_axis(func, args, kind, output.ndim, given, same)

    def _append(
        self,
        kind: Kind,
        name: str,
        signals: Iterable[Signal],
        outputs: Iterable[torch.Tensor],
        uses: tuple[Use, ...],
        *,
        root: int | None = None,
        expression: Expression | None = None,
        statistic: Statistic = _NO_STATISTIC,
        inputs: tuple[torch.Tensor, ...] = (),
        **facts: Any,
    ) -> None:
        tensors, values = tuple(outputs), []
        for position, tensor in enumerate(tensors):
            self._values += 1
            values.append(self._values)
            known = Signal(self._values, self._values, ROOT, *statistic)
            if expression is not None and root is not None:
                same = expression if position == 0 else replace(expression, output=position)
                known = Signal(self._values, root, same, *statistic)
            self._known.remember(tensor, known)
        read = tuple(dict.fromkeys(signal.value for signal in signals))
        function = expression.function if expression is not None else None
        index, scope = len(self.operations), self.scopes[-1]
        axis = self._axes.get(values[0]) if values else None
        operation = Operation(index, kind, name, scope, read, tuple(values), uses, root, function, axis=axis, **facts)
        if not any(tensor.is_floating_point() or tensor.is_complex() for tensor in tensors):
            self._integers.add(operation.index)
        self._makers.update(dict.fromkeys(values, operation.index))
        self.operations.append(operation)
        if self.observer is not None and tensors:
            before, self.paused = self.paused, True  # its own arithmetic is none of the model's
            self.observer(operation, inputs, tensors)
            self.paused = before

    def _pointwise(self, func: Any, args: Any, kwargs: Any, known: dict[int, Known]) -> Pointwise:
        """An elementwise operation: a function of one value, or a combination of several things."""
        signals = [found for found in known.values() if isinstance(found, Signal)]
        name, roots = aten.name_of(func), {signal.root for signal in signals}
        others = [found for found in known.values() if not isinstance(found, Signal)]
        if len(roots) > 1:
            return self._combine(name, signals), None, None
        if name in aten.MASKED and isinstance(known.get(id(args[aten.MASKED[name]])), Fixed):
            return "move", None, None  # what a mask of constants hides is no function of the value
        if name == "_prelu_kernel" or all(isinstance(other, Fixed) and other.number is not None for other in others):
            whole = {**known, id(args[0]): Fixed()} if name == "copy_" else known
            arguments = template(args, whole), {key: template(value, whole) for key, value in kwargs.items()}
            return "pointwise", roots.pop(), self._expressions.make(func, *arguments)
        if name in aten.SUMS:
            return "shift", None, None
        if name in aten.PRODUCTS_BY_ENTRY:
            return "scale", None, None
        return ("move" if name in aten.MASKS else "opaque"), None, None

    def _combine(self, name: str, signals: list[Signal]) -> Kind:
        """Two or more values: a normalization by hand if one is a statistic of the other, else a sum or a gate."""
        for signal in signals:
            others = (other for other in signals if other.root != signal.root)
            if signal.statistic_of & frozenset().union(*({other.root} | other.normed for other in others)):
                for index in signal.makers:
                    self.operations[index] = replace(self.operations[index], kind="statistic")
                return "norm"
        return "add" if name in aten.SUMS else "gate"

    def _statistics(self, name: str, kind: str, signals: list[Signal]) -> Statistic:
        """Roots whose statistics an output carries, and the operations that took them."""
        if name in aten.STATISTICS and len(signals) == 1:
            one = signals[0]
            return one.statistic_of | {one.root} | one.normed, one.makers | {len(self.operations)}, frozenset()
        if kind in {"pointwise", "move", "scale", "shift"} and len({signal.root for signal in signals}) == 1:
            return signals[0].statistic_of, signals[0].makers, signals[0].normed
        if kind == "norm":
            return frozenset(), frozenset(), frozenset().union(*({s.root} | s.normed for s in signals))
        return _NO_STATISTIC

    # ------------------------------------------------------------------ parameters in unusual places
    def _standing(self, name: str, found: Known, mixed: bool) -> Known:
        """Parameters that stand for a signal: queries of their own, tables of relative positions in a product."""
        if isinstance(found, axes.Derived):
            if mixed:
                return self._source(found, "token")
            if found.gathered and name in aten.PRODUCTS:
                return self._source(found, "shift")
        return found

    def _as_weight(self, found: Known, operands: Operands) -> Known:
        """Slices of a parameter that the batch picked, where they meet another signal: the weights of experts."""
        if isinstance(found, Signal) and found.picked is not None and len(found.picked.shape) > 2:
            others = [other for _, other in operands if isinstance(other, Signal) and other.picked is None]
            return found.picked if others else found
        return found

    def _settle(self, operands: Operands, weights: dict[int, Known]) -> Operands:
        """What was picked has turned out to be weights, so picking it was no lookup."""
        for tensor, found in operands:
            if isinstance(found, Signal) and weights[id(tensor)] is not found:
                self.operations[found.lookup] = replace(self.operations[found.lookup], kind="move", uses=())
        return [(tensor, weights[id(tensor)]) for tensor, _ in operands]

    def _picked_biases(self, known: dict[int, Known]) -> tuple[Use, ...]:
        """Rows of a parameter picked by what a weight gave (a router), and added: biases of experts."""
        found = [signal for signal in known.values() if isinstance(signal, Signal)]
        picked = [signal for signal in found if signal.picked is not None and len(signal.picked.shape) == 2]
        if len(picked) != 1 or len(found) != 2 or not self._routed(self.operations[picked[0].lookup]):
            return ()
        self.operations[picked[0].lookup] = replace(self.operations[picked[0].lookup], kind="move", uses=())
        return tuple(Use(name, "bias") for name in sorted(picked[0].picked.names if picked[0].picked else ()))

    def _routed(self, lookup: Operation) -> bool:
        """Whether the indices of a lookup are a choice among what a weight gave."""
        stack, seen = list(lookup.inputs), set(lookup.inputs)
        while stack:
            operation = self._maker(stack.pop())
            if operation is None:
                continue
            if operation.selects in ("ranked", "drawn"):
                return True
            new = set(operation.inputs) - seen
            seen |= new
            stack += new
        return False

    def _one_each(self, use: Use, signal: Signal) -> bool:
        """Whether a parameter (E, out) is added to what a weight with an axis for the same E experts gave."""
        shape, operation = self.parameters[use.parameter].shape, self._maker(signal.value)
        while operation is not None and operation.kind == "move" and len(operation.inputs) == 1:
            operation = self._maker(operation.inputs[0])
        weights = () if operation is None else (u.parameter for u in operation.uses if u.slot == "weight")
        shapes = [self.parameters[name].shape for name in weights]
        return len(shape) == 2 and any(len(s) == 3 and s[0] == shape[0] and shape[1] in s[1:] for s in shapes)

    def _maker(self, value: int) -> Operation | None:
        """The operation that made a value; None for the batch."""
        index = self._makers.get(value)
        return None if index is None else self.operations[index]

    def _keep_picked(self, func: Any, args: Any, operands: Operands, outputs: list[torch.Tensor]) -> None:
        """Follow slices that the batch picked through views and copies."""
        for output in outputs:
            signal = self._known.of(output)
            source = operands[0][1] if operands else None
            index = index_of(func, args)
            if not isinstance(signal, Signal) or len(outputs) > 1:
                return
            if isinstance(source, axes.Derived) and index is not None and aten.name_of(func) in aten.PICKS:
                picked, lookup = axes.pick(source, output, *index), len(self.operations) - 1
            elif isinstance(source, Signal) and source.picked is not None and aten.moves(func) and index is None:
                change = axes.view if aten.is_view(func) else axes.copy
                picked, lookup = change(source.picked, output), source.lookup
            else:
                return
            self._known.remember(output, replace(signal, picked=picked, lookup=lookup))

    # ------------------------------------------------------------------ whole layers
    def recurrent(self, name: str, args: Any, outputs: list[torch.Tensor]) -> None:
        """A recurrent layer or cell, recorded as one operation."""
        tensors = [(tensor, self.of(tensor)) for tensor in tensors_in(args)]
        mode, gates = aten.RECURRENT[name]
        uses = recurrent_uses(name, args, gates, self.of)
        inputs = tuple(tensor for tensor, known in tensors if isinstance(known, Signal))
        signals = [known for _, known in tensors if isinstance(known, Signal)]
        self._axes.update((self._values + 1 + i, tensor.ndim - 1) for i, tensor in enumerate(outputs))
        self._append("recurrent", name, signals, outputs, uses, mode=mode, inputs=inputs)

    def close(self) -> None:
        """Let go of the tensors, and of who has seen them."""
        self._known.close()
        self.observer = None

    def graph(self, outputs: Iterable[torch.Tensor]) -> ModelGraph:
        """What has been recorded, given the tensors the model returned."""
        values = [known.value for tensor in outputs if isinstance(known := self.of(tensor), Signal)]
        notes = (*opaque_notes(self.operations, self._integers), *finite_notes(self._asked))
        return ModelGraph(tuple(self.operations), self.parameters, tuple(values), notes)
