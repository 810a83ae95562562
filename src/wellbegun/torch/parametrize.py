"""Tensors that modules compute from parameters: parametrizations, and the older weight_norm and spectral_norm hooks.

`layer.weight` is what a law speaks of. What it is computed from is set by the parametrization's `right_inverse`, so
that the computed tensor holds the planned values.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from wellbegun.materialize import change
from wellbegun.torch import compat
from wellbegun.torch.compat import module_tables, tables
from wellbegun.torch.handles import numpy
from wellbegun.torch.names import canonical, parameters

_ITERATIONS = 15  # of the power method after a new weight, as many as torch does for a first one
_SAME_SHAPE = (compat.WeightNormStep, compat.SpectralNormStep, compat.OrthogonalStep)


@dataclass(frozen=True)
class Computed:
    """One computed tensor: where it is, and what it is computed from."""

    name: str  # dotted path, such as "layer.weight"
    module: torch.nn.Module
    attribute: str
    originals: tuple[str, ...]  # dotted paths of the parameters
    source: Any  # ParametrizationList, WeightNorm or SpectralNorm

    def targets(self) -> list[torch.nn.Parameter]:
        """The tensors it is computed from."""
        head = self.name.removesuffix(self.attribute)
        return [self.module.get_parameter(path.removeprefix(head)) for path in self.originals]

    def value(self) -> torch.Tensor:
        """The tensor as it is now."""
        if isinstance(self.source, WeightNorm):
            return self.source.compute_weight(self.module)  # type: ignore[no-any-return]
        if isinstance(self.source, SpectralNorm):
            return self.source.compute_weight(self.module, do_power_iteration=False)
        found: torch.Tensor = self.source()
        return found

    def like(self) -> torch.Tensor:
        """A tensor of its shape and dtype."""
        own = isinstance(self.source, torch.nn.Module)
        known = not own or all(isinstance(step, _SAME_SHAPE) for step in self.source)
        return self.targets()[-1] if known else self.now()

    def bound(self) -> Literal["", "orthogonal", "spectral"]:
        """What it is held at, whatever values it is given: all singular values at 1, or the largest."""
        last = None if isinstance(self.source, (WeightNorm, SpectralNorm)) else list(self.source)[-1]
        if isinstance(last, compat.OrthogonalStep):
            return "orthogonal" if self.like().ndim == 2 else ""
        return "spectral" if isinstance(self.source, SpectralNorm) or isinstance(last, compat.SpectralNormStep) else ""

    def now(self) -> torch.Tensor:
        """The tensor as it is now, without a trace of having looked."""
        with torch.no_grad(), _still(self):
            return self.value()


def computed_of(model: torch.nn.Module) -> list[Computed]:
    """Computed tensors that can be assigned: there is a way back, and no other module holds the originals."""
    found = []
    for path, module, inside in tables(model, "modules"):
        if "parametrizations" not in inside or not parametrize.is_parametrized(module):
            continue
        for attribute, source in inside["parametrizations"].items():
            names = [name for name, _ in source.named_parameters(recurse=False) if name.startswith("original")]
            if names and all(_invertible(step) for step in source):
                originals = tuple(f"parametrizations.{attribute}.{name}" for name in names)
                found.append((path, module, attribute, originals, source))
    for path, module, hooks in tables(model, "forward_pre_hooks"):
        for hook in hooks.values():
            if isinstance(hook, (WeightNorm, SpectralNorm)):
                endings = ("_g", "_v") if isinstance(hook, WeightNorm) else ("_orig",)
                found.append((path, module, hook.name, tuple(hook.name + ending for ending in endings), hook))
    if not found:
        return []
    plain = canonical(model)
    held = Counter(id(tensor) for _, _, table in tables(model, "parameters") for tensor in table.values())
    heads = [f"{plain(path)}." if plain(path) else "" for path, *_ in found]
    every = (
        Computed(head + attribute, module, attribute, tuple(head + name for name in originals), source)
        for head, (_, module, attribute, originals, source) in zip(heads, found, strict=True)
    )
    return [one for one in every if all(held[id(target)] == 1 for target in one.targets())]


def _invertible(step: torch.nn.Module) -> bool:
    if isinstance(step, compat.OrthogonalStep) and not hasattr(step, "base"):
        return bool(step.orthogonal_map == compat.HOUSEHOLDER)
    return hasattr(step, "right_inverse")


def visible(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Every parameter by each name, and every computed tensor."""
    return {**parameters(model), **{computed.name: computed.now() for computed in computed_of(model)}}


@contextmanager
def _still(computed: Computed) -> Iterator[None]:
    """Buffers as they were: the power method moves them when it runs."""
    own = isinstance(computed.source, torch.nn.Module)
    modules = list(computed.source.modules()) if own else [computed.module]
    held = [(table, dict(table)) for module in modules for table in (module_tables(module, "buffers"),)]
    values = [(tensor, tensor.clone()) for _, table in held for tensor in table.values() if tensor is not None]
    try:
        yield
    finally:
        for table, saved in held:
            table.clear()
            table.update(saved)
        for tensor, saved_value in values:
            tensor.data.copy_(saved_value)  # unseen by autograd, which may have kept the tensor for a backward pass


# ---------------------------------------------------------------------- assignment
def assign(computed: Computed, values: torch.Tensor, seed: int) -> str:
    """Set the originals so that the computed tensor holds `values`; a remark if it does so only up to a change.

    `seed` fixes what a right inverse draws: the completion of a tall orthogonal matrix, the first vector of a power
    method. The global random state stays as it is.
    """
    devices = sorted({values.device.index for _ in (0,) if values.device.type == "cuda"})
    with torch.no_grad(), torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        for target, value in zip(computed.targets(), _inverted(computed, values), strict=True):
            target.copy_(value)
        _settle(computed, values)
        if not isinstance(computed.source, torch.nn.Module):
            setattr(computed.module, computed.attribute, computed.value())
        return change(numpy(computed.now()), numpy(values))


def _inverted(computed: Computed, values: torch.Tensor) -> list[torch.Tensor]:
    if isinstance(computed.source, WeightNorm):
        return [torch.norm_except_dim(values, 2, computed.source.dim), values]
    if isinstance(computed.source, SpectralNorm):
        return [values]
    found: Any = values
    for step in reversed(computed.source):
        found = step.right_inverse(found)
    return [found] if isinstance(found, torch.Tensor) else list(found)


def _settle(computed: Computed, values: torch.Tensor) -> None:
    """Start the power method of a spectral norm anew: its vectors belong to the weight that was there before."""
    if isinstance(computed.source, SpectralNorm):
        matrix = computed.source.reshape_weight_to_matrix(values)
        u, v = (getattr(computed.module, f"{computed.attribute}_{name}") for name in "uv")
        _power(matrix, u, v)
        return
    for step in getattr(computed.source, "children", list)():
        if isinstance(step, compat.SpectralNormStep) and values.ndim > 1:
            _power(*compat.spectral(step, values))


def _power(matrix: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> None:
    v.normal_()
    for _ in range(_ITERATIONS):
        u.copy_(torch.nn.functional.normalize(matrix @ v, dim=0))
        v.copy_(torch.nn.functional.normalize(matrix.mH @ u, dim=0))
