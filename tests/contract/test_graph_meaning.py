"""A graph says what it means in fields: names are for people, and the order of axes is no meaning."""

import dataclasses
import random
import string
from collections.abc import Callable
from typing import Any

import health_cases
import pytest
import recipe_models
import torch
import torch_models
import zoo
from torch import nn

from wellbegun.errors import WellbegunError
from wellbegun.graph import ModelGraph, Role, roles_of
from wellbegun.planning import Plan, make_plan
from wellbegun.planning.propagation import signal_propagation
from wellbegun.torch.trace.recording import trace

Made = tuple[nn.Module, Any]
TEXT, PICTURES, drawn = torch.arange(24).reshape(2, 12) % 50, torch.rand(2, 3, 32, 32), health_cases.drawn
MODELS: dict[str, Callable[[], Made]] = {
    "GPT": lambda: (recipe_models.GPT(32, 2), TEXT),
    "Llama": lambda: (recipe_models.Llama(32, 2), TEXT),
    "encoder": lambda: (recipe_models.Encoder(32, 2), TEXT),
    "encoder, no norm": lambda: (recipe_models.Encoder(32, 2, norm="none", hidden=48), TEXT),
    "translator": lambda: (recipe_models.Translator(32, 2, 2, norm="pre", head=16, relative=True), (TEXT, TEXT)),
    "ViT": lambda: (recipe_models.ViT(32, 2, fused=True), PICTURES),
    "ConvNeXt": lambda: (recipe_models.ConvNeXt(16, 2), PICTURES),
    "ResNet": lambda: (recipe_models.ResNet(8, 2), PICTURES),
    "fixup": lambda: (recipe_models.ResNet(8, 2, kind="fixup"), PICTURES),
    "Siren": lambda: (recipe_models.Siren(32, 3), drawn(64, 2)),
    "generator": lambda: (recipe_models.Generator(16), drawn(4, 32, 1, 1)),
    "actor and critic": lambda: (recipe_models.ActorCritic(32, 4), drawn(32, 8)),
    "hybrid": lambda: (torch_models.Hybrid(), drawn(8, 1, 8, 8)),
    "named": lambda: (torch_models.Named("a", "b", "c"), drawn(8, 16)),
    "tied": lambda: (torch_models.TiedLM(), {"tokens": TEXT[:, :8] % 30}),
    "plain": lambda: (torch_models.plain(8, nn.Tanh, 32), drawn(32, 20)),
    "experts, gathered": lambda: (zoo.Experts("gathered"), drawn(10, 16)),
    "experts, dense": lambda: (zoo.Experts("dense"), drawn(10, 16)),
    "GCN": lambda: (zoo.GCN(), (drawn(6, 12), torch.eye(6))),
}
SLOW = ("hugging", "GPT-2", "Llama", "ViT", "BERT", "GAN", "Mamba")


def cases() -> dict[str, Callable[[], Made]]:
    """Models of the health tests, without the large ones."""
    named = [name for name in health_cases.CASES if not any(word in name for word in SLOW)]
    return {f"case: {name}": health_cases.CASES[name].make for name in named[::3][:24]}


def renamed(graph: ModelGraph) -> ModelGraph:
    """The same graph, with every operation called something random."""
    letters = random.Random(0)
    names = ["".join(letters.choices(string.ascii_letters + "_", k=8)) for _ in graph.operations]
    operations = [dataclasses.replace(o, name=name) for o, name in zip(graph.operations, names, strict=True)]
    return dataclasses.replace(graph, operations=tuple(operations))


def role_facts(role: Role) -> Any:
    """A role without the places that people are shown."""
    met = None if role.met is None else dataclasses.replace(role.met, place="")
    beside = None if role.beside is None else role.beside.parameter.name
    return dataclasses.replace(role, place="", met=met, beside=None), beside, role.net, role.fed_by


def decisions(plan: Plan) -> list[Any]:
    return [dataclasses.replace(e, place="", meets=(), reason="") for e in plan.entries]


def planned(graph: ModelGraph) -> Any:
    """Plans by two recipes, and what theory says of each; or the error."""
    found: list[Any] = []
    for recipe in ("auto", "classic"):
        try:
            plan = make_plan(graph, recipe=recipe, seed=0)
            rows = signal_propagation(graph, plan).rows
            found.append((decisions(plan), [dataclasses.replace(row, place="", reason="") for row in rows]))
        except WellbegunError as error:
            found.append(type(error))
    return found


