"""Private names of torch, all in one place, each with the reason: what has no public name, or only a slower one.

Whatever is missing in a version of torch is told when this is imported, in one message. A test finds private names
anywhere else.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch.distributions import Distribution
from torch.nn.utils import parametrizations, parametrize

from wellbegun._collection import by_class
from wellbegun._installed import triton_aborts
from wellbegun.errors import MissingDependencyError

REMEDY = "Install a version of torch that the changelog of wellbegun says it was run with."
try:
    # Tensors without values, and what they raise when they are asked for one: there is no public way to trace so.
    from torch._subclasses.fake_tensor import (
        DataDependentOutputException,
        DynamicOutputShapeException,
        FakeTensor,
        FakeTensorConverter,
        FakeTensorMode,
        in_kernel_invocation_manager,
    )

    # Real values are read, and memory made, beneath all modes.
    from torch.utils._mode_utils import no_dispatch
    from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

    # What `parametrize` makes of a weight: the steps that are known not to change its shape, the way of an orthogonal
    # one, and how a spectral norm sees a weight as a matrix.
    WeightNormStep, SpectralNormStep, OrthogonalStep = (
        parametrizations._WeightNorm,
        parametrizations._SpectralNorm,
        parametrizations._Orthogonal,
    )
    HOUSEHOLDER = parametrizations._OrthMaps.householder
    # Computed tensors that are kept for a while: a pass must not leave its own there.
    parametrize_cache: MutableMapping[Any, Any] = parametrize._cache
    _get_mode, _FAKE = torch._C._get_dispatch_mode, torch._C._TorchDispatchModeKey.FAKE
    _modes = torch._C._len_torch_dispatch_stack
    _is_transformed = torch._C._functorch.is_functorch_wrapped_tensor
    beneath_functions = torch._C.DisableTorchFunction
    _set_version = torch._C._autograd._unsafe_set_version_counter
    _backward = torch._C._current_graph_task_id
    # A tensor object that others hold becomes another one: `swap_tensors` refuses what has weak references.
    _exchange = torch._C._swap_tensor_impl
except (ImportError, AttributeError) as error:
    raise MissingDependencyError(
        f"wellbegun: torch {torch.__version__} lacks a name that wellbegun needs ({error}). {REMEDY}"
    ) from error

__all__ = [
    "FAKE_LOGGER", "HOUSEHOLDER", "DataDependentOutputException", "DispatchMode", "DynamicOutputShapeException",
    "FakeTensor", "FakeTensorMode", "OrthogonalStep", "SpectralNormStep", "WeightNormStep",
    "become", "beneath_functions", "beneath_modes",
    "bump_version", "compiled", "compiler_loaded", "drawing", "every", "fake_mode", "fake_twin", "forget_twins",
    "has_hooks", "held_by", "in_backward", "in_kernel_invocation_manager", "is_computed", "is_plain", "is_transformed",
    "made_fake_mode",
    "memory_of", "metadata_of", "module_tables", "modules", "no_dispatch", "parametrize_cache", "schema_of",
    "set_version",
    "shard_of", "spectral", "tables", "tensors",
    "uncached_casts", "unchecked_distributions", "version_of",
]  # fmt: skip
FAKE_LOGGER = "torch._subclasses.fake_tensor"  # prints a traceback for every error of a fake tensor
beneath_modes = _disable_current_modes


class DispatchMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation, without a wrapper that turns the compiler off around each: it is off already."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


# ---------------------------------------------------------------------- tensors
def memory_of(tensor: torch.Tensor) -> int:
    """A number for the memory that a tensor and its views share; `data_ptr` is 0 for tensors without values."""
    if tensor.layout is not torch.strided or _is_transformed(tensor):
        return id(tensor)  # sparse tensors have several storages and no views
    return int(tensor.untyped_storage()._cdata)


def is_transformed(tensor: torch.Tensor) -> bool:
    """Whether `vmap` or `grad` wraps a tensor, which then has no memory of its own."""
    return bool(_is_transformed(tensor))


def is_plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor is nothing but strided memory of the host, and no mode is to see what is done with it."""
    bare = type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.is_cpu and tensor.layout is torch.strided
    seen = bare and not (tensor.is_conj() or tensor.is_neg() or _is_transformed(tensor) or _modes())
    return seen and tensor.untyped_storage().nbytes() > 0 and not tensor._is_zerotensor()


def is_computed(tensor: torch.Tensor) -> bool:
    """Whether a tensor, or what it is a view of, has come of an operation that autograd knows."""
    return (tensor if tensor._base is None else tensor._base).grad_fn is not None


