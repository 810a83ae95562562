"""One forward and at most two backward passes under observation -> Statistics. Nothing about the model changes."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional

from wellbegun._arguments import message
from wellbegun._typing import Progress, phase
from wellbegun.errors import ArgumentError, ArgumentTypeError, TraceError
from wellbegun.fill import fill
from wellbegun.graph import ModelGraph, Role, roles_of
from wellbegun.health import LossStats, Statistics
from wellbegun.laws import Normal, Uniform
from wellbegun.torch.batch import Batch, call_of, outputs_of, place
from wellbegun.torch.computed import visible
from wellbegun.torch.contents import parameter_stats
from wellbegun.torch.recorder import Observer
from wellbegun.torch.summary import attention_stats, operation_stats, stream_stats, weights
from wellbegun.torch.tensors import correlation, norm, rms
from wellbegun.torch.trace import check_model, parameters_of, preserved, record
from wellbegun.torch.watch import Watch

__all__ = ["Loss", "probe", "rms"]

Loss = Callable[[Any], torch.Tensor]
Through = Callable[[Observer], Observer]
_SENT = 1 << 20  # about how many entries a random signal has that is sent back
_TOLD = 8  # least entries of an output whose RMS says what is usual


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
    Cost: one forward pass, one backward pass of the loss, and one of a random signal as far as the first weight.
    """
    check_model(model)
    parameters, names = parameters_of(model)
    call = place(call_of(batch, model), model)
    if any(tensor.is_meta for tensor in model.parameters()):
        raise ArgumentError("check: the model is on the meta device and holds no values; there is nothing to measure.")
    watch = Watch()
    with preserved(model), torch.inference_mode(False), torch.enable_grad():
        call = call.map(lambda tensor: tensor.clone() if tensor.is_inference() else tensor)
        observer, told = watch if through is None else through(watch), phase(progress, "measure")
        graph, result = record(model, call, parameters, names, observer, progress=told)
        watch.settle()
        if progress is not None:
            progress(0, 1, "backward")
        roles = roles_of(graph)
        value, stats = _loss(result, loss, chance)
        trained = {n: t for n, t in model.named_parameters() if t.requires_grad}
        tensors = visible(model)
        silent = _may_be_silent(graph, roles, tensors)
        jacobian, sensitivity = (None, None) if silent else _jacobian(graph, roles, watch, _main_output(result))
        gradients = _backward(value, trained, again=silent)
        injected = silent and _nothing_back(graph, roles, watch) and _inject(graph, roles, watch, trained)
        known = {name: gradients.get(name) for name in trained}
        contents = parameter_stats(graph, roles, tensors, known, _wanted(graph, result, loss))
    came_in = watch.first_input
    return Statistics(
        operation_stats(graph, roles, watch),
        contents,
        stats,
        rms(_main_output(result).detach()),
        injected,
        graph.notes,
        stream_stats(graph, roles, watch),
        tuple(attention_stats(graph, watch)),
        jacobian,
        sensitivity,
        None if came_in is None else correlation(came_in.flatten(1)),
    )


def _wanted(graph: ModelGraph, result: Any, loss: Loss | None) -> frozenset[int] | None:
    """The values that the loss is taken of; None if that cannot be told."""
    tensors = outputs_of(result)
    if len(graph.outputs) != len(tensors) or (loss is not None and len(tensors) > 1):
        return None
    main = _main_output(result)
    return frozenset(value for value, tensor in zip(graph.outputs, tensors, strict=True) if tensor is main)


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


def _may_be_silent(graph: ModelGraph, roles: Mapping[str, Role], tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether all readouts are zero: they pass no gradient back at the first step, which says nothing of the rest."""
    names = [role.parameter.name for _, role in weights(graph, roles) if role.role == "readout"]
    return bool(names) and not any(bool(tensors[name].any()) for name in names)


def _nothing_back(graph: ModelGraph, roles: Mapping[str, Role], watch: Watch) -> bool:
    """Whether there are hidden operations, and no gradient has reached one."""
    hidden = [operation.index for operation, role in weights(graph, roles) if role.role != "readout"]
    return bool(hidden) and not any(watch.gradients.get(index) for index in hidden)


def _inject(graph: ModelGraph, roles: Mapping[str, Role], watch: Watch, trained: dict[str, torch.nn.Parameter]) -> bool:
    """A random unit signal sent back from the last hidden operation, to see how the net behind it carries gradients."""
    hidden = [o.index for o, role in weights(graph, roles) if role.role != "readout" and o.index in watch.edges]
    if not hidden or not trained or watch.forward[hidden[-1]].rms == 0:
        return False
    edge = watch.edges[hidden[-1]]
    output = edge.node._input_metadata[edge.output_nr]
    signal = _signal(output.shape, output.device, output.dtype)
    torch.autograd.grad([edge], list(trained.values()), grad_outputs=[signal], allow_unused=True)
    watch.gradients[hidden[-1]] = norm(signal)
    return True


def _jacobian(
    graph: ModelGraph, roles: Mapping[str, Role], watch: Watch, output: torch.Tensor
) -> tuple[float | None, float | None]:
    """Root of the mean squared singular value of the way from the first weighted output to the model's output, from one
    random signal sent back (Hutchinson's estimate), and the same for relative changes."""
    trunk = [o.index for o, role in weights(graph, roles) if o.index in watch.edges and role.branch is None]
    first = min([*trunk, *(index for index in watch.tables if index in watch.edges)], default=None)
    if first is None or not output.requires_grad or not output.is_floating_point() or not output.numel():
        return None, None
    signal = _signal(output.shape, output.device, output.dtype)
    watch.probing = True
    ends: Any = {"grad_outputs": [signal], "allow_unused": True, "retain_graph": True}
    found: torch.Tensor | None = torch.autograd.grad([output], [watch.edges[first]], **ends)[0]
    watch.probing = False
    if found is None:  # no way leads there
        return None, None
    gain, size = norm(found) / norm(signal), rms(output.detach())
    start = watch.tables[first] if first in watch.tables else watch.forward[first].rms
    return gain, gain * start / size if size and output.numel() >= _TOLD else None


def _signal(shape: Any, device: Any, dtype: torch.dtype) -> torch.Tensor:
    """Standard normal numbers, the same every time, for some of the rows where there are very many; of torch's
    generator, which is the faster one for a throw-away."""
    real = torch.float64 if dtype in (torch.float64, torch.complex128) else torch.float32
    kind = (torch.complex128 if real == torch.float64 else torch.complex64) if dtype.is_complex else real
    last = shape[-1] if shape else 1
    rows = math.prod(shape) // max(last, 1)
    each = max(math.prod(shape) // _SENT, 1)
    drawn = torch.randn((-(-rows // each), last), generator=torch.Generator().manual_seed(0), dtype=kind)
    signal = torch.zeros((rows, last), dtype=dtype, device=device)
    signal[::each] = drawn.to(device, dtype)
    return signal.reshape(tuple(shape))
