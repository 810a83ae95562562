"""Networks that make the weights of others: their last layers."""

import math
from dataclasses import dataclass

from wellbegun._arguments import choice, real, truth
from wellbegun.laws import Constant, Law, Normal
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import publish, scheme, varies
from wellbegun.schemes.iid import fan_in


@dataclass(frozen=True, repr=False)
class HyperScheme(Scheme):
    """Var W = share / (n_in of this layer)."""

    share: float

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        inputs = fan_in(self.spelling, shape, layout)
        return Normal(0.0, math.sqrt(self.share / inputs)) if self.share else Constant(0.0)


@scheme(
    formula=(
        "Hyperfan-in: Var W = c / (b n_in m Var e) for the layer that makes weights with m inputs; c = 2 before ReLU, "
        "b = 2 if biases are made too; Var W = c / (2 n_in Var e) for the layer that makes biases."
    ),
    shapes="any with an input axis.",
    strengths="the weights that are made start with He's variance, whatever the width of the network that makes them.",
    weaknesses="a usual start of this layer gives the made weights the variance 1, so that signals explode.",
    use="output layers of hypernetworks; their hidden layers from `he_normal`.",
    source="Chang et al. 2020, arXiv:2312.08399.",
    tensors="hyper",
    example="hyperfan_in(main_in=64.0)",
    invariants={"made weights have variance 2 / m": lambda w: varies(w * math.sqrt(w.shape[1]), 2 / 64)},
)
def hyperfan_in(
    main_in: float, *, makes: str = "weight", relu: bool = True, biases: bool = False, variance: float = 1.0
) -> HyperScheme:
    """Args:
        main_in: Inputs m of the layer whose weights are made, > 0.
        makes: "weight" or "bias".
        relu: Whether a ReLU follows that layer.
        biases: Whether its biases are made too; they then take half of the variance.
        variance: Of the inputs e of this layer, > 0 (second moment, where they have a mean).
    Raises: ArgumentError here: arguments. LayoutError at the draw: no fans.

    >>> hyperfan_in(50, biases=True).law((200, 16)).std ** 2 * 16 * 50
    1.0
    """
    return _hyper("hyperfan_in", main_in, makes, relu, biases, variance, None)


@scheme(
    formula=(
        "Hyperfan-out: Var W = c / (n_in m Var e) for the layer that makes weights with m outputs; Var W = "
        "max(0, c (1 - m_in / m)) / (n_in Var e) for the layer that makes biases."
    ),
    shapes="any with an input axis.",
    strengths="gradients pass the made layers with their size.",
    weaknesses="biases take what is left of the variance, nothing where a layer has more inputs than outputs.",
    use="output layers of hypernetworks where gradients matter more than signals.",
    source="Chang et al. 2020, arXiv:2312.08399.",
    tensors="hyper",
    example="hyperfan_out(main_out=32.0)",
    invariants={"made weights have variance 2 / m": lambda w: varies(w * math.sqrt(w.shape[1]), 2 / 32)},
)
def hyperfan_out(
    main_out: float, *, makes: str = "weight", relu: bool = True, main_in: float = 0.0, variance: float = 1.0
) -> HyperScheme:
    """Args:
        main_out: Outputs m of the layer whose weights are made, > 0.
        makes: "weight" or "bias".
        relu: Whether a ReLU follows that layer.
        main_in: Its inputs, >= 0, for biases.
        variance: Of the inputs e of this layer, > 0.
    Raises: ArgumentError here: arguments. LayoutError at the draw: no fans.

    >>> hyperfan_out(50, makes="bias", main_in=50).law((50, 16))
    Constant(value=0.0)
    """
    return _hyper(
        "hyperfan_out", main_out, makes, relu, False, variance, real("hyperfan_out", "main_in", main_in, minimum=0)
    )


def _hyper(
    owner: str, main: float, makes: str, relu: bool, biases: bool, variance: float, main_in: float | None
) -> HyperScheme:
    name = "main_in" if main_in is None else "main_out"
    fan = real(owner, name, main, minimum=0, exclusive=True)
    spread = real(owner, "variance", variance, minimum=0, exclusive=True)
    choice(owner, "makes", makes, ("weight", "bias"))
    truth(owner, "relu", relu)
    truth(owner, "biases", biases)
    gain = 2.0 if relu else 1.0
    if makes == "weight":
        share = gain / ((2 if biases else 1) * fan * spread)
    else:
        share = (gain / 2 if main_in is None else max(0.0, gain * (1 - main_in / fan))) / spread
    options = {name: fan, "makes": makes, "relu": relu, "biases": biases, "variance": spread}
    options |= {} if main_in is None else {"main_in": main_in}
    defaults = {"makes": "weight", "relu": True, "biases": False, "variance": 1.0}
    return HyperScheme(spell(owner, options, {**defaults, **({} if main_in is None else {"main_in": 0.0})}), share)


publish(globals())
