"""From what a recipe wants of a computed weight to what each parameter it is computed from gets."""

import math
from dataclasses import replace
from typing import NamedTuple

from wellbegun.errors import RuleError
from wellbegun.graph import Part, Role
from wellbegun.laws import Law, Orthogonal
from wellbegun.layout import Layout
from wellbegun.planning.method import Choice
from wellbegun.schemes import Scheme, constant, normal, ones, orthogonal, zeros


class Share(NamedTuple):
    """What one parameter gets."""

    law: Law
    layout: Layout
    scheme: Scheme
    reason: str
    leads: bool  # whether scaling its law scales the weight


def share_of(role: Role, picked: Choice, shape: tuple[int, ...]) -> Share:
    """The part of a computed weight's scheme that falls to one parameter, of this shape.

    Raises:
        RuleError: the computation does not tell.
    """
    assert role.computed is not None
    assert role.layout is not None
    assert isinstance(picked.scheme, Scheme)
    part = role.computed.parts.get(role.parameter.name)
    whole = picked.scheme.law(role.parameter.shape, layout=role.layout)
    if part is None:
        raise _untold(role)
    plain, name = Layout("o" * len(shape)), repr(picked.scheme)
    if part.what in ("weight", "free") and shape == role.parameter.shape:
        scale = part.size if part.what == "weight" else 1.0
        law = whole if abs(scale - 1) < 1e-6 else whole.scaled(_rounded(1 / scale))
        return Share(law, role.layout, picked.scheme, _joined(picked.reason, part.why), part.leads)
    scheme = _level(part, role) if part.what == "level" else _scheme(part, _rms(whole, role), role)
    reason = _joined(f"{picked.reason}: {name} for what is computed", part.why)
    return Share(scheme.law(shape, layout=plain), plain, scheme, reason, part.leads)


def held(role: Role, picked: Choice) -> Choice:
    """What is left of a choice where a parametrization holds singular values at 1, whatever size it is given."""
    if not role.parameter.bound or not isinstance(picked.scheme, Scheme) or role.layout is None:
        return picked
    law = picked.scheme.law(role.parameter.shape, layout=role.layout)
    if role.parameter.bound == "orthogonal":
        what, scheme = "all singular values at 1", orthogonal()
    elif isinstance(law, Orthogonal):
        what, scheme = "the largest singular value at 1", orthogonal(method=law.method)
    else:
        return picked
    return replace(picked, scheme=scheme, reason=f"{picked.reason}; its parametrization holds {what}", target=None)


def _scheme(part: Part, size: float, role: Role) -> Scheme:
    """For a parameter that is no weight by itself; `size` is the RMS that the weight is to have."""
    if part.what == "one":
        return ones()
    if part.what == "zero" or (size == 0 and part.what in ("weight", "factor", "magnitude", "bent")):
        return zeros()
    if part.what == "magnitude":
        return constant(_meant(size / part.size))
    if part.what == "bent":
        assert part.fit is not None
        std = part.fit(size)
        if not math.isfinite(std):
            raise _untold(role)
        return normal(std=_rounded(std))
    stds = {"weight": size / part.size, "free": 1.0, "entry": part.size}
    return normal(std=_rounded(stds.get(part.what, (size / part.size) ** part.power)))


def _level(part: Part, role: Role) -> Scheme:
    """For a weight that cannot have both signs: entries differ by half their mean."""
    assert part.fit is not None
    assert role.layout is not None
    mean = 1 / max(role.layout.fans(role.parameter.shape).fan_in, 1)
    start, low, high = (part.fit(times * mean) for times in (1.0, 0.75, 1.25))
    if not math.isfinite(start + low + high):
        raise _untold(role)
    return normal(mean=start, std=_rounded(abs(high - low)))


def _rms(law: Law, role: Role) -> float:
    """RMS of the entries of a law."""
    assert role.layout is not None
    found = law.moments(role.layout.canonical_shape(role.parameter.shape))
    return math.sqrt(found.variance + found.mean**2)


def _rounded(value: float) -> float:
    return float(f"{value:.8g}")


def _meant(value: float) -> float:
    """A number of few digits, where what keeps divisions from 0 has moved it by some millionths."""
    short = float(f"{value:.3g}")
    return short if math.isclose(value, short, rel_tol=2e-6) else _rounded(value)


def _joined(reason: str, why: str) -> str:
    return f"{reason}; {why}" if why else reason


def _untold(role: Role) -> RuleError:
    name = role.parameter.name
    others = [other for other in role.computed.shapes if other != name] if role.computed is not None else []
    beside = f" and {', '.join(others)}" if others else ""
    return RuleError(
        f"is what a weight is computed from{beside} ({role.place}), in a way that does not tell which values make it a "
        "good weight"
    )
