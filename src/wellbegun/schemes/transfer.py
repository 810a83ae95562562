"""Starts from a trained tensor: of a smaller, a wider, or a longer one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wellbegun._arguments import choice, instance, message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Built, Given, Law, Moments, Normal
from wellbegun.laws.base import mixture, set_field, shape_needed
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme
from wellbegun.schemes.donor import Donor
from wellbegun.schemes.fixed import FixedScheme

_WEIGHT = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 10.0, 11.0, 12.0], [13.0, 14.0, 15.0, 16.0]]
_TABLE = [[2.0, 0.0], [0.0, 1.0], [-2.0, 3.0], [4.0, 4.0]]


@dataclass(frozen=True, repr=False)
class SelectionScheme(Scheme):
    """Every so many-th index of each axis."""

    weight: Donor

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        size = layout.canonical_shape(shape)
        if len(size) != len(self.weight.shape) or any(a > b for a, b in zip(size, self.weight.shape, strict=True)):
            allowed = f"no longer than {self.weight.shape} on any axis"
            raise LayoutError(message(self.spelling, "shape", allowed, shape))
        places = [_places(few, many) for few, many in zip(size, self.weight.shape, strict=True)]
        return Given.of(self.weight.array[np.ix_(*places)])


def _places(few: int, many: int) -> Array:
    """Which of many are kept: each step-th where that is whole, else evenly from the first to the last."""
    if few and not many % few:
        return np.arange(few) * (many // few)
    return np.rint(np.linspace(0, many - 1, few)).astype(np.int64)


@scheme(
    formula="Weight selection: every (D / d)-th index along each axis of a larger trained tensor.",
    shapes=(
        "any, no longer than the given tensor on any axis; axes of the given one in canonical order (outputs first)."
    ),
    strengths=(
        "a small model starts from what a large one of its family has learned; all tensors choose the same channels."
    ),
    weaknesses="the same kind of model is needed; readouts of other classes are left out; the numbers are in the plan.",
    use="smaller models of a family; of its layers take the first ones.",
    source=(
        "Xu et al. 2023, arXiv:2311.18823; where D / d is not whole, places between first and last are rounded here."
    ),
    tensors="hidden convolution embedding",
    example=f"weight_selection(weight={_WEIGHT!r})",
    shape=(2, 4),
    invariants={"rows 0 and 2": lambda w: bool((w == np.array(_WEIGHT)[[0, 2]]).all())},
)
def weight_selection(weight: Any) -> SelectionScheme:
    """Args:
        weight: The trained tensor.
    Raises: ArgumentError, ArgumentTypeError here: weight. LayoutError at the draw: a tensor that is longer.

    >>> weight_selection([0.0, 1.0, 2.0, 3.0, 4.0])((3,), seed=0).tolist()
    [0.0, 2.0, 4.0]
    """
    donor = Donor.of("weight_selection", "weight", weight)
    return SelectionScheme(f"weight_selection(weight={donor!r})", donor)


@dataclass(frozen=True, repr=False)
class WiderScheme(Scheme):
    """Units that are copied, or inputs that are shared out among copies."""

    weight: Donor
    side: str

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        size, old = layout.canonical_shape(shape), self.weight.shape
        axis = 0 if self.side == "outputs" else 1
        same = len(size) == len(old) > axis and size[:axis] + size[axis + 1 :] == old[:axis] + old[axis + 1 :]
        if not same or size[axis] < old[axis] or not old[axis]:
            allowed = f"{old}, longer on axis {axis} only"
            raise LayoutError(message(self.spelling, "shape", allowed, shape))
        source = np.arange(size[axis]) % old[axis]
        wider = np.take(self.weight.array, source, axis)
        if axis:
            counts = np.bincount(source)[source]
            wider = wider / counts.reshape(-1, *[1] * (len(size) - 2))
        return Given.of(wider)


@scheme(
    formula=(
        "Net2Net wider: unit j of the wider layer is a copy of unit j mod n; the next layer's weights from it are "
        "divided by the number of its copies."
    ),
    shapes="matrices, kernels and biases that are longer than the given one along outputs, or along inputs.",
    strengths="the wider network computes what the old one did, for any elementwise function.",
    weaknesses="copies stay equal where dropout or noise does not part them; the numbers are in the plan.",
    use=(
        "both sides of a hidden layer: side 'outputs' for its weight and bias, 'inputs' for the next weight; a deeper "
        "network takes `eye` or `dirac` for new layers."
    ),
    source="Chen et al. 2016, arXiv:1511.05641 (copies are drawn there, in turn here).",
    tensors="hidden convolution bias",
    example=f"net2wider(weight={_TABLE!r}, side='inputs')",
    shape=(4, 3),
    invariants={
        "copies add up to the old weight": lambda w: (
            near(w[:, 0] + w[:, 2], np.array(_TABLE)[:, 0]) and near(w[:, 0], w[:, 2])
        ),
        "the others stay": lambda w: near(w[:, 1], np.array(_TABLE)[:, 1]),
    },
)
def net2wider(weight: Any, *, side: str = "outputs") -> WiderScheme:
    """Args:
        weight: The trained tensor, outputs first, then inputs.
        side: "outputs" or "inputs": which of them grow.
    Raises: ArgumentError, ArgumentTypeError here: arguments. LayoutError at the draw: shapes that do not fit.

    >>> a, b, x = np.array([[1.0, 2.0], [3.0, -4.0]]), np.array([[1.0, -1.0]]), np.array([0.5, 1.0])
    >>> first, second = net2wider(a)((5, 2), seed=0), net2wider(b, side="inputs")((1, 5), seed=0)
    >>> bool(np.allclose(second @ np.tanh(first @ x), b @ np.tanh(a @ x)))
    True
    """
    donor = Donor.of("net2wider", "weight", weight)
    choice("net2wider", "side", side, ("outputs", "inputs"))
    text = spell("net2wider", {"weight": donor, "side": side}, {"side": "outputs"})
    return WiderScheme(text, donor, side)


@dataclass(frozen=True)
class LongerTable(Built):
    """The rows of an older table, then rows drawn with their mean and covariance; see `resized_table`."""

    old: Given = Given((), (0, 0))  # noqa: RUF009 - a frozen value
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        instance("LongerTable", "old", self.old, Given)
        set_field(self, "scale", real("LongerTable", "scale", self.scale, minimum=0))

    def fits(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2 or shape[1] != self.old.size[1]:
            allowed = f"(rows, {self.old.size[1]}), as the older table"
            raise ArgumentError(message("resized_table", "shape", allowed, shape))

    def source(self, shape: tuple[int, ...]) -> tuple[Law, tuple[int, ...]]:
        return Normal(0.0, 1.0), (max(shape[0] - self.old.size[0], 0), shape[1])

    def whole(self, drawn: Array, shape: tuple[int, ...]) -> Array:
        """Old rows as they are; new ones by the root of their covariance."""
        rows = np.array(self.old.values).reshape(self.old.size)
        mean = rows.mean(axis=0)
        values, vectors = np.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
        root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
        return np.concatenate([rows, mean + self.scale * drawn @ root])[: shape[0]]

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        size = shape_needed(self, shape)
        self.fits(size)
        rows = np.array(self.old.values).reshape(self.old.size)
        kept = min(len(rows), size[0])
        share = kept / max(size[0], 1)
        columns = zip(rows.mean(axis=0).tolist(), rows.var(axis=0).tolist(), strict=True)
        each = [Moments(mean, self.scale**2 * variance, 0.0, 3.0) for mean, variance in columns]
        new = [((1 - share) / len(each), one) for one in each]
        return mixture([(share, Given.of(rows[:kept]).moments()), *(new if share < 1 else [])])

    def describe(self) -> str:
        return f"{self.old.size[0]} given rows, then N(their mean, {self.scale:g}² × their covariance)"

    def _reach(self, dtype: str) -> float:
        low, high = self.old.support()
        return max(abs(low), abs(high)) * (1 + 10 * self.scale)

    def _scaled(self, factor: float) -> Law:
        return LongerTable(self.stream, self.old._scaled(factor), self.scale)


@scheme(
    formula="Resized table: old rows stay, new ones ~ N(mean, scale^2 covariance) of the old rows.",
    shapes="tables (rows, width) of the given table's width; fewer rows keep the first ones.",
    strengths="logits of new tokens are like those of old ones, so that probabilities hardly move.",
    weaknesses=(
        "transformers' resize_token_embeddings takes 1e-9 times the covariance: scale=3.2e-5; a new token whose "
        "parts are known is better started from their mean. The numbers are in the plan."
    ),
    use="embeddings and readouts of a larger vocabulary.",
    source="Hewitt 2021, 'Initializing new word embeddings for pretrained language models'.",
    tensors="embedding readout positional",
    example=f"resized_table(table={_TABLE!r})",
    shape=(400, 2),
    layout="lo",
    invariants={
        "old rows stay": lambda w: bool((w[:4] == np.array(_TABLE)).all()),
        "new rows have their mean": lambda w: bool((np.abs(w[4:].mean(axis=0) - [1, 2]) < 6 * 2.3 / 396**0.5).all()),
        "and covariance": lambda w: bool(
            (np.abs(np.cov(w[4:].T) - np.cov(np.array(_TABLE).T, ddof=0)) < 6 * 5 * 1.5 / 396**0.5).all()
        ),
    },
)
def resized_table(table: Sequence[Any] | Any, *, scale: float = 1.0) -> FixedScheme:
    """Args:
        table: The old table, (rows, width), at least one row.
        scale: Of the deviations from the mean, >= 0; 0 gives all new rows the mean.
    Raises: ArgumentError, ArgumentTypeError here: arguments; at the draw, another width.

    >>> resized_table([[1.0, 3.0], [3.0, 5.0]], scale=0.0)((3, 2), seed=0, layout="lo").tolist()
    [[1.0, 3.0], [3.0, 5.0], [2.0, 4.0]]
    """
    donor = Donor.of("resized_table", "table", table)
    if len(donor.shape) != 2 or not donor.data:
        raise ArgumentError(message("resized_table", "table", "(rows, width), both above 0", donor.shape))
    number = real("resized_table", "scale", scale, minimum=0)
    text = spell("resized_table", {"table": donor, "scale": number}, {"scale": 1.0})
    return FixedScheme(text, LongerTable("", Given.of(donor.array), number))


publish(globals())
