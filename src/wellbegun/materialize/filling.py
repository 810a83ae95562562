"""A plan carried out: everything that can be wrong is looked at first, then each parameter is filled once."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from wellbegun._arguments import message
from wellbegun._typing import Progress
from wellbegun.engine import Job, Matrices
from wellbegun.engine.blas import single_threaded
from wellbegun.engine.regions import overlaps
from wellbegun.engine.workers import parallel, threads_of
from wellbegun.errors import ArgumentError
from wellbegun.materialize.ledger import Ledger, settle
from wellbegun.materialize.target import Target, draw, storage_of
from wellbegun.planning import Entry, Plan
from wellbegun.streams import stream_key, substream

SMALL, RUN = 1 << 20, 32  # elements of a small parameter; most of those that are filled side by side


def fill_targets(
    plan: Plan,
    targets: Mapping[str, Target],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    before: Plan | None = None,
    matrices: Matrices | None = None,
) -> Ledger:
    """Carry out a plan: every parameter that it fills gets its values, exactly once.

    Names, shapes, dtypes, laws and memory are checked before the first byte is written, so that an error of any of them
    leaves everything as it was. If the fill itself is interrupted, each parameter holds its old values, its new ones,
    or (those that were being written) some of both; the same call again completes it, to the same bits.

    Args:
        plan: What each parameter gets.
        targets: Where it goes, by the names of the plan.
        threads: Worker threads; None uses all processors. The values do not depend on it.
        progress: Called as progress(done, all, name) before each parameter is filled.
        before: A plan that these targets are filled by already: only what differs is written.
        matrices: Orthogonal matrices drawn before, which are not computed again.
    Raises:
        ArgumentError: the plan does not fit the targets. A target's own problem.
    """
    workers = threads_of(threads)
    check_targets(plan, targets)
    filled = [entry for entry in plan.entries if entry.action == "fill"]
    laws = {} if before is None else {entry.name: entry.law for entry in before.entries}
    jobs = [entry for entry in filled if laws.get(entry.name) != entry.law]
    remarks: dict[str, str] = {}
    done = 0

    def one(entry: Entry, threads: int = 1) -> None:
        if remark := _write(targets[entry.name], entry, plan.seed, threads, matrices):
            remarks[entry.name] = remark

    for some in _together(jobs, targets):
        for entry in some:
            if progress is not None:
                progress(done, len(jobs), entry.name)
            done += 1
        if len(some) == 1:
            one(some[0], workers)
        else:
            with single_threaded():
                parallel(one, some, workers if _worth(some) else 1)
    return settle(plan, [entry.name for entry in filled], remarks)


def _together(jobs: Sequence[Entry], targets: Mapping[str, Target]) -> Iterator[list[Entry]]:
    """Large ones one after the other, small ones in runs that are filled side by side where that is worth it: products
    of small matrices leave little to share."""
    some: list[Entry] = []
    for entry in jobs:
        if math.prod(entry.shape) <= SMALL and isinstance(targets[entry.name].memory, np.ndarray):
            some.append(entry)
            if len(some) < RUN:
                continue
            yield some
        else:
            if some:
                yield some
            yield [entry]
        some = []
    if some:
        yield some


def _worth(some: Sequence[Entry]) -> bool:
    """Whether there are matrix products enough that threads do not wait for Python and each other."""
    coupled = (math.prod(entry.shape) for entry in some if entry.law is not None and entry.law.couples)
    return sum(coupled) >= SMALL // 4


def _write(target: Target, entry: Entry, seed: int, threads: int, matrices: Matrices | None) -> str:
    """Fill a target; what its `close` says."""
    assert entry.law is not None  # `check_targets` has seen to both
    assert entry.layout is not None
    shape = entry.layout.canonical_shape(entry.shape)
    whole = tuple((0, size) for size in shape)
    job = Job(seed, entry.stream, shape, whole, entry.dtype, threads, matrices=matrices)
    draw(target, entry.law, entry.layout, job)
    if target.close is None:
        return ""
    a, b, *_ = stream_key(seed, substream(entry.stream, "right_inverse"))
    return target.close(a | b << 32)


# ---------------------------------------------------------------------- before the first byte
def check_targets(plan: Plan, targets: Mapping[str, Target]) -> None:
    """Raise what would go wrong."""
    planned = [entry.name for entry in plan.entries]
    if missing := sorted(set(targets) - set(planned)):
        got = f"none for {missing[:5]}"
        raise ArgumentError(message("plan", "entries", "one for each parameter of the model", got))
    if extra := sorted(set(planned) - set(targets)):
        raise ArgumentError(message("plan", "entries", "parameters of this model", extra[:5]))
    for entry in plan.entries:
        target = targets[entry.name]
        if target.shape != entry.shape:
            raise ArgumentError(message("plan", f"shape of {entry.name!r}", f"{target.shape}", entry.shape))
        if target.dtype != entry.dtype:
            raise ArgumentError(message("plan", f"dtype of {entry.name!r}", target.dtype, entry.dtype))
        if entry.action == "fill":
            _check(entry, target)


def _check(entry: Entry, target: Target) -> None:
    """What a parameter that is filled needs."""
    if target.problem is not None:
        raise target.problem
    if entry.law is None or entry.layout is None:
        raise ArgumentError(message("plan", f"law of {entry.name!r}", "given where the action is fill", None))
    entry.law.fits(entry.layout.canonical_shape(entry.shape))
    entry.law.check(entry.dtype)
    memory, kind = target.memory, storage_of(entry.dtype)
    if memory is None:
        raise ArgumentError(f"fill: parameter {entry.name!r} has no memory to be filled.")
    if isinstance(memory, np.ndarray):
        what = f"memory of {entry.name!r}"
        if memory.shape != target.local_shape:
            raise ArgumentError(message("fill", what, f"of shape {target.local_shape}", memory.shape))
        if memory.dtype.name not in (kind, entry.dtype) or not memory.dtype.isnative:
            raise ArgumentError(message("fill", what, f"of dtype {kind}", memory.dtype.name))
        if not memory.flags.writeable:
            raise ArgumentError(message("fill", what, "writable", "a read-only array"))
        if overlaps(memory.shape, memory.strides, memory.itemsize):
            raise ArgumentError(message("fill", what, "such that no two entries share any", "one that is spread"))
