"""Whether two models hold alike values, tensor by tensor: bit by bit, or as far as a sample of a law can tell."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, zip_longest
from typing import Literal, NamedTuple

import numpy as np

from wellbegun._display import Displayed
from wellbegun._typing import Array
from wellbegun.layout import ROLES, Layout

SAMPLE = 1 << 16  # values of each tensor that distributions are compared on
CHANCE = 1e-3  # that anything at all is told apart where both models are drawn from the same laws

_UNKNOWN = "the same values in an order of axes that is not known: give a batch, which tells it"
_TURNED = "the same values with axes in another order: one of them may be transposed"
_GROUPED = "the same values, but a flatten has units and places in another order: outputs differ"

_PARTS = ("recurrent_input", "recurrent", "recurrent_projection", "recurrent_bias_input", "recurrent_bias")

Verdict = Literal["same", "alike", "differs", "missing"]


class Stored(NamedTuple):
    """One parameter of a model."""

    values: Array | None  # float64, in stored axes; None where there are none to compare
    layout: Layout | None  # the roles of its axes, where they are known
    home: str = ""  # framework
    part: str = ""  # its role in a recurrent layer
    groups: Mapping[str, tuple[int, ...]] = {}  # letter of an axis -> sizes before, of and after the units along it


@dataclass(frozen=True)
class ComparedTensor:
    """One tensor of two models. Numbers are mean and standard deviation; None where a model does not have it."""

    name: str
    verdict: Verdict
    first: tuple[float, float] | None
    second: tuple[float, float] | None
    why: str


@dataclass(frozen=True)
class ModelComparison(Displayed):
    """Two models, tensor by tensor."""

    tensors: tuple[ComparedTensor, ...]

    @property
    def same(self) -> bool:
        """Whether all values are the same, bit by bit."""
        return all(tensor.verdict == "same" for tensor in self.tensors)

    @property
    def alike(self) -> bool:
        """Whether both have the same tensors, which are the same or may have been drawn from the same laws."""
        return all(tensor.verdict in ("same", "alike") for tensor in self.tensors)

    def counts(self) -> dict[str, int]:
        """How many tensors there are of each verdict."""
        found = [tensor.verdict for tensor in self.tensors]
        return {verdict: found.count(verdict) for verdict in ("same", "alike", "differs", "missing")}

    def __repr__(self) -> str:
        told = ", ".join(f"{number} {verdict}" for verdict, number in self.counts().items() if number)
        return f"<ModelComparison: {told or 'no tensors'}>"


def compared(first: Mapping[str, Stored], second: Mapping[str, Stored]) -> ModelComparison:
    """Compare parameters of the same names.

    >>> one = {"w": Stored(np.zeros((2, 3)), Layout("oi"))}
    >>> compared(one, {"w": Stored(np.zeros((3, 2)), Layout("io"))}).same
    True
    """
    level = CHANCE / max(len(first), 1)
    paired = _cells(first, second)
    known = {name for names, others in paired for name in (*names, *others)}
    found = [
        _tensor(name, first.get(name), second.get(name), level)
        for name in dict.fromkeys((*first, *second))
        if name not in known
    ]
    cells = [_gated(names, others, first, second, level) for names, others in paired]
    return ModelComparison((*found, *cells))


# ---------------------------------------------------------------------- recurrent layers of other frameworks
Names = tuple[str, ...]


def _cells(first: Mapping[str, Stored], second: Mapping[str, Stored]) -> list[tuple[Names, Names]]:
    """Parts of recurrent layers that only one of both has by its name, in their order: matrices beside matrices, and
    the biases of a cell, one or two, beside biases."""
    sides: list[dict[str, list[Names]]] = []
    for own, other in ((first, second), (second, first)):
        alone = {name: stored.part for name, stored in own.items() if stored.part and name not in other}
        parts = {part: [name for name, found in alone.items() if found == part] for part in _PARTS}
        biases = zip_longest(*(parts[part] for part in _PARTS if "bias" in part))
        grouped = [tuple(name for name in both if name is not None) for both in biases]
        sides.append({"biases": grouped} | {part: [(n,) for n in parts[part]] for part in _PARTS if "bias" not in part})
    return [pair for part, own in sides[0].items() if len(own) == len(sides[1][part])
            for pair in zip(own, sides[1][part], strict=True)]  # fmt: skip


def _gated(
    names: Names, others: Names, first: Mapping[str, Stored], second: Mapping[str, Stored], level: float
) -> ComparedTensor:
    """Parts of two cells, whose gates may lie in other orders; of two biases against one, their sum."""
    parts, against = [first[name] for name in names], [second[name] for name in others]
    told = " + ".join(names), f"against {' + '.join(others)}"
    if any(one.values is None for one in (*parts, *against)):
        return ComparedTensor(told[0], "missing", None, None, "no real numbers to compare: complex, or nothing is held")
    gates = max(one.layout.sections if one.layout and isinstance(one.layout.sections, int) else 1 for one in parts)
    one, two = _rows(parts, gates), _rows(against, gates)
    if one.shape[1:] == two.shape[1:] and len(one) != len(two):
        one, two = (rows.sum(0, keepdims=True).astype(np.float32) for rows in (one, two))  # as it was stored
    numbers = _mean_std(one), _mean_std(two)
    if one.shape != two.shape:
        return ComparedTensor(told[0], "differs", *numbers, f"{told[1]}: {one.size} values against {two.size}")
    for order in permutations(range(gates)):
        if np.array_equal(one, two[:, list(order)], equal_nan=True):
            turned = "" if order == (*range(gates),) else f", with gates in order {', '.join(map(str, order))}"
            return ComparedTensor(told[0], "same", *numbers, told[1] + turned)
    why = _unlike(one.ravel(), two.ravel(), level)
    return ComparedTensor(told[0], "differs" if why else "alike", *numbers, f"{told[1]}: {why}" if why else told[1])


def _rows(parts: Sequence[Stored], gates: int) -> Array:
    """(matrices or biases, gates, values of each)."""
    wide = max(one.values.shape[-1] for one in parts if one.values is not None)
    whole = [
        _canonical(one).reshape(-1 if "bias" in one.part else 1, *([wide] if "bias" in one.part else [-1]))
        for one in parts
    ]
    return np.concatenate(whole).reshape(sum(map(len, whole)), gates, -1)


def _tensor(name: str, first: Stored | None, second: Stored | None, level: float) -> ComparedTensor:
    numbers = _numbers(first), _numbers(second)
    if first is None or second is None:
        return ComparedTensor(name, "missing", *numbers, f"only the {'second' if first is None else 'first'} has it")
    if first.values is None or second.values is None:
        return ComparedTensor(name, "missing", *numbers, "no real numbers to compare: complex, or nothing is held")
    same, why = _equal(first, second)
    if not same and not why:
        why = _unlike(_canonical(first), _canonical(second), level)
        return ComparedTensor(name, "differs" if why else "alike", *numbers, why)
    equal = why in (_UNKNOWN, _TURNED, _GROUPED)
    return ComparedTensor(name, "same" if same else "alike" if equal else "differs", *numbers, why)


def _equal(first: Stored, second: Stored) -> tuple[bool, str]:
    """Whether the values are the same, and why nothing else need be asked, "" if it need."""
    assert first.values is not None
    assert second.values is not None
    known, own = _sizes(first), _sizes(second)
    if (known and own) or first.home == second.home:
        if known != own or (known is None and first.values.shape != second.values.shape):
            return False, f"shapes {first.values.shape} and {second.values.shape} are not of one layer"
        if np.array_equal(_canonical(first), _canonical(second), equal_nan=True):
            return True, ""
        one, two = (stored._replace(groups={}) for stored in (first, second))
        if first.groups != second.groups and np.array_equal(_canonical(one), _canonical(two), equal_nan=True):
            return False, _GROUPED
        return False, _TURNED if _turned(first.values, second.values) else ""
    if first.values.size != second.values.size:
        return False, f"shapes {first.values.shape} and {second.values.shape} hold different numbers of values"
    if not _turned(first.values, second.values):
        return False, ""
    shape = first.values.shape
    return (True, "") if len(set(shape)) == len(shape) else (False, _UNKNOWN)


def _sizes(stored: Stored) -> tuple[int, ...] | None:
    """Numbers of outputs, inputs, ..., whatever axes they are spread over; None if the roles of axes are not known."""
    layout, values = stored.layout, stored.values
    if values is None or layout is None or len(layout.axes) != values.ndim:
        return None
    of = [[n for n, role in zip(values.shape, layout.axes, strict=True) if role == letter] for letter in ROLES]
    return tuple(map(math.prod, of))


def _turned(first: Array, second: Array) -> bool:
    """Whether values are the same in some order of axes."""
    orders = permutations(range(second.ndim)) if second.ndim < 6 else ()
    turned = (second.transpose(order) for order in orders)
    return any(one.shape == first.shape and np.array_equal(one, first, equal_nan=True) for one in turned)


def _canonical(stored: Stored) -> Array:
    """Values in the order of axes that all frameworks share, where it is known, and units last of what one axis has."""
    assert stored.values is not None
    values, letters = stored.values, "o" if stored.values.ndim == 1 else ""
    if stored.layout is not None and _sizes(stored) is not None:
        order = stored.layout.canonical
        values, letters = values.transpose(order), "".join(stored.layout.axes[axis] for axis in order)
    for letter, group in stored.groups.items():
        axis = letters.find(letter)
        if letters.count(letter) == 1 and values.shape[axis] == math.prod(group):
            around = values.shape[:axis], values.shape[axis + 1 :]
            values = values.reshape(*around[0], *group, *around[1]).swapaxes(axis + 1, axis + 2).reshape(values.shape)
    return values.ravel()


def _numbers(stored: Stored | None) -> tuple[float, float] | None:
    return None if stored is None or stored.values is None else _mean_std(stored.values)


@np.errstate(all="ignore")
def _mean_std(values: Array) -> tuple[float, float]:
    return (float(values.mean()), float(values.std())) if values.size else (math.nan, math.nan)


def _probability(first: Array, second: Array) -> float:
    """That two samples of one law differ as much, at most: by the largest distance of their distributions and of those
    of their distances from the middle (Kolmogorov and Smirnov), and in place and scale (normal scores of van der
    Waerden and of Klotz). Distances alone need 1,024 values for what the scores tell of 128."""
    from scipy.special import erfc, ndtri  # loaded on use, as all of SciPy
    from scipy.stats import ks_2samp, rankdata

    whole, size = np.concatenate([first, second]), first.size
    folded = np.abs(whole - np.median(whole))
    scores = ndtri((rankdata(whole) - 0.5) / whole.size)
    apart = [ks_2samp(x[:size], x[size:], method="asymp").pvalue for x in (whole, folded)]
    for score in (scores, scores**2):
        off = score - score.mean()
        variance = size * second.size / (whole.size * (whole.size - 1)) * float(off @ off)
        apart.append(erfc(abs(float(off[:size].sum())) / math.sqrt(2 * variance)) if variance else 1.0)
    return float(len(apart) * min(apart))


def _unlike(first: Array, second: Array, level: float) -> str:
    """How two samples differ that cannot be of one law; "" if they may be."""
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return "not all values are finite"
    parts = [values[:: -(-values.size // SAMPLE)] for values in (first, second)]
    constant = [np.ptp(part) == 0 for part in parts]
    if not any(constant) and _probability(*parts) >= level:
        return ""
    if all(constant):
        return f"{first[0]:.4g} against {second[0]:.4g}"
    (mean, std), (other_mean, other_std) = _mean_std(first), _mean_std(second)
    if abs(std - other_std) > 0.02 * max(std, other_std):
        return f"standard deviation {std:.4g} against {other_std:.4g}"
    if abs(mean - other_mean) > 0.02 * max(std, other_std):
        return f"mean {mean:.4g} against {other_mean:.4g}"
    return "the same mean and standard deviation, but another distribution"
