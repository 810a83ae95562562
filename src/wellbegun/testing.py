"""Health in the tests of a project, with pytest or without.

    from wellbegun.testing import assert_healthy

    def test_the_model_starts_well():
        assert_healthy(build(), batch)

It fails with the layer at fault and a remedy to paste. `allow` names codes that may be found. In continuous integration
without tests, `wellbegun check model.py:build -i 32,3,32,32 --format junit > health.xml` gives the same.
"""

from collections.abc import Callable, Iterable
from typing import Any

from wellbegun.api import check
from wellbegun.health import Health, known_codes

__all__ = ["assert_healthy"]


def assert_healthy(
    model: Any,
    batch: Any = None,
    *,
    allow: Iterable[str] = (),
    loss: Callable[[Any], Any] | None = None,
    chance: float | None = None,
) -> Health:
    """Check a model, and fail if it is unhealthy.

    Args:
        model, batch, loss, chance: As for `wellbegun.check`.
        allow: Codes that may be found, such as ["W501"]. Notes never fail.
    Returns:
        The `Health`, for assertions of your own: `.statistics`, `.remarks`, `.scalars()`.
    Raises:
        UnhealthyError: an AssertionError with every finding, its place, reason and remedy. UnknownNameError: a code
        that does not exist; told before the model runs. Also what `check` raises.
    Cost: that of `check`, one forward and at most two backward passes.

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    >>> assert_healthy(model, torch.randn(32, 8)).healthy
    True
    >>> _ = torch.nn.init.constant_(model[0].weight, 0.1)
    >>> "W301" in assert_healthy(model, torch.randn(32, 8), allow=["W301", "W103"]).codes  # equal units, allowed here
    True
    >>> assert_healthy(model, torch.randn(32, 8))      # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    wellbegun.errors.UnhealthyError: check: the model is unhealthy...
    """
    codes = known_codes([allow] if isinstance(allow, str) else allow)
    health = check(model, batch, loss=loss, chance=chance)
    health.assert_healthy(codes)
    return health
