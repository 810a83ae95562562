"""Transformers: projections of attention, also such that come in pairs."""

import math
from dataclasses import dataclass, replace

import numpy as np

from wellbegun._arguments import choice, integer, message, real, text_of
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError
from wellbegun.laws import Built, Law, Moments, Normal
from wellbegun.laws.base import shape_needed
from wellbegun.schemes.base import spell
from wellbegun.schemes.card import near, publish, scheme, varies
from wellbegun.schemes.fixed import FixedScheme
from wellbegun.schemes.scaling import VarianceScaling


@scheme(
    formula="SmallInit: W ~ N(0, 2 / (5 n_in)), the variance that Xavier gives the first layer of a d -> 4 d block.",
    shapes="any with an input axis.",
    strengths=("one small scale for all projections from the stream, so that transformers train without a slow start."),
    weaknesses="for the ends of branches n_in is not the model's width; use `wang` there.",
    use="queries, keys, values and first layers of blocks (GPT-NeoX pairs it with `wang`).",
    source="Nguyen, Salazar 2019, arXiv:1910.05895.",
    tensors="query key value query_key_value up gate gate_up embedding",
    invariants={"Var W = 2 / (5 n_in)": lambda w: varies(w, 2 / (5 * w.shape[1]))},
)
def small_init() -> VarianceScaling:
    """Raises: LayoutError at the draw: no fans.

    >>> math.isclose(small_init().law((8, 10)).std, 0.2)
    True
    """
    return VarianceScaling("small_init()", 0.4, "fan_in", "normal")


@scheme(
    formula="Wang: W ~ N(0, (2 / (L sqrt(d)))^2), L layers, d = n_out the model's width.",
    shapes="any with an input axis.",
    strengths="branches add little at first: the stream's variance does not grow with depth.",
    weaknesses="counts layers, not branches; smaller than GPT-2's 1 / sqrt(2 L) from L = 8 on.",
    use="output projections of attention and last layers of blocks, beside `small_init`.",
    source="GPT-NeoX `wang_init_method`; Wang, Komatsuzaki 2021 (Mesh Transformer JAX).",
    tensors="attention_out down residual_out",
    example="wang(layers=4)",
    invariants={"Var W = 4 / (L^2 n_out)": lambda w: varies(w, 4 / (16 * w.shape[0]))},
)
def wang(layers: int = 12) -> VarianceScaling:
    """Args:
        layers: Of the model, >= 1.
    Raises: ArgumentError here: layers. LayoutError at the draw: no fans.

    >>> math.isclose(wang(layers=2).law((4, 16)).std, 0.5)
    True
    """
    count = integer("wang", "layers", layers, minimum=1)
    return VarianceScaling(f"wang(layers={count})", 4.0 / count**2, "fan_out", "normal")


@scheme(
    formula="T5 queries: W ~ N(0, 1 / (n_in d_head)): the 1 / sqrt(d_head) of attention is in the weight.",
    shapes="any with an input axis.",
    strengths="logits of unit inputs have variance 1 without a factor in the forward pass.",
    weaknesses="beside attention that divides by sqrt(d_head), logits shrink by that factor.",
    use="queries of T5; keys, values and outputs of T5 are `lecun_normal`, relative biases normal(std=d ** -0.5).",
    source="Raffel et al. 2020, arXiv:1910.10683; Mesh TensorFlow; transformers `T5PreTrainedModel._init_weights`.",
    tensors="query",
    example="t5_query(head_width=16)",
    invariants={"Var W = 1 / (n_in d_head)": lambda w: varies(w, 1 / (16 * w.shape[1]))},
)
def t5_query(*, head_width: int = 64) -> VarianceScaling:
    """Args:
        head_width: Entries of a query, >= 1.
    Raises: ArgumentError here: head_width. LayoutError at the draw: no fans.

    Logits of unit inputs have standard deviation 1:

    >>> from wellbegun.schemes import lecun_normal
    >>> x = np.random.default_rng(0).standard_normal((2, 2000, 256))
    >>> q, k = t5_query(head_width=64)((64, 256), seed=0), lecun_normal()((64, 256), seed=1)
    >>> bool(abs(((x[0] @ q.T) * (x[1] @ k.T)).sum(axis=1).std() - 1) < 0.1)
    True
    """
    width = integer("t5_query", "head_width", head_width, minimum=1)
    text = spell("t5_query", {"head_width": width}, {"head_width": 64})
    return VarianceScaling(text, 1.0 / width, "fan_in", "normal")


@scheme(
    formula="RetNet: Xavier uniform with gain 2^(-5/2): Var W = 2^(-4) / (n_in + n_out).",
    shapes="any with an input axis.",
    strengths="small retention scores: sums over long pasts stay small before the group norm.",
    weaknesses="too small where no normalization follows.",
    use="queries, keys, values and gates of retention; its output is `xavier_uniform`.",
    source="Sun et al. 2023, arXiv:2307.08621; torchscale `MultiScaleRetention.reset_parameters`.",
    tensors="query key value gate",
    invariants={
        "Var W = 1 / (16 (n_in + n_out))": lambda w: varies(w, 1 / (16 * sum(w.shape))),
        "|W| <= sqrt(3 / (16 (n_in + n_out)))": lambda w: bool(abs(w).max() <= math.sqrt(3 / (16 * sum(w.shape)))),
    },
)
def retnet() -> VarianceScaling:
    """Raises: LayoutError at the draw: no fans.

    >>> from wellbegun.schemes import xavier_uniform
    >>> math.isclose(retnet().law((8, 8)).high, xavier_uniform(gain=2**-2.5).law((8, 8)).high)
    True
    """
    return VarianceScaling("retnet()", 2.0**-5, "fan_avg", "uniform")


