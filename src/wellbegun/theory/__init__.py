"""Pure mathematics of signals at initialization: activation moments by quadrature and the gains that follow."""

from wellbegun.theory.activations import ACTIVATION_ALIASES, ACTIVATIONS, GATES, Function, frequency, identify
from wellbegun.theory.edge import Edge, FixedPoint, edge_of_chaos, fixed_point
from wellbegun.theory.gains import ActivationMoments, activation_of, gain, moments
from wellbegun.theory.operating import Operating, centred, is_odd, odd_part, operating_point
from wellbegun.theory.propagation import Signal, Weight, correlation_map
from wellbegun.theory.shaping import Shaped, dks, tat, tat_leaky_relu

__all__ = [
    "ACTIVATIONS",
    "ACTIVATION_ALIASES",
    "GATES",
    "ActivationMoments",
    "Edge",
    "FixedPoint",
    "Function",
    "Operating",
    "Shaped",
    "Signal",
    "Weight",
    "activation_of",
    "centred",
    "correlation_map",
    "dks",
    "edge_of_chaos",
    "fixed_point",
    "frequency",
    "gain",
    "identify",
    "is_odd",
    "moments",
    "odd_part",
    "operating_point",
    "tat",
    "tat_leaky_relu",
]
