"""Heads: biases that say what is known before any training, and last layers."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import message, real
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Constant, Given, Law, Orthogonal
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme
from wellbegun.schemes.fixed import FixedScheme


@dataclass(frozen=True, repr=False)
class LogPrior(Scheme):
    """A logarithm for each class."""

    prior: tuple[float, ...]

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        if len(shape) != 1 or not shape[0] or len(self.prior) not in (0, shape[0]):
            allowed = f"({len(self.prior) or 'classes'},), one entry for each class"
            raise LayoutError(message(self.spelling, "shape", allowed, shape))
        total = math.fsum(self.prior)
        return (
            Given.of([math.log(each / total) for each in self.prior]) if self.prior else Constant(-math.log(shape[0]))
        )


@scheme(
    formula="Log-prior: b_k = log p_k, the share of class k; -log K for each of K classes if no shares are given.",
    shapes="vectors with an entry for each class.",
    strengths="the first predictions are the shares, so the first loss is their entropy and no step is spent on it.",
    weaknesses="the shares must be known, and the weights of the readout small beside them.",
    use="the bias before a softmax; with equal classes it makes sigmoids start at 1 / K (ViT's nlhb).",
    source="Karpathy 2019, A recipe for training neural networks; ViT: arXiv:2010.11929 (head bias).",
    tensors="bias readout",
    shape=(3,),
    layout="o",
    example="log_prior(prior=(6.0, 3.0, 1.0))",
    invariants={"exp b = p": lambda w: near(np.exp(w), np.array([0.6, 0.3, 0.1]))},
)
def log_prior(*, prior: Iterable[float] = ()) -> LogPrior:
    """Args:
        prior: A positive number for each class, shares or counts: they are divided by their sum.
    Raises: ArgumentError here: a number that is not positive. LayoutError at the draw: another number of classes.

    >>> np.exp(log_prior(prior=(3, 1))(2, seed=0, dtype="float64")).round(12).tolist()
    [0.75, 0.25]
    """
    shares = tuple(real("log_prior", "prior", each, minimum=0, exclusive=True) for each in prior)
    return LogPrior(spell("log_prior", {"prior": shares}, {"prior": ()}), shares)


@scheme(
    formula="Focal prior: b = log(p / (1 - p)), so that a sigmoid starts at the probability p.",
    shapes="any.",
    strengths="rare classes do not flood the first loss: with p = 0.01 the bias is -4.595.",
    weaknesses="the weights before it must be small (std 0.01), or the start is not p.",
    use="the class bias of dense detectors, gates that are to start nearly closed or open.",
    source="Lin et al. 2017, arXiv:1708.02002, section 4.1 (RetinaNet).",
    tensors="bias readout",
    shape=(7,),
    layout="o",
    invariants={"sigmoid b = p": lambda w: near(1 / (1 + np.exp(-w)), np.full(7, 0.01))},
)
def focal_prior(*, prior: float = 0.01) -> FixedScheme:
    """Args:
        prior: The probability at the start, in (0, 1).
    Raises: ArgumentError here: prior.

    >>> round(focal_prior().law(1).value, 3)
    -4.595
    """
    share = real("focal_prior", "prior", prior, minimum=0, exclusive=True)
    if share >= 1:
        raise ArgumentError(message("focal_prior", "prior", "below 1", prior))
    text = spell("focal_prior", {"prior": share}, {"prior": 0.01})
    return FixedScheme(text, Constant(math.log(share) - math.log1p(-share)))


logit = focal_prior


@scheme(
    formula="Inverse softplus: b = v + log(1 - exp(-v)), so that softplus(b) = v.",
    shapes="any.",
    strengths="a positive quantity starts at the value that is known: a scale, a rate, a standard deviation.",
    weaknesses="for tiny v softplus is nearly exp: the gradient is as small as v.",
    use="biases before a softplus.",
    source="Jumper et al. 2021, AlphaFold 2 (weights of point attention start at softplus 1: 0.541324854612918).",
    tensors="bias multiplier",
    shape=(7,),
    layout="o",
    invariants={"softplus b = v": lambda w: near(np.log1p(np.exp(w)), np.ones(7))},
)
def inverse_softplus(*, value: float = 1.0) -> FixedScheme:
    """Args:
        value: > 0: what softplus is to give.
    Raises: ArgumentError here: value.

    >>> round(inverse_softplus().law(1).value, 15)
    0.541324854612918
    """
    number = real("inverse_softplus", "value", value, minimum=0, exclusive=True)
    text = spell("inverse_softplus", {"value": number}, {"value": 1.0})
    return FixedScheme(text, Constant(number + math.log(-math.expm1(-number))))


@scheme(
    formula="Log-rate: b = log v, so that exp(b) = v.",
    shapes="any.",
    strengths="a rate or a temperature starts at the value that is known: CLIP's logit scale is log(1 / 0.07).",
    weaknesses="a step of 1 is a factor of e: such parameters are kept out of weight decay, and clipped.",
    use="the bias before an exponential: rates of counts, logit scales.",
    source="Radford et al. 2021, arXiv:2103.00020, section 2.5.",
    tensors="bias multiplier",
    shape=(7,),
    layout="o",
    example="log_rate(value=2.0)",
    invariants={"exp b = v": lambda w: near(np.exp(w), np.full(7, 2.0))},
)
def log_rate(*, value: float) -> FixedScheme:
    """Args:
        value: > 0: what the exponential is to give.
    Raises: ArgumentError here: value.

    >>> log_rate(value=1.0)(2, seed=0).tolist()
    [0.0, 0.0]
    """
    number = real("log_rate", "value", value, minimum=0, exclusive=True)
    return FixedScheme(f"log_rate(value={number!r})", Constant(math.log(number)))


@scheme(
    formula="Detector prior: b = log(objects / (image / stride)^2), the share of cells of a grid that hold an object.",
    shapes="any.",
    strengths="dense detectors start by expecting a few objects in an image, at each resolution of the pyramid.",
    weaknesses="8 objects in 640 pixels are a habit of one data set; it holds where the weights before it are small.",
    use="objectness biases of the YOLO family, one call for each stride.",
    source="ultralytics/yolov5, `Detect._initialize_biases`; the idea: Lin et al. 2017, arXiv:1708.02002.",
    tensors="bias readout",
    shape=(3,),
    layout="o",
    example="detector_prior(stride=32.0)",
    invariants={"exp b = objects / cells": lambda w: near(np.exp(w), np.full(3, 8 / 400))},
)
def detector_prior(*, stride: float, image: float = 640.0, objects: float = 8.0) -> FixedScheme:
    """Args:
        stride: > 0: pixels from one cell to the next.
        image: > 0: pixels along each side.
        objects: > 0: how many an image is expected to hold.
    Raises: ArgumentError here: arguments.

    >>> round(math.exp(detector_prior(stride=8).law(3).value), 12)
    0.00125
    """
    owner, given = "detector_prior", {"stride": stride, "image": image, "objects": objects}
    numbers = {key: real(owner, key, value, minimum=0, exclusive=True) for key, value in given.items()}
    bias = math.log(numbers["objects"]) - 2 * (math.log(numbers["image"]) - math.log(numbers["stride"]))
    return FixedScheme(spell(owner, dict(numbers), {"image": 640.0, "objects": 8.0}), Constant(bias))


@dataclass(frozen=True, repr=False)
class UnitRows(Scheme):
    """A random direction for each unit."""

    gain: float

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        size = layout.canonical_shape(shape)
        if layout.axes.count("o") != 1 or "i" not in layout.axes or "e" in layout.axes or not math.prod(size):
            raise LayoutError(message(self.spelling, "layout", "one output axis, inputs and no experts", layout))
        return Orthogonal(self.gain, blocks=size[0])  # a row of its own is a uniform direction


@scheme(
    formula="normc: the inputs of each unit are a random direction of length gain: a normal vector over its norm.",
    shapes="matrices and kernels.",
    strengths="every unit has exactly the same gain, also in narrow layers; a tiny gain makes first policies uniform.",
    weaknesses="with gain 1 a hidden layer shrinks signals by the square root of its width.",
    use="policies (0.01) and values (1) of actors and critics; ES.",
    source="OpenAI baselines, `normc_initializer`; RLlib.",
    tensors="readout",
    example="normc(gain=0.01)",
    invariants={"|W_i| = gain": lambda w: near(np.linalg.norm(w, axis=1) * 100, np.ones(len(w)))},
)
def normc(*, gain: float = 1.0) -> UnitRows:
    """Args:
        gain: > 0, dimensionless: the length of each row.
    Raises: ArgumentError here: gain. LayoutError at the draw: no matrix or kernel.

    >>> w = normc(gain=2)((3, 5), seed=0, dtype="float64")
    >>> np.linalg.norm(w, axis=1).round(12).tolist()
    [2.0, 2.0, 2.0]
    """
    number = real("normc", "gain", gain, minimum=0, exclusive=True)
    return UnitRows(spell("normc", {"gain": number}, {"gain": 1.0}), number)


publish(globals())
