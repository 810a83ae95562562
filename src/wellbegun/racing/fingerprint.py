"""What functions are made of, as a short text: results of one that was changed are never taken for its own."""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from wellbegun.planning import Rule
from wellbegun.planning.recipes import Recipe
from wellbegun.schemes import Scheme

_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_DEEP = 12  # objects within objects that are looked into


def digest(data: Any) -> str:
    """A short fingerprint of plain data."""
    return hashlib.blake2b(json.dumps(data, sort_keys=True, default=repr).encode(), digest_size=6).hexdigest()


def function_text(function: Callable[..., Any]) -> str:
    """A function's name and a digest of all that it is made of: its code, defaults, what it encloses, the numbers and
    functions of its own module that it names, and what an object holds. No addresses, and nothing of the process.

    >>> def scaled(by):
    ...     return lambda model: by
    >>> function_text(scaled(2)) == function_text(scaled(2)) != function_text(scaled(3))
    True
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{name} {digest(_parts(function, ()))}"


def told(value: Any) -> Any:
    """Options with functions as texts: what is told of one changes with what it is made of."""
    if isinstance(value, Mapping):
        return {key: told(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(told, value))
    if isinstance(value, Recipe):
        return value.full_name
    if isinstance(value, (Scheme, Rule)):
        own = [function_text(function) for function in _own(value)]
        return f"{value!r} {' '.join(own)}" if own else value
    return function_text(value) if callable(value) or " at 0x" in repr(value) else value


def _own(value: Any) -> Iterator[Any]:
    """Functions of the user's own in a scheme, in those it is made of, or in a rule."""
    if isinstance(value, (Scheme, Rule)):
        for item in vars(value).values():
            yield from _own(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from _own(item)
    elif callable(value) and not isinstance(value, type):
        yield value


def _parts(value: Any, within: tuple[int, ...]) -> Any:
    """What something is made of, as plain data; `within`: what it is found in."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if id(value) in within or len(within) > _DEEP or inspect.ismodule(value):
        return _name(value)
    within = (*within, id(value))
    if isinstance(value, Mapping):
        return [[repr(key), _parts(item, within)] for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [_parts(item, within) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, partial):
        return [_parts(part, within) for part in (value.func, value.args, value.keywords)]
    if inspect.ismethod(value):
        return [_parts(value.__func__, within), _parts(value.__self__, within)]
    if inspect.isfunction(value):
        return _function(value, within)
    if isinstance(value, type):
        return [_name(value), [_code(item.__code__) for item in vars(value).values() if inspect.isfunction(item)]]
    return _object(value, within)


def _function(function: Any, within: tuple[int, ...]) -> Any:
    code = function.__code__
    named = [function.__globals__.get(name) for name in _names(code)]
    decides = [item for item in named if isinstance(item, _PLAIN) or _beside(function, item)]
    parts = (function.__defaults__, function.__kwdefaults__, _enclosed(function), decides)
    return [_name(function), _code(code), *(_parts(part, within) for part in parts)]


def _enclosed(function: Any) -> list[Any]:
    """What a function encloses; a name that has no value yet is None."""
    found = list[Any]()
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            found.append(None)
    return found


def _beside(function: Any, item: Any) -> bool:
    """Whether something is a function or class of the same module."""
    defined = inspect.isfunction(item) or isinstance(item, type)
    return defined and item.__module__ == function.__module__


def _object(value: Any, within: tuple[int, ...]) -> Any:
    """An array by its numbers, anything else by its class and what it holds."""
    if hasattr(value, "__array__"):
        try:
            array = np.asarray(value)
            return [str(array.dtype), array.shape, hashlib.blake2b(array.tobytes(), digest_size=8).hexdigest()]
        except Exception:  # an array elsewhere, or of numbers that NumPy does not know
            return _name(value)
    kind = _parts(type(value), within)
    if hasattr(value, "__dict__"):
        return [kind, _parts(vars(value), within)]
    text = repr(value)
    return [kind, _name(value) if " at 0x" in text else text]


def _name(value: Any) -> str:
    name = getattr(value, "__qualname__", getattr(value, "__name__", type(value).__qualname__))
    return f"{getattr(value, '__module__', '')}.{name}"


def _code(code: Any) -> list[Any]:
    """The code of a function and of those inside it."""
    inner = [_code(constant) if inspect.iscode(constant) else repr(constant) for constant in code.co_consts]
    return [code.co_code.hex(), inner, list(code.co_names)]


def _names(code: Any) -> list[str]:
    """The globals that a function and those inside it may name."""
    inner = (name for constant in code.co_consts if inspect.iscode(constant) for name in _names(constant))
    return [*code.co_names, *inner]
