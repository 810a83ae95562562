"""Keras 3, on any of its backends: models are traced by symbolic calls, filled and run. Nothing else lives here."""

try:
    import keras  # noqa: F401 - it, or its backend, may be missing
except ImportError as error:
    from wellbegun.backend import KNOWN
    from wellbegun.errors import MissingDependencyError

    raise MissingDependencyError(f"wellbegun: {KNOWN['keras'].remedy}") from error

from wellbegun.keras import initializers
from wellbegun.keras.framework import KerasBackend
from wellbegun.keras.resetting import reset

__all__ = ["BACKEND", "initializers", "reset"]

BACKEND = KerasBackend()
