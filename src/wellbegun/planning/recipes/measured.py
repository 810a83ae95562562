"""Recipes that measure on the batch after the fill: what they choose before, and the settings of what they do then."""

from dataclasses import dataclass
from typing import SupportsFloat, SupportsIndex

from wellbegun._arguments import integer, real
from wellbegun.errors import WellbegunError
from wellbegun.graph import Role
from wellbegun.planning.method import Choice
from wellbegun.planning.recipes.base import Recipe, Refinement, recipe
from wellbegun.planning.recipes.common import table
from wellbegun.schemes import lecun_normal, orthogonal

_LSUV = "Mishkin, Matas 2016, arXiv:1511.06422"


@dataclass(frozen=True)
class UnitVariance(Refinement):
    """Weights are divided by the standard deviation of their output, layer by layer."""

    tolerance: float = 0.1
    tries: int = 10


def lsuv(*, tolerance: SupportsFloat = 0.1, tries: SupportsIndex = 10) -> Recipe:
    """Layer-sequential unit variance: orthogonal weights, each divided by std(its output on the batch).

    W <- W / std(y), y the output of the layer over all entries of the batch, until |var(y) - 1| <= tolerance; layer
    after layer in the order in which the model runs them, each on what the corrected layers before it give. Linear
    layers and convolutions, transposed ones too; matrices that are fused in one tensor (queries, keys and values) get a
    factor each. A weight that is used several times is fitted where it is used first. Biases are 0.

    Args:
        tolerance: Of the variance, > 0.
        tries: Most divisions of one weight, >= 1. One is enough unless a rule gives a bias other than 0.
    Returns:
        A recipe; `recipe="lsuv"` names it with its defaults.
    Raises:
        ArgumentError, ArgumentTypeError: a bad setting.
    Cost: one forward pass, with a norm of each layer's output; the plan keeps a number for each matrix.
    Use: feed-forward nets without normalization, where data is at hand; unusual activations.
    Avoid: branches that are to start at zero, which it gives unit variance; layers before a normalization, which undoes
        it. A layer whose output does not vary, as where it is fed zeros, is left, and the plan says so.
    Source: Mishkin, Matas 2016, arXiv:1511.06422. The package `lsuv` visits layers in the order of registration.

    >>> lsuv(tolerance=0.02).full_name, lsuv().full_name
    ('lsuv@1(tolerance=0.02)', 'lsuv@1')
    """
    tolerance = real("lsuv", "tolerance", tolerance, minimum=0, exclusive=True)
    return LSUV._replace(refinement=UnitVariance(tolerance, integer("lsuv", "tries", tries, minimum=1)))


def _orthogonal(role: Role) -> Choice:
    try:
        orthogonal().law(role.parameter.shape, layout=role.layout or "oi")
    except WellbegunError:
        reason = "cannot be orthogonal (a grouped transposed convolution), so LeCun, then unit variance of its output"
        return Choice(lecun_normal(), reason, _LSUV)
    return Choice(orthogonal(), "orthogonal, then unit variance of its output on the batch", _LSUV)


LSUV = recipe(
    "lsuv",
    1,
    table(hidden=_orthogonal),
    about="feed-forward nets without normalization: every layer's output has variance 1 on the batch",
    optimizer="any",
    source=_LSUV,
    needs=("hidden",),
    refinement=UnitVariance(),
)
