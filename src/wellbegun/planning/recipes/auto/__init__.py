"""auto@2: orthogonal weights at an operating point found from the graph, forward and backward.

Plain layers are made linear at the start (mirrored pairs, or the odd part of the activation), residual branches are
damped by how many share their stream, readouts start near chance. A measured correction follows a given batch.
"""

from wellbegun.planning.recipes.auto.roles import CHOICES
from wellbegun.planning.recipes.auto.solve import alone, solve
from wellbegun.planning.recipes.base import recipe

AUTO = recipe(
    "auto",
    2,
    {**CHOICES, "hidden": alone},
    about="any model; the default: orthogonal weights at a scale found from the whole model",
    optimizer="any",
    source="measured for this recipe",
    solve=solve,
)._replace(minds=True)

__all__ = ["AUTO"]
