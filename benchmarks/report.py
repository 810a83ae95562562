"""The figures of `fill_rates.py` as tables on a terminal."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

SIZES = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}  # bytes of a value
PEERS = ("torch", "NumPy PCG64", "NumPy Philox", "JAX")


def _table(title: str, columns: Iterable[str], left: int = 1) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index < left else "right", no_wrap=True)
    return table


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def rates(console: Console, rows: list[dict[str, Any]]) -> None:
    for (dtype, threads), group in groupby(rows, key=lambda row: (row["dtype"], row["threads"])):
        mine = list(group)
        peers = [name for name in PEERS if any(name in row["ratios"] for row in mine)]
        title = f"{dtype}, {threads} thread{'s' * (threads > 1)}, {mine[0]['values']:,} values (NumPy: one thread)"
        ratios = [f"× {name}" for name in peers]
        table = _table(title, ("law", "M values/s", "GB/s", *ratios, "of writes", "of Philox", "per thread"))
        for row in mine:
            cells = (_ratio(row["ratios"].get(name)) for name in peers)
            efficiency = "" if row["efficiency"] is None or threads == 1 else f"{row['efficiency']:.0%}"
            shares = f"{row['of_writes']:.0%}", f"{row['of_words']:.0%}"
            table.add_row(
                row["law"],
                f"{row['rate']:,.0f}",
                f"{row['rate'] * SIZES[dtype] / 1e3:.1f}",
                *cells,
                *shares,
                efficiency,
            )
        console.print(table)
    console.print(
        "of writes: of the faster of torch's zero_ and a kernel that only stores. of Philox: of a kernel that stores\n"
        "the bare words. per thread: rate / (threads × rate of one). torch's log-uniform and Rademacher are\n"
        "compositions of in-place operations.\n"
    )


def first_use(console: Console, found: dict[str, Any]) -> None:
    title = f"First use: seconds in a fresh process, {found['values']:,} float32 normals, {found['threads']} threads"
    steps = ("import NumPy", "import", "import llvmlite", "compile", "first fill", "second fill")
    short = ("NumPy", "import", "llvmlite", "compile", "1st fill", "2nd fill")
    table = _table(title, ("program", *short, "to 1st value", "+ imports"))
    for name, marks in found["programs"].items():
        first = sum(marks.get(step, 0.0) for step in steps[2:5])
        total = first + sum(marks.get(step, 0.0) for step in steps[:2])
        cells = (f"{marks[step]:.3f}" if step in marks else "" for step in steps)
        table.add_row(name, *cells, f"{first:.3f}", f"{total:.3f}")
    console.print(table)
    console.print(
        "The first fill touches its memory for the first time; the second finds it there.\n"
        "to 1st value: all that the first fill does, with its own imports. + imports: with those before it, too.\n"
    )


def memory(console: Console, found: dict[str, Any]) -> None:
    size = found["values"] * 4 / 2**20
    title = f"Memory beyond the destination of {size:,.0f} MiB, at the high-water mark, MiB"
    threads = sorted({row["threads"] for row in found["rows"]})
    headings = [f"{which}, {number} thr." for number in threads for which in ("first fill", "second")]
    table = _table(title, ("fill", *headings))
    for name in dict.fromkeys(row["fill"] for row in found["rows"]):
        mine = [row for row in found["rows"] if row["fill"] == name]
        table.add_row(name, *(f"{row[which]:,.1f}" for row in mine for which in ("first", "second")))
    console.print(table)
    console.print("First fills of wellbegun contain the compiler, which stays loaded.\n")


def regions(console: Console, found: dict[str, Any]) -> None:
    title = f"Parts of a normal of {found['side']} × {found['side']}, {found['threads']} threads"
    headings = ("part", "share of values", "ms", "share of time", "time / values", "ms, in its place")
    table = _table(title, headings)
    for row in found["rows"]:
        numbers = f"{row['share']:.4%}", f"{row['seconds'] * 1e3:.3f}", f"{row['of_whole']:.4%}"
        table.add_row(row["part"], *numbers, f"{row['per_value']:.2f}", f"{row['in_place_seconds'] * 1e3:.3f}")
    console.print(table)


def sizes(console: Console, found: dict[str, Any]) -> None:
    names = list(found["rows"][0]["rates"])
    title = f"M values/s by size, float32, {found['threads']} threads"
    table = _table(title, ("values", *(name.replace("/", "\n") for name in names)), left=0)
    for row in found["rows"]:
        rates_ = (f"{row['rates'][name]:,.0f}" if row["rates"][name] >= 10 else "<10" for name in names)
        table.add_row(f"{row['size']:,}", *rates_)
    console.print(table)


SECTIONS = {"rates": rates, "first_use": first_use, "memory": memory, "regions": regions, "sizes": sizes}
