"""All families of schemes: a line for each file that holds one.

A scheme that is added to a file is in here, in the registry, in the tables and in the tests. Those of the classic
families are at the top of the package too, by star imports, because type checkers read them; others are attributes of
their family, such as `wellbegun.schemes.structured.sinusoidal`.
"""

from types import ModuleType

from wellbegun.schemes import (
    adapters,
    complex_valued,
    convex,
    fixed,
    flows,
    graphs,
    heads,
    hippo,
    hypernetworks,
    iid,
    implicit,
    impulses,
    isometries,
    kan,
    linear_recurrent,
    orthonormal,
    patterns,
    positions,
    recurrent,
    rotations,
    scaling,
    sections,
    signals,
    ssm,
    structured,
    transfer,
    transformer,
    vision,
)
from wellbegun.schemes.fixed import *  # noqa: F403
from wellbegun.schemes.isometries import *  # noqa: F403
from wellbegun.schemes.patterns import *  # noqa: F403
from wellbegun.schemes.scaling import *  # noqa: F403
from wellbegun.schemes.sections import *  # noqa: F403

CLASSIC: tuple[ModuleType, ...] = (fixed, scaling, isometries, patterns, sections)
"""Files whose schemes are at the top of the package."""
FAMILIES: tuple[ModuleType, ...] = (
    *CLASSIC,
    iid,
    structured,
    signals,
    positions,
    vision,
    orthonormal,
    recurrent,
    rotations,
    ssm,
    hippo,
    linear_recurrent,
    transformer,
    implicit,
    impulses,
    kan,
    convex,
    heads,
    adapters,
    complex_valued,
    hypernetworks,
    flows,
    graphs,
    transfer,
)
"""The files, in the order of tables."""
NAMES = tuple(name for family in CLASSIC for name in family.__all__)
"""Of the classic schemes, and their other names."""
globals()["__all__"] = NAMES  # which type checkers could not follow
