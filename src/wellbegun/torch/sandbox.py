"""Whatever a forward pass changes about a model comes back."""

import inspect
import random
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from types import FunctionType, MethodType, NoneType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.nn.parameter import Parameter, is_lazy
from torch.overrides import TorchFunctionMode

from wellbegun.backend import host_randomness, others_may_draw
from wellbegun.engine.regions import overlaps
from wellbegun.torch.compat import (
    DispatchMode,
    beneath_functions,
    beneath_modes,
    compiler_loaded,
    drawing,
    every,
    memory_of,
    module_tables,
    parametrize_cache,
    set_version,
    tensors,
    version_of,
)
from wellbegun.torch.trace.tensors import is_freed

_CONTAINERS = frozenset({dict, list, set, OrderedDict, defaultdict, Counter, deque, np.ndarray})
_PLAIN = frozenset({bool, int, float, complex, str, bytes, NoneType, type, FunctionType, MethodType, Parameter})

_turn = threading.RLock()
"""Passes of several threads of ours come one after the other: a model may be that of two, generators are."""


@contextmanager
def preserved(model: torch.nn.Module) -> Iterator[None]:
    """Parameters, buffers, gradients, flags, attributes and hooks of every module, and random states, come back.

    Attributes come back by identity, and dicts, lists and sets among them with what they held. Compiled code runs
    uncompiled meanwhile.
    """
    with _turn, same_draws(model), _uncompiled(), _put_back_after(model):
        yield


def _uncompiled() -> AbstractContextManager[Any]:
    """Where the compiler has not been loaded (a second), nothing is compiled."""
    return torch.compiler.set_stance("force_eager") if compiler_loaded() else nullcontext()


@contextmanager
def _put_back_after(model: torch.nn.Module) -> Iterator[None]:
    attributes = [(own := vars(module), own.copy()) for module in every(model)]
    containers, others = _reached(value for _, saved in attributes for value in saved.values())
    held = [(table, table.copy()) for table in containers if type(table) is not tuple]
    draws = [again for value in others if (again := draws_again(value)) is not None]
    values = [Kept(tensor) for tensor in _written_into(others)]
    backups, cache = _Backups(model), dict(parametrize_cache)
    _thread.passes.append(backups)
    parametrize_cache.clear()
    try:
        yield
    finally:
        put_back(parametrize_cache, cache)
        for table, kept in [*attributes, *held]:
            if type(table) is np.ndarray or table or kept:  # most tables of hooks are empty
                put_back(table, kept)
        _thread.passes.remove(backups)
        with torch.no_grad():
            backups.restore()
            for kept_value in values:
                kept_value.restore()
        for again in draws:
            again()


@contextmanager
def same_draws(model: torch.nn.Module) -> Iterator[None]:
    """The same random numbers in each pass: what is measured depends on the model, the batch and the seed alone.

    Beside other threads that may draw from the generators of the process, those are left alone: torch's operations get
    one of the pass's own, which gives the same numbers. Daemons (of notebooks, progress bars), ours and those of pools
    that have nothing to do draw nothing.
    """
    if others_may_draw():
        with _OwnGenerators():
            yield
        return
    begun = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = sorted({p.device.index for p in tensors(model) if p.is_cuda}) if begun else []
    with host_randomness(), torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(0)
        yield


class _OwnGenerators(DispatchMode):  # type: ignore[no-untyped-call]
    """Operations of this thread that draw from a generator of the process draw from one of their own."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[torch.device, torch.Generator] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        func, draws = drawing(func)
        if draws and kwargs.get("generator") is None:
            given = next((tensor.device for tensor in args if isinstance(tensor, torch.Tensor)), torch.device("cpu"))
            device = torch.device(kwargs.get("device") or given)
            if device.type != "meta":
                if device not in self._made:
                    self._made[device] = torch.Generator(device).manual_seed(0)
                kwargs["generator"] = self._made[device]
        return func(*args, **kwargs)


def _reached(values: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Containers and tuples among values and in each other, each once; and what else may be there but modules. The
    attributes of plain records are a container."""
    found, others, waiting = dict[int, Any](), list[Any](), [*values]
    while waiting:
        value = waiting.pop()
        kind = type(value)
        if kind in _PLAIN:
            continue
        if kind in _CONTAINERS and kind is not np.ndarray and not value:  # as most tables of hooks are
            found[id(value)] = value
            continue
        if kind not in _CONTAINERS and kind is not tuple:
            if not isinstance(value, torch.nn.Module):
                others.append(value)
            record = hasattr(kind, "__dataclass_fields__") or isinstance(value, SimpleNamespace)
            if not record or type(value := getattr(value, "__dict__", None)) is not dict:
                continue
        if id(value) not in found:
            found[id(value)] = value
            if not isinstance(value, np.ndarray):
                waiting.extend(value.values() if isinstance(value, dict) else value)
    return [*found.values()], others


