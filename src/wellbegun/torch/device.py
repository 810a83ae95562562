"""Weights drawn where they live: tensors of a CUDA device, with Triton. The values are those of the host."""

import importlib.util
import warnings
from dataclasses import replace

import numpy as np
import torch

from wellbegun._installed import triton_aborts
from wellbegun._typing import Array
from wellbegun.engine import Job, gpu, write
from wellbegun.engine.parameters import Parameters, parameters_of
from wellbegun.engine.reference import fill_rows
from wellbegun.engine.regions import Region, Rows, region_of, rows_of, size_of, tiles
from wellbegun.laws import Constant, Law
from wellbegun.laws.precision import REAL_OF
from wellbegun.materialize.target import storage_of

_CHUNK = 1 << 24  # elements drawn at once for a destination whose rows are not contiguous
_LAUNCHES = 64  # more rectangles than this are drawn into contiguous memory first
_CHECKED = 1 << 10  # values of each kernel compared with the reference before its first use on a device
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
_sound: dict[tuple[torch.device, type, str], bool] = {}


class DeviceMemory:
    """A tensor that NumPy does not see: drawn where it lies if that works there, else copied from the host."""

    def __init__(self, values: torch.Tensor) -> None:
        self._values = values

    def draw(self, law: Law, job: Job, axes: tuple[int, ...]) -> bool:
        values = self._values.permute(axes) if axes else self._values
        whole = job.region == region_of(None, job.shape)
        if not (reachable(values) and drawable(law, values.device, job.dtype, whole=whole)):
            return False
        draw(law, values, job)
        return True

    def put(self, region: Region, values: Array) -> None:
        part = self._values[tuple(slice(*bounds) for bounds in region)]
        host = torch.from_numpy(values)
        part.copy_(host.view(torch.bfloat16) if part.dtype == torch.bfloat16 else host)


def reachable(values: torch.Tensor) -> bool:
    """Whether kernels can be launched where the tensor is: an Nvidia GPU that Triton supports, and Triton there."""
    return (
        values.device.type == "cuda"
        and torch.version.hip is None
        and importlib.util.find_spec("triton") is not None
        and not triton_aborts()
        and torch.cuda.get_device_capability(values.device) >= (8, 0)
    )


def drawable(law: Law, device: torch.device, dtype: str, *, whole: bool = True) -> bool:
    """Whether values of a law can be drawn on the device: there are kernels, and they are sound there."""
    kernels = gpu.kernels(law, dtype, whole=whole)
    return kernels is not None and all(_is_sound(device, *kernel) for kernel in kernels)


def _is_sound(device: torch.device, parameters: Parameters, dtype: str) -> bool:
    kernel = (device, type(parameters), dtype)
    if kernel not in _sound:
        _sound[kernel] = _check(device, parameters, dtype)
    return _sound[kernel]


def _check(device: torch.device, parameters: Parameters, dtype: str) -> bool:
    """Draw a few values on the device and compare: a compiler that is missing or wrong must not change weights."""
    expected = np.empty((1, _CHECKED), storage_of(dtype))
    key, rows = (1, 2, 3, 4), Rows(0, 0, 1, _CHECKED, 0, 0)
    fill_rows(expected, 0, 0, key, parameters, dtype)
    out = torch.empty(_CHECKED, dtype=_INTEGERS[expected.itemsize], device=device)
    try:
        with torch.cuda.device_of(out):  # type: ignore[no-untyped-call]
            gpu.draw(out, [rows], key, parameters, dtype)
        wrong = "" if out.cpu().numpy().tobytes() == expected.tobytes() else "its bits differ from the definition"
    except Exception as error:  # whatever a missing C compiler, driver or assembler raises: the host can draw instead
        wrong = f"{type(error).__name__}: {error}"
    if wrong:
        text = f"initialize: the {dtype} kernel for {type(parameters).__name__} does not work on {device} ({wrong})."
        warnings.warn(f"{text} Values are drawn on the host instead, which is slower.", RuntimeWarning, stacklevel=2)
    return not wrong


def draw(law: Law, out: torch.Tensor, job: Job) -> None:
    """Fill a tensor with a drawable law in the job's region."""
    if law.pieces:
        for law_of_rows, start, stop, stream in law.pieces:
            rows = out[start:stop]
            shape = (len(rows), *job.shape[1:])
            own = replace(job, shape=shape, region=region_of(None, shape))
            draw(law_of_rows, rows, own if stream is None else own.sub(stream))
    elif isinstance(law, Constant):
        one = torch.empty((), dtype=out.dtype)
        stored = one.view(torch.uint16) if job.dtype == "bfloat16" else one
        write(law, stored.numpy(), replace(job, shape=(), region=()))
        out.fill_(one)
    elif job.dtype in REAL_OF:
        for side, target in zip(("real", "imag"), torch.view_as_real(out).unbind(-1), strict=True):
            draw(law.component(side), target, job.sub(side, dtype=REAL_OF[job.dtype]))
    elif out.numel():
        with torch.cuda.device_of(out):  # type: ignore[no-untyped-call]
            _independent(law, out.view(_INTEGERS[out.element_size()]), job)


def _independent(law: Law, out: torch.Tensor, job: Job) -> None:
    parameters, key = parameters_of(law, job.dtype), job.key
    if (work := gpu.work_of(job.shape, job.region, out.stride(), _LAUNCHES)) is not None:
        return gpu.draw(out, work, key, parameters, job.dtype)
    for region in tiles(job.region, _CHUNK, _CHUNK):
        scratch = torch.empty(size_of(region), dtype=out.dtype, device=out.device)
        rows = rows_of(job.shape, region, scratch.stride())
        assert rows is not None
        gpu.draw(scratch, rows, key, parameters, job.dtype)
        out[tuple(slice(*bounds) for bounds in region)] = scratch
    return None
