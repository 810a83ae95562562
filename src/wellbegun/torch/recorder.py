"""Watches one forward pass at the dispatcher and writes down a ModelGraph.

Two modes work together. The dispatch mode sees every ATen operation, so functional calls, operators and bare parameters
look the same. The function mode sees recurrent layers whole, before they fall apart into hundreds of operations, and
the packed projection of multi-head attention.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from wellbegun.graph import ModelGraph, Operation, Parameter, Use
from wellbegun.torch import aten, axes
from wellbegun.torch.expression import ROOT, Expression, Number, function_of
from wellbegun.torch.uses import norm_uses, product_uses, recurrent_uses, weight_uses

Observer = Callable[[Operation, tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]], None]  # with inputs, outputs


@dataclass(frozen=True)
class Signal:
    """A value that depends on the batch."""

    value: int
    root: int  # the value it is an elementwise function of: itself, if it is no function of another
    expression: Any = ROOT
    statistic_of: frozenset[int] = frozenset()  # roots whose mean or variance went into it
    makers: frozenset[int] = frozenset()  # the operations that computed those statistics


@dataclass(frozen=True)
class Fixed:
    """A value that depends neither on the batch nor on parameters; `number` if all its entries are known and equal."""

    number: float | None = None


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records operations on what it is told about: parameters by name, and the batch."""

    def __init__(
        self, names: dict[int, str], parameters: dict[str, Parameter], observer: Observer | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names, self.parameters, self.observer = names, parameters, observer
        self.operations: list[Operation] = []
        self.sections: dict[str, int] = {}
        self.scopes: list[str] = [""]
        self.failed_in = ""  # innermost module whose forward raised
        self.paused = False
        self._known: dict[int, Signal | axes.Derived | Fixed] = {}
        self._alive: list[torch.Tensor] = []  # keeps ids unique while recording
        self._storages: dict[int, list[torch.Tensor]] = {}
        self._values = 0

    # ------------------------------------------------------------------ what a tensor is
    def signal(self, tensor: torch.Tensor) -> Signal:
        """Declare a tensor as a new value that depends on the batch."""
        self._values += 1
        found = Signal(self._values, self._values)
        self._remember(tensor, found)
        return found

    def of(self, tensor: torch.Tensor) -> Signal | axes.Derived | Fixed:
        """What is known of a tensor."""
        if id(tensor) in self._known:
            return self._known[id(tensor)]
        found: axes.Derived | Fixed
        if id(tensor) in self.names:
            found = axes.of_parameter(self.names[id(tensor)], tensor)
        else:
            found = Fixed(_number(tensor))
        self._remember(tensor, found)
        return found

    def _remember(self, tensor: torch.Tensor, found: Signal | axes.Derived | Fixed) -> None:
        if id(tensor) not in self._known:
            self._alive.append(tensor)
            self._storages.setdefault(_storage(tensor), []).append(tensor)
        self._known[id(tensor)] = found

    # ------------------------------------------------------------------ dispatch
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        before = None if self.paused else self._operands(func, args, kwargs)
        result = func(*args, **kwargs)
        if before is not None:
            self._record(func, args, kwargs, before, _tensors(result))
        return result

    def _operands(self, func: Any, args: Any, kwargs: Any) -> list[tuple[torch.Tensor, Any]] | None:
        if aten.name_of(func) in aten.IGNORED:
            return None
        return [(tensor, self.of(tensor)) for tensor in _tensors((args, list(kwargs.values())))]

    def _record(
        self, func: Any, args: Any, kwargs: Any, operands: list[tuple[torch.Tensor, Any]], outputs: list[torch.Tensor]
    ) -> None:
        written = {id(args[i]) for i in aten.writes_to(func) if i < len(args) and isinstance(args[i], torch.Tensor)}
        signals = [known for _, known in operands if isinstance(known, Signal)]
        derived = [known for _, known in operands if isinstance(known, axes.Derived)]
        name = aten.name_of(func)
        if name in aten.CREATIONS or name in aten.FILLS:
            self._create(name, args, outputs)
        elif name in {"detach", "alias"}:
            self._remember(outputs[0], operands[0][1])  # the same value under another name
        elif signals:
            self._compute(func, args, kwargs, operands, signals, outputs)
        elif derived:
            self._derive(func, derived, outputs)
        else:
            self._fix(func, operands, outputs)
        for output in outputs:
            if id(output) in written:
                self._spread(output)

    def _create(self, name: str, args: Any, outputs: list[torch.Tensor]) -> None:
        number = aten.CREATIONS.get(name)
        if name in aten.FILLS and isinstance(args[-1], (int, float)):
            number = float(args[-1])
        for output in outputs:
            self._remember(output, Fixed(number))

    def _fix(self, func: Any, operands: list[tuple[torch.Tensor, Any]], outputs: list[torch.Tensor]) -> None:
        moved = func.is_view or aten.name_of(func) in aten.MOVES
        for output in outputs:
            number = operands[0][1].number if moved and operands else _number(output)
            self._remember(output, Fixed(number))

    def _derive(self, func: Any, derived: list[axes.Derived], outputs: list[torch.Tensor]) -> None:
        moved = func.is_view or aten.name_of(func) in aten.MOVES | aten.SPLITS | {"detach", "alias"}
        for output in outputs:
            if len({d.names for d in derived}) > 1:
                found = axes.merge(derived)
            elif func.is_view or _storage(output) in self._storages:
                found = axes.view(derived[0], output)
            else:
                found = axes.copy(derived[0], output, exact=moved)
            self._remember(output, found)

    # ------------------------------------------------------------------ operations on the batch's values
    def _compute(
        self,
        func: Any,
        args: Any,
        kwargs: Any,
        operands: list[tuple[torch.Tensor, Any]],
        signals: list[Signal],
        outputs: list[torch.Tensor],
    ) -> None:
        name = aten.name_of(func)
        known = {id(tensor): found for tensor, found in operands}
        uses = weight_uses(func, args, known, self.sections)
        expression, kind, root = None, uses[0] if uses else "", None
        if uses is None and (aten.is_pointwise(func) or name in {"copy_"}):
            kind, root, expression = self._pointwise(func, args, kwargs, operands, signals)
        elif uses is None:
            kind = aten.kind_of(func)
        found = uses[1] if uses else self._other_uses(name, args, known, kind)
        statistic = self._statistics(name, kind, signals)
        inputs = tuple(tensor for tensor, known_as in operands if isinstance(known_as, Signal))
        shown: Any = {"root": root, "expression": expression, "statistic": statistic, "inputs": inputs}
        self._append(kind, name, signals, outputs, found, width=aten.terms(kind, name, args), **shown)

    def _append(
        self,
        kind: str,
        name: str,
        signals: list[Signal],
        outputs: Iterable[torch.Tensor],
        uses: tuple[Use, ...],
        *,
        root: int | None = None,
        expression: Expression | None = None,
        statistic: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset()),
        mode: str = "",
        width: int = 0,
        inputs: tuple[torch.Tensor, ...] = (),
    ) -> None:
        tensors, values = tuple(outputs), []
        for position, tensor in enumerate(tensors):
            self._values += 1
            values.append(self._values)
            if expression is not None and root is not None:
                own: Any = replace(expression, output=position)
                self._remember(tensor, Signal(self._values, root, own, *statistic))
            else:
                self._remember(tensor, Signal(self._values, self._values, ROOT, *statistic))
        read = tuple(dict.fromkeys(signal.value for signal in signals))
        function = function_of(expression) if expression is not None else None
        operation = Operation(
            len(self.operations), kind, name, self.scopes[-1], read, tuple(values), uses, root, function, mode, width
        )
        self.operations.append(operation)
        if self.observer is not None and tensors:
            self.observer(operation, inputs, tensors)

    def _pointwise(
        self, func: Any, args: Any, kwargs: Any, operands: list[tuple[torch.Tensor, Any]], signals: list[Signal]
    ) -> tuple[str, int | None, Expression | None]:
        """An elementwise operation: a function of one value, or a combination of several things."""
        name, roots = aten.name_of(func), {signal.root for signal in signals}
        others = [found for _, found in operands if not isinstance(found, Signal)]
        if len(roots) > 1:
            return self._combine(name, signals), None, None
        if name == "_prelu_kernel" or all(isinstance(other, Fixed) and other.number is not None for other in others):
            known = {id(tensor): found for tensor, found in operands}
            template = _template(args, known), {key: _template(value, known) for key, value in kwargs.items()}
            return "pointwise", roots.pop(), Expression(func, *template)
        if name in aten.SUMS:
            return "shift", None, None
        return ("scale" if name in aten.PRODUCTS_BY_ENTRY else "move"), None, None

    def _combine(self, name: str, signals: list[Signal]) -> str:
        """Two or more values: a normalization by hand if one is a statistic of the other, else a sum or a gate."""
        roots = {signal.root for signal in signals}
        for signal in signals:
            if signal.statistic_of & (roots - {signal.root}):
                for index in signal.makers:
                    self.operations[index] = replace(self.operations[index], kind="statistic")
                return "norm"
        return "add" if name in aten.SUMS else "gate"

    def _statistics(self, name: str, kind: str, signals: list[Signal]) -> tuple[frozenset[int], frozenset[int]]:
        """Roots whose statistics an output carries, and the operations that took them."""
        if name in aten.STATISTICS and len(signals) == 1:
            return signals[0].statistic_of | {signals[0].root}, signals[0].makers | {len(self.operations)}
        if kind in {"pointwise", "move", "scale", "shift"} and len({signal.root for signal in signals}) == 1:
            return signals[0].statistic_of, signals[0].makers
        return frozenset(), frozenset()

    def _other_uses(self, name: str, args: Any, known: dict[int, Any], kind: str) -> tuple[Use, ...]:
        """Parameters that enter other than as the weight of a product."""
        if name in aten.NORMS:
            return norm_uses(aten.NORMS[name], args, known)
        if name in aten.PRODUCTS:
            return product_uses(args, known)
        slot = {"shift": "shift", "scale": "scale", "concat": "token", "move": "token"}.get(kind, "opaque")
        slot = "negative_slope" if name == "_prelu_kernel" else slot
        found = [derived for derived in known.values() if isinstance(derived, axes.Derived)]
        return tuple(Use(name, slot, exact=derived.exact) for derived in found for name in sorted(derived.names))

    def _spread(self, changed: torch.Tensor) -> None:
        """After a write in place, every other view of the same storage holds a new value too."""
        source = self._known[id(changed)]
        for other in list(self._storages.get(_storage(changed), ())):
            if other is changed or not isinstance(source, Signal):
                continue
            before = self._known[id(other)]
            signals = [source] + ([before] if isinstance(before, Signal) else [])
            self._append("move", "alias", signals, [other], ())

    # ------------------------------------------------------------------ whole layers
    def recurrent(self, name: str, args: Any, outputs: list[torch.Tensor]) -> None:
        """A recurrent layer or cell, recorded as one operation."""
        tensors = [(tensor, self.of(tensor)) for tensor in _tensors(args)]
        signals = [known for _, known in tensors if isinstance(known, Signal)]
        mode, gates = aten.RECURRENT[name]
        uses = recurrent_uses(name, args, gates, self.of)
        inputs = tuple(tensor for tensor, known in tensors if isinstance(known, Signal))
        self._append("recurrent", name, signals, outputs, uses, mode=mode, inputs=inputs)

    def graph(self, outputs: Iterable[torch.Tensor], notes: tuple[str, ...] = ()) -> ModelGraph:
        """What has been recorded, given the tensors the model returned."""
        values = [known.value for tensor in outputs if isinstance(known := self.of(tensor), Signal)]
        return ModelGraph(tuple(self.operations), self.parameters, tuple(values), notes)


