"""What adapters of frameworks have in common whose arrays NumPy can look at, and which one process holds."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from wellbegun._typing import Array
from wellbegun.backend.framework import MOST
from wellbegun.backend.hosted import HostedHandle
from wellbegun.backend.training import Model
from wellbegun.backend.values import looked_at
from wellbegun.errors import ModelError

T = TypeVar("T")


class HostedBackend:
    """Part of `wellbegun.backend.Backend`."""

    called: str  # the framework, in messages

    def _real(self, model: Model) -> Mapping[str, Any]:
        """Arrays of real numbers that hold values, parameters and other state, by their names."""
        raise NotImplementedError  # pragma: no cover - every adapter defines it

    def _host(self, array: Any) -> Array:
        return np.asarray(array)

    def agree(self, model: Model, value: T) -> T:
        """There is one controller."""
        return value

    def parameter_samples(
        self, model: Model, names: Iterable[str], *, most: int = MOST
    ) -> Mapping[str, tuple[Array, int]]:
        real, found = self._real(model), dict[str, tuple[Array, int]]()
        for name in names:
            if name in real:
                array = self._host(real[name])
                flat = array.reshape(-1, *(array.shape[-1:] if array.ndim > 1 and array.size else ()))
                found[name] = looked_at(HostedHandle(partial(np.asarray, flat)), most), array.size
        return found

    def read_batch(self, path: Path) -> object:
        raise ModelError(f"input: cannot read {str(path)!r}: {self.called} has no such files. Save the batch as .npz.")

    def from_config(self, path: Path, *, light: bool = False) -> Model:
        text = f"describes a PyTorch model; for {self.called} give path.py:factory."
        raise ModelError(f"model: {str(path)!r} {text}")
