"""Schemes whose columns or rows are orthonormal."""

import math
from dataclasses import dataclass

from wellbegun._arguments import choice, message, real
from wellbegun.errors import LayoutError
from wellbegun.laws import Law, Orthogonal, Sections
from wellbegun.laws.matrices import METHODS
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell


@dataclass(frozen=True, repr=False)
class OrthogonalScheme(Scheme):
    """One matrix per expert, group and section."""

    gain: float
    method: str

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        axes = layout.axes
        if "o" not in axes or not set(axes) & {"i", "l"}:
            allowed = "one with output and input axes"
            remedy = "A bias or scale is no matrix: give zeros(), ones() or normal(std=...)."
            raise LayoutError(message(self.spelling, "layout", allowed, axes, remedy))
        if "l" in axes:  # canonical order puts the table's rows first
            return Orthogonal(self.gain, method=self.method)
        outputs = axes.count("e") + axes.count("o")
        experts = math.prod(size for size, role in zip(shape, axes, strict=True) if role == "e")
        groups = layout.groups
        if groups > 1 and layout.transposed:  # its groups cut the columns, which are not contiguous
            allowed = "no grouped transposed convolution"
            raise LayoutError(
                message(self.spelling, "layout", allowed, layout, "Use a scheme with independent entries.")
            )
        sizes = layout.section_sizes(shape)
        if len(set(sizes)) == 1:
            return Orthogonal(self.gain, outputs, max(experts, 1) * groups * len(sizes), self.method)
        if outputs > 1 or groups > 1:
            allowed = "one output axis, no experts and no groups, where sections differ in size"
            raise LayoutError(message(self.spelling, "layout", allowed, layout))
        return Sections(tuple((size, Orthogonal(self.gain, method=self.method)) for size in sizes))


def orthogonal(*, gain: float = 1.0, method: str = "haar") -> OrthogonalScheme:
    """Haar-uniform (semi-)orthogonal matrix: W^T W = gain^2 I if n_out >= n_in, else W W^T = gain^2 I.

    Args:
        gain: > 0, dimensionless: the value of every singular value.
        method: "haar": exactly uniform, O(n^3), equal across machines to rounding. "structured": signs, permutations
            and Walsh-Hadamard transforms, O(n^2 log n), the same bits everywhere, any rows alone; close to uniform.
    Shapes: any with output and input axes; (out, in, *window) is one matrix (out, in * prod(window)). Each expert,
        group and section (LSTM gate; q, k, v) is a matrix of its own.
    Raises: ArgumentError here: gain, method. LayoutError at the draw: no matrix.
    Strengths: keeps the length of every signal, not only the average: best for very deep and recurrent nets.
    Weaknesses: costly for very large layers ("structured" is not); entries are not independent; a convolution
        flattened to a matrix is not an isometry of images.
    Use: recurrent weights, very deep plain nets, policy nets.
    Source: Saxe et al. 2014, arXiv:1312.6120; Haar measure: Mezzadri 2007, arXiv:math-ph/0609050, and Stewart 1980.

    >>> import numpy as np
    >>> w = orthogonal()((3, 5), seed=0, name="doc")
    >>> bool(np.allclose(w @ w.T, np.eye(3), atol=1e-6))
    True
    >>> w = orthogonal(gain=2)((5, 3), seed=0, name="doc")
    >>> bool(np.allclose(w.T @ w, 4 * np.eye(3), atol=1e-5))
    True
    """
    number = real("orthogonal", "gain", gain, minimum=0, exclusive=True)
    choice("orthogonal", "method", method, METHODS)
    text = spell("orthogonal", {"gain": number, "method": method}, {"gain": 1.0, "method": "haar"})
    return OrthogonalScheme(text, number, method)
