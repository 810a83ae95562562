"""Statistics of a model at initialization -> findings. Framework-free."""

from wellbegun.health.findings import CATALOGUE, Finding, Health, examine, hidden_operations
from wellbegun.health.statistics import LossStats, OperationStats, ParameterStats, Statistics

__all__ = [
    "CATALOGUE",
    "Finding",
    "Health",
    "LossStats",
    "OperationStats",
    "ParameterStats",
    "Statistics",
    "examine",
    "hidden_operations",
]
