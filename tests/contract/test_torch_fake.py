"""The shortcuts for fake tensors give what torch's own rules give: shapes, strides, types, devices, shared memory."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from test_real_models import HAND, REAL
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from wellbegun.torch.compat import memory_of
from wellbegun.torch.trace.recording import trace
from wellbegun.torch.trace.tensors import tensors_in

fake = sys.modules["wellbegun.torch.trace.fake"]
recorder = sys.modules["wellbegun.torch.trace.dispatch"]


def look(tensor: Any) -> tuple[Any, ...]:
    device = tensor.fake_device if isinstance(tensor, FakeTensor) else tensor.device
    strides = tuple(step if size > 1 else 0 for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    return type(tensor), tensor.shape, strides, tensor.dtype, device  # the stride of an axis of size 1 says nothing


def both(differences: list[str], used: set[str]) -> Callable[..., Any]:
    """Both ways of each call, compared."""
    shortcut = fake.run

    def run(func: Any, args: Any, kwargs: Any) -> Any:
        if fake._kind(func) == "other" or func is torch.ops.prim.device.default:
            return shortcut(func, args, kwargs)
        result, expected = shortcut(func, args, kwargs), func(*args, **kwargs)
        found, right = tensors_in(result), tensors_in(expected)
        if type(result) is not type(expected) or [look(x) for x in found] != [look(x) for x in right]:
            differences.append(f"{func}: {[look(x) for x in found]}, not {[look(x) for x in right]}")
        inputs = {memory_of(tensor) for tensor in tensors_in(args) if isinstance(tensor, FakeTensor)}
        if [memory_of(x) in inputs for x in found] != [memory_of(x) in inputs for x in right]:
            differences.append(f"{func}: other memory")
        used.add(str(func))
        return result

    return run


class Odd(nn.Module):
    """Broadcasting, promotion, channels last, views of views, several results, numbers, parameters by themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last)
        self.norm = nn.BatchNorm2d(8)
        self.table = nn.Parameter(torch.randn(8, 6))
        self.register_buffer("mask", torch.arange(6) > 2)
        self.register_buffer("scale", torch.tensor(2.0, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(self.conv(x.contiguous(memory_format=torch.channels_last)))
        h = torch.relu(h) + h.sigmoid() * 2 + (h > 0) + self.scale
        high, where = h.max(dim=2)
        low = (h.mean((2, 3)) * 1.5).to(torch.bfloat16).float() ** 2
        some = self.table.t()[2:].T[:, ::2].masked_fill(self.mask[2::2], 0.0)
        parts = torch.cat([low @ some, low[:, :2] / 3], dim=1).split(2, dim=1)
        total = (
            parts[0] + parts[1] * where.float().mean() + high.std() + torch.nn.functional.layer_norm(low, (8,))[:, :2]
        )
        return torch.where(total > 0, total, total.exp() - 1)


def made(name: str) -> tuple[nn.Module, Any]:
    if name == "odd":
        return Odd(), torch.randn(4, 3, 9, 9)
    if name in HAND:
        build, batch, _ = HAND[name]
        return build(), batch
    return REAL[name][0](pytest.importorskip("transformers"))


@pytest.mark.filterwarnings("ignore")  # of transformers, about itself
@pytest.mark.parametrize("name", ["odd", *HAND, *REAL])
def test_shortcuts_agree_with_torch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = made(name)
    differences: list[str] = []
    used: set[str] = set()
    monkeypatch.setattr(recorder.fake, "run", both(differences, used))
    for _ in range(2):  # what is remembered is used from the second time on
        trace(model, batch)
    assert not differences
    assert used


def test_what_is_remembered_tells_calls_apart() -> None:
    fake._made.clear()
    with FakeTensorMode() as mode:
        x = torch.empty(4, 6)
        add = torch.ops.aten.add.Tensor
        for first, second, dtype in (
            (x, x, torch.float32),
            (x, x.double(), torch.float64),
            (x.int(), x, torch.float32),
        ):
            for _ in range(2):
                assert fake.run(add, (first, second), {}).dtype == dtype
        assert fake.run(torch.ops.aten.mul.Tensor, (x.int(), 2), {}).dtype == torch.int32
        assert fake.run(torch.ops.aten.mul.Tensor, (x.int(), 2.0), {}).dtype == torch.float32
        assert fake.run(torch.ops.aten.sum.dim_IntList, (x, [1]), {}).shape == (4,)
        assert fake.run(torch.ops.aten.sum.dim_IntList, (x, [1], True), {}).shape == (4, 1)
        assert fake.run(torch.ops.aten.sum.dim_IntList, (x, [1]), {"dtype": torch.float64}).dtype == torch.float64
        assert fake.run(torch.ops.aten.clone.default, (x.t(),), {}).stride() == (1, 6)
        kept = len(fake._made)
        assert kept >= 7
        number = mode.from_tensor(torch.tensor(3.0))
        fake.run(torch.ops.aten.mul.Tensor, (number, number), {})  # numbers are torch's: it may know their values
        assert len(fake._made) == kept
        with pytest.raises(RuntimeError, match="broadcast|must match"):
            fake.run(add, (x, torch.empty(4, 5)), {})


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    fake._made.clear()
    monkeypatch.setattr(fake, "_KEPT", 10)
    with FakeTensorMode():
        for size in range(1, 40):
            assert fake.run(torch.ops.aten.relu.default, (torch.empty(size, 2),), {}).shape == (size, 2)
            assert len(fake._made) <= 10


AFTER_TENSORFLOW = """
import importlib.machinery, importlib.util, sys
spec = importlib.machinery.ModuleSpec("tensorflow", None)
sys.modules["tensorflow"] = importlib.util.module_from_spec(spec)  # the real one brings an LLVM that Triton's aborts at
import torch
import wellbegun as wb
print(wb.plan(torch.nn.Linear(2, 2), (4, 2))["weight"].role, "triton" in sys.modules)
"""


def test_triton_is_not_loaded_after_tensorflow() -> None:
    done = subprocess.run([sys.executable, "-c", AFTER_TENSORFLOW], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["readout", "False"], done.stderr[-2000:]