class Layers(TorchFunctionMode):
    """Hands recurrent layers and packed attention projections to the recorder before they fall apart."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, recorder = kwargs or {}, self.recorder
        name = getattr(func, "__name__", "")
        if func is functional.multi_head_attention_forward and isinstance(args[5], torch.Tensor):
            found = recorder.of(args[5])
            if isinstance(found, axes.Derived) and found.name:
                recorder.sections[found.name] = 3
        if name not in aten.RECURRENT or recorder.paused:
            return func(*args, **kwargs)
        recorder.paused = True
        try:
            result = func(*args, **kwargs)
        finally:
            recorder.paused = False
        recorder.recurrent(name, args, _tensors(result))
        return result


@contextmanager
def scopes(model: torch.nn.Module, recorder: Recorder) -> Iterator[None]:
    """Keep `recorder.scopes` at the dotted path of the module that is running."""
    paths = {id(module): name for name, module in model.named_modules()}

    def enter(module: torch.nn.Module, args: Any) -> None:
        recorder.scopes.append(paths.get(id(module), recorder.scopes[-1]))

    def leave(module: torch.nn.Module, args: Any, result: Any) -> None:
        left = recorder.scopes.pop()
        if result is None:  # how torch calls it after an exception
            recorder.failed_in = recorder.failed_in or left

    handles = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# ---------------------------------------------------------------------- helpers
def _tensors(tree: Any) -> list[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, (list, tuple)):
        return [tensor for item in tree for tensor in _tensors(item)]
    return []


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _number(tensor: torch.Tensor) -> float | None:
    """The value of a one-entry tensor that holds one."""
    from torch._subclasses.fake_tensor import FakeTensor

    if tensor.numel() != 1 or tensor.is_meta or tensor.is_complex():
        return None
    held = tensor.constant if isinstance(tensor, FakeTensor) else tensor
    with _disable_current_modes():  # fake tensors refuse to read a value, but this one is real
        return None if held is None else float(held.detach())


def _template(node: Any, known: dict[int, Any]) -> Any:
    """Arguments with tensors replaced by expressions and numbers."""
    if isinstance(node, torch.Tensor):
        found = known[id(node)]
        if isinstance(found, Signal):
            return found.expression
        number = found.number if isinstance(found, Fixed) else _slope(node)
        return Number(0.0 if number is None else number)
    if isinstance(node, (list, tuple)):
        return tuple(_template(item, known) for item in node)
    return node


def _slope(weight: torch.Tensor) -> float:
    """Mean slope of a PReLU, or torch's initial one where the values do not exist yet."""
    from torch._subclasses.fake_tensor import FakeTensor

    if weight.is_meta or isinstance(weight, FakeTensor):
        return 0.25
    with _disable_current_modes():
        return float(weight.detach().double().mean())
