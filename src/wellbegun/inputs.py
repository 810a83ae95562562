"""What a batch means: arrays, containers of them, and inputs that are made up from a shape, the same everywhere."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence, Sized
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, is_dataclass
from inspect import Parameter, signature
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from wellbegun._arguments import message
from wellbegun._typing import Array
from wellbegun.engine import fill
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.laws import Normal, Uniform

REAL = ("float16", "bfloat16", "float32", "float64")
MOST = 1 << 36  # numbers of one made-up input
OTHERS = ("bool", "uint8", "int8", "int16", "int32", "int64")
REMEDY = "Check that the batch is what the model takes (shape, dtype, order of arguments)"  # where a pass failed
_SPEC = re.compile(r"\s*(\d+(?:\s*,\s*\d+)*)\s*(?::\s*(\w+)\s*(?:<\s*(\d+))?)?\s*")


@dataclass(frozen=True)
class InputSpec:
    """A made-up input: standard normal numbers, or integers below `high`, from a fixed stream.

    Text form: "32,1,8,8", "4,16:float16", "8,32:int64<1000" (integers need the bound).

    >>> InputSpec.parse("8,32:int64<1000")
    InputSpec(shape=(8, 32), dtype='int64', high=1000)
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    high: int | None = None

    def __str__(self) -> str:
        values = "standard normal" if self.high is None else f"whole numbers below {self.high:,}"
        return f"{self.dtype} {self.shape}, {values}"

    @staticmethod
    def parse(text: str) -> "InputSpec":
        """From text; ArgumentError if it is none."""
        parts = _SPEC.fullmatch(text)
        allowed = "a shape such as 32,1,8,8 or 4,16:float16 or 8,32:int64<1000, or a .npz, .csv or .pt file"
        if not parts:
            raise ArgumentError(message("input", "spec", allowed, text))
        dtype, high = parts.group(2) or "float32", parts.group(3)
        if dtype not in REAL + OTHERS:
            raise ArgumentError(message("input", "dtype", f"one of {', '.join(REAL + OTHERS)}", dtype))
        if (dtype not in REAL) != (high is not None):
            remedy = f"Write {parts.group(1)}:{dtype}<N, with N the number of different values."
            raise ArgumentError(message("input", "spec", "a bound for integers, and only for them", text, remedy))
        shape = tuple(map(_size, parts.group(1).split(",")))
        bound = None if high is None else _size(high)
        if math.prod(shape) > MOST or (bound or 0) > MOST:
            raise ArgumentError(
                message("input", "spec", f"of at most {MOST:,} numbers, and integers up to there", text)
            )
        return InputSpec(shape, dtype, bound)

    def draw(self, name: str) -> Array:
        """The same numbers every time, from the stream (0, name), as float32: to be converted to `dtype`."""
        law = Normal(0, 1) if self.high is None else Uniform(0, self.high)
        drawn = fill(law, self.shape, seed=0, name=name)
        return drawn if self.high is None else np.minimum(np.floor(drawn), self.high - 1)


def _size(text: str) -> int:
    """A number; one of more digits than any size has counts as too large."""
    return int(text.strip()) if len(text.strip()) < 30 else MOST + 1


def holds_data(batch: object) -> bool:
    """Whether a batch holds values of the user's, not only shapes of inputs to be made up."""
    if isinstance(batch, Mapping):
        return any(holds_data(value) for value in batch.values())
    if isinstance(batch, (tuple, list)):
        return any(holds_data(item) for item in batch)
    if hasattr(batch, "shape"):
        return not isinstance(batch, (InputSpec, np.generic))
    return any(hasattr(value, "shape") or holds_data(value) for value in _attributes(batch).values())


# ---------------------------------------------------------------------- containers
T = TypeVar("T")


def arrays_in(
    node: object, kind: type[T], parts: Callable[[Any], Iterable[object]] = lambda _: (), depth: int = 8
) -> list[T]:
    """Every array of this kind in nested tuples, lists, dicts and dataclasses, in order; `parts`: of anything else."""
    if isinstance(node, kind):
        return [node]
    if isinstance(node, (tuple, list)):
        inside: Iterable[object] = node
    elif isinstance(node, Mapping):
        inside = node.values()
    else:
        inside = _attributes(node).values() if is_dataclass(node) else parts(node)
    return [array for item in inside for array in arrays_in(item, kind, parts, depth - 1)] if depth else []


def parts_of(node: object) -> Iterable[object]:
    """What an object of any class holds, as far as its attributes tell."""
    return _attributes(node).values()


