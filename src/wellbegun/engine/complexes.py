"""Complex values of a real law: two parts from two sub-streams, with the law's mean and total variance.

z = x + iy has E z = mean and E |z - mean|^2 = variance: x and y follow the law shrunk by sqrt(2) about its mean, y
around 0. (Filling both parts with the law itself, as some libraries do for uniform laws, doubles the variance.)
"""

import math

from wellbegun._arguments import message
from wellbegun.errors import ArgumentError
from wellbegun.laws import Law, Normal, Rademacher, TruncatedNormal, Uniform

REAL_OF = {"complex64": "float32", "complex128": "float64"}


def part_of(law: Law, part: str) -> Law:
    """Law of the real or imaginary part.

    >>> round(part_of(Normal(1.0, 2.0), "imag").moments().variance, 12)
    2.0
    """
    mean = law.moments().mean
    centre = mean if part == "real" else 0.0

    def moved(value: float) -> float:
        return centre + (value - mean) / math.sqrt(2)

    if isinstance(law, Normal):
        return Normal(centre, law.std / math.sqrt(2))
    if isinstance(law, Uniform):
        return Uniform(moved(law.low), moved(law.high))
    if isinstance(law, TruncatedNormal):
        return TruncatedNormal(moved(law.location), law.scale / math.sqrt(2), moved(law.low), moved(law.high))
    if isinstance(law, Rademacher):
        return Rademacher(centre, law.scale / math.sqrt(2))
    allowed = "one with a complex form (normal, uniform, truncated normal, Rademacher, orthogonal)"
    raise ArgumentError(message("fill", "law", allowed, law, "Use a real dtype."))
