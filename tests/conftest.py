"""Shared by all tests."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # which Keras reads once, when it is loaded
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # before JAX is loaded; what is tested is no arithmetic of a GPU
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")

import pytest
from hypothesis import settings

try:
    import torch
except ImportError:  # on a Python that has no build of it: scripts/check --python
    torch = None

settings.register_profile("wellbegun", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("wellbegun")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than a few seconds")


@pytest.fixture(autouse=True)
def _own_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test inherits a forced engine from the shell."""
    monkeypatch.delenv("WELLBEGUN_ENGINE", raising=False)
    assert "WELLBEGUN_ENGINE" not in os.environ


@pytest.fixture(autouse=True)
def _same_framework_defaults() -> None:
    """Models whose default initialization is under test are the same in every run."""
    if torch is not None:
        torch.manual_seed(0)
