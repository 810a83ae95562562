"""Linear recurrences beside state-space layers: poles of LRUs, decays and mixes of RWKV."""

import math
from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import choice, integer, message, real, text_of
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Computed, Law, Mapped, MappedCopy, Uniform
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme
from wellbegun.schemes.fixed import FixedScheme


def _ring(owner: str, low: float, high: float) -> tuple[float, float]:
    inner, outer = real(owner, "r_min", low, minimum=0), real(owner, "r_max", high)
    if not inner < outer <= 1 or inner**2 == outer**2:
        raise ArgumentError(message(owner, "r_max", f"in ({inner:g}, 1]", high))
    return inner, outer


def _poles(inner: float, outer: float) -> Mapped:
    return Mapped(Uniform(inner**2, outer**2), "log_decay")


@scheme(
    formula=(
        "LRU radius: nu = ln(-ln(s) / 2), s ~ U(r_min^2, r_max^2), so that poles e^(-e^nu + i theta) are uniform in "
        "area on a ring."
    ),
    shapes="any.",
    strengths="stable for every nu; |pole| near 1 remembers long.",
    weaknesses="words that would give nu = +-inf at r_min = 0 or r_max = 1 are moved by half a step.",
    use="the parameter nu_log of linear recurrent units; r_min 0.9, r_max 0.999 for long sequences.",
    source="Orvieto et al. 2023, arXiv:2303.06349, lemma 3.2.",
    tensors="state",
    example="lru_nu(r_min=0.5, r_max=0.9)",
    invariants={
        "r_min <= |pole| <= r_max": lambda w: bool(
            (np.exp(-np.exp(w)) >= 0.5 - 1e-12).all() and (np.exp(-np.exp(w)) <= 0.9 + 1e-12).all()
        ),
        "E |pole|^2 = (r_min^2 + r_max^2) / 2": lambda w: (
            abs(np.exp(-2 * np.exp(w)).mean() - 0.53) < 6 * 0.56 / math.sqrt(12 * w.size)
        ),
    },
)
def lru_nu(*, r_min: float = 0.0, r_max: float = 1.0) -> FixedScheme:
    """Args:
        r_min, r_max: Radii of the ring, 0 <= r_min < r_max <= 1.
    r_min: the smaller. r_max: the larger.
    Raises: ArgumentError here: arguments.

    >>> nu = lru_nu(r_min=0.9, r_max=0.999)((1000,), seed=0)
    >>> bool((np.exp(-np.exp(nu)) > 0.8999).all())
    True
    """
    inner, outer = _ring("lru_nu", r_min, r_max)
    text = spell("lru_nu", {"r_min": inner, "r_max": outer}, {"r_min": 0.0, "r_max": 1.0})
    return FixedScheme(text, _poles(inner, outer))


@scheme(
    formula="LRU phase: theta_log = ln(max_phase u), u ~ U(0, 1).",
    shapes="any.",
    strengths="poles e^(i e^theta_log) are spread evenly over the angles up to max_phase.",
    weaknesses="large phases make states turn faster than long sequences need.",
    use="the parameter theta_log of linear recurrent units; max_phase pi / 10 for long sequences.",
    source="Orvieto et al. 2023, arXiv:2303.06349.",
    tensors="state",
    example="lru_theta(max_phase=0.314)",
    invariants={
        "0 < phase <= max_phase": lambda w: bool((np.exp(w) <= 0.314 * (1 + 1e-12)).all()),
        "E phase = max_phase / 2": lambda w: abs(np.exp(w).mean() - 0.157) < 6 * 0.314 / math.sqrt(12 * w.size),
    },
)
def lru_theta(*, max_phase: float = 6.28) -> FixedScheme:
    """Args:
        max_phase: In radians, in (0, 2 pi].
    Raises: ArgumentError here: max_phase.

    >>> bool((np.exp(lru_theta(max_phase=1.0)((100,), seed=0)) <= 1).all())
    True
    """
    number = real("lru_theta", "max_phase", max_phase, minimum=0, exclusive=True)
    if number > 2 * math.pi:
        raise ArgumentError(message("lru_theta", "max_phase", "in (0, 2 pi]", max_phase))
    law = Mapped(Uniform(0.0, number), "log")
    return FixedScheme(spell("lru_theta", {"max_phase": number}, {"max_phase": 6.28}), law)


