"""Whatever a forward pass changes about a model comes back."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from wellbegun.backend import host_randomness
from wellbegun.torch.compat import beneath_modes, compiler_loaded, memory_of, parametrize_cache
from wellbegun.torch.trace.tensors import storage_of

_CONTAINERS = frozenset({dict, list, set, OrderedDict})


@contextmanager
def preserved(model: torch.nn.Module) -> Iterator[None]:
    """Parameters, buffers, gradients, flags, attributes and hooks of every module, and random states, come back.

    Attributes come back by identity, and dicts, lists and sets among them with what they held. Compiled code runs
    uncompiled meanwhile.
    """
    attributes = [(vars(module), dict(vars(module))) for module in model.modules()]
    held = [(found, found.copy()) for _, saved in attributes for found in saved.values() if type(found) in _CONTAINERS]
    tensors = _tensors(model)
    buffers = [buffer for buffer in model.buffers() if not (buffer.is_meta or is_lazy(buffer))]
    values = [(buffer, buffer.detach(), buffer.detach().clone()) for buffer in buffers]
    backups = _Backups(model)
    _active.append(backups)
    cache = dict(parametrize_cache)
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    # Where the compiler has not been loaded (a second), nothing is compiled.
    uncompiled = torch.compiler.set_stance("force_eager") if compiler_loaded() else nullcontext()
    with host_randomness(), torch.random.fork_rng(devices=devices), uncompiled:
        parametrize_cache.clear()
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
                for buffer, alias, value in values:
                    same = buffer.shape == alias.shape and storage_of(buffer) == storage_of(alias)
                    if buffer.layout == torch.strided and not same:
                        buffer.data = alias  # moved or resized, before what it holds comes back
                    buffer.copy_(value)


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
            whole = self._guarded[key]
            flat = whole.new_empty(0).set_(whole.untyped_storage())
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


def _put_back(table: Any, kept: Any) -> None:
    table.clear()
    if isinstance(table, list):
        table.extend(kept)
    else:
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
