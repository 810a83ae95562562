"""Graph networks: weights that make up for what a step of message passing does to the size of a signal."""

from wellbegun._arguments import choice, real
from wellbegun.schemes.base import spell
from wellbegun.schemes.card import publish, scheme, varies
from wellbegun.schemes.scaling import VarianceScaling


@scheme(
    formula=(
        "Virgo: W ~ U(+-sqrt(6 / (n kept))), Var W = 2 / (n kept), kept = c_l / c_(l-1), c_l = sum over nodes of "
        "(A^l x)^2, A the aggregation of the graph; n is fan in ('forward') or fan out ('backward')."
    ),
    shapes="any with an input axis.",
    strengths="signals (or gradients) keep their size over layers of message passing, which averages them away.",
    weaknesses="needs the graph: `kept` is computed from it, once for each layer; for ReLU.",
    use="layers of GCNs and their kin behind the first, which is `he_uniform`; kept = 1 is that.",
    source="Li et al. 2023, arXiv:2312.02622 (Virgo), and its code.",
    tensors="hidden",
    example="virgo(kept=0.25)",
    invariants={
        "Var W = 2 / (n_in kept)": lambda w: varies(w, 8 / w.shape[1]),
        "|W| <= sqrt(3 Var W)": lambda w: bool(abs(w).max() <= (24 / w.shape[1]) ** 0.5),
    },
)
def virgo(*, kept: float = 1.0, mode: str = "forward") -> VarianceScaling:
    """Args:
        kept: > 0, c_l / c_(l-1): what the sum of squares over nodes becomes in the aggregation of this layer. x is
            the mean of the features of each node; for "backward" it is 1 for each, and steps count from the last.
        mode: "forward" or "backward".
    Raises: ArgumentError here: arguments. LayoutError at the draw: no fans.

    In a ring in which each node averages its two neighbours, a signal of one node keeps half of its square:

    >>> import numpy as np
    >>> ring = (np.roll(np.eye(8), 1, 0) + np.roll(np.eye(8), -1, 0)) / 2
    >>> kept = float(((ring @ np.eye(8)[0]) ** 2).sum())
    >>> virgo(kept=kept).law((4, 12)).high
    1.0
    """
    number = real("virgo", "kept", kept, minimum=0, exclusive=True)
    choice("virgo", "mode", mode, ("forward", "backward"))
    text = spell("virgo", {"kept": number, "mode": mode}, {"kept": 1.0, "mode": "forward"})
    return VarianceScaling(text, 2.0 / number, "fan_in" if mode == "forward" else "fan_out", "uniform")


@scheme(
    formula="G-Init: W ~ N(0, 2 degree / n_in).",
    shapes="any with an input axis.",
    strengths="makes up for the averaging of neighbours in deep GCNs, whose nodes become equal otherwise.",
    weaknesses="`degree` is a setting, not the degree of the graph; on features that are not averaged signals grow.",
    use="layers of deep GCNs with ReLU; degree = 1 is `he_normal`, 2 the authors' choice, 1.6 on their largest graph.",
    source="Kelesis et al. 2024, arXiv:2410.23830 (G-Init), by a public implementation.",
    tensors="hidden",
    example="g_init()",
    invariants={"Var W = 4 / n_in": lambda w: varies(w, 4 / w.shape[1])},
)
def g_init(*, degree: float = 2.0) -> VarianceScaling:
    """Args:
        degree: > 0, what the aggregation divides the variance of a signal by.
    Raises: ArgumentError here: degree. LayoutError at the draw: no fans.

    Twice the variance of `he_normal`:

    >>> g_init().law((4, 16)).std, g_init(degree=1.0).law((4, 8)).std
    (0.5, 0.5)
    """
    number = real("g_init", "degree", degree, minimum=0, exclusive=True)
    return VarianceScaling(spell("g_init", {"degree": number}, {"degree": 2.0}), 2.0 * number, "fan_in", "normal")


publish(globals())
