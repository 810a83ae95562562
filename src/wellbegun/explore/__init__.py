"""A page on which the schemes can be tried and seen."""

from wellbegun.explore.page import write

__all__ = ["write"]
