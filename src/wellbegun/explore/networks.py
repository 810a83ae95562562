"""Plain networks in NumPy: a signal forward and a gradient back through layers of the engine's weights.

One layer computes z = gain * W a_before and hands on a = phi(z); there are no biases. Many networks that differ only in
the gain go through one matrix product: their samples stand side by side.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from wellbegun._arguments import known
from wellbegun._typing import Array
from wellbegun.engine import fill
from wellbegun.laws import Normal
from wellbegun.schemes import mirrored
from wellbegun.schemes.base import Scheme
from wellbegun.schemes.isometries import MirroredScheme
from wellbegun.theory import activation_of, moments
from wellbegun.theory.activations import FLAT_SLOPE, SELU_ALPHA, SELU_SCALE, standard_inputs

HOMOGENEOUS = ("linear", "relu", "leaky_relu(0.2)")  # phi(s x) = s phi(x) for s > 0
Function = Callable[[Array], Array]


def _single(x: Array) -> Array:
    """In single precision, as slopes are kept; far out nothing changes any more."""
    return np.clip(x, -1e4, 1e4).astype(np.float32)


def _bell(x: Array) -> Array:
    """sigmoid', exact in both tails."""
    low = np.exp(-np.abs(_single(x)))
    return low / (1 + low) ** 2


