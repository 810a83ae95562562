"""JAX: models of any style are traced to a graph through their jaxpr, filled and run. Nothing else lives here."""

try:
    import jax  # noqa: F401 - it may be missing
except ImportError as error:
    from wellbegun.backend import KNOWN
    from wellbegun.errors import MissingDependencyError

    raise MissingDependencyError(f"wellbegun: {KNOWN['jax'].remedy}") from error

from wellbegun.jax.framework import JaxBackend
from wellbegun.jax.labels import labels

__all__ = ["BACKEND", "labels"]

BACKEND = JaxBackend()
