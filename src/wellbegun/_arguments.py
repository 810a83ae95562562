"""The only author of argument messages: owner, argument, allowed, got, nearest or remedy."""

import ast
import difflib
import math
import operator
import os
import reprlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, SupportsFloat, SupportsIndex, TypeVar

from wellbegun.errors import ArgumentError, ArgumentTypeError, UnknownNameError, WellbegunError

T = TypeVar("T")
DTYPES = ("float32", "float64", "float16", "bfloat16", "complex64", "complex128")
SEED_LIMIT = 2**64
SIZE_LIMIT = 2**63  # of what libraries count with
_LONG = 300  # characters of a value in a message
_MANY = 12  # names of a registry in a message
_short = reprlib.Repr()
_short.maxtuple = _short.maxlist = _short.maxset = _short.maxdict = 24
_short.maxstring = _short.maxother = _short.maxlong = _LONG


def message(owner: str, argument: str, allowed: str, got: object, remedy: str = "") -> str:
    """One sentence in the pattern every wellbegun message follows."""
    owner, argument, allowed = map(_shortened, (owner, argument, allowed))
    return f"{owner}: {argument} must be {allowed}; got {cut(got)}.{' ' + remedy if remedy else ''}"


def _shortened(text: str) -> str:
    return shown(text if len(text) <= _LONG else f"{text[: _LONG - 1]}…")


def cut(value: object) -> str:
    """A value as Python writes it, on one line and in a few hundred characters; what cannot be written, by its type."""
    if isinstance(value, (str, bytes)):
        value = value[:_LONG]
    try:
        text = " ".join(_short.repr(value).split()) if not isinstance(value, str) else repr(value)
    except Exception:  # whatever an object's own __repr__ raises, or a number of thousands of digits
        text = f"<{type(value).__name__}>"
    return _shortened(text)


def shown(text: str) -> str:
    """A text with control characters, such as the escapes of terminals, written out.

    >>> shown(chr(27) + "[1m")
    '\\\\x1b[1m'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def said(error: BaseException) -> str:
    """The text of somebody else's error; none where its own class cannot write it."""
    try:
        return str(error)
    except Exception:  # whatever its __str__ raises
        return ""


def told(error: BaseException) -> str:
    """The first line of somebody else's error as a sentence, or the error's name.

    >>> told(KeyError("x"))  # whose text is the key alone
    "KeyError: 'x'."
    """
    name, text = type(error).__name__, said(error)
    text = f"{name}: {text}" if isinstance(error, KeyError) else text
    first = shown((text.strip() or name).splitlines()[0])
    return first if first.endswith((".", "!", "?")) else f"{first}."


def typed(error: BaseException) -> str:
    """The same with the error's name, once.

    >>> typed(KeyError("x")), typed(ValueError("no")), typed(ValueError())
    ("KeyError: 'x'.", 'ValueError: no.', 'ValueError.')
    """
    name, text = type(error).__name__, told(error)
    return text if text.startswith(name) else f"{name}: {text}"


