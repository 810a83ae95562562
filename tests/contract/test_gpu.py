"""GPU kernels give the bits of the reference: interpreted and compiled everywhere, launched where there is a GPU."""

import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import gpu_offline as offline
import numpy as np
import pytest
import torch
from torch import nn

import wellbegun as wb
from wellbegun.engine import gpu
from wellbegun.engine.parameters import TRANSFORMS
from wellbegun.laws import Normal, Orthogonal, Uniform
from wellbegun.materialize import target
from wellbegun.torch import device

HELPER = Path(__file__).with_name("gpu_offline.py")

with_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
with_gpu = pytest.mark.skipif(
    not torch.cuda.is_available() or importlib.util.find_spec("triton") is None, reason="needs an Nvidia GPU and Triton"
)


@functools.cache
def run(*arguments: str, interpreted: bool = False) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRITON_")}
    environment["TRITON_INTERPRET"] = "1" if interpreted else "0"
    with tempfile.TemporaryDirectory() as cache:
        environment["TRITON_CACHE_DIR"] = cache
        done = subprocess.run([sys.executable, HELPER, *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---------------------------------------------------------------------- everywhere
def test_importing_the_gpu_modules_does_not_load_triton() -> None:
    code = "import sys, wellbegun, wellbegun.torch.targets, wellbegun.engine.gpu; assert 'triton' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("dtype", offline.STORED)
@pytest.mark.parametrize("parameters", TRANSFORMS, ids=lambda kind: kind.__name__)
def test_every_number_in_a_kernel_has_a_type(parameters: type, dtype: str) -> None:
    lines = [line.strip() for line in gpu.source(parameters, dtype).splitlines()]
    computed = [line.split(" = ")[1] for line in lines if re.match(r"v\d+ = ", line) and "tl.reshape" not in line]
    assert len(computed) > 50
    plain = re.compile(r"(?<![\w.])-?\d")
    assert plain.search("v1 * -0.5")
    assert not [text for text in computed if plain.search(text)]


@with_triton
def test_interpreted_kernels_equal_the_reference() -> None:
    """Every law and dtype; rows that begin and end anywhere in a block; block numbers beyond 2^32."""
    found = run("interpret", interpreted=True)
    assert found["wrong"] == []
    assert found["cases"] == len(offline.WORK) * len(offline.LAWS) * len(offline.STORED)
    other_key, one_bit = found["controls"]
    assert one_bit == 1
    assert other_key > 0.99 * offline.WHOLE.run


@with_triton
def test_tensors_drawn_through_the_interpreter_equal_those_of_the_host() -> None:
    assert run("interpret", interpreted=True)["tensors"] == []


@with_triton
def test_a_kernel_that_is_wrong_or_cannot_be_compiled_is_not_used() -> None:
    wrong, missing = run("interpret", interpreted=True)["refused"]
    assert "NormalParameters does not work on cpu (its bits differ from the definition). Values are drawn on" in wrong
    assert "(RuntimeError: no compiler)" in missing


@with_triton
def test_compiled_kernels_round_every_operation_as_defined() -> None:
    found = run("compile", "8192")
    assert found["odd"] == {}
    assert {"sqrt.rn.f64", "div.rn.f64", "st.global.v4.b32"} <= found["operations"].keys()
    assert "fma.rn.f32" in found["control"]  # with fusion allowed, the check finds what fusion does


@with_triton
def test_compiled_kernels_run_on_the_host_equal_the_reference() -> None:
    found = run("compile", "8192")
    assert found["wrong"] == []
    assert found["cases"] == len(offline.LAWS) * len(offline.STORED)


def test_which_laws_are_drawn_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_check", lambda *_: True)
    monkeypatch.setattr(device, "_sound", {})
    place = torch.device("cuda")
    assert device.drawable(Uniform(0, 1), place, "complex64")
    assert not device.drawable(Orthogonal(), place, "float32")
    assert not device.drawable(wb.laws.Sections(((2, Normal(0, 1)), (2, Orthogonal()))), place, "float32")
    assert not device.reachable(torch.empty(3))


# ---------------------------------------------------------------------- on a GPU
@with_gpu
@pytest.mark.parametrize("dtype", offline.STORED)
@pytest.mark.parametrize("law", offline.LAWS, ids=repr)
def test_gpu_kernels_equal_the_reference(law: Any, dtype: str) -> None:
    for rows in (*offline.WORK, offline.WHOLE._replace(run=1 << 20)):
        assert (offline.drawn(rows, law, dtype, "cuda") == offline.expected(rows, law, dtype)).all(), rows
    changed = offline.drawn(offline.WHOLE, law, dtype, "cuda", (*offline.KEY[:3], 5))
    assert (changed != offline.expected(offline.WHOLE, law, dtype)).any()


@with_gpu
def test_tensors_of_a_gpu_equal_those_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert offline.tensors_that_differ("cuda") == []
    monkeypatch.setattr(device, "_CHUNK", 50)
    monkeypatch.setattr(device, "_LAUNCHES", 8)
    assert offline.tensors_that_differ("cuda") == []


@with_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_model_on_a_gpu_equals_the_model_on_the_host(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    def model(where: str) -> nn.Module:
        layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 7))
        return layers.to(where, dtype, memory_format=torch.channels_last)

    def refuse(*_: Any) -> None:
        raise AssertionError("drawn on the host")

    host, there = model("cpu"), model("cuda")
    plan = wb.plan(host, (2, 3, 8, 8), seed=0)
    wb.apply(host, plan)
    monkeypatch.setattr(target, "_through_host", refuse)
    wb.apply(there, plan)
    assert all(torch.equal(a, b.cpu()) for a, b in zip(host.parameters(), there.parameters(), strict=True))


@with_gpu
def test_places_beyond_2_to_the_31() -> None:
    free, _ = torch.cuda.mem_get_info()
    size = (1 << 31) + 4096
    if free < 3 * size:
        pytest.skip("needs 6 GB of GPU memory")
    out = torch.zeros(size, dtype=torch.int16, device="cuda")
    parameters = offline.parameters_of(Normal(0, 1), "bfloat16")
    rows = offline.WHOLE._replace(run=size)
    gpu.draw(out, [rows], offline.KEY, parameters, "bfloat16")
    last = rows._replace(run=8192, first=size - 8192)
    assert (out[-8192:].cpu().numpy() == offline.expected(last, Normal(0, 1), "bfloat16")[:8192]).all()
    assert np.count_nonzero(out[: 1 << 20].cpu().numpy()) > 0.999 * (1 << 20)
