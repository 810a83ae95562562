"""Every initializer of `keras.initializers`, by the same names and with the same arguments, and every scheme of ours.

Values are wellbegun's: the stream of (seed, name), where `name` is an argument of every class, and "" if it is not
given. Keras passes a shape and nothing else, so a seed that is a whole number gives the same values at every call, as
Keras promises; one that is None is drawn when the initializer is made, from `keras.utils.set_random_seed` if that was
called; a `keras.random.SeedGenerator` gives another seed at every call. No value depends on the backend, on devices or
on threads.

Keras takes the last two axes for inputs and outputs, which is wrong for depthwise kernels, transposed convolutions and
experts. `layout` says what each axis is, as letters or a `wellbegun.Layout`: "kkio" convolutions, "kkoi" transposed
ones, `Layout("kkoi", groups=C, transposed=False)` depthwise ones of C channels, "eio" experts.

>>> import keras
>>> from wellbegun.keras import initializers
>>> kernel = initializers.he_normal(seed=1)((64, 32))
>>> layer = keras.layers.Dense(4, kernel_initializer=initializers.FromScheme("mirrored(orthogonal())", seed=1))
>>> experts = initializers.GlorotUniform(seed=1, layout="eio")((8, 64, 32))
>>> bool(abs(keras.ops.convert_to_numpy(experts)).max() > (6 / (64 + 32)) ** 0.5 * 0.99)
True
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import keras
import numpy as np

from wellbegun._arguments import known
from wellbegun._typing import Array
from wellbegun.engine import fill
from wellbegun.layout import Layout
from wellbegun.schemes import (
    SCHEMES,
    Scheme,
    constant,
    normal,
    orthogonal,
    parse_scheme,
    scheme_of,
    truncated_normal,
    uniform,
    variance_scaling,
)

_DISTRIBUTIONS = {"truncated_normal": "truncated", "untruncated_normal": "normal", "uniform": "uniform"}


class _Drawn:
    """What draws, before a class of Keras's own, which has the arguments and checks them."""

    seed: Any
    _init_seed: Any

    def __init__(self, *arguments: Any, layout: Any = None, name: str = "", **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.layout = Layout(**layout) if isinstance(layout, Mapping) else layout
        self.name = name

    def __call__(self, shape: Any, dtype: Any = None, layout: Any = None) -> Any:
        """The values of a tensor.

        Args:
            shape: Its shape.
            dtype: Its numbers; None: those of `keras.config.floatx()`.
            layout: Where Keras distributes it to; None: nowhere.
        """
        kind, sizes = keras.backend.standardize_dtype(dtype or keras.config.floatx()), tuple(map(int, shape))
        if "float" not in kind:
            return super().__call__(sizes, dtype=kind)  # type: ignore[misc]
        values = self._values(sizes, kind)
        return keras.ops.convert_to_tensor(values, dtype=kind) if layout is None else _placed(values, kind, layout)

    def get_config(self) -> dict[str, Any]:
        """What makes the same initializer again."""
        layout = asdict(self.layout) if isinstance(self.layout, Layout) else self.layout
        return {**super().get_config(), "layout": layout, "name": self.name}  # type: ignore[misc]

    def _scheme(self) -> Scheme:
        raise NotImplementedError

    def _values(self, shape: tuple[int, ...], dtype: str) -> Array:
        scheme, seed = self._scheme(), _seed_of(self.seed)
        if math.prod(shape) == 0:
            return np.zeros(shape)
        if len(shape) > 1 or self.layout is not None:
            asked = self.layout or self._letters(len(shape))
            return scheme(shape, seed=seed, name=self.name, layout=asked, dtype=dtype)
        matrix = (*shape, *shape) or (1, 1)  # Keras takes a vector for as many inputs as outputs
        return fill(scheme.law(matrix, layout="io"), shape, seed=seed, name=self.name, dtype=dtype)

    def _letters(self, rank: int) -> str:
        """As Keras reads a shape, if nobody says what its axes are."""
        inputs, outputs = getattr(self, "input_axes", None), getattr(self, "output_axes", None)
        if inputs is None or outputs is None:
            return "k" * (rank - 2) + "io"
        own = dict.fromkeys((axis % rank for axis in inputs), "i") | dict.fromkeys((a % rank for a in outputs), "o")
        return "".join(own.get(axis, "e") for axis in range(rank))


def _seed_of(seed: Any) -> int:
    if not isinstance(seed, keras.random.SeedGenerator):
        return int(seed) % 2**64
    high, low = (int(word) for word in np.asarray(keras.ops.convert_to_numpy(seed.next())).astype(np.uint32))
    return high << 32 | low


def _placed(values: Array, dtype: str, layout: Any) -> Any:
    """Each part on the device that Keras wants it on; only JAX asks for that."""
    import jax

    sharding = getattr(layout, "backend_layout", layout)
    if isinstance(getattr(sharding, "mesh", None), jax.sharding.AbstractMesh):
        sharding = jax.sharding.NamedSharding(jax.sharding.get_mesh(), sharding.spec)
    kind = jax.numpy.dtype(dtype)
    return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index].astype(kind))


