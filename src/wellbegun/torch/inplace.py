"""One tensor filled with a law, in place, from a seed that a generator of torch gives."""

import warnings
from collections.abc import Callable
from functools import cache, lru_cache, wraps
from typing import Any, TypeVar, cast

import torch
from torch import Generator, Tensor
from torch.overrides import handle_torch_function, has_torch_function_variadic

from wellbegun._arguments import dtype_of, message
from wellbegun.engine import Job
from wellbegun.engine.prepared import prepared
from wellbegun.engine.workers import choose, threads_of
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.laws import Computed, Constant, Dirac, Eye, Law
from wellbegun.layout import Layout
from wellbegun.materialize import draw_region
from wellbegun.schemes import Scheme
from wellbegun.torch.compat import (
    FakeTensor,
    beneath_modes,
    bump_version,
    compiler_loaded,
    fake_mode,
    is_computed,
    is_plain,
    is_transformed,
)
from wellbegun.torch.shards import agreed
from wellbegun.torch.targets import target_of

Filler = TypeVar("Filler", bound=Callable[..., Tensor])
_FIXED = Constant, Computed, Dirac, Eye  # of which nothing is drawn, and no generator moves


def public(function: Filler) -> Filler:
    """With what subclasses and modes of torch may say of it, and a warning where the values would be lost."""

    def checked(tensor: Tensor, *args: Any, **options: Any) -> Tensor:
        if is_computed(tensor):
            text = "the tensor is computed from others, as parametrized weights are, and will be computed again"
            lost = "what is written into it is lost then. Fill what it is made of."
            warnings.warn(f"{function.__name__}: {text}: {lost}", stacklevel=3)
        return function(tensor, *args, **options)

    @wraps(function)
    def called(tensor: Tensor, *args: Any, **options: Any) -> Tensor:
        if has_torch_function_variadic(tensor):
            found: Tensor = handle_torch_function(called, (tensor,), tensor, *args, **options)
            return found
        if not isinstance(tensor, Tensor):
            raise ArgumentTypeError(message(function.__name__, "tensor", "a tensor of torch", type(tensor).__name__))
        own: Any = torch.compiler.disable if compiler_loaded() else lambda given: given  # no tracing of our arrays
        return cast(Tensor, own(checked)(tensor, *args, **options))

    return cast(Filler, called)


def drawn(
    owner: str,
    tensor: Tensor,
    given: Law | Scheme,
    generator: Generator | None,
    layout: str | Layout | None = None,
    *,
    gain: float = 1.0,
    each_part: bool = False,
    whole: tuple[int, ...] | None = None,
    known: bool = True,
) -> Tensor:
    """Fill a tensor with a law, or that of a scheme, times a gain; `each_part`: the law is that of both parts of a
    complex number; `whole`: the shape of something larger that it is the beginning of; `known`: a scheme of ours, whose
    law depends on nothing else."""
    if tensor.is_nested:
        remedy = "Fill each of tensor.unbind()."
        raise ArgumentTypeError(message(owner, "tensor", "a tensor of one shape", "a nested one", remedy))
    if tensor.dtype == torch.complex32 and not each_part:  # drawn in numbers that there are kernels for, and rounded
        wide = torch.empty_like(tensor, dtype=torch.complex64)
        drawn(owner, wide, given, generator, layout, gain=gain, whole=whole, known=known)
        with torch.no_grad():
            return tensor.copy_(wide)
    read = _read(tensor.dim()) if layout is None else layout if isinstance(layout, Layout) else Layout(layout)
    if not tensor.numel():
        return tensor
    parts = each_part and tensor.is_complex()
    dtype = str(tensor.real.dtype if parts else tensor.dtype).removeprefix("torch.")
    job = (_job if known else _job.__wrapped__)(owner, given, tuple(tensor.shape), read, gain, whole, parts, dtype)
    if whole is None and not parts and is_plain(tensor):
        return _drawn_at_once(owner, tensor, generator, *job)
    if isinstance(tensor, FakeTensor) or tensor.is_meta or fake_mode() is not None:
        return tensor
    own = _has_memory(tensor)
    values = tensor.detach() if own else torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
    with beneath_modes():
        seed = (
            0
            if isinstance(job[0], _FIXED)
            else agreed([tensor] if hasattr(tensor, "placements") else [], _seed(owner, generator))
        )
        _write(owner, torch.view_as_real(values) if parts else values, *job, seed)
    if not own:
        with torch.no_grad():
            tensor.copy_(values)
    return tensor


