"""mup@1, completep@1, spectral@1, umup@1: recipes that say how values and rates change with width and depth.

mup@1 and completep@1 are GPT-like decoders as in nanoGPT-mup: std 0.02 at width 256 (and 2 blocks); the others are
measured against no base.
"""

from wellbegun.graph import Role
from wellbegun.planning.method import Choice
from wellbegun.planning.recipes.base import recipe
from wellbegun.planning.recipes.common import always, everywhere, table
from wellbegun.planning.scaling.axes import sizes
from wellbegun.planning.scaling.parametrization import Parametrization
from wellbegun.schemes import normal

_MUP = "Yang et al. 2022, arXiv:2203.03466"
_COMPLETEP = "Dey et al. 2025, arXiv:2505.01618, nanoGPT-mup code"
_SPECTRAL = "Yang, Simon, Bernstein 2023, arXiv:2310.17813"
_UMUP = "Blake et al. 2024, arXiv:2407.17465"
WIDTH, BLOCKS, _STD = 256, 2, 0.02

_GPT = everywhere(normal(std=_STD), f"std {_STD} in the base model", _MUP)


def _spectral(role: Role) -> Choice:
    inputs, outputs = sizes(role, role.parameter.shape)
    std = float(inputs**-0.5 * min(1.0, (outputs / inputs) ** 0.5))
    return Choice(normal(std=std), "largest singular value about (outputs/inputs)^(1/2)", _SPECTRAL)


def _unit(role: Role) -> Choice:
    inputs = sizes(role, role.parameter.shape)[0]
    return Choice(normal(std=inputs**-0.5), f"unit normal times 1/sqrt({inputs:g})", _UMUP)


def _unit_readout(role: Role) -> Choice:
    inputs = sizes(role, role.parameter.shape)[0]
    return Choice(normal(std=1 / inputs), f"unit normal times 1/{inputs:g}", _UMUP)


_one = always(normal(std=1.0), "unit normal")
_ROWS = dict.fromkeys(("embedding", "positional", "token"), _one)
_UNFOLDED = (
    "umup: weights, readout and branches have their multipliers in their values. What else unit scaling puts in the "
    "forward and backward pass is not there: activations, attention and loss of unit size, scaled gradients",
)


MUP = Parametrization(
    "mup@1",
    "mup",
    recipe(
        "mup",
        1,
        _GPT,
        about="decoders whose learning rate holds at any width; against width 256",
        optimizer="AdamW",
        source=_MUP,
        needs=("embedding",),
    ),
    WIDTH,
)
COMPLETEP = Parametrization(
    "completep@1",
    "mup",
    recipe(
        "completep",
        1,
        _GPT,
        about="decoders whose learning rate holds at any width and depth; against width 256 and 2 blocks",
        optimizer="AdamW",
        source=_COMPLETEP,
        needs=("embedding", "residual_out"),
    ),
    WIDTH,
    float(BLOCKS),
)
SPECTRAL = Parametrization(
    "spectral@1",
    "spectral",
    recipe(
        "spectral",
        1,
        table(hidden=_spectral, **_ROWS),
        about="any model, by the largest singular values of weights and of their changes",
        optimizer="any",
        source=_SPECTRAL,
    ),
)
UMUP = Parametrization(
    "umup@1",
    "umup",
    recipe(
        "umup",
        1,
        table(hidden=_unit, readout=_unit_readout, **_ROWS),
        about="unit scaling with its multipliers in values and rates",
        optimizer="AdamW",
        source=_UMUP,
    ),
    depth=1.0,
    alpha=0.5,
    said=_UNFOLDED,
)