def _attributes(node: Any) -> dict[str, Any]:
    if isinstance(node, (type, FunctionType, MethodType, ModuleType, InputSpec, np.generic)) or callable(node):
        return {}
    slots = (name for name in getattr(type(node), "__dataclass_fields__", ()) if hasattr(node, name))
    return dict(vars(node)) if hasattr(node, "__dict__") else {name: getattr(node, name) for name in slots}


def mapped(node: Any, kind: type[T], function: Callable[[T], object], depth: int = 8) -> Any:
    """The same containers and objects with a function of every array of this kind; nothing is written into them."""
    if isinstance(node, kind):
        return function(node)
    if depth == 0:
        return node
    if isinstance(node, (tuple, list)):
        return _like(node, [mapped(item, kind, function, depth - 1) for item in node])
    if isinstance(node, Mapping):
        found = {key: mapped(item, kind, function, depth - 1) for key, item in node.items()}
        if type(node) is dict or not isinstance(node, MutableMapping):
            return found
        other = copy(node)
        other.update(found)
        return other
    if not arrays_in(node, kind, parts_of, depth):
        return node
    other = copy(node)
    for name, value in _attributes(other).items():
        object.__setattr__(other, name, mapped(value, kind, function, depth - 1))
    return other


def _like(node: Any, items: list[Any]) -> Any:
    """A tuple, list or named tuple of the same type with other items."""
    return type(node)(*items) if hasattr(node, "_fields") else type(node)(items)


# ---------------------------------------------------------------------- arguments
@dataclass(frozen=True)
class Call:
    """Positional and keyword arguments of one forward pass."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    notes: tuple[str, ...] = ()  # how the batch was understood, where that is not plain
    made: tuple[str, ...] = ()  # what was made up, in words
    beside: Mapping[str, Any] = field(default_factory=dict)  # arrays that the model does not take, such as labels

    def arrays(self, kind: type[T]) -> list[T]:
        """Every array in it, in order."""
        return arrays_in((self.args, self.kwargs), kind, parts_of)

    def targets(self, kind: type[T], called: Callable[..., object] | None) -> dict[str, T]:
        """The arrays that a function is given as what is called as targets are."""
        placed: Mapping[str, object] = {}
        if called is not None and self.args:
            with suppress(TypeError, ValueError):  # no Python function, or one that does not take them
                placed = signature(called).bind_partial(*self.args).arguments
        named = {**placed, **self.kwargs}
        return {name: value for name in TARGETS if isinstance(value := named.get(name), kind)}

    def failure(self, kind: type[Any], why: str, where: str = "") -> str:
        """What to say of a pass that failed with these arguments."""
        shapes = ", ".join(str(tuple(array.shape)) for array in self.arrays(kind))
        given = f"on inputs of shape {shapes}" if shapes else "without an array among its inputs"
        rest = " ".join((why, *self.notes, REMEDY if shapes else "Give arrays: numbers in lists are none"))
        return f"trace: the forward pass failed{where} {given}: {rest}; the model was not changed."

    def map(self, kind: type[T], function: Callable[[T], object]) -> "Call":
        """The same call with a function of every array."""
        args, kwargs, beside = mapped((self.args, self.kwargs, dict(self.beside)), kind, function)
        return Call(args, kwargs, self.notes, self.made, beside)


_LOADERS = frozenset({"dataset", "element_spec", "num_batches"})  # what those of torch, TensorFlow and Keras have
Convert = Callable[[Any, str | None], Any]  # an array and the dtype it is to have; None: its own


def arguments_of(batch: object, arrays: type, convert: Convert, called: Callable[..., object] | None = None) -> Call:
    """Arguments of a model's call: a dict is keyword arguments, a tuple or list positional ones, anything else one.

    What the signature of the model does not take is left out, and said: targets that a loader gives beside the inputs.

    Args:
        batch: Arrays, shapes of arrays to be made up, or containers and objects that hold them.
        arrays: The framework's own class of arrays; those of NumPy are arrays everywhere.
        convert: Makes an array of the framework.
        called: The model's own function, whose signature tells what it takes; None: it takes everything.
    Raises:
        ArgumentTypeError: something that is no batch.
    """
    sized = not isinstance(batch, (arrays, np.ndarray)) and isinstance(batch, Iterable | Sized)
    if isinstance(batch, Iterator) or (sized and not _LOADERS.isdisjoint(dir(batch))):
        remedy = "Give one of its batches: next(iter(loader))."
        raise ArgumentTypeError(message("batch", "value", "one batch", type(batch).__name__, remedy))
    taken = None if called is None else _taken(called)
    named, listed, notes = _understood(batch, taken)
    made = list[str]()

    def converted(value: Any, name: str) -> Any:
        if isinstance(value, str):
            if holds_data(batch):
                return value  # a name or a text among the data; what is made up beside them is an `InputSpec`
            value = InputSpec.parse(value)
        if isinstance(value, InputSpec):
            label = "batch" if name == "input0" and len(listed) == 1 else name
            made.append(f"{label}: {value}, made up")
            return convert(value.draw(name), value.dtype)
        return convert(value, None)

    kwargs = {str(key): _argument(value, str(key), arrays, converted) for key, value in named.items()}
    args = tuple(_argument(item, f"input{i}", arrays, converted) for i, item in enumerate(listed))
    rest: dict[str, object] = {}  # what is left out, which is said
    if notes and isinstance(batch, (tuple, list)):
        spent = 1 if listed and listed is batch[0] else max(len(listed), 1)
        rest = {str(place): value for place, value in enumerate(batch) if place >= spent}
    elif notes and isinstance(batch, Mapping):
        rest = {str(key): value for key, value in batch.items() if key not in named}
    kinds: Any = (arrays, np.ndarray)
    found = {n: mapped(v, kinds, lambda array: convert(array, None)) for n, v in rest.items() if _holds(v, arrays)}
    if isinstance(batch, (tuple, list)) and not notes and len(args) == len(batch):
        notes = _optional(args, arrays, taken)
    return Call(args, kwargs, notes, tuple(made), found)


def _holds(value: object, arrays: type) -> bool:
    """Whether there are arrays of the framework in it, or numbers of NumPy's."""
    plain = arrays_in(value, np.ndarray)
    return bool(arrays_in(value, arrays) or plain) and all(array.dtype.kind in "biuf" for array in plain)


