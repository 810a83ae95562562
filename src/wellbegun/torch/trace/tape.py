"""What a pass with fake tensors has computed, step by step: those that somebody keeps become the real ones.

A tape holds no fake tensor, only their numbers, so it keeps none alive. For what is still held after the pass, the
steps that lead to it are taken again with real numbers, and the object that is held becomes what comes out.
"""

import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch

from wellbegun._arguments import told
from wellbegun.errors import TraceError
from wellbegun.torch.compat import (
    FakeTensor,
    become,
    beneath_functions,
    beneath_modes,
    fake_mode,
    memory_of,
    schema_of,
    tensors,
)
from wellbegun.torch.sandbox import Kept, draws_again, same_draws
from wellbegun.torch.trace import aten

_HELD = frozenset(
    {torch.Tensor, torch.nn.Parameter, int, float, bool, type(None), torch.dtype, torch.device, str, torch.layout}
)


class _Place(int):
    """A tensor of the pass, by its number."""


class _Like(tuple[Any, ...]):
    """A tensor of which nothing but the looks is read: shape, strides, dtype and device."""

    __slots__ = ()


_Call = tuple[Any, tuple[Any, ...], dict[str, Any], Any]
_Memory = Callable[[Any], int]  # of a place or of a real tensor: a number that those which share memory have in common


