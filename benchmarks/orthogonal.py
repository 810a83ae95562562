"""Orthogonal matrices: time against torch.nn.init.orthogonal_, and how close each method is to the Haar law.

Usage: python benchmarks/orthogonal.py [--quick] [--only times laws] [--repeats 3] [--threads 2] [--json FILE]

Times take turns. Entries are held against their exact law, (x + 1) / 2 ~ Beta((n - 1) / 2, (n - 1) / 2). Angles and
minors are held against matrices by LAPACK's QR in float64, with the signs of Mezzadri 2007 (arXiv:math-ph/0609050):
"cos 1" and "cos 4" are the largest and smallest cosine of the principal angles between a fixed subspace of 4 dimensions
and the image of another: of coordinates ("axes", hardest for a method that mixes coordinates), or random but the same
for all matrices.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from scipy import stats

from timing import Progress, Task, jax, machine, processors, seconds
from wellbegun import fill
from wellbegun.laws import Orthogonal

METHODS = ("haar", "structured")
SQUARES = (512, 1000, 1024, 2048, 3000, 4096)
SHAPES = [(size, size) for size in SQUARES] + [(512, 2048), (2048, 512)]
SAMPLED = 40_000  # entries that are tested: more would tell apart rounding, too
# size -> matrices
DRAWS = {8: 4000, 16: 4000, 31: 4000, 32: 4000, 33: 4000, 48: 4000, 64: 4000, 100: 2000, 256: 400, 1000: 60}
RANK = 4  # dimension of the subspaces


# ---------------------------------------------------------------------- times
def makers_of(shape: tuple[int, int], threads: int) -> dict[str, Callable[[], np.ndarray]]:
    """Each method as a call that returns its matrix."""
    memory = torch.zeros(shape)

    def ours(method: str) -> Callable[[], np.ndarray]:
        out = np.zeros(shape, np.float32)
        return lambda: fill(Orthogonal(method=method), shape, seed=0, name="w", out=out, threads=threads)

    found = {"torch": lambda: torch.nn.init.orthogonal_(memory).numpy()}
    found |= {method: ours(method) for method in METHODS}
    if (library := jax()) is not None:
        jitted = library.jit(lambda key: library.nn.initializers.orthogonal()(key, shape, "float32"))
        found["JAX"] = lambda: np.asarray(jitted(library.random.key(0)).block_until_ready())
    return found


def times(shapes: list[tuple[int, int]], repeats: int, threads: int, progress: Progress) -> list[dict[str, Any]]:
    """One row for each shape and method."""
    torch.set_num_threads(threads)
    for method in METHODS:  # compile kernels: a process does so once it has drawn enough
        fill(Orthogonal(method=method), (2048, 1024), seed=0)
    rows = []
    for shape in shapes:
        makers = makers_of(shape, threads)
        tasks: dict[str, Task] = {**makers}
        found = seconds(tasks, repeats, lambda text, s=shape: progress(f"{s[0]} x {s[1]}: {text}"))
        for name, maker in makers.items():
            matrix = maker()
            row = {"shape": list(shape), "method": name, "seconds": found[name], "ratio": found["torch"] / found[name]}
            rows.append(row | entries(matrix) | {"error": error_of(matrix)})
    return rows


def error_of(matrix: np.ndarray) -> float:
    """Largest entry of |W^T W - I| along the short side, with the products in float64."""
    tall = matrix.astype(np.float64)
    tall = tall if tall.shape[0] >= tall.shape[1] else tall.T
    return float(np.abs(tall.T @ tall - np.eye(tall.shape[1])).max())


def entries(matrix: np.ndarray) -> dict[str, float]:
    """Kurtosis of all entries over that of Haar matrices, and KS distance of some to their exact law."""
    size = max(matrix.shape)
    flat = matrix.astype(np.float64).ravel()
    picked = flat[np.random.default_rng(0).permutation(flat.size)[:SAMPLED]]
    half = (size - 1) / 2
    distance = stats.kstest((picked + 1) / 2, stats.beta(half, half).cdf)
    exact = 3 * size / (size + 2)
    kurtosis = float(np.mean(flat**4) / np.mean(flat**2) ** 2)
    return {"kurtosis": kurtosis, "kurtosis_ratio": kurtosis / exact, "ks": float(distance.statistic)}


# ---------------------------------------------------------------------- laws
def exact_haar(draws: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """Haar matrices by QR in float64: the sample all methods are held against."""
    q, r = np.linalg.qr(generator.standard_normal((draws, size, size)))
    return q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]


def exact_statistics(draws: int, size: int) -> dict[str, np.ndarray]:
    """Statistics of Haar matrices, a few at a time: all of them would take gigabytes."""
    generator, each = np.random.default_rng(size), max(1, (1 << 23) // size**2)
    parts = [statistics_of(exact_haar(min(each, draws - at), size, generator)) for at in range(0, draws, each)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def drawn(method: str, draws: int, size: int) -> np.ndarray:
    """Matrices of one method, in float64 for what is computed from them."""
    if method == "torch":
        torch.manual_seed(0)
        return np.stack([torch.nn.init.orthogonal_(torch.empty(size, size)).numpy() for _ in range(draws)], dtype=float)
    law = Orthogonal(blocks=draws, method=method)
    return fill(law, (draws * size, size), seed=1, name="angles").reshape(draws, size, size).astype(float)


def statistics_of(matrices: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers of each matrix whose law depends on all of it, not on one entry."""
    size = matrices.shape[1]
    generator = np.random.default_rng(5)  # the subspaces are fixed: the same for every method
    left, right = (np.linalg.qr(generator.standard_normal((size, RANK)))[0] for _ in range(2))
    corner = np.linalg.svd(matrices[:, :RANK, :RANK], compute_uv=False)
    turned = np.linalg.svd(left.T @ matrices @ right, compute_uv=False)
    return {
        "cos 1, axes": corner[:, 0],
        "cos 4, axes": corner[:, -1],
        "cos 1, random": turned[:, 0],
        "cos 4, random": turned[:, -1],
        "first minor": np.linalg.det(matrices[:, :2, :2]),
        "trace": np.trace(matrices, axis1=1, axis2=2),
        "2 × 2 product": matrices[:, 0, 0] * matrices[:, 0, 1] * matrices[:, 1, 0] * matrices[:, 1, 1],
    }


