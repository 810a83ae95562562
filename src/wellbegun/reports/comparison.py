"""Two models, tensor by tensor, as a table for the terminal."""

from typing import TYPE_CHECKING

from wellbegun.measure.comparison import ModelComparison
from wellbegun.reports.fitted import Column, Fitted

if TYPE_CHECKING:
    from rich.console import RenderableType


HEADINGS = "parameter", "verdict", "std", "other", "why"
_KINDS = "name", "plain", "number", "number", "why"


def comparison_table(found: ModelComparison) -> list["RenderableType"]:
    """What differs first, and how many do not."""
    rows = comparison_rows(found)
    marked = frozenset(i for i, row in enumerate(rows) if row[1] in ("differs", "missing"))
    columns = [Column(title, kind) for title, kind in zip(HEADINGS, _KINDS, strict=True)]
    return [Fitted(f"Two models: {told(found)}.", columns, rows, marked)]


def told(found: ModelComparison) -> str:
    """How many tensors there are of each verdict."""
    return ", ".join(f"{number} {verdict}" for verdict, number in found.counts().items() if number) or "no tensors"


def comparison_rows(found: ModelComparison) -> list[tuple[str, ...]]:
    """A row for each tensor, those that differ first."""
    worst = sorted(found.tensors, key=lambda tensor: tensor.verdict in ("same", "alike"))
    return [(t.name, t.verdict, _std(t.first), _std(t.second), t.why) for t in worst]


def _std(numbers: tuple[float, float] | None) -> str:
    return "" if numbers is None else f"{numbers[1]:.4g}"