class Tape:
    """The operations of a pass, in order."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model, self._calls, self._number = model, list[_Call](), itertools.count()
        self._places: dict[int, tuple[Any, _Place]] = {}  # id of a tensor -> a weak reference, and its number
        self._sources = tensors(model)  # what other values depend on: parameters and the batch
        self._own = frozenset(map(id, tensors(model, "parameters", "buffers")))
        self._written = dict[int, Kept]()  # real tensors of others
        self.stale = list[str]()  # what was made real as of the present weights and this batch
        self.lost = list[str]()  # what could not be made real

    # ------------------------------------------------------------------ during the pass
    def batch(self, tensor: torch.Tensor) -> Any:
        """The fake tensor that stands for one of the batch."""
        try:
            twin = fake_mode().from_tensor(tensor)
        except Exception as error:  # of any kind: torch has none for nested tensors of unequal lengths
            raise TraceError(f"trace: no fake tensor stands for a {type(tensor).__name__}: {told(error)}") from error
        self._sources.append(tensor)
        self.add(torch.ops.aten.detach.default, (tensor,), {}, twin)
        return twin

    def add(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """A step that has been taken."""
        like = _looks(func)
        named = {name: self._numbered(value, like) for name, value in kwargs.items()} if kwargs else kwargs
        if "device" in named and "dtype" not in named and type(result) is FakeTensor and _typed(func):
            named["dtype"] = result.dtype  # the default may be another one later
        self._calls.append((func, self._numbered(args, like), named, self._numbered(result, False)))

    def about_to_write(self, written: list[torch.Tensor]) -> None:
        """Called before an operation writes in place: what has no fake tensor beside it, torch writes into for real."""
        for tensor in written:
            known = id(tensor) in self._own or id(tensor) in self._written
            if type(tensor) is torch.Tensor and not (known or tensor.is_meta):
                with beneath_modes(), torch.no_grad():
                    self._written[id(tensor)] = Kept(tensor)

    def _numbered(self, node: Any, like: bool) -> Any:
        kind = type(node)
        if kind is tuple or kind is list:
            return kind([item if type(item) in _HELD else self._numbered(item, like) for item in node])
        if kind is not FakeTensor:
            if kind in _HELD or not isinstance(node, torch.Tensor) or id(node) in self._own:
                return node
        elif like and node.layout is torch.strided:
            return _Like((node.shape, node.stride(), node.dtype, node.fake_device))
        found = self._places.get(id(node))
        if found is None or found[0]() is not node:
            found = self._places[id(node)] = weakref.ref(node), _Place(next(self._number))
        return found[1]

    # ------------------------------------------------------------------ after it
    def undo(self) -> None:
        """What was written into for real holds what it did."""
        with torch.no_grad():
            for each in reversed(self._written.values()):
                each.restore()

    def kept(self) -> dict[_Place, Any]:
        """The fake tensors that are still held."""
        return {place: found for ref, place in [*self._places.values()] if type(found := ref()) is FakeTensor}

    def make_real(self, *, fixed: bool) -> None:
        """They become what the model alone would have computed; what cannot be computed stays as it is. `fixed`: only
        those that depend on neither parameters nor the batch, nor lie on the meta device, which a model may leave."""
        alive = self.kept()
        alive = {place: alive[place] for place in self._fixed(alive)} if fixed else alive
        values = self._values(alive)
        for place, fake in alive.items():
            value = values.get(place)
            look = fake.shape, fake.dtype, fake.fake_device
            if value is not None and (value.shape, value.dtype, value.device) == look:
                self.stale += [] if fixed else [looks_of(fake)]
                become(fake, value.detach())  # the value itself may be anybody's

    def notes(self) -> tuple[str, ...]:
        """What a plan has to say of it."""
        where = "The model keeps outside of its own attributes what it has computed"
        notes = (
            (self.stale, f"{where} of its weights or the batch, and keeps that of the weights before a fill:"),
            (self.lost, f"{where} of what is not known outside of a trace, and holds no values there any more:"),
        )
        remedy = "Let go of it after the fill."
        return tuple(f"{note} {', '.join(dict.fromkeys(looks))}. {remedy}" for looks, note in notes if looks)

    def _fixed(self, places: Mapping[_Place, Any]) -> list[_Place]:
        memory = self._memory()
        depends = {memory(source) for source in self._sources}
        for func, args, kwargs, result in self._needed(places, memory):
            if any(memory(tensor) in depends for tensor in _inside((args, kwargs))):
                depends.update(map(memory, _made(func, args, kwargs, result)))
        meta = {place for place, fake in places.items() if fake.fake_device.type == "meta"}
        return [place for place in places if place not in meta and memory(place) not in depends]

    def _memory(self) -> _Memory:
        """What shares memory, by what operations say of themselves."""
        above = dict[int, int]()

        def find(tensor: Any) -> int:
            key = int(tensor) if type(tensor) is _Place else -1 - memory_of(tensor)
            while key in above:
                key = above[key]
            return key

        for func, args, kwargs, result in self._calls:
            if _shares(func):
                both = [find(tensor) for tensor in (*_aliased(func, args, kwargs), *_inside(result))]
                above.update({key: both[0] for key in both if key != both[0]})
        return find

    def _needed(self, places: Iterable[_Place], memory: _Memory) -> list[_Call]:
        """The steps that lead to some tensors: all that make or write memory of theirs, and what these read."""
        needed, found = {memory(place) for place in places}, list[_Call]()
        for func, args, kwargs, result in reversed(self._calls):
            if not needed.isdisjoint(map(memory, _made(func, args, kwargs, result))):
                needed.update(map(memory, _inside((args, kwargs))))
                found.append((func, args, kwargs, result))
        return found[::-1]

    def _values(self, places: Iterable[_Place]) -> dict[_Place, torch.Tensor]:
        memory, values, lost = self._memory(), dict[_Place, torch.Tensor](), set[int]()
        calls = self._needed(places, memory)
        last = {place: at for at, call in enumerate(calls) for place in _inside(call[1:]) if type(place) is _Place}
        last |= dict.fromkeys(places, len(calls))
        with _alone(self._model, calls) as about_to_write:
            for at, (func, args, kwargs, result) in enumerate(calls):
                try:
                    if any(memory(tensor) in lost for tensor in _inside((args, kwargs))):
                        raise KeyError  # it could not be computed
                    real, named = _filled(args, values), {name: _filled(each, values) for name, each in kwargs.items()}
                    about_to_write(aten.written(func, real, named))
                    _take(result, func(*real, **named), values)
                except Exception:  # of any kind: whatever needs this stays as it is
                    lost.update(map(memory, _made(func, args, kwargs, result)))
                for place in [place for place in _inside((args, kwargs, result)) if last.get(place) == at]:
                    values.pop(place, None)
        return {place: value for place, value in values.items() if memory(place) not in lost}


@contextmanager
def _alone(model: torch.nn.Module, calls: list[_Call]) -> Iterator[Callable[[list[torch.Tensor]], None]]:
    """No mode sees the steps, generators and all memory of others come back. Gives what is to be told of each write."""
    others = [item for _, args, kwargs, _ in calls for item in _inside((args, kwargs)) if type(item) is not _Place]
    memory, kept = {memory_of(tensor) for tensor in others}, list[Kept]()
    generators = {id(each): each for _, _, kwargs, _ in calls for each in kwargs.values()}.values()
    draws = [put_back for each in generators if (put_back := draws_again(each)) is not None]
    with ExitStack() as stack:
        for context in (beneath_modes(), beneath_functions(), same_draws(model), torch.no_grad()):
            stack.enter_context(context)
        for device in ("cpu", "cuda", "mps", "xpu"):
            if torch.is_autocast_enabled(device):  # its casts are steps of the tape
                stack.enter_context(torch.autocast(device, enabled=False))
        try:
            yield lambda written: kept.extend(Kept(tensor) for tensor in written if memory_of(tensor) in memory)
        finally:
            for each in reversed(kept):
                each.restore()
            for put_back in draws:
                put_back()


# ---------------------------------------------------------------------- steps
@cache
def _looks(func: Any) -> bool:
    """Whether an operation takes nothing but the looks of its first operand."""
    name = str(func.overloadpacket.__name__)
    return name.endswith("_like") or name.startswith("new_")


@cache
def _typed(func: Any) -> bool:
    return any(name == "dtype" for _, name in _names(func))


@cache
def _shares(func: Any) -> bool:
    """Whether results or what is written share memory with operands."""
    return any(argument.alias_info for argument in schema_of(func).arguments) or aten.name_of(func) == "_unsafe_view"


def _aliased(func: Any, args: Any, kwargs: Any) -> list[Any]:
    """The operands whose memory an operation hands on or writes."""
    if aten.name_of(func) == "_unsafe_view":
        return [args[0]]
    named = {name: given for (_, name), given in zip(_names(func), args, strict=False)} | kwargs
    return [item for shared, name in _names(func) if shared and name in named for item in _inside(named[name])]


@cache
def _names(func: Any) -> tuple[tuple[bool, str], ...]:
    return tuple((argument.alias_info is not None, argument.name) for argument in schema_of(func).arguments)


def _made(func: Any, args: Any, kwargs: Any, result: Any) -> list[Any]:
    """The tensors that a step makes or writes."""
    return [*_inside(result), *(_aliased(func, args, kwargs) if aten.writes_to(func) else ())]


def _inside(node: Any) -> list[Any]:
    """Places and real tensors among arguments."""
    if isinstance(node, (list, tuple, dict)) and type(node) is not _Like:
        return [found for item in (node.values() if isinstance(node, dict) else node) for found in _inside(item)]
    return [node] if type(node) is _Place or isinstance(node, torch.Tensor) else []


def _filled(node: Any, values: dict[_Place, torch.Tensor]) -> Any:
    if type(node) is _Place:
        return values[node]
    if type(node) is _Like:
        shape, strides, dtype, device = node
        return torch.empty_strided(shape, strides, dtype=dtype, device=device)
    return type(node)([_filled(item, values) for item in node]) if type(node) in (list, tuple) else node


def _take(result: Any, value: Any, values: dict[_Place, torch.Tensor]) -> None:
    if type(result) is _Place:
        values[result] = value
    elif type(result) in (list, tuple):
        for inside, each in zip(result, value, strict=True):
            _take(inside, each, values)


def looks_of(tensor: torch.Tensor) -> str:
    """Shape and type of a tensor, for a message."""
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
