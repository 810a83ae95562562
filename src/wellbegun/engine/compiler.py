"""IR -> machine code in this process, once for each kernel in use: about 20 ms, so nothing needs to be cached on disk.

LLVM comes through llvmlite, the library under Numba. Compiling straight from IR leaves out the type inference and the
disk cache that make a first Numba call take most of a second.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from wellbegun._typing import Array
from wellbegun.engine import structured_kernel
from wellbegun.engine.kernels import Shape, module

Kernel = Callable[..., None]


class _Process:
    """What a process has compiled. A forked child keeps the code; a lock that was taken at the fork would stay so."""

    def __init__(self) -> None:
        self.engines: list[Any] = []  # compiled code lives as long as its engine
        self.reset()

    def reset(self) -> None:
        self.lock = threading.Lock()


_process = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.reset)


@cache
def host() -> tuple[str, str]:
    """Processor name and features, as LLVM spells them."""
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def width_of(features: str) -> int:
    """Bytes of the widest vector register."""
    enabled = set(features.split(","))
    if "+avx512f" in enabled and "+avx512bw" in enabled:
        return 64
    return 32 if "+avx2" in enabled else 16


def kernel(parameters: type, dtype: str, variant: str, features: str | None = None) -> Kernel:
    """A compiled kernel: (address, pitch in bytes, rows, run, first, step, key, numbers), the last two as bytes.

    Args:
        parameters, dtype: What it draws.
        variant: "wide", "stream" or "short"; see `kernels.Shape`.
        features: Limits the machine to less than it has, for tests.
    """
    with _process.lock:
        return _kernel(parameters, dtype, variant, features)


@cache
def _kernel(parameters: type, dtype: str, variant: str, features: str | None) -> Kernel:
    name, own = host()
    target = own if features is None else features
    text = module(parameters, dtype, Shape(4 * width_of(target), variant))
    code = _compile(text, name if features is None else "", target)
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    return ctypes.CFUNCTYPE(None, pointer, *[integer] * 5, pointer, pointer)(code)  # releases the GIL


def rows_kernel(dtype: str) -> Callable[[Array, tuple[int, ...], Array, tuple[Array, ...]], None]:
    """The compiled rows of structured orthogonal matrices; see `structured_kernel` for the tables."""
    with _process.lock:
        return _rows_kernel(dtype)


@cache
def _rows_kernel(dtype: str) -> Callable[[Array, tuple[int, ...], Array, tuple[Array, ...]], None]:
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    function = ctypes.CFUNCTYPE(None, pointer, *[integer] * 5, pointer, pointer)(
        _compile(structured_kernel.module(dtype), *host())
    )

    def mix(out: Array, sizes: tuple[int, ...], rows: Array, tables: tuple[Array, ...]) -> None:
        addresses = np.array([table.ctypes.data for table in tables], np.uint64)
        function(out.ctypes.data, *sizes, rows.ctypes.data, addresses.ctypes.data)

    return mix


def _compile(text: str, processor: str, features: str) -> int:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=processor, features=features, opt=2)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
    engine.finalize_object()
    _process.engines.append(engine)
    return int(engine.get_function_address("fill"))
