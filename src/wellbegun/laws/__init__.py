"""What one tensor's values are, with final numbers. Plain frozen data; `wellbegun.fill` turns a law into numbers.

Every law knows its exact moments and support. They hold before rounding to a dtype; rounding keeps every value inside
the support of a bounded law.
"""

from collections.abc import Mapping
from typing import Any

from wellbegun._arguments import known
from wellbegun.errors import ArgumentTypeError
from wellbegun.laws.base import Law, Moments
from wellbegun.laws.composite import Given, Mirrored, Repeat, Sections, Sparse, ZeroRows
from wellbegun.laws.dependent import RowSums
from wellbegun.laws.independent import (
    SMALLEST_MASS,
    Constant,
    LogUniform,
    Normal,
    Rademacher,
    TruncatedNormal,
    Uniform,
)
from wellbegun.laws.matrices import DeltaOrthogonal, Dirac, Eye, Orthogonal

__all__ = [
    "INDEPENDENT",
    "LAWS",
    "SMALLEST_MASS",
    "Constant",
    "DeltaOrthogonal",
    "Dirac",
    "Eye",
    "Given",
    "Law",
    "LogUniform",
    "Mirrored",
    "Moments",
    "Normal",
    "Orthogonal",
    "Rademacher",
    "Repeat",
    "RowSums",
    "Sections",
    "Sparse",
    "TruncatedNormal",
    "Uniform",
    "ZeroRows",
    "law_from_dict",
]

INDEPENDENT = (Constant, Uniform, Normal, TruncatedNormal, Rademacher, LogUniform)
"""Laws that draw every entry for itself, whatever the shape."""
_MATRICES = (Orthogonal, Eye, Dirac, DeltaOrthogonal)
LAWS: Mapping[str, type[Law]] = {
    law.__name__: law
    for law in (*INDEPENDENT, *_MATRICES, Sections, ZeroRows, Repeat, Sparse, Mirrored, RowSums, Given)
}
"""Every law by its name, as plans on disk have it."""


def law_from_dict(data: Mapping[str, Any]) -> Law:
    """Read a law back from `Law.to_dict` data.

    >>> law_from_dict(ZeroRows(Normal(0, 1), (0,)).to_dict())
    ZeroRows(law=Normal(mean=0.0, std=1.0), rows=(0,))
    """
    name = known("law_from_dict", "law", data.get("law"), LAWS)
    if name == "Sections":
        return Sections(tuple((size, law_from_dict(part)) for size, part in data["parts"]))
    arguments = {key: _value(value) for key, value in data.items() if key not in ("law", "base")}
    if "base" in data:
        arguments["law"] = law_from_dict(data["base"])
    try:
        return LAWS[name](**arguments)
    except TypeError as error:
        raise ArgumentTypeError(f"law_from_dict: {name} does not take {sorted(arguments)}.") from error


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return float(value) if value in ("inf", "-inf") else value
