"""One model with one batch: run under the recorder, effects carried out in place, gradients sent back."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import compress
from typing import Any

import numpy as np
import torch

from wellbegun import backend
from wellbegun._arguments import told
from wellbegun._typing import Array, Progress
from wellbegun.errors import ArgumentError, TraceError, WellbegunError
from wellbegun.graph import WEIGHTED, ModelGraph, Operation
from wellbegun.graph.walk import ancestors
from wellbegun.inputs import Call, targets_for
from wellbegun.torch import compat
from wellbegun.torch.batch import Batch, call_of, outputs_of, real_outputs
from wellbegun.torch.handles import TensorHandle, along, numpy
from wellbegun.torch.leaves import Leaves
from wellbegun.torch.losses import gradient_of, scalar
from wellbegun.torch.names import canonical, inner, parameters
from wellbegun.torch.parameters import Known, parameters_of
from wellbegun.torch.parametrize import visible
from wellbegun.torch.sandbox import noticed, preserved
from wellbegun.torch.shards import gathered
from wellbegun.torch.trace.dispatch import Observer
from wellbegun.torch.trace.recording import blamed, check_model, record

_PLACES = WEIGHTED | {"lookup", "add"}  # at whose outputs gradients can be asked for
Tensors = tuple[torch.Tensor, ...]


@contextmanager
def session(
    model: object, batch: Batch = None, graph: ModelGraph | None = None, *, owner: str = "check"
) -> Iterator["TorchSession"]:
    """As in `wellbegun.backend.Backend`."""
    module = check_model(model)
    with gathered(module):
        known = parameters_of(module, graph)  # what is wrong with the model is said before anything about the batch
        call = call_of(batch, module)
        with torch.inference_mode(False), torch.enable_grad():
            call = call.map(torch.Tensor, lambda tensor: tensor.clone() if tensor.is_inference() else tensor)
            opened = TorchSession(module, call, graph, known)
            if any(tensor.is_meta for tensor in opened.named.values()):
                text = f"{owner}: the model is on the meta device and holds no values; there is nothing to measure."
                raise ArgumentError(text)
            try:
                yield opened
            finally:
                opened.close()


class TorchSession:
    """A module, ready to run. What a pass changes about it comes back when the next one begins, or at the end."""

    channels_last = False

    def __init__(self, model: torch.nn.Module, call: Call, graph: ModelGraph | None, known: Known) -> None:
        self.model, self.call, self._given, self._graph, self._known = model, call, graph, graph, known
        self.made, self.named = call.made, parameters(model, each=False)
        self._everywhere = False
        self._pass = ExitStack()
        self._result: object = None
        self._signals: list[bool] = []  # whether each tensor in it is a value of the graph
        self._edges: dict[int, Any] = {}  # of the first output
        self.given: Mapping[str, str] = {}
        self._beside: list[tuple[int, Any]] = []  # of others: the last states of recurrent layers
        self._pending: list[tuple[int, torch.Tensor]] = []
        self._read: dict[int, int] = {}  # values of the graph that what is called targets are, by id
        self.attended: backend.Attended | None = None  # while an attention is shown
        self._judged: tuple[torch.Tensor, torch.Tensor | None] | None = None

    @property
    def beside(self) -> Mapping[str, Array]:
        labels = {key: value for key, value in self._labels.items() if value.ndim == 1}
        made_of = ancestors(self.graph, [self.main]) if labels and self.main is not None else ()
        for key, value in [*labels.items()]:  # what the output is made of is an input, but for labels of its classes
            if self._read.get(id(value)) in made_of and backend.same_entries(self._main.shape, value.shape):
                del labels[key]
        given = {**labels, **self.call.beside}
        return {key: TensorHandle(value).array() for key, value in given.items() if isinstance(value, torch.Tensor)}

    @property
    def taken(self) -> Mapping[str, Array]:
        return {key: TensorHandle(value).array() for key, value in self._labels.items() if value.ndim > 1}

    @cached_property
    def _labels(self) -> dict[str, torch.Tensor]:
        return self.call.targets(torch.Tensor, inner(self.model).forward)

    @cached_property
    def _named_targets(self) -> frozenset[int]:
        return frozenset(map(id, self._labels.values()))

    @property
    def own_loss(self) -> backend.OwnLoss | None:
        return self._results.own_loss

    @cached_property
    def _results(self) -> backend.Results:
        """What the last pass returned."""
        known, shapes = self._values, [tuple(one.shape) for one in self.call.arrays(torch.Tensor)]
        found = {one: backend.Returned(tuple(one.shape), one.requires_grad, known.get(id(one))) for one in self._real}
        given = enumerate(self.call.arrays(torch.Tensor), 1)
        targets = [place for place, one in given if id(one) in self._named_targets]
        host = lambda place: TensorHandle(self._real[place]).array()  # noqa: E731
        return backend.Results.of(self.graph, self._result, found, outputs_of, targets, shapes, host)

    @cached_property
    def _values(self) -> dict[int, int]:
        """The value of the graph that each returned tensor is, by its id."""
        tensors = compress(outputs_of(self._result), self._signals)
        return dict(zip(map(id, tensors), self.graph.outputs, strict=False))

    @cached_property
    def _real(self) -> list[torch.Tensor]:
        return real_outputs(self._result)

    def _forget(self) -> None:
        """Let go of the last pass."""
        self._result, self._judged, self.attended = None, None, None
        self._edges.clear()
        self._beside.clear()
        self._pending.clear()
        for found in ("_visible", "_results", "_values", "_real"):
            self.__dict__.pop(found, None)

    def close(self) -> None:
        """Everything about the model comes back."""
        self._forget()
        self._pass.close()

    # ------------------------------------------------------------------ the pass
    @property
    def graph(self) -> ModelGraph:
        assert self._graph is not None, "without a graph, there is one after the first pass"
        return self._graph

    def forward(
        self, observer: backend.Observer, *, everywhere: bool = False, progress: Progress | None = None
    ) -> None:
        self._everywhere = everywhere
        alignment = None if self._given is None else backend.Alignment(self._given)

        def watch(operation: Operation, inputs: Tensors, outputs: Tensors) -> None:
            self._show(operation if alignment is None else alignment(operation), inputs, outputs, observer)

        recorded, self._result, self._signals = self._run(watch, progress)
        self._settle()
        self._graph = recorded if alignment is None else alignment.aligned(recorded)

    def retrace(self, *, progress: Progress | None = None) -> ModelGraph:
        self._given = self._graph = self._run(None, progress)[0]
        return self._graph

    def _run(self, watch: Observer | None, progress: Progress | None) -> tuple[ModelGraph, object, list[bool]]:
        self._forget()
        self._pass.close()
        self._pass.enter_context(preserved(self.model))
        try:
            return record(self.model, self.call, *self._known, watch, self._attend, progress=progress)
        except TraceError as error:
            self._pass.close()  # and buffers are what they were
            raise blamed(self.model, error) from error.__cause__

    def _attend(self, call: backend.Attended | None) -> None:
        self.attended = call

    def _show(self, operation: Operation, inputs: Tensors, outputs: Tensors, observer: backend.Observer) -> None:
        """Let an observer see an operation, and do what it says."""
        self._settle()
        if self._named_targets:
            named = (pair for pair in zip(inputs, operation.inputs, strict=False) if id(pair[0]) in self._named_targets)
            self._read.update((id(tensor), value) for tensor, value in named)
        output = outputs[0]
        if (self._everywhere or operation.kind in _PLACES) and (output.is_floating_point() or output.is_complex()):
            whole = outputs if operation.kind == "recurrent" else outputs[:1]
            self._pending += [(operation.index, one) for one in whole]
        given, made = ([TensorHandle(tensor) for tensor in tensors] for tensors in (inputs, outputs))
        for effect in observer(operation, given, made):
            self._carry_out(effect)
        self.attended = None

    def _settle(self) -> None:
        """Autograd attaches its node after the dispatcher returns, so it is looked up at the next operation."""
        for index, output in self._pending:
            if output.requires_grad and output.grad_fn is not None:
                edge = torch.autograd.graph.get_gradient_edge(output)
                if self._edges.setdefault(index, edge) is not edge:
                    self._beside.append((index, edge))
        self._pending.clear()

    # ------------------------------------------------------------------ effects
    def _carry_out(self, effect: backend.Effect) -> None:
        """In place, without the graph of gradients noticing: what autograd keeps for its backward pass is then that of
        the changed model."""
        if isinstance(effect, backend.Shift):
            return self._shift(effect)
        factor: Any = effect.factor
        for name in effect.parameters:
            self.named[name].data.mul_(factor)
        if effect.summand is not None:
            part, total = (_tensor(handle) for handle in effect.summand)
            total.add_(part, alpha=factor - 1)
        done: set[int] = set()
        for value in map(_tensor, effect.values):
            if (value.is_floating_point() or value.is_complex()) and compat.memory_of(value) not in done:
                each = along(factor, value, effect.axis) if isinstance(factor, np.ndarray) else factor
                value.mul_(each)
                if effect.bias is not None:
                    bias = self._tensor_of(effect.bias).detach()
                    shaped = bias.reshape(-1, *[1] * (value.ndim - 1 - effect.axis % value.ndim))
                    value.add_(shaped * (1 - each)) if each is not factor else value.add_(
                        shaped, alpha=float(1 - factor)
                    )
            done.add(compat.memory_of(value))
        return None

    def _shift(self, effect: backend.Shift) -> None:
        if effect.value is not None:
            value = _tensor(effect.value)
            value.sub_(along(effect.mean, value, effect.axis))
        if effect.bias is not None:
            bias = self.named[effect.bias]
            bias.data.sub_(torch.from_numpy(effect.mean).to(bias).reshape(bias.shape))

    # ------------------------------------------------------------------ what came out
    @cached_property
    def _visible(self) -> dict[str, torch.Tensor]:
        return visible(self.model)

    def _tensor_of(self, name: str) -> torch.Tensor:
        return self.named[name] if name in self.named else self._visible[name]

    def parameter(self, name: str) -> backend.Handle:
        return TensorHandle(self._tensor_of(name))

    def read(self, name: str) -> Array:
        return numpy(self._tensor_of(name))

    def write(self, name: str, values: Array) -> None:
        backend.check_write(name, values, {each: tuple(tensor.shape) for each, tensor in self.named.items()})
        self.named[name].data.copy_(torch.from_numpy(values))

    @property
    def _main(self) -> torch.Tensor:
        return self._real[self._results.main]

    @property
    def output(self) -> backend.Handle:
        return TensorHandle(self._main)

    @property
    def main(self) -> int | None:
        return self._values.get(id(self._main))

    @property
    def differentiable(self) -> bool:
        return self._main.requires_grad

    @property
    def places(self) -> Collection[int]:
        return self._edges.keys()

    @property
    def trained(self) -> Collection[str]:
        return self._trained.keys()

    @cached_property
    def _trained(self) -> dict[str, torch.nn.Parameter]:
        return {name: tensor for name, tensor in self.named.items() if tensor.requires_grad}

    @property
    def buffers(self) -> dict[str, backend.Handle]:
        plain = canonical(self.model)
        held = ((name, buffer) for name, buffer in self.model.named_buffers() if buffer.is_floating_point())
        return {plain(name): TensorHandle(buffer) for name, buffer in held if not buffer.is_meta}

    @property
    def scalable(self) -> Collection[str]:
        """Plain tensors in memory of their own."""
        return {
            name
            for name, tensor in self.named.items()
            if type(tensor) is torch.nn.Parameter and type(tensor.data) is torch.Tensor
        }

    # ------------------------------------------------------------------ backward
    def judge(self, loss: backend.Loss | backend.MadeUpLoss | backend.OwnLoss) -> backend.Judged:
        if isinstance(loss, backend.OwnLoss):
            total: Any = sum(self._real[place].mean() for place in loss.places)
            self._judged = total, None
            return backend.Judged(float(total.detach()), None)
        if not isinstance(loss, backend.MadeUpLoss):
            with noticed():
                self.given = targets_for(loss, self.call.beside)
                more = {name: self.call.beside[key] for name, key in self.given.items()}
                value = scalar("check", loss(self._main, **more) if more else loss(self._result), "the output")
            self._judged = value, None
            return backend.Judged(float(value.detach()), None)
        output = self._main
        number, sent = gradient_of(loss, output)
        self._judged = output, sent
        return backend.Judged(number, TensorHandle(sent))

    def backward(
        self,
        start: backend.Start,
        receive: backend.Receive,
        *,
        signal: backend.Signal | None = None,
        until: int | None = None,
        again: bool = False,
    ) -> None:
        first, given = self._start(start, signal)
        end, sent = _single(first, given)
        ways: Any = {"grad_outputs": [sent], "allow_unused": True, "retain_graph": again}
        try:
            if until is not None:
                found = torch.autograd.grad([end], [self._edges[until]], **ways)[0]
                if found is not None:
                    receive(until, TensorHandle(found))
            elif self._trained and getattr(end, "requires_grad", True):
                with noticed(), self._received(first, receive) as leaves:
                    leaves.rest(torch.autograd.grad([end], list(self._trained.values()), **ways))
        except RuntimeError as error:
            if isinstance(error, WellbegunError):
                raise
            aside = "Where another thread trains it meanwhile, check a copy."
            hint = "Give checkpoints use_reentrant=False." if "use_reentrant" in str(error) else aside
            raise TraceError(f"check: the backward pass failed: {told(error)} {hint}") from error

    def _start(self, start: backend.Start, signal: backend.Signal | None) -> tuple[Any, torch.Tensor | None]:
        """Where the pass back begins, and what is sent."""
        if start == "loss":
            assert self._judged is not None, "a loss is judged before it is sent back"
            return self._judged
        assert signal is not None, "a pass back from a value needs a signal"
        if start == "output":
            return self._main, _spread(signal, self._main)
        edge = self._edges[start]
        return edge, _spread(signal, compat.metadata_of(edge))

    @contextmanager
    def _received(self, end: Any, receive: backend.Receive) -> Iterator["Leaves"]:
        """Each gradient is handed on when it arrives; of a parameter, its memory is free afterwards."""
        handles: list[Any] = []
        leaves = Leaves(self._trained, receive)
        try:
            for index, edge in [*self._edges.items(), *self._beside]:
                handles.append(edge.node.register_prehook(_arriving(receive, index, edge.output_nr)))
            handles += leaves.hooked(getattr(end, "node", None) or end.grad_fn)
            yield leaves
        finally:
            for handle in handles:
                handle.remove()


def _tensor(handle: backend.Handle) -> torch.Tensor:
    assert isinstance(handle, TensorHandle)
    return handle.tensor


def _spread(signal: backend.Signal, like: Any) -> torch.Tensor:
    """A signal for a value."""
    return torch.from_numpy(signal.spread(tuple(like.shape))).to(like.device, like.dtype)


class _Sends(torch.autograd.Function):
    """A number whose gradient at a tensor is given: to be given gradients itself, torch loads its symbolic algebra
    (0.5 s)."""

    @staticmethod
    def forward(ctx: Any, end: torch.Tensor, sent: torch.Tensor) -> torch.Tensor:
        ctx.sent = sent
        return end.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *_: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.sent, None


def _single(end: Any, sent: torch.Tensor | None) -> tuple[Any, torch.Tensor | None]:
    """What a pass back starts from, if it can be a number."""
    if type(end) is not torch.Tensor or sent is None or end.layout != torch.strided or not end.is_floating_point():
        return end, sent
    return _Sends.apply(end, sent), None  # type: ignore[no-untyped-call]


def _arriving(receive: backend.Receive, index: int, position: int) -> Callable[[tuple[Any, ...]], None]:
    def arrive(gradients: Sequence[torch.Tensor | None]) -> None:
        gradient = gradients[position]
        if gradient is not None:
            receive(index, TensorHandle(gradient))

    return arrive
