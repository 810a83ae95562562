"""Nothing fake outlives a trace: what functions, classes and modules have kept of it for later calls is taken away.

Models keep what they compute once, in caches of `functools`, in dicts of modules and classes, in closures. After a
trace such a cache would give a tensor without values to every later call. Each fake tensor refers to its mode, so one
look at how often that is referred to tells whether any is left; only then are they searched for.
"""

import functools
import gc
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import CellType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

import torch

from wellbegun.torch.compat import FakeTensor, FakeTensorMode, forget_twins

_CACHE = type(functools.lru_cache(len))
_PARTS = (dict, list, tuple, set, frozenset)
_NO_PARTS = (type, ModuleType, FunctionType, MethodType, FrameType, torch.nn.Module, torch.Tensor)
_DEEP = 6  # containers inside each other
_Names = list[tuple[Any, dict[str, Any]]]  # classes and modules, and what was in them


@contextmanager
def none_left(model: torch.nn.Module) -> Iterator[FakeTensorMode]:
    """A mode, which the caller holds once; afterwards no fake tensor of it is reachable, even if the trace fails."""
    before, mode, plain = _names(model), FakeTensorMode(allow_non_fake_inputs=True), object()
    references = sys.getrefcount(plain) + 1  # the caller's
    try:
        yield mode
    except BaseException as error:  # of any kind: raised again, without the tensors it holds
        _forget(error)
        raise
    finally:
        forget_twins(mode)
        for generation in (0, 2):  # what refers to itself: mostly of the trace, and young
            if sys.getrefcount(mode) > references:
                gc.collect(generation)
        if sys.getrefcount(mode) > references:
            _search(mode, before)


def _forget(error: BaseException | None) -> None:
    """The frames of an error hold tensors of the trace as long as anybody holds the error."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _names(model: torch.nn.Module) -> _Names:
    """What the classes of a model and the files that define them hold; torch itself keeps nothing."""
    kinds = {kind for module in model.modules() for kind in type(module).__mro__}
    own = [kind for kind in kinds if kind.__module__.partition(".")[0] not in ("torch", "builtins")]
    files = [sys.modules[name] for name in {kind.__module__ for kind in own} if name in sys.modules]
    return [(place, dict(vars(place))) for place in (*own, *files)]


def _search(mode: FakeTensorMode, before: _Names) -> None:
    for place, held in before:
        for name, value in list(vars(place).items()):
            if value is held.get(name) or not _holds(value, mode):
                continue
            if name in held:
                setattr(place, name, held[name])
            else:
                delattr(place, name)
    for found in gc.get_objects():
        if type(found) is _CACHE and any(_holds(part, mode) for part in gc.get_referents(found)):
            found.cache_clear()
    left = [found for found in gc.get_objects() if _is_left(found, mode)]
    while left:
        _take_away(left.pop(), _DEEP)


def _is_left(found: object, mode: FakeTensorMode) -> bool:
    return type(found) is FakeTensor and found.fake_mode is mode


def _holds(found: Any, mode: FakeTensorMode, depth: int = _DEEP) -> bool:
    """Whether a fake tensor is in a container, an object with attributes, or an entry of a cache."""
    if _is_left(found, mode):
        return True
    if depth == 0 or isinstance(found, _NO_PARTS):
        return False
    opened = isinstance(found, _PARTS) or hasattr(found, "__dict__") or type(found).__module__ == "functools"
    return opened and any(_holds(part, mode, depth - 1) for part in gc.get_referents(found))


def _take_away(found: object, depth: int) -> None:
    """Out of whatever was given it to keep."""
    for holder in gc.get_referrers(found):
        if isinstance(holder, (dict, list, set)):
            _without(holder, found)
        elif isinstance(holder, CellType):
            holder.cell_contents = None
        elif depth and isinstance(holder, tuple):
            _take_away(holder, depth - 1)


def _without(holder: Any, found: object) -> None:
    if isinstance(holder, dict):
        for key in [key for key, value in holder.items() if value is found]:
            del holder[key]
    elif isinstance(holder, list):
        holder[:] = [item for item in holder if item is not found]
    else:
        holder.discard(found)