def version_of(tensor: torch.Tensor) -> int:
    """How often autograd has seen a tensor written into."""
    return int(tensor._version)


def set_version(tensor: torch.Tensor, version: int) -> None:
    """As if it had been written into so often."""
    _set_version((tensor,), (version,))


def bump_version(tensor: torch.Tensor) -> None:
    """Autograd notices that values have changed which NumPy has written; inference tensors are none of its business."""
    if not tensor.is_inference():
        set_version(tensor, version_of(tensor) + 1)


def in_backward() -> bool:
    """Whether autograd is on its way back."""
    return bool(_backward() != -1)


def fake_mode() -> Any:
    """The mode that makes fake tensors, if one is active."""
    return _get_mode(_FAKE)


def fake_twin(mode: Any, tensor: torch.Tensor) -> Any:
    """The fake tensor that stands for a real one, if there is one yet."""
    return mode.fake_tensor_converter._get_memo(tensor)


def forget_twins(mode: Any) -> None:
    """The fake tensors that stand for real ones, and refer to the mode that keeps them."""
    mode.fake_tensor_converter = FakeTensorConverter()


def become(fake: Any, real: torch.Tensor) -> None:
    """Whoever holds a fake tensor holds the real one from now on, as a parameter if it was made one, with attributes
    that others have given it. Nothing else may hold the real one."""
    with no_dispatch():
        own = vars(FakeTensor(fake.fake_mode, torch.empty(0, device="meta"), fake.fake_device))
    given = {name: value for name, value in vars(fake).items() if name not in own}
    kind = torch.nn.Parameter if given.pop("_is_param", False) else torch.Tensor
    trained = fake.requires_grad and fake.is_leaf
    _exchange(fake, real)
    fake.__class__, real.__class__ = kind, FakeTensor
    fake.__dict__, real.__dict__ = given, vars(fake)
    fake.requires_grad_(trained)


def schema_of(operation: Any) -> Any:
    """Names of an operation's arguments and what it writes to."""
    return operation._schema


@cache
def drawing(operation: Any) -> tuple[Any, bool]:
    """An operation, or its twin that takes a generator, and whether it does."""
    name = _DRAWN_FROM.get(operation._overloadname)
    known = name in operation.overloadpacket.overloads()
    twin = getattr(operation.overloadpacket, str(name)) if known else operation
    return twin, any(argument.name == "generator" for argument in schema_of(twin).arguments)


_DRAWN_FROM = {"default": "generator", "low": "low_generator", "low_dtype": "low_generator_dtype"}


@contextmanager
def uncached_casts() -> Iterator[None]:
    """Autocast keeps no casts of weights, fake ones or some of values that change; those it had are made again."""
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)
        torch.clear_autocast_cache()


# ---------------------------------------------------------------------- gradients
def metadata_of(edge: Any) -> Any:
    """Shape, dtype and device of the value at a gradient edge, which is gone itself."""
    return edge.node._input_metadata[edge.output_nr]


def has_hooks(tensor: torch.Tensor) -> bool:
    """Whether somebody is to be called with the gradient of a parameter, and may change it."""
    return bool(tensor._backward_hooks)


# ---------------------------------------------------------------------- modules
def module_tables(module: torch.nn.Module, which: str) -> MutableMapping[Any, Any]:
    """A module's own parameters, buffers or hooks, to be exchanged: by public names each would be registered anew."""
    table: MutableMapping[Any, Any] = vars(module)[f"_{which}"]
    return table


def every(model: torch.nn.Module) -> list[torch.nn.Module]:
    """As `modules`, at a fraction of its time: its generators stand inside each other."""
    found, waiting = dict[int, torch.nn.Module](), [model]
    while waiting:
        module = waiting.pop()
        if id(module) not in found:
            found[id(module)] = module
            if inside := module._modules:
                waiting += [one for one in reversed(inside.values()) if one is not None]
    return [*found.values()]


def modules(model: torch.nn.Module, *, each: bool = False) -> list[tuple[str, torch.nn.Module]]:
    """As `named_modules`. `each`: by all paths."""
    found: list[tuple[str, torch.nn.Module]] = []
    seen, waiting = set[int](), [("", model)]
    while waiting:
        path, module = waiting.pop()
        if each or id(module) not in seen:
            seen.add(id(module))
            found.append((path, module))
            if inside := module._modules:
                head = f"{path}." if path else ""
                waiting += [(head + name, one) for name, one in reversed([*inside.items()]) if one is not None]
    return found