def laws(draws: dict[int, int], progress: Progress) -> list[dict[str, Any]]:
    """KS distances between each method and Haar; "critical" is what a two-sample test at 1 % allows."""
    rows = []
    for size, count in draws.items():
        reference = exact_statistics(4 * count, size)
        for method in ("torch", *METHODS):
            progress(f"laws: {method}, {size}")
            matrices = drawn(method, count, size)
            found = statistics_of(matrices)
            distances = {name: float(stats.ks_2samp(found[name], reference[name]).statistic) for name in found}
            entry = entries_of_small(matrices)
            positive = float((np.linalg.slogdet(matrices)[0] > 0).mean())
            critical = math.sqrt(-math.log(0.01 / 2) / 2 * (1 / count + 1 / (4 * count)))
            row = {"size": size, "draws": count, "method": method, "critical": critical, "entry": entry}
            rows.append({**row, "ks": distances, "positive_determinants": positive})
    return rows


def entries_of_small(matrices: np.ndarray) -> float:
    """KS distance of one fixed entry over all draws to its exact law: values of different matrices are independent."""
    half = (matrices.shape[1] - 1) / 2
    return float(stats.kstest((matrices[:, 1, 2] + 1) / 2, stats.beta(half, half).cdf).statistic)


# ---------------------------------------------------------------------- report
def _table(title: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index < 2 else "right")
    return table


def show_times(console: Console, rows: list[dict[str, Any]], threads: int) -> None:
    headings = ["shape", "method", "seconds", "× torch", "max |WᵀW − I|", "kurtosis", "/ Haar's", "KS of entries"]
    table = _table(f"Orthogonal matrices, float32, {threads} threads", headings)
    for row in rows:
        shape = f"{row['shape'][0]} × {row['shape'][1]}"
        time = f"{row['seconds']:.4f}", f"{row['ratio']:.1f}", f"{row['error']:.1e}"
        law = f"{row['kurtosis']:.4f}", f"{row['kurtosis_ratio']:.4f}", f"{row['ks']:.4f}"
        table.add_row(shape, row["method"], *time, *law, end_section=row["method"] == rows[-1]["method"])
    console.print(table)
    critical = stats.kstwo.isf(0.01, SAMPLED)
    console.print(
        f"KS: {SAMPLED:,} entries against the exact Beta law; 1 % of independent samples exceed {critical:.4f}.\n"
    )


def show_laws(console: Console, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0]["ks"])
    headings = ["n", "method", "draws", "entry", *names, "det > 0", "1 % critical"]
    table = _table("KS distance to Haar matrices; * beyond the critical value", headings)
    for row in rows:
        marked = [f"{value:.3f}{'*' if value > row['critical'] else ' '}" for value in row["ks"].values()]
        single = stats.kstwo.isf(0.01, row["draws"])
        entry = f"{row['entry']:.3f}{'*' if row['entry'] > single else ' '}"
        shares = f"{row['positive_determinants']:.3f}", f"{row['critical']:.3f}"
        last = row["method"] == rows[-1]["method"]
        table.add_row(str(row["size"]), row["method"], f"{row['draws']:,}", entry, *marked, *shares, end_section=last)
    console.print(table)
    tests = (len(names) + 1) * len(rows)
    console.print(
        f"{tests} tests at 1 %: about {tests / 100:.0f} marks are chance. entry: the fixed entry (1, 2), exact law."
    )


def rounded(value: Any) -> Any:
    """Four significant digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small matrices and few draws")
    parser.add_argument("--only", nargs="+", choices=("times", "laws"), default=["times", "laws"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=processors())
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    a = parser.parse_args()
    shapes = [shape for shape in SHAPES if not a.quick or max(shape) <= 1024]
    draws = {size: count // 10 for size, count in DRAWS.items() if size <= 64} if a.quick else DRAWS
    console = Console(highlight=False, width=140)
    found: dict[str, Any] = {"machine": machine(), "threads": a.threads, "repeats": a.repeats}
    if jax() is None:
        console.print("JAX is not installed: no times of its initializer.")
    with Console(stderr=True).status("") as status:
        if "times" in a.only:
            found["times"] = times(shapes, a.repeats, a.threads, status.update)
        if "laws" in a.only:
            found["laws"] = laws(draws, status.update)
    if "times" in found:
        show_times(console, found["times"], a.threads)
    if "laws" in found:
        show_laws(console, found["laws"])
    if a.json:
        a.json.write_text(json.dumps(rounded(found), indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
