"""A scheme for tensors whose sections need different schemes: the gates of an LSTM bias."""

from dataclasses import dataclass

from wellbegun._arguments import message
from wellbegun.errors import ArgumentTypeError, LayoutError
from wellbegun.laws import INDEPENDENT, Law, Sections
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme


@dataclass(frozen=True, repr=False)
class SectionScheme(Scheme):
    """One scheme for each section of the layout."""

    schemes: tuple[Scheme, ...]

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        sizes = layout.section_sizes(shape)
        if len(sizes) != len(self.schemes) or layout.axes[:1] != "o":
            allowed = f"one that starts with an output axis in {len(self.schemes)} sections"
            raise LayoutError(message(self.spelling, "layout", allowed, layout))
        plain = Layout(layout.axes, layout.groups, layout.stride, None, layout.transposed)
        laws = [scheme._law((size, *shape[1:]), plain) for size, scheme in zip(sizes, self.schemes, strict=True)]
        whole = len(set(laws)) == 1 and isinstance(laws[0], INDEPENDENT)
        return laws[0] if whole else Sections(tuple(zip(sizes, laws, strict=True)))


def by_section(*schemes: Scheme) -> SectionScheme:
    """One scheme for each section along the output axis, in order.

    Args:
        schemes: As many as the layout has sections.
    Shapes: any whose layout starts with an output axis and has that many sections.
    Raises: ArgumentTypeError here: no scheme. LayoutError at the draw: sections that do not fit.
    Source: forget-gate bias 1: Gers et al. 2000; Jozefowicz et al. 2015.

    >>> from wellbegun.schemes import ones, zeros
    >>> by_section(zeros(), ones())(4, seed=0, layout=Layout("o", sections=2)).tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    for scheme in schemes:
        if not isinstance(scheme, Scheme):
            raise ArgumentTypeError(message("by_section", "schemes", "schemes", scheme))
    return SectionScheme(f"by_section({', '.join(map(repr, schemes))})", tuple(schemes))