def draws_again(value: Any) -> Callable[[], object] | None:
    """What puts a generator of random numbers back to where it is now; None for anything else, and for those that have
    no state (of the operating system's, of hardware)."""
    try:
        if isinstance(value, torch.Generator):
            return partial(value.set_state, value.get_state())
        if isinstance(value, np.random.RandomState):
            return partial(value.set_state, value.get_state(legacy=False))
        if isinstance(value, random.Random):
            return partial(value.setstate, value.getstate())
        if isinstance(value, np.random.Generator):
            return partial(setattr, value.bit_generator, "state", value.bit_generator.state)
    except NotImplementedError:
        pass
    return None


def _written_into(values: Iterable[Any]) -> list[torch.Tensor]:
    """Buffers, and tensors that are plain attributes: all that a pass may write into but parameters, each once."""
    tensors = (value for value in values if isinstance(value, torch.Tensor) and not isinstance(value, Parameter))
    found = {id(tensor): tensor for tensor in tensors if not (tensor.is_meta or is_lazy(tensor))}
    return [tensor for tensor in found.values() if type(tensor) is torch.Tensor or not hasattr(tensor, "fake_mode")]


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """All memory that a tensor lies in."""
    return tensor.new_empty(0).set_(tensor.untyped_storage())


class Kept:
    """A tensor that is put back: its values, the memory it lies in, and its version, by which autograd tells whether
    what a graph has kept of it was written into since."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor, self.alias = tensor, tensor.detach()
        shared = tensor.layout == torch.strided and overlaps(tensor.shape, tensor.stride())
        self.place = _flat(self.alias) if shared else None  # entries that share memory cannot be written one by one
        self.values = (self.alias if self.place is None else self.place).clone()
        self.version = None if tensor.is_inference() else version_of(tensor)

    def restore(self) -> None:
        """Put it back."""
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
    with _turn:
        both = tensors(model, "parameters", "buffers")
        there = (tensor for tensor in both if not (is_lazy(tensor) or tensor.is_meta or is_freed(_here(tensor))))
        held = {memory_of(tensor): tensor for tensor in there}
        kept: list[Kept | _Lazy] = [Kept(_here(tensor)) for tensor in held.values()]
        kept += [_Lazy(module) for module in all_waiting(model, both)]
        try:
            yield
        except BaseException:  # of any kind, an interrupt too
            with torch.no_grad():
                for each in kept:
                    each.restore()
            raise


def waiting(module: torch.nn.Module) -> list[torch.Tensor]:
    """A module's own parameters and buffers that have no shape yet."""
    own = (value for table in ("parameters", "buffers") for value in module_tables(module, table).values())
    return [tensor for tensor in own if tensor is not None and is_lazy(tensor)]


def all_waiting(model: torch.nn.Module, held: Iterable[torch.Tensor]) -> list[torch.nn.Module]:
    """Modules that have such among all that the model holds: most have none."""
    return [module for module in every(model) if waiting(module)] if any(map(is_lazy, held)) else []


class _Lazy:
    """A lazy module and how it was, to make it lazy again: with its sizes, and hooks that wait for a first batch."""

    def __init__(self, module: Any) -> None:
        self.module, self.kind, self.attributes = module, type(module), dict(vars(module))
        self.held = [(found, found.copy()) for found in self.attributes.values() if type(found) in _CONTAINERS]
        self.tensors = [(tensor, type(tensor), tensor.device, tensor.dtype) for tensor in waiting(module)]

    def restore(self) -> None:
        self.module.__class__ = self.kind
        for table, kept in [(vars(self.module), self.attributes), *self.held]:
            put_back(table, kept)
        for tensor, kind, device, dtype in self.tensors:
            if type(tensor) is not kind:
                tensor.data = torch.empty(0, device=device, dtype=dtype)
                tensor.__class__ = kind


