"""A callback for Lightning."""

import inspect
import warnings
from collections.abc import Collection
from typing import Any

from lightning.pytorch import Callback

from wellbegun import api
from wellbegun._arguments import real
from wellbegun.health import Health
from wellbegun.integrations.writers import harmless, known_action, known_allow, report


class CheckAtStart(Callback):
    """Check the model on its first real batch, before the first update: Trainer(callbacks=[CheckAtStart()]).

    What is run is the module's own `training_step`, so the loss is the one it trains with; what it logs meanwhile is
    dropped. The scalars go to the trainer's loggers at step 0.

    Args:
        unhealthy: "warn", "raise" (an error stops the training before it costs anything), or "ignore".
        allow: Codes that are not held against the model.
        chance: What the loss is for a model that knows nothing, such as ln(classes), if it should be judged.
    Attributes:
        health: What was found; None until the first batch, and after a resumed run.
    Raises:
        ArgumentError: an unknown action or code, or no number. In the training: UnhealthyError if asked for, and
        nothing else. If the check itself fails, or a logger, that is one warning, and the training goes on.
    Cost: that of `wellbegun.check`, once.

    >>> CheckAtStart(unhealthy="raise").health is None
    True
    """

    def __init__(self, *, unhealthy: str = "warn", allow: Collection[str] = (), chance: float | None = None) -> None:
        self.unhealthy = known_action("CheckAtStart", unhealthy)
        self.allow, self.chance = known_allow(allow), chance
        if chance is not None:
            real("CheckAtStart", "chance", chance, minimum=0, exclusive=True)
        self.health: Health | None = None
        self._tried = False

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Check once, at step 0; a resumed run has left its initialization behind."""
        if not self._tried:
            self._tried = True
            with harmless("CheckAtStart"):
                self._check(trainer, pl_module, batch)

    def _check(self, trainer: Any, module: Any, batch: Any) -> None:
        if trainer.global_step > 0:
            return
        if not module.automatic_optimization:  # its training_step would update the weights
            text = "CheckAtStart: this module optimizes by hand, so its training_step cannot be tried. Call wb.check."
            warnings.warn(text, stacklevel=4)
            return
        self.health = api.check(_stepping(module), (batch,), loss=_loss, chance=self.chance)
        loggers = trainer.loggers if trainer.is_global_zero else ()
        report(self.health, loggers, self.unhealthy, self.allow, "CheckAtStart")


def _loss(output: Any) -> Any:
    return output["loss"] if isinstance(output, dict) else output


def _takes(function: Any, count: int) -> bool:
    """Whether a function takes so many positional arguments."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


def _stepping(module: Any) -> Any:
    """The module with its training_step as forward. Parameters, buffers and parts are the same objects."""
    kind = type(module)
    index = (0,) if _takes(module.training_step, 2) else ()  # whatever it calls it

    class Step(kind):  # type: ignore[misc, valid-type]  # its base is known at run time
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            if self.__dict__["_stepping"]:  # training_step calls the module itself
                return kind.forward(self, *args, **kwargs)
            self.__dict__["_stepping"] = True
            try:
                return kind.training_step(self, *args, *index)
            finally:
                self.__dict__["_stepping"] = False

        def log(self, *args: Any, **kwargs: Any) -> None:
            """The step is only tried."""

        log_dict = log

    found = object.__new__(Step)
    found.__dict__.update(module.__dict__, _stepping=False)
    return found