def _optional(args: Sequence[object], arrays: type, taken: "_Taken | None") -> tuple[str, ...]:
    """What to say of the last item of a batch, where the model need not take it: it may be meant as targets."""
    if taken is None or not 1 <= taken.needed < len(args) or len(args) > len(taken.placed):
        return ()
    name, last = taken.placed[len(args) - 1], args[-1]
    if name in TARGETS or not isinstance(last, arrays):
        return ()
    remedy = "If it is targets, give the inputs alone, and the loss: loss=lambda output: ...(output, targets)."
    return (f"The last item of the batch is taken for {name!r}, which the model can do without. {remedy}",)


class _Taken(NamedTuple):
    """What a function takes."""

    names: tuple[str, ...]  # that can be given by name
    placed: tuple[str, ...]  # that can be given by place
    needed: int  # places without a default
    places: int | None  # None: any number
    any_name: bool
    nested: bool  # the first is annotated as what is no single array


def _taken(called: Callable[..., object]) -> _Taken | None:
    try:
        parameters = list(signature(called).parameters.values())
    except (TypeError, ValueError):  # no Python function
        return None
    placed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names = tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    kinds = {p.kind for p in parameters}
    places = None if Parameter.VAR_POSITIONAL in kinds else len(placed)
    needed = sum(p.default is p.empty for p in placed)
    annotation = next((str(p.annotation) for p in placed[:1] if p.annotation is not p.empty), "array")
    nested = bool(_CONTAINER.search(annotation)) or not _ARRAY.search(annotation)
    return _Taken(names, tuple(p.name for p in placed), needed, places, Parameter.VAR_KEYWORD in kinds, nested)


TARGETS = ("y", "target", "targets", "label", "labels")  # what targets are called


def targets_for(loss: Callable[..., object], beside: Mapping[str, Any]) -> dict[str, str]:
    """What a loss is given beside the output: its arguments, and what of the batch each is.

    Arguments are matched by their names; else, if it needs one and one thing is called as targets are, that; else by
    their places, of a batch that is a list, or if the numbers agree.

    Raises:
        ArgumentError: it needs more than the output, and the batch does not tell what.

    >>> targets_for(lambda output, target: 0, {"id": 1, "labels": 2})
    {'target': 'labels'}
    """
    try:
        parameters = list(signature(getattr(loss, "forward", loss)).parameters.values())[1:]
    except (TypeError, ValueError):  # no Python function
        return {}
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    needed = [p.name for p in named if p.default is p.empty]
    if not beside or set(needed) <= set(beside):
        return {p.name: p.name for p in named if p.name in beside}
    called = [name for name in beside if name in TARGETS]
    if len(needed) == len(called) == 1:
        return {needed[0]: called[0]}
    if len(needed) == len(beside) or (all(map(str.isdigit, beside)) and len(needed) < len(beside)):
        return dict(zip(needed, beside, strict=False))
    allowed = f"a function of the output, and of what the batch holds beside the inputs ({', '.join(beside)})"
    remedy = "Give a function of the output: loss=lambda output: ...(output, targets)."
    raise ArgumentError(message("check", "loss", allowed, needed, remedy))


