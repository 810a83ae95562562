"""What the dispatcher cannot see: layers taken whole, module paths, tensors that modules compute from parameters."""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from wellbegun._typing import Progress
from wellbegun.graph.axes import Derived
from wellbegun.graph.provenance import Signal
from wellbegun.torch.compat import compiled, is_transformed, modules
from wellbegun.torch.names import canonical
from wellbegun.torch.parametrize import Computed, computed_of
from wellbegun.torch.sandbox import notice
from wellbegun.torch.trace import aten
from wellbegun.torch.trace.dispatch import Recorder
from wellbegun.torch.trace.tensors import tensors_in


class Layers(TorchFunctionMode):
    """Hands layers to the recorder before they fall apart: recurrent ones whole, attention with its packed projection.

    It also sees which argument of a layer is the input and which the weight. Products of two tensors look alike to the
    dispatcher; here an input that depends on no batch (learned queries, a table of coordinates) becomes a signal.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, recorder = kwargs or {}, self.recorder
        name = getattr(func, "__name__", "")
        notice(func)
        if recorder.paused:
            return func(*args, **kwargs)
        if name == "glu":
            return _glu(*args, **kwargs)
        if name == "scaled_dot_product_attention":
            args = (*(self._input(tensor) for tensor in args[:3]), *args[3:])
        elif func is functional.multi_head_attention_forward:
            args = (*(self._input(tensor) for tensor in args[:3]), *args[3:])
            self._packed(args)
        elif name in aten.LAYERS and self._has_weight(name, args, kwargs):
            args = (self._input(args[0]), *args[1:])
        if name not in aten.RECURRENT:
            return func(*args, **kwargs)
        recorder.paused = True
        try:
            result = func(*args, **kwargs)
        finally:
            recorder.paused = False
        recorder.recurrent(name, args, tensors_in(result))
        return result

    def _packed(self, args: Any) -> None:
        if isinstance(args[5], torch.Tensor):
            found = self.recorder.of(args[5])
            if isinstance(found, Derived) and found.name:
                self.recorder.builder.sections[found.name] = 3

    def _has_weight(self, name: str, args: Any, kwargs: Any) -> bool:
        position = aten.LAYERS[name]
        weight = args[position] if len(args) > position else kwargs.get("weight")
        return bool(args) and isinstance(weight, torch.Tensor) and isinstance(self.recorder.of(weight), Derived)

    def _input(self, tensor: Any) -> Any:
        """An input that is no signal yet, made one."""
        if not isinstance(tensor, torch.Tensor) or isinstance(self.recorder.of(tensor), Signal):
            return tensor
        transformed = is_transformed(tensor)  # only the dispatcher knows these
        if transformed or not (tensor.is_floating_point() or tensor.is_complex()):
            return tensor
        seen = tensor.view_as(tensor)  # the parameter itself stays one
        self.recorder.source(seen)
        return seen


def _glu(input: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """The same by its parts, which the dispatcher would not see."""
    value, gate = input.chunk(2, dim)
    return value * torch.sigmoid(gate)


@contextmanager
def scopes(model: torch.nn.Module, recorder: Recorder, progress: Progress | None = None) -> Iterator[None]:
    """Keep `recorder.scopes` at the dotted path of the module that is running, declare what modules compute, and tell
    how many modules have run."""
    plain = canonical(model)
    paths = {id(module): plain(name) for name, module in modules(model)}
    seen: set[int] = set()
    some = any(parameter.set_by for parameter in recorder.parameters.values())
    computed = [found for found in computed_of(model) if found.name in recorder.parameters] if some else []
    lists = {id(found.source): found for found in computed}
    here = threading.get_ident()  # these hooks are called for the modules of all threads

    def enter(module: torch.nn.Module, args: Any) -> None:
        if threading.get_ident() != here:
            return
        recorder.scopes.append(paths.get(id(module), recorder.scopes[-1]))
        if progress is not None and id(module) in paths and id(module) not in seen:
            progress(len(seen), len(paths), paths[id(module)])
            seen.add(id(module))
        if id(module) in lists:
            recorder.paused = True

    def leave(module: torch.nn.Module, args: Any, result: Any) -> None:
        if threading.get_ident() != here:
            return
        left = recorder.scopes.pop()
        if id(module) in lists:
            recorder.paused = False
        if result is None:  # how torch calls it after an exception
            recorder.failed_in = recorder.failed_in or left
        elif id(module) in lists and isinstance(result, torch.Tensor):
            recorder.declare(result, lists[id(module)].name)

    with ExitStack() as stack:
        if compiled(model):
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", message=r".*when there are global hooks on modules.*")
        stack.callback(register_module_forward_pre_hook(enter).remove)
        stack.callback(register_module_forward_hook(leave, always_call=True).remove)
        for found in computed:
            if not isinstance(found.source, torch.nn.Module):
                stack.enter_context(_listening(found, recorder))
        yield


@contextmanager
def _listening(computed: Computed, recorder: Recorder) -> Iterator[None]:
    """Declare what an old-style hook (weight_norm, spectral_norm) puts into its module before each call."""
    original: Callable[..., torch.Tensor] = computed.source.compute_weight

    def compute_weight(*args: Any, **kwargs: Any) -> torch.Tensor:
        before, recorder.paused = recorder.paused, True
        try:
            result = original(*args, **kwargs)
        finally:
            recorder.paused = before
        recorder.declare(result, computed.name)
        return result

    computed.source.compute_weight = compute_weight
    try:
        yield
    finally:
        del computed.source.compute_weight
