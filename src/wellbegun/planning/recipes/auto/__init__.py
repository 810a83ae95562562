"""auto@1: orthogonal weights at an operating point found from the graph, forward and backward.

Plain layers are made linear at the start (mirrored pairs, or the odd part of the activation), residual branches are
damped by how many share their stream, readouts start near chance. A measured correction follows a given batch.
"""

from wellbegun.planning.recipes.auto.roles import CHOICES
from wellbegun.planning.recipes.auto.solve import alone, solve
from wellbegun.planning.recipes.base import recipe

AUTO = recipe("auto", 1, {**CHOICES, "hidden": alone}, solve=solve)

__all__ = ["AUTO"]
