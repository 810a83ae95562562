"""`torch.nn.init` on the streams of this package: its names, arguments, laws, errors and warnings, and every scheme.

`from wellbegun.torch import init as nn_init` stands for `import torch.nn.init as nn_init`. Tensors are filled in place
and returned; autograd records nothing. Besides, every scheme of this package is here with an underscore (`mirrored_`,
`he_normal_`), and the spellings of timm (`trunc_normal_tf_`, `variance_scaling_`, `lecun_normal_`, which is truncated).

Each call takes one 64-bit seed from `generator`, or else from torch's default generator of the CPU, whatever the device
of the tensor: `torch.manual_seed` makes it reproducible, and the bits of a device, a dtype's width apart, are those of
every other device, of shards, and of `scheme(shape, seed=...)`. Tensors without values (meta, fake) and without
elements are left alone, and no seed is taken. Processes that share a DTensor take the seed of the first one.

Laws are those of torch; what torch has wrong is right behind arguments that it does not have, all by name: `layout` for
the fans of transposed and grouped convolutions, experts and fused weights, `bounds` and `std_is` of a truncated normal,
`total_variance` of complex uniform weights. `orthogonal_` takes complex tensors, and `sparse_` its places from
`generator`, too.

>>> import torch
>>> w = kaiming_normal_(torch.nn.Linear(400, 300).weight, nonlinearity="relu")
>>> bool(abs(w.std() * 200**0.5 - 1) < 0.01), w.requires_grad
(True, True)
"""

import inspect
import math
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Generator, Tensor
from torch.nn import init as theirs
from torch.nn.init import calculate_gain

from wellbegun import schemes
from wellbegun._arguments import DTYPES, choice, real, text_of
from wellbegun.laws import Constant, Dirac, Normal, Uniform
from wellbegun.layout import Layout
from wellbegun.schemes import ALIASES, SCHEMES, Scheme
from wellbegun.schemes.card import card_of
from wellbegun.torch.inplace import drawn, public

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "lecun_normal_", "normal_",
    "ones_", "orthogonal_", "sparse_", "trunc_normal_", "trunc_normal_tf_", "uniform_", "variance_scaling_",
    "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip

Layouts = str | Layout | None
_orthogonal = lru_cache(schemes.orthogonal)
_variance_scaling = lru_cache(schemes.variance_scaling)  # of names only: a number may be a tensor that changes


# ---------------------------------------------------------------------- those of torch
@public
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform on [a, b], a <= b; both parts of complex numbers, as torch has it.

    >>> bool(uniform_(torch.empty(100), 2, 3).min() >= 2)
    True
    """
    law = Constant(a) if a == b else Uniform(a, b)
    return drawn("uniform_", tensor, law, generator, each_part=True)


@public
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with this mean and std >= 0, which is that of |z| for complex numbers; the mean is that of both parts.

    >>> bool(abs(normal_(torch.empty(400, 500), std=3).std() - 3) < 0.03)
    True
    """
    law, parts = Normal(mean, std), tensor.is_complex() and mean != 0
    return drawn("normal_", tensor, Normal(law.mean, law.std / 2**0.5) if parts else law, generator, each_part=parts)


@public
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
    *,
    bounds: str = "absolute",
    std_is: str = "before",
) -> Tensor:
    """Normal cut to [a, b].

    Args:
        tensor: What is filled.
        mean, std: Of the uncut normal; std > 0.
        a, b: Bounds in units of the weight, as torch has them: std 0.02 with +-2 cuts nothing.
        generator: Where the seed comes from.
        bounds: "std" counts `a` and `b` in stds from the mean, as TensorFlow, Keras and JAX do.
        std_is: "after": draws have exactly `std`, which the cut does not make smaller.
    Raises: ArgumentError, as `wellbegun.truncated_normal`.

    >>> bool(abs(trunc_normal_(torch.empty(1000), std=0.02, bounds="std")).max() <= 0.04)
    True
    """
    made = schemes.truncated_normal(mean=mean, std=std, low=a, high=b, bounds=bounds, std_is=std_is)
    low, high = (a, b) if bounds == "std" else ((a - mean) / std, (b - mean) / std)
    if low > 2 or high < -2:
        text = "mean is more than 2 std from [a, b] in nn.init.trunc_normal_."
        warnings.warn(f"{text} All values are from one tail, whose shape they have.", stacklevel=4)
    return drawn("trunc_normal_", tensor, made, generator)


