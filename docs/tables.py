"""Write the generated tables of the README, or with --check say whether they are up to date.

Usage: python docs/tables.py [--check]
"""

import argparse
import re
import sys
from pathlib import Path

from wellbegun.schemes import cards
from wellbegun.theory import moments

README = Path(__file__).parents[1] / "README.md"
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


TABLES = {"schemes": schemes_table, "gains": gains_table}


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
