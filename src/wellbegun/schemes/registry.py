"""Names -> factories and facts, text -> schemes. Immutable; derived from the blocks in the families' files."""

import inspect
from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType

from wellbegun._arguments import guarded, known, message, parse_call
from wellbegun.errors import ArgumentError
from wellbegun.schemes import catalogue
from wellbegun.schemes.base import Scheme
from wellbegun.schemes.card import Card, Factory, card_of

_NAMED: Mapping[str, Factory] = MappingProxyType({name: getattr(catalogue, name) for name in catalogue.NAMES})

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
        text: Such as "he_normal" or "kaiming_normal(mode='fan_out')".
        own: Factories that are known by their names besides those of the package.
    Raises:
        UnknownNameError: no such scheme. ArgumentError: the text is no call, or its arguments are wrong.

    >>> parse_scheme("he_normal"), parse_scheme("kaiming_normal(mode='fan_out')")
    (he_normal(), he_normal(mode='fan_out'))
    """
    name, positional, keywords = parse_call("scheme", text, nested=partial(parse_scheme, own=own))
    with guarded("scheme", own):
        names = {**_NAMED, **{factory.__name__: factory for factory in own}}
    factory = names[known("scheme", "name", name, names)]
    try:
        inspect.signature(factory).bind(*positional, **keywords)
    except TypeError as error:
        allowed = f"a call of {name}{inspect.signature(factory)}".partition(" ->")[0]
        raise ArgumentError(message("scheme", "arguments", allowed, text, f"{str(error).capitalize()}.")) from error
    return factory(*positional, **keywords)


def cards() -> tuple[Card, ...]:
    """The facts about every scheme, in the order of the registry.

    >>> next(card.aliases for card in cards() if card.name == "he_normal")
    ('kaiming_normal',)
    """
    facts = {name: card_of(factory) for name, factory in SCHEMES.items()}
    others = {name: tuple(alias for alias, target in ALIASES.items() if target == name) for name in facts}
    return tuple(card._replace(aliases=others[name]) for name, card in facts.items() if card is not None)
