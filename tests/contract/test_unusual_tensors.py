"""Parameters and buffers of unusual kinds: integers, sparse layouts, shared entries, sizes found in the first pass."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb

X = torch.randn(16, 8)


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.uint8, torch.bool, torch.float8_e4m3fn])
def test_parameters_of_narrow_numbers_are_kept(dtype: torch.dtype) -> None:
    model = net()
    model.index = nn.Parameter(torch.arange(4).to(dtype), requires_grad=False)
    found = wb.initialize(model, X, seed=0)
    assert found.plan["index"].action == "keep"
    assert model.index.tolist() == torch.arange(4).to(dtype).tolist()
    assert wb.check(model, X).healthy


class Sparse(nn.Module):
    def __init__(self, make: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.w, self.o = nn.Parameter(make(torch.randn(8, 8).relu())), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.o(torch.sparse.mm(self.w, x.t()).t())


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("make", [torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr])
def test_sparse_layouts_are_planned_around_and_measured(make: Callable[[torch.Tensor], torch.Tensor]) -> None:
    model = Sparse(make)
    wb.check(model, X)
    before = model.w.detach().to_dense().clone()
    try:
        wb.initialize(model, X, seed=0, exclude=["w"])
    except wb.errors.WellbegunError as error:
        assert "w" in str(error)  # noqa: PT017 - either is right
    assert torch.equal(model.w.detach().to_dense(), before)


class Shared(nn.Module):
    """A parameter, or a buffer, whose entries share memory."""

    def __init__(self, make: Callable[[], torch.Tensor], *, trained: bool = True) -> None:
        super().__init__()
        self.a = nn.Linear(8, 16)
        if trained:
            self.w = nn.Parameter(make())
        else:
            self.register_buffer("w", make())
            self.o = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.a(x)) @ self.w.T
        return y if isinstance(self.w, nn.Parameter) else self.o(y)


EXPANDED = [lambda: torch.zeros(1, 1).expand(16, 16), lambda: torch.randn(16, 1).expand(16, 16)]
SLIDING = [
    lambda: torch.randn(31).as_strided((16, 16), (1, 1)),
    lambda: torch.randn(100).as_strided((16, 16), (2, 3)),
]


@pytest.mark.parametrize("make", EXPANDED)
def test_entries_that_share_memory_are_refused_in_one_message_and_can_be_excluded(
    make: Callable[[], torch.Tensor],
) -> None:
    model = Shared(make)
    before = [tensor.clone() for tensor in model.parameters()]
    with pytest.raises(wb.errors.TraceError, match="entries of parameter 'w' share memory"):
        wb.initialize(model, X, seed=0)
    with pytest.raises(wb.errors.TraceError, match="entries of parameter 'w' share memory"):
        wb.apply(model, wb.plan(model, X, seed=0))
    with pytest.raises(wb.errors.TraceError, match="division by zero"):
        wb.initialize(model, X, seed=0, exclude=["w"], loss=lambda output: output.sum() * (1 / 0))
    assert all(map(torch.equal, model.parameters(), before))
    assert wb.initialize(Shared(make), X, seed=0, exclude=["w"]).plan["w"].action == "keep"


@pytest.mark.parametrize("make", SLIDING)
def test_windows_that_slide_over_memory_are_refused_or_kept_with_a_note(make: Callable[[], torch.Tensor]) -> None:
    model = Shared(make)
    before = model.w.clone()
    with pytest.raises(wb.errors.TraceError, match="entries of parameter 'w' share memory"):
        wb.initialize(model, X, seed=0, rules=[("w", "normal(std=0.1)")])
    try:
        found = wb.initialize(model, X, seed=0).plan
        assert found["w"].action == "keep"
        assert any("w" in note for note in found.notes)
    except wb.errors.TraceError as error:
        assert "entries of parameter 'w' share memory" in str(error)  # noqa: PT017 - either is right
    assert torch.equal(model.w, before)


@pytest.mark.parametrize("make", EXPANDED + SLIDING)
def test_buffers_with_entries_that_share_memory_are_as_before(make: Callable[[], torch.Tensor]) -> None:
    model = Shared(make, trained=False)
    before, stride = model.w.clone(), model.w.stride()
    for call in (wb.plan, wb.check, wb.initialize):
        call(model, X)
        assert torch.equal(model.w, before)
        assert model.w.stride() == stride


class Late(nn.Module):
    """Buffers that a pass resizes, moves and exchanges."""

    def __init__(self) -> None:
        super().__init__()
        self.l = nn.Linear(8, 8)
        for name in ("resized", "moved", "replaced"):
            self.register_buffer(name, torch.zeros(0 if name == "resized" else 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.l(x)
        mean = y.detach().mean(0)
        if not self.resized.numel():
            self.resized.resize_(mean.shape).copy_(mean)
        self.moved.data = 0.9 * self.moved + mean
        self.replaced = self.replaced + mean
        return torch.relu(y)


@pytest.mark.parametrize("call", [wb.plan, wb.check, wb.initialize])
def test_buffers_that_a_pass_resizes_moves_or_replaces_are_as_before(call: Callable[..., object]) -> None:
    model = Late()
    before = {name: (buffer, buffer.clone()) for name, buffer in model.named_buffers()}
    call(model, X)
    for name, (buffer, value) in before.items():
        now = getattr(model, name)
        assert now is buffer
        assert now.device.type == "cpu"
        assert torch.equal(now, value)


@torch.library.custom_op("wellbegun_tests::hidden_product", mutates_args=())
def hidden_product(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return functional.linear(x, w)


hidden_product.register_fake(lambda x, w: x.new_empty(x.shape[0], w.shape[0]))
hidden_product.register_autograd(
    lambda c, g: (g @ c.saved_tensors[1], g.t() @ c.saved_tensors[0]),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
)


def test_weights_inside_an_operation_that_nobody_knows_are_named() -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.o = nn.Parameter(torch.randn(8, 8)), nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.o(torch.relu(hidden_product(x, self.weight)))

    model = Hidden()
    before = model.weight.clone()
    assert any("hidden_product" in note and "weight" in note for note in wb.check(model, X).notes)
    assert wb.initialize(model, X, seed=0).plan["weight"].action == "keep"
    assert torch.equal(model.weight, before)


class Elsewhere(torch.autograd.Function):
    """A product that NumPy computes."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return torch.from_numpy(x.detach().numpy() @ weight.detach().numpy().T)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, weight = ctx.saved_tensors
        return grads[0] @ weight, grads[0].T @ x