def _gelu_slope(x: Array) -> Array:
    from scipy.special import ndtr

    x = _single(x)
    return ndtr(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _silu_slope(x: Array) -> Array:
    x = _single(x)
    gate = activation_of("sigmoid")(x)
    return gate * (1 + x * (1 - gate))


# the derivative of each activation; 0 at the kink of ReLU, as frameworks have it
SLOPES: Mapping[str, Function] = MappingProxyType(
    {
        "linear": np.ones_like,
        "relu": lambda x: (x > 0).astype(x.dtype),
        "leaky_relu(0.2)": lambda x: np.where(x > 0, 1.0, 0.2),
        "elu": lambda x: np.exp(np.minimum(x, 0)),
        "selu": lambda x: SELU_SCALE * np.where(x > 0, 1.0, SELU_ALPHA * np.exp(np.minimum(x, 0))),
        "gelu": _gelu_slope,
        "silu": _silu_slope,
        "tanh": lambda x: 4 * _bell(2 * x),
        "sigmoid": _bell,
    }
)


def slope_of(activation: str) -> Function:
    """The derivative of an activation, by name.

    >>> float(slope_of("tanh")(np.array([0.0]))[0])
    1.0
    """
    return SLOPES[known("explore", "activation", activation, SLOPES)]


@functools.cache
def usual_slope(activation: str) -> float:
    """RMS of the slope for standard normal sums.

    >>> round(usual_slope("relu") ** 2, 9)
    0.5
    """
    return math.sqrt(moments(activation).slope)


@functools.cache
def usually_flat(activation: str) -> float:
    """Share of standard normal sums at which the activation is flat: half for ReLU.

    >>> usually_flat("relu"), usually_flat("linear")
    (0.5, 0.0)
    """
    return float(np.mean(np.abs(slope_of(activation)(standard_inputs())) < FLAT_SLOPE * usual_slope(activation)))


def inputs(samples: int, width: int, *, seed: int = 0) -> Array:
    """Normal inputs from the engine, each sample scaled to an RMS of 1.

    >>> bool(np.allclose((inputs(4, 16) ** 2).mean(axis=1), 1))
    True
    """
    x = fill(Normal(0.0, 1.0), (samples, width), seed=seed, name="explore.inputs", dtype="float64")
    return np.asarray(x / np.sqrt(np.mean(x * x, axis=1, keepdims=True)))


def layer(scheme: Scheme, index: int, shape: tuple[int, int], *, seed: int = 0) -> Array:
    """The weight of one layer: the stream of (seed, "layers.INDEX.weight"), so a deeper network begins with a shallower
    one."""
    return scheme(shape, seed=seed, name=f"layers.{index}.weight", dtype="float64")


def layers(scheme: Scheme, depth: int, width: int, *, seed: int = 0) -> list[Array]:
    """The square weights of a plain network. The first layer of mirrored ones has inputs that come in no pairs.

    >>> from wellbegun.schemes import orthogonal
    >>> deep = layers(mirrored(orthogonal()), 3, 4)
    >>> len(deep), bool(np.allclose(deep[1][:2], -deep[1][2:])), bool(np.allclose(deep[1][:, :2], -deep[1][:, 2:]))
    (3, True, True)
    """
    later = inner(scheme, width)
    return [layer(later if index else scheme, index, (width, width), seed=seed) for index in range(depth)]


def inner(scheme: Scheme, width: int) -> Scheme:
    """The scheme of all layers but the first: there, mirrored ones have inputs in pairs, too."""
    return mirrored(scheme.scheme, inputs=(width,)) if isinstance(scheme, MirroredScheme) else scheme


class Forward(NamedTuple):
    """What one layer did in each of the networks (first axis: network, then samples, then units)."""

    sums: Array  # z
    handed: Array  # a = phi(z)
    slopes: Array  # phi'(z), single precision


def forward(weights: Sequence[Array], activation: str, x: Array, gains: Array) -> list[Forward]:
    """All layers of the networks whose weights are gain * W.

    Args:
        weights: One (out, in) matrix for each layer.
        activation: A name of `SLOPES`.
        x: (samples, inputs).
        gains: One for each network.

    >>> passed = forward([np.eye(2)], "relu", np.array([[1.0, -1.0]]), np.array([1.0, 3.0]))
    >>> passed[0].handed[:, 0].tolist()
    [[1.0, 0.0], [3.0, 0.0]]
    """
    phi, slope = activation_of(activation), slope_of(activation)
    scale = np.asarray(gains, np.float64)[:, None, None]
    handed = np.broadcast_to(x, (len(gains), *x.shape))
    passed = []
    for weight in weights:
        sums = (handed.reshape(-1, weight.shape[1]) @ weight.T).reshape(*handed.shape[:2], -1) * scale
        handed = np.asarray(phi(sums), np.float64)
        passed.append(Forward(sums, handed, slope(sums).astype(np.float32)))
    return passed


class Backward(NamedTuple):
    """The gradient at the sums of one layer, at unit RMS, and the logarithm (base 10) of its RMS; -inf if it is 0.

    First axis: the depths that reach this layer, then network, samples, units.
    """

    gradient: Array
    log_rms: Array


def backward(
    weights: Sequence[Array], passed: Sequence[Forward], gains: Array, depths: Sequence[int], *, seed: int = 0
) -> list[Backward]:
    """Gradients of networks that end after each of `depths` layers, for a random gradient at what they hand on.

    Returns:
        One for each layer. The axis of depths holds those with depth > layer index, in their order.
    """
    samples, width = passed[max(depths) - 1].slopes.shape[1:]
    scale = np.asarray(gains)[:, None, None].astype(np.float32)
    current = np.zeros((0, len(gains), samples, width), np.float32)
    log_rms = np.zeros((0, len(gains)))
    steps: list[Backward] = []
    for index in range(max(depths) - 1, -1, -1):
        if len(current):
            flat = current.reshape(-1, current.shape[-1]) @ weights[index + 1].astype(np.float32)
            current = flat.reshape(*current.shape[:3], -1) * scale
        new = sum(depth == index + 1 for depth in depths)
        if new:
            width = passed[index].slopes.shape[2]
            arriving = fill(Normal(0.0, 1.0), (samples, width), seed=seed, name="explore.gradient").astype(np.float32)
            start = np.broadcast_to(arriving, (new, len(gains), samples, width))
            current, log_rms = np.concatenate([start, current]), np.concatenate([np.zeros((new, len(gains))), log_rms])
        current, grown = _unit(current * passed[index].slopes)
        log_rms = log_rms + grown
        steps.append(Backward(current, log_rms))
    return steps[::-1]


def _unit(values: Array) -> tuple[Array, Array]:
    """Values at unit RMS, and log10 of what they were: single precision never ends, however deep the network."""
    square = np.einsum("dgsn,dgsn->dg", values, values) / (values.shape[2] * values.shape[3])
    rms = np.sqrt(square)
    with np.errstate(divide="ignore"):
        logs = np.log10(rms.astype(np.float64))
    return values / np.where(rms > 0, rms, 1)[:, :, None, None], logs
