"""What looking at a model keeps in memory: no more than the model itself does, and nothing afterwards."""

import gc
import sys
import threading
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch_models import Of, drawn

import wellbegun as wb
from wellbegun._collection import uncollected
from wellbegun.errors import TraceError
from wellbegun.torch.trace.tensors import seen


def test_the_memory_of_what_is_needed_no_more_is_free_while_a_model_is_watched() -> None:
    alive: list[int] = []

    def forward(m, x: torch.Tensor, kept: list | None = None) -> torch.Tensor:
        with torch.no_grad():
            seen = []
            for _ in range(50):
                x = x * 1.01
                seen.append(weakref.ref(x))
                if m.keep is not None:
                    m.keep.append(x)
            alive.append(sum(found() is not None for found in seen))
        return m.l(x)

    model = Of(forward, l=nn.Linear(4, 4))
    model.keep = None
    wb.check(model, drawn(8, 4))
    model.keep = []
    wb.check(model, drawn(8, 4))
    assert alive == [1, 50]  # the control: nothing is free that somebody holds


@pytest.mark.parametrize("look", [wb.plan, wb.check, wb.initialize])
def test_nothing_of_a_pass_stays_until_garbage_is_collected(look) -> None:
    seen: list[weakref.ref] = []

    def forward(m, x: torch.Tensor) -> torch.Tensor:
        mask = torch.rand(4) > 0.5
        y = m.l(x) * mask
        seen.extend(map(weakref.ref, (mask, y)))
        return y

    model = Of(forward, l=nn.Linear(4, 4))
    gc.disable()
    try:
        look(model, drawn(8, 4))
        assert not gc.isenabled()  # as it was
        assert len(seen) == (4 if look is wb.initialize else 2)
        assert all(found() is None for found in seen)
    finally:
        gc.enable()


def test_gradients_are_not_in_memory_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["wellbegun.measure.parameters"].ParameterStatistics
    model = nn.Sequential(*(layer for _ in range(20) for layer in (nn.Linear(20, 20), nn.Tanh())))
    seen: list[weakref.ref] = []
    alive: list[int] = []

    def take(statistics, name: str, gradient) -> None:
        seen.append(weakref.ref(gradient.tensor))
        alive.append(sum(found() is not None for found in seen))
        receive(statistics, name, gradient)

    receive = module.receive
    monkeypatch.setattr("wellbegun.api.models.tried", lambda _, model, health, *rest: health)  # which measures copies
    monkeypatch.setattr(module, "receive", take)
    assert len([p for p in wb.check(model, drawn(64, 20)).statistics.parameters if p.gradient]) == len(seen) == 40
    assert max(alive) <= 3
    assert all(parameter._backward_hooks is None and parameter.grad is None for parameter in model.parameters())
    with torch.no_grad():  # gradients of equal units are compared afterwards, by their hashes
        for layer in model[::2]:
            layer.weight[1] = layer.weight[0]
    seen.clear()
    alive.clear()
    assert wb.check(model, drawn(64, 20)).statistics.parameters[0].distinct == 19
    assert max(alive) <= 3
    kept: list[object] = []  # the control: handles hold what they speak of
    monkeypatch.setattr(
        module, "receive", lambda statistics, name, gradient: (kept.append(gradient), take(statistics, name, gradient))
    )
    seen.clear()
    alive.clear()
    wb.check(model, drawn(64, 20))
    assert max(alive) >= 20


def grown(model: nn.Module) -> None:
    """A table that gets more rows in place, as when a vocabulary grows, and a step of training."""
    table = model[0].weight
    table.data = torch.cat([table.data, table.data[:3]])
    model(torch.tensor([[0, 1, 12]])).sum().backward()
    assert table.grad is not None
    assert table.grad.shape == (13, 4)


@pytest.mark.parametrize("look", [wb.check, wb.initialize])
def test_the_graph_of_gradients_is_gone_afterwards(look) -> None:
    """What keeps a pass alive keeps the node of a parameter too, which remembers the shape it had."""
    model = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 4))
    tokens = torch.tensor([[0, 1, 2], [3, 4, 5]])
    gc.disable()
    try:
        look(model, tokens)
        before = sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())
        look(model, tokens)
        assert sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects()) == before
        grown(model)
    finally:
        gc.enable()
    model = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 4))
    kept = model(tokens)  # the control: a pass that somebody keeps
    with pytest.raises(RuntimeError):
        grown(model)
    assert kept.requires_grad


def test_collection_comes_back_with_the_last_of_several_threads() -> None:
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with uncollected():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with uncollected():
        thread.start()
        entered.wait()
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("look", [wb.initialize, wb.check, wb.plan, lambda m, b: wb.reset(m, b, seed=0)])
def test_memory_that_was_looked_at_or_filled_can_be_resized(look, dtype: torch.dtype) -> None:
    model = nn.Linear(4, 4).to(dtype)
    batch = torch.randn(8, 4).to(dtype)
    look(model, batch)
    for tensor in (model.weight.detach(), model.bias.detach(), batch):
        tensor.untyped_storage().resize_(0)  # as sharding does between uses
        tensor.untyped_storage().resize_(tensor.numel() * tensor.itemsize)
    model.weight.detach().view(torch.uint8).numpy()  # the control
    with pytest.raises(RuntimeError, match="not resizable"):
        model.weight.detach().untyped_storage().resize_(0)


def test_a_view_that_numpy_has_of_memory_is_of_the_same() -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    for part in (whole, whole.t(), whole[1::2, 3:], whole[0, 0], whole[:0], whole.bfloat16()):
        found = seen(part)
        assert found.shape == tuple(part.shape)
        assert (found.view(np.int16) if part.dtype == torch.bfloat16 else found).tolist() == (
            part.view(torch.int16) if part.dtype == torch.bfloat16 else part
        ).tolist()
    seen(whole.t())[5, 2] = -1.0
    assert whole[2, 5] == -1.0
    kept = seen(torch.full((100, 100), 7.0))  # the tensor is gone
    torch.zeros(100, 100)
    assert (kept == 7).all()


def test_a_parameter_whose_memory_was_given_back_is_an_error_and_not_the_end_of_the_process() -> None:
    model = nn.Sequential(nn.Linear(300, 300), nn.Linear(300, 2))
    model[1].weight.data.untyped_storage().resize_(0)
    before = model[0].weight.detach().clone()
    with pytest.raises(TraceError, match="its storage was freed"):
        wb.initialize(model, seed=0)
    assert torch.equal(model[0].weight, before)


def test_classes_of_models_are_not_kept() -> None:
    class Own(nn.Linear):
        pass

    wb.initialize(Own(4, 4), torch.randn(3, 4), seed=0)
    found = weakref.ref(Own)
    del Own
    gc.collect()
    assert found() is None
