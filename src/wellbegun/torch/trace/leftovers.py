"""Nothing fake outlives a trace: what functions, classes and objects have kept of it for later calls becomes real.

Models keep what they compute once, in caches of `functools`, in dicts, in closures, wherever Python can. Each fake
tensor refers to its mode, so one look at how often that is referred to tells whether any is left. Those then become
what the model alone would have computed. What depends on weights or the batch had better be computed anew: classes and
files of the model, and containers in them, hold again what they did, and caches let go of it.
"""

import gc
import sys
import traceback
from collections import ChainMap, OrderedDict, UserDict, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from types import CellType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import torch

from wellbegun.torch.compat import FakeTensor, FakeTensorMode, become, every, forget_twins, made_fake_mode
from wellbegun.torch.sandbox import put_back
from wellbegun.torch.trace.tape import Tape, looks_of

_CACHE = type(lru_cache(len))
_WRAPPERS = (FunctionType, CellType, MethodType, staticmethod, classmethod, property)
_NO_PARTS = (type, ModuleType, FunctionType, MethodType, FrameType, torch.nn.Module, torch.Tensor)
_LIKE = (UserDict, ChainMap, WeakKeyDictionary, WeakValueDictionary)  # what they hold is in a container of theirs
_MUTABLE = (dict, OrderedDict, defaultdict, list, set, deque)
_DEEP = 6  # containers inside each other
_NESTED, _LARGE = 4, 10_000  # of those that are remembered: how deep, and how many entries at most
_Names = list[tuple[Any, dict[str, Any]]]  # classes and modules, and what was in them


@contextmanager
def none_left(model: torch.nn.Module) -> Iterator[tuple[FakeTensorMode, Tape]]:
    """A mode, which the caller holds once, and the tape that its pass is to be put on; afterwards no fake tensor of it
    is reachable, even if the trace fails."""
    before, mode, plain, tape = _names(model), made_fake_mode(), object(), Tape(model)
    contents = _contents(before)
    references = sys.getrefcount(plain) + 1  # the caller's
    looks = (
        lambda: gc.collect(0),  # what refers to itself: mostly of the trace
        lambda: tape.make_real(fixed=True),
        lambda: _near(before, contents, tape),
        gc.collect,
        lambda: _let_go(tape),
        lambda: tape.make_real(fixed=False),
    )
    try:
        yield mode, tape
    except BaseException as error:  # of any kind: raised again, without the tensors it holds
        _forget(error)
        raise
    finally:
        forget_twins(mode)
        tape.undo()
        try:
            for look in looks:
                if sys.getrefcount(mode) <= references and not tape.kept():  # of deep copies, with modes of their own
                    break
                look()
        finally:
            if sys.getrefcount(mode) > references:
                _without_values(mode, tape)


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
    """What the classes of a model hold, the files that define them, and those that these import; torch itself keeps
    nothing."""
    kinds = {kind for module in every(model) for kind in type(module).__mro__}
    own = [kind for kind in kinds if _of_users(kind.__module__)]
    files = [sys.modules[name] for name in {kind.__module__ for kind in own} if name in sys.modules]
    imported = [value for file in files for value in list(vars(file).values()) if type(value) is ModuleType]
    files += [file for file in imported if _of_users(file.__name__) and hasattr(file, "__file__")]
    return [(place, dict(vars(place))) for place in {id(place): place for place in (*own, *files)}.values()]


@cache
def _of_users(name: str) -> bool:
    package = name.partition(".")[0]
    return package not in ("torch", "numpy", "wellbegun") and package not in sys.stdlib_module_names


def _contents(names: _Names) -> list[tuple[Any, Any]]:
    """Containers that are bound there, and those in them, with what they hold; large ones are left out."""
    found, seen = list[tuple[Any, Any]](), set[int]()
    files = {place.__name__ for place, _ in names if isinstance(place, ModuleType)}
    level: list[Any] = [value for _, held in names for name, value in held.items() if not name.startswith("__")]
    for _ in range(_NESTED):
        inside: list[Any] = []
        for value in level:
            if type(value) is FunctionType:
                inside += value.__defaults__ or ()
                continue
            own = type(value) in _LIKE or type(value).__module__ in files
            plain = own and not isinstance(value, (type, torch.nn.Module, torch.Tensor))
            table: Any = getattr(value, "__dict__", None) if plain else value
            if type(table) in _MUTABLE and id(table) not in seen and len(table) <= _LARGE:
                seen.add(id(table))
                found.append((table, table.copy()))
                inside += table.values() if isinstance(table, dict) else table
        level = inside if len(inside) <= _LARGE else []
    return found


def _near(before: _Names, contents: list[tuple[Any, Any]], tape: Tape) -> None:
    """What the trace has bound in classes and files of the model, and put into containers there, is again what it was;
    the results that their caches hold go."""
    kept = set(map(id, tape.kept().values()))
    for table, held in contents if kept else ():
        if _holds(table, kept):
            put_back(table, held)
    for place, held in before if kept else ():
        for name, value in list(vars(place).items()):
            if value is held.get(name):
                for found in _caches(value):
                    if _holds(found, kept):
                        found.cache_clear()
            elif _holds(value, kept):
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


def _holds(value: Any, kept: set[int]) -> bool:
    """Whether one of these tensors is in there, in whatever containers and objects."""
    level, seen = [value], set[int]()
    for _ in range(_DEEP + 1):
        if not kept.isdisjoint(map(id, level)):
            return True
        level = [part for part in level if id(part) not in seen and not isinstance(part, _NO_PARTS)]
        seen.update(map(id, level))
        level = gc.get_referents(*level)
    return False


def _let_go(tape: Tape) -> None:
    """Caches of the whole process that hold any forget it, to find it missing the next time.

    Looked for upwards, a level at a time: each costs one pass over the process, whatever there is to search.
    """
    with _all_objects():
        level: list[Any] = [*tape.kept().values()]
        seen = set(map(id, level))
        for _ in range(_DEEP if level else 0):
            level = [found for found in gc.get_referrers(*level) if found is not level and id(found) not in seen]
            level = [found for found in level if not isinstance(found, _NO_PARTS)]
            seen.update(map(id, level))
            for found in level:
                if type(found) is _CACHE:
                    found.cache_clear()


def _without_values(mode: FakeTensorMode, tape: Tape) -> None:
    """What could not be computed becomes a tensor of the meta device, which says so to whoever uses it."""
    with _all_objects():
        for found in gc.get_objects():
            if type(found) is FakeTensor and found.fake_mode is mode:
                tape.lost.append(looks_of(found))
                become(found, torch.empty(found.shape, dtype=found.dtype, device="meta"))
