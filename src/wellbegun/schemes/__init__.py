"""Named rules that turn layout + shape into a law. One family per file."""

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
from wellbegun.schemes.registry import ALIASES, SCHEMES, Card, cards, parse_scheme
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

__all__ = [
    "ALIASES",
    "SCHEMES",
    "Card",
    "Scheme",
    "by_section",
    "cards",
    "constant",
    "delta_orthogonal",
    "dirac",
    "eye",
    "fan_in_uniform",
    "he_normal",
    "he_uniform",
    "icnr",
    "lecun_normal",
    "lecun_uniform",
    "log_uniform",
    "mirrored",
    "normal",
    "ones",
    "orthogonal",
    "parse_scheme",
    "rademacher",
    "sparse",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
