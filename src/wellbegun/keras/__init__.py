"""Keras 3, on any of its backends: models are traced by symbolic calls, filled and run. Nothing else lives here."""

from wellbegun.keras import initializers
from wellbegun.keras.framework import KerasBackend
from wellbegun.keras.resetting import reset

__all__ = ["BACKEND", "initializers", "reset"]

BACKEND = KerasBackend()
