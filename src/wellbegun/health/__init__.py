"""Statistics of a model at initialization -> findings. Framework-free."""

from wellbegun.health.catalogue import CATALOGUE, FAMILIES, INSTEAD, TRAINED
from wellbegun.health.depth import hidden_operations
from wellbegun.health.examine import examine
from wellbegun.health.findings import Finding, Health, known_codes
from wellbegun.health.remedies import Remedy, mends
from wellbegun.health.statistics import (
    AttentionStats,
    BufferStats,
    CodebookStats,
    InputStats,
    LossStats,
    OperationStats,
    Origin,
    ParameterStats,
    Statistics,
    StreamStats,
    UniformOutput,
)

__all__ = [
    "CATALOGUE",
    "FAMILIES",
    "INSTEAD",
    "TRAINED",
    "AttentionStats",
    "BufferStats",
    "CodebookStats",
    "Finding",
    "Health",
    "InputStats",
    "LossStats",
    "OperationStats",
    "Origin",
    "ParameterStats",
    "Remedy",
    "Statistics",
    "StreamStats",
    "UniformOutput",
    "examine",
    "hidden_operations",
    "known_codes",
    "mends",
]
