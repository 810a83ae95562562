"""torch.nn.Module + batch -> ModelGraph, by running the model once with fake tensors: no arithmetic, no memory."""

import logging
from dataclasses import replace
from typing import Any

import torch

from wellbegun._arguments import message, told
from wellbegun._typing import Passed, Progress, passing, phase
from wellbegun.errors import ArgumentTypeError, TraceError
from wellbegun.graph import ModelGraph, Parameter
from wellbegun.graph.axes import Derived
from wellbegun.graph.provenance import Signal
from wellbegun.inputs import REMEDY, Call
from wellbegun.torch.batch import Batch, call_of, outputs_of
from wellbegun.torch.compat import (
    FAKE_LOGGER,
    DataDependentOutputException,
    DynamicOutputShapeException,
    tensors,
    uncached_casts,
    unchecked_distributions,
)
from wellbegun.torch.names import canonical
from wellbegun.torch.parameters import buffer_notes, parameters_of
from wellbegun.torch.sandbox import about_to_write, preserved
from wellbegun.torch.shards import pretended, sharded
from wellbegun.torch.trace.dispatch import Attend, Observer, Recorder
from wellbegun.torch.trace.layers import Layers, scopes
from wellbegun.torch.trace.leftovers import none_left
from wellbegun.torch.trace.tape import Tape
from wellbegun.torch.trace.tensors import exists

_VALUES = (DataDependentOutputException, DynamicOutputShapeException)


def check_model(model: Any) -> torch.nn.Module:
    """The argument, if it is a torch module."""
    if not isinstance(model, torch.nn.Module):
        raise ArgumentTypeError(message("wellbegun", "model", "a torch.nn.Module", type(model).__name__))
    if isinstance(model, torch.jit.ScriptModule):
        remedy = "Give the model that it was made from: layers of a compiled one cannot be looked into."
        raise ArgumentTypeError(message("wellbegun", "model", "a torch.nn.Module", type(model).__name__, remedy))
    return model


def trace(model: torch.nn.Module, batch: Batch = None, *, progress: Progress | None = None) -> ModelGraph:
    """The graph of one forward pass in the model's present mode; nothing about the model changes.

    Raises:
        ArgumentTypeError, ArgumentError: no module, or no batch. TraceError: the forward pass failed.
    """
    check_model(model)
    graph, bare = _traced(model, batch, progress), buffer_notes(model)
    return replace(graph, notes=(*graph.notes, *bare)) if bare else graph


def _traced(model: torch.nn.Module, batch: Batch, progress: Progress | None) -> ModelGraph:
    parameters, known = parameters_of(model)
    call = call_of(batch, model)
    try:
        return _fake(model, call, parameters, known, phase(progress, "trace"))
    except _VALUES as error:
        if _lacks_values(model):
            remedy = "Plan it on memory (model.to_empty(device='cpu')), or with a batch that takes another path."
            where = "it is on the meta device, which holds none"
            if sharded(model):
                where, remedy = "it is sharded", "Plan it before it is sharded, and apply the plan after."
            raise TraceError(
                f"trace: the path through the model depends on values, and {where} ({told(error)}) {remedy}"
            ) from error
        note = "The path through the model depends on values: traced with the given batch instead of fake tensors."
    except TraceError as error:  # fake tensors are stricter than real ones in places; the real run has the last word
        if _lacks_values(model):
            raise
        note = f"Traced with the given batch instead of fake tensors, which refuse it: {told(error.__cause__ or error)}"
    try:
        with preserved(model):
            _lend_values(model)
            graph, *_ = record(model, call, parameters, known, progress=phase(progress, "trace"))
    except TraceError as error:
        raise blamed(model, error) from error.__cause__
    return replace(graph, notes=(*graph.notes, note))


def _lacks_values(model: torch.nn.Module) -> bool:
    """Whether it cannot be run as it is: on the meta device, or sharded."""
    return any(tensor.is_meta for tensor in tensors(model)) or bool(sharded(model))


def _lend_values(model: torch.nn.Module) -> None:
    """Memory that holds no numbers gets some while the model is traced: a path that depends on values is not one of
    nan, which a model may refuse."""
    with torch.no_grad():
        for tensor in model.parameters():
            held = exists(tensor) and tensor.layout == torch.strided and tensor.is_floating_point()
            if held and tensor.itemsize > 1 and not bool(torch.isfinite(tensor).all()):
                about_to_write([tensor])
                tensor.normal_(0.0, 0.02)