def test_weights_of_a_function_that_computes_elsewhere_are_named() -> None:
    class Hidden(nn.Module):
        def __init__(self, *, seen: bool) -> None:
            super().__init__()
            self.i, self.weight, self.o = nn.Linear(8, 8), nn.Parameter(torch.randn(8, 8) / 3), nn.Linear(8, 2)
            self.apply_to = torch.nn.functional.linear if seen else Elsewhere.apply

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.o(torch.relu(self.apply_to(self.i(x), self.weight)))

    told = [[n for n in wb.check(Hidden(seen=seen), X).notes if "not looked at" in n] for seen in (True, False)]
    assert not told[0]
    assert len(told[1]) == 1
    assert "at weight, which no operation" in told[1][0]


class Wrapped(torch.Tensor):
    """Keeps its values in another tensor, as quantized weights do."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "Wrapped":
        made = torch.Tensor._make_wrapper_subclass(cls, held.shape, dtype=held.dtype, device=held.device)
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        bare = [arg.held if isinstance(arg, Wrapped) else arg for arg in args]
        found = func(*bare, **(kwargs or {}))
        return cls(found) if func is torch.ops.aten.detach.default else found


@pytest.mark.parametrize("trained", [True, False])
def test_a_parameter_that_keeps_its_values_in_others_is_told(trained: bool) -> None:
    model, plan = net(), wb.plan(net(), X, seed=0)
    model[0].weight = nn.Parameter(Wrapped(model[0].weight.detach()), requires_grad=trained)
    assert type(model[0].weight) is Wrapped
    before = model[2].weight.detach().clone()
    for call in (wb.plan, wb.check, wb.initialize, lambda model, _: wb.apply(model, plan)):
        with pytest.raises(wb.errors.TraceError, match=r"parameter '0.weight' is a Wrapped, which keeps .* wrapped"):
            call(model, X)
    assert torch.equal(model[2].weight, before)


def test_a_model_that_was_made_in_inference_mode_is_told() -> None:
    with torch.inference_mode():
        model = net()
    plan = wb.plan(model, X, seed=0)
    before = model[0].weight.detach().clone()
    for call in (wb.check, wb.initialize):
        with pytest.raises(wb.errors.TraceError, match=r"'0.weight' was made under torch.inference_mode\(\)"):
            call(model, X)
        with torch.inference_mode(), pytest.raises(wb.errors.TraceError, match="Make the model outside of it"):
            call(model, X)
    assert torch.equal(model[0].weight, before)
    wb.apply(model, plan)  # filling needs no graph
    assert not torch.equal(model[0].weight, before)


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_the_first_use_may_be_where_gradients_are_off(mode: str) -> None:
    text = (
        "import torch, wellbegun as wb\n"
        "model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))\n"
        f"with torch.{mode}():\n"
        "    assert wb.check(model, (8, 4)).healthy and wb.initialize(model, (8, 4), seed=0).health.healthy\n"
    )
    subprocess.run([sys.executable, "-c", text], check=True)
