"""Where scalars go, what is done about an unhealthy model, and that a failing check fails nothing else."""

import re
import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

from wellbegun._arguments import known, message, typed
from wellbegun.errors import ArgumentTypeError, UnhealthyError
from wellbegun.health import Health, known_codes

Action = Literal["warn", "raise", "ignore"]
"""What is done about an unhealthy model."""
BATCH = 1000  # the most numbers that MLflow takes at once
LONGEST = 250  # characters that it takes in a name


def log_scalars(health: Health, to: Any, *, step: int = 0, prefix: str = "init/") -> dict[str, float]:
    """Write the scalars of a health check to a logger: RMS and gradients by layer, first loss, number of findings.

    Args:
        health: What `wellbegun.check` or `wellbegun.initialize` found.
        to: A TensorBoard `SummaryWriter` (anything with `add_scalar`), a Lightning logger (`log_metrics`), a Weights &
            Biases run or the module `wandb` (`log`), the module `mlflow` (`log_metric` and `log_metrics`), or a
            function (name, value, step).
        step: Step that the scalars are written at.
        prefix: What all names start with.
    Returns:
        The scalars as written: name -> value. MLflow takes fewer characters: others are "_" there, and names
        that would be the same, or longer than 250, are numbered.
    Raises:
        ArgumentTypeError: something that cannot take scalars.
    Cost: one call for each scalar (TensorBoard, functions), or one in all (MLflow: one for each thousand).

    >>> import torch, wellbegun as wb
    >>> written = {}
    >>> health = wb.check(torch.nn.Linear(8, 4), (16, 8))
    >>> _ = log_scalars(health, lambda name, value, step: written.update({name: value}))
    >>> written["init/findings"] == len(health.findings)
    True
    """
    found: Any = health
    if not isinstance(found, Health):
        remedy = "wellbegun.check returns one; wellbegun.initialize has it as .health."
        raise ArgumentTypeError(message("log_scalars", "health", "a Health", type(found).__name__, remedy))
    known_writer("log_scalars", to)
    scalars = {f"{prefix}{name}": value for name, value in health.scalars().items()}
    if hasattr(to, "add_scalar"):
        for name, value in scalars.items():
            to.add_scalar(name, value, step)
    elif hasattr(to, "log_metrics") and hasattr(to, "log_metric"):
        names = list(_plain(scalars))
        scalars = dict(zip(names, scalars.values(), strict=True))
        for start in range(0, len(names), BATCH):
            to.log_metrics({name: scalars[name] for name in names[start : start + BATCH]}, step=step)
    elif hasattr(to, "log_metrics"):
        to.log_metrics(scalars, step=step)
    elif hasattr(to, "log"):
        to.log(scalars, step=step)
    else:
        for name, value in scalars.items():
            to(name, value, step)
    return scalars


def known_writer(owner: str, to: Any) -> Any:
    """Where scalars go, if that can take them."""
    if not callable(to) and not any(hasattr(to, name) for name in ("add_scalar", "log_metrics", "log")):
        allowed = "a SummaryWriter, a logger, a run with .log, or a function (name, value, step)"
        raise ArgumentTypeError(message(owner, "to", allowed, type(to).__name__))
    return to


def _plain(names: Iterable[str]) -> dict[str, None]:
    """Names of the characters and the length that MLflow takes, no two of them the same."""
    found = dict[str, None]()
    for name in names:
        plain, count = re.sub(r"[^\w./ -]", "_", name, flags=re.ASCII)[:LONGEST], 1
        begin = plain
        while plain in found:
            count += 1
            plain = f"{begin[: LONGEST - len(str(count)) - 1]}_{count}"
        found[plain] = None
    return found


def known_allow(allow: Collection[str]) -> frozenset[str]:
    """Codes that are not held against a model, if all exist: told before a training, and not in it."""
    return known_codes([allow] if isinstance(allow, str) else allow)


def known_action(owner: str, unhealthy: str) -> Action:
    """The action, if it is one."""
    return known(owner, "unhealthy", unhealthy, get_args(Action))  # type: ignore[return-value]


def report(health: Health, to: Iterable[Any], unhealthy: Action, allow: Collection[str], owner: str) -> None:
    """Write the scalars, and act, whether they could be written or not."""
    for writer in to:
        with harmless(owner, "a logger failed, and its scalars are lost"):
            log_scalars(health, writer)
    act(health, unhealthy, allow, owner)


@contextmanager
def harmless(owner: str, what: str = "the check failed, and the training goes on unchecked") -> Iterator[None]:
    """A training goes on, with one warning, whatever is raised in here but what was asked for: `UnhealthyError`."""
    try:
        yield
    except (UnhealthyError, Warning):  # warnings are errors where the user made them so
        raise
    except Exception as error:  # of any kind: the training is worth more than the check
        text = f"{owner}: {what}. {typed(error)}"
        warnings.warn(text, stacklevel=4)


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
