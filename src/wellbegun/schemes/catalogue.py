"""All schemes by their names: a line for each file that holds a family of them.

Star imports, because type checkers read them too. A scheme that is added to a file is in here, in the registry, in the
tables, in the tests and at the top of the package.
"""

from types import ModuleType

from wellbegun.schemes import fixed, isometries, patterns, scaling, sections
from wellbegun.schemes.fixed import *  # noqa: F403
from wellbegun.schemes.isometries import *  # noqa: F403
from wellbegun.schemes.patterns import *  # noqa: F403
from wellbegun.schemes.scaling import *  # noqa: F403
from wellbegun.schemes.sections import *  # noqa: F403

FAMILIES: tuple[ModuleType, ...] = (fixed, scaling, isometries, patterns, sections)
"""The files, in the order of tables."""
NAMES = tuple(name for family in FAMILIES for name in family.__all__)
"""Of all schemes, and their other names."""
globals()["__all__"] = NAMES  # which type checkers could not follow
