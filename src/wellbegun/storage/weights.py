"""Weights on disk: a plan fills a safetensors file without a model, and without memory for it."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from wellbegun._arguments import cut, instance, message, progress_of, told
from wellbegun._typing import Array, Progress
from wellbegun.errors import ArgumentError, FileError
from wellbegun.materialize import Ledger, Target, fill_targets
from wellbegun.materialize.target import storage_of
from wellbegun.planning import Entry, Plan
from wellbegun.storage.files import replacing
from wellbegun.storage.plans import plan_to_json

_CODES = {"float64": "F64", "complex64": "C64", "float32": "F32", "bfloat16": "BF16", "float16": "F16"}


def metadata_of(plan: Plan) -> dict[str, str]:
    """What stands beside weights that a plan filled: the plan as JSON and the seed as a decimal number."""
    return {"format": "pt", "wellbegun.seed": str(plan.seed), "wellbegun.plan": plan_to_json(plan, indent=None)}


def save_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Array], plan: Plan) -> Path:
    """Arrays by their names, the plan and its seed in one safetensors file; an existing one is replaced when it is
    complete.

    >>> import tempfile
    >>> import safetensors.numpy
    >>> path = save_arrays(f"{tempfile.mkdtemp()}/w.safetensors", {"w": np.ones(3)}, Plan((), "auto@2", 0))
    >>> safetensors.numpy.load_file(path)["w"]
    array([1., 1., 1.])
    """
    from safetensors.numpy import save_file

    with saving(path) as new:
        save_file(dict(arrays), str(new), metadata=metadata_of(plan))
    return Path(path)


@contextmanager
def saving(path: str | os.PathLike[str]) -> Iterator[Path]:
    """As `replacing`, for safetensors: what it cannot write is an error of ours, and equal weights give equal bytes."""
    from safetensors import SafetensorError

    with replacing(path) as new:
        try:
            yield new
        except SafetensorError as error:  # it has a class of its own for a full disk
            raise FileError(f"out: cannot write {cut(str(path))}: {told(error)}") from error
        _ordered(new)


def _ordered(path: Path) -> None:
    """Sort the metadata, which safetensors writes in an order that differs from run to run."""
    with path.open("rb+") as file:
        size = int.from_bytes(file.read(8), "little")
        head = json.loads(file.read(size))
        head["__metadata__"] = dict(sorted(head["__metadata__"].items()))
        file.seek(8)
        file.write(json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode().ljust(size))


def fill_file(
    plan: Plan, path: str | os.PathLike[str], *, threads: int | None = None, progress: Progress | None = None
) -> Ledger:
    """Fill a safetensors file with what a plan gives to a model: the same bits, without the model.

    The file holds the parameters that the plan fills, each by its name, and the plan and its seed as metadata; what it
    keeps has no values here, and other names of the same storage are left out. It is mapped into memory while it is
    filled, and takes the place of an existing one once it is complete.

    Args:
        plan: A plan, also of a model on the meta device.
        path: The file.
        threads, progress: As for `wellbegun.apply`.
    Raises:
        ArgumentError: a dtype that such files do not hold (complex128). FileError: the file cannot be written.

    >>> import tempfile
    >>> from wellbegun.planning import Entry, Plan
    >>> from wellbegun.laws import Normal
    >>> from wellbegun.layout import Layout
    >>> entry = Entry("w", (3, 4), "float32", "fill", "hidden", Layout("oi"), "", Normal(0, 1), "w", "")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fill_file(Plan((entry,), "classic@1", 0), Path(folder) / "model.safetensors")
    <Ledger, seed 0: 1 filled, 0 kept, 0 tied>
    """
    instance("fill_file", "plan", plan, Plan).check()
    progress_of("fill_file", progress)
    filled = [entry for entry in plan.entries if entry.action == "fill"]
    for entry in filled:
        if entry.dtype not in _CODES:
            raise ArgumentError(message("fill_file", f"dtype of {entry.name!r}", f"one of {list(_CODES)}", entry.dtype))
    offsets, size = _places(filled)
    head = _head(plan, filled, offsets)
    with replacing(path) as new:
        with new.open("wb") as file:
            file.write(head)
            file.truncate(len(head) + size)
            if size and hasattr(os, "posix_fallocate"):  # a disk that fills up under mapped memory ends the process
                os.posix_fallocate(file.fileno(), 0, len(head) + size)
        return _fill(plan, new, len(head), offsets, threads, progress)


def _fill(
    plan: Plan, path: Path, start: int, offsets: Mapping[str, int], threads: int | None, progress: Progress | None
) -> Ledger:
    """Fill a file whose data begins at `start`."""
    mapped = np.memmap(path, np.uint8, "r+")
    data: Array = np.asarray(mapped)[start:]
    targets = {entry.name: Target(entry.shape, entry.dtype, _memory(entry, data, offsets)) for entry in plan.entries}
    ledger = fill_targets(plan, targets, threads=threads, progress=progress)
    mapped.flush()
    return ledger


def _bytes(entry: Entry) -> int:
    return math.prod(entry.shape) * np.dtype(storage_of(entry.dtype)).itemsize


def _places(filled: list[Entry]) -> tuple[dict[str, int], int]:
    """Where each parameter begins in the data, wide dtypes first so that each lies at a multiple of its size."""
    order = sorted(filled, key=lambda entry: list(_CODES).index(entry.dtype))
    offsets, size = {}, 0
    for entry in order:
        offsets[entry.name] = size
        size += _bytes(entry)
    return offsets, size


def _head(plan: Plan, filled: list[Entry], offsets: Mapping[str, int]) -> bytes:
    """Length of what follows, and names, dtypes, shapes and places as JSON, padded to a multiple of 8 bytes."""
    tensors = {
        entry.name: {
            "dtype": _CODES[entry.dtype],
            "shape": list(entry.shape),
            "data_offsets": [offsets[entry.name], offsets[entry.name] + _bytes(entry)],
        }
        for entry in filled
    }
    text = json.dumps({"__metadata__": metadata_of(plan), **tensors}, allow_nan=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _memory(entry: Entry, data: Array, offsets: Mapping[str, int]) -> Array | None:
    if entry.name not in offsets:
        return None
    start = offsets[entry.name]
    return data[start : start + _bytes(entry)].view(storage_of(entry.dtype)).reshape(entry.shape)
