"""Coordinate nets and policies: siren@1, ppo@1, stable_baselines@1."""

import math
from dataclasses import replace

from wellbegun.graph import Role
from wellbegun.planning.method import Choice
from wellbegun.planning.recipes.base import recipe
from wellbegun.planning.recipes.common import always, fan_in, table
from wellbegun.planning.recipes.frameworks import TORCH_CHOICES, torch_bias, torch_weight
from wellbegun.schemes import normal, orthogonal, uniform, zeros
from wellbegun.theory import frequency

# ---------------------------------------------------------------------- siren
_SIREN = "Sitzmann et al. 2020, arXiv:2006.09661"


def _siren_weight(role: Role) -> Choice:
    """First layer +-1/n; after a sine +-sqrt(6/n)/w0, w0 being the frequency of the sine that follows, or the last."""
    inputs, sine = fan_in(role), _frequency(role)
    if role.depth == 0 and sine:
        return Choice(uniform(-1 / inputs, 1 / inputs), f"first layer before a sine: +-1/{inputs}", _SIREN)
    if sine:
        bound = math.sqrt(6 / inputs) / sine
        return Choice(uniform(-bound, bound), f"sine of frequency {sine:g}: +-sqrt(6/{inputs}) / {sine:g}", _SIREN)
    found = torch_weight(role)
    return replace(found, reason=f"no sine comes before or after it, so as torch@1: {found.reason}")


def _frequency(role: Role) -> float | None:
    """Of the sine that follows; of the one before, for a last linear layer."""
    after = role.met.function if role.met is not None else None
    for function in (after, role.fed_by):
        if function is not None and (found := frequency(function)) is not None:
            return found
    return None


SIREN = recipe(
    "siren",
    1,
    {**TORCH_CHOICES, "hidden": _siren_weight, "bias": torch_bias},
    about="coordinate nets with sines",
    optimizer="Adam",
    source=_SIREN,
    needs=("hidden",),
)

# ---------------------------------------------------------------------- ppo
_PPO = "Schulman et al. 2017, arXiv:1707.06347, baselines code; Huang et al. 2022, 37 implementation details of PPO"


def _is_value(role: Role) -> bool:
    """One output, as no other readout has; of several with one output, that with the word value or critic."""
    single = [name for name, outputs in role.net.readouts if outputs == 1]
    name = role.parameter.name
    if name not in single:
        return False
    if len(single) == 1 and len(role.net.readouts) > 1:
        return True
    return any(word in name.lower() for word in ("value", "critic"))


def _ppo_head(role: Role) -> Choice:
    if _is_value(role):
        return Choice(orthogonal(), "head of the value: orthogonal with gain 1", _PPO)
    return Choice(orthogonal(gain=0.01), "head of the policy: orthogonal with gain 0.01: actions start equal", _PPO)


PPO = recipe(
    "ppo",
    1,
    table(
        hidden=always(orthogonal(gain=math.sqrt(2)), "orthogonal with gain sqrt(2)", _PPO),
        readout=_ppo_head,
        embedding=always(normal(std=1.0), "lookup table, which the code has none of: standard normal"),
        positional=always(normal(std=0.02), "positions, which the code has none of: std 0.02"),
    ),
    about="policies and value functions of reinforcement learning",
    optimizer="Adam",
    source=_PPO,
    needs=("hidden", "readout"),
)

# ---------------------------------------------------------------------- stable_baselines
_SB3 = "Stable-Baselines3 2.9, ActorCriticPolicy with ortho_init"
# of linear layers and convolutions; recurrent layers, tables and norms stay as torch has them
STABLE_BASELINES = recipe(
    "stable_baselines",
    1,
    {
        **TORCH_CHOICES,
        "hidden": always(orthogonal(gain=math.sqrt(2)), "orthogonal with gain sqrt(2)", _SB3),
        "readout": _ppo_head,
        "bias": always(zeros(), "bias: 0", _SB3),
    },
    about="PPO and A2C of Stable-Baselines3: ppo, and what it does not fill as torch has it",
    optimizer="Adam",
    source=_SB3,
    needs=("hidden", "readout"),
)
