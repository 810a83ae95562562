"""What theory says about every operation of a planned model, beside what was measured. Framework-free."""

from wellbegun.planning.propagation.compare import OperationSignal, Quantity, SignalPropagation, signal_propagation
from wellbegun.planning.propagation.measured import Measured, Measurement

__all__ = ["Measured", "Measurement", "OperationSignal", "Quantity", "SignalPropagation", "signal_propagation"]
