"""A page on which the schemes can be tried and seen."""
