"""The seam: which framework is found, what a session shows, and what effects do. Each number by a second way."""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

import wellbegun as wb
from wellbegun.backend import Scale, Session, Shift, Signal, Strayed, find, named
from wellbegun.errors import ArgumentTypeError
from wellbegun.measure.samples import Rows, correlation, different, digest, rough_rms, sample, twins
from wellbegun.torch.handles import TensorHandle


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 4))


def nothing(operation, inputs, outputs):
    return ()


# ---------------------------------------------------------------------- which framework
def test_a_model_finds_its_framework_and_nothing_else_does() -> None:
    assert find(nn.Linear(2, 2)).name == "torch"
    with pytest.raises(ArgumentTypeError, match="wellbegun: model must be a torch.nn.Module.*; got 'dict'"):
        find({})


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("find(3)", "PyTorch models need torch. Install it: pip install 'wellbegun[torch]'."),
        ("named('torch')", "PyTorch models need torch"),
    ],
)
def test_a_framework_that_is_not_there_is_told_with_the_command(code: str, words: str) -> None:
    text = "import sys\nsys.modules['torch'] = sys.modules['jax'] = None\nfrom wellbegun.backend import find, named\n"
    text += f"from wellbegun.errors import MissingDependencyError as E\ntry:\n    {code}\nexcept E as e:\n    print(e)"
    assert words in subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout


def test_nothing_is_loaded_to_find_out() -> None:
    code = "import sys, wellbegun.backend as b; print(b.belongs(3), 'torch' in sys.modules, 'jax' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.split() == ["None", "False", "False"]


