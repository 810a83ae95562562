"""Data for tables that sort, search and unfold in the browser (assets/tables.js)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from wellbegun.reports.html.page import template

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True)
class Column:
    """One column. The first one of a table names its rows."""

    title: str
    cells: Sequence[Any]  # texts, or numbers and None
    kind: Literal["text", "code", "number"] = "text"
    hint: str = ""  # what it means, on the heading


def table_data(
    caption: str, noun: str, columns: Iterable[Column], groups: Sequence[Sequence[int]] | None = None
) -> dict[str, Any]:
    """What `Tables` reads.

    Args:
        caption: What the table shows, in a line.
        noun: What a row is, in the singular: "parameter".
        columns: All of the same length.
        groups: Rows that stand in one line until unfolded, in order; every row is in one of them.
    """
    found = {"caption": caption, "noun": noun, "columns": [_encoded(column) for column in columns]}
    return found if groups is None else {**found, "groups": [list(group) for group in groups]}


def _encoded(column: Column) -> dict[str, Any]:
    """Texts that repeat are written once: a plan of 10,000 parameters has few reasons."""
    head: dict[str, Any] = {"title": column.title, "kind": column.kind}
    if column.hint:
        head["hint"] = column.hint
    if column.kind == "number":
        return {**head, "cells": [_short(value) for value in column.cells]}
    texts = {text: index for index, text in enumerate(dict.fromkeys(column.cells))}
    if len(texts) > len(column.cells) / 2:
        return {**head, "cells": list(column.cells)}
    return {**head, "texts": list(texts), "at": [texts[text] for text in column.cells]}


def _short(value: Any) -> Any:
    """Six digits, more than is shown."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def table_block(id: str) -> "Markup":
    """Where the table of this data id is drawn."""
    return template("table.html", id=id)
