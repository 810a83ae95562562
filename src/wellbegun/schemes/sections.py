"""A scheme for tensors whose sections need different schemes: the gates of an LSTM bias."""

from dataclasses import dataclass, replace

from wellbegun._arguments import message
from wellbegun.errors import LayoutError
from wellbegun.laws import Law, Sections
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme
from wellbegun.schemes.card import publish, scheme
from wellbegun.schemes.own import Given, made_scheme


@dataclass(frozen=True, repr=False)
class SectionScheme(Scheme):
    """One scheme for each section of the layout."""

    schemes: tuple[Scheme, ...]

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        count, axis = len(self.schemes), layout.axes.find("o")
        if layout.sections is None:
            layout = replace(layout, sections=count)
        if {*"el"} & {*layout.axes} or layout.axes.count("o") != 1 or len(layout.section_sizes(shape)) != count:
            allowed = f"one with an output axis in {count} sections, without experts and rows of a table"
            raise LayoutError(message(self.spelling, "layout", allowed, layout))
        sizes = layout.section_sizes(shape)
        plain = Layout(layout.axes, layout.groups, layout.stride, None, layout.transposed)
        shapes = [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]
        laws = [scheme._law(each, plain) for each, scheme in zip(shapes, self.schemes, strict=True)]
        whole = len(set(laws)) == 1 and laws[0].independent
        return laws[0] if whole else Sections(tuple(zip(sizes, laws, strict=True)))


@scheme(
    formula="One scheme for each section along the output axis, in order.",
    shapes="any with one output axis, in that many sections; in equal ones if the layout tells of none.",
    strengths="each part of a fused tensor starts as that part needs.",
    weaknesses="the number and the order of the sections belong to the layer, and are yours to know.",
    use="biases of gates, fused queries, keys and values.",
    source="forget-gate bias 1: Gers et al. 2000; Jozefowicz et al. 2015.",
    tensors="recurrent_bias_input query_key_value recurrent",
    example="by_section(zeros(), ones())",
    layout=Layout("oi", sections=2),
    invariants={
        "a scheme for each section": lambda w: not w[: len(w) // 2].any() and bool((w[len(w) // 2 :] == 1).all())
    },
)
def by_section(*schemes: Given) -> SectionScheme:
    """Args:
        schemes: As many as the layout has sections; for a layout that tells of none, as many as there are equal ones.
    Raises: ArgumentTypeError here: no scheme. LayoutError at the draw: sections that do not fit.

    >>> from wellbegun.schemes import ones, zeros
    >>> by_section(zeros(), ones())(4, seed=0, layout=Layout("o", sections=2)).tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    made = tuple(made_scheme("by_section", "schemes", one) for one in schemes)
    return SectionScheme(f"by_section({', '.join(map(repr, made))})", made)


publish(globals())
