"""The list of published initializations: whatever a row names exists, and no scheme or recipe is left out."""

import ast
import importlib
from pathlib import Path
from typing import Any

import pytest

from wellbegun.planning import recipe_facts
from wellbegun.schemes import SCHEMES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "docs")
    return importlib.import_module("entries")


def test_rows_name_what_exists(entries: Any) -> None:
    rows = [row for _, of_family in entries.families() for row in of_family]
    assert len({row["known"] for row in rows}) == len(rows) > 150
    functions: dict[str, set[str]] = {}
    for row in rows:
        assert ("here" in row) != ("reason" in row), row
        if "reason" in row:
            assert row["source"]
            continue
        assert all(entries.found(name) for name in row["here"])
        path, _, test = entries.test_of(row).partition("::")
        if path not in functions:
            tree = ast.parse((ROOT / "tests" / path).read_text())
            functions[path] = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert test.partition("[")[0] in functions[path], row
        assert entries._line(row).startswith(f"| {row['known']} |")


def test_nothing_is_left_out_and_wrong_names_are_noticed(entries: Any) -> None:
    page = (ROOT / "docs" / "published.md").read_text()
    assert entries.table() in page
    names = [name for name in SCHEMES if f"{name}`" not in page and f"{name}(" not in page]
    assert names + [facts["name"] for facts in recipe_facts() if f"`{facts['name']}@" not in page] == []
    for wrong in ("he_normall", "gpt3@1", "wb.gainn", "examples/none.py"):
        with pytest.raises((KeyError, AttributeError)):
            entries.found(wrong)
