"""Schemes of one's own: a function of the shape, fans or layout that gives a law, or a small class with arguments."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from wellbegun._arguments import cut, message, users
from wellbegun.errors import ArgumentTypeError
from wellbegun.laws import Law
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme
from wellbegun.schemes.dependent import fixed_law

Given = Scheme | Law | Callable[..., Any]
"""What is taken for a scheme, besides texts."""
GIVEN = ("shape", "fans", "layout")
_GIVES = "a law (wellbegun.laws) or a scheme"


@dataclass(frozen=True, repr=False)
class OwnScheme(Scheme):
    """What a function gives for each tensor. Plans store the law, so they need the function no more."""

    function: Callable[..., Any]
    options: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        from wellbegun.schemes.registry import ALIASES, SCHEMES

        if self.spelling.partition("(")[0] in (*SCHEMES, *ALIASES):  # plans are to tell it from ours of that name
            object.__setattr__(self, "spelling", f"own.{self.spelling}")

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        given: dict[str, Any] = dict(self.options)
        for name in asked_for(self.function):
            if name == "fans":
                given[name] = layout.fans(shape, owner=self.spelling)
            else:
                given[name] = layout if name == "layout" else layout.canonical_shape(shape)
        with users(self.spelling, "the function"):
            found = self.function(**given)
        return _gives(self.spelling, found)._law(shape, layout)


def made_scheme(owner: str, argument: str, given: object, also: str = "") -> Scheme:
    """A scheme from what is taken for one, besides texts; `also`: what else the message allows."""
    if isinstance(given, (Scheme, Law)):
        return given if isinstance(given, Scheme) else fixed_law(given)
    if callable(given):
        return own_scheme(given)
    allowed = f"a scheme,{also} a law, or a function of shape, fans or layout"
    raise ArgumentTypeError(message(owner, argument, allowed, given))


def own_scheme(
    given: Callable[..., Any],
    name: str = "",
    arguments: tuple[Any, ...] = (),
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Scheme:
    """A scheme from a function or a class.

    Args:
        given: A function of `shape` (outputs first, then inputs, then windows), `fans` and `layout`, of those that it
            names; it gives a law or a scheme. Or a class, or an object, that is called so. Or a function without any
            of the three, which gives a scheme, as those of the package do.
        name: What it is called in texts, if not by its own name.
        arguments, options: Of a class or factory; options are other arguments of a function too.
    Raises:
        ArgumentTypeError: another function, or one that gives something else. ArgumentError: it raises.

    >>> from wellbegun.laws import Uniform
    >>> def thin(fans, times=1.0):
    ...     return Uniform(-times / fans.fan_in, times / fans.fan_in)
    >>> own_scheme(thin).law((20, 10)), own_scheme(thin, options={"times": 5})
    (Uniform(low=-0.1, high=0.1), thin(times=5))
    """
    if isinstance(given, partial):
        return own_scheme(given.func, name, (*given.args, *arguments), {**given.keywords, **options})
    name = name or getattr(given, "__name__", "")
    listed = ", ".join([*map(repr, arguments), *(f"{key}={value!r}" for key, value in options.items())])
    text = f"{name}({listed})" if name else cut(given)
    if " at 0x" in text:  # an object without a repr of its own: the same plan has the same text
        text = f"{type(given).__name__}()"
    _check(text, given, arguments, options)
    if not isinstance(given, type) and asked_for(given):
        named = dict(zip(inspect.signature(given).parameters, arguments, strict=False))
        return OwnScheme(text, given, tuple({**named, **options}.items()))
    with users(text, "the class" if isinstance(given, type) else "the function"):
        made = given(*arguments, **options)
    if callable(made) and not isinstance(made, Scheme) and asked_for(made):
        _check(text, made, (), {})
        return OwnScheme(text, made)
    return _gives(text, made)


def asked_for(function: Callable[..., Any], names: tuple[str, ...] = GIVEN) -> list[str]:
    """Which of some names, such as shape, fans and layout, it asks for."""
    try:
        found = inspect.signature(function).parameters
    except (TypeError, ValueError):  # built-in functions may not tell
        return []
    return [name for name in names if name in found]


def _check(text: str, function: Callable[..., Any], arguments: tuple[Any, ...], options: Mapping[str, Any]) -> None:
    """Whether it can be called so."""
    try:
        inspect.signature(function).bind(*arguments, **options, **dict.fromkeys(asked_for(function)))
    except (TypeError, ValueError) as error:
        allowed = "a function of shape, fans or layout, by these names, with defaults for its other arguments"
        remedy = f"{str(error).capitalize()}."
        raise ArgumentTypeError(message("scheme", "a scheme of your own", allowed, text, remedy)) from error


def _gives(text: str, found: object) -> Scheme:
    if isinstance(found, Scheme):
        return found
    if isinstance(found, Law):
        return fixed_law(found)
    remedy = "Laws give the same bits on every device and in every part; numbers of your own: wellbegun.laws.Given.of."
    raise ArgumentTypeError(message(text, "what it returns", _GIVES, found, remedy))