def _fake(
    model: torch.nn.Module,
    call: Call,
    parameters: dict[str, Parameter],
    known: dict[int, Derived],
    progress: Progress | None,
) -> ModelGraph:
    log = logging.getLogger(FAKE_LOGGER)
    unknown: Exception | None = None
    before, log.disabled = log.disabled, True  # it prints a traceback for every error, and ours says more
    try:
        # what the model holds comes back before what is left is looked for
        with none_left(model) as (mode, tape):
            try:
                with preserved(model), mode, pretended(model, known) as seen:
                    graph = record(
                        model, call.map(torch.Tensor, tape.batch), parameters, seen, progress=progress, tape=tape
                    )[0]  # the fake batch and what comes out of it are not held here
            except _VALUES as error:
                unknown = error.with_traceback(None)  # whose frames hold tensors of the trace
                unknown.__cause__ = unknown.__context__ = None
        if unknown is not None:
            raise unknown
        return replace(graph, notes=(*graph.notes, *notes)) if (notes := tape.notes()) else graph
    finally:
        log.disabled = before


@torch.enable_grad()
def record(
    model: torch.nn.Module,
    call: Call,
    parameters: dict[str, Parameter],
    known: dict[int, Derived],
    observer: Observer | None = None,
    attend: Attend | None = None,
    *,
    progress: Progress | None = None,
    tape: Tape | None = None,
) -> tuple[ModelGraph, Any, list[bool]]:
    """Run the model once under observation: its graph, what it returned, and which tensors in that are values of the
    graph. The caller keeps it `preserved`."""
    recorder, progress = Recorder(known, parameters, observer, attend, tape), passing(progress)
    for tensor in call.arrays(torch.Tensor):
        recorder.signal(tensor)
    try:
        with unchecked_distributions(), uncached_casts(), scopes(model, recorder, progress), recorder, Layers(recorder):
            result = _called(model, call, recorder)
            recorder.paused = True
        outputs = outputs_of(result)
        graph = recorder.graph(outputs)
        signals = [isinstance(recorder.of(tensor), Signal) for tensor in outputs]
        return replace(graph, notes=(*call.notes, *graph.notes)) if call.notes else graph, result, signals
    except Passed as passed:
        raise passed.error from None
    finally:
        recorder.close()


def _called(model: torch.nn.Module, call: Call, recorder: Recorder) -> Any:
    try:
        return model(*call.args, **call.kwargs)
    except _VALUES:
        raise
    except Exception as error:  # whatever a model raises: it is told with its place, and the cause is kept
        raise TraceError(_failure(recorder, call, error)) from error


def _failure(recorder: Recorder, call: Call, error: BaseException) -> str:
    scope = f"module {recorder.failed_in!r}" if recorder.failed_in else "the model itself"
    where = f" at the operation {recorder.failed_at!r}" if recorder.failed_at else ""
    operations = recorder.builder.operations
    after = f", after {operations[-1].place}" if operations else ""
    return call.failure(torch.Tensor, told(error), f" in {scope}{where}{after},")


@torch.no_grad()
def blamed(model: torch.nn.Module, error: TraceError) -> TraceError:
    """The error of a pass that has been undone: parameters that no graph can hold, or of nan or inf, are named before
    the batch is, and buffers of nan, as masks hold inf."""
    plain, text = canonical(model), str(error)
    if bound := [plain(name) for name, each in model.named_parameters() if each.is_inference()]:
        made = f"Parameter {bound[0]!r} was made under torch.inference_mode(), and so cannot be trained or measured."
        return TraceError(text.replace(REMEDY, f"{made} Make the model outside of it, or under torch.no_grad()."))
    kinds = (("parameter", model.named_parameters(), torch.isfinite), ("buffer", model.named_buffers(), _is_number))
    held = [(f"{kind} {plain(name)!r}", each, sound) for kind, found, sound in kinds for name, each in found]
    wide = ((name, each.float() if each.itemsize == 1 else each, sound) for name, each, sound in held if exists(each))
    names = [name for name, each, sound in wide if not bool(sound(each).all())]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    told = f"{', '.join(names[:3])}{more} hold{'s' if len(names) == 1 else ''} nan or inf: look there first."
    return TraceError(text.replace(REMEDY, f"The model's {told} {REMEDY}")) if names else error


def _is_number(tensor: torch.Tensor) -> torch.Tensor:
    return ~torch.isnan(tensor)
