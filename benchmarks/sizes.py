"""Rate against size: where the cost of a call ends and that of values begins."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

import limits
from timing import Progress, Task, jax, repeated, seconds
from wellbegun import fill
from wellbegun.laws import Law, Normal, Uniform

COLORS = {"wellbegun": "#1668b8", "torch": "#d9541e", "NumPy": "#4c9a4c", "JAX": "#8a5fb0"}


def tasks_of(out: torch.Tensor, threads: int) -> dict[str, Task]:
    """Normal and uniform of each library at one size; "memory writes" is the fastest store we know."""
    array, generator = out.numpy(), np.random.default_rng(0)

    def ours(law: Law) -> Task:
        return lambda: fill(law, array.shape, seed=0, name="w", out=array, threads=threads)

    found: dict[str, Task] = {
        "memory writes/zero_": out.zero_,
        "memory writes/kernel": limits.task(limits.StoreParameters, array, "float32", threads),
        "wellbegun/normal": ours(Normal(0, 1)),
        "wellbegun/uniform": ours(Uniform(-1, 1)),
        "torch/normal": out.normal_,
        "torch/uniform": out.uniform_,
        "NumPy/normal": lambda: generator.standard_normal(out=array, dtype=np.float32),
        "NumPy/uniform": lambda: generator.random(out=array, dtype=np.float32),
    }
    if (library := jax()) is not None:
        key = library.random.key(0)
        for name, maker in (("normal", library.random.normal), ("uniform", library.random.uniform)):
            jitted = library.jit(lambda key, maker=maker: maker(key, array.shape, "float32"))
            found[f"JAX/{name}"] = lambda jitted=jitted: jitted(key).block_until_ready()
    return found


def measured(largest: int, threads: int, repeats: int, progress: Progress) -> list[dict[str, Any]]:
    """M values/s of each task at sizes from 100 to `largest`, two for each factor of ten."""
    torch.set_num_threads(threads)
    memory = torch.zeros(largest)
    fill(Normal(0, 1), memory.shape, seed=0, out=memory.numpy())  # kernels are compiled by now
    exponents = np.arange(2, np.log10(largest) + 0.01, 0.5)
    rows = []
    for size in (round(10**exponent) for exponent in exponents):
        progress(f"size {size:,}")
        many = {name: repeated(task) for name, task in tasks_of(memory[:size], threads).items()}
        found = seconds({name: task for name, (task, _) in many.items()}, repeats, lambda _: None)
        rows.append({"size": size, "rates": {name: size * many[name][1] / time / 1e6 for name, time in found.items()}})
    return rows


def picture(rows: list[dict[str, Any]], threads: int, path: Path) -> None:
    """M values/s against size on logarithmic axes, with the speed of memory writes at the largest size."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5.4), dpi=150, layout="constrained")
    sizes = [row["size"] for row in rows]
    names = [name for name in rows[-1]["rates"] if not name.startswith("memory")]
    for name in names:
        author, law = name.split("/")
        style = {"color": COLORS[author], "linestyle": "-" if law == "normal" else "--"}
        rates = [row["rates"][name] for row in rows]
        axes.plot(
            sizes, rates, marker="o" if law == "normal" else "s", markersize=3.5, label=f"{author} {law}", **style
        )
    limit = max(rate for name, rate in rows[-1]["rates"].items() if name.startswith("memory"))
    axes.axhline(limit, color="#555555", linewidth=1, linestyle=":")
    text = f"memory writes at {sizes[-1]:.0e} values: {limit * 4e6 / 1e9:.0f} GB/s"
    axes.annotate(text.replace("e+0", "e"), (sizes[0], limit), (0, 4), textcoords="offset points", color="#555555")
    axes.set(xscale="log", yscale="log", xlabel="float32 values in one fill", ylabel="million values per second")
    axes.set_title(f"Fill rate against size, {threads} thread{'s' * (threads > 1)}, memory already touched")
    axes.grid(which="major", alpha=0.3)
    axes.legend(loc="lower right", ncols=2, frameon=False)
    figure.savefig(path)
    plt.close(figure)
