"""Where scalars go, and what is done about an unhealthy model."""

import warnings
from collections.abc import Collection
from typing import Any, Literal, get_args

from wellbegun._arguments import known, message
from wellbegun.errors import ArgumentTypeError
from wellbegun.health import Health

Action = Literal["warn", "raise", "ignore"]
"""What is done about an unhealthy model."""


def log_scalars(health: Health, to: Any, *, step: int = 0, prefix: str = "init/") -> dict[str, float]:
    """Write the scalars of a health check to a logger: RMS and gradients by layer, first loss, number of findings.

    Args:
        health: What `wellbegun.check` or `wellbegun.initialize` found.
        to: A TensorBoard `SummaryWriter` (anything with `add_scalar`), a Lightning logger (`log_metrics`), a Weights &
            Biases run (`log`), or a function (name, value, step).
        step: Step that the scalars are written at.
        prefix: What all names start with.
    Returns:
        The scalars as written: name -> value.
    Raises:
        ArgumentTypeError: something that cannot take scalars.
    Cost: one call for each scalar (TensorBoard, functions), or one in all.

    >>> import torch, wellbegun as wb
    >>> written = {}
    >>> health = wb.check(torch.nn.Linear(8, 4), (16, 8))
    >>> _ = log_scalars(health, lambda name, value, step: written.update({name: value}))
    >>> written["init/findings"] == len(health.findings)
    True
    """
    scalars = {f"{prefix}{name}": value for name, value in health.scalars().items()}
    if hasattr(to, "add_scalar"):
        for name, value in scalars.items():
            to.add_scalar(name, value, step)
    elif hasattr(to, "log_metrics"):
        to.log_metrics(scalars, step=step)
    elif hasattr(to, "log"):
        to.log(scalars, step=step)
    elif callable(to):
        for name, value in scalars.items():
            to(name, value, step)
    else:
        allowed = "a SummaryWriter, a logger, a run with .log, or a function (name, value, step)"
        raise ArgumentTypeError(message("log_scalars", "to", allowed, type(to).__name__))
    return scalars


def known_action(owner: str, unhealthy: str) -> Action:
    """The action, if it is one."""
    return known(owner, "unhealthy", unhealthy, get_args(Action))  # type: ignore[return-value]


def act(health: Health, unhealthy: Action, allow: Collection[str], owner: str) -> None:
    """Warn or raise about findings that are not allowed; nothing for a healthy model."""
    if unhealthy == "raise":
        health.assert_healthy(allow=tuple(allow))
        return
    bad = [f for f in health.findings if f.severity != "remark" and f.code not in allow]
    if bad and unhealthy == "warn":
        lines = [f"{f.code} {f.title} at {f.place}. Remedy: {f.remedy}" for f in bad]
        text = "\n  ".join([f"{owner}: the model is unhealthy before its first step.", *lines])
        warnings.warn(text, stacklevel=3)
