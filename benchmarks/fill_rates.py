"""Everything about the speed of fills, in one run: rates, limits, threads, first use, memory, regions, sizes.

Usage: make bench, or python benchmarks/fill_rates.py [--quick] [--only rates first_use memory regions sizes]
       [--values 67108864] [--repeats 7] [--threads 1 2] [--json FILE] [--png FILE]
Rates are medians over repeats in which all tasks take turns, into memory that has been touched before.
Budgets (float32, most threads): normal >= 5x torch normal_, uniform >= 8x uniform_, truncated >= 30x trunc_normal_.
Exit status 1 if a budget is missed.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

import first_use
import memory
import rates
import regions
import report
import sizes
from timing import Progress, jax, machine, processors

BUDGETS = {"normal": 5.0, "uniform": 8.0, "truncated normal ±2": 30.0}
FULL, QUICK = 1 << 26, 1 << 21
LARGEST = 100_000_000


def _rates(a: argparse.Namespace, progress: Progress) -> Any:
    return rates.with_scaling(list(rates.measured(a.values, a.repeats, a.threads, progress)))


def _first_use(a: argparse.Namespace, progress: Progress) -> Any:
    values = LARGEST if a.values >= FULL else a.values
    found = first_use.measured(values, max(a.threads), min(a.repeats, 5), progress)
    return {"values": values, "threads": max(a.threads), "programs": found}


def _memory(a: argparse.Namespace, progress: Progress) -> Any:
    values = min(a.values, FULL)
    return {"values": values, "rows": memory.measured(values, a.threads, progress)}


def _regions(a: argparse.Namespace, progress: Progress) -> Any:
    side = min(8192, 1 << ((a.values.bit_length() - 1) // 2))
    rows = regions.measured(side, max(a.threads), a.repeats, progress)
    return {"side": side, "threads": max(a.threads), "rows": rows}


def _sizes(a: argparse.Namespace, progress: Progress) -> Any:
    largest = LARGEST if a.values >= FULL else a.values
    return {"threads": max(a.threads), "rows": sizes.measured(largest, max(a.threads), a.repeats, progress)}


SECTIONS: dict[str, Callable[[argparse.Namespace, Progress], Any]] = {
    "rates": _rates,
    "regions": _regions,
    "sizes": _sizes,
    "first_use": _first_use,
    "memory": _memory,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small fills and few repeats: does everything run?")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="sections to run")
    parser.add_argument("--values", type=int, help=f"values in one fill; float64 gets half ({FULL})")
    parser.add_argument("--repeats", type=int, help="repeats of each task (7)")
    parser.add_argument("--threads", type=int, nargs="+", help="numbers of threads (1, 2 and all)")
    parser.add_argument("--json", type=Path, help="also write all figures to this file; docs/tables.py reads it")
    parser.add_argument("--png", type=Path, help="also draw rate against size into this file")
    found = parser.parse_args()
    found.values = found.values or (QUICK if found.quick else FULL)
    found.repeats = found.repeats or (2 if found.quick else 7)
    found.threads = sorted(set(found.threads or {1, min(2, processors()), processors()}))
    return found


def missed(rows: list[dict[str, Any]]) -> list[str]:
    """Laws that are not as many times faster than torch as the budget says."""
    most = [row for row in rows if row["dtype"] == "float32" and row["threads"] == rows[-1]["threads"]]
    ratios = {row["law"]: row["ratios"].get("torch") for row in most}
    return [law for law, budget in BUDGETS.items() if ratios[law] < budget]


def rounded(value: Any) -> Any:
    """Four significant digits: more than a clock on a shared machine can tell."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main() -> int:
    a = arguments()
    console = Console(highlight=False, width=136)
    found: dict[str, Any] = {"machine": machine(), "values": a.values, "repeats": a.repeats, "threads": a.threads}
    console.print(", ".join(f"{name} {version}" for name, version in found["machine"].items()))
    if jax() is None:
        console.print("JAX is not installed: no rates of jax.random.")
    for name in a.only:
        with Console(stderr=True).status(name) as status:
            found[name] = SECTIONS[name](a, status.update)
        report.SECTIONS[name](console, found[name])
    if a.json:
        a.json.write_text(json.dumps(rounded(found), indent=1, ensure_ascii=False) + "\n")
    if a.png and "sizes" in found:
        sizes.picture(found["sizes"]["rows"], found["sizes"]["threads"], a.png)
    if "rates" not in found:
        return 0
    late = missed(found["rates"])
    print("Budgets met." if not late else f"Budgets missed: {', '.join(late)}.")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
