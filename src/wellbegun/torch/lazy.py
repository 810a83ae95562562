"""Lazy layers get their shapes from the batch, by running the model once."""

from typing import Any

import torch
from torch.nn.parameter import is_lazy

from wellbegun._arguments import told
from wellbegun.errors import TraceError
from wellbegun.torch.batch import Batch, call_of
from wellbegun.torch.compat import module_tables
from wellbegun.torch.sandbox import preserved


def materialize(model: torch.nn.Module, batch: Batch = None) -> None:
    """Give every lazy parameter its shape, by one forward pass without gradients.

    Everything else about the model stays as it was. If the pass fails, the lazy parameters are lazy again.

    Raises:
        TraceError: the forward pass failed, or left a parameter lazy.
    """
    lazy = [module for module in model.modules() if _waiting(module)]
    if not lazy:
        return
    call = call_of(batch, model)
    before = [_Lazy(module) for module in lazy]
    try:
        with preserved(model):
            _run(model, call)
            after = [dict(vars(module)) for module in lazy]
        for module, attributes in zip(lazy, after, strict=True):
            _settle(module, attributes)
    except BaseException:  # of any kind: raised again
        for saved in before:
            saved.restore()
        raise


def _settle(module: Any, attributes: dict[str, Any]) -> None:
    """The sizes a module found for itself, and no more waiting for a first batch."""
    if _waiting(module):
        name = type(module).__name__
        raise TraceError(f"initialize: a {name} is still lazy after the forward pass, which did not call it.")
    vars(module).update(attributes)
    for hook in ("_initialize_hook", "_load_hook"):
        handle = vars(module).pop(hook, None)
        if handle is not None:
            handle.remove()
    if hasattr(module, "reset_running_stats"):
        module.reset_running_stats()  # the pass has moved them


class _Lazy:
    """A lazy module and how it was, to make it lazy again."""

    def __init__(self, module: Any) -> None:
        self.module, self.kind = module, type(module)
        self.tensors = [(tensor, type(tensor), tensor.device, tensor.dtype) for tensor in _waiting(module)]

    def restore(self) -> None:
        self.module.__class__ = self.kind
        for tensor, kind, device, dtype in self.tensors:
            if type(tensor) is not kind:
                tensor.data = torch.empty(0, device=device, dtype=dtype)
                tensor.__class__ = kind


def _waiting(module: torch.nn.Module) -> list[torch.Tensor]:
    """Its own parameters and buffers that have no shape yet."""
    held = (value for table in ("parameters", "buffers") for value in module_tables(module, table).values())
    return [tensor for tensor in held if tensor is not None and is_lazy(tensor)]


def _run(model: torch.nn.Module, call: Any) -> None:
    try:
        with torch.no_grad():
            model(*call.args, **call.kwargs)
    except Exception as error:  # whatever a model raises
        raise TraceError(
            "initialize: the model has lazy parameters, and the forward pass that gives them shapes failed: "
            f"{told(error)} Check that the batch is what the model takes; the model was not changed."
        ) from error
