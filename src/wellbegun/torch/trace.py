"""torch.nn.Module + batch -> ModelGraph, by running the model once with fake tensors: no arithmetic, no memory."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode

from wellbegun._arguments import message
from wellbegun.errors import ArgumentTypeError, TraceError
from wellbegun.graph import ModelGraph, Parameter
from wellbegun.torch.batch import Batch, Call, call_of, outputs_of, place
from wellbegun.torch.recorder import Layers, Observer, Recorder, scopes


def check_model(model: Any) -> torch.nn.Module:
    """The argument, if it is a torch module."""
    if not isinstance(model, torch.nn.Module):
        raise ArgumentTypeError(message("wellbegun", "model", "a torch.nn.Module", type(model).__name__))
    return model


def parameters_of(model: torch.nn.Module) -> tuple[dict[str, Parameter], dict[int, str]]:
    """Parameters by name (tied names point to the first), and canonical names by tensor identity."""
    found: dict[str, Parameter] = {}
    names: dict[int, str] = {}
    storages: dict[tuple[Any, ...], str] = {}
    layers = _layers(model)
    for name, tensor in model.named_parameters(remove_duplicate=False):
        if isinstance(tensor, torch.nn.parameter.UninitializedParameter):
            remedy = "Run the model once on a batch, so that its lazy layers know their shapes."
            raise TraceError(f"model: parameter {name!r} is lazy and has no shape yet. {remedy}")
        canonical = names.get(id(tensor)) or storages.setdefault(_identity(tensor, name), name)
        names[id(tensor)] = canonical
        shape, dtype = tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")
        tied_to = None if canonical == name else canonical
        found[name] = Parameter(name, shape, dtype, tensor.requires_grad, tied_to, layers[name])
    return found, names


def _layers(model: torch.nn.Module) -> dict[str, str]:
    """Parameter -> class in torch.nn of the module that holds it; "" for modules of the user's own."""
    found = {}
    for prefix, module in model.named_modules(remove_duplicate=False):
        kinds = [kind for kind in type(module).__mro__ if kind.__module__.startswith("torch.nn.modules.")]
        name = kinds[0].__name__ if kinds and kinds[0] is not torch.nn.Module else ""
        found.update({f"{prefix}.{key}" if prefix else key: name for key in module._parameters})
    return found


def _identity(tensor: torch.Tensor, name: str) -> tuple[Any, ...]:
    """Two parameters with equal identity are the same memory."""
    if tensor.is_meta or tensor.numel() == 0:
        return (name,)
    return tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def trace(model: torch.nn.Module, batch: Batch = None) -> ModelGraph:
    """The graph of one forward pass in the model's present mode; nothing about the model changes.

    Raises:
        ArgumentTypeError, ArgumentError: no module, or no batch. TraceError: the forward pass failed.
    """
    check_model(model)
    parameters, names = parameters_of(model)
    call = place(call_of(batch, model), model)
    try:
        with preserved(model):
            return _fake(model, call, parameters, names)
    except (DataDependentOutputException, DynamicOutputShapeException):
        note = "The path through the model depends on values: traced with the given batch instead of fake tensors."
    except TraceError as error:  # fake tensors are stricter than real ones in places; the real run has the last word
        if any(tensor.is_meta for tensor in model.parameters()):
            raise
        note = f"Traced with the given batch instead of fake tensors, which refuse it: {error.__cause__}".splitlines()[
            0
        ]
    with preserved(model):
        graph, _ = record(model, call, parameters, names)
    return ModelGraph(graph.operations, graph.parameters, graph.outputs, (*graph.notes, note))


def _fake(model: torch.nn.Module, call: Call, parameters: dict[str, Parameter], names: dict[int, str]) -> ModelGraph:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    fake = call.map(mode.from_tensor)
    log = logging.getLogger("torch._subclasses.fake_tensor")
    level = log.level
    log.setLevel(logging.CRITICAL)  # it prints a traceback for every error, and ours says more
    try:
        with mode:
            return record(model, fake, parameters, names)[0]
    finally:
        log.setLevel(level)


def record(
    model: torch.nn.Module,
    call: Call,
    parameters: dict[str, Parameter],
    names: dict[int, str],
    observer: Observer | None = None,
) -> tuple[ModelGraph, Any]:
    """Run the model once under observation: its graph and what it returned. The caller keeps it `preserved`."""
    recorder = Recorder(names, parameters, observer)
    for tensor in call.tensors():
        recorder.signal(tensor)
    with torch.enable_grad(), scopes(model, recorder), recorder, Layers(recorder):
        try:
            result = model(*call.args, **call.kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException):
            raise
        except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, KeyError, AssertionError) as error:
            raise TraceError(_failure(recorder, call, error)) from error
        recorder.paused = True
    return recorder.graph(outputs_of(result)), result


def _failure(recorder: Recorder, call: Call, error: BaseException) -> str:
    scope = f"module {recorder.failed_in!r}" if recorder.failed_in else "the model itself"
    after = f", after {recorder.operations[-1].place}" if recorder.operations else ""
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in call.tensors())
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"trace: the forward pass failed in {scope}{after}, on inputs of shape {shapes}: {first} "
        "Check that the batch is what the model takes (shape, dtype, order of arguments); the model was not changed."
    )


@contextmanager
def preserved(model: torch.nn.Module) -> Iterator[None]:
    """Whatever a forward pass changes comes back: buffers, attributes that modules cache, random states."""
    modules = list(model.modules())
    attributes = [dict(vars(module)) for module in modules]
    tables: list[list[tuple[Any, Any]]] = [
        [(table, dict(table)) for table in (module._parameters, module._buffers, module._modules)] for module in modules
    ]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers() if not buffer.is_meta]
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            for module, saved, held in zip(modules, attributes, tables, strict=True):
                vars(module).clear()
                vars(module).update(saved)
                for table, kept in held:
                    table.clear()
                    table.update(kept)
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)
