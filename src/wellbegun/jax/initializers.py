"""The initializers of `jax.nn.initializers`, with its names, arguments and laws, on the streams of this package.

An initializer is called as those of JAX are, `init(key, shape, dtype=None, out_sharding=None)`, also under `jit` and
`vmap`, and passed as `kernel_init=` in Flax (NNX and Linen) or `w_init=` in Haiku, which calls `init(shape, dtype)`.
The 64 bits of a key are the seed: `he_normal()(jax.random.key(7), (3, 4))` are the bits that every other framework gets
from seed 7 and an empty name. They depend on nothing else: not on the device, the compiler or the mesh.

Values are computed by the engine on the host. Outside of `jit` nothing is compiled. With a `NamedSharding` each device
gets its own part; laws whose entries depend on each other (orthogonal ones) are computed whole for that. `pure` makes
an initializer that calls no host within `jit`: the same bits, in JAX's own operations.
"""

import math
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import Initializer, constant, ones, zeros
from jax.sharding import NamedSharding, PartitionSpec

from wellbegun._arguments import choice, dtype_of, message, shape_of
from wellbegun._typing import Array
from wellbegun.engine import fill
from wellbegun.engine.parameters import parameters_of
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.jax import streams
from wellbegun.laws import Constant, Law
from wellbegun.laws.independent import Drawn as Independent
from wellbegun.layout import Layout
from wellbegun.schemes import Scheme, scheme_of
from wellbegun.schemes import delta_orthogonal as _delta_orthogonal
from wellbegun.schemes import normal as _normal
from wellbegun.schemes import orthogonal as _orthogonal
from wellbegun.schemes import truncated_normal as _truncated_normal
from wellbegun.schemes import uniform as _uniform
from wellbegun.schemes import variance_scaling as _variance_scaling
from wellbegun.schemes import zeros as _zeros

__all__ = [
    "Initializer", "constant", "delta_orthogonal", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform",
    "kaiming_normal", "kaiming_uniform", "lecun_normal", "lecun_uniform", "normal", "of", "ones", "orthogonal",
    "pure", "truncated_normal", "uniform", "variance_scaling", "xavier_normal", "xavier_uniform", "zeros",
]  # fmt: skip

Axes = int | Sequence[int]
Region = tuple[tuple[int, int], ...]
_Shape: Any = jax.ShapeDtypeStruct
_EVERYWHERE = cast(Any, PartitionSpec)()
_DISTRIBUTIONS = {"truncated_normal": "truncated", "normal": "normal", "uniform": "uniform"}  # theirs -> ours


