"""Calls of `wellbegun.torch.init` take two ways to the same bits: a kernel draws plain memory of the host at once,
views with gaps, other devices and small first calls go by way of targets."""

import itertools

import pytest
import torch
from torch import nn

from wellbegun.engine import workers
from wellbegun.engine.prepared import prepared
from wellbegun.errors import TraceError
from wellbegun.laws import Normal, Orthogonal
from wellbegun.torch import init


@pytest.mark.parametrize("name", ["kaiming_normal_", "xavier_uniform_", "trunc_normal_", "rademacher_"])
def test_bits_do_not_depend_on_the_way_that_they_take(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dtypes = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
    for dtype, form in itertools.product(dtypes, ("plain", "parameter", "turned", "every other", "many rows")):
        found = []
        for engine in ("compiled", "reference"):
            monkeypatch.setenv("WELLBEGUN_ENGINE", engine)
            memory = torch.zeros(96, 300, dtype=dtype)
            tensor = {
                "plain": memory, "parameter": nn.Parameter(memory), "turned": memory.T, "every other": memory[::2, ::2],
                "many rows": memory.view(24, 4, 300)[:, :3, :100],
            }[form]  # fmt: skip
            before, generator = tensor._version, torch.Generator().manual_seed(7)
            assert getattr(init, name)(tensor, generator=generator) is tensor
            assert tensor._version > before
            assert form not in ("every other", "many rows") or (memory == 0).sum() > 5000  # what lies between is left
            found.append((tensor.detach().clone(), generator.get_state()))
        assert found[0][0].float().std() > 0.01
        assert torch.equal(found[0][0], found[1][0])
        assert torch.equal(found[0][1], found[1][1])
    with pytest.raises(TraceError, match="share memory"):
        getattr(init, name)(torch.empty(1, 5).expand(4, 5))


def test_what_is_kept_is_for_simple_memory() -> None:
    law = Normal(0.0, 1.0)
    assert prepared(law, "float32", (4, 6), (6, 1)) is prepared(law, "float32", (4, 6), (6, 1))
    shapes = {(4, 6): (0, 1), (4, 3): (6, 2), (9, 4, 3, 5): (800, 200, 50, 1)}
    assert all(prepared(law, "float32", shape, pitches) is None for shape, pitches in shapes.items())
    assert prepared(law, "complex64", (4, 6), (6, 1)) is None
    assert prepared(Orthogonal(1.0), "float32", (4, 6), (6, 1)) is None


def test_small_tensors_take_a_kernel_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers._process, "kinds", set())
    monkeypatch.setenv("WELLBEGUN_ENGINE", "auto")
    ready, tensor = prepared(Normal(0.0, 1.0), "float64", (3, 5), (5, 1)), torch.empty(3, 5, dtype=torch.float64)
    assert ready is not None
    assert workers.choose(15, ready.kind) == "reference"
    ready.draw(3, tensor.data_ptr())
    assert workers.choose(15, ready.kind) == "compiled"
    assert workers.choose(15, ("another", "float64")) == "reference"


def test_memory_that_was_freed_is_told() -> None:
    init.normal_(torch.empty(2048, 2048))  # kernels are there
    freed = torch.empty(300, 300)
    freed.untyped_storage().resize_(0)
    for fill in (init.normal_, init.orthogonal_, init.uniform_):
        with pytest.raises(TraceError, match="has no memory: its storage was freed"):
            fill(freed)
    with pytest.raises(RuntimeError, match="ZeroTensor"):
        init.normal_(torch._efficientzerotensor(500, 500))


@pytest.mark.parametrize(("size", "stride"), [((2, 3), (3, 2)), ((4, 4), (5, 7)), ((8, 8), (3, 5))])
def test_memory_is_shared_only_where_two_entries_have_one_place(size: tuple[int, ...], stride: tuple[int, ...]) -> None:
    view = torch.as_strided(torch.zeros(64), size, stride)
    if size == (8, 8):
        with pytest.raises(TraceError, match="share memory"):
            init.normal_(view)
        return
    made = []
    for tensor in (view, torch.zeros(size)):
        torch.manual_seed(0)
        made.append(init.normal_(tensor))
    assert torch.equal(*made)
