"""Which engine draws, and on how many threads.

The reference (NumPy) and the compiled kernels give the same bits, so this is only a matter of time: loading the
compiler and compiling a kernel takes as long as drawing a few million values with the reference.
"""

import os
import struct
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

import numpy as np

from wellbegun._arguments import choice, integer
from wellbegun._typing import Array
from wellbegun.engine import reference
from wellbegun.engine.kernels import SHORT, STORED
from wellbegun.engine.parameters import Parameters
from wellbegun.engine.regions import Rows, pieces

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

ENGINES = ("auto", "reference", "compiled")
COMPILE_FROM = 1 << 21  # elements drawn by the reference in this process before kernels are worth compiling
KERNEL_FROM = 1 << 7  # below it a kernel that may yet have to be compiled is not worth it
STREAM_FROM = 1 << 25  # bytes of a destination that is written past the caches, because it would not stay in them
_SIZES = {name: size for name, (_, size) in STORED.items()}
_PIECE = 1 << 18  # elements that one thread draws before another one is awake
_LEAST, _MOST = 1 << 16, 1 << 21  # elements that a thread takes at once, where some share them


class _Process:
    """What is kept between calls: elements drawn so far, and the worker threads. Forked children start anew."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.lock = threading.Lock()
        self.drawn = 0
        self.kinds: set[object] = set()  # whose kernels are there
        self.pool: ThreadPoolExecutor | None = None
        self.workers = 0

    def count(self, elements: int) -> int:
        with self.lock:
            self.drawn += elements
            return self.drawn

    def executor(self, threads: int) -> "ThreadPoolExecutor":
        from concurrent.futures import ThreadPoolExecutor

        with self.lock:
            if self.pool is None or self.workers < threads:
                self.pool = ThreadPoolExecutor(threads, thread_name_prefix="wellbegun")
                self.workers = threads
            return self.pool


_process = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.reset)


def threads_of(threads: int | None) -> int:
    """Worker threads for one fill: the argument, or the processors this process may use."""
    if threads is not None:
        return integer("fill", "threads", threads, minimum=1)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose(elements: int, kind: object = None) -> str:
    """ "reference" or "compiled"; the environment variable WELLBEGUN_ENGINE can force one.

    `kind`: of parameters and dtype, whose kernel may be there already.
    """
    forced = choice("wellbegun", "WELLBEGUN_ENGINE", os.environ.get("WELLBEGUN_ENGINE", "auto"), ENGINES)
    if forced != "auto":
        return forced
    if kind in _process.kinds:
        return "compiled"
    if elements < KERNEL_FROM:
        return "reference"
    return "compiled" if _process.count(elements) >= COMPILE_FROM else "reference"


def draw(
    flat: Array,
    work: Sequence[Rows],
    key: tuple[int, int, int, int],
    parameters: Parameters,
    dtype: str,
    *,
    threads: int,
    engine: str,
) -> None:
    """Write rows of a stream into `flat`, a contiguous view of the destination's memory."""
    if engine == "reference":
        paint = _reference(flat, key, parameters, dtype)
    else:
        paint = compiled(flat.ctypes.data, key, parameters, dtype, work)
    spread(paint, work, threads)


def spread(paint: Callable[[Rows], None], work: Sequence[Rows], threads: int | None) -> None:
    """Paint rows, on some threads if there are many; None: on all processors."""
    total = sum(rows.rows * rows.run for rows in work)
    threads = 1 if total <= _PIECE else threads or threads_of(None)
    if threads == 1:
        for rows in work:
            paint(rows)
        return
    limit = min(_MOST, max(_LEAST, -(-total // (threads * 4))))
    parallel(paint, [piece for rows in work for piece in pieces(rows, limit)], threads)


def parallel(task: Callable[[Any], None], items: Sequence[Any], threads: int) -> None:
    """Run `task` on every item with `threads` workers; the caller is one of them. Errors surface here, once nobody
    works on anything any more. Where no thread can be started, as at the end of a process, the caller does it all."""
    pending, idle = deque(items), threading.Condition()
    busy, errors = [0], list[BaseException]()

    def work(helper: bool) -> None:
        while True:
            with idle:
                if not pending:
                    return
                item = pending.popleft()
                busy[0] += helper
            try:
                task(item)
            except BaseException as error:  # of any kind, an interrupt too: nobody starts anything new
                pending.clear()
                if not helper:
                    raise
                errors.append(error)
            finally:
                with idle:
                    busy[0] -= helper
                    idle.notify_all()

    helpers = min(threads, len(items)) - 1
    try:
        if helpers > 0:
            _start(copy_context, work, helpers)
        work(False)
    finally:
        pending.clear()  # after an error or an interrupt nobody starts anything new
        _wait(idle, busy)
    if errors:
        raise errors[0]


def _start(context: Callable[[], Context], work: Callable[[bool], None], helpers: int) -> None:
    with suppress(RuntimeError):  # the interpreter ends, and starts no more threads
        pool = _process.executor(helpers)
        for _ in range(helpers):
            pool.submit(context().run, work, True)


def _wait(idle: threading.Condition, busy: list[int]) -> None:
    """Until no helper writes; an interrupt meanwhile is raised afterwards."""
    interrupt: BaseException | None = None
    while busy[0]:
        try:
            with idle:
                idle.wait_for(lambda: not busy[0])
        except BaseException as error:  # an interrupt of any kind
            interrupt = error
    if interrupt is not None:
        raise interrupt


def _reference(flat: Array, key: tuple[int, ...], parameters: Parameters, dtype: str) -> Callable[[Rows], None]:
    def paint(rows: Rows) -> None:
        shape, strides = (rows.rows, rows.run), (rows.pitch * flat.itemsize, flat.itemsize)
        view = np.lib.stride_tricks.as_strided(flat[rows.offset :], shape, strides)
        reference.fill_rows(view, rows.first, rows.step, key, parameters, dtype)  # type: ignore[arg-type]

    return paint


def compiled(
    start: int, key: tuple[int, ...], parameters: Parameters, dtype: str, work: Sequence[Rows]
) -> Callable[[Rows], None]:
    """What paints rows of a stream with kernels; `start`: address of the first item; `work`: all that is painted."""
    from wellbegun.engine.compiler import kernel

    size, kind, per_block = _SIZES[dtype], type(parameters), 2 if dtype == "float64" else 4
    words, numbers = struct.pack("=4I", *key), struct.pack("=" + "fd"[size == 8] * len(parameters), *parameters)
    stream = sum(rows.rows * rows.run for rows in work) * size >= STREAM_FROM

    def variant(rows: Rows, address: int) -> str:
        if rows.rows > 1:
            return "short" if rows.run < SHORT else "wide"
        lined_up = (
            stream and address % (per_block * size) == rows.first % per_block * size
        )  # blocks start where lines can
        return "stream" if lined_up else "wide"

    def paint(rows: Rows) -> None:
        address = start + rows.offset * size
        fill = kernel(kind, dtype, variant(rows, address))
        fill(address, rows.pitch * size, rows.rows, rows.run, rows.first, rows.step, words, numbers)
        _process.kinds.add((kind, dtype))

    return paint