class _Backups:
    """Parameters and gradients as they were, taken before the first time that this thread changes one.

    What is not changed here is not looked at either: another thread may be in the middle of using it.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._parameters = [tensor for tensor in tensors(model) if not is_lazy(tensor)]
        self._aliases = [tensor.detach() for tensor in self._parameters]  # now: inside a transform it would be its own
        self._guarded = {memory_of(each): each for each in self._aliases if not each.is_meta}
        self._saved: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._attributes: list[tuple[torch.Tensor, torch.Tensor, Any, bool]] | None = None

    def save(self, tensor: torch.Tensor) -> None:
        """Before a write into its memory."""
        key = memory_of(tensor)
        if key in self._guarded and key not in self._saved:
            flat = _flat(self._guarded[key])
            self._saved[key] = flat, flat.clone()

    def save_attributes(self) -> None:
        """Before gradients, flags or memory are asked for or set."""
        if self._attributes is None:
            pairs = zip(self._parameters, self._aliases, strict=True)
            self._attributes = [(each, alias, each.grad, each.requires_grad) for each, alias in pairs]
            gradients = (gradient for _, _, gradient, _ in self._attributes if gradient is not None)
            self._guarded |= {memory_of(each): each.detach() for each in gradients if not each.is_meta}

    def restore(self) -> None:
        for flat, value in self._saved.values():
            flat.copy_(value)
        for tensor, alias, gradient, trained in self._attributes or ():
            _restore(tensor, alias, gradient, trained)


class _Thread(threading.local):
    """The passes that a thread is in, innermost last."""

    def __init__(self) -> None:
        self.passes: list[_Backups] = []


_thread = _Thread()
_CHANGES = frozenset({"__set__", "__delete__", "backward", "requires_grad_", "set_", "resize_", "resize_as_"})
_GRADIENT: Any = inspect.getattr_static(torch.Tensor, "grad")


def notice(func: Any) -> None:
    """Called before a function of torch's is, of which some change what a parameter is."""
    if getattr(func, "__name__", "") in _CHANGES or func == _GRADIENT.__get__:
        with beneath_modes(), beneath_functions():
            for backups in _thread.passes:
                backups.save_attributes()


class noticed(TorchFunctionMode):  # noqa: N801 - a context manager
    """Around code of the user's that no recorder sees."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        notice(func)
        return func(*args, **(kwargs or {}))


def about_to_write(tensors: Iterable[torch.Tensor]) -> None:
    """Called before an operation writes in place: parameters are copied first, so that `preserved` can restore them."""
    if _thread.passes:
        with beneath_modes(), torch.no_grad():
            for tensor in tensors:
                for backups in _thread.passes:
                    backups.save(tensor)


def _here(tensor: Any) -> Any:
    """What this process holds of a tensor."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def put_back(table: Any, kept: Any) -> None:
    """Only what differs is touched: another thread may be reading."""
    if isinstance(table, np.ndarray):
        if table.tobytes() != kept.tobytes():
            table[...] = kept
    elif isinstance(table, (list, deque)):
        if [*map(id, table)] != [*map(id, kept)]:
            table.clear()
            table.extend(kept)
    elif isinstance(table, set):
        table.intersection_update(kept)
        table.update(kept)
    elif [*map(id, table)] != [*map(id, kept)] or [*map(id, table.values())] != [*map(id, kept.values())]:
        for key in [key for key in table if key not in kept]:
            del table[key]
        table.update(kept)


def _restore(tensor: torch.Tensor, alias: torch.Tensor, gradient: Any, trained: bool) -> None:
    if tensor.grad is not gradient:
        tensor.grad = gradient
    if tensor.requires_grad != trained:
        tensor.requires_grad_(trained)
    if tensor.layout == torch.strided and memory_of(tensor) != memory_of(alias):
        tensor.data = alias
