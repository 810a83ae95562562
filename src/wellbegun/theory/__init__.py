"""Pure mathematics of signals at initialization: activation moments by quadrature and the gains that follow."""

from wellbegun.theory.activations import ACTIVATION_ALIASES, ACTIVATIONS, Function, frequency, identify
from wellbegun.theory.gains import ActivationMoments, activation_of, gain, moments

__all__ = [
    "ACTIVATIONS",
    "ACTIVATION_ALIASES",
    "ActivationMoments",
    "Function",
    "activation_of",
    "frequency",
    "gain",
    "identify",
    "moments",
]