def _scaling(own: Any) -> Scheme:
    return variance_scaling(scale=own.scale, mode=own.mode, distribution=_DISTRIBUTIONS[own.distribution])


def _cut(own: Any) -> Scheme:
    return truncated_normal(mean=float(own.mean), std=float(own.stddev)) if own.stddev else constant(float(own.mean))


def _normal(own: Any) -> Scheme:
    return normal(float(own.mean), float(own.stddev)) if own.stddev else constant(float(own.mean))


_RANDOM: Mapping[str, Callable[[Any], Scheme]] = {
    **dict.fromkeys(
        ("VarianceScaling", "GlorotUniform", "GlorotNormal", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform"),
        _scaling,
    ),
    "RandomNormal": _normal, "TruncatedNormal": _cut, "RandomUniform": lambda own: uniform(own.minval, own.maxval),
    "Orthogonal": lambda own: orthogonal(gain=own.gain),
}  # fmt: skip
_FIXED = ("Zeros", "Ones", "Constant", "Identity", "STFT")  # which draw nothing


def _made(name: str, scheme: Callable[[Any], Scheme]) -> type[Any]:
    base = getattr(keras.initializers, name)
    members = {"_scheme": scheme, "__doc__": base.__doc__, "__module__": __name__}
    made = type(name, (_Drawn, base), members)
    return keras.saving.register_keras_serializable("wellbegun")(made)  # type: ignore[no-any-return]


@keras.saving.register_keras_serializable("wellbegun")
class FromScheme(_Drawn, keras.initializers.Initializer):  # type: ignore[misc]  # Keras has no types
    """Values of any scheme.

    Args:
        scheme: A scheme, its text ("mirrored(orthogonal())"), a law, or a function or class of your own.
        seed: As for Keras's own initializers.
        layout: The role of each axis; None reads a shape as Keras does.
        name: Of the stream.
    """

    def __init__(self, scheme: Any, *, seed: Any = None, layout: Any = None, name: str = "") -> None:
        super().__init__(layout=layout, name=name)
        own = keras.initializers.RandomNormal(seed=seed)  # what Keras makes of a seed
        self.seed, self._init_seed, self.scheme = own.seed, own._init_seed, scheme_of(scheme, "FromScheme")

    def _scheme(self) -> Scheme:
        return self.scheme

    def get_config(self) -> dict[str, Any]:
        """What makes the same initializer again."""
        seed = keras.saving.serialize_keras_object(self._init_seed)
        return {**super().get_config(), "scheme": repr(self.scheme), "seed": seed}


_CLASSES: dict[str, type[Any]] = {name: _made(name, scheme) for name, scheme in _RANDOM.items()}
DRAWN: Mapping[str, type[Any]] = {**_CLASSES, "FromScheme": FromScheme}
"""Those that draw, by the names of their classes."""
_CLASSES |= {name: getattr(keras.initializers, name) for name in _FIXED}
_NAMES: dict[str, type[Any]] = {
    name: _CLASSES[found.__name__]
    for name in dir(keras.initializers)
    if isinstance(found := getattr(keras.initializers, name), type) and found.__name__ in _CLASSES
}
_NAMES |= {"normal": _NAMES["RandomNormal"], "uniform": _NAMES["RandomUniform"], "one": _NAMES["Ones"]}
_NAMES |= {"zero": _NAMES["Zeros"]}

Initializer = keras.initializers.Initializer
serialize, deserialize = keras.initializers.serialize, keras.initializers.deserialize


def get(identifier: Any) -> Any:
    """An initializer from its name, its text as a scheme, or whatever `keras.initializers.get` takes.

    Raises:
        UnknownNameError: nothing is called so. ValueError, as Keras does: it is none.
    """
    if not isinstance(identifier, str):
        return keras.initializers.get(identifier)
    if identifier in _NAMES:
        return _NAMES[identifier]()
    if (name := identifier.partition("(")[0]) in SCHEMES:
        return FromScheme(parse_scheme(identifier))
    try:
        return keras.initializers.get(identifier)  # one that was registered
    except ValueError:
        return known("initializers.get", "identifier", name, {*_NAMES, *SCHEMES})


def _of_scheme(factory: Callable[..., Scheme], *args: Any, seed: Any = None, layout: Any = None, **options: Any) -> Any:
    name = options.pop("name", "")
    return FromScheme(factory(*args, **options), seed=seed, layout=layout, name=name)


def __getattr__(name: str) -> Any:
    """Keras's names, and those of schemes, whose arguments go before `seed`, `layout` and `name`."""
    if name in _NAMES:
        return _NAMES[name]
    if name in SCHEMES:
        return partial(_of_scheme, SCHEMES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES, *SCHEMES})
