"""Lazy layers get their shapes from the batch, by running the model once."""

from typing import Any

import torch

from wellbegun._arguments import told
from wellbegun.errors import TraceError
from wellbegun.torch.batch import Batch, call_of
from wellbegun.torch.compat import tensors
from wellbegun.torch.sandbox import all_waiting, preserved, undone, waiting


def materialize(model: torch.nn.Module, batch: Batch = None) -> None:
    """Give every lazy parameter its shape, by one forward pass without gradients.

    Everything else about the model stays as it was. If anything fails, the lazy parameters are lazy again.

    Raises:
        TraceError: the forward pass failed, or left a parameter lazy.
    """
    lazy = all_waiting(model, tensors(model, "parameters", "buffers"))
    if not lazy:
        return
    call = call_of(batch, model)
    with undone(model):
        with preserved(model):
            _run(model, call)
            after = [dict(vars(module)) for module in lazy]
        for module, attributes in zip(lazy, after, strict=True):
            _settle(module, attributes)


def _settle(module: Any, attributes: dict[str, Any]) -> None:
    """The sizes a module found for itself, and no more waiting for a first batch."""
    if waiting(module):
        name = type(module).__name__
        raise TraceError(f"initialize: a {name} is still lazy after the forward pass, which did not call it.")
    vars(module).update(attributes)
    for hook in ("_initialize_hook", "_load_hook"):
        handle = vars(module).pop(hook, None)
        if handle is not None:
            handle.remove()
    if hasattr(module, "reset_running_stats"):
        module.reset_running_stats()  # the pass has moved them


def _run(model: torch.nn.Module, call: Any) -> None:
    try:
        with torch.no_grad():
            model(*call.args, **call.kwargs)
    except Exception as error:  # whatever a model raises
        raise TraceError(
            "initialize: the model has lazy parameters, and the forward pass that gives them shapes failed: "
            f"{told(error)} Check that the batch is what the model takes; the model was not changed."
        ) from error
