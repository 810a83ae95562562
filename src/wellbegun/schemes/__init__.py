"""Named rules that turn layout + shape into a law. One family per file; a scheme is one decorated block in it.

The classic ones are here and at the top of the package; all others are in the module of their family, such as
`wellbegun.schemes.structured.sinusoidal`, and known to rules, the command line, plans and races by their bare name.
"""

from wellbegun.schemes import adapters as adapters
from wellbegun.schemes import catalogue as _catalogue
from wellbegun.schemes import complex_valued as complex_valued
from wellbegun.schemes import convex as convex
from wellbegun.schemes import flows as flows
from wellbegun.schemes import graphs as graphs
from wellbegun.schemes import heads as heads
from wellbegun.schemes import hippo as hippo
from wellbegun.schemes import hypernetworks as hypernetworks
from wellbegun.schemes import iid as iid
from wellbegun.schemes import implicit as implicit
from wellbegun.schemes import impulses as impulses
from wellbegun.schemes import kan as kan
from wellbegun.schemes import linear_recurrent as linear_recurrent
from wellbegun.schemes import orthonormal as orthonormal
from wellbegun.schemes import positions as positions
from wellbegun.schemes import recurrent as recurrent
from wellbegun.schemes import rotations as rotations
from wellbegun.schemes import signals as signals
from wellbegun.schemes import ssm as ssm
from wellbegun.schemes import structured as structured
from wellbegun.schemes import transfer as transfer
from wellbegun.schemes import transformer as transformer
from wellbegun.schemes import vision as vision
from wellbegun.schemes.base import Scheme as Scheme
from wellbegun.schemes.card import Card as Card
from wellbegun.schemes.card import Factory as Factory
from wellbegun.schemes.card import scheme as scheme
from wellbegun.schemes.catalogue import *  # noqa: F403
from wellbegun.schemes.elsewhere import ELSEWHERE as ELSEWHERE
from wellbegun.schemes.registry import (
    ALIASES as ALIASES,
)
from wellbegun.schemes.registry import (
    SCHEMES as SCHEMES,
)
from wellbegun.schemes.registry import (
    card_named as card_named,
)
from wellbegun.schemes.registry import (
    cards as cards,
)
from wellbegun.schemes.registry import (
    parse_scheme as parse_scheme,
)
from wellbegun.schemes.registry import (
    scheme_of as scheme_of,
)
from wellbegun.schemes.tensors import TENSORS as TENSORS

globals()["__all__"] = [
    "ALIASES",
    "ELSEWHERE",
    "SCHEMES",
    "TENSORS",
    "Card",
    "Factory",
    "Scheme",
    "card_named",
    "cards",
]
globals()["__all__"] += ["parse_scheme", "scheme", "scheme_of"]
globals()["__all__"] += _catalogue.NAMES  # type checkers would take a list that they cannot follow for an empty one
