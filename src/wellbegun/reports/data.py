"""The same facts as JSON, CSV and Markdown. Numbers JSON does not know become the texts "nan", "inf" and "-inf"."""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from wellbegun._arguments import shown

Rows = Sequence[Iterable[str]]  # the headings first


def to_json(data: Any) -> str:
    """Indented JSON that every reader accepts."""
    return json.dumps(plain(data), indent=2, allow_nan=False, ensure_ascii=False)


def plain(value: Any) -> Any:
    """The same data with texts for the numbers JSON does not know."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def to_csv(rows: Rows) -> str:
    """Lines that spreadsheets and data frames read."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([*map(shown, row)] for row in rows)
    return out.getvalue().rstrip("\n")


def to_markdown(rows: Rows) -> str:
    """A table for pages and pull requests.

    >>> print(to_markdown([("name", "law"), ("w", "|a| < 1")]))
    | name | law |
    |---|---|
    | w | \\|a\\| < 1 |
    """
    first, *rest = ["| " + " | ".join(shown(cell).replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join([first, "|---" * len(list(rows[0])) + "|", *rest])
