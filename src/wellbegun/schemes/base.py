"""A scheme turns layout + shape into a law. Frozen, printable, comparable, picklable."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, SupportsIndex

from wellbegun._arguments import guarded, message
from wellbegun._typing import Array
from wellbegun.engine import fill
from wellbegun.errors import LayoutError
from wellbegun.laws import Law, Sections
from wellbegun.layout import Layout, resolve

Shape = Iterable[SupportsIndex] | SupportsIndex
_AXES = {
    "io": "that of a matrix ('oi' or 'io')",
    "iko": "that of a convolution over one axis: 'oik', or 'iok' in pykan",
    "ikko": "that of a convolution over two axes",
}


@dataclass(frozen=True)
class Scheme:
    """Base of all schemes. Two schemes are equal if they give the same laws, however they were spelled."""

    spelling: str = field(compare=False)  # the call that made it: what repr, tables and plans show

    def __repr__(self) -> str:
        return self.spelling

    def law(self, shape: Shape, *, layout: str | Layout = "oi") -> Law:
        """The law for one tensor, with final numbers.

        Args:
            shape: Stored shape of the tensor.
            layout: Role of each axis, as letters or a `Layout`; needed for more than two axes.
        Raises:
            LayoutError: the layout does not fit the shape, or the scheme needs fans the tensor does not have.
        """
        resolved, sizes = resolve(layout, shape if isinstance(shape, Iterable) else (shape,), owner=self.spelling)
        return self._checked_law(sizes, resolved)

    def __call__(
        self,
        shape: Shape,
        *,
        seed: SupportsIndex | None,
        name: str = "",
        layout: str | Layout = "oi",
        dtype: Any = "float32",
        out: Array | None = None,
    ) -> Array:
        """Draw a tensor of this shape from the stream (seed, name); see `wellbegun.engine.fill` for the arguments.

        The values do not depend on the order of the axes: the same tensor stored "io" is the transpose of "oi".
        Cost: one pass over the tensor; for orthogonal matrices O(rows columns min(rows, columns)).
        """
        resolved, sizes = resolve(layout, shape if isinstance(shape, Iterable) else (shape,), owner=self.spelling)
        law, order = self._checked_law(sizes, resolved), resolved.canonical
        if list(order) == sorted(order):
            return fill(law, sizes, seed=seed, name=name, dtype=dtype, out=out)
        canonical = tuple(sizes[axis] for axis in order)
        back = tuple(order.index(axis) for axis in range(len(order)))
        if out is not None and out.shape == sizes:
            return fill(law, canonical, seed=seed, name=name, dtype=dtype, out=out.transpose(order)).transpose(back)
        if out is not None:
            fill(law, sizes, seed=seed, name=name, dtype=dtype, out=out)  # raises the message about the shape
        drawn = fill(law, canonical, seed=seed, name=name, dtype=dtype)
        return drawn.transpose(back).copy()

    def read(self, shape: tuple[int, ...]) -> Layout | None:
        """How a bare tensor of this shape is read, if not as outputs, inputs and window."""
        return None

    def _checked_law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        try:
            return self._law(shape, layout)
        except Exception:  # of any kind: told with its cause
            with guarded(self.spelling, shape):
                raise

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        raise NotImplementedError  # pragma: no cover - every scheme defines it

    def _check_axes(self, layout: Layout, letters: str) -> None:
        """Raise LayoutError unless the axes are these, given in the order of the alphabet."""
        if sorted(layout.axes) != list(letters):
            raise LayoutError(message(self.spelling, "layout", _AXES[letters], layout.axes))


class Blockwise(Scheme):
    """A law for each section and each group of a matrix or kernel, from its canonical shape (out, in, *window)."""

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        size, axes = layout.canonical_shape(shape), layout.axes
        inputs = axes.count("i") + axes.count("l")
        if axes.count("o") != 1 or inputs != 1 or "e" in axes or (layout.transposed and layout.groups > 1):
            allowed = "one output axis and one input axis, without experts and no grouped transposed convolution"
            raise LayoutError(message(self.spelling, "layout", allowed, layout))
        if "l" in axes:  # the rows of a table come first
            return self._one(size)
        sizes = [rows // layout.groups for rows in layout.section_sizes(shape) for _ in range(layout.groups)]
        laws = [self._one((rows, *size[1:])) for rows in sizes]
        return laws[0] if len(laws) == 1 else Sections(tuple(zip(sizes, laws, strict=True)))

    def _one(self, size: tuple[int, ...]) -> Law:
        raise NotImplementedError  # pragma: no cover - every scheme of this kind defines it


def spell(name: str, options: Mapping[str, object], defaults: Mapping[str, object]) -> str:
    """The canonical call: options that differ from the defaults, in order.

    >>> spell("he_normal", {"negative_slope": 0.2, "mode": "fan_in"}, {"negative_slope": 0.0, "mode": "fan_in"})
    'he_normal(negative_slope=0.2)'
    """
    shown = [f"{key}={value!r}" for key, value in options.items() if key not in defaults or defaults[key] != value]
    return f"{name}({', '.join(shown)})"
