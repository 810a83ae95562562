"""Two models, tensor by tensor, as a table for the terminal."""

from typing import TYPE_CHECKING

from wellbegun.measure.comparison import ModelComparison
from wellbegun.reports.fitted import Column, Fitted

if TYPE_CHECKING:
    from rich.console import RenderableType


def comparison_table(found: ModelComparison) -> list["RenderableType"]:
    """What differs first, and how many do not."""
    told = ", ".join(f"{number} {verdict}" for verdict, number in found.counts().items() if number)
    columns = [Column("parameter", "name"), Column("verdict"), Column("std", "number"), Column("other", "number")]
    worst = sorted(found.tensors, key=lambda tensor: tensor.verdict in ("same", "alike"))
    rows = [(t.name, t.verdict, _std(t.first), _std(t.second), t.why) for t in worst]
    marked = frozenset(i for i, tensor in enumerate(worst) if tensor.verdict in ("differs", "missing"))
    return [Fitted(f"Two models: {told or 'no tensors'}.", [*columns, Column("why", "why")], rows, marked)]


def _std(numbers: tuple[float, float] | None) -> str:
    return "" if numbers is None else f"{numbers[1]:.4g}"