Understood = tuple[Mapping[Any, object], Sequence[object], tuple[str, ...]]  # by name, by place, what is to be said


def _understood(batch: object, taken: _Taken | None) -> Understood:
    if isinstance(batch, Mapping):
        return _by_name(batch, taken)
    if not isinstance(batch, (tuple, list)) or _is_shape(batch):
        return {}, (batch,), ()
    if taken is None or taken.places is None:
        return {}, batch, ()
    if fields := getattr(batch, "_fields", ()):
        if set(fields) <= set(taken.names):
            return dict(zip(fields, batch, strict=True)), (), ()
        if taken.places < len(batch):
            return {}, (batch,), ()
    first = batch[0] if batch else None
    if isinstance(first, Mapping) and len(batch) > 1 and set(first) <= set(taken.names):
        return first, (), (f"The batch has {len(batch)} items: the first one is taken as inputs, {_REST}",)
    if isinstance(first, (tuple, list)) and _are_inputs(first, batch[1:], taken):
        if len(batch) == 1:
            return {}, first, (f"The batch has 1 item, which is taken as {len(first)} inputs.",)
        return {}, first, (f"The batch has {len(batch)} items: the first one is taken as {len(first)} inputs, {_REST}",)
    if len(batch) <= taken.places or not taken.places:
        return {}, batch, ()
    count = max(taken.needed, 1)
    names = ", ".join(taken.placed[:count])
    said = f"The batch has {len(batch)} items and the model takes {names}: inputs are the first {count}, {_REST}"
    return {}, batch[:count], (said,)


_REST = "the rest is taken for targets, which only a loss needs."
_CONTAINER = re.compile("tuple|list|dict|sequence|mapping|iterable", re.IGNORECASE)
_ARRAY = re.compile("tensor|array", re.IGNORECASE)


def _are_inputs(first: Sequence[Any], rest: Sequence[Any], taken: _Taken) -> bool:
    """Whether the first item of a batch is all inputs, and the rest none.

    A batch of as many items as the model takes is that, unless the rest are labels of the rows that arrays of the first
    hold, and neither names nor annotations tell that the model takes both.
    """
    items = len(rest) + 1
    if taken.places is None or items > taken.needed or not taken.needed <= len(first) <= taken.places:
        return False
    if items < taken.needed:
        return True
    if not rest or len(first) != items or taken.nested or set(taken.placed[:items]) & set(TARGETS):
        return False
    shapes = [tuple(getattr(array, "shape", ())) for array in (*first, *rest)]
    aligned = all(shapes) and len({shape[0] for shape in shapes}) == 1
    return aligned and all((len(shape) > 1) is (at < len(first)) for at, shape in enumerate(shapes))


def _by_name(batch: Mapping[Any, object], taken: _Taken | None) -> Understood:
    if taken is None or taken.any_name or set(batch) <= set(taken.names):
        return batch, (), ()
    known = {key: value for key, value in batch.items() if key in taken.names}
    if not known and taken.needed <= 1 and taken.places != 0:
        return {}, (batch,), ()
    left = ", ".join(str(key) for key in batch if key not in known)
    if not known:
        return batch, (), ()
    return known, (), (f"Of the batch, the model takes {', '.join(map(str, known))}; left out: {left}.",)


def _is_shape(value: Any) -> bool:
    return len(value) > 0 and all(isinstance(size, int) and not isinstance(size, bool) for size in value)


def _argument(value: Any, name: str, arrays: type, convert: Callable[[Any, str], Any]) -> Any:
    """One argument; `convert` makes an array of the framework of one, or of what tells how to make one up."""
    if isinstance(value, (arrays, np.ndarray)):
        return convert(value, name)
    if isinstance(value, (tuple, list)) and _is_shape(value):
        value = InputSpec(tuple(value))
    if isinstance(value, (str, InputSpec)):
        return convert(value, name)
    if isinstance(value, (tuple, list)):
        return _like(value, [_argument(item, f"{name}.{i}", arrays, convert) for i, item in enumerate(value)])
    if type(value) is dict:
        return {key: _argument(item, f"{name}.{key}", arrays, convert) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if arrays_in(value, arrays, parts_of) or arrays_in(value, np.ndarray, parts_of):
        kinds: Any = (arrays, np.ndarray)
        return mapped(value, kinds, lambda array: convert(array, name))
    allowed = "a tensor, an array, a shape, a tuple of these or a dict of keyword arguments"
    raise ArgumentTypeError(message("batch", "value", allowed, type(value).__name__))
