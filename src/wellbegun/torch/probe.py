"""One forward and at most two backward passes under observation -> Statistics. Nothing about the model changes."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch

from wellbegun._arguments import message
from wellbegun._typing import Progress, phase
from wellbegun.engine import fill
from wellbegun.errors import ArgumentError, ArgumentTypeError, TraceError
from wellbegun.graph import ModelGraph, Role, roles_of
from wellbegun.health import LossStats, Statistics
from wellbegun.laws import Normal, Uniform
from wellbegun.torch.batch import Batch, call_of, outputs_of, place
from wellbegun.torch.contents import Contents
from wellbegun.torch.gradients import Gradients
from wellbegun.torch.jacobian import Way, aimless, random_signal
from wellbegun.torch.parametrize import visible
from wellbegun.torch.summary import attention_stats, operation_stats, stream_stats, weights
from wellbegun.torch.tensors import correlation, norm, rms
from wellbegun.torch.trace.dispatch import Observer
from wellbegun.torch.trace.recording import check_model, parameters_of, preserved, record
from wellbegun.torch.watch import Watch

__all__ = ["Loss", "probe", "rms"]

Loss = Callable[[Any], torch.Tensor]
Through = Callable[[Observer], Observer]
_DIRECTIONS = 3  # least classes whose random labels point in enough directions


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
    Cost: one forward pass, one backward pass of the loss, and one of a random signal as far as the first weight, unless
        the gradient of the loss is as good as random.
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
        lost = _loss(result, loss, chance)
        contents = Contents(roles, visible(model))
        trained = {n: t for n, t in model.named_parameters() if t.requires_grad}
        gradients = Gradients(trained, contents.compared)
        silent = _may_be_silent(graph, roles, contents.tensors)
        way = Way.of(graph, roles, watch, _main_output(result))
        gain = _both_ways(way, lost, gradients, silent)
        injected = silent and _nothing_back(graph, roles, watch) and _inject(graph, roles, watch, trained)
        parameters_found = contents.stats(graph, gradients, _wanted(graph, result, loss))
    came_in = watch.first_input
    return Statistics(
        operation_stats(graph, roles, watch),
        parameters_found,
        lost.stats,
        rms(_main_output(result).detach()),
        injected,
        graph.notes,
        stream_stats(graph, roles, watch),
        tuple(attention_stats(graph, watch)),
        gain,
        way.relative(gain),
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


class _Lost(NamedTuple):
    """A loss: where its gradient starts, what that is there if it is known, and what to say of it.

    `limit`: the square of the gradient at the output up to which that is random; 0 for never. If what the output adds
    pointed where the Jacobian is largest, the estimate would be too large by a factor of 2.
    """

    end: torch.Tensor
    sent: torch.Tensor | None
    stats: LossStats
    limit: float = 0.0


def _loss(result: Any, loss: Loss | None, chance: float | None) -> _Lost:
    if loss is not None:
        value = loss(result)
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise ArgumentTypeError(
                message("check", "loss", "a function of the output that gives a scalar tensor", got)
            )
        return _Lost(value, None, LossStats(float(value.detach()), chance, "the given loss"))
    output = _main_output(result)
    with torch.no_grad():
        real = output.abs() if output.is_complex() else output.detach()
        classes, axis = _classes(real)
        sent, stats, limit = _classified(real, classes, axis) if classes > 1 else _distant(real)
        sent = sent * output.sgn() if output.is_complex() else sent  # the gradient of a magnitude
        return _Lost(output, sent.to(output.dtype), stats, limit)


def _distant(output: torch.Tensor) -> tuple[torch.Tensor, LossStats, float]:
    """The gradient of a squared error against random targets, what to say of it, and its limit."""
    entries, units = max(output.numel(), 1), output.numel() // max(len(output), 1) if output.ndim else 1
    apart = output.float() - _target(Normal(0, 1), output).float()
    described = "mean squared error against random standard normal targets"
    stats = LossStats(float(apart.square().mean()), None, described)
    return apart.mul_(2 / entries), stats, 4 / entries * (1 + _aimed(units))


def _classified(output: torch.Tensor, classes: int, axis: int) -> tuple[torch.Tensor, LossStats, float]:
    """The same of a cross-entropy against random labels: (probabilities - one-hot) / rows, in the memory of one copy,
    where autograd takes four of what may be the largest value of all."""
    moved = output.movedim(axis, -1)
    rows = moved.reshape(-1, classes).float()
    labels = _target(Uniform(0, classes), rows[:, 0]).floor().clamp(0, classes - 1).long()[:, None]
    logarithms = torch.log_softmax(rows, dim=-1)
    right = logarithms.gather(1, labels)
    value = float(-right.mean())
    sent = logarithms.exp_().scatter_(1, labels, right.exp() - 1).div_(max(len(rows), 1))
    described = f"cross-entropy of {classes} classes against random labels"
    limit = (1 - 1 / classes) / len(rows) * (1 + _aimed(classes)) if classes >= _DIRECTIONS and len(rows) else 0.0
    return sent.reshape(moved.shape).movedim(-1, axis), LossStats(value, math.log(classes), described), limit


def _aimed(directions: int) -> float:
    """Most that the output may add: what random targets make in four directions, and no more than an eighth of all."""
    return min(4 / max(directions, 1), 1 / 8)


def _classes(output: torch.Tensor) -> tuple[int, int]:
    """Number of classes and their axis: (N, K), (N, T, K) or (N, K, H, W, ...)."""
    if output.ndim < 2:
        return 1, 0
    axis = 1 if output.ndim == 2 or output.ndim > 3 else 2
    return int(output.shape[axis]), axis


def _target(law: Any, like: torch.Tensor) -> torch.Tensor:
    drawn = torch.from_numpy(fill(law, tuple(like.shape), seed=0, name="probe.target"))
    return drawn.to(like.device)


def _both_ways(way: Way, lost: _Lost, gradients: Gradients, silent: bool) -> float | None:
    """Gradients, and how much signals grow on the way back: by one pass if the loss sends a random signal. Where it may
    be silent the graph is kept for another pass, and this one tells nothing of the growth."""
    if silent:
        gradients.backward(lost.end, lost.sent, again=True)
        return None
    length = norm(lost.sent) if lost.sent is not None and lost.limit and way.output.requires_grad else 0.0
    random = aimless(length, lost.limit)
    gain = None if random else way.of_random()
    gradients.backward(lost.end, lost.sent, again=False)
    return way.of_loss(length) if random else gain


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
    signal = random_signal(output.shape, output.device, output.dtype)
    torch.autograd.grad([edge], list(trained.values()), grad_outputs=[signal], allow_unused=True)
    watch.gradients[hidden[-1]] = norm(signal)
    return True
