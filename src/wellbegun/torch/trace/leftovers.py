"""Nothing fake outlives a trace: what functions, classes and modules have kept of it for later calls is taken away.

Models keep what they compute once, in caches of `functools`, in dicts of modules and classes, in closures. After a
trace such a cache would give a tensor without values to every later call. Each fake tensor refers to its mode, so one
look at how often that is referred to tells whether any is left; only then are they searched for, first in the files and
classes of the model, then in the whole process, which takes a thousand times as long.
"""

import gc
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from types import CellType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

import torch

from wellbegun.torch.compat import FakeTensor, FakeTensorMode, every, forget_twins, made_fake_mode

_CACHE = type(lru_cache(len))
_WRAPPERS = (FunctionType, CellType, MethodType, staticmethod, classmethod, property)
_NO_PARTS = (type, ModuleType, FunctionType, MethodType, FrameType, torch.nn.Module, torch.Tensor)
_DEEP = 6  # containers inside each other
_Names = list[tuple[Any, dict[str, Any]]]  # classes and modules, and what was in them


@contextmanager
def none_left(model: torch.nn.Module) -> Iterator[FakeTensorMode]:
    """A mode, which the caller holds once; afterwards no fake tensor of it is reachable, even if the trace fails."""
    before, mode, plain = _names(model), made_fake_mode(), object()
    references = sys.getrefcount(plain) + 1  # the caller's
    try:
        yield mode
    except BaseException as error:  # of any kind: raised again, without the tensors it holds
        _forget(error)
        raise
    finally:
        forget_twins(mode)
        young = lambda _: gc.collect(0)  # noqa: E731 - what refers to itself: mostly of the trace
        for look in (young, partial(_near, before), lambda _: gc.collect(), _clear, _search):
            if sys.getrefcount(mode) > references:
                look(mode)


@contextmanager
def _all_objects() -> Iterator[None]:
    """What a training has frozen (gc.freeze) refers to things too, but is not told."""
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    try:
        yield
    finally:
        if frozen:
            gc.freeze()


def _forget(error: BaseException | None) -> None:
    """The frames of an error hold tensors of the trace as long as anybody holds the error."""
    seen = set[int]()  # causes may go in circles
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _names(model: torch.nn.Module) -> _Names:
    """What the classes of a model and the files that define them hold; torch itself keeps nothing."""
    kinds = {kind for module in every(model) for kind in type(module).__mro__}
    own = [kind for kind in kinds if kind.__module__.partition(".")[0] not in ("torch", "builtins")]
    files = [sys.modules[name] for name in {kind.__module__ for kind in own} if name in sys.modules]
    return [(place, dict(vars(place))) for place in (*own, *files)]


def _near(before: _Names, mode: FakeTensorMode) -> None:
    """What the trace has bound in classes and files of the model goes, and so do the results that their caches hold."""
    for place, held in before:
        for name, value in list(vars(place).items()):
            if value is held.get(name):
                for cache in _caches(value):
                    if _holds(cache, mode):
                        cache.cache_clear()
            elif _holds(value, mode):
                setattr(place, name, held[name]) if name in held else delattr(place, name)


def _caches(value: Any) -> list[Any]:
    """Those that a function goes through, as wrappers close over them."""
    found, waiting, seen = [], [value], set[int]()
    while waiting:
        part = waiting.pop()
        if type(part) is _CACHE:
            found.append(part)
        elif type(part) in _WRAPPERS and id(part) not in seen:
            seen.add(id(part))
            waiting += (part.__closure__ or ()) if type(part) is FunctionType else gc.get_referents(part)
    return found


def _holds(value: Any, mode: FakeTensorMode) -> bool:
    """Whether a fake tensor is in there, in whatever containers and objects."""
    level, seen = [value], set[int]()
    for _ in range(_DEEP + 1):
        if any(_is_left(part, mode) for part in level):
            return True
        level = [part for part in level if id(part) not in seen and not isinstance(part, _NO_PARTS)]
        seen.update(map(id, level))
        level = gc.get_referents(*level)
    return False


def _clear(mode: FakeTensorMode) -> None:
    """Caches of the whole process that hold any."""
    with _all_objects():
        for found in _above(_left(mode)).values():
            if type(found) is _CACHE:
                found.cache_clear()


def _search(mode: FakeTensorMode) -> None:
    """Whatever holds any is made to let go of it."""
    with _all_objects():
        _take_away(_left(mode), _DEEP)


def _left(mode: FakeTensorMode) -> list[Any]:
    return [found for found in gc.get_objects() if _is_left(found, mode)]


def _is_left(value: Any, mode: FakeTensorMode) -> bool:
    return type(value) is FakeTensor and value.fake_mode is mode


def _above(left: list[Any]) -> dict[int, Any]:
    """The fake tensors and all that holds them: containers, objects with attributes, caches. By identity.

    Looked for upwards, a level at a time: each costs one pass over the process, whatever there is to search.
    """
    above, level = {id(found): found for found in left}, left
    for _ in range(_DEEP if left else 0):  # else what refers to the mode is no tensor
        holders = [found for found in gc.get_referrers(*level) if found is not level and id(found) not in above]
        level = [found for found in holders if found is not above and not isinstance(found, _NO_PARTS)]
        del holders
        if not level:
            break
        above |= {id(found): found for found in level}
    return above


def _take_away(left: list[Any], depth: int) -> None:
    """Out of whatever was given them to keep."""
    gone, tuples = {id(found) for found in left}, []
    for holder in gc.get_referrers(*left) if left else ():
        if holder is left:
            continue
        if isinstance(holder, (dict, list, set)):
            _without(holder, gone)
        elif isinstance(holder, CellType):
            holder.cell_contents = None
        elif isinstance(holder, tuple):
            tuples.append(holder)
    if tuples and depth:
        _take_away(tuples, depth - 1)


def _without(holder: Any, gone: set[int]) -> None:
    if isinstance(holder, dict):
        for key in [key for key, value in holder.items() if id(value) in gone]:
            del holder[key]
    elif isinstance(holder, list):
        holder[:] = [item for item in holder if id(item) not in gone]
    else:
        holder.difference_update([item for item in holder if id(item) in gone])