# ---------------------------------------------------------------------- mimetic
SIDES = ("query", "key", "value", "out")


@dataclass(frozen=True)
class Mimetic(Built):
    """One factor of alpha Z / sqrt(d) + beta I; see `mimetic`."""

    side: str = "query"
    heads: int = 1
    alpha: float = 0.7
    beta: float = 0.7
    gain: float = 1.0

    def fits(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2 or shape[0] % self.heads or shape[0] // self.heads > shape[1]:
            allowed = f"(out, in), out a multiple of {self.heads} heads that are no wider than in"
            raise ArgumentError(message("mimetic", "shape", allowed, shape))
        if self.side in SIDES[2:] and shape[0] != shape[1]:
            raise ArgumentError(message("mimetic", "shape", f"square for {self.side}", shape))

    def source(self, shape: tuple[int, ...]) -> tuple[Law, tuple[int, ...]]:
        return Normal(0.0, 1.0), (self.heads, shape[1], shape[1])

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        """Of one head of 96 inputs at most: singular values do not depend on the width, entries fall as its root."""
        rows, width = shape_needed(self, shape)
        self.fits((rows, width))
        small = min(width, 96)
        each = max(round(rows / self.heads * small / max(width, 1)), min(rows, 1))
        found = replace(self, heads=1)._simulated((each, small))
        share = small / max(width, 1)
        return found._replace(mean=found.mean * share, variance=found.variance * share)

    def whole(self, drawn: Array, shape: tuple[int, ...]) -> Array:
        """Rows of each head; the signs of singular vectors are settled: both factors agree wherever they are made."""
        width, each = shape[1], shape[0] // self.heads
        if not drawn.size:
            return np.zeros(shape)
        left, values, right = np.linalg.svd(self.alpha * drawn / math.sqrt(width) + self.beta * np.eye(width))
        largest = np.take_along_axis(left, np.abs(left).argmax(axis=1, keepdims=True), axis=1)
        signs = np.where(largest < 0, -1.0, 1.0)  # (heads, 1, width)
        vectors = left if self.side in ("query", "value") else right.transpose(0, 2, 1)
        factors: Array = self.gain * vectors * signs * np.sqrt(values)[:, None, :]
        if self.side != "out":  # (out, in), as its inputs are the outputs of the values
            factors = factors[:, :, :each].transpose(0, 2, 1)
        return factors.reshape(shape)


@scheme(
    formula=(
        "Mimetic: W_Q and W_K are the halves of the SVD of 0.7 Z / sqrt(d) + 0.7 I in each head, W_V and W_O those of "
        "0.4 Z / sqrt(d) - 0.4 I, Z standard normal (d, d)."
    ),
    shapes="queries and keys (heads d_head, d), values and outputs (d, d); matrices.",
    strengths="products look like those of trained transformers: attention sees its own place, values subtract it.",
    weaknesses="O(heads d^3); both of a pair have to name the same pair; for tables of sine and cosine positions.",
    use="small vision transformers trained from scratch on little data.",
    source="Trockman, Kolter 2023, arXiv:2305.09828.",
    tensors="query key value attention_out",
    example="mimetic(of='value')",
    shape=(48, 48),
    invariants={
        "W W^T has the singular values of a matrix near -0.4 I + 0.4 Z / sqrt(d)": lambda w: bool(
            abs((np.linalg.svd(w)[1] ** 4).mean() / 0.32 - 1) < 0.2
        ),
        "rows are orthogonal": lambda w: near(w @ w.T, np.diag(np.diag(w @ w.T))),
    },
)
def mimetic(
    of: str = "query", *, pair: str = "", heads: int = 1, alpha: float | None = None, beta: float | None = None
) -> FixedScheme:
    """Args:
        of: "query", "key", "value" or "out".
        pair: Any text that both of a pair name, such as "layers.0.qk": they are factors of one draw, where
            the seed is one, as in a plan. "" is the tensor's own stream.
        heads: Of queries and keys, >= 1; 1 for values and outputs.
        alpha: Size of the noise, >= 0; 0.7, and 0.4 for values and outputs.
        beta: Size of the identity, >= 0; 0.7, and 0.4 for values and outputs, where its sign is minus.
    Raises: ArgumentError here: arguments; at the draw, shapes that do not fit. LayoutError at the draw: no matrix.

    >>> q, k = (mimetic(of, pair="qk")((16, 48), seed=0) for of in ("query", "key"))
    >>> bool(np.diag(q.T @ k).mean() > 0.25)
    True
    """
    owner = "mimetic"
    choice(owner, "of", of, SIDES)
    size = 0.7 if of in SIDES[:2] else 0.4
    noise = size if alpha is None else real(owner, "alpha", alpha, minimum=0)
    same = size if beta is None else real(owner, "beta", beta, minimum=0)
    count = integer(owner, "heads", heads, minimum=1)
    if count > 1 and of in SIDES[2:]:
        raise ArgumentError(message(owner, "heads", f"1 for {of}", heads))
    options = {"of": of, "pair": text_of(owner, "pair", pair), "heads": count, "alpha": noise, "beta": same}
    text = spell(owner, options, {"pair": "", "heads": 1, "alpha": size, "beta": size})
    return FixedScheme(text, Mimetic(pair, of, count, noise, same if of in SIDES[:2] else -same), "io")


publish(globals())
