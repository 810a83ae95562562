"""One forward and one backward pass under observation -> Statistics. Nothing about the model changes."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional

from wellbegun._arguments import message
from wellbegun._typing import Progress, phase
from wellbegun.errors import ArgumentError, ArgumentTypeError, TraceError
from wellbegun.fill import fill
from wellbegun.graph import WEIGHTED, ModelGraph, Operation, Role, roles_of
from wellbegun.health import LossStats, OperationStats, ParameterStats, Statistics
from wellbegun.laws import Normal, Uniform
from wellbegun.torch.batch import Batch, call_of, outputs_of, place
from wellbegun.torch.computed import visible
from wellbegun.torch.recorder import Observer
from wellbegun.torch.trace import check_model, parameters_of, preserved, record

Loss = Callable[[Any], torch.Tensor]
Through = Callable[[Observer], Observer]


class _Watch:
    """Collects what happens at weighted operations: output statistics at once, gradients when they arrive."""

    def __init__(self) -> None:
        self.forward: dict[int, tuple[float, float, bool]] = {}  # RMS in, RMS out, whether all is finite
        self.gradients: dict[int, float] = {}
        self.edges: dict[int, Any] = {}
        self._pending: tuple[int, torch.Tensor] | None = None

    def __call__(
        self, operation: Operation, inputs: tuple[torch.Tensor, ...], outputs: tuple[torch.Tensor, ...]
    ) -> None:
        self.settle()
        if operation.kind not in WEIGHTED:
            return
        output = outputs[0].detach()
        came_in, size = rms(inputs[0].detach()) if inputs else 0.0, rms(output)
        self.forward[operation.index] = came_in, size, _finite(output, size)
        self._pending = operation.index, outputs[0]

    def settle(self) -> None:
        """Autograd attaches its node after the dispatcher returns, so it is looked up at the next operation."""
        if self._pending is None:
            return
        (index, output), self._pending = self._pending, None
        if output.requires_grad and output.grad_fn is not None:
            edge = torch.autograd.graph.get_gradient_edge(output)
            self.edges[index] = edge
            edge.node.register_prehook(self._listener(index, edge.output_nr))

    def _listener(self, index: int, position: int) -> Callable[[tuple[Any, ...]], None]:
        def listen(gradients: tuple[Any, ...]) -> None:
            gradient = gradients[position]
            self.gradients[index] = 0.0 if gradient is None else _norm(gradient)

        return listen


def probe(
    model: torch.nn.Module,
    batch: Batch = None,
    loss: Loss | None = None,
    *,
    chance: float | None = None,
    through: Through | None = None,
    progress: Progress | None = None,
) -> Statistics:
    """Measure a model, however it was initialized.

    Args:
        model: Any module, in the mode (train or eval) it is to be judged in.
        batch: As for `wellbegun.plan`.
        loss: Function of the model's output giving a scalar; None makes one up (and says which).
        chance: What that loss would be for a model that knows nothing.
        through: Puts another observer before the one that measures: the correction, which changes what it passes on.
        progress: Called as progress(done, all, what) before each module runs, and before the backward pass.
    """
    check_model(model)
    parameters, names = parameters_of(model)
    call = place(call_of(batch, model), model)
    if any(tensor.is_meta for tensor in model.parameters()):
        raise ArgumentError("check: the model is on the meta device and holds no values; there is nothing to measure.")
    watch = _Watch()
    with preserved(model):
        observer, told = watch if through is None else through(watch), phase(progress, "measure")
        graph, result = record(model, call, parameters, names, observer, progress=told)
        watch.settle()
        if progress is not None:
            progress(0, 1, "backward")
        roles = roles_of(graph)
        value, stats = _loss(result, loss, chance)
        trained = {n: t for n, t in model.named_parameters() if t.requires_grad}
        gradients = _backward(value, trained, again=_may_be_silent(graph, roles, watch))
        injected = _inject(graph, roles, watch, trained) if _readout_is_silent(graph, roles, watch) else None
    tensors = visible(model)
    return Statistics(
        _operations(graph, roles, watch),
        tuple(_parameter(roles[name], tensors[name], gradients.get(name)) for name in roles),
        stats,
        rms(_main_output(result).detach()),
        injected is not None,
        graph.notes,
    )


# ---------------------------------------------------------------------- loss and gradients
def _main_output(result: Any) -> torch.Tensor:
    """The tensor a loss is taken of: the logits, or the first floating-point output."""
    logits = result.get("logits") if isinstance(result, Mapping) else getattr(result, "logits", None)
    found = (
        logits
        if isinstance(logits, torch.Tensor)
        else next((tensor for tensor in outputs_of(result) if tensor.is_floating_point() or tensor.is_complex()), None)
    )
    if found is None:
        raise TraceError("check: the model returns no floating-point tensor, so there is nothing to take a loss of.")
    return found


def _loss(result: Any, loss: Loss | None, chance: float | None) -> tuple[torch.Tensor, LossStats]:
    if loss is not None:
        value = loss(result)
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise ArgumentTypeError(
                message("check", "loss", "a function of the output that gives a scalar tensor", got)
            )
        return value, LossStats(float(value.detach()), chance, "the given loss")
    output = _main_output(result)
    output = output.abs() if output.is_complex() else output
    classes, axis = _classes(output)
    if classes < 2:
        target = _target(Normal(0, 1), output)
        value = functional.mse_loss(output.float(), target.float())
        return value, LossStats(
            float(value.detach()), None, "mean squared error against random standard normal targets"
        )
    rows = output.movedim(axis, -1).reshape(-1, classes).float()
    labels = _target(Uniform(0, classes), rows[:, 0]).floor().clamp(0, classes - 1).long()
    value = functional.cross_entropy(rows, labels)
    described = f"cross-entropy of {classes} classes against random labels"
    return value, LossStats(float(value.detach()), math.log(classes), described)


def _classes(output: torch.Tensor) -> tuple[int, int]:
    """Number of classes and their axis: (N, K), (N, T, K) or (N, K, H, W, ...)."""
    if output.ndim < 2:
        return 1, 0
    axis = 1 if output.ndim == 2 or output.ndim > 3 else 2
    return int(output.shape[axis]), axis


def _target(law: Any, like: torch.Tensor) -> torch.Tensor:
    drawn = torch.from_numpy(fill(law, tuple(like.shape), seed=0, name="probe.target"))
    return drawn.to(like.device)


def _backward(
    value: torch.Tensor, trained: dict[str, torch.nn.Parameter], *, again: bool
) -> dict[str, torch.Tensor | None]:
    """Gradients of every trainable parameter, without touching their `.grad`; `again`: another pass may follow, so
    what it needs is kept."""
    if not value.requires_grad or not trained:
        return {}
    found = torch.autograd.grad(value, list(trained.values()), retain_graph=again, allow_unused=True)
    return dict(zip(trained, found, strict=True))


def _weights(graph: ModelGraph, roles: Mapping[str, Role]) -> list[tuple[Operation, Role]]:
    """Weighted operations with the role of their weight."""
    found = []
    for operation in graph.operations:
        names = [use.parameter for use in operation.uses if use.slot in ("weight", "derived", "recurrent_hidden")]
        if operation.kind in WEIGHTED and names and names[-1] in roles:
            found.append((operation, roles[names[-1]]))
    return found


def _may_be_silent(graph: ModelGraph, roles: Mapping[str, Role], watch: _Watch) -> bool:
    """Whether all readouts give zero, so that nothing may come back."""
    readouts = [operation.index for operation, role in _weights(graph, roles) if role.role == "readout"]
    return bool(readouts) and all(watch.forward[index][1] == 0 for index in readouts)


def _readout_is_silent(graph: ModelGraph, roles: Mapping[str, Role], watch: _Watch) -> bool:
    """A readout that starts at zero passes no gradient back at the first step, which says nothing about the rest."""
    hidden = [operation.index for operation, role in _weights(graph, roles) if role.role != "readout"]
    silent = bool(hidden) and _may_be_silent(graph, roles, watch)
    return silent and not any(watch.gradients.get(index) for index in hidden)


def _inject(
    graph: ModelGraph, roles: Mapping[str, Role], watch: _Watch, trained: dict[str, torch.nn.Parameter]
) -> bool | None:
    """A random unit signal sent back from the last hidden operation, to see how the net behind it carries gradients."""
    hidden = [o.index for o, role in _weights(graph, roles) if role.role != "readout" and o.index in watch.edges]
    if not hidden or not trained or watch.forward[hidden[-1]][1] == 0:
        return None
    edge = watch.edges[hidden[-1]]
    output = edge.node._input_metadata[edge.output_nr]
    drawn = fill(Normal(0, 1), tuple(output.shape), seed=0, name="probe.signal")
    signal = torch.from_numpy(drawn).to(output.device, output.dtype)
    torch.autograd.grad([edge], list(trained.values()), grad_outputs=[signal], allow_unused=True)
    watch.gradients[hidden[-1]] = _norm(signal)
    return True


# ---------------------------------------------------------------------- statistics
def _norm(tensor: torch.Tensor) -> float:
    """Length of all entries as one vector; in single precision, which is several times as fast, where that is safe."""
    if tensor.dtype in (torch.float32, torch.bfloat16, torch.float16):
        found = float(torch.linalg.vector_norm(tensor, dtype=torch.float32))
        if 1e-12 < found < 1e15:  # no square that matters has left the range
            return found
    kind = torch.complex128 if tensor.is_complex() else torch.float64
    return float(torch.linalg.vector_norm(tensor, dtype=kind))


def _finite(tensor: torch.Tensor, norm: float) -> bool:
    """Whether every entry is; the norm tells, unless squares overflow."""
    return math.isfinite(norm) or bool(torch.isfinite(tensor).all())


def rms(tensor: torch.Tensor) -> float:
    """Root mean square, in double precision; 0 for no entries."""
    return _norm(tensor) / math.sqrt(max(tensor.numel(), 1))


def _operations(graph: ModelGraph, roles: Mapping[str, Role], watch: _Watch) -> tuple[OperationStats, ...]:
    return tuple(
        OperationStats(
            operation.index,
            operation.place,
            operation.kind,
            role.parameter.name,
            role.role,
            *watch.forward[operation.index],
            watch.gradients.get(operation.index, 0.0 if operation.index in watch.edges else None),
            role.ends_branch,
        )
        for operation, role in _weights(graph, roles)
    )


def _parameter(role: Role, tensor: torch.Tensor, gradient: torch.Tensor | None) -> ParameterStats:
    units, distinct, locked = 0, 0, 0
    if role.layout is not None and "i" in role.layout.axes and "o" in role.layout.axes and tensor.numel():
        rows = _units(tensor, role)
        units = len(rows)
        distinct, locked = _twins(rows, None if gradient is None else _units(gradient, role))
    size, slope = _norm(tensor.detach()), None if gradient is None else _norm(gradient)
    return ParameterStats(
        role.parameter.name,
        role.role,
        size / math.sqrt(max(tensor.numel(), 1)),
        _finite(tensor, size),
        slope,
        gradient is None or slope is None or _finite(gradient, slope),
        units,
        distinct,
        locked,
        role.ends_branch,
    )


def _units(tensor: torch.Tensor, role: Role) -> torch.Tensor:
    """One row for each output unit, with everything that comes in; complex entries as two."""
    assert role.layout is not None
    order = role.layout.canonical
    outputs = sum(role.layout.axes.count(letter) for letter in "eo")
    moved = tensor.detach().permute(order)
    rows = moved.reshape(math.prod(moved.shape[:outputs]), -1)
    return torch.view_as_real(rows.resolve_conj()).flatten(1) if rows.is_complex() else rows


_COLUMNS = 64  # looked at first when rows are compared


def _twins(rows: torch.Tensor, gradients: torch.Tensor | None) -> tuple[int, int]:
    """Number of different rows, and of rows that equal another one both in weights and in gradients."""
    some = rows[:, :: max(1, rows.shape[1] // _COLUMNS)]
    if len(torch.unique(_hash(some))) == len(rows):  # rows that differ in a few columns need no further look
        return len(rows), 0
    keys = _hash(rows)
    distinct = len(torch.unique(keys))
    if gradients is None or distinct == len(keys):
        return distinct, 0
    both = torch.stack([keys, _hash(gradients)], dim=1)
    _, counts = torch.unique(both, dim=0, return_counts=True)
    return distinct, int(counts[counts > 1].sum())


def _hash(rows: torch.Tensor) -> torch.Tensor:
    """A 64-bit number for each row, equal for equal rows (0.0 and -0.0 count as equal)."""
    columns = rows.shape[1]
    multipliers = torch.randint(-(2**62), 2**62, (columns,), generator=torch.Generator().manual_seed(1)) | 1
    found = []
    each = max(1, (1 << 22) // max(columns, 1))  # bounded memory, whatever the size
    for start in range(0, len(rows), each):
        values = rows[start : start + each].detach().cpu().to(torch.float64) + 0.0
        mixed = values.view(torch.int64) * multipliers
        found.append(((mixed ^ (mixed >> 32)) * multipliers).sum(dim=1))  # or sign bits would cancel in pairs
    return torch.cat(found)