def nearest(name: str, names: Iterable[str]) -> str:
    """'Did you mean ...?' or an empty string."""
    close = difflib.get_close_matches(name[:_LONG].lower(), list(names), n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else ""


def real(
    owner: str,
    argument: str,
    value: SupportsFloat,
    *,
    minimum: float = -math.inf,
    exclusive: bool = False,
    infinite: bool = False,
    remedy: str = "",
) -> float:
    """A float, finite unless `infinite`, at least (or, if exclusive, above) `minimum`; never nan."""
    bound = "" if minimum == -math.inf else f" {'>' if exclusive else '>='} {minimum:g}"
    allowed = f"a {'' if infinite else 'finite '}number{bound}"
    if isinstance(value, (bool, str)):
        raise ArgumentTypeError(message(owner, argument, allowed, value, remedy))
    try:
        number = float(value)
    except OverflowError:  # an integer beyond every float
        number = math.nan
    except Exception as error:  # whatever an object's own __float__ raises
        raise ArgumentTypeError(message(owner, argument, allowed, value, remedy)) from error
    bad = math.isnan(number) or (math.isinf(number) and not infinite)
    if bad or number < minimum or (exclusive and number == minimum):
        raise ArgumentError(message(owner, argument, allowed, value, remedy))
    return number


def integer(owner: str, argument: str, value: SupportsIndex, *, minimum: int = 0, limit: int | None = None) -> int:
    """An integer in [minimum, limit), below 2**63 in any case but that of a seed."""
    allowed = f"an integer >= {minimum}" if limit is None else f"an integer in [{minimum}, {_power(limit)})"
    if isinstance(value, bool):
        raise ArgumentTypeError(message(owner, argument, allowed, value))
    try:
        number = operator.index(value)
    except Exception as error:  # whatever an object's own __index__ raises
        raise ArgumentTypeError(message(owner, argument, allowed, value)) from error
    if number >= (limit or SIZE_LIMIT):
        raise ArgumentError(
            message(owner, argument, f"an integer in [{minimum}, {_power(limit or SIZE_LIMIT)})", value)
        )
    if number < minimum:
        raise ArgumentError(message(owner, argument, allowed, value))
    return number


def _power(limit: int) -> str:
    return f"2**{limit.bit_length() - 1}" if limit & (limit - 1) == 0 and limit > 2**16 else str(limit)


@contextmanager
def guarded(owner: str, given: object) -> Iterator[None]:
    """Arguments of wrong kinds, and finite numbers whose products, powers or quotients are not, as errors of ours."""
    try:
        yield
    except WellbegunError:
        raise
    except ArithmeticError as error:
        allowed = "such that all that follows from them is within the range of floats"
        raise ArgumentError(message(owner, "numbers", allowed, given)) from error
    except Exception as error:  # of any kind: told with its cause
        allowed = "of the kinds that its documentation names"
        raise ArgumentTypeError(message(owner, "arguments", allowed, given)) from error


@contextmanager
def speaking(owner: str) -> Iterator[None]:
    """Messages of a check that is part of something else name that."""
    try:
        yield
    except WellbegunError as error:
        if str(error).startswith("check: "):
            error.args = (f"{owner}{str(error)[5:]}",)
        raise


@contextmanager
def users(owner: str, what: str) -> Iterator[None]:
    """Whatever a function of the user's raises, as an error of the argument that it is; ours, and the cause, stay."""
    try:
        yield
    except WellbegunError:
        raise
    except Exception as error:  # of any kind: told with its cause
        raise ArgumentError(f"{owner}: {what} raised {typed(error)}") from error


def positive(owner: str, given: object, arguments: Iterable[str]) -> None:
    """Attributes that have to be finite numbers above 0."""
    for argument in arguments:
        real(owner, argument, getattr(given, argument), minimum=0.0, exclusive=True)


def function(owner: str, argument: str, value: object, allowed: str) -> None:
    """Something to call, or None."""
    if value is not None and not callable(value):
        raise ArgumentTypeError(message(owner, argument, f"{allowed}, or None", value))


def truth(owner: str, argument: str, value: object) -> None:
    """Raise unless the value is True or False."""
    if not isinstance(value, bool):
        raise ArgumentTypeError(message(owner, argument, "True or False", value))


def progress_of(owner: str, value: object) -> None:
    """What is told of the steps of something long, or None."""
    function(owner, "progress", value, "a function of (done, all, what)")


def instance(owner: str, argument: str, value: object, kind: type[T]) -> T:
    """An object of one class."""
    if not isinstance(value, kind):
        raise ArgumentTypeError(message(owner, argument, f"a {kind.__name__}", type(value).__name__))
    return value


def path_of(owner: str, value: object) -> str:
    """A path as a text."""
    with guarded(owner, value):
        found: object = os.fspath(value)  # type: ignore[call-overload]
    return text_of(owner, "path", found)


def text_of(owner: str, argument: str, value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise ArgumentTypeError(message(owner, argument, "a text", value))
    return value


def texts_of(owner: str, argument: str, value: object) -> tuple[str, ...]:
    """Texts; one alone means itself."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Iterable):
        raise ArgumentTypeError(message(owner, argument, "texts", value))
    return tuple(text_of(owner, argument, item) for item in value)


def choice(owner: str, argument: str, value: object, allowed: Sequence[str]) -> str:
    """One of a few names."""
    if isinstance(value, str) and value in allowed:
        return value
    listed = "one of " + ", ".join(repr(name) for name in allowed)
    remedy = nearest(value, allowed) if isinstance(value, str) else ""
    raise (ArgumentError if isinstance(value, str) else ArgumentTypeError)(
        message(owner, argument, listed, value, remedy)
    )


def known(owner: str, kind: str, name: object, names: Iterable[str]) -> str:
    """A name that a registry holds; for registries, where the list is long."""
    if isinstance(name, str) and name in (listed := sorted(names)):
        return name
    if not isinstance(name, str):
        raise ArgumentTypeError(message(owner, kind, "a name", name))
    near, more = nearest(name, listed), len(listed) - _MANY
    first = f"Known: {', '.join(listed[:_MANY])}{f', and {more} more' if more > 0 else ''}."
    remedy = near if near and more > 0 else f"{near} {first}".lstrip()
    raise UnknownNameError(message(owner, kind, "a known name", name, remedy))


def shape_of(owner: str, value: Iterable[SupportsIndex] | SupportsIndex, argument: str = "shape") -> tuple[int, ...]:
    """A shape, or other sizes, as a tuple of non-negative integers; a bare integer means one axis."""
    allowed = "a tuple of integers >= 0"
    if isinstance(value, (str, bytes, float)):
        raise ArgumentTypeError(message(owner, argument, allowed, value))
    try:
        items = value if type(value) is tuple or isinstance(value, Iterable) else [value]
        sizes = tuple(map(operator.index, items))
    except Exception as error:  # whatever an object's own __iter__ or __index__ raises
        raise ArgumentTypeError(message(owner, argument, allowed, value)) from error
    if min(sizes, default=0) < 0:
        raise ArgumentError(message(owner, argument, allowed, value))
    return sizes


def seed_of(owner: str, value: SupportsIndex) -> int:
    """A seed in [0, 2**64)."""
    return integer(owner, "seed", value, minimum=0, limit=SEED_LIMIT)


def dtype_of(owner: str, value: object) -> str:
    """The name of a real or complex dtype, from a name or a NumPy, ml_dtypes or framework dtype object."""
    with guarded(owner, value):
        name = value if isinstance(value, str) else getattr(value, "name", None) or getattr(value, "__name__", None)
        if name is None:
            name = str(value).rpartition(".")[2]
    return choice(owner, "dtype", name, DTYPES)


def parse_call(
    owner: str, text: str, *, nested: Callable[[str], Any] | None = None
) -> tuple[str, list[Any], dict[str, Any]]:
    """'name' or 'name(1, key=2)' -> name, positional arguments, keyword arguments; literals, and calls for `nested`.

    >>> parse_call("scheme", "uniform(-1, high=1)")
    ('uniform', [-1], {'high': 1})
    """
    allowed = "a name or a call with plain numbers and texts, such as he_normal(mode='fan_out')"
    if not isinstance(text, str):
        raise ArgumentTypeError(message(owner, "name", allowed, text))

    def value(node: ast.expr) -> Any:
        if nested is not None and isinstance(node, ast.Call):
            return nested(ast.unparse(node))
        ends = {"inf": math.inf, "-inf": -math.inf}  # as bounds that are not there are written
        return ends[text] if (text := ast.unparse(node)) in ends else ast.literal_eval(node)

    try:
        node = ast.parse(text.strip(), mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, [], {}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and all(item.arg for item in node.keywords):
            keywords = {str(item.arg): value(item.value) for item in node.keywords}
            return node.func.id, [value(argument) for argument in node.args], keywords
    except SyntaxError:
        pass  # the same message for every text that is no call
    except ValueError as error:
        if isinstance(error, WellbegunError):
            raise
    raise ArgumentError(message(owner, "name", allowed, text))
