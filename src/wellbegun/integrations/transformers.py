"""A callback for the Trainer of transformers."""

import inspect
import math
from collections.abc import Collection
from typing import Any

from transformers import TrainerCallback

from wellbegun import api
from wellbegun.health import Health
from wellbegun.integrations.writers import harmless, known_action, known_allow, known_writer, report


class CheckAtStart(TrainerCallback):
    """Check the model on its first real batch, before the first update: Trainer(..., callbacks=[CheckAtStart()]).

    The batch is the one the Trainer feeds: no data is read ahead, so the order of the data stays what it was. With
    labels the loss is the model's own; chance is told for a language model or classifier (ln of its classes).

    Args:
        unhealthy: "warn", "raise" (an error stops the training before it costs anything), or "ignore".
        allow: Codes that are not held against the model.
        to: Where scalars go, as for `wellbegun.integrations.log_scalars`; None writes none.
    Attributes:
        health: What was found; None until the first batch, and after a resumed run.
    Raises:
        ArgumentError: an unknown action or code. ArgumentTypeError: `to` takes no scalars. In the training:
        UnhealthyError if asked for, and nothing else. If the check itself fails, or a logger, that is one warning, and
        the training goes on.
    Cost: that of `wellbegun.check`, once.

    >>> CheckAtStart(unhealthy="raise").health is None
    True
    """

    def __init__(self, *, unhealthy: str = "warn", allow: Collection[str] = (), to: Any = None) -> None:
        self.unhealthy = known_action("CheckAtStart", unhealthy)
        self.allow, self.to = known_allow(allow), None if to is None else known_writer("CheckAtStart", to)
        self.health: Health | None = None
        self._handle: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Wait for the first batch; a resumed run has left its initialization behind."""
        with harmless("CheckAtStart"):
            if state.global_step == 0 and model is not None:
                self._handle = model.register_forward_pre_hook(self._first, with_kwargs=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """No hook stays behind if there was no batch."""
        self._forget()

    def _forget(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _first(self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._forget()  # the check runs the model itself
        with harmless("CheckAtStart"):
            self._check(model, args, kwargs)

    def _check(self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        batch = dict(inspect.signature(model.forward).bind_partial(*args).arguments) | kwargs
        batch = {name: value for name, value in batch.items() if value is not None}
        options = _loss(model) if batch.get("labels") is not None else {}
        self.health = api.check(model, batch, **options)
        report(self.health, [] if self.to is None else [self.to], self.unhealthy, self.allow, "CheckAtStart")


def _loss(model: Any) -> dict[str, Any]:
    """The model's own loss, and what guessing would give where it is a cross-entropy of classes."""
    config, name = model.config, type(model).__name__
    classes = None
    if name.endswith(("LMHeadModel", "ForCausalLM", "ForMaskedLM", "ForConditionalGeneration")):
        classes = getattr(config, "vocab_size", None)
    elif name.endswith("Classification") and getattr(config, "problem_type", None) != "regression":
        classes = getattr(config, "num_labels", None)
    chance = math.log(classes) if isinstance(classes, int) and classes > 1 else None
    return {"loss": lambda output: output["loss"] if isinstance(output, dict) else output[0], "chance": chance}
