"""Statistics of a model at initialization -> findings. Framework-free."""

from wellbegun.health.catalogue import CATALOGUE, FAMILIES
from wellbegun.health.depth import hidden_operations
from wellbegun.health.examine import examine
from wellbegun.health.findings import Finding, Health, known_codes
from wellbegun.health.statistics import (
    AttentionStats,
    InputStats,
    LossStats,
    OperationStats,
    ParameterStats,
    Statistics,
    StreamStats,
)

__all__ = [
    "CATALOGUE",
    "FAMILIES",
    "AttentionStats",
    "Finding",
    "Health",
    "InputStats",
    "LossStats",
    "OperationStats",
    "ParameterStats",
    "Statistics",
    "StreamStats",
    "examine",
    "hidden_operations",
    "known_codes",
]