@dataclass(frozen=True, repr=False)
class LruGamma(Scheme):
    """What normalizes the input of each pole."""

    stream: str
    nu: Mapped

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        return MappedCopy(self.nu, self.stream, layout.canonical_shape(shape), 1.0, "log_gain")


@scheme(
    formula="LRU normalizer: gamma_log = ln sqrt(1 - |pole|^2), of the poles that another parameter holds.",
    shapes="that of the parameter nu_log.",
    strengths="each state has the size of the input, whatever its memory.",
    weaknesses="needs the other parameter's name; follows it where a plan gives that another law.",
    use="the parameter gamma_log of linear recurrent units.",
    source="Orvieto et al. 2023, arXiv:2303.06349, proposition 3.3.",
    tensors="state",
    example="lru_gamma(nu='nu_log', r_min=0.5, r_max=0.9)",
    invariants={
        "r_min <= sqrt(1 - e^(2 gamma_log)) <= r_max": lambda w: bool(
            (np.sqrt(1 - np.exp(2 * w)) >= 0.5 - 1e-9).all() and (np.sqrt(1 - np.exp(2 * w)) <= 0.9 + 1e-9).all()
        ),
        "E |pole|^2 = (r_min^2 + r_max^2) / 2": lambda w: (
            abs((1 - np.exp(2 * w)).mean() - 0.53) < 6 * 0.56 / math.sqrt(12 * w.size)
        ),
    },
)
def lru_gamma(nu: str = "nu_log", *, r_min: float = 0.0, r_max: float = 1.0) -> LruGamma:
    """Args:
        nu: Name of the parameter nu_log.
        r_min: As for `lru_nu`.
        r_max: As for `lru_nu`.
    Raises: ArgumentError here: arguments.

    >>> nu = lru_nu(r_min=0.5, r_max=0.9)((4,), seed=0, name="nu_log", dtype="float64")
    >>> gamma = lru_gamma(nu="nu_log", r_min=0.5, r_max=0.9)((4,), seed=0, name="gamma_log", dtype="float64")
    >>> bool(np.allclose(np.exp(2 * gamma), 1 - np.exp(-2 * np.exp(nu))))
    True
    """
    inner, outer = _ring("lru_gamma", r_min, r_max)
    name = text_of("lru_gamma", "nu", nu)
    text = spell("lru_gamma", {"nu": name, "r_min": inner, "r_max": outer}, {"r_min": 0.0, "r_max": 1.0})
    return LruGamma(text, name, _poles(inner, outer))


# ---------------------------------------------------------------------- RWKV
@dataclass(frozen=True)
class Rwkv(Computed):
    """A formula of the channel and of the depth of the layer; see `rwkv_decay`, `rwkv_first` and `rwkv_mix`."""

    size: tuple[int, ...]
    formula: str
    depth: float  # of the layer, 0 first and 1 last
    layers: int
    gain: float = 1.0

    def rows(self, start: int, stop: int) -> Array:
        width = math.prod(self.size)
        each = width // max((self.size or (1,))[0], 1)
        h: Array = np.arange(start * each, stop * each)
        values: Array
        if self.formula == "decay":
            values = -5 + 8 * (h / max(width - 1, 1)) ** (0.7 + 1.3 * self.depth)
        elif self.formula == "first":
            values = math.log(0.3) + 0.5 * ((h + 1) % 3 - 1)
        else:
            mix = (h / width) ** (
                (1 - self.depth * (1 - 1 / self.layers)) * (0.5 if self.formula == "receptance" else 1)
            )
            values = mix + (0.3 * self.depth if self.formula == "value" else 0.0)
        return (self.gain * values).reshape(stop - start, *self.size[1:])


@dataclass(frozen=True, repr=False)
class RwkvScheme(Scheme):
    """For one layer of many; axes of size 1 beside the channels do not matter."""

    formula: str
    depth: float
    layers: int

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        size = layout.canonical_shape(shape)
        if max(size, default=1) != math.prod(size):
            raise LayoutError(message(self.spelling, "shape", "that of a vector of channels", shape))
        return Rwkv(size, self.formula, self.depth, self.layers)


