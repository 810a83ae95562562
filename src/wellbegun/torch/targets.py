"""Plan -> weights: every planned parameter written once, in place, whatever its device, dtype or strides."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch

from wellbegun._arguments import message
from wellbegun._typing import Array, Progress
from wellbegun.engine import Job, Matrices, write
from wellbegun.engine.blas import single_threaded
from wellbegun.engine.workers import parallel, threads_of
from wellbegun.errors import ArgumentError, TraceError
from wellbegun.laws import Law
from wellbegun.planning import Entry, Ledger, Plan, settle
from wellbegun.streams import stream_key, substream
from wellbegun.torch import device
from wellbegun.torch.parametrize import Computed, assign, computed_of, visible
from wellbegun.torch.shards import local_part

_SMALL, _RUN = 1 << 20, 32  # entries of a small tensor; most that are filled side by side
_CHUNK = 1 << 24  # elements copied at once to a device that cannot be written directly


def apply_plan(
    model: torch.nn.Module,
    plan: Plan,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    before: Plan | None = None,
    matrices: Matrices | None = None,
) -> Ledger:
    """Fill the model as planned; where it is filled as `before` says already, only what differs.

    `matrices`: orthogonal ones drawn before, which are not computed again.

    Raises:
        ArgumentError: the plan does not fit the model, or a parameter is on the meta device. Nothing is written then.
    """
    workers = threads_of(threads)
    tensors, computed = visible(model, values=False), {found.name: found for found in computed_of(model)}
    _check(plan, tensors)
    filled = [entry for entry in plan.entries if entry.action == "fill"]
    done_already = {} if before is None else {entry.name: entry.law for entry in before.entries}
    jobs = [entry for entry in filled if entry.name not in done_already or done_already[entry.name] != entry.law]
    done, seed = 0, plan.seed

    def one(entry: Entry) -> None:
        _write(tensors[entry.name], entry, seed, 1, matrices)

    for some in _together(jobs, tensors, computed):
        for entry in some:
            if progress is not None:
                progress(done, len(jobs), entry.name)
            done += 1
        if some[0].name in computed:
            plan = _assign(computed[some[0].name], plan, some[0], workers, matrices)
        elif len(some) == 1:
            _write(tensors[some[0].name], some[0], plan.seed, workers, matrices)
        else:
            with single_threaded():
                parallel(one, some, workers if _worth(some) else 1)
    return settle(plan, [entry.name for entry in filled])


def _together(
    jobs: list[Entry], tensors: dict[str, torch.Tensor], computed: Mapping[str, Computed]
) -> Iterator[list[Entry]]:
    """Large ones one after the other, small ones in runs that are filled side by side where that is worth it: products
    of small matrices leave little to share."""
    some: list[Entry] = []
    for entry in jobs:
        tensor = tensors[entry.name]
        if tensor.numel() <= _SMALL and entry.name not in computed and tensor.device.type == "cpu":
            some.append(entry)
            if len(some) < _RUN:
                continue
            yield some
        else:
            if some:
                yield some
            yield [entry]
        some = []
    if some:
        yield some


def _worth(some: list[Entry]) -> bool:
    """Whether there are matrix products enough that threads do not wait for Python and each other."""
    coupled = (math.prod(entry.shape) for entry in some if entry.law is not None and entry.law.couples)
    return sum(coupled) >= _SMALL // 4


def _assign(computed: Computed, plan: Plan, entry: Entry, threads: int, matrices: Matrices | None) -> Plan:
    """Draw the values of a computed tensor and set what it is computed from; the plan with what became of them."""
    values = torch.empty_like(computed.like(), requires_grad=False)
    _write(values, entry, plan.seed, threads, matrices)
    a, b, *_ = stream_key(plan.seed, substream(entry.stream, "right_inverse"))
    remark = assign(computed, values, a | b << 32)
    entries = (replace(e, reason=f"{e.reason}; {remark}") if remark and e is entry else e for e in plan.entries)
    return replace(plan, entries=tuple(entries))


def _check(plan: Plan, tensors: dict[str, torch.Tensor]) -> None:
    """Everything that could go wrong, before the first byte is written."""
    planned = [entry.name for entry in plan.entries]
    if missing := sorted(set(tensors) - set(planned)):
        raise ArgumentError(
            message("plan", "entries", "one for each parameter of the model", f"none for {missing[:5]}")
        )
    if extra := sorted(set(planned) - set(tensors)):
        raise ArgumentError(message("plan", "entries", "parameters of this model", extra[:5]))
    for entry in plan.entries:
        tensor = tensors[entry.name]
        if tuple(tensor.shape) != entry.shape:
            raise ArgumentError(message("plan", f"shape of {entry.name!r}", f"{tuple(tensor.shape)}", entry.shape))
        if str(tensor.dtype).removeprefix("torch.") != entry.dtype:
            raise ArgumentError(message("plan", f"dtype of {entry.name!r}", str(tensor.dtype), entry.dtype))
        if tensor.is_meta:
            remedy = "Give the model memory first: model.to_empty(device='cpu')."
            raise ArgumentError(
                f"initialize: parameter {entry.name!r} is on the meta device, which holds no values. {remedy}"
            )
        if entry.action == "fill" and (entry.law is None or entry.layout is None):
            raise ArgumentError(message("plan", f"law of {entry.name!r}", "given where the action is fill", None))


def _write(tensor: torch.Tensor, entry: Entry, seed: int, threads: int, matrices: Matrices | None) -> None:
    """Fill what this process holds of a parameter: all of it, or its shard."""
    assert entry.law is not None  # `_check` has seen to both
    assert entry.layout is not None
    local, bounds = local_part(tensor, entry.name)
    order = entry.layout.canonical
    values, region = (local.permute(order), tuple(bounds[axis] for axis in order)) if order else (local, bounds)
    shape = tuple(entry.shape[axis] for axis in order)
    job = Job(seed, entry.stream, shape, region, entry.dtype, threads, matrices=matrices)
    if values.layout != torch.strided:
        raise TraceError(
            f"initialize: parameter {entry.name!r} has layout {values.layout}; only strided ones can be filled."
        )
    if values.device.type == "cpu":
        write(entry.law, _array(values), job)
    elif device.reachable(values) and device.drawable(entry.law, values.device, entry.dtype):
        device.draw(entry.law, values, job)
    else:
        _through_host(values, entry.law, job)
    torch._C._autograd._unsafe_set_version_counter((local,), (local._version + 1,))


def _array(values: torch.Tensor) -> Array:
    """The tensor's memory as NumPy sees it; bfloat16 as uint16."""
    return values.view(torch.uint16).numpy() if values.dtype == torch.bfloat16 else values.numpy()


def _through_host(values: torch.Tensor, law: Law, job: Job) -> None:
    """Fill on the host in pieces along the first axis and copy: bounded memory, except for laws that couple entries."""
    first = values.shape[0] if values.ndim else 1
    each = max(1, _CHUNK * first // max(values.numel(), 1))
    if law.couples or not values.ndim:
        each = max(first, 1)
    for start in range(0, max(first, 1), each):
        part = values[start : start + each] if values.ndim else values
        host = torch.empty(part.shape, dtype=part.dtype)
        (base, _), *rest = job.region or ((0, 0),)
        region = ((base + start, base + start + len(part)), *rest) if values.ndim else ()
        write(law, _array(host), replace(job, region=region))
        part.copy_(host)
