"""Nothing fake outlives a trace, wherever a model keeps what it computes once."""

import functools
import gc
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import nn

import wellbegun as wb

X = torch.randn(8, 4)
KEPT: dict[Any, Any] = {}
TABLE: Any = None
OTHERS: list[int] = []


def make() -> torch.Tensor:
    return torch.arange(4).float() / 4


@functools.lru_cache(maxsize=4)
def cached(size: int) -> torch.Tensor:
    return torch.arange(size).float() / size


@functools.cache
def nested(size: int) -> tuple[dict[str, list[torch.Tensor]], int]:
    return {"table": [torch.arange(size).float() / size]}, size


def in_global(_: nn.Module) -> torch.Tensor:
    global TABLE  # noqa: PLW0603 - what a file keeps
    if TABLE is None:
        TABLE = make()
    return TABLE


def in_dict(_: nn.Module) -> torch.Tensor:
    if "table" not in KEPT:
        KEPT["table"] = (make(), 4)
    return KEPT["table"][0]


def on_function(_: nn.Module) -> torch.Tensor:
    if not hasattr(on_function, "table"):
        on_function.table = make()  # type: ignore[attr-defined]
    return on_function.table  # type: ignore[attr-defined]


def closed() -> Callable[[nn.Module], torch.Tensor]:
    table = None

    def find(_: nn.Module) -> torch.Tensor:
        nonlocal table
        if table is None:
            table = make()
        return table

    return find


class Helper:
    def __init__(self) -> None:
        self.found: Any = defaultdict(list)
        self.order: Any = OrderedDict()


def on_helper(model: Any) -> torch.Tensor:
    if not model.helper.found["table"]:
        model.helper.found["table"].append(make())
        model.helper.order[4] = make()
    return model.helper.found["table"][0] + 0 * model.helper.order[4]


def on_class(model: Any) -> torch.Tensor:
    if type(model).table is None:
        type(model).table = make()
    return type(model).table


def deep_in_class(model: Any) -> torch.Tensor:
    if type(model).deep is None:
        type(model).deep = {1: {2: {3: {4: {5: {6: make()}}}}}}
    return type(model).deep[1][2][3][4][5][6]


class Model(nn.Module):
    table: Any = None
    deep: Any = None

    def __init__(self, find: Callable[[Any], torch.Tensor]) -> None:
        super().__init__()
        self.find, self.helper = find, Helper()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.relu(self.a(x + self.find(self))))

    @functools.lru_cache  # noqa: B019 - as libraries have it
    def method(self, size: int) -> torch.Tensor:
        return torch.arange(size).float() / size


PLACES: dict[str, Callable[[Any], torch.Tensor]] = {
    "cached function": lambda _: cached(4),
    "cached containers": lambda _: nested(4)[0]["table"][0],
    "cached method": lambda model: model.method(4),
    "global name": in_global,
    "global dict": in_dict,
    "function": on_function,
    "closure": closed(),
    "object": on_helper,
    "class": on_class,
    "deep in a class": deep_in_class,
}


def everywhere(model: nn.Module) -> Any:
    return sum(find(model) for find in PLACES.values())


AROUND: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "nothing": nullcontext,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference mode": torch.inference_mode,
    "default device": lambda: torch.device("cpu"),
}


def fakes() -> int:
    gc.collect()
    return sum(type(found).__name__ == "FakeTensor" for found in gc.get_objects()) - sum(OTHERS)


@pytest.fixture(scope="module", autouse=True)
def others() -> Iterator[int]:
    """Fake tensors of other tests: what torch.compile has made keeps some."""
    OTHERS.append(fakes())
    yield OTHERS[0]
    OTHERS.clear()


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    global TABLE  # of the file
    yield
    TABLE, Model.table, Model.deep = None, None, None
    KEPT.clear()
    vars(on_function).pop("table", None)
    for found in (cached, nested, Model.method):
        found.cache_clear()  # type: ignore[attr-defined]


@pytest.mark.parametrize("around", AROUND)
def test_nothing_fake_is_left_and_the_model_computes_what_it_did(around: str) -> None:
    model = Model(everywhere)  # at once: each search of the process takes its time
    with AROUND[around]():
        wb.plan(model, X, seed=0)
        assert not fakes()
        found = model(X)
        assert type(found) is torch.Tensor
        wb.check(model, X)
        assert not fakes()
        assert torch.equal(model(X), found)


def wrapped(find: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """As libraries turn a cache off while models are compiled."""
    held = functools.lru_cache(maxsize=1)(find)

    @functools.wraps(find)
    def wrapper(*args: Any) -> torch.Tensor:
        return held(*args)

    return wrapper


class Positions(nn.Module):
    table: Any = None

    @wrapped
    def closed(self, like: torch.Tensor) -> torch.Tensor:
        return torch.arange(4).float() / 4 + 0 * like.sum()

    @staticmethod
    @functools.cache
    def static(size: int) -> dict[str, Any]:
        return {"table": (torch.arange(size).float() / size,)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.closed(x) + self.static(4)["table"][0] + in_global(self) + on_class(self) + cached(4)


def of_weights(model: Any) -> torch.Tensor:
    if "weights" not in KEPT:
        KEPT["weights"] = model.a.weight.detach().sum(0)
    return KEPT["weights"]


def test_the_process_is_searched_only_for_what_depends_on_weights_out_of_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, kept = list[int](), list[torch.Tensor]()
    model = nn.Sequential(Positions(), nn.Linear(4, 2))
    with monkeypatch.context() as patch:
        for name in ("get_objects", "get_referrers"):
            every = getattr(gc, name)
            patch.setattr(gc, name, lambda *given, every=every: looks.append(0) or every(*given))
        wb.plan(model, X, seed=0)
        wb.plan(Model(in_dict), X, seed=0)
        wb.plan(Model(of_weights), X, seed=0)
        assert not looks
        wb.plan(Model(lambda model: kept.append(model.a.weight.sum(0)) or kept[-1]), X, seed=0)
        assert looks
    assert not fakes()
    assert "table" in KEPT
    assert "weights" not in KEPT
    assert type(model(X)) is torch.Tensor


class Failing(Model):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        super().forward(x)
        raise KeyError("no such thing")


def test_a_trace_that_fails_leaves_nothing_even_while_its_error_is_held() -> None:
    with pytest.raises(wb.errors.TraceError) as caught:
        wb.plan(Failing(everywhere), X, seed=0)
    assert not fakes()
    assert "no such thing" in str(caught.value)


def test_what_a_training_has_frozen_is_searched_too() -> None:
    model = Model(everywhere)
    gc.collect()
    gc.freeze()
    try:
        wb.plan(model, X, seed=0)
        assert gc.get_freeze_count() > 0
        assert type(model(X)) is torch.Tensor
    finally:
        gc.unfreeze()
    assert not fakes()


def test_casts_that_autocast_keeps_are_those_of_the_new_values() -> None:
    model = Model(lambda _: torch.zeros(4))
    with torch.autocast("cpu", torch.bfloat16):
        model(X)
        wb.initialize(model, X, seed=0)
        inside = model(X)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model(X), inside)