# ---------------------------------------------------------------------- handles
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex64])
def test_handles_say_what_the_tensor_holds(dtype: torch.dtype) -> None:
    tensor = drawn(6, 5, 4, dtype=dtype)
    wide = tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)
    handle = TensorHandle(tensor)
    assert handle.shape == (6, 5, 4)
    assert handle.kind == ("complex" if tensor.is_complex() else "real")
    assert handle.norm() == pytest.approx(float(wide.abs().square().sum().sqrt()), rel=1e-5)
    assert handle.largest() == pytest.approx(float(wide.abs().max()), rel=1e-5)
    assert handle.finite()
    assert not TensorHandle(tensor / 0).finite()
    mean = wide.mean(dim=(0, 2)).numpy()
    assert np.allclose(handle.mean(1), mean, atol=1e-2 if dtype == torch.bfloat16 else 1e-6)
    less = np.arange(5.0)
    expected = float((wide - torch.from_numpy(less)[:, None]).abs().square().sum().sqrt())
    assert handle.norm(less, 1) == pytest.approx(expected, rel=1e-2 if dtype == torch.bfloat16 else 1e-5)
    assert handle.norm(less, -2) == handle.norm(less, 1)
    part = handle.part(slice(None, None, 2), np.array([0, 3, 3]))
    assert np.array_equal(part.array(), wide.numpy()[::2][:, [0, 3, 3]].astype(part.array().dtype))
    assert np.array_equal(handle.transposed([2, 0, 1]).array(), np.transpose(handle.array(), [2, 0, 1]))
    assert np.array_equal(handle.entries(7), handle.array().reshape(-1)[:: 120 // 7])
    assert handle.minus(handle).norm() == 0


def test_the_spread_of_logits_is_that_of_the_products() -> None:
    query, key = drawn(3, 4, 7, 8), drawn(3, 2, 9, 8)
    logits = query @ key.repeat_interleave(2, dim=1).mT * 0.3
    expected = float(logits.var(dim=-1, correction=0).mean().sqrt())
    assert TensorHandle(query).spread(TensorHandle(key), 0.3) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shape", [(5, 3), (500, 100), (40, 7, 9), (3, 70, 20, 30)])
def test_samples_are_evenly_spaced_with_units_last(shape: tuple[int, ...]) -> None:
    tensor, axis = drawn(*shape), 1
    found = sample(TensorHandle(tensor), axis)
    assert found.shape[2] <= 64
    assert found.shape[0] * found.shape[1] <= 512
    units = np.moveaxis(tensor.numpy(), axis, -1).reshape(-1, shape[axis])
    step = -(-shape[axis] // 64)
    columns = np.ascontiguousarray(units[:, (shape[axis] - 1) % step // 2 :: step])
    rows = {row.tobytes() for row in columns}
    assert all(row.tobytes() in rows for row in found.reshape(-1, found.shape[2]))
    kept = found.copy()
    tensor.zero_()
    assert np.array_equal(found, kept)  # a copy: memory may be written over


def test_numbers_of_samples() -> None:
    large = drawn(3000, 300)
    assert rough_rms(TensorHandle(large)) == pytest.approx(float(large.square().mean().sqrt()), rel=0.02)
    rows = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert correlation(rows) == pytest.approx(1 / 3)
    assert correlation(rows[:1]) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_equal_rows_are_counted(dtype: torch.dtype) -> None:
    weight = drawn(2, 20, 30, dtype=dtype)
    weight[1, 5], weight[1, 6] = weight[0, 3], -weight[0, 3]
    rows, slopes = Rows(TensorHandle(weight), 2), drawn(2, 20, 30)
    assert (len(rows), different(rows)) == (40, 39)
    assert twins(rows, Rows(TensorHandle(slopes), 2).hashes()) == 0
    slopes[1, 5] = slopes[0, 3]
    assert twins(rows, Rows(TensorHandle(slopes), 2).hashes()) == 2
    weight[0, 0, 0] = 0.0
    other = weight.clone()
    other[0, 0, 0] = -other[0, 0, 0]
    assert digest(TensorHandle(weight)) == digest(TensorHandle(other))
    other[1, 2, 3] += 1
    assert digest(TensorHandle(weight)) != digest(TensorHandle(other))
    assert different(Rows(TensorHandle(torch.zeros(50, 9)), 1)) == 1
    assert different(Rows(TensorHandle(torch.ones(50, 9)), 1)) == 1


# ---------------------------------------------------------------------- passes
def test_an_observer_sees_the_operations_of_the_graph_in_order() -> None:
    model, x = mlp(), drawn(32, 8)
    graph = named("torch").trace(model, x)
    seen: list[tuple[int, str, float]] = []

    def observer(operation, inputs, outputs):
        seen.append((operation.index, operation.kind, outputs[0].norm()))
        return ()

    with named("torch").session(model, x, graph) as session:
        session.forward(observer)
        assert [o.index for o in session.graph.operations] == [o.index for o in graph.operations]
        output = session.output.array()
        assert session.main in session.graph.outputs
        assert set(session.places) == {o.index for o in graph.operations if o.kind == "linear"}
        assert set(session.trained) == set(session.scalable) == {name for name, _ in model.named_parameters()}
    shown = {index for index, _, _ in seen}
    assert [index for index, _, _ in seen] == sorted(shown)
    assert {o.index for o in graph.operations if o.kind != "move"} <= shown
    assert np.allclose(output, model(x).detach().numpy())
    expected = float(model[0](x).detach().norm())
    assert next(size for _, kind, size in seen if kind == "linear") == pytest.approx(expected, rel=1e-6)


def test_a_pass_that_strays_ends_and_is_traced_again() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.other = nn.Linear(8, 8), nn.Linear(8, 4), True

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(torch.relu(self.a(x)) if self.other else torch.tanh(self.a(x)))

    model, x = Two(), drawn(16, 8)
    graph = named("torch").trace(model, x)
    model.other = False
    with named("torch").session(model, x, graph) as session:
        with pytest.raises(Strayed, match="tanh"):
            session.forward(nothing)
        again = session.retrace()
        assert [o.name for o in again.operations if o.kind == "pointwise"] == ["tanh"]
        session.forward(nothing)
        assert session.graph.operations[-1].kind == "linear"


def factors(session: Session, factor: float, index: int) -> Iterator[object]:
    """An observer that multiplies the weight of one linear operation, and its output."""

    def observer(operation, inputs, outputs):
        if operation.index == index:
            name = next(use.parameter for use in operation.uses if use.slot == "weight")
            bias = next(use.parameter for use in operation.uses if use.slot == "bias")
            before = outputs[0].norm()
            yield Scale(factor, (name,), (outputs[0], outputs[0]), bias, operation.axis)
            assert outputs[0].norm() != before  # a generator sees the outcome

    return observer


def test_effects_make_the_pass_that_of_the_changed_model() -> None:
    """The output, the gradients that come back, and the weights are those of the model with another weight."""
    x, changed = drawn(32, 8), mlp()
    with torch.no_grad():
        changed[2].weight.mul_(3.0)
    changed(x).square().sum().backward()
    model = mlp()
    graph = named("torch").trace(model, x)
    index = [o.index for o in graph.operations if o.kind == "linear"][1]
    gradients: dict[object, np.ndarray] = {}
    with named("torch").session(model, x, graph) as session:
        session.forward(factors(session, 3.0, index))
        assert np.allclose(session.output.array(), changed(x).detach().numpy(), atol=1e-6)
        session.judge(lambda y: y.square().sum())
        session.backward("loss", lambda place, handle: gradients.__setitem__(place, np.array(handle.array())))
    for name, parameter in changed.named_parameters():
        assert np.allclose(gradients[name], parameter.grad.numpy(), rtol=1e-4, atol=1e-5), name
    assert torch.equal(model[2].weight, changed[2].weight)  # what the caller puts right
    assert model[0].weight.grad is None


def test_shifts_take_a_mean_from_a_value_and_from_a_bias() -> None:
    model, x = mlp(), drawn(32, 8)
    expected = model(x).detach()
    bias = model[4].bias.detach().clone()

    def observer(operation, inputs, outputs):
        if any(use.parameter == "4.weight" for use in operation.uses):
            mean = outputs[0].mean(operation.axis)
            yield Shift(mean, outputs[0], operation.axis)
            yield Shift(2.0 * mean.astype(np.float64), bias="4.bias")

    with named("torch").session(model, x) as session:
        session.forward(observer)
        assert np.allclose(session.output.array(), (expected - expected.mean(dim=0)).numpy(), atol=1e-6)
    assert torch.allclose(model[4].bias, bias - 2 * expected.mean(dim=0), atol=1e-6)


def test_signals_go_back_from_wherever_they_are_sent() -> None:
    model, x = mlp(), drawn(32, 8)
    middle = model[:3](x)
    signal = drawn(32, 16)
    (expected,) = torch.autograd.grad(middle, model[0].weight, signal)
    rows = Signal(signal.numpy()[::4].copy(), 4)
    sparse = torch.zeros_like(signal)
    sparse[::4] = signal[::4]
    (few,) = torch.autograd.grad(model[:3](x), model[0].weight, sparse)
    with named("torch").session(model, x) as session:
        session.forward(nothing)
        first, second, _ = sorted(session.places)
        got: dict[object, float] = {}
        take = lambda place, handle: got.__setitem__(place, handle.norm())  # noqa: E731
        session.backward(second, take, signal=Signal(signal.numpy()), again=True)
        assert got["0.weight"] == pytest.approx(float(expected.norm()), rel=1e-5)
        assert "4.weight" not in got
        session.backward(second, take, signal=rows, again=True)
        assert got["0.weight"] == pytest.approx(float(few.norm()), rel=1e-5)
        got.clear()
        session.backward("output", take, signal=Signal(np.ones((32, 4), np.float32)), until=first)
        assert list(got) == [first]


def test_every_pass_starts_from_the_same_state_and_nothing_stays() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 4))
    x, state = drawn(32, 8), torch.get_rng_state()
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    outputs = []
    with named("torch").session(model, x) as session:
        for _ in range(2):
            session.forward(nothing)
            outputs.append(np.array(session.output.array()))
    assert np.array_equal(*outputs)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers())


def test_a_sum_in_place_may_be_corrected_where_its_summand_is_gone() -> None:
    """The value and the sum are one memory: the difference to the other summand is what was there."""
    model, x = mlp(), drawn(16, 8)

    def observer(operation, inputs, outputs):
        if operation.kind == "linear":
            other = outputs[0].minus(outputs[0])
            yield Scale(5.0, summand=(other, outputs[0]))
            yield Scale(3.0, summand=(outputs[0].part(slice(None)), outputs[0]))

    with named("torch").session(nn.Sequential(model[0]), x) as session:
        session.forward(observer)
        assert np.allclose(session.output.array(), 3 * model[0](x).detach().numpy(), atol=1e-5)


def test_a_meta_model_holds_nothing_to_be_measured() -> None:
    with torch.device("meta"):
        model = mlp()
    with pytest.raises(wb.errors.ArgumentError, match="check: the model is on the meta device"):
        wb.check(model, (4, 8))