@pytest.mark.parametrize("name", [*MODELS, *cases()])
def test_names_of_operations_are_for_people_only(name: str) -> None:
    torch.manual_seed(0)
    model, batch = {**MODELS, **cases()}[name]()
    graph = trace(model, batch)
    other = renamed(graph)
    assert [role_facts(role) for role in roles_of(graph).values()] == [role_facts(r) for r in roles_of(other).values()]
    assert repr(planned(graph)) == repr(planned(other))


def test_there_are_enough_models() -> None:
    assert len({**MODELS, **cases()}) >= 40


# ---------------------------------------------------------------------- order of axes
class Turned(nn.Module):
    """A layer for channels second, in a net whose channels are last."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        order = (0, x.ndim - 1, *range(1, x.ndim - 1))
        back = (0, *range(2, x.ndim), 1)
        return self.layer(x.permute(order)).permute(back)


class Plain(Turned):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


class Picture(nn.Module):
    """Convolutions, norms and a residual block, over images or series."""

    def __init__(self, rank: int, *, last: bool, norm: str = "batch") -> None:
        super().__init__()
        conv = {1: nn.Conv1d, 2: nn.Conv2d}[rank]
        normed = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}[rank] if norm == "batch" else lambda n: nn.GroupNorm(2, n)
        turn = Turned if last else Plain
        self.first, self.norm = turn(conv(3, 16, 3, padding=1)), turn(normed(16))
        self.one, self.two = turn(conv(16, 32, 3, padding=1, bias=False)), turn(conv(32, 16, 1))
        self.pool = turn({1: nn.MaxPool1d, 2: nn.MaxPool2d}[rank](2))
        self.head, self.rank, self.last = nn.Linear(16, 5), rank, last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.first(x)).relu()
        x = self.pool(x + self.two(torch.nn.functional.gelu(self.one(x))))
        axes = tuple(range(1, self.rank + 1)) if self.last else tuple(range(2, self.rank + 2))
        return self.head(x.mean(axes))


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("rank", [1, 2])
def test_channels_last_is_the_same_net(rank: int, norm: str) -> None:
    batch = drawn(4, 3, *[8] * rank)
    second, last = Picture(rank, last=False, norm=norm), Picture(rank, last=True, norm=norm)
    last.load_state_dict(second.state_dict())
    one, two = trace(second, batch), trace(last, batch.movedim(1, -1).contiguous())
    facts = [[(r.parameter.name, r.role, r.layout, r.met and (r.met.what, r.met.name), r.depth, r.block, r.ends_branch)
              for r in roles_of(graph).values()] for graph in (one, two)]  # fmt: skip
    assert facts[0] == facts[1]
    for recipe in ("auto", "classic", "fixup"):
        plans = [make_plan(graph, recipe=recipe, seed=0).entries for graph in (one, two)]
        assert [(e.name, e.law, e.layout, e.action) for e in plans[0]] == [
            (e.name, e.law, e.layout, e.action) for e in plans[1]
        ]


@pytest.mark.parametrize("rank", [1, 2])
def test_the_axis_of_units_is_known(rank: int) -> None:
    batch = drawn(4, 3, *[8] * rank)
    for last in (False, True):
        graph = trace(Picture(rank, last=last), batch.movedim(1, -1).contiguous() if last else batch)
        sums = [operation for operation in graph.operations if operation.kind == "add"]
        assert [operation.axis for operation in sums] == [rank + 1 if last else 1]
        assert {operation.axis for operation in graph.operations if operation.kind == "conv"} == {1}
        assert {operation.axis for operation in graph.operations if operation.kind == "linear"} == {1}


class Mixture(nn.Module):
    """A branch that ends in an average, by shares from a router or by those of an attention."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.stem, self.out = kind, nn.Linear(8, 16), nn.Linear(16, 4)
        self.router, self.key = nn.Linear(16, 6, bias=False), nn.Linear(16, 16)
        self.up, self.down = (nn.Parameter(torch.randn(shape) / 4) for shape in ((3, 16, 32), (3, 32, 16)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        logits = self.router(x)
        slots = torch.einsum("btd,bts->bsd", x, logits.softmax(1)).unflatten(1, (3, 2))
        hidden = torch.relu(torch.einsum("besd,edh->besh", slots, self.up))
        given = torch.einsum("besh,ehd->besd", hidden, self.down).flatten(1, 2)
        if self.kind == "attention":
            logits = x @ self.key(x).transpose(1, 2)
        return self.out(x + logits.softmax(2) @ given)


@pytest.mark.parametrize(("kind", "ends"), [("soft experts", True), ("attention", False)])
def test_down_weights_of_soft_experts_end_their_branch(kind: str, ends: bool) -> None:
    role = roles_of(trace(Mixture(kind), torch.randn(4, 6, 8)))["down"]
    assert (role.role == "residual_out", role.ends_branch) == (ends, ends)
