"""Sharded parameters get the same values as whole ones, without communication: each process fills its own part."""

import subprocess
import sys

import pytest
import torch

CODE = """
import os
import sys
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Partial, Replicate, Shard, distribute_tensor
import wellbegun as wb
from wellbegun.torch import init
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
    ledger = wb.apply(model, plan).ledger
    assert ledger.counts()["filled"] == 5, ledger
    for (name, sharded), expected in zip(model.named_parameters(), whole.parameters(), strict=True):
        assert torch.equal(sharded.full_tensor(), expected), name
    for name, parameter in model.named_parameters():
        local, region = local_part(parameter, name)
        part = dict(whole.named_parameters())[name][tuple(slice(*bounds) for bounds in region)]
        assert torch.equal(local, part.detach()), name
    term = nn.Parameter(nn.Linear(2, 2).weight.detach())
    for ask in (init.orthogonal_, init.kaiming_uniform_, init.eye_):
        torch.manual_seed(rank)  # every process has a generator of its own; the first one's counts
        sharded = ask(distribute_tensor(torch.zeros(7, 5), mesh, [Shard(0)])).full_tensor()
        torch.manual_seed(0)
        assert torch.equal(sharded, ask(torch.empty(7, 5))), ask
    sharded = init.dirac_(distribute_tensor(torch.ones(6, 2, 4), mesh, [Shard(0)]), 2).full_tensor()
    assert torch.equal(sharded, torch.nn.init.dirac_(torch.ones(6, 2, 4), 2))
    pending = torch.distributed.tensor.DTensor.from_local(term.detach(), mesh, [Partial()])
    try:
        local_part(pending, "w")
    except TraceError as error:
        assert "terms of a sum" in str(error)
    else:
        raise AssertionError("partial sums were taken for values")
    dist.barrier()
    open(f"same.{rank}", "w").close()  # lines printed by two processes may mix
    os._exit(0)  # gloo's threads abort now and then where processes end one after the other


if __name__ == "__main__":
    wb.plan(net(), (4, 12))  # what planning loads, once for all
    mp.start_processes(work, (int(sys.argv[1]), sys.argv[2]), int(sys.argv[1]), start_method="fork")
"""


SHARDED = """
import os
import copy
import sys
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
import wellbegun as wb
from wellbegun.errors import TraceError


def net():
    norm = nn.LayerNorm(30)
    return nn.Sequential(nn.Linear(12, 30), norm, nn.Tanh(), nn.Linear(30, 30, bias=False), nn.ReLU(), nn.Linear(30, 7))


class Choosing(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(12, 7)

    def forward(self, x):
        return self.layer(x if float(x.sum()) > 0 else -x)


def fully(model, mesh):
    fully_shard(model[3], mesh=mesh)
    return fully_shard(model, mesh=mesh)


def tensors(model, mesh):
    return parallelize_module(model, mesh, {"3": ColwiseParallel(), "5": RowwiseParallel()})


def same(sharded, whole):
    for (name, part), expected in zip(sharded.named_parameters(), whole.parameters(), strict=True):
        found = part.full_tensor() if isinstance(part, DTensor) else part
        assert torch.equal(found, expected), name


def work(rank, world, file):
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=world)
    mesh = init_device_mesh("cpu", (world,))
    batch = 3 * torch.randn(16, 12, generator=torch.Generator().manual_seed(rank))  # each process has data of its own
    first = 3 * torch.randn(16, 12, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    for shard in (fully, tensors):
        whole = net()
        model = shard(copy.deepcopy(whole), mesh)
        kinds = [type(part) for part in model.parameters()]
        assert DTensor in kinds
        hooks = [len(module._forward_pre_hooks) for module in model.modules()]
        same(model, whole)
        expected = wb.plan(whole, (4, 12), seed=3)
        plan = wb.plan(model, (4, 12), seed=3)
        assert wb.diff(plan, expected).identical
        assert [entry.reason for entry in plan.entries] == [entry.reason for entry in expected.entries]
        same(model, whole)  # planning writes nothing
        health = wb.check(model, batch)
        assert health.codes == wb.check(whole, batch).codes
        assert health.statistics.loss == wb.check(whole, batch).statistics.loss
        result = wb.initialize(model, batch)  # no seed: one is drawn for all processes
        plans = [None] * world
        dist.all_gather_object(plans, result.plan.to_dict())
        assert all(found == plans[0] for found in plans)
        assert any(entry.factor != 1 for entry in result.plan.entries)  # corrected by the batch of the first process
        corrected = wb.initialize(copy.deepcopy(whole), first, seed=result.plan.seed).plan
        assert wb.diff(result.plan, corrected).identical
        wb.apply(whole, result.plan)
        same(model, whole)
        assert result.health.healthy, result.health.codes
        assert [type(part) for part in model.parameters()] == kinds
        assert [len(module._forward_pre_hooks) for module in model.modules()] == hooks
        out = model(batch)
        (out.full_tensor() if isinstance(out, DTensor) else out).square().mean().backward()
        assert all(part.grad is not None for part in model.parameters())
    try:
        wb.plan(fully_shard(Choosing(), mesh=mesh), (4, 12), seed=0)
    except TraceError as error:
        assert "Plan it before it is sharded, and apply the plan after" in str(error)
    else:
        raise AssertionError("a path that depends on values was planned without values")
    with torch.device("meta"):
        empty = net()
    plan = wb.plan(fully(empty, mesh), (4, 12), seed=3)  # the usual way of a large model
    assert wb.diff(plan, expected).identical
    empty.to_empty(device="cpu")
    wb.apply(empty, plan)
    wb.apply(whole, expected)
    same(empty, whole)
    dist.barrier()
    open(f"same.{rank}", "w").close()
    os._exit(0)


if __name__ == "__main__":
    wb.plan(net(), (4, 12))  # what planning loads, once for all
    mp.start_processes(work, (int(sys.argv[1]), sys.argv[2]), int(sys.argv[1]), start_method="fork")
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch has no distributed package here")
@pytest.mark.parametrize(("code", "world"), [(CODE, 3), (SHARDED, 2)], ids=["uneven", "sharded first"])
def test_shards_in_processes_of_their_own_hold_the_bits_of_the_whole(tmp_path, code: str, world: int) -> None:
    (tmp_path / "shards.py").write_text(code)
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
