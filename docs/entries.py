"""Every published initialization and what it is here, from docs/entries.toml; what no row names follows by itself."""

import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wellbegun.laws import Law
from wellbegun.planning import RECIPES, Parametrization, recipe_facts
from wellbegun.schemes import SCHEMES, Card, cards, parse_scheme
from wellbegun.schemes.catalogue import CLASSIC

ROOT = Path(__file__).parents[1]
ROWS = tomllib.loads((Path(__file__).parent / "entries.toml").read_text())["family"]
CARDS = {name: card for card in cards() for name in (card.name, *card.aliases)}
INVARIANTS = "unit/test_schemes.py::test_invariants_hold_and_other_values_break_them"
RECIPES_AT = "reference/planning.md#recipes"
PLAIN = {family.__name__.rpartition(".")[2] for family in CLASSIC}


class Here(NamedTuple):
    """One thing of this package that a row names: what it is, where it is, and where it is from."""

    kind: str
    place: str
    source: str = ""
    card: Card | None = None


def found(name: str) -> Here:
    """A scheme's name or call, name@1 of a recipe, a place below `wb` or `wellbegun`, a file; KeyError for others."""
    if name in RECIPES and "@" in name:
        kind = "parametrization" if isinstance(RECIPES[name], Parametrization) else "recipe"
        return Here(kind, name, RECIPES[name].facts()["source"])
    card = CARDS.get(name.partition("(")[0])
    if card is not None:
        if "(" in name:
            parse_scheme(name)
        family = "" if card.family in PLAIN else f"schemes.{card.family}."
        return Here("scheme", f"wb.{family}{name}", card.source, card)
    if "/" in name and (ROOT / name).is_file():
        return Here("example", name)
    module, _, own = re.sub(r"^wb\b", "wellbegun", name).rpartition(".")
    if not module.startswith("wellbegun"):
        raise KeyError(name)
    if (ROOT / "src" / f"{module}.{own}".replace(".", "/")).with_suffix(".py").is_file():
        return Here("module", name)  # which may need a framework to be imported
    thing = getattr(importlib.import_module(module), own)
    law = isinstance(thing, type) and issubclass(thing, Law)
    return Here("law" if law else "class" if isinstance(thing, type) else "function", name)


def test_of(row: dict) -> str:
    """What holds the row's invariant: path::name, below tests/."""
    if "test" in row:
        return row["test"]
    card = found(row["here"][0]).card
    if card is None:
        raise KeyError(f"{row['known']}: a test has to be named")
    return f"{INVARIANTS}[{card.name}]"


def families() -> Iterator[tuple[str, list[dict]]]:
    """Titles and rows: those that are written, and those of schemes and recipes that no row names."""
    named = set()
    for family in ROWS:
        yield family["title"], family["entries"]
        for row in family["entries"]:
            for name in row.get("here", ()):
                card = found(name).card
                named.add(card.name if card else name)
    others = [{"known": name, "here": [name]} for name in SCHEMES if name not in named]
    test = "contract/test_recipes.py::test_every_recipe_plans_ordinary_models"
    recipes = [f"{facts['name']}@{facts['version']}" for facts in recipe_facts()]
    others += [{"known": name, "here": [name], "test": test} for name in recipes if name not in named]
    if others:
        yield "Others", others


def table() -> str:
    lines = []
    for title, rows in families():
        lines += [f"## {title}", "", "| known as | here | what it is | source | held by |", "|---|---|---|---|---|"]
        lines += [*map(_line, rows), ""]
    return "\n" + "\n".join(lines)


def _line(row: dict) -> str:
    if "here" not in row:
        return f"| {row['known']} | none: {row['reason']} | | {row['source']} | |"
    things = [found(name) for name in row["here"]]
    kinds = ", ".join(dict.fromkeys(thing.kind for thing in things))
    source = row.get("source") or next((thing.source for thing in things if thing.source), "")
    shown = (f"[`{thing.place}`]({RECIPES_AT})" if "@" in thing.place else f"`{thing.place}`" for thing in things)
    assert source, f"{row['known']}: a source has to be named"
    return f"| {row['known']} | {', '.join(shown)} | {kinds} | {source.rstrip('.')} | `{test_of(row)}` |"
