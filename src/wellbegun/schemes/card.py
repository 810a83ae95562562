"""One decorated block for each scheme: the facts about it as data, from which everything else is derived."""

import functools
import inspect
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from wellbegun._arguments import guarded, known
from wellbegun._typing import Array
from wellbegun.errors import ArgumentTypeError
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme
from wellbegun.schemes.tensors import TENSORS

Factory = Callable[..., Scheme]
"""What gives a scheme for its arguments."""
_F = TypeVar("_F", bound=Factory)
_FACTS = ("shapes", "strengths", "weaknesses", "use", "source")


class Card(NamedTuple):
    """The facts about one scheme."""

    name: str
    aliases: tuple[str, ...]
    formula: str
    shapes: str  # that it can fill
    strengths: str
    weaknesses: str
    use: str
    source: str
    example: str  # a call
    shape: tuple[int, ...]  # of a tensor that the example can fill
    layout: Layout
    invariants: Mapping[str, Callable[[Array], bool]]  # what holds for every draw of the example, and how it is seen
    family: str = ""  # the module of `wellbegun.schemes` that it is in
    tensors: tuple[str, ...] = ()  # that it is for: words of `TENSORS`

    def texts(self) -> dict[str, Any]:
        """What people read, ready for JSON."""
        names = ("name", "aliases", "family", "tensors", "formula", *_FACTS)
        return {name: getattr(self, name) for name in names}


def scheme(
    *,
    formula: str,
    shapes: str,
    strengths: str,
    weaknesses: str,
    use: str,
    source: str,
    invariants: Mapping[str, Callable[[Array], bool]],
    tensors: str = "",
    example: str = "",
    shape: tuple[int, ...] = (48, 32),
    layout: str | Layout = "oi",
) -> Callable[[_F], _F]:
    """Make a factory of schemes known by these facts; its docstring is completed from them.

    Below the factory, `other_name = factory` in the same file makes an alias.

    Args:
        formula: One sentence: the name people know it by, then the rule.
        shapes, strengths, weaknesses, use, source: One sentence or more each.
        invariants: What holds for every draw of the example, and a function of the values (float64) that sees it.
        tensors: What it is for: words of `TENSORS`, with spaces between.
        example: A call, spelled as the scheme's repr spells it; without arguments if it is not given.
        shape, layout: Of a tensor that the example can fill.
    """

    def decorate(factory: _F) -> _F:
        sized = Layout(layout) if isinstance(layout, str) else layout
        texts = formula, shapes, strengths, weaknesses, use, source
        name, family = factory.__name__, factory.__module__.rpartition(".")[2]
        meant = tuple(known(name, "tensors", word, TENSORS) for word in tensors.split())
        card = Card(name, (), *texts, example or f"{name}()", shape, sized, invariants, family, meant)
        factory.__doc__ = _docstring(card, inspect.cleandoc(factory.__doc__ or ""))

        called = inspect.signature(factory)

        @functools.wraps(factory)
        def made(*arguments: Any, **options: Any) -> Scheme:
            try:
                return factory(*arguments, **options)
            except Exception:  # of any kind: told with what is wrong
                bound(name, called, arguments, options)
                with guarded(name, (*arguments, *options.values())):
                    raise

        vars(made)["card"] = card
        return cast(_F, made)

    return decorate


def bound(name: str, called: inspect.Signature, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    """Raise ArgumentTypeError, with what is wrong, unless a factory can be called so."""
    try:
        called.bind(*arguments, **options)
    except TypeError as error:
        allowed = f"those of {name}{called}".partition(" ->")[0]
        got = ", ".join([*map(repr, arguments), *(f"{key}={value!r}" for key, value in options.items())])
        text = f"{name}: arguments must be {allowed}; got ({got}). {str(error).capitalize()}."
        raise ArgumentTypeError(text) from error


def card_of(item: object) -> Card | None:
    """The facts about a scheme's factory; None for anything else."""
    card = getattr(item, "card", None)
    return card if isinstance(card, Card) else None


def publish(module: dict[str, Any]) -> None:
    """Called at the end of a file with its `globals()`: `from file import *` gives its schemes and nothing else.

    Type checkers cannot follow an `__all__` that is computed; without one they take every function that they see.
    """
    module["__all__"] = [name for name, item in module.items() if card_of(item) is not None]


def _docstring(card: Card, own: str) -> str:
    facts = ((key, getattr(card, key)) for key in _FACTS)
    lines = (_filled(f"{key.capitalize()}: {text}") for key, text in facts)
    return "\n\n".join([_filled(card.formula, ""), "\n".join(lines), own]).rstrip() + "\n"


def _filled(text: str, indent: str = "    ") -> str:
    return text if len(text) <= 116 else textwrap.fill(text, 116, subsequent_indent=indent)  # slow, and at import


# ---------------------------------------------------------------------- for invariants
def varies(values: Array, variance: float) -> bool:
    """Whether values of mean 0 have this variance, within six standard errors of a normal sample."""
    return abs(float(np.mean(values**2)) / variance - 1) < 6 * math.sqrt(2 / values.size)


def near(values: Array, expected: Array) -> bool:
    """Whether these are the numbers, up to rounding."""
    return bool(np.allclose(values, expected, rtol=0, atol=1e-12 * max(1.0, float(np.abs(expected).max()))))
