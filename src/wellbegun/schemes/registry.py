"""Names -> factories, text -> schemes, docstrings -> table. Immutable."""

import inspect
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from wellbegun._arguments import known, message, parse_call
from wellbegun.errors import ArgumentError
from wellbegun.schemes.base import Scheme
from wellbegun.schemes.fixed import (
    constant,
    log_uniform,
    normal,
    ones,
    rademacher,
    truncated_normal,
    uniform,
    zeros,
)
from wellbegun.schemes.orthogonal import orthogonal
from wellbegun.schemes.patterns import delta_orthogonal, dirac, eye, icnr, mirrored, sparse
from wellbegun.schemes.scaling import (
    fan_in_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
)
from wellbegun.schemes.sections import by_section

Factory = Callable[..., Scheme]

SCHEMES: Mapping[str, Factory] = MappingProxyType(
    {
        factory.__name__: factory
        for factory in (
            zeros,
            ones,
            constant,
            uniform,
            normal,
            truncated_normal,
            rademacher,
            log_uniform,
            fan_in_uniform,
            xavier_normal,
            xavier_uniform,
            he_normal,
            he_uniform,
            lecun_normal,
            lecun_uniform,
            variance_scaling,
            orthogonal,
            delta_orthogonal,
            dirac,
            eye,
            sparse,
            icnr,
            mirrored,
        )
    }
)
"""Every scheme's factory by its name."""
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "glorot_normal": "xavier_normal",
        "glorot_uniform": "xavier_uniform",
        "kaiming_normal": "he_normal",
        "kaiming_uniform": "he_uniform",
    }
)
"""Other names of the same schemes."""


def parse_scheme(text: str) -> Scheme:
    """A scheme from text: a name, or a call with literal arguments. Inverse of repr.

    Raises:
        UnknownNameError: no such scheme. ArgumentError: the text is no call, or its arguments are wrong.

    >>> parse_scheme("he_normal"), parse_scheme("kaiming_normal(mode='fan_out')")
    (he_normal(), he_normal(mode='fan_out'))
    """
    name, positional, keywords = parse_call("scheme", text, nested=parse_scheme)
    aliases = {alias: SCHEMES[target] for alias, target in ALIASES.items()}
    names: dict[str, Factory] = {**SCHEMES, **aliases, "by_section": by_section}
    factory = names[known("scheme", "name", name, names)]
    try:
        inspect.signature(factory).bind(*positional, **keywords)
    except TypeError as error:
        allowed = f"a call of {name}{inspect.signature(factory)}".partition(" ->")[0]
        raise ArgumentError(message("scheme", "arguments", allowed, text, f"{str(error).capitalize()}.")) from error
    return factory(*positional, **keywords)


class Card(NamedTuple):
    """What the comparative table says of one scheme, read from its docstring."""

    name: str
    aliases: tuple[str, ...]
    formula: str
    strengths: str
    weaknesses: str
    use: str
    source: str


def cards() -> tuple[Card, ...]:
    """One card for each scheme, in the order of the registry."""
    return tuple(_card(name, factory) for name, factory in SCHEMES.items())


def _card(name: str, factory: Factory) -> Card:
    text = inspect.getdoc(factory) or ""
    if not text:
        raise ArgumentError("schemes: docstrings were stripped (python -OO); run without it to see the table.")
    formula = " ".join(text.partition("\n\n")[0].split())
    aliases = tuple(alias for alias, target in ALIASES.items() if target == name)
    return Card(name, aliases, formula, *(_section(text, key) for key in ("Strengths", "Weaknesses", "Use", "Source")))


def _section(text: str, key: str) -> str:
    found = re.search(rf"^{key}: (.*?)(?=^\S|\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return " ".join(found.group(1).split()) if found else ""
