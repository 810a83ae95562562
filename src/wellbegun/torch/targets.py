"""Which memory the parameters of a model have: on the host as NumPy sees it, on a device, in this process's shard."""

from functools import partial

import torch

from wellbegun._arguments import DTYPES
from wellbegun._typing import Array
from wellbegun.engine import Job
from wellbegun.engine.regions import overlaps
from wellbegun.errors import ArgumentError, TraceError
from wellbegun.laws import Law
from wellbegun.materialize import Sink, Target, draw_region
from wellbegun.torch.compat import bump_version
from wellbegun.torch.device import DeviceMemory
from wellbegun.torch.names import parameters
from wellbegun.torch.parametrize import Computed, assign, computed_of
from wellbegun.torch.shards import local_part
from wellbegun.torch.trace.tensors import is_freed, seen, wrapped


def targets(model: torch.nn.Module) -> dict[str, Target]:
    """Where each parameter's values go, by each of its names; tensors computed from parameters are set through them.

    Raises:
        ArgumentError: a parameter is on the meta device.
    """
    computed = {found.name: found for found in computed_of(model)}
    found: dict[str, Target] = {}
    for name, tensor in {**parameters(model), **{name: one.like() for name, one in computed.items()}}.items():
        if tensor.is_meta:
            remedy = "Give the model memory first: model.to_empty(device='cpu')."
            raise ArgumentError(f"fill: parameter {name!r} is on the meta device, which holds no values. {remedy}")
        if name in computed:
            sink = _Parametrized(computed[name])
            found[name] = Target(tuple(tensor.shape), _dtype(tensor), sink, close=sink.close)
        else:
            found[name] = target_of(tensor, name)
    return found


def target_of(tensor: torch.Tensor, name: str) -> Target:
    """Where the values of one tensor go, whatever its device, dtype or strides."""
    shape, dtype = tuple(tensor.shape), _dtype(tensor)
    try:
        local, region = local_part(tensor, name)
    except TraceError as error:
        return Target(shape, dtype, None, problem=error)
    if local.layout != torch.strided:
        text = f"fill: parameter {name!r} has layout {local.layout}; only strided ones can be filled."
        return Target(shape, dtype, None, problem=TraceError(text))
    if told := wrapped(local, name):
        return Target(shape, dtype, None, problem=TraceError(f"fill: {told}"))
    if is_freed(local):
        text = f"fill: {name!r} has no memory: its storage was freed. Fill it before that, or when it has some again."
        return Target(shape, dtype, None, problem=TraceError(text))
    if overlaps(local.shape, local.stride()):
        text = f"fill: entries of parameter {name!r} share memory, so they cannot hold values of their own."
        return Target(shape, dtype, None, problem=TraceError(f"{text} Give it memory (.clone()) or exclude it."))
    if dtype not in DTYPES:
        return Target(shape, dtype, None)
    memory: Array | Sink = seen(local) if local.device.type == "cpu" else DeviceMemory(local)
    return Target(shape, dtype, memory, region, close=partial(_changed, local))


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _changed(local: torch.Tensor, _: int) -> str:
    """Autograd notices that values have changed."""
    bump_version(local)
    return ""


class _Parametrized(Sink):
    """Memory for a tensor that a module computes: `draw` does it all, then what it is computed from is set."""

    def __init__(self, computed: Computed) -> None:
        self._computed = computed
        self._values: torch.Tensor | None = None  # while it is filled

    def draw(self, law: Law, job: Job, axes: tuple[int, ...]) -> bool:
        self._values = torch.empty_like(self._computed.like(), requires_grad=False)
        target = target_of(self._values, self._computed.name)
        if target.problem is not None:
            raise target.problem
        assert target.memory is not None  # the dtype is one that is filled
        assert target.region is not None
        draw_region(target.memory, target.region, law, axes, job)
        return True

    def close(self, seed: int) -> str:
        """Set the parameters; a remark where the tensor then holds other values."""
        values, self._values = self._values, None
        assert values is not None
        return assign(self._computed, values, seed)
