"""JAX: models of any style are traced to a graph through their jaxpr, filled and run. Nothing else lives here."""

from wellbegun.jax.framework import JaxBackend

__all__ = ["BACKEND"]

BACKEND = JaxBackend()