def _rwkv(owner: str, formula: str, layer: int, layers: int, extra: dict[str, object] | None = None) -> RwkvScheme:
    count, index = integer(owner, "layers", layers, minimum=1), integer(owner, "layer", layer)
    if index >= count:
        raise ArgumentError(message(owner, "layer", f"in [0, {count})", layer))
    options = {"layer": index, "layers": count, **(extra or {})}
    text = spell(owner, options, {"layer": 0, "layers": 1, "of": "key"})
    return RwkvScheme(text, formula, index / max(count - 1, 1), count)


@scheme(
    formula="RWKV-4 decay: w_h = -5 + 8 (h / (D - 1))^(0.7 + 1.3 l / (L - 1)) for channel h of D, layer l of L.",
    shapes="vectors of channels, also with axes of size 1.",
    strengths="channels forget at rates from slow to fast; later layers have more slow ones.",
    weaknesses="needs the number of the layer; one layer alone counts as the first.",
    use="time_decay of RWKV-4.",
    source="Peng et al. 2023, arXiv:2305.13048, appendix.",
    tensors="state",
    example="rwkv_decay(layer=2, layers=5)",
    shape=(33,),
    layout="o",
    invariants={
        "from -5 to 3": lambda w: near(w[[0, -1]], np.array([-5.0, 3.0])),
        "exponent 1.35 in the middle layer": lambda w: near(w[16:17], np.array([-5 + 8 * 0.5**1.35])),
    },
)
def rwkv_decay(*, layer: int = 0, layers: int = 1) -> RwkvScheme:
    """Args:
        layer: Its number, from 0.
        layers: How many there are.
    Raises: ArgumentError here: arguments. LayoutError at the draw: no vector.

    >>> rwkv_decay()((2,), seed=0).tolist()
    [-5.0, 3.0]
    """
    return _rwkv("rwkv_decay", "decay", layer, layers)


@scheme(
    formula="RWKV-4 bonus of the present: u_h = ln 0.3 + (((h + 1) mod 3) - 1) / 2.",
    shapes="vectors of channels, also with axes of size 1.",
    strengths="neighbouring channels start with different bonuses.",
    weaknesses="a port that puts brackets elsewhere gives all channels the same.",
    use="time_first of RWKV-4.",
    source="Peng et al. 2023, arXiv:2305.13048, appendix.",
    tensors="state",
    shape=(33,),
    layout="o",
    invariants={
        "three values in turn": lambda u: (
            near(u[:3], math.log(0.3) + np.array([0.0, 0.5, -0.5])) and bool((u[3:] == u[:-3]).all())
        )
    },
)
def rwkv_first() -> RwkvScheme:
    """Raises: LayoutError at the draw: no vector.

    >>> (rwkv_first()((3,), seed=0, dtype="float64") - math.log(0.3)).round(9).tolist()
    [0.0, 0.5, -0.5]
    """
    return RwkvScheme("rwkv_first()", "first", 0.0, 1)


@scheme(
    formula=(
        "RWKV-4 mix with the step before: (h / D)^(1 - l / L) for keys; + 0.3 l / (L - 1) for values; half the "
        "exponent for receptances."
    ),
    shapes="vectors of channels, also with axes of size 1.",
    strengths="channels look at the present and at the step before in all proportions.",
    weaknesses="needs the number of the layer; one layer alone counts as the first.",
    use="time_mix_k, time_mix_v, time_mix_r of RWKV-4.",
    source="Peng et al. 2023, arXiv:2305.13048, appendix.",
    tensors="state",
    example="rwkv_mix(layer=3, layers=4, of='value')",
    shape=(16,),
    layout="o",
    invariants={
        "(h / D)^(1 - l / L) + 0.3": lambda m: near(m, (np.arange(16) / 16) ** 0.25 + 0.3),
    },
)
def rwkv_mix(*, layer: int = 0, layers: int = 1, of: str = "key") -> RwkvScheme:
    """Args:
        layer: Its number, from 0.
        layers: How many there are.
        of: "key", "value" or "receptance".
    Raises: ArgumentError here: arguments. LayoutError at the draw: no vector.

    >>> rwkv_mix()((4,), seed=0).tolist()
    [0.0, 0.25, 0.5, 0.75]
    """
    choice("rwkv_mix", "of", of, ("key", "value", "receptance"))
    return _rwkv("rwkv_mix", of, layer, layers, {"of": of})


publish(globals())
