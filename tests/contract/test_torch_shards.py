"""Sharded parameters get the same values as whole ones, without communication: each process fills its own part."""

import subprocess
import sys

import pytest
import torch

CODE = """
import sys
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Partial, Replicate, Shard, distribute_tensor
import wellbegun as wb
from wellbegun.torch.shards import local_part
from wellbegun.errors import TraceError


def net():
    layers = nn.Linear(12, 30), nn.Tanh(), nn.Linear(30, 30, bias=False), nn.ReLU(), nn.Linear(30, 7)
    return nn.Sequential(*layers).bfloat16()


def work(rank, world, file):
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=world)
    mesh = init_device_mesh("cpu", (world,))
    plan = wb.plan(net(), (4, 12), seed=3)  # made before anything is sharded; every process makes the same one
    whole = net()
    wb.apply(whole, plan)
    model = net()
    ways = [Shard(0), Shard(0), Shard(1), Replicate(), Shard(0)]  # 30 and 7 rows do not divide by 2 and 3 alike
    for (name, parameter), way in zip(list(model.named_parameters()), ways, strict=True):
        module, _, attribute = name.rpartition(".")
        values = distribute_tensor(torch.zeros_like(parameter), mesh, [way])
        setattr(model.get_submodule(module), attribute, nn.Parameter(values))
    ledger = wb.apply(model, plan)
    assert ledger.counts()["filled"] == 5, ledger
    for (name, sharded), expected in zip(model.named_parameters(), whole.parameters(), strict=True):
        assert torch.equal(sharded.full_tensor(), expected), name
    for name, parameter in model.named_parameters():
        local, region = local_part(parameter, name)
        part = dict(whole.named_parameters())[name][tuple(slice(*bounds) for bounds in region)]
        assert torch.equal(local, part.detach()), name
    term = nn.Parameter(nn.Linear(2, 2).weight.detach())
    pending = torch.distributed.tensor.DTensor.from_local(term.detach(), mesh, [Partial()])
    try:
        local_part(pending, "w")
    except TraceError as error:
        assert "terms of a sum" in str(error)
    else:
        raise AssertionError("partial sums were taken for values")
    dist.destroy_process_group()
    open(f"same.{rank}", "w").close()  # lines printed by two processes may mix


if __name__ == "__main__":
    mp.spawn(work, (int(sys.argv[1]), sys.argv[2]), int(sys.argv[1]))
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch has no distributed package here")
@pytest.mark.parametrize("world", [2, 3])
def test_shards_in_processes_of_their_own_hold_the_bits_of_the_whole(tmp_path, world: int) -> None:
    (tmp_path / "shards.py").write_text(CODE)
    found = subprocess.run(
        [sys.executable, "shards.py", str(world), str(tmp_path / "meeting")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert sorted(path.name for path in tmp_path.glob("same.*")) == [f"same.{rank}" for rank in range(world)]
