"""What functions are made of, as a short text: results of one that was changed are never taken for its own."""

import dis
import hashlib
import inspect
import json
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from wellbegun.planning import Rule
from wellbegun.planning.recipes import Recipe
from wellbegun.schemes import Scheme

_PLAIN = (type(None), bool, int, float, complex, str, bytes)
Seen = dict[int, Any]  # by their ids; held, so that no other object gets one of these
_PLACES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))
_AUTOMATIC = frozenset({"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__"})


def digest(data: Any) -> str:
    """A short fingerprint of plain data."""
    return hashlib.blake2b(json.dumps(data, sort_keys=True, default=repr).encode(), digest_size=6).hexdigest()


def function_text(function: Callable[..., Any]) -> str:
    """A function's name and a digest of all that it is made of: its code, defaults, what it encloses, the globals that
    it names, and what objects and their classes hold. Of what is installed only names count. No addresses, and nothing
    of the process. What it looks up by itself (an attribute of a module, a file) is not seen.

    >>> def scaled(by):
    ...     return lambda model: by
    >>> function_text(scaled(2)) == function_text(scaled(2)) != function_text(scaled(3))
    True
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{name} {digest(_parts(function, {}))}"


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


def _parts(value: Any, seen: Seen) -> Any:
    """What something is made of, as plain data; `seen`: objects that were told of, which are only named again."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if id(value) in seen or inspect.ismodule(value):
        return _name(value)
    seen[id(value)] = value
    if isinstance(value, Mapping):
        return [[repr(key), _parts(item, seen)] for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [_parts(item, seen) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, partial):
        return [_parts(part, seen) for part in (value.func, value.args, value.keywords)]
    if inspect.ismethod(value):
        return [_parts(value.__func__, seen), _parts(value.__self__, seen)]
    if inspect.isfunction(value):
        return _function(value, seen)
    if isinstance(value, (staticmethod, classmethod)):
        return _parts(value.__func__, seen)
    if isinstance(value, property):
        return [_parts(part, seen) for part in (value.fget, value.fset)]
    if isinstance(value, type):
        return _class(value, seen)
    return _object(value, seen)


def _class(kind: type, seen: Seen) -> Any:
    """What a class and those it inherits from define, of the user's own."""
    own = [one for one in kind.__mro__ if not _installed(one)]
    defined = [[[name, item] for name, item in vars(one).items() if name not in _AUTOMATIC] for one in own]
    return [_name(kind), [[[name, _parts(item, seen)] for name, item in items] for items in defined]]


def _installed(thing: Any) -> bool:
    """Whether a class or function is Python's or of an installed package, whose versions are not looked at."""
    name = str(getattr(thing, "__module__", None) or "")
    path = getattr(sys.modules.get(name), "__file__", None)
    ours = name.partition(".")[0] == __name__.partition(".")[0]
    return ours or (name != "__main__" if path is None else str(path).startswith(_PLACES))


def _function(function: Any, seen: Seen) -> Any:
    code = function.__code__
    if _installed(function):
        return [_name(function), *(_parts(part, seen) for part in (function.__defaults__, _enclosed(function)))]
    decides = [function.__globals__.get(name) for name in _names(code)]
    parts = (function.__defaults__, function.__kwdefaults__, _enclosed(function), decides)
    return [_name(function), _code(code), *(_parts(part, seen) for part in parts)]


def _enclosed(function: Any) -> list[Any]:
    """What a function encloses; a name that has no value yet is None."""
    found = list[Any]()
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            found.append(None)
    return found


def _object(value: Any, seen: Seen) -> Any:
    """An array by its numbers, anything else by its class and what it holds."""
    if hasattr(value, "__array__"):
        try:
            array = np.asarray(value)
            return [str(array.dtype), array.shape, hashlib.blake2b(array.tobytes(), digest_size=8).hexdigest()]
        except Exception:  # one that is trained, or elsewhere, or of numbers that NumPy lacks
            return [str(value.dtype), digest(value.tolist())] if hasattr(value, "tolist") else _name(value)
    kind = _parts(type(value), seen)
    slots = {name: getattr(value, name, None) for one in type(value).__mro__ for name in getattr(one, "__slots__", ())}
    held = {**getattr(value, "__dict__", {}), **slots}
    if held:
        return [kind, _parts(held, seen)]
    text = repr(value)
    return [kind, _name(value) if " at 0x" in text else text]


def _name(value: Any) -> str:
    name = getattr(value, "__qualname__", getattr(value, "__name__", type(value).__qualname__))
    return f"{getattr(value, '__module__', '')}.{name}"


def _code(code: Any) -> list[Any]:
    """The code of a function and of those inside it."""
    inner = [_code(one) if inspect.iscode(one) else _parts(one, {}) for one in code.co_consts]
    return [code.co_code.hex(), inner, list(code.co_names)]


def _names(code: Any) -> list[str]:
    """The globals that a function and those inside it read."""
    own = (step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    inner = (name for constant in code.co_consts if inspect.iscode(constant) for name in _names(constant))
    return list(dict.fromkeys((*own, *inner)))
