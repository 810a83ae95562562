"""What notebooks show of our objects. Their rows know no HTML: `wellbegun/__init__.py` says who renders them."""

from collections.abc import Callable

Renderer = Callable[[object], str]
_renderers: list[Renderer] = []  # one, once `wellbegun` is imported


class Displayed:
    """Base of what has an HTML form in notebooks."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """A small fragment of HTML without scripts; None (a notebook then shows the repr) if nothing renders it."""
        return _renderers[-1](self) if _renderers else None


def display_with(renderer: Renderer) -> None:
    """Say what renders `Displayed` objects."""
    _renderers[:] = [renderer]
