"""Watches one forward pass at the dispatcher, and tells the builder of a graph what it sees.

The dispatch mode sees every ATen operation, so functional calls, operators and bare parameters look the same. What it
cannot see (recurrent layers as a whole, module paths, which argument is a layer's input) `layers` tells it.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch

from wellbegun.backend import Attended, Knowledge
from wellbegun.graph import ModelGraph, Operation, Parameter
from wellbegun.graph.axes import Derived
from wellbegun.graph.build import Builder, Record
from wellbegun.graph.facts import Attention, Fact, Opaque
from wellbegun.graph.inference import inferred
from wellbegun.graph.provenance import Fixed, Known, Operand, Signal
from wellbegun.torch.compat import DataDependentOutputException, DispatchMode, in_backward, memory_of, no_dispatch
from wellbegun.torch.sandbox import about_to_write
from wellbegun.torch.trace import aten, fake
from wellbegun.torch.trace.tape import Tape
from wellbegun.torch.trace.tensors import array_of, exists, number_of, tensors_in, values_of
from wellbegun.torch.trace.translate import Call, created, fact_of, recurrent

Observer = Callable[[Operation, tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]], None]  # with inputs, outputs
Attend = Callable[[Attended | None], None]  # told what an attention is asked to compute, before it is shown


def _shared(tensors: list[torch.Tensor], outputs: list[torch.Tensor]) -> bool:
    """Whether any output lives in the memory of an operand."""
    memory = {memory_of(tensor) for tensor in tensors}
    return any(memory_of(output) in memory for output in outputs)


@inferred("what an operation does", lambda *_: Opaque())
def _fact(_: Builder, func: Any, args: Any, kwargs: Any, tensors: list[torch.Tensor]) -> Fact:
    return fact_of(func, args, kwargs, tensors)


def _unread(builder: Builder, _: Fact, *given: Any, reader: Any, **options: Any) -> Record:
    return builder.record(Opaque(), *given, **options)


@inferred("what an operation makes of what it reads", _unread)
def _record(builder: Builder, fact: Fact, *given: Any, **options: Any) -> Record:
    return builder.record(fact, *given, **options)


class Recorder(DispatchMode):  # type: ignore[no-untyped-call]
    """Records operations on what it is told about: parameters by identity, and the batch."""

    def __init__(
        self,
        known: dict[int, Derived],
        parameters: dict[str, Parameter],
        observer: Observer | None = None,
        attend: Attend | None = None,
        tape: Tape | None = None,
    ) -> None:
        super().__init__()
        self.parameters, self.observer, self.attend, self.tape = parameters, observer, attend, tape
        self.builder = Builder(parameters)
        self.scopes: list[str] = [""]
        self.failed_in = ""  # innermost module whose forward raised
        self.failed_at = ""  # the operation that raised
        self.paused = False
        self._known = Knowledge[torch.Tensor](known, self._mixed, memory_of, number_of)

    # ------------------------------------------------------------------ what a tensor is
    def signal(self, tensor: torch.Tensor) -> None:
        """Declare a tensor as a new value that depends on the batch."""
        self._known.remember(tensor, self.builder.batch(array_of(tensor)))

    def declare(self, tensor: torch.Tensor, name: str) -> None:
        """Declare a tensor that a module has computed as a parameter of its own."""
        self._known.remember(tensor, self.builder.parameter(name, array_of(tensor)))

    def source(self, tensor: torch.Tensor) -> None:
        """Take a tensor that depends on no batch for a signal: parameters that stand for themselves, or constants."""
        self.builder.scope = self.scopes[-1]
        self._known.remember(tensor, self.builder.stand_in(self.of(tensor), array_of(tensor)))

    def of(self, tensor: torch.Tensor) -> Known:
        """What is known of a tensor."""
        return self._known.of(tensor)

    def _mixed(self, tensor: torch.Tensor, signals: list[Signal], derived: list[Derived]) -> None:
        """A tensor some of whose memory was written to through another one, by what depends on the batch."""
        self.builder.scope = self.scopes[-1]
        self._keep(self.builder.mixed(signals, derived, array_of(tensor)), [], [tensor])

    def _keep(self, record: Record, tensors: list[torch.Tensor], outputs: list[torch.Tensor]) -> None:
        """Remember what the outputs are, and show them to the observer."""
        for tensor, known in zip(outputs, record.known, strict=True):
            self._known.remember(tensor, known)
        if record.operation is not None and self.observer is not None and outputs:
            before, self.paused = self.paused, True  # its own arithmetic is none of the model's
            self.observer(record.operation, tuple(tensors[place] for place in record.read), tuple(outputs))
            self.paused = before

    # ------------------------------------------------------------------ dispatch
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name, places = kwargs or {}, aten.name_of(func), aten.writes_to(func)
        if written := aten.written(func, args, kwargs) if places else []:
            about_to_write(written)
            if self.tape is not None:
                self.tape.about_to_write(written)
        quiet = self.paused or name in aten.IGNORED
        tensors = [] if quiet else tensors_in((args, list(kwargs.values())) if kwargs else args)
        operands = [Operand(self.of(tensor), array_of(tensor)) for tensor in tensors]
        try:
            result = fake.run(func, args, kwargs)
        except Exception as error:  # of any kind: remembered for the message, and raised again
            result = self._assumed(error, tensors)
            if result is None:
                self.failed_at = self.failed_at or name
                raise
        if self.tape is not None and name not in aten.IGNORED:
            self.tape.add(func, args, kwargs, result)
        if quiet:
            return result
        outputs = tensors_in(result)
        self._record(func, name, 0 if 0 in places else None, args, kwargs, tensors, operands, outputs)
        for output in outputs if written else ():
            if any(output is tensor for tensor in written):
                self._known.wrote(output)
        return result

    def _assumed(self, error: Exception, tensors: list[torch.Tensor]) -> bool | None:
        """The answer to a fake tensor that was asked for its value, where it is whether others are finite."""
        known = self.of(tensors[0]) if isinstance(error, DataDependentOutputException) and tensors else None
        with no_dispatch():
            return self.builder.answer(known) if isinstance(known, Signal) else None

    def _record(
        self,
        func: Any,
        name: str,
        over: int | None,
        args: Any,
        kwargs: Any,
        tensors: list[torch.Tensor],
        operands: list[Operand],
        outputs: list[torch.Tensor],
    ) -> None:
        """A call by its name; `over`: the argument whose memory it writes over."""
        if name == "copy_":  # what was there before does not matter
            tensors, operands, over = tensors[1:], operands[1:], -1
        if name in aten.CREATIONS or name in aten.FILLS:
            return self._create(name, func, args, kwargs, outputs)
        if name in {"detach", "alias"}:
            return self._known.remember(outputs[0], operands[0].known)  # the same value under another name
        reader = None
        if not any(isinstance(known, Signal) for known, _ in operands):
            operands = [Operand(self._constant(*pair), pair[1].array) for pair in zip(tensors, operands, strict=True)]
            over = 0 if not aten.is_view(func) and _shared(tensors, outputs) else None
            reader = Call(func, args, kwargs, outputs)
        self.builder.derivative = in_backward()
        fact = _fact(self.builder, func, args, kwargs, tensors)
        if isinstance(fact, Attention) and self.attend is not None:
            self.attend(aten.attended(func, args, kwargs))
        self.builder.scope, arrays = self.scopes[-1], [array_of(output) for output in outputs]
        record = _record(self.builder, fact, operands, arrays, name=name, reader=reader, overwrites=over)
        self._keep(record, tensors, outputs)

    def _constant(self, tensor: torch.Tensor, operand: Operand) -> Known:
        """What a tensor that depends on no batch is: with its values, if it is a constant that was not made here."""
        known = self._known.constant(tensor) if isinstance(operand.known, Fixed) else operand.known
        if isinstance(known, Fixed) and known.number is None and known.function is None and exists(tensor):
            return Fixed(values=None if known.lost else partial(values_of, tensor))
        return known

    def _create(self, name: str, func: Any, args: Any, kwargs: Any, outputs: list[torch.Tensor]) -> None:
        number = aten.CREATIONS.get(name)
        if name in aten.FILLS and isinstance(args[-1], (int, float)):
            number = args[-1]
        made = created(func, args, kwargs) if number is None and "empty" not in name else None
        for output in outputs:
            self._known.remember(output, Fixed(number, made, lost=number is None and made is None))

    # ------------------------------------------------------------------ whole layers
    def recurrent(self, name: str, args: Any, outputs: list[torch.Tensor]) -> None:
        """A recurrent layer or cell, recorded as one operation."""
        fact, tensors = recurrent(name, args)
        operands = [Operand(self.of(tensor), array_of(tensor)) for tensor in tensors]
        self.builder.scope, arrays = self.scopes[-1], [array_of(output) for output in outputs]
        self._keep(self.builder.record(fact, operands, arrays, name=name), tensors, outputs)

    def close(self) -> None:
        """Let go of the tensors, and of who has seen them."""
        self._known.close()
        self.observer = self.attend = self.tape = None

    def graph(self, outputs: Iterable[torch.Tensor]) -> ModelGraph:
        """What has been recorded, given the tensors the model returned."""
        return self.builder.graph(self.of(tensor) for tensor in outputs)
