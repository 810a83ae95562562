"""Names -> factories and facts, text -> schemes. Immutable; derived from the blocks in the families' files."""

import inspect
from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from wellbegun._arguments import guarded, known, message, parse_call
from wellbegun._installed import SCHEMES as INSTALLED
from wellbegun._installed import first_line, installed, loaded
from wellbegun.errors import ArgumentError
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme
from wellbegun.schemes.card import Card, Factory, card_of
from wellbegun.schemes.catalogue import FAMILIES
from wellbegun.schemes.own import made_scheme, own_scheme
from wellbegun.schemes.tensors import tensor_named

_NAMED: Mapping[str, Factory] = MappingProxyType(
    {name: getattr(family, name) for family in FAMILIES for name in family.__all__}
)

SCHEMES: Mapping[str, Factory] = MappingProxyType(
    {name: factory for name, factory in _NAMED.items() if name == factory.__name__}
)
"""Every scheme's factory by its name."""
ALIASES: Mapping[str, str] = MappingProxyType(
    {name: factory.__name__ for name, factory in _NAMED.items() if name != factory.__name__}
)
"""Other names of the same schemes."""


def parse_scheme(text: str, *, own: Iterable[Factory] = ()) -> Scheme:
    """A scheme from text: a name, or a call with literal arguments. Inverse of repr.

    Args:
        text: Such as "he_normal" or "kaiming_normal(mode='fan_out')"; what installed packages add (entry points
            "wellbegun.schemes") is known by its name too, below the names of this package.
        own: Factories, functions and classes that are known by their names besides those.
    Raises:
        UnknownNameError: no such scheme. ArgumentError: the text is no call, or its arguments are wrong.

    >>> parse_scheme("he_normal"), parse_scheme("kaiming_normal(mode='fan_out')")
    (he_normal(), he_normal(mode='fan_out'))
    """
    name, positional, keywords = parse_call("scheme", text, nested=partial(parse_scheme, own=own))
    with guarded("scheme", own):
        names = {**_NAMED, **{factory.__name__: factory for factory in own}}
    if name not in names:
        others = installed(INSTALLED)
        return own_scheme(
            loaded(others[known("scheme", "name", name, [*names, *others])]), name, tuple(positional), keywords
        )
    factory = names[name]
    if card_of(factory) is None:
        return own_scheme(factory, name, tuple(positional), keywords)
    try:
        inspect.signature(factory).bind(*positional, **keywords)
    except TypeError as error:
        allowed = f"a call of {name}{inspect.signature(factory)}".partition(" ->")[0]
        raise ArgumentError(message("scheme", "arguments", allowed, text, f"{str(error).capitalize()}.")) from error
    return factory(*positional, **keywords)


def scheme_of(given: Any, owner: str = "scheme_of") -> Scheme:
    """A scheme from whatever says one: a scheme, its text, a law, or a function or class of one's own.

    Raises:
        ArgumentTypeError: anything else, or a function that gives something else. ArgumentError: as `parse_scheme`.

    >>> from wellbegun.laws import Normal
    >>> scheme_of("he_normal"), scheme_of(Normal(0, 1)), scheme_of(lambda fans: Normal(0, 1 / fans.fan_out)).law((4, 2))
    (he_normal(), N(0, 1²), Normal(mean=0.0, std=0.25))
    """
    if isinstance(given, str):
        return parse_scheme(given)
    return made_scheme(owner, "scheme", given, " its name, 'keep',")


def cards(*, about: str = "", tensor: str = "", others: bool = False) -> tuple[Card, ...]:
    """The facts about schemes, in the order of the registry.

    Args:
        about: Part of a name, or of the name of a family; everything else is left out.
        tensor: What the schemes are to be for: a word of `TENSORS`, or what people call it.
        others: Whether those that installed packages add follow; they are imported for it.
    Raises:
        UnknownNameError: no such tensor, or no such name.

    >>> [card.aliases for card in cards(about="he_normal")]
    [('kaiming_normal',)]
    >>> [card.name for card in cards(tensor="norm scale")]
    ['ones', 'constant']
    """
    facts = {name: card_of(factory) for name, factory in SCHEMES.items()}
    names = {name: tuple(alias for alias, target in ALIASES.items() if target == name) for name in facts}
    found = [card._replace(aliases=names[name]) for name, card in facts.items() if card is not None]
    added = [name for name in installed(INSTALLED) if name not in _NAMED] if others else []
    found += filter(None, map(card_named, added))
    if tensor:
        word = tensor_named("schemes", "tensor", tensor)
        found = [card for card in found if word in card.tensors]
    named = [card for card in found if any(about in name for name in (card.name, *card.aliases, card.family))]
    if found and not named:
        known("schemes", "name", about, [name for card in found for name in (card.name, *card.aliases)])
    return tuple(named)


def card_named(name: str) -> Card | None:
    """The facts about one scheme, which may be one that an installed package adds; None for other names."""
    if name in _NAMED:
        return next((card for card in cards() if name in (card.name, *card.aliases)), None)
    entry = installed(INSTALLED).get(name)
    if entry is None:
        return None
    try:
        factory = loaded(entry)
    except ArgumentError as error:  # a list of all is none the worse for it
        return Card(name, (), str(error), "", "", "", "", entry.value, f"{name}()", (), Layout(""), {})
    own = Card(name, (), first_line(factory), "", "", "", "", entry.value, f"{name}()", (), Layout(""), {})
    return card_of(factory) or own