def _drawn_at_once(
    owner: str,
    tensor: Tensor,
    generator: Generator | None,
    law: Law,
    axes: tuple[int, ...],
    shape: tuple[int, ...],
    dtype: str,
) -> Tensor:
    """A tensor that is nothing but memory of the host, by what calls like this have in common."""
    strides = tensor.stride()
    ready = prepared(law, dtype, shape, tuple(strides[axis] for axis in axes))
    seed = 0 if isinstance(law, _FIXED) else _seed(owner, generator)
    engine = None if ready is None else choose(tensor.numel(), ready.kind)
    if ready is None or engine != "compiled":
        _write(owner, tensor.detach(), law, axes, shape, dtype, seed, engine)
        return tensor
    ready.draw(seed, tensor.data_ptr())
    bump_version(tensor)
    return tensor


@cache
def _read(rank: int) -> Layout:
    """As torch reads a shape: outputs, inputs, window."""
    return Layout("oi" + "k" * (rank - 2) if rank > 1 else "o" * rank, transposed=False)


@lru_cache(1024)  # made once for all layers of a kind: it takes as long as 50,000 values
def _job(
    owner: str,
    given: Law | Scheme,
    shape: tuple[int, ...],
    read: Layout,
    gain: float,
    whole: tuple[int, ...] | None,
    parts: bool,
    dtype: str,
) -> tuple[Law, tuple[int, ...], tuple[int, ...], str]:
    """The law of a tensor, its axes in the order of the law, the shape of the whole in that order, and the dtype."""
    law = given.law(shape, layout=read) if isinstance(given, Scheme) else given
    law = law if gain == 1 else law.scaled(gain) if gain else Constant(0.0)
    axes = read.canonical
    sizes = tuple((whole or shape)[axis] for axis in axes)
    law.fits(sizes)
    law.check(dtype_of(owner, dtype))
    return (law, (*axes, len(axes)), (*sizes, 2), dtype) if parts else (law, axes, sizes, dtype)


def _has_memory(tensor: Tensor) -> bool:
    """Whether there is memory that holds the values as they are read; a DTensor has its part."""
    plain = type(tensor).__torch_dispatch__ is Tensor.__torch_dispatch__ or hasattr(tensor, "placements")
    return plain and not (tensor.is_conj() or tensor.is_neg() or is_transformed(tensor))


def _seed(owner: str, generator: Generator | None) -> int:
    """64 bits from a generator of any device, or else the default one of the CPU."""
    if generator is not None and not isinstance(generator, Generator):
        raise ArgumentTypeError(message(owner, "generator", "a torch.Generator or None", type(generator).__name__))
    device = "cpu" if generator is None else generator.device
    try:
        drawn = torch.empty((), dtype=torch.int64, device=device).random_(-(2**63), None, generator=generator)
    except RuntimeError as error:
        if "different inplace randomness" not in str(error):
            raise
        allowed = "'same', which gives all samples the same values, where a tensor is filled within torch.vmap"
        remedy = "To have different ones, fill the whole tensor outside."
        raise ArgumentError(message(owner, "randomness", allowed, "different", remedy)) from error
    return int(drawn) % 2**64


def _write(
    owner: str,
    values: Tensor,
    law: Law,
    axes: tuple[int, ...],
    shape: tuple[int, ...],
    dtype: str,
    seed: int,
    engine: str | None = None,
) -> None:
    target = target_of(values, f"{owner}(...)")
    if target.problem is not None:
        raise target.problem
    assert target.memory is not None
    assert target.region is not None
    job = Job(seed, "", shape, target.region, dtype, threads_of(None), engine)
    draw_region(target.memory, target.region, law, axes, job)
    if target.close is not None:
        target.close(0)
