"""What named recipes share: tables of roles, sizes as published code reads them, and choices that say nothing new."""

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from wellbegun.graph import Role
from wellbegun.planning.method import KEEP, Choice
from wellbegun.planning.recipes.base import GENERAL, Chooser, scale_reason, unit_scale, zero
from wellbegun.planning.recipes.classic import CLASSIC
from wellbegun.schemes import (
    Scheme,
    by_section,
    fan_in_uniform,
    normal,
    truncated_normal,
    uniform,
    xavier_normal,
    xavier_uniform,
)

ATTENTION = frozenset({"query", "key", "value", "query_key", "key_value", "query_key_value", "attention_out"})
_FUSED = {
    "query_key_value": ("query", "key", "value"),
    "query_key": ("query", "key"),
    "key_value": ("key", "value"),
    "gate_up": ("gate", "up"),
}


def always(scheme: Scheme | str, reason: str, source: str = "") -> Chooser:
    """The same choice for every parameter of a role."""
    return lambda role: Choice(scheme, reason, source)


# ---------------------------------------------------------------------- sizes
class Sizes(NamedTuple):
    """A matrix or kernel as stored: `inputs` are those of one group, `window` is the size of the kernel."""

    outputs: int
    inputs: int
    window: int


def sizes(role: Role) -> Sizes:
    """Sizes of one expert of a weight, without any account of groups and strides: how published code counts."""
    assert role.layout is not None
    size = dict.fromkeys("oik", 1)
    for axis, length in zip(role.layout.axes, role.parameter.shape, strict=True):
        size[axis] = size.get(axis, 1) * length
    return Sizes(size["o"], size["i"], size["k"])


def parts(role: Role) -> int:
    """How many matrices are stacked in a fused projection: by its layout, or by what it feeds."""
    sections = role.layout.sections if role.layout else None
    if sections is None:
        return len(_FUSED.get(role.role, ("",)))
    return sections if isinstance(sections, int) else len(sections)


def fan_in(role: Role) -> int:
    """Terms summed into one output, as published code counts."""
    found = sizes(role)
    return found.inputs * found.window


def stream_width(role: Role) -> int:
    """Width of the stream that a weight belongs to; without one, its inputs."""
    return (role.stack.width if role.stack is not None else 0) or fan_in(role)


def table_width(role: Role) -> int:
    """Length of one entry of a table."""
    shape = role.parameter.shape
    return (role.layout.canonical_shape(shape) if role.layout else shape)[-1]


# ---------------------------------------------------------------------- schemes
def xavier(role: Role, *, gain: float = 1.0, stacked: bool = False, distribution: str = "uniform") -> Scheme:
    """Xavier with the fans of the stored matrix: of each projection that is fused in it, or of the whole stack."""
    found = sizes(role)
    fan_out = found.outputs * found.window / (1 if stacked else parts(role))
    named = xavier_uniform(gain=gain) if distribution == "uniform" else xavier_normal(gain=gain)
    assert role.layout is not None
    own = set(role.layout.section_fans(role.parameter.shape))
    if own == {(fan_in(role), fan_out)}:
        return named
    std = gain * math.sqrt(2 / (fan_in(role) + fan_out))
    return normal(std=std) if distribution == "normal" else uniform(-std * math.sqrt(3), std * math.sqrt(3))


def linear_default(role: Role, fan: int) -> Scheme:
    """U(-1/sqrt(fan), 1/sqrt(fan))."""
    if role.layout is not None and "i" in role.layout.axes:
        own = {fans.fan_in for fans in role.layout.section_fans(role.parameter.shape)}
        if own == {fan}:
            return fan_in_uniform()
    return uniform(-(fan**-0.5), fan**-0.5)


def clipped(std: float, times: float) -> Scheme:
    """Normal cut at +-times std, of std before the cut."""
    return truncated_normal(std=std, low=-times, high=times)


def within_two(std: float) -> Scheme:
    """torch's trunc_normal_ with its default bounds +-2 in units of the weight, which cut nothing of a small std."""
    return truncated_normal(std=std, bounds="absolute")


def by_part(role: Role, **schemes: Scheme) -> Scheme | None:
    """A scheme for each of the matrices that are fused in one, in the order in which it holds them, which what they
    feed tells, or the layer; None if nobody knows that."""
    layout, count, own = role.layout, parts(role), role.parameter.own
    told = own is not None and own.layout is not None and own.layout.sections == count
    order = role.parts or (tuple(_FUSED[role.role]) if told else ())
    if layout is None or layout.groups > 1 or len(order) != count or {*"el"} & {*layout.axes}:
        return None
    return by_section(*(schemes[name] for name in order)) if layout.axes.count("o") == 1 else None


# ---------------------------------------------------------------------- roles
def one(role: Role) -> Choice:
    """Ones for the scale of a normalization, or what stands for them where it is computed."""
    return Choice(unit_scale(role), scale_reason(role))


def multiplier(role: Role) -> Choice:
    """What multiplies outside a normalization stays."""
    return Choice(KEEP, f"multiplies a signal outside a norm ({role.place}): the recipe does not speak of it; kept")


def _unsaid(name: str) -> Chooser:
    def choose(role: Role) -> Choice:
        found = CLASSIC.choices[name](role)
        return replace(found, reason=f"the recipe does not speak of it, so as {CLASSIC.full_name}: {found.reason}")

    return choose


UNSAID: Mapping[str, Chooser] = MappingProxyType(
    {
        name: _unsaid(name)
        for name in CLASSIC.choices
        if name not in GENERAL or name == "recurrent_projection"  # more special roles follow the recipe's own
    }
)
PLAIN: Mapping[str, Chooser] = MappingProxyType(
    {**UNSAID, "bias": zero, "norm_scale": one, "norm_shift": zero, "multiplier": multiplier}
)


def everywhere(scheme: Scheme, reason: str, source: str, **own: Chooser) -> dict[str, Chooser]:
    """Choices of a recipe that fills weights, tables, positions and tokens alike."""
    alike = dict.fromkeys(("hidden", "embedding", "positional", "token"), always(scheme, reason, source))
    return table(**{**alike, **own})


def table(**own: Chooser) -> dict[str, Chooser]:
    """Choices of a recipe: its own, and zero biases, unit norms and classic@1 for all it does not speak of."""
    return {**PLAIN, **own}
