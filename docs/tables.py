"""Write the generated tables of the README, or with --check say whether they are up to date.

Usage: python docs/tables.py [--check]
"""

import argparse
import json
import re
import sys
from pathlib import Path

from wellbegun.schemes import cards
from wellbegun.theory import moments

README = Path(__file__).parents[1] / "README.md"
FIGURES = Path(__file__).parent / "figures"
GAINS = ("linear", "relu", "leaky_relu(0.2)", "elu", "selu", "gelu", "silu", "mish", "tanh", "sigmoid", "sin")


def schemes_table() -> str:
    rows = ["| scheme | strengths | weaknesses | when to use |", "|---|---|---|---|"]
    for card in cards():
        names = ", ".join(f"`{name}`" for name in (card.name, *card.aliases))
        rows.append(f"| {names} | {card.strengths} | {card.weaknesses} | {card.use} |")
    return "\n".join(rows)


def gains_table() -> str:
    rows = ["| φ | E φ | E φ² | E φ'² | gain | backward gain |", "|---|---|---|---|---|---|"]
    for name in GAINS:
        found = moments(name)
        numbers = found.mean, found.second, found.slope, found.gain, found.gain_backward
        rows.append(
            f"| {name} | "
            + " | ".join(f"{number + 0.0:.6f}".replace("-0.000000", "0.000000") for number in numbers)
            + " |"
        )
    return "\n".join(rows)


def demo_table() -> str:
    """From `make demo DEMO_ARGS="--figures docs/figures/demo.json"`."""
    rows = json.loads((FIGURES / "demo.json").read_text())
    networks = list(dict.fromkeys(row["network"] for row in rows))
    lines = [f"| initialization | {' | '.join(networks)} |", "|---|" + "---|" * len(networks)]
    for candidate in dict.fromkeys(row["candidate"] for row in rows):
        cells = [_demo_cell(row) for row in rows if row["candidate"] == candidate]
        lines.append(f"| {candidate} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _demo_cell(row: dict) -> str:
    return f"{row['loss']:.2f}, {row['accuracy']:.0%} ({' '.join(row['findings']) or 'healthy'})"


def speed_table() -> str:
    """From `python benchmarks/fill_rates.py --json docs/figures/fill_rates.json`."""
    found = json.loads((FIGURES / "fill_rates.json").read_text())
    rows = [row for row in found["rates"] if row["dtype"] == "float32"]
    one, most = ({row["law"]: row for row in rows if row["threads"] == count} for count in (1, found["threads"][-1]))
    lines = [
        f"| float32, {found['values']:,} values | 1 thread, M values/s | × torch | × NumPy "
        f"| {found['threads'][-1]} threads, M values/s | × torch | of memory writes |",
        "|---|---|---|---|---|---|---|",
    ]
    for law, row in most.items():
        ratios = [_ratio(one[law]["ratios"].get(peer)) for peer in ("torch", "NumPy PCG64")]
        rest = _ratio(row["ratios"].get("torch")), f"{row['of_writes']:.0%}"
        lines.append(
            f"| {law} | {one[law]['rate']:,.0f} | {' | '.join(ratios)} | {row['rate']:,.0f} | {' | '.join(rest)} |"
        )
    return "\n".join(lines)


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"


TABLES = {"schemes": schemes_table, "gains": gains_table, "demo": demo_table, "speed": speed_table}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    text = README.read_text()
    made = text
    for name, table in TABLES.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        made, count = re.subn(pattern, lambda m, t=table: m.group(1) + t() + "\n" + m.group(2), made, flags=re.DOTALL)
        if count != 1:
            print(f"README.md has {count} places for the table {name!r}; expected 1")
            return 2
    if check:
        print("up to date" if made == text else "README.md is out of date; run: python docs/tables.py")
        return int(made != text)
    README.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
