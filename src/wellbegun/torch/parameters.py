"""Parameters of a model by name: which names are the same memory, and which tensors are computed from others."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from wellbegun._collection import by_class
from wellbegun.backend import View, holders
from wellbegun.errors import TraceError
from wellbegun.graph import ModelGraph, Parameter, Use, axes
from wellbegun.graph.model import Slot
from wellbegun.layout import Layout
from wellbegun.torch.compat import memory_of, modules
from wellbegun.torch.names import canonical, parameters
from wellbegun.torch.parametrize import Computed, computed_of
from wellbegun.torch.trace.tensors import array_of, is_freed, wrapped

Known = tuple[dict[str, Parameter], dict[int, axes.Derived]]
_Owners = dict[str, Any]  # modules by path


def parameters_of(model: torch.nn.Module, graph: ModelGraph | None = None) -> Known:
    """Parameters by name (tied names point to one of them), and what each tensor is, by its identity. `graph`: of this
    model, which knows the parameters already."""
    plain, named = canonical(model), list(parameters(model).items())
    for name, tensor in named:
        if isinstance(tensor, torch.nn.parameter.UninitializedParameter):
            remedy = "Call initialize, which runs the batch first, or run the model once on a batch yourself."
            raise TraceError(f"model: parameter {name!r} is lazy and has no shape yet. {remedy}")
        if told := wrapped(tensor, name):
            raise TraceError(f"model: {told}")
    tensors = dict(named)
    holder = holders({name: _view(tensor) for name, tensor in named})
    known: dict[int, axes.Derived] = {}
    for name, tensor in named:
        first = holder[name]
        whole = axes.of_parameter(first, array_of(tensors[first]))
        known[id(tensor)] = whole if tensors[first] is tensor else axes.view(whole, array_of(tensor))
    if graph is not None:
        return dict(graph.parameters), known
    owners = {plain(path): module for path, module in modules(model, each=True)}
    computed = {name: found for found in computed_of(model) for name in found.originals}
    found: dict[str, Parameter] = {}
    for name, tensor in named:
        first = holder[name]
        parameter = _parameter(name, tensor, owners)
        if (above := computed.get(first)) is not None:
            found.setdefault(above.name, _visible(above, owners))
            parameter = replace(parameter, tied_to=above.name, set_by=above.name)
        elif first != name:
            parameter = replace(parameter, tied_to=first)
        found[name] = parameter
    return found, known


def _parameter(name: str, tensor: torch.Tensor, owners: _Owners) -> Parameter:
    dtype = str(tensor.dtype).removeprefix("torch.")
    path, _, attribute = name.rpartition(".")
    shape, held = tuple(tensor.shape), not is_bare(tensor)
    if (module := owners.get(path)) is None:
        return Parameter(name, shape, dtype, tensor.requires_grad, held=held)
    kind: Any = type(module)
    classes, layer, uses = _kind(kind)
    own = None if uses is None else uses(module, attribute)
    own = own if own is None or own.layout is None or len(own.layout.axes) == tensor.ndim else None
    return Parameter(name, shape, dtype, tensor.requires_grad, None, classes, held=held, layer=layer, own=own)


def _visible(computed: Computed, owners: _Owners) -> Parameter:
    """The tensor that a module computes, as if it were a parameter of that module."""
    found = _parameter(computed.name, computed.like(), owners)
    trainable = any(target.requires_grad for target in computed.targets())
    return replace(found, trainable=trainable, bound=computed.bound())


@by_class
def _kind(kind: Any) -> tuple[tuple[str, ...], str, Callable[[Any, str], Use | None] | None]:
    """Of a class of modules: its name and those of the classes it inherits from, up to torch.nn.Module; the framework's
    own that it is, "" for a user's; and how that uses a parameter, whether a pass shows it or not."""
    bases = [base for base in kind.__mro__[1:] if issubclass(base, nn.Module) and base is not nn.Module]
    own = [base for base in kind.__mro__ if base.__module__.startswith("torch.nn.modules.")]
    layer = own[0].__name__ if own and own[0] is not nn.Module else ""
    uses = next((uses for kinds, uses in _OWN.items() if issubclass(kind, kinds)), None)
    return (kind.__name__, *(base.__name__ for base in bases)), layer, uses


