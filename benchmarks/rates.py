"""Fill rates of every law, dtype and number of threads, next to torch, NumPy and JAX and to two limits."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

import limits
from timing import Progress, Task, jax, processors, seconds
from wellbegun import fill
from wellbegun.laws import Constant, Law, LogUniform, Normal, Rademacher, TruncatedNormal, Uniform

LAWS: dict[str, Law] = {
    "uniform": Uniform(-1, 1),
    "normal": Normal(0, 1),
    "truncated normal ±2": TruncatedNormal(0, 1, -2, 2),
    "truncated normal ±4": TruncatedNormal(0, 1, -4, 4),
    "Rademacher": Rademacher(),
    "log-uniform": LogUniform(1e-3, 1e-1),
    "constant": Constant(0.5),
}
DTYPES = ("float32", "bfloat16", "float16", "float64")
SLOW = 16  # torch's truncated normal gets this part of the memory, so that a run ends
WRITES, WORDS = "memory writes", "Philox words only"


class Timed(NamedTuple):
    """A task, and how many values it makes."""

    task: Task
    values: int


def peers_torch(out: torch.Tensor) -> dict[str, Timed]:
    """torch's fills; two laws it does not have are put together from in-place operations."""
    low, high = (math.log(bound) for bound in (1e-3, 1e-1))
    slow = out[: max(out.numel() // SLOW, 1)]
    truncated = torch.nn.init.trunc_normal_
    whole: dict[str, Task] = {
        "uniform": lambda: out.uniform_(-1, 1),
        "normal": out.normal_,
        "Rademacher": lambda: out.bernoulli_(0.5).mul_(2).sub_(1),
        "log-uniform": lambda: out.uniform_(low, high).exp_(),
        "constant": lambda: out.fill_(0.5),
    }
    cut: dict[str, Task] = {
        "truncated normal ±2": lambda: truncated(slow, a=-2.0, b=2.0),
        "truncated normal ±4": lambda: truncated(slow, a=-4.0, b=4.0),
    }
    found = {name: Timed(task, out.numel()) for name, task in whole.items()}
    return found | {name: Timed(task, slow.numel()) for name, task in cut.items()}


def peers_numpy(array: np.ndarray, generator: np.random.Generator) -> dict[str, Timed]:
    """NumPy's fills in place, on one thread as always; it has them for float32 and float64."""
    if array.dtype not in (np.float32, np.float64):
        return {}
    dtype: Any = array.dtype
    return {
        "uniform": Timed(lambda: generator.random(out=array, dtype=dtype), array.size),
        "normal": Timed(lambda: generator.standard_normal(out=array, dtype=dtype), array.size),
    }


def peers_jax(values: int, dtype: str) -> dict[str, Timed]:
    """Jitted jax.random, into fresh memory each time: it has no other way. Its threads are those of the machine."""
    library = jax()
    if library is None:
        return {}
    random, key = library.random, library.random.key(0)
    makers: dict[str, Callable[[Any], Any]] = {
        "uniform": lambda key: random.uniform(key, (values,), dtype, -1, 1),
        "normal": lambda key: random.normal(key, (values,), dtype),
        "truncated normal ±2": lambda key: random.truncated_normal(key, -2.0, 2.0, (values,), dtype),
        "truncated normal ±4": lambda key: random.truncated_normal(key, -4.0, 4.0, (values,), dtype),
        "Rademacher": lambda key: random.rademacher(key, (values,), dtype),
    }

    def timed(maker: Callable[[Any], Any]) -> Timed:
        jitted = library.jit(maker)
        return Timed(lambda: jitted(key).block_until_ready(), values)

    return {name: timed(maker) for name, maker in makers.items()}


def tasks_of(out: torch.Tensor, dtype: str, threads: int) -> dict[str, Timed]:
    """Everything that takes turns at one dtype and number of threads: "law/author"."""
    array = (out.view(torch.int16).numpy().view(np.uint16)) if out.element_size() == 2 else out.numpy()
    target = array.view(np.float16) if dtype == "float16" else array

    def ours(law: Law) -> Task:
        return lambda: fill(law, (array.size,), seed=0, name="bench", dtype=dtype, out=target, threads=threads)

    found = {
        f"{WRITES}/zero_": Timed(out.zero_, array.size),
        f"{WRITES}/kernel": Timed(limits.task(limits.StoreParameters, array, dtype, threads), array.size),
        f"{WORDS}/kernel": Timed(limits.task(limits.WordParameters, array, dtype, threads), array.size),
    }
    found |= {f"{name}/wellbegun": Timed(ours(law), array.size) for name, law in LAWS.items()}
    peers = {"torch": peers_torch(out)}
    for bits in (np.random.PCG64, np.random.Philox):
        peers[f"NumPy {bits.__name__}"] = peers_numpy(array, np.random.Generator(bits(0)))
    if threads == processors():
        peers["JAX"] = peers_jax(array.size, dtype)
    return found | {f"{law}/{author}": timed for author, laws in peers.items() for law, timed in laws.items()}


def measured(values: int, repeats: int, threads: list[int], progress: Progress) -> Iterator[dict[str, Any]]:
    """One row for each dtype, law and number of threads: M values/s of everyone, and shares of the limits."""
    for dtype in DTYPES:
        count = values // 2 if dtype == "float64" else values
        out = torch.zeros(count, dtype=getattr(torch, dtype))
        for number in threads:
            torch.set_num_threads(number)
            tasks = tasks_of(out, dtype, number)
            plain = {name: timed.task for name, timed in tasks.items()}
            found = seconds(plain, repeats, lambda text, d=dtype, n=number: progress(f"{d}, {n} threads: {text}"))
            rates = {name: tasks[name].values / time / 1e6 for name, time in found.items()}
            yield from _rows(rates, {"dtype": dtype, "threads": number, "values": count})


def _rows(rates: dict[str, float], setting: dict[str, Any]) -> Iterator[dict[str, Any]]:
    writes = max(rates[f"{WRITES}/zero_"], rates[f"{WRITES}/kernel"])
    words = rates[f"{WORDS}/kernel"]
    for law in (WRITES, WORDS, *LAWS):
        by = {name.split("/")[1]: rate for name, rate in rates.items() if name.split("/")[0] == law}
        own = by.get("wellbegun") or max(by.values())
        by_ratio = {name: own / rate for name, rate in by.items() if name != "wellbegun"}
        row = {**setting, "law": law, "rate": own, "rates": by, "of_writes": own / writes, "of_words": own / words}
        yield row | {"ratios": by_ratio}


def with_scaling(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds the efficiency of threads: rate at n threads / (n * rate at one)."""
    single = {(row["dtype"], row["law"]): row["rate"] for row in rows if row["threads"] == 1}
    for row in rows:
        base = single.get((row["dtype"], row["law"]))
        row["efficiency"] = row["rate"] / (row["threads"] * base) if base else None
    return rows
