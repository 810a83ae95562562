"""Pure mathematics of signals at initialization: activation moments by quadrature and the gains that follow."""

from wellbegun.theory.activations import ACTIVATION_ALIASES, ACTIVATIONS, Function, frequency, identify
from wellbegun.theory.gains import ActivationMoments, activation_of, gain, moments
from wellbegun.theory.operating import Operating, centred, is_odd, odd_part, operating_point

__all__ = [
    "ACTIVATIONS",
    "ACTIVATION_ALIASES",
    "ActivationMoments",
    "Function",
    "Operating",
    "activation_of",
    "centred",
    "frequency",
    "gain",
    "identify",
    "is_odd",
    "moments",
    "odd_part",
    "operating_point",
]
