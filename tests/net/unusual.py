"""Parametrized layers, one memory under several names, and the layers and bare parameters of the tests of tracing."""

import copy
import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
from sources import definitions
from torch import nn
from torch.nn.utils import parametrizations, parametrize

Made = tuple[nn.Module, Any]
UNUSUAL: dict[str, Callable[[], Made]] = {}


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def unusual(name: str) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    def register(make: Callable[[], Made]) -> Callable[[], Made]:
        UNUSUAL[name] = make
        return make

    return register


# ---------------------------------------------------------------------- parametrizations
def older(function: Callable[..., nn.Module], layer: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return function(layer)


def own(name: str, layer: nn.Module) -> nn.Module:
    kind = getattr(definitions("test_torch_parameters"), name)
    parametrize.register_parametrization(layer, "weight", kind())
    return layer


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "weight norm": lambda: parametrizations.weight_norm(nn.Linear(8, 6)),
    "weight norm, dim 1": lambda: parametrizations.weight_norm(nn.Linear(8, 6), dim=1),
    "weight norm, whole": lambda: parametrizations.weight_norm(nn.Linear(8, 6), dim=None),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Linear(8, 6), n_power_iterations=3),
    "orthogonal, matrix_exp": lambda: parametrizations.orthogonal(nn.Linear(8, 8), orthogonal_map="matrix_exp"),
    "orthogonal, cayley": lambda: parametrizations.orthogonal(nn.Linear(8, 6), orthogonal_map="cayley"),
    "orthogonal, householder": lambda: parametrizations.orthogonal(nn.Linear(8, 6), orthogonal_map="householder"),
    "older weight norm": lambda: older(nn.utils.weight_norm, nn.Linear(8, 6)),
    "older spectral norm": lambda: older(nn.utils.spectral_norm, nn.Linear(8, 6)),
    "own, with a way back": lambda: own("Doubled", nn.Linear(8, 6)),
    "own, without": lambda: own("Symmetric", nn.Linear(8, 8)),
}


def parametrized(make: Callable[[], nn.Module]) -> Made:
    layer = make()
    return nn.Sequential(layer, nn.ReLU(), nn.Linear(layer.out_features, 3)), drawn(16, 8)


UNUSUAL.update({name: functools.partial(parametrized, make) for name, make in LAYERS.items()})


@unusual("weight norm of a convolution")
def convolution() -> Made:
    layer = parametrizations.weight_norm(nn.Conv2d(3, 6, 3, groups=3))
    return nn.Sequential(layer, nn.ReLU(), nn.Flatten(), nn.Linear(54, 3)), drawn(8, 3, 5, 5)


# ---------------------------------------------------------------------- one memory
def chain(change: Callable[[torch.Tensor], torch.Tensor]) -> Made:
    model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.ReLU(), nn.Linear(8, 8, bias=False))
    model[2].weight = change(model[0].weight)
    return model, drawn(16, 8)


UNUSUAL.update(
    {
        "one parameter twice": lambda: chain(lambda w: w),
        "one memory twice": lambda: chain(lambda w: nn.Parameter(w.detach())),
        "one memory, transposed": lambda: chain(lambda w: nn.Parameter(w.detach().t())),
        "a copy": lambda: chain(lambda w: nn.Parameter(w.detach().clone())),
    }
)


def narrow() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 4, bias=False), nn.ReLU(), nn.Linear(4, 8, bias=False))


@unusual("a slice of a table")
def a_slice() -> Made:
    model = narrow()
    model.table = nn.Parameter(torch.zeros(10, 8))
    model[0].weight = nn.Parameter(model.table.detach()[2:6])
    return model, drawn(16, 8)


def parts(start: int) -> Made:
    """Two parameters in one memory, of which the second begins here; the first ends at 32."""
    model, flat = narrow(), torch.zeros(start + 32)
    model[0].weight = nn.Parameter(flat[:32].view(4, 8))
    model[2].weight = nn.Parameter(flat[start:].view(8, 4))
    return model, drawn(16, 8)


UNUSUAL.update({"parts of one memory": lambda: parts(32), "half overlaps": lambda: parts(16)})


@unusual("columns of one memory")
def columns() -> Made:
    model, memory = narrow(), torch.zeros(8, 8)
    model[0].weight = nn.Parameter(memory[:, ::2].t())
    model[2].weight = nn.Parameter(memory[:, 1::2])
    return model, drawn(16, 8)


# ---------------------------------------------------------------------- test_torch_trace
def traced(name: str) -> Made:
    model, batch, _ = definitions("test_torch_trace").LAYERS[name]
    return copy.deepcopy(model), batch


UNUSUAL.update({f"traced, {name}": functools.partial(traced, name) for name in definitions("test_torch_trace").LAYERS})


def of(function: Callable[..., Any], batch: Any, **parts: Any) -> Made:
    return definitions("torch_models").Of(function, **parts), batch


UNUSUAL.update(
    {
        "layer scale": lambda: of(lambda m, x: x + m.g * m.l(x), drawn(16, 4), l=nn.Linear(4, 4), g=(4,)),
        "a scalar": lambda: of(lambda m, x: x + m.g * m.l(x), drawn(16, 4), l=nn.Linear(4, 4), g=()),
        "addcmul": lambda: of(
            lambda m, x: torch.addcmul(m.b, m.l(x), m.g), drawn(16, 4), l=nn.Linear(4, 4), g=(4,), b=(4,)
        ),
        "first state": lambda: of(
            lambda m, x: m.g(x, m.h.expand(1, 3, 5).contiguous())[0], drawn(6, 3, 4), g=nn.GRU(4, 5), h=(1, 1, 5)
        ),
        "learned queries": lambda: of(
            lambda m, x: m.a(m.q.expand(len(x), -1, -1), x, x)[0],
            drawn(4, 5, 8),
            a=nn.MultiheadAttention(8, 2, batch_first=True),
            q=(1, 3, 8),
        ),
        "positive product": lambda: of(lambda m, x: x @ (m.a.exp() @ m.b.exp()), drawn(6, 4), a=(4, 2), b=(2, 5)),
        "spectral": lambda: of(
            lambda m, x: m.b(torch.fft.fft(m.a(x)).real), drawn(16, 8), a=nn.Linear(8, 8), b=nn.Linear(8, 3)
        ),
    }
)
