"""auto@2 for parameters that are no weights of a product: tables, biases, norms, recurrent layers."""

import math
from collections.abc import Mapping
from types import MappingProxyType

from wellbegun.graph import Role
from wellbegun.planning.method import KEEP, Choice
from wellbegun.planning.recipes.base import (
    Chooser,
    centre,
    distance_scale,
    multiplier,
    norm_scale,
    recurrent,
    slope,
    zero,
)
from wellbegun.schemes import normal, orthogonal, zeros

_GPT2 = "Radford et al. 2019; measured for this recipe"
_MEASURED = "measured for this recipe"
_SAXE = "Saxe et al. 2014, arXiv:1312.6120"
_SCORE = 0.01  # RMS of products of two rows; noisy ratings, held out: 0.30, at 0.3 0.81, with unit rows 4.5
_OFFSET = 0.1  # and of numbers added to it; wide and deep, held out: 0.84, with unit numbers 0.87
_INPUT_GAIN, _RECURRENT_GAIN = {"gru": 1.4}, {"lstm": 0.6}  # else 1


def readout_rms(role: Role) -> float:
    """Logits of this RMS cost about 2 % over chance: a softmax over K outputs of variance s^2 loses s^2 / 2 nats."""
    assert role.layout is not None
    axis = "l" if role.shared_readout else "o"
    sizes = zip(role.parameter.shape, role.layout.axes, strict=True)
    classes = math.prod(size for size, letter in sizes if letter == axis)
    if classes < 2:
        return 0.3
    return min(0.5 if role.net.normed else 1.0, math.sqrt(0.04 * math.log(classes)))


def _embedding(role: Role) -> Choice:
    if role.shared_readout:
        width = role.layout.canonical_shape(role.parameter.shape)[-1] if role.layout else role.parameter.shape[-1]
        size, around = readout_rms(role) if role.layout else 0.5, role.readout_scale
        reason = f"table that is also the readout: std {size:.2g}/sqrt({width}) keeps the first loss near chance"
        if around and abs(around - 1) > 1e-6:
            std = float(f"{min(size * width**-0.5 / around, role.unit):.8g}")
            return Choice(normal(std=std), f"{reason}, times {1 / around:.4g} for the constants around it", _GPT2)
        return Choice(normal(std=size * width**-0.5), reason, _GPT2)
    if role.scored:
        size, reason = (
            min(_SCORE**0.5 * role.scored**-0.25, 1.0),
            f"rows of two tables are multiplied: scores of RMS {_SCORE}",
        )
        return Choice(normal(std=float(f"{size:.8g}")), f"{reason}, from which they learn what others share", _MEASURED)
    if role.offset:
        reason = f"one number a row, added to the output: outputs of RMS {_OFFSET:g} say little of rows seldom seen"
        return Choice(normal(std=float(f"{min(_OFFSET * role.offset**-0.5, 1.0):.8g}")), reason, _MEASURED)
    if role.bag.rows > 1:
        what, rows = "averaged" if role.bag.averaged else "added", role.bag.rows
        reason = f"rows are {what}, {rows} at a time: entries of 1/sqrt({rows}) learn faster than unit ones"
        return Choice(normal(std=float(f"{role.bag.rows**-0.5:.8g}")), reason, _MEASURED)
    if abs(role.unit - 1) > 1e-6:
        reason = f"lookup table in front of the constant {1 / role.unit:.4g}: both together give unit entries"
        return Choice(normal(std=float(f"{role.unit:.8g}")), reason, _GPT2)
    return Choice(normal(std=1.0), "lookup table: one term per output, so entries of unit variance", _GPT2)


def _positional(role: Role) -> Choice:
    if role.multiplied:
        reason = "positions multiplied with a signal: their share of the logits starts small, whatever the width"
        return Choice(normal(std=0.02), reason, _GPT2)
    if role.on_table:
        return Choice(normal(std=0.02), "positions added to a lookup table: small beside the tokens", _GPT2)
    return Choice(normal(std=0.5), "positions added to a dense signal: of its order, or they are lost in it", _GPT2)


def _token(role: Role) -> Choice:
    if role.alone:
        return Choice(normal(std=1.0), "a signal of its own, like the queries of an attention: unit entries", _GPT2)
    return Choice(normal(std=0.02), "stands among the entries of a signal, like a class token: small", _GPT2)


def _recurrent_input(role: Role) -> Choice:
    gain = _INPUT_GAIN.get(role.mode, 1.0)
    return Choice(
        orthogonal(gain=gain), f"input weights of a {role.mode} layer, each gate of its own, gain {gain}", _SAXE
    )


def _recurrent(role: Role) -> Choice:
    gain = _RECURRENT_GAIN.get(role.mode, 1.0)
    if gain == 1:
        return recurrent(role)
    reason = f"recurrent weights of a {role.mode} layer, each gate of its own, gain {gain}"
    return Choice(orthogonal(gain=gain), reason, _MEASURED)


def _recurrent_bias(role: Role) -> Choice:
    more = "; learns faster than a forget bias of 1, which is for memories over hundreds of steps"
    return Choice(zeros(), f"biases of a recurrent layer start at 0{more if role.mode == 'lstm' else ''}", _MEASURED)


def _bias(role: Role) -> Choice:
    if role.timed:
        return Choice(KEEP, f"part of a state-space layer ({role.place}): kept as constructed")
    return zero(role)


CHOICES: Mapping[str, Chooser] = MappingProxyType(
    {
        "embedding": _embedding,
        "positional": _positional,
        "token": _token,
        "centre": centre,
        "distance_scale": distance_scale,
        "recurrent_input": _recurrent_input,
        "recurrent": _recurrent,
        "recurrent_projection": lambda _: Choice(orthogonal(), "linear projection of a recurrent state", _SAXE),
        "recurrent_bias_input": _recurrent_bias,
        "recurrent_bias": zero,
        "bias": _bias,
        "norm_scale": norm_scale,
        "norm_shift": zero,
        "negative_slope": slope,
        "multiplier": multiplier,
    }
)