@public
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every entry is `val`."""
    with torch.no_grad():
        return tensor.fill_(val)


@public
def ones_(tensor: Tensor) -> Tensor:
    """Every entry is 1."""
    with torch.no_grad():
        return tensor.fill_(1.0)


@public
def zeros_(tensor: Tensor) -> Tensor:
    """Every entry is 0."""
    with torch.no_grad():
        return tensor.zero_()


@public
def eye_(tensor: Tensor, *, gain: float = 1.0, std: float = 0.0, generator: Generator | None = None) -> Tensor:
    """The identity times `gain`, with zeros beside it, and noise of `std` on every entry. ValueError: no matrix."""
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    if (gain, std) == (1.0, 0.0) and not _drawable(tensor):
        return theirs.eye_(tensor)
    return drawn("eye_", tensor, schemes.eye(gain=gain, std=std), generator)


@public
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution that passes its input on, in each group; the centre of a window is k // 2, as torch has it.

    ValueError: no kernel with a window of 1 to 3 axes, or groups that do not divide the outputs.

    >>> dirac_(torch.empty(2, 1, 4), groups=2).tolist()
    [[[0.0, 0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0, 0.0]]]
    """
    if tensor.ndimension() not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.shape[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    odd = tuple(size + (axis > 1 and size % 2 == 0) for axis, size in enumerate(tensor.shape))  # (k - 1) // 2 is ours
    if not _drawable(tensor):
        return theirs.dirac_(tensor, groups)
    return drawn("dirac_", tensor, Dirac(1.0, groups), None, whole=odd)


def _drawable(tensor: Tensor) -> bool:
    return str(tensor.dtype).removeprefix("torch.") in DTYPES


def _scaling(
    owner: str,
    tensor: Tensor,
    gain: float,
    mode: str,
    distribution: str,
    generator: Generator | None,
    layout: Layouts,
    *,
    total_variance: bool = True,
) -> Tensor:
    if tensor.dim() < 2 and layout is None:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    made, size = _variance_scaling(mode=mode, distribution=distribution), real(owner, "gain", gain, minimum=0)
    return drawn(owner, tensor, made, generator, layout, gain=size, each_part=not total_variance)


@public
def xavier_uniform_(
    tensor: Tensor,
    gain: float = 1.0,
    generator: Generator | None = None,
    *,
    layout: Layouts = None,
    total_variance: bool = False,
) -> Tensor:
    """Uniform on +-gain sqrt(6 / (fan_in + fan_out)).

    Args:
        tensor: What is filled.
        gain: >= 0, dimensionless.
        generator: Where the seed comes from.
        layout: The role of each axis, as letters or a `wellbegun.Layout`; None: as torch reads every shape, which
            swaps the fans of transposed convolutions and counts all groups.
        total_variance: Whether complex numbers have this variance; as torch has it, each of both parts does.
    Raises: ValueError: fewer than two axes, and no layout. ArgumentError, LayoutError: gain, layout.
    """
    options = {"total_variance": total_variance}
    return _scaling("xavier_uniform_", tensor, gain, "fan_avg", "uniform", generator, layout, **options)


@public
def xavier_normal_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None, *, layout: Layouts = None
) -> Tensor:
    """Normal of std gain sqrt(2 / (fan_in + fan_out)); arguments as of `xavier_uniform_`."""
    return _scaling("xavier_normal_", tensor, gain, "fan_avg", "normal", generator, layout)


def _kaiming(
    distribution: str, tensor: Tensor, a: float, mode: str, nonlinearity: str, *others: Any, total_variance: bool = True
) -> Tensor:
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=5)
        return tensor
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode.lower()} not supported, please use one of ['fan_in', 'fan_out']")
    owner, gain = f"kaiming_{distribution}_", calculate_gain(nonlinearity, a)  # type: ignore[arg-type]
    return _scaling(owner, tensor, gain, mode.lower(), distribution, *others, total_variance=total_variance)


@public
def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
    *,
    layout: Layouts = None,
    total_variance: bool = False,
) -> Tensor:
    """Uniform on +-g sqrt(3 / fan), g = calculate_gain(nonlinearity, a).

    Args:
        tensor: What is filled.
        a: Slope below 0, of "leaky_relu" alone.
        mode: "fan_in" or "fan_out".
        nonlinearity: One that torch has a gain for; the gain of any other is `wellbegun.gain`.
        generator: Where the seed comes from.
        layout, total_variance: As of `xavier_uniform_`.
    Raises: As `xavier_uniform_`; ValueError: mode, nonlinearity. Warns of a tensor without elements.

    A transposed convolution, 6 channels to 4 with a window of 3, sums 6 * 3 terms; torch reads 4 * 3:

    >>> w = torch.empty(6, 4, 3)
    >>> bool((kaiming_uniform_(w, layout="iok").abs() <= (6 / 18) ** 0.5).all())
    True
    """
    return _kaiming("uniform", tensor, a, mode, nonlinearity, generator, layout, total_variance=total_variance)


@public
def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
    *,
    layout: Layouts = None,
) -> Tensor:
    """Normal of std g / sqrt(fan), g = calculate_gain(nonlinearity, a); arguments as of `kaiming_uniform_`."""
    return _kaiming("normal", tensor, a, mode, nonlinearity, generator, layout)