@dataclass(frozen=True)
class Drawn:
    """An initializer that draws a scheme; see the module."""

    scheme: Scheme
    axes: Callable[[tuple[int, ...]], Layout]
    dtype: Any = None
    factor: float = 1.0  # of what is drawn, where no scheme has it: 0 or a sign
    pure: bool = False  # whether it calls no host within a transformation

    def __call__(self, key: Any, shape: Any = None, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        """Draw an array.

        Args:
            key: A key of any of JAX's generators, typed or raw. Haiku gives none, and begins with the shape.
            shape: Shape of the array.
            dtype: A real or complex floating dtype; None: that of the initializer, or JAX's default.
            out_sharding: A NamedSharding or PartitionSpec; None: as for any other operation.
        Raises:
            ArgumentError (a ValueError): the shape does not fit, or the dtype does not hold the law. ArgumentTypeError:
            no key, or no shape.
        """
        if isinstance(key, (tuple, list)) and "haiku" in sys.modules:
            with suppress(ValueError):  # outside of a transform there is no key
                key, shape, dtype = sys.modules["haiku"].next_rng_key(), key, shape if dtype is None else dtype
        words, sizes = _words(key), shape_of("initializer", shape)
        kind = jax.dtypes.canonicalize_dtype(next((d for d in (dtype, self.dtype) if d is not None), float))
        dtype_of("initializer", kind.name)
        layout = self.axes(sizes)
        law = self.scheme.law(sizes, layout=layout) if math.prod(sizes) else _zeros().law(sizes, layout=layout)
        law.check(kind.name)
        job = _Job(law, layout, sizes, kind, self.factor)
        if isinstance(out_sharding, PartitionSpec):
            out_sharding = NamedSharding(jax.sharding.get_mesh(), out_sharding)
        if isinstance(words, jax.core.Tracer):
            return job.traced(words, out_sharding, job.computed if self.pure else job.called)
        return job.placed(np.asarray(words), out_sharding)


def _words(key: Any) -> Any:
    """The words of one key, typed or raw."""
    typed = hasattr(key, "dtype") and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    words = jax.random.key_data(key) if typed else key
    if not isinstance(words, (jax.Array, np.ndarray)) or words.dtype != np.uint32 or words.ndim != 1 or len(words) < 2:
        got = f"{words.dtype} of shape {words.shape}" if hasattr(words, "dtype") else key
        raise ArgumentTypeError(message("initializer", "key", "one key, such as jax.random.key(0)", got))
    return words


@dataclass(frozen=True)
class _Job:
    """One array that is to be drawn."""

    law: Law
    layout: Layout
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    factor: float

    def values(self, words: Array, region: Region) -> Array:
        """A region of the array, in stored axes."""
        first, second, *others = (int(word) for word in np.asarray(words).ravel())
        order = self.layout.canonical
        drawn = fill(
            self.law,
            tuple(self.shape[axis] for axis in order),
            seed=first << 32 | second,
            name="".join(f"{word:08x}" for word in others),  # of generators whose keys are longer
            region=tuple(region[axis] for axis in order),
            dtype=self.dtype.name,
        )
        stored = drawn.transpose([order.index(axis) for axis in range(len(order))])
        return np.asarray(stored if self.factor == 1 else stored * self.dtype.type(self.factor), order="C")

    def placed(self, words: Array, sharding: Any) -> jax.Array:
        """The array, outside of any transformation: nothing is compiled."""
        if sharding is None:
            return jnp.asarray(self.values(words, tuple((0, size) for size in self.shape)))
        whole = self.values(words, tuple((0, size) for size in self.shape)) if self.law.couples else None

        def part(index: Any) -> Array:
            bounds = tuple(one.indices(size)[:2] for one, size in zip(index, self.shape, strict=True))
            return self.values(words, bounds) if whole is None else whole[index]

        return jax.make_array_from_callback(self.shape, sharding, part)

    def traced(self, words: Any, sharding: Any, draw: Callable[..., jax.Array]) -> jax.Array:
        """The array, within a transformation, one part on each device where it is sharded.

        `draw` gives a part of the key's words, its place along each axis, counted in parts, and its shape.
        """
        if sharding is None:
            return draw(words, [jnp.int32(0)] * len(self.shape), self.shape)
        mesh = sharding.mesh
        spec = (*sharding.spec, *[None] * (len(self.shape) - len(sharding.spec)))
        names = [() if axis is None else axis if isinstance(axis, tuple) else (axis,) for axis in spec]
        counts = [math.prod(mesh.shape[name] for name in axis) for axis in names]
        local = tuple(size // count for size, count in zip(self.shape, counts, strict=True))

        def part(words: Any) -> Any:
            return draw(words, [jax.lax.axis_index(axis) if axis else jnp.int32(0) for axis in names], local)

        within = jax.shard_map(part, mesh=mesh, in_specs=_EVERYWHERE, out_specs=sharding.spec, check_vma=False)
        return cast(jax.Array, within(words))

    def called(self, words: Any, places: Sequence[Any], sizes: tuple[int, ...]) -> jax.Array:
        """A part, by a call of the host."""

        def draw(words: Array, places: Array) -> Array:
            begins = [int(place) * size for place, size in zip(places, sizes, strict=True)]
            return self.values(words, tuple((begin, begin + size) for begin, size in zip(begins, sizes, strict=True)))

        where, part = jnp.stack(places) if places else jnp.zeros(0, jnp.int32), _Shape(sizes, self.dtype)
        return cast(jax.Array, jax.pure_callback(draw, part, words, where, vmap_method="sequential"))

    def computed(self, words: Any, places: Sequence[Any], sizes: tuple[int, ...]) -> jax.Array:
        """A part, in operations of JAX."""
        known = self.dtype.name in streams.DTYPES and isinstance(self.law, (Independent, Constant))
        if not known or math.prod(self.shape) > streams.LARGEST:
            allowed = f"a law of independent entries, in {', '.join(sorted(streams.DTYPES))}, of at most 2^32 entries"
            got = f"{self.law.describe()} in {self.dtype.name} of shape {self.shape}"
            raise ArgumentError(message("pure", "initializer", allowed, got, "The host draws others: drop pure()."))
        if isinstance(self.law, Constant):
            return jnp.full(sizes, self.law.value * self.factor, self.dtype)
        parameters = parameters_of(self.law, self.dtype.name)
        entry = streams.entries(self.shape, self.layout.canonical, places, sizes)
        made = streams.values(words, parameters, entry).astype(self.dtype)
        return made if self.factor == 1 else made * self.dtype.type(self.factor)


# ---------------------------------------------------------------------- axes
def _indices(axes: Axes) -> Sequence[int]:
    return axes if isinstance(axes, Sequence) else (axes,)


def _by_role(in_axis: Axes, out_axis: Axes, batch_axis: Axes, shape: tuple[int, ...]) -> Layout:
    """As JAX counts: all axes that are neither inputs, outputs nor a batch are a window."""
    if in_axis == -2 and len(shape) < 2:
        raise ArgumentError(
            f"Can't compute input and output sizes of a {len(shape)}-dimensional weights tensor with default in_axis. "
            "Must be at least 2D or specify in_axis explicitly."
        )
    letters = ["k"] * len(shape)
    for role, axes in (("i", in_axis), ("o", out_axis), ("e", batch_axis)):
        for axis in _indices(axes):
            if not -len(shape) <= axis < len(shape):
                raise ArgumentError(message("initializer", "axes", f"axes of {shape}", axis))
            letters[axis] = role
    return Layout("".join(letters), transposed=False)


def _any_shape(shape: tuple[int, ...]) -> Layout:
    """The order of axes of a kernel, for laws that need no fans."""
    return Layout("k" * (len(shape) - 2) + "io" if len(shape) > 1 else "o" * len(shape), transposed=False)


def _column(column_axis: int, shape: tuple[int, ...]) -> Layout:
    if len(shape) < 2:
        raise ArgumentError("orthogonal initializer requires at least a 2D shape")
    if not -len(shape) <= column_axis < len(shape):
        raise ArgumentError(message("orthogonal", "column_axis", f"an axis of {shape}", column_axis))
    letters = ["i"] * len(shape)
    letters[column_axis] = "o"
    return Layout("".join(letters))


def _kernel(shape: tuple[int, ...]) -> Layout:
    if len(shape) not in (3, 4, 5):
        raise ArgumentError("Delta orthogonal initializer requires a 3D, 4D or 5D shape.")
    if shape[-1] < shape[-2]:
        raise ArgumentError("`fan_in` must be less or equal than `fan_out`. ")
    return _any_shape(shape)


def of(
    scheme: Any,
    *,
    layout: str | Layout | None = None,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
) -> Initializer:
    """An initializer that draws any scheme of this package, or one of your own.

    Args:
        scheme: A scheme, its text, a law, or a function of shape, fans or layout.
        layout: What the axes are, one letter for each, such as "eio" for the weights of experts, or a `Layout` with the
            groups of a convolution; without one, the axes are told as JAX has them.
        in_axis, out_axis, batch_axis: Axes of inputs and outputs, and of what is drawn for itself; all others are a
            window.
        dtype: Of what is drawn, if the call names none.
    Raises:
        ArgumentError, ArgumentTypeError, UnknownNameError: no scheme, or no layout.

    >>> import jax, wellbegun as wb
    >>> experts = of("orthogonal", layout="eio")(jax.random.key(3), (2, 8, 4))
    >>> same = wb.orthogonal()((2, 4, 8), seed=3, layout="eoi")
    >>> bool((experts == same.transpose(0, 2, 1)).all())
    True
    """
    if layout is not None:
        known = layout if isinstance(layout, Layout) else Layout(layout)
        return Drawn(scheme_of(scheme), lambda _: known, dtype)
    by_role = partial(_by_role, in_axis, out_axis, batch_axis)
    return Drawn(scheme_of(scheme), lambda shape: _any_shape(shape) if len(shape) < 2 else by_role(shape), dtype)


def pure(initializer: Initializer) -> Initializer:
    """The same initializer, without a call of the host: where callbacks are not available, as in `jax.export`.

    The bits are the same, under `jit`, `vmap` and on any mesh, but for signs of zeros and numbers below 1.2e-38, which
    XLA takes for zeros; it compiles them for each shape. Outside of a transformation values are drawn as ever.

    Args:
        initializer: One of this module, or of JAX.
    Raises:
        ArgumentError, when it is called under a transformation: entries that depend on each other (orthogonal), float64
        and complex numbers, more than 2^32 entries.

    >>> import jax
    >>> init, key = pure(he_normal()), jax.random.key(0)
    >>> bool((jax.jit(init, static_argnums=1)(key, (3, 4)) == he_normal()(key, (3, 4))).all())
    True
    """
    return replace(initializer, pure=True) if isinstance(initializer, Drawn) else initializer


# ---------------------------------------------------------------------- those of JAX
def variance_scaling(
    scale: Any,
    mode: Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"],
    distribution: Literal["truncated_normal", "normal", "uniform"],
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
) -> Initializer:
    """Variance of scale / fan, as `jax.nn.initializers.variance_scaling` has it; "truncated_normal" has that variance
    after it is cut at two standard deviations.

    >>> import jax
    >>> w = variance_scaling(2.0, "fan_in", "uniform")(jax.random.key(0), (600, 400))
    >>> bool(abs(w).max() <= (6 / 600) ** 0.5), bool(abs(w.std() * 300**0.5 - 1) < 0.01)
    (True, True)
    """
    choice("variance_scaling", "distribution", distribution, tuple(_DISTRIBUTIONS))
    axes, found = partial(_by_role, in_axis, out_axis, batch_axis), float(scale)
    made = _variance_scaling(scale=found or 1.0, mode=mode, distribution=_DISTRIBUTIONS[distribution])
    return Drawn(made, axes, dtype, 1.0 if found else 0.0)


_Scaled = Callable[..., Initializer]


def _scaled(name: str, scale: float, mode: Any, distribution: Any) -> _Scaled:
    """One that is known by a name of its own."""

    def named(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> Initializer:
        return variance_scaling(scale, mode, distribution, in_axis, out_axis, batch_axis, dtype)

    named.__name__ = named.__qualname__ = name
    named.__doc__ = f"variance_scaling({scale:g}, {mode!r}, {distribution!r}), with the axes told as there."
    return named


xavier_normal = glorot_normal = _scaled("glorot_normal", 1.0, "fan_avg", "truncated_normal")
xavier_uniform = glorot_uniform = _scaled("glorot_uniform", 1.0, "fan_avg", "uniform")
lecun_normal = _scaled("lecun_normal", 1.0, "fan_in", "truncated_normal")
lecun_uniform = _scaled("lecun_uniform", 1.0, "fan_in", "uniform")
kaiming_normal = he_normal = _scaled("he_normal", 2.0, "fan_in", "truncated_normal")
kaiming_uniform = he_uniform = _scaled("he_uniform", 2.0, "fan_in", "uniform")


def uniform(scale: Any = 1e-2, dtype: Any = None) -> Initializer:
    """Uniform on [0, scale).

    >>> import jax
    >>> w = uniform(2.0)(jax.random.key(0), (1000,))
    >>> bool((w >= 0).all()), bool((w < 2).all())
    (True, True)
    """
    low, high = sorted((0.0, float(scale)))
    return Drawn(_uniform(low, high) if high > low else _zeros(), _any_shape, dtype)


def normal(stddev: Any = 1e-2, dtype: Any = None) -> Initializer:
    """Normal of mean 0 and standard deviation `stddev`.

    >>> import jax
    >>> bool(abs(normal(3.0)(jax.random.key(0), (500, 500)).std() - 3) < 0.03)
    True
    """
    return Drawn(_normal(std=abs(float(stddev))), _any_shape, dtype)


def truncated_normal(stddev: Any = 1e-2, dtype: Any = None, lower: Any = -2.0, upper: Any = 2.0) -> Initializer:
    """Normal of standard deviation `stddev`, cut at `lower` and `upper` of them; the cut makes it smaller.

    >>> import jax
    >>> w = truncated_normal(3.0, lower=-1)(jax.random.key(0), (1000,))
    >>> bool(w.min() >= -3), bool(w.max() <= 6)
    (True, True)
    """
    made = _truncated_normal(std=float(stddev) or 1.0, low=float(lower), high=float(upper))
    return Drawn(made, _any_shape, dtype, 1.0 if stddev else 0.0)


def orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Uniformly distributed orthogonal matrices times `scale`; all axes but `column_axis` are the rows.

    >>> import jax, jax.numpy as jnp
    >>> w = orthogonal(2.0)(jax.random.key(0), (3, 4, 5))
    >>> bool(jnp.allclose(w.reshape(12, 5).T @ w.reshape(12, 5), 4 * jnp.eye(5), atol=1e-5))
    True
    """
    gain = float(scale)
    made, factor = (_orthogonal(gain=gain), 1.0) if gain > 0 else (_orthogonal(), gain)
    return Drawn(made, partial(_column, column_axis), dtype, factor)


def delta_orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Convolutions that are an orthogonal matrix at the centre and 0 elsewhere: Xiao et al. 2018, arXiv:1806.05393.

    >>> import jax
    >>> w = delta_orthogonal()(jax.random.key(0), (3, 3, 4, 8))
    >>> float(abs(w).sum() - abs(w[1, 1]).sum())
    0.0
    """
    del column_axis  # its matrices have fewer rows than columns, and orthonormal rows either way
    gain = float(scale)
    made, factor = (_delta_orthogonal(gain=gain), 1.0) if gain > 0 else (_delta_orthogonal(), gain)
    return Drawn(made, _kernel, dtype, factor)
