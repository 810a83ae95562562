"""Whatever a forward pass changes about a model comes back."""

import random
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch.nn.parameter import Parameter, is_lazy

from wellbegun.backend import host_randomness
from wellbegun.engine.regions import overlaps
from wellbegun.torch.compat import (
    beneath_modes,
    compiler_loaded,
    memory_of,
    parametrize_cache,
    set_version,
    version_of,
)
from wellbegun.torch.trace.tensors import storage_of

_CONTAINERS = frozenset({dict, list, set, OrderedDict, deque, np.ndarray})


@contextmanager
def preserved(model: torch.nn.Module) -> Iterator[None]:
    """Parameters, buffers, gradients, flags, attributes and hooks of every module, and random states, come back.

    Attributes come back by identity, and dicts, lists and sets among them with what they held. Compiled code runs
    uncompiled meanwhile.
    """
    attributes = [(vars(module), dict(vars(module))) for module in model.modules()]
    held = [(found, found.copy()) for _, saved in attributes for found in saved.values() if type(found) in _CONTAINERS]
    everything = [value for table, _ in [*attributes, *held] for value in _values(table)]
    generators = [(found, found.get_state()) for found in everything if isinstance(found, torch.Generator)]
    tensors = _tensors(model)
    values = [_Kept(tensor) for tensor in _written_into(everything)]
    backups = _Backups(model)
    _active.append(backups)
    cache = dict(parametrize_cache)
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    # Where the compiler has not been loaded (a second), nothing is compiled.
    uncompiled = torch.compiler.set_stance("force_eager") if compiler_loaded() else nullcontext()
    with host_randomness(), torch.random.fork_rng(devices=devices), uncompiled:
        parametrize_cache.clear()
        _restart(devices)
        try:
            yield
        finally:
            _put_back(parametrize_cache, cache)
            for table, kept in [*attributes, *held]:
                _put_back(table, kept)
            _active.remove(backups)
            with torch.no_grad():
                backups.restore()
                for tensor, alias, gradient, trained in tensors:
                    _restore(tensor, alias, gradient, trained)
                for kept_value in values:
                    kept_value.restore()
            for generator, state in generators:
                generator.set_state(state)


def _restart(devices: list[int]) -> None:
    """The same random states in each pass: what is measured depends on the model, the batch and the seed alone."""
    torch.default_generator.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    for device in devices:
        torch.cuda.default_generators[device].manual_seed(0)


def _values(table: Any) -> Iterable[Any]:
    return () if isinstance(table, np.ndarray) else table.values() if isinstance(table, dict) else table


def _written_into(values: Iterable[Any]) -> list[torch.Tensor]:
    """Buffers, and tensors that are plain attributes: all that a pass may write into but parameters, each once."""
    tensors = (value for value in values if isinstance(value, torch.Tensor) and not isinstance(value, Parameter))
    found = {id(tensor): tensor for tensor in tensors if not (tensor.is_meta or is_lazy(tensor))}
    return [tensor for tensor in found.values() if type(tensor) is torch.Tensor or not hasattr(tensor, "fake_mode")]


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """All memory that a tensor lies in."""
    return tensor.new_empty(0).set_(tensor.untyped_storage())


class _Kept:
    """A tensor that is put back: its values, the memory it lies in, and its version, by which autograd tells whether
    what a graph has kept of it was written into since."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor, self.alias = tensor, tensor.detach()
        shared = tensor.layout == torch.strided and overlaps(tensor.shape, tensor.stride())
        self.place = _flat(self.alias) if shared else None  # entries that share memory cannot be written one by one
        self.values = (self.alias if self.place is None else self.place).clone()
        self.version = None if tensor.is_inference() else version_of(tensor)

    def restore(self) -> None:
        tensor, alias = self.tensor, self.alias
        if tensor.layout == torch.strided and (memory_of(tensor), tensor.shape) != (memory_of(alias), alias.shape):
            tensor.data = alias
        place = tensor.data if self.place is None else self.place
        place.copy_(self.values)  # beneath a recorder, not every write is counted
        if self.version is not None:
            set_version(tensor, self.version)


@contextmanager
def undone(model: torch.nn.Module) -> Iterator[None]:
    """As in `wellbegun.backend.Backend`: costs one copy of what a fill may write to, until it is done."""
    held = {storage_of(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    kept = [_Kept(_here(tensor)) for tensor in held.values() if not (tensor.is_meta or is_lazy(tensor))]
    try:
        yield
    except BaseException:  # of any kind, an interrupt too
        with torch.no_grad():
            for each in kept:
                each.restore()
        raise


class _Backups:
    """Copies of what a forward pass writes into parameters and gradients, made before the first write."""

    def __init__(self, model: torch.nn.Module) -> None:
        parameters = [tensor for tensor in model.parameters() if not is_lazy(tensor)]
        tensors = [given for tensor in parameters for given in (tensor, tensor.grad) if given is not None]
        self._guarded = {storage_of(tensor): tensor.detach() for tensor in tensors if not tensor.is_meta}
        self._saved: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def save(self, tensor: torch.Tensor) -> None:
        key = storage_of(tensor)
        if key in self._guarded and key not in self._saved:
            flat = _flat(self._guarded[key])
            self._saved[key] = flat, flat.clone()

    def restore(self) -> None:
        for flat, value in self._saved.values():
            flat.copy_(value)


_active: list[_Backups] = []


def about_to_write(tensors: Iterable[torch.Tensor]) -> None:
    """Called before an operation writes in place: parameters are copied first, so that `preserved` can restore them."""
    if _active:
        with beneath_modes(), torch.no_grad():
            for tensor in tensors:
                for backups in _active:
                    backups.save(tensor)


def _here(tensor: Any) -> Any:
    """What this process holds of a tensor."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def _put_back(table: Any, kept: Any) -> None:
    """Only what differs is touched: another thread may be reading."""
    if isinstance(table, list):
        table[:] = kept
    elif isinstance(table, np.ndarray):
        if table.flags.writeable:
            table[...] = kept
    elif isinstance(table, deque):
        table.clear()
        table.extend(kept)
    elif isinstance(table, set):
        table.intersection_update(kept)
        table.update(kept)
    else:
        for key in [key for key in table if key not in kept]:
            del table[key]
        if any(key not in table or table[key] is not value for key, value in kept.items()):
            table.update(kept)


def _tensors(model: torch.nn.Module) -> list[tuple[torch.Tensor, torch.Tensor, Any, bool]]:
    """Parameters with an alias of their memory, their gradient and whether they are trained."""
    parameters = (tensor for tensor in model.parameters() if not is_lazy(tensor))
    return [(tensor, tensor.detach(), tensor.grad, tensor.requires_grad) for tensor in parameters]


def _restore(tensor: torch.Tensor, alias: torch.Tensor, gradient: Any, trained: bool) -> None:
    if tensor.grad is not gradient:
        tensor.grad = gradient
    if tensor.requires_grad != trained:
        tensor.requires_grad_(trained)
    if tensor.layout == torch.strided and memory_of(tensor) != memory_of(alias):
        tensor.data = alias