@public
def orthogonal_(
    tensor: Tensor,
    gain: float = 1,
    generator: Generator | None = None,
    *,
    layout: Layouts = None,
    method: str = "haar",
) -> Tensor:
    """A (semi-)orthogonal matrix times `gain`, unitary for complex numbers; all axes but the first are columns.

    `layout`: with sections or experts each of them is a matrix. `method`: "haar" is torch's law, "structured" faster;
    see `wellbegun.orthogonal`. ValueError: fewer than two axes.

    >>> w = orthogonal_(torch.empty(8, 4))
    >>> torch.allclose(w.T @ w, torch.eye(4), atol=1e-6)
    True
    """
    if tensor.ndimension() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    size = abs(real("orthogonal_", "gain", gain))  # -Q is distributed as Q
    made = _orthogonal(method=text_of("orthogonal_", "method", method))
    return drawn("orthogonal_", tensor, made, generator, layout, gain=size)


@public
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal of this std, with ceil(sparsity * rows) zeros in each column. ValueError: no matrix.

    >>> (sparse_(torch.empty(8, 3), 0.5) == 0).sum(0).tolist()
    [4, 4, 4]
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return drawn("sparse_", tensor, schemes.sparse(sparsity=sparsity, std=std, per="input"), generator)


# ---------------------------------------------------------------------- those of timm
def trunc_normal_tf_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """`trunc_normal_` with bounds in stds from the mean."""
    return trunc_normal_(tensor, mean, std, a, b, generator, bounds="std")


@public
def variance_scaling_(
    tensor: Tensor,
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "normal",
    generator: Generator | None = None,
    *,
    layout: Layouts = None,
) -> Tensor:
    """Variance scale / fan, from "normal", "truncated_normal" (at 2 stds, with that variance after the cut) or
    "uniform"."""
    owner = "variance_scaling_"
    gain = math.sqrt(real(owner, "scale", scale, minimum=0))
    kind = choice(owner, "distribution", distribution, ("normal", "truncated_normal", "uniform"))
    return _scaling(owner, tensor, gain, text_of(owner, "mode", mode), kind.removesuffix("_normal"), generator, layout)


def lecun_normal_(tensor: Tensor, generator: Generator | None = None, *, layout: Layouts = None) -> Tensor:
    """Variance 1 / fan_in, truncated at 2 stds, as timm and JAX have it; `wellbegun.lecun_normal` is plain normal."""
    return variance_scaling_(tensor, 1.0, "fan_in", "truncated_normal", generator, layout=layout)


# ---------------------------------------------------------------------- other names
def _of_scheme(name: str, factory: Callable[..., Scheme]) -> Callable[..., Tensor]:
    def fill_(
        tensor: Tensor, *args: Any, layout: Layouts = None, generator: Generator | None = None, **options: Any
    ) -> Tensor:
        if layout is None and table and tensor.dim() == len(card.layout.axes):
            layout = card.layout
        made = factory(*args, **options)
        layout = layout if tensor.is_nested or layout is not None else made.read(tuple(tensor.shape))
        return drawn(name, tensor, made, generator, layout, known=False)

    card: Any = card_of(factory)
    table = "l" in card.layout.axes  # whose rows are no outputs
    own = inspect.signature(fill_).parameters
    asked = [one for one in inspect.signature(factory).parameters.values() if one.name not in own]
    parameters = sorted((own["tensor"], *asked, own["layout"], own["generator"]), key=lambda one: one.kind)
    fill_.__signature__ = inspect.Signature(parameters, return_annotation=Tensor)  # type: ignore[attr-defined]
    fill_.__doc__ = f"Fill a tensor: `wellbegun.{name[:-1]}`.\n\n{(factory.__doc__ or '').partition('>>>')[0]}"
    fill_.__name__ = fill_.__qualname__ = name
    globals()[name] = public(fill_)
    return cast(Callable[..., Tensor], globals()[name])


def _deprecated(old: str) -> Callable[..., Tensor]:
    new = f"{old}_"

    def called(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.", FutureWarning, stacklevel=2)
        found: Tensor = globals()[new](*args, **kwargs)
        return found

    called.__doc__, called.__name__, called.__qualname__ = f"`{new}`, by the name that torch gave up.", old, old
    globals()[old] = called
    return called


def _named(name: str) -> Callable[..., Any] | None:
    """What torch has besides, and schemes, with an underscore behind their names."""
    if f"{name}_" in globals() and hasattr(theirs, name):
        return _deprecated(name)
    if name.startswith("_calculate") and hasattr(theirs, name):
        found: Callable[..., Any] = getattr(theirs, name)
        return found
    scheme = ALIASES.get(name[:-1], name[:-1])
    return _of_scheme(name, SCHEMES[scheme]) if name.endswith("_") and scheme in SCHEMES else None


def __getattr__(name: str) -> Callable[..., Any]:
    found = _named(name)
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *(f"{name}_" for name in (*SCHEMES, *ALIASES)), *dir(theirs)} - {"theirs"})
