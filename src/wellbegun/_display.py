"""What notebooks, terminals and data frames show of our objects. Their rows know nothing of how:
`wellbegun/__init__.py` says who renders them."""

import importlib
from collections.abc import Callable
from dataclasses import fields
from typing import Any

Renderer = Callable[[str, object], Any]
"""(form, object) -> the object in this form: html, rich, or frames."""
_renderers: list[Renderer] = []  # one, once `wellbegun` is imported


class Displayed:
    """Base of what notebooks, Rich, treescope and pandas show in a form of its own."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """A small fragment of HTML without scripts; None (a notebook then shows the repr) if nothing renders it."""
        return _renderers[-1]("html", self) if _renderers else None

    def __rich__(self) -> Any:
        """The tables that `wellbegun.show` prints, for `rich.print` and every other console of Rich."""
        return _renderers[-1]("rich", self) if _renderers else repr(self)

    def __treescope_repr__(self, path: str | None, subtree_renderer: Any) -> Any:
        """The line that `repr` gives, which unfolds to the fields; treescope itself adds the form in HTML."""
        parts = importlib.import_module("treescope.rendering_parts")
        lines = []
        for name in (field.name for field in fields(self) if field.repr):  # type: ignore[arg-type]  # of a dataclass
            child = subtree_renderer(getattr(self, name), path=None if path is None else f"{path}.{name}")
            lines.append(parts.build_full_line_with_annotations(parts.siblings_with_annotations(f"{name}=", child)))
        contents = parts.fold_condition(expanded=parts.indented_children(lines))
        label = parts.text(" ".join(repr(self).split()))  # of one line
        return parts.build_custom_foldable_tree_node(contents=contents, path=path, label=label)

    def to_pandas(self, table: str | None = None) -> Any:
        """A table of it as a pandas.DataFrame: numbers are numbers, and nothing is left out or grouped.

        Args:
            table: Which one, where there are several: of `Health` "operations" (the default), "parameters",
                "attentions", "streams", "inputs" or "findings"; of a `Race` "standings" (the default), "pairs" or
                "trials"; of a `Plan` "plan" (the default) or "multipliers"; of a `Result` all of its plan ("plan", the
                default), ledger ("ledger") and health.
        Raises:
            MissingDependencyError: pandas is not installed. UnknownNameError: there is no such table.
        """
        return _renderers[-1]("frames", self)(table)


def display_with(renderer: Renderer) -> None:
    """Say what renders `Displayed` objects."""
    _renderers[:] = [renderer]
