"""Numbers of single tensors: norms, range, evenly spaced samples, equal rows."""

import math
from typing import NamedTuple

import numpy as np
import torch

UNITS, ENTRIES, SAMPLES = 64, 256, 32  # most that `sample` keeps of a value; samples, if it has positions too
_COLUMNS = 8  # looked at first when rows are compared
_PIECE = 1 << 18  # entries whose squares are summed at once, in single precision
_FLAT = 1 << 18  # entries above which a statistic that allows it is taken of some only


def norm(tensor: torch.Tensor) -> float:
    """Length of all entries as one vector; in single precision, which is several times as fast, where that is safe."""
    if tensor.dtype in (torch.float32, torch.bfloat16, torch.float16):
        found = _length(tensor)
        if 1e-12 < found < 1e15:  # no square that matters has left the range
            return found
    kind = torch.complex128 if tensor.is_complex() else torch.float64
    return float(torch.linalg.vector_norm(tensor, dtype=kind))


def _length(tensor: torch.Tensor) -> float:
    """By products of BLAS where the memory has no gaps: three times as fast as torch's norm, and more exact."""
    tensor = tensor.detach()
    line = tensor if tensor.is_contiguous() or tensor.ndim != 2 else tensor.t()
    plain = type(line) is torch.Tensor and line.dtype == torch.float32 and line.is_contiguous()
    if not plain or line.device.type != "cpu":  # elsewhere each product would be waited for
        return float(torch.linalg.vector_norm(tensor, dtype=torch.float32))
    flat = line.view(-1)
    return math.sqrt(math.fsum(_square(flat[at : at + _PIECE]) for at in range(0, len(flat), _PIECE)))


def _square(line: torch.Tensor) -> float:
    return float(torch.dot(line, line))


def finite(tensor: torch.Tensor, length: float) -> bool:
    """Whether every entry is; the norm tells, unless squares overflow."""
    return math.isfinite(length) or bool(torch.isfinite(tensor).all())


def rms(tensor: torch.Tensor) -> float:
    """Root mean square, in double precision; 0 for no entries."""
    return norm(tensor) / math.sqrt(max(tensor.numel(), 1))


def rough_rms(tensor: torch.Tensor) -> float:
    """Root mean square of every k-th sample if there are more than 2^19 entries; a relative standard error of 1 %."""
    step = min(max(tensor.numel() // _FLAT, 1), max(len(tensor) // 4, 1)) if tensor.ndim else 1
    return rms(tensor[::step] if step > 1 else tensor)


def largest(tensor: torch.Tensor) -> float:
    """Largest magnitude; 0 for no entries."""
    return float(torch.linalg.vector_norm(tensor.flatten(), ord=math.inf)) if tensor.numel() else 0.0


def some_entries(tensor: torch.Tensor, most: int) -> torch.Tensor:
    """At most about `most` entries, evenly spaced, flat."""
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // most)]


def sample(tensor: torch.Tensor, axis: int) -> torch.Tensor:
    """A copy of some entries as (samples, positions, units), evenly spaced along each axis; units are on `axis`."""
    moved = tensor.detach().movedim(axis, -1)
    step = -(-moved.shape[-1] // UNITS)
    moved = moved[..., (moved.shape[-1] - 1) % step // 2 :: step] if step else moved  # as many left out on either side
    moved = moved if moved.ndim > 1 else moved[None]
    moved = moved[:: -(-max(moved.shape[0], 1) // (SAMPLES if moved.ndim > 2 else ENTRIES))]
    left = max(1, ENTRIES // max(moved.shape[0], 1))
    for dim in range(1, moved.ndim - 1):
        keep = max(1, round(left ** (1 / (moved.ndim - 1 - dim))))
        step = -(-max(moved.shape[dim], 1) // keep)
        moved = moved[(slice(None),) * dim + (slice(None, None, step),)]
        left = max(1, left // max(moved.shape[dim], 1))
    return moved.reshape(moved.shape[0], math.prod(moved.shape[1:-1]), moved.shape[-1]).clone()


def correlation(rows: torch.Tensor) -> float | None:
    """Mean cosine between two different rows, of at most 32; None for fewer than two, or rows of zeros."""
    some = rows[:: -(-max(len(rows), 1) // SAMPLES)].double().cpu().numpy()
    with np.errstate(all="ignore"):
        lengths = np.sqrt(np.einsum("nk,nk->n", some, some))
        some = some[lengths > 0] / lengths[lengths > 0, None]
        n = len(some)
        if n < 2:
            return None
        found = float((np.sum(some.sum(axis=0) ** 2) - n) / (n * (n - 1)))
    return min(found, 1.0) if math.isfinite(found) else None


# ---------------------------------------------------------------------- equal rows
class Rows(NamedTuple):
    """The units of a weight as the rows of a matrix, which is made when it is needed: that may copy all of it."""

    tensor: torch.Tensor  # axes of units first
    axes: int  # how many those are

    def __len__(self) -> int:
        return math.prod(self.tensor.shape[: self.axes])

    def whole(self) -> torch.Tensor:
        """Everything that comes in; complex entries as two."""
        return self._flat(self.tensor.reshape(len(self), -1))

    def some(self, most: int) -> torch.Tensor:
        """About as many evenly spaced columns."""
        inputs = self.tensor.shape[self.axes :]
        count = math.prod(inputs)
        where = torch.arange(0, count, max(1, count // most), device=self.tensor.device)
        picked = self.tensor[(slice(None),) * self.axes + torch.unravel_index(where, inputs)]
        return self._flat(picked.reshape(len(self), -1))

    @staticmethod
    def _flat(rows: torch.Tensor) -> torch.Tensor:
        return torch.view_as_real(rows.resolve_conj()).flatten(1) if rows.is_complex() else rows


def different(rows: Rows) -> int:
    """Number of different rows."""
    if any(_all_different(rows.some(columns)) for columns in (1, _COLUMNS)):
        return len(rows)  # rows that differ in a few columns need no further look
    return len(torch.unique(hashes(rows.whole())))


def twins(rows: Rows, gradients: Rows) -> int:
    """Number of rows that equal another one both in weights and in gradients."""
    both = torch.stack([hashes(rows.whole()), hashes(gradients.whole())], dim=1)
    _, counts = torch.unique(both, dim=0, return_counts=True)
    return int(counts[counts > 1].sum())


def _all_different(rows: torch.Tensor) -> bool:
    keys = rows[:, 0] if rows.shape[1] == 1 else hashes(rows)
    return len(torch.unique(keys)) == len(rows)


def hashes(rows: torch.Tensor) -> torch.Tensor:
    """A 64-bit number for each row, equal for equal rows (0.0 and -0.0 count as equal)."""
    columns = rows.shape[1]
    multipliers = torch.randint(-(2**62), 2**62, (columns,), generator=torch.Generator().manual_seed(1)) | 1
    found = []
    each = max(1, (1 << 22) // max(columns, 1))  # bounded memory, whatever the size
    for start in range(0, len(rows), each):
        values = rows[start : start + each].detach().cpu().to(torch.float64) + 0.0
        mixed = values.view(torch.int64) * multipliers
        found.append(((mixed ^ (mixed >> 32)) * multipliers).sum(dim=1))  # or sign bits would cancel in pairs
    return torch.cat(found)
