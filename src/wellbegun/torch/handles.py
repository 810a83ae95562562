"""Tensors behind handles: numbers of large ones are computed here, small parts of them leave as NumPy arrays."""

import math
from collections.abc import Sequence
from typing import Literal

import torch

from wellbegun._typing import Array
from wellbegun.backend import Handle, hosted
from wellbegun.torch.trace.tensors import seen

_PIECE = 1 << 18  # entries whose squares are summed at once, in single precision
_HALF = (torch.bfloat16, torch.float16)


class TensorHandle:
    """A tensor in numbers."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: torch.Tensor) -> None:
        whole = tensor if tensor.layout == torch.strided else tensor.detach().to_dense()
        self.tensor = whole.detach() if whole.requires_grad else whole

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    @property
    def kind(self) -> Literal["real", "complex", "integer"]:
        return "real" if self.tensor.is_floating_point() else "complex" if self.tensor.is_complex() else "integer"

    def norm(self, less: Array | None = None, axis: int = -1) -> float:
        return norm(self.tensor if less is None else self.tensor - along(less, self.tensor, axis))

    def minus(self, other: Handle) -> Handle:
        assert isinstance(other, TensorHandle)
        return TensorHandle(self.tensor - other.tensor)

    def largest(self) -> float:
        if not self.tensor.numel():
            return 0.0
        wide = _real(self.tensor.detach())
        ends = torch.aminmax(wide.abs() if wide.is_complex() else wide)  # many times as fast as the norm of order inf
        return float(torch.maximum(ends.min.abs(), ends.max.abs()))

    def finite(self) -> bool:
        return bool(torch.isfinite(self.tensor).all())

    def mean(self, axis: int) -> Array:
        flat = self.tensor.movedim(axis, -1).reshape(-1, self.tensor.shape[axis])
        return numpy(flat.mean(dim=0))

    def part(self, *index: slice | Array) -> Handle:
        places = (at if isinstance(at, slice) else torch.from_numpy(at).to(self.tensor.device) for at in index)
        return TensorHandle(self.tensor[tuple(places)])

    def transposed(self, axes: Sequence[int]) -> Handle:
        return TensorHandle(self.tensor.permute(tuple(axes)))

    def entries(self, most: int) -> Array:
        flat = self.tensor.reshape(-1)
        return numpy(flat[:: max(1, flat.numel() // most)])

    def array(self) -> Array:
        return numpy(self.tensor)

    def spread(self, keys: Handle, scale: float) -> float:
        assert isinstance(keys, TensorHandle)
        query, key = self.tensor, keys.tensor
        if query.ndim > 3 and query.shape[-3] != key.shape[-3]:  # several heads of queries share one of keys
            key = key.repeat_interleave(query.shape[-3] // key.shape[-3], dim=-3)
        logits = (query.float() @ key.mT.float()) * scale
        return float(logits.var(dim=-1, correction=0).mean().sqrt())


def numpy(tensor: torch.Tensor) -> Array:
    """A tensor as NumPy sees it, without a copy where that is possible; half precision as single."""
    plain = tensor.detach().resolve_conj().resolve_neg().cpu()
    narrow = plain.dtype in _HALF or (plain.dtype.itemsize == 1 and plain.is_floating_point())
    return seen(plain.float() if narrow else plain)


def along(vector: Array, tensor: torch.Tensor, axis: int) -> torch.Tensor:
    """One number for each place along an axis, shaped to be added to a tensor."""
    return torch.from_numpy(hosted.along(vector, tensor.ndim, axis)).to(tensor.device, tensor.dtype)


def norm(tensor: torch.Tensor) -> float:
    """Length of all entries as one vector; in single precision, which is several times as fast, where that is safe."""
    if tensor.dtype in (torch.float32, *_HALF):
        found = _length(tensor)
        if 1e-12 < found < 1e15:  # no square that matters has left the range
            return found
    kind = torch.complex128 if tensor.is_complex() else torch.float64
    return float(torch.linalg.vector_norm(_real(tensor), dtype=kind))


def _real(tensor: torch.Tensor) -> torch.Tensor:
    """Integers, truth values and numbers of one byte in a precision that can be computed with."""
    wide = tensor.is_floating_point() and tensor.itemsize > 1
    return tensor if wide or tensor.is_complex() else tensor.double()


def _length(tensor: torch.Tensor) -> float:
    """By products of BLAS where the memory has no gaps: three times as fast as torch's norm, and more exact."""
    line = tensor if tensor.is_contiguous() or tensor.ndim != 2 else tensor.t()
    plain = type(line) is torch.Tensor and line.dtype == torch.float32 and line.is_contiguous()
    if not plain or line.device.type != "cpu":  # elsewhere each product would be waited for
        return float(torch.linalg.vector_norm(tensor, dtype=torch.float32))
    flat = line.view(-1)
    return math.sqrt(math.fsum(float(torch.dot(piece, piece)) for piece in torch.split(flat, _PIECE)))
