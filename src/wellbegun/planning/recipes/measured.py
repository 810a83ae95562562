"""Recipes that measure on the batch after the fill: what they choose before, and the settings of what they do then."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, SupportsFloat, SupportsIndex

from wellbegun._arguments import choice, integer, message, real
from wellbegun.errors import ArgumentError, WellbegunError
from wellbegun.graph import Analysis, Role
from wellbegun.planning.method import Choice
from wellbegun.planning.recipes.base import Recipe, Refinement, recipe
from wellbegun.planning.recipes.classic import CLASSIC
from wellbegun.planning.recipes.common import always, table
from wellbegun.planning.recipes.normalized import affine, directed
from wellbegun.schemes import constant, lecun_normal, normal, orthogonal

_ACTNORM = "Kingma, Dhariwal 2018, arXiv:1807.03039"
_GRADINIT = "Zhu et al. 2021, arXiv:2102.08098"
_KRAHENBUHL = "Krähenbühl et al. 2016, arXiv:1511.06856"
_METAINIT = "Dauphin, Schoenholz 2019, MetaInit: initializing learning by learning to initialize"
_WEIGHT_NORM = "Salimans, Kingma 2016, arXiv:1602.07868"
_LSUV = "Mishkin, Matas 2016, arXiv:1511.06422"


@dataclass(frozen=True)
class UnitVariance(Refinement):
    """Weights are divided by the standard deviation of their output, layer by layer."""

    tolerance: float = 0.1
    tries: int = 10


def lsuv(*, tolerance: SupportsFloat = 0.1, tries: SupportsIndex = 10) -> Recipe:
    """Layer-sequential unit variance: orthogonal weights, each divided by std(its output on the batch).

    W <- W / std(y), y the output of the layer over all entries of the batch, until |var(y) - 1| <= tolerance; layer
    after layer in the order in which the model runs them, each on what the corrected layers before it give. Linear
    layers and convolutions, transposed ones too; matrices that are fused in one tensor (queries, keys and values) get a
    factor each. A weight that is used several times is fitted where it is used first. Biases are 0.

    Args:
        tolerance: Of the variance, > 0.
        tries: Most divisions of one weight, >= 1. One is enough unless a rule gives a bias other than 0.
    Returns:
        A recipe; `recipe="lsuv"` names it with its defaults.
    Raises:
        ArgumentError, ArgumentTypeError: a bad setting.
    Cost: one forward pass, with a norm of each layer's output; the plan keeps a number for each matrix.
    Use: feed-forward nets without normalization, where data is at hand; unusual activations.
    Avoid: branches that are to start at zero, which it gives unit variance; layers before a normalization, which undoes
        it. A layer whose output does not vary, as where it is fed zeros, is left, and the plan says so.
    Source: Mishkin, Matas 2016, arXiv:1511.06422. The package `lsuv` visits layers in the order of registration.

    >>> lsuv(tolerance=0.02).full_name, lsuv().full_name
    ('lsuv@1(tolerance=0.02)', 'lsuv@1')
    """
    tolerance = real("lsuv", "tolerance", tolerance, minimum=0, exclusive=True)
    return LSUV._replace(refinement=UnitVariance(tolerance, integer("lsuv", "tries", tries, minimum=1)))


# ---------------------------------------------------------------------- krahenbuhl
@dataclass(frozen=True)
class Balanced(Refinement):
    """Each unit gets a mean and a standard deviation on the batch, then layers get equal rates of change."""

    beta: float = 0.1
    weights: str = "normal"
    rounds: int = 10


def krahenbuhl(*, beta: SupportsFloat = 0.1, weights: str = "normal", rounds: SupportsIndex = 10) -> Recipe:
    """Data-dependent initialization: units of mean beta and standard deviation 1, and layers that learn at equal rates.

    Within a layer, unit k: W_k <- W_k / std(y_k), b_k <- beta - mean(y_k) / std(y_k), over samples and positions of the
    batch, layer after layer in order of execution. Between layers, with r_l = RMS(gradient of W_l) / RMS(W_l) under a
    random signal at the output: W_l <- W_l sqrt(r_l / r), r the geometric mean of all (times the output's standard
    deviation^(1/L), which brings that back to 1); biases follow what their weight gives, so that in nets of ReLUs and
    pools the output stays what it was.

    Args:
        beta: Mean of each unit, in units of its standard deviation. Above 0, more than half of a ReLU's units are on.
        weights: "normal", or "pca": a linear layer or convolution starts with the principal components of what comes
            in, each scaled to variance 1, so that its units are uncorrelated on the batch; units beyond their number
            stay normal. Patches of convolutions are taken without padding and dilation. Fused matrices stay normal.
        rounds: Most rounds of the balance, >= 0; 0 leaves layers as normalized. Convolutional nets take two or three.
    Returns:
        A recipe; `recipe="krahenbuhl"` names it with its defaults.
    Raises:
        ArgumentError, ArgumentTypeError, UnknownNameError: a bad setting.
    Cost: one forward pass, and for each round one and a pass back; with "pca" a pass and eigenvectors of a covariance
        for each weight. Outputs are copied to the host. The plan keeps a number for each unit, with "pca" each entry.
    Use: feed-forward nets without normalization, small data sets.
    Avoid: normalizations, which do the same at every step; branches that are to start at zero. Weights depend on the
        batch: take a few hundred samples. Layers of experts, of several axes of units, grouped transposed convolutions
        and computed weights are left, and the plan says so.
    Source: Krähenbühl et al. 2016, arXiv:1511.06856, and its code for beta and the standard deviation of the output.

    >>> krahenbuhl(weights="pca", rounds=0).full_name
    "krahenbuhl@1(weights='pca', rounds=0)"
    """
    made = choice("krahenbuhl", "weights", weights, ("normal", "pca"))
    settings = Balanced(real("krahenbuhl", "beta", beta), made, integer("krahenbuhl", "rounds", rounds))
    return KRAHENBUHL._replace(refinement=settings)


# ---------------------------------------------------------------------- weight_norm
@dataclass(frozen=True)
class ZeroMean(Refinement):
    """Units of weight-normalized layers, and channels of ActNorm, get mean 0 and standard deviation 1."""

    std: float = 0.05


def weight_norm(*, std: SupportsFloat = 0.05) -> Recipe:
    """Data-dependent start of weight-normalized layers and of ActNorm: units of mean 0 and standard deviation 1.

    A weight g v / |v| of a direction v and a length g for each unit: v ~ N(0, std^2); with t = v x / |v| on the batch,
    g = 1 / std(t) and b = -mean(t) / std(t), layer after layer in order of execution. That is for weight_norm of
    `torch.nn.utils`, old and new, and for g and v that a module holds itself. PyTorch's are set by the weight alone, so
    there v starts at g v / |v|: of the same direction, but of length g.

    ActNorm, a scale (exp(scale) too) and a shift with an entry for each channel in one module: scale = 1 / std(x) and
    shift = -mean(x), or -mean(x) / std(x) where the shift comes after. A channel that does not vary keeps 1 and 0.

    Args:
        std: Of the entries of v, > 0.
    Returns:
        A recipe; `recipe="weight_norm"` names it with its default. What is neither of the two is as in "classic".
    Raises:
        ArgumentError, ArgumentTypeError: a bad std.
    Cost: one forward pass; outputs of these layers are copied to the host; the plan keeps the numbers of each unit.
    Use: flows, and nets with weight normalization, which learn slowly from g = |v|.
    Avoid: batches of fewer than a few dozen samples. Processes that train one model have to see one batch.
    Source: Salimans, Kingma 2016, arXiv:1602.07868; Kingma, Dhariwal 2018 (Glow), arXiv:1807.03039.

    >>> weight_norm(std=0.1).full_name
    'weight_norm@1(std=0.1)'
    """
    std = real("weight_norm", "std", std, minimum=0, exclusive=True)
    return WEIGHT_NORM._replace(solve=partial(_normalized, std), refinement=ZeroMean(std))


def _normalized(std: float, graph: Analysis, roles: Mapping[str, Role], _: frozenset[str]) -> Mapping[str, Choice]:
    """Directions, and scales of ActNorm where they leave a signal as it is."""
    weight = Choice(normal(std=std), f"direction of a normalized weight: N(0, {std:g}²)", _WEIGHT_NORM)
    found = dict.fromkeys(directed(graph, roles), weight)
    for pair in affine(graph):
        (use,) = graph.operations[pair.scale].uses
        one = 1.0 if use.exact else None if use.computed is None else use.computed.where(1.0)
        if one is not None:
            found[use.parameter] = Choice(constant(one), "scale of an ActNorm: 1 before it is measured", _ACTNORM)
    return found


# ---------------------------------------------------------------------- gradinit
@dataclass(frozen=True)
class FirstStep(Refinement):
    """One factor for each tensor, learned so that the first step of training helps most."""

    optimizer: str = "sgd"
    step: float = 0.1
    gamma: float | None = None
    steps: int = 60
    rate: float = 0.03


def gradinit(
    *,
    optimizer: str = "sgd",
    step: SupportsFloat | None = None,
    gamma: SupportsFloat | None = None,
    steps: SupportsIndex = 60,
    rate: SupportsFloat = 0.03,
) -> Recipe:
    """GradInit: one factor for each tensor, learned so that the loss is low after the first step of the optimizer.

    Minimize L(s w - eta A(g)) over the factors s, where g = grad L(s w) and A(g) = g for SGD, sign(g) for Adam, subject
    to |g| <= gamma (2-norm, 1-norm for Adam). Adam on the factors goes down the loss where the bound holds, and down
    |g| where it does not; factors stay >= 0.01. The two gradients are of two thirds of the batch that have one third in
    common, other ones at each step; of a loss of the user's, which cannot be taken apart, they are of the whole batch.
    Of all steps within the bound, that with the lowest loss behind it is taken. The loss is that of
    `wellbegun.initialize`: its `loss`, or cross-entropy or squared error against labels or targets of the batch, random
    ones without. It starts from "classic".

    Args:
        optimizer: "sgd" or "adam".
        step: Learning rate eta of the first step, > 0; None: 0.1 for SGD, 0.001 for Adam.
        gamma: Longest gradient, > 0. None: 1 for SGD; for Adam the root of the number of entries, which is the 1-norm
            of a gradient of length 1 whose entries are alike (a default of ours).
        steps: Of the factors, >= 1. The paper takes 390 to 780, each on a new batch.
        rate: Learning rate of the factors, > 0.
    Returns:
        A recipe; `recipe="gradinit"` names it with its defaults.
    Raises:
        ArgumentError, ArgumentTypeError, UnknownNameError: a bad setting.
    Cost: 2 or 3 forward and backward passes a step, and as many copies of the parameters to the device: products with
        the Hessian are differences of gradients. Two copies of the parameters in double precision on the host.
    Use: architectures that no rule was made for; deep nets without normalization and warm-up, with the optimizer known.
    Avoid: large models (hundreds of passes); dropout that is on. Tensors that start at 0 stay there.
    Source: Zhu et al. 2021, arXiv:2102.08098. The package `gradinit` leaves out the step it is named after.

    >>> gradinit(optimizer="adam", steps=20).full_name
    "gradinit@1(optimizer='adam', step=0.001, steps=20)"
    """
    name = choice("gradinit", "optimizer", optimizer, ("sgd", "adam"))
    given = {"step": {"sgd": 0.1, "adam": 0.001}[name] if step is None else step, "gamma": gamma, "rate": rate}
    numbers = {
        key: None if value is None else real("gradinit", key, value, minimum=0, exclusive=True)
        for key, value in given.items()
    }
    settings = FirstStep(name, steps=integer("gradinit", "steps", steps, minimum=1))
    return GRADINIT._replace(refinement=replace(settings, **numbers))  # type: ignore[arg-type]  # of three fields


# ---------------------------------------------------------------------- metainit
@dataclass(frozen=True)
class Quotient(Refinement):
    """Lengths of weights at which gradients change least along themselves."""

    steps: int = 100
    rate: float = 0.1
    momentum: float = 0.9
    data: ClassVar[bool] = False


def metainit(*, steps: SupportsIndex = 100, rate: SupportsFloat = 0.1, momentum: SupportsFloat = 0.9) -> Recipe:
    """MetaInit: lengths of the weights that minimize the gradient quotient, how much a gradient changes along itself.

    GQ = mean over all entries of |(g - H g) / (g + eps sign(g)) - 1|, g the gradient and H the Hessian of the loss
    against random labels, eps = 1e-5. The lengths |W| of tensors of two axes or more move by sign descent with
    momentum: m <- momentum m - rate sign(dGQ / d|W|), |W| <- |W| + m; directions stay. Of all steps, that with the
    lowest quotient is taken. It starts from "classic".

    Inputs are those of the batch: the authors take standard normal ones, which a shape instead of data stands for; no
    data are needed. The labels are drawn once.

    Args:
        steps: >= 1. The authors take 500, each on new inputs.
        rate: Of a length, > 0.
        momentum: From 0 to below 1.
    Returns:
        A recipe; `recipe="metainit"` names it with its defaults.
    Raises:
        ArgumentError, ArgumentTypeError: a bad setting.
    Cost: 2 (L + 1) forward and backward passes a step for L weights: products with the Hessian are differences of
        gradients, and the signs are of differences of quotients, since a session knows no second derivatives.
    Use: architectures that no rule was made for, without normalization.
    Avoid: more than a few dozen weights (thousands of passes); ReLU nets of a few units, where many gradients are 0.
    Source: Dauphin, Schoenholz 2019, MetaInit: initializing learning by learning to initialize, NeurIPS.

    >>> metainit(steps=20).full_name
    'metainit@1(steps=20)'
    """
    kept = real("metainit", "momentum", momentum, minimum=0)
    if kept >= 1:
        raise ArgumentError(message("metainit", "momentum", "a number >= 0 and below 1", momentum))
    steps, rate = (
        integer("metainit", "steps", steps, minimum=1),
        real("metainit", "rate", rate, minimum=0, exclusive=True),
    )
    return METAINIT._replace(refinement=Quotient(steps, rate, kept))


def _orthogonal(role: Role) -> Choice:
    try:
        orthogonal().law(role.parameter.shape, layout=role.layout or "oi")
    except WellbegunError:
        reason = "cannot be orthogonal (a grouped transposed convolution), so LeCun, then unit variance of its output"
        return Choice(lecun_normal(), reason, _LSUV)
    return Choice(orthogonal(), "orthogonal, then unit variance of its output on the batch", _LSUV)


LSUV = recipe(
    "lsuv",
    1,
    table(hidden=_orthogonal),
    about="feed-forward nets without normalization: every layer's output has variance 1 on the batch",
    optimizer="any",
    source=_LSUV,
    needs=("hidden",),
    refinement=UnitVariance(),
)
KRAHENBUHL = recipe(
    "krahenbuhl",
    1,
    table(hidden=always(lecun_normal(), "normal, then each unit to standard deviation 1 on the batch", _KRAHENBUHL)),
    about="feed-forward nets without normalization: units of one mean and size on the batch, layers that learn alike",
    optimizer="SGD with momentum",
    source=_KRAHENBUHL,
    needs=("hidden",),
    refinement=Balanced(),
)
GRADINIT = recipe(
    "gradinit",
    1,
    CLASSIC.choices,
    about="any model: a factor for each tensor, learned so that the first step of training helps most",
    optimizer="SGD, Adam",
    source=_GRADINIT,
    refinement=FirstStep(),
)
WEIGHT_NORM = recipe(
    "weight_norm",
    1,
    CLASSIC.choices,
    about="flows and weight-normalized nets: each unit, or channel of ActNorm, has mean 0 and std 1 on the batch",
    optimizer="Adam",
    source=f"{_WEIGHT_NORM}; {_ACTNORM}",
    solve=partial(_normalized, ZeroMean.std),
    refinement=ZeroMean(),
)
METAINIT = recipe(
    "metainit",
    1,
    CLASSIC.choices,
    about="any model: lengths of weights at which gradients change least along themselves; needs no data",
    optimizer="SGD",
    source=_METAINIT,
    refinement=Quotient(),
)
