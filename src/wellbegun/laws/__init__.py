"""What one tensor's values are, with final numbers. Plain frozen data; `wellbegun.engine` turns a law into numbers.

Every law knows its exact moments and support. They hold before rounding to a dtype; rounding keeps every value inside
the support of a bounded law.
"""

from collections.abc import Mapping
from types import MappingProxyType

from wellbegun.laws.base import Law, Moments, law_classes, law_from_dict
from wellbegun.laws.built import Built
from wellbegun.laws.composite import Mirrored, Repeat, Sections, Sparse, ZeroRows
from wellbegun.laws.computed import Computed, Given
from wellbegun.laws.dependent import Copied, Dependent, RowSums
from wellbegun.laws.independent import (
    SMALLEST_MASS,
    Constant,
    LogUniform,
    Normal,
    Rademacher,
    TruncatedNormal,
    Uniform,
)
from wellbegun.laws.mapped import Mapped, MappedCopy
from wellbegun.laws.matrices import DeltaOrthogonal, Dirac, Eye, Orthogonal
from wellbegun.laws.rows import ScaledRows, scaled_rows

__all__ = [
    "LAWS",
    "SMALLEST_MASS",
    "Built",
    "Computed",
    "Constant",
    "Copied",
    "DeltaOrthogonal",
    "Dependent",
    "Dirac",
    "Eye",
    "Given",
    "Law",
    "LogUniform",
    "Mapped",
    "MappedCopy",
    "Mirrored",
    "Moments",
    "Normal",
    "Orthogonal",
    "Rademacher",
    "Repeat",
    "RowSums",
    "ScaledRows",
    "Sections",
    "Sparse",
    "TruncatedNormal",
    "Uniform",
    "ZeroRows",
    "law_from_dict",
    "scaled_rows",
]

LAWS: Mapping[str, type[Law]] = MappingProxyType({law.__name__: law for law in law_classes()})
"""The laws here by their names, as plans on disk have them. Schemes define more, which `law_from_dict` knows once they
are defined."""
