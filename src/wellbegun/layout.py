"""Axis roles -> fans. Fans are never guessed from a shape alone."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, SupportsIndex

from wellbegun._arguments import integer, message, shape_of
from wellbegun.errors import ArgumentTypeError, LayoutError

ROLES = "eloik"  # canonical order: experts, lookup rows, outputs, inputs, kernel window
_CHOICES = (
    "'oi' torch Linear, 'io' Flax/Keras Dense, 'oikk' torch Conv2d, 'kkio' Flax/Keras conv, "
    "'iokk' torch ConvTranspose2d, 'eio' experts, 'lo' lookup table, 'o' bias or scale"
)


class Fans(NamedTuple):
    """Number of terms summed into one output (`fan_in`) and into one backward signal (`fan_out`).

    Floats, because a stride divides them: each input of a convolution with stride 2 reaches half of the taps.
    """

    fan_in: float
    fan_out: float


@dataclass(frozen=True)
class Layout:
    """The role of each axis of a tensor, and what else its fans depend on.

    Args:
        axes: One letter per axis: `o` output units, `i` inputs, `k` kernel window, `e` independent experts, `l` rows
            of a lookup table. A letter may repeat: Flax attention kernels (d, heads, d_head) are "ioo".
        groups: Number of groups of a grouped convolution, >= 1; a depthwise convolution has as many as channels.
        stride: Stride of a convolution, one integer >= 1 for all window axes or one for each.
        sections: Blocks stacked along the output axis that act as separate matrices (fused q, k, v; LSTM gates):
            a number of equal blocks or a tuple of sizes. Fans are those of one block.
        transposed: Whether this is a transposed convolution, whose *input* axis is the ungrouped one and whose stride
            thins out the forward sum. None reads it from the order of the letters: "iok..." (torch) and "k...oi"
            (Keras) are the orders that only transposed convolutions use.
    Raises:
        LayoutError: on unknown letters or impossible combinations, here; on a shape that does not fit, at use.

    True fans, with window R = prod(k), groups G and stride product s (`shape` is the stored one):

    =================== ===================== =====================
    layer               fan_in                fan_out
    =================== ===================== =====================
    linear              i                     o
    convolution         i * R  (i is in/G)    (o / G) * R / s
    transposed conv.    (i / G) * R / s       o * R  (o is out/G)
    lookup table        1                     o
    experts             i                     o
    =================== ===================== =====================

    >>> Layout("oikk").fans((64, 32, 3, 3))
    Fans(fan_in=288.0, fan_out=576.0)
    >>> Layout("oikk", groups=64).fans((64, 1, 3, 3))      # depthwise: nine terms, not 576
    Fans(fan_in=9.0, fan_out=9.0)
    >>> Layout("iokk", stride=2).fans((32, 16, 4, 4))      # each output receives a quarter of the taps
    Fans(fan_in=128.0, fan_out=256.0)
    """

    axes: str
    groups: int = 1
    stride: int | tuple[int, ...] = 1
    sections: int | tuple[int, ...] | None = None
    transposed: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.axes, str):
            raise ArgumentTypeError(message("Layout", "axes", f"letters such as {_CHOICES}", self.axes))
        unknown = sorted(set(self.axes) - set(ROLES))
        if unknown:
            raise LayoutError(
                message("Layout", "axes", f"made of the letters o i k e l, such as {_CHOICES}", self.axes)
            )
        self._check_combination()
        object.__setattr__(self, "groups", integer("Layout", "groups", self.groups, minimum=1))
        object.__setattr__(self, "stride", _one_or_many("stride", self.stride))
        if self.sections is not None:
            object.__setattr__(self, "sections", _one_or_many("sections", self.sections))
        if self.transposed is None:
            object.__setattr__(self, "transposed", _reads_as_transposed(self.axes))

    def _check_combination(self) -> None:
        letters = self.axes
        if "l" in letters and (letters.count("l") > 1 or set(letters) - set("lo") or "o" not in letters):
            raise LayoutError(message("Layout", "axes", "one 'l' with 'o' for a lookup table", letters))
        depthwise = self.groups != 1 and "o" in letters  # one input for each group
        if "k" in letters and not {"o", "i"} <= set(letters) and not depthwise:
            raise LayoutError(message("Layout", "axes", "window axes 'k' together with 'o' and 'i'", letters))
        if set(letters) == {"e"}:
            raise LayoutError(message("Layout", "axes", "experts 'e' together with other axes", letters))

    # ------------------------------------------------------------------ canonical order
    @property
    def canonical(self) -> tuple[int, ...]:
        """The stored axes in canonical order e, l, o, i, k; equal letters keep their order."""
        return _order(self.axes)

    def canonical_shape(self, shape: Iterable[SupportsIndex]) -> tuple[int, ...]:
        """The shape with its axes in canonical order.

        >>> Layout("kkio").canonical_shape((3, 3, 16, 32))
        (32, 16, 3, 3)
        """
        sizes = self.check(shape)
        return tuple(map(sizes.__getitem__, _order(self.axes)))

    def check(self, shape: Iterable[SupportsIndex], *, owner: str = "Layout") -> tuple[int, ...]:
        """The shape as integers, or a LayoutError that says why it does not fit."""
        sizes = shape_of(owner, shape)
        if len(sizes) != len(self.axes):
            allowed = f"{len(sizes)} letters for {len(sizes)} axes"
            remedy = f"Shape {sizes} has {len(sizes)} axes; name the role of each: {_CHOICES}."
            raise LayoutError(message(owner, "layout", allowed, self.axes, remedy))
        units = self.size(sizes, "i" if self.transposed else "o")
        if self.groups > 1 and units % self.groups:
            raise LayoutError(message(owner, "groups", f"a divisor of the {units} channels", self.groups))
        self.section_sizes(sizes, owner=owner)
        return sizes

    def section_sizes(self, shape: tuple[int, ...], *, owner: str = "Layout") -> tuple[int, ...]:
        """Sizes of the blocks along the output axis: one entry if there are no sections."""
        units = self.size(shape, "o")
        if self.sections is None:
            return (units,)
        if isinstance(self.sections, int):
            if units % self.sections:
                raise LayoutError(message(owner, "sections", f"a divisor of the {units} output units", self.sections))
            return (units // self.sections,) * self.sections
        if sum(self.sections) != units:
            raise LayoutError(message(owner, "sections", f"sizes that add up to {units} output units", self.sections))
        return self.sections

    # ------------------------------------------------------------------ fans
    def fans(self, shape: Iterable[SupportsIndex], *, owner: str = "Layout") -> Fans:
        """Fans of the tensor, of one block if it has equal sections.

        Raises:
            LayoutError: the shape does not fit, the tensor has no input axis, or its sections differ in size
                (ask `section_fans` then).
        """
        found = self.section_fans(shape, owner=owner)
        if len(set(found)) > 1:
            raise LayoutError(message(owner, "layout", "equal sections, where one pair of fans is asked", self))
        return found[0]

    def section_fans(self, shape: Iterable[SupportsIndex], *, owner: str = "Layout") -> tuple[Fans, ...]:
        """Fans of each section along the output axis; a single entry without sections."""
        sizes = self.check(shape, owner=owner)
        return tuple(self._fans(sizes, units, owner) for units in self.section_sizes(sizes))

    def _fans(self, shape: tuple[int, ...], units: int, owner: str) -> Fans:
        if "l" in self.axes:
            return Fans(1.0, float(units))
        if not set(self.axes) & {"i", "k"}:
            remedy = "A bias or scale has none: give zeros(), ones() or normal(std=...), or a layout with an 'i' axis."
            raise LayoutError(message(owner, "layout", "one with fans (an input axis)", self.axes, remedy))
        inputs, window = self.size(shape, "i"), self.size(shape, "k")
        taps = window / self._stride_product()
        if self.transposed:
            return Fans(inputs / self.groups * taps, float(units * window))
        return Fans(float(inputs * window), units / self.groups * taps)

    def size(self, shape: tuple[int, ...], letter: str) -> int:
        """The product of a shape's sizes along the axes of a role.

        >>> Layout("kkio").size((3, 3, 16, 32), "k")
        9
        """
        found = 1
        for size, role in zip(shape, self.axes, strict=True):
            if role == letter:
                found *= size
        return found

    def _stride_product(self) -> int:
        windows = self.axes.count("k")
        if isinstance(self.stride, int):
            return int(self.stride**windows)
        if len(self.stride) != windows:
            raise LayoutError(message("Layout", "stride", f"one integer or {windows} of them", self.stride))
        return math.prod(self.stride)


@cache
def _order(axes: str) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=lambda axis: ROLES.index(axes[axis])))


def _one_or_many(argument: str, value: object) -> int | tuple[int, ...]:
    if isinstance(value, (tuple, list)):
        return tuple(integer("Layout", argument, item, minimum=1) for item in value)
    return integer("Layout", argument, value, minimum=1)  # type: ignore[arg-type]


def _reads_as_transposed(axes: str) -> bool:
    core = axes.replace("e", "")
    return "k" in core and (core.startswith("io") or core.endswith("oi"))


def resolve(
    layout: "str | Layout", shape: Iterable[SupportsIndex], *, owner: str = "Layout"
) -> tuple[Layout, tuple[int, ...]]:
    """The layout of a bare array. The default "oi" also stands for a bias (rank 1) and a scalar (rank 0).

    Raises:
        LayoutError: rank > 2 with the default layout, because two axes of a higher rank can mean anything.
    """
    sizes = shape_of(owner, shape)
    if isinstance(layout, Layout):
        found = layout
    elif layout == "oi" and len(sizes) < 2:
        found = Layout("o"[: len(sizes)])
    elif layout == "oi" and len(sizes) > 2:
        remedy = f"Say which axis is which: {_CHOICES}."
        raise LayoutError(message(owner, "layout", f"given for an array of rank {len(sizes)}", sizes, remedy))
    else:
        found = Layout(layout)
    return found, found.check(sizes, owner=owner)