def tables(
    model: torch.nn.Module, which: str, *, each: bool = False
) -> list[tuple[str, torch.nn.Module, Mapping[Any, Any]]]:
    """Path, module and table of all modules that have some parameters, buffers, modules or hooks."""
    key = f"_{which}"
    return [(path, module, table) for path, module in modules(model, each=each) if (table := vars(module)[key])]


def tensors(model: torch.nn.Module, *which: str) -> list[torch.Tensor]:
    """As `parameters`, or `buffers` too: each once."""
    walked = [vars(module) for module in every(model)]
    held = (table[f"_{key}"].values() for key in which or ("parameters",) for table in walked)
    return [*{id(tensor): tensor for values in held for tensor in values if tensor is not None}.values()]


_HOLD = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})


_WRAPPERS = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel, torch.optim.swa_utils.AveragedModel)


@by_class
def _wraps(kind: Any) -> bool:
    return issubclass(kind, _WRAPPERS)  # which takes long: some are abstract


def held_by(module: torch.nn.Module) -> str:
    """The name under which a wrapper holds the module that it wraps; "" for all others."""
    if _wraps(type(module)):
        return "module"
    held = module._modules
    return next((name for name in held if name in _HOLD), "") if len(held) == 1 else ""


def compiled(model: torch.nn.Module) -> bool:
    """Whether there is a module that `torch.compile` has made of another one."""
    return any("_orig_mod" in module._modules for module in every(model))


def compiler_loaded() -> bool:
    """Whether the compiler is loaded: loading it takes a second, and without it nothing is compiled."""
    return "torch._dynamo.eval_frame" in sys.modules


def made_fake_mode() -> FakeTensorMode:
    """For tensors without values. The first loads the compiler, and that Triton, hidden where it would abort."""
    hidden = triton_aborts() and not compiler_loaded()
    if hidden:
        sys.modules["triton"] = None  # type: ignore[assignment]  # as Python has it: there is none
    try:
        return FakeTensorMode(allow_non_fake_inputs=True)
    finally:
        if hidden:
            del sys.modules["triton"]


def spectral(step: Any, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A weight as the matrix whose largest singular value is divided by, and the vectors of the power method."""
    return step._reshape_weight_to_matrix(weight), step._u, step._v


# ---------------------------------------------------------------------- distributions, shards
_checking = threading.RLock()


@contextmanager
def unchecked_distributions() -> Iterator[None]:
    """Distributions do not check values: fake tensors have none, and what is wrong with others is ours to say.

    `set_default_validate_args` sets the same for the whole process, and does not tell what it was; so one thread at a
    time does this, and it comes back."""
    with _checking:
        before = Distribution._validate_args
        Distribution.set_default_validate_args(False)
        try:
            yield
        finally:
            Distribution.set_default_validate_args(before)


def shard_of(tensor: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape and offset of the part of a DTensor that this process holds; public names tell them for even shards."""
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    sizes, offsets = compute_local_shape_and_global_offset(tensor.shape, tensor.device_mesh, tensor.placements)
    return tuple(sizes), tuple(offsets)


# ---------------------------------------------------------------------- the probe
@torch.inference_mode(mode=False)
@torch.enable_grad()
def _probe() -> None:
    """Use each private attribute once, whatever mode the first import is in."""
    tensor, module = torch.ones(1, requires_grad=True), torch.nn.Identity()
    attributes: dict[str, Callable[[], Any]] = {
        "Storage._cdata": lambda: memory_of(tensor),
        "Tensor._base": lambda: tensor._base,
        "Tensor._version": lambda: tensor._version,
        "Tensor._backward_hooks": lambda: tensor._backward_hooks,
        "Node._input_metadata": lambda: metadata_of(torch.autograd.graph.get_gradient_edge(tensor * 1)),
        "OpOverload._schema": lambda: schema_of(torch.ops.aten.add.Tensor),
        "Distribution._validate_args": lambda: Distribution._validate_args,
        "FakeTensorConverter._get_memo": lambda: FakeTensorConverter._get_memo,  # a mode would load the compiler
        **{f"Module._{table}": (lambda table=table: module_tables(module, table)) for table in TABLES},  # type: ignore[misc]
    }
    missing = []
    for name, use in attributes.items():
        try:
            use()
        except (AttributeError, KeyError):
            missing.append(name)
    if missing:
        raise MissingDependencyError(
            f"wellbegun: torch {torch.__version__} lacks {', '.join(missing)}, which wellbegun needs. {REMEDY}"
        )


TABLES = ("parameters", "buffers", "modules", "forward_pre_hooks", "forward_hooks")
_probe()