def is_bare(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds nothing: none of its memory is there, or some of what a sample of it shows is nan."""
    if tensor.is_meta or not tensor.numel():
        return tensor.is_meta
    if is_freed(tensor.data):
        return True
    plain = type(tensor.data) is torch.Tensor and tensor.layout == torch.strided and tensor.is_floating_point()
    if not plain:
        return False
    line = tensor.detach().view(-1) if tensor.is_contiguous() else tensor.detach()[(0,) * (tensor.ndim - 1)]
    return bool(torch.isnan(line[:: max(1, len(line) // 64)]).any())


def buffer_notes(model: torch.nn.Module) -> tuple[str, ...]:
    """A note that names the buffers which hold nothing: only parameters are filled."""
    plain = canonical(model)
    names = [plain(name) for name, buffer in model.named_buffers() if is_bare(buffer)]
    if not names:
        return ()
    remedy = "set them as the constructors of their modules do, or load them."
    return (
        f"Buffers are not filled, and these hold nothing that was constructed: {', '.join(names)}. Where the "
        f"model is given memory, {remedy}",
    )


# ---------------------------------------------------------------------- what layers say of their parameters
def _dense(module: Any, attribute: str) -> Use | None:
    return Use("", "weight", Layout("oi")) if attribute == "weight" else _bias(module, attribute)


def _bias(_: Any, attribute: str) -> Use | None:
    return Use("", "bias") if attribute == "bias" else None


def _convolution(module: Any, attribute: str) -> Use | None:
    if attribute != "weight":
        return _bias(module, attribute)
    window, way = "k" * len(module.kernel_size), bool(module.transposed)
    options = {"groups": module.groups, "stride": module.stride, "transposed": way}
    return Use("", "weight", Layout(("io" if way else "oi") + window, **options))


def _table(module: Any, attribute: str) -> Use | None:
    rows = () if module.padding_idx is None else (module.padding_idx,)
    return Use("", "table", Layout("lo"), zero_rows=rows) if attribute == "weight" else None


def _normalized(_: Any, attribute: str) -> Use | None:
    return Use("", "norm_scale") if attribute == "weight" else Use("", "norm_shift") if attribute == "bias" else None


def _packed(_: Any, attribute: str) -> Use | None:
    sections = 3 if attribute == "in_proj_weight" else None
    if attribute.endswith("_proj_weight"):
        return Use("", "weight", Layout("oi", sections=sections))
    return Use("", "bias") if attribute == "in_proj_bias" else None


_SLOTS: Mapping[str, Slot] = MappingProxyType(
    {
        "weight_ih": "recurrent_input",
        "weight_hh": "recurrent_hidden",
        "weight_hr": "recurrent_projection",
        "bias_ih": "recurrent_bias_input",
        "bias_hh": "recurrent_bias_hidden",
    }
)


def _recurrent(module: Any, attribute: str) -> Use | None:
    slot = _SLOTS.get("_".join(attribute.split("_")[:2]))
    if slot is None:
        return None
    gates = {nn.LSTM: 4, nn.LSTMCell: 4, nn.GRU: 3, nn.GRUCell: 3}.get(type(module), 1)
    axes = "oi" if attribute.startswith("weight") else "o"
    return Use("", slot, Layout(axes, sections=None if slot == "recurrent_projection" else gates), gates)


_OWN: Mapping[Any, Callable[[Any, str], Use | None]] = MappingProxyType(
    {
        nn.Linear: _dense,
        (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d): _convolution,
        (nn.Embedding, nn.EmbeddingBag): _table,
        (
            nn.LayerNorm,
            nn.RMSNorm,
            nn.GroupNorm,
            nn.BatchNorm1d,
            nn.BatchNorm2d,
            nn.BatchNorm3d,
            nn.SyncBatchNorm,
            nn.InstanceNorm1d,
            nn.InstanceNorm2d,
            nn.InstanceNorm3d,
        ): _normalized,
        nn.MultiheadAttention: _packed,
        (nn.RNNBase, nn.RNNCellBase): _recurrent,
    }
)


def _view(tensor: torch.Tensor) -> View:
    """Where a tensor lies; one without entries shares them with no other."""
    array, memory = array_of(tensor), memory_of(tensor) if tensor.numel() else -id(tensor)
    offset = 0 if array.strides is None else int(tensor.storage_offset())
    return View(memory, offset, array.shape, array.strides or (), str(tensor.dtype))
