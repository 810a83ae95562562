"""The first minutes in Python: what a person types, and what must appear."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import wellbegun as wb
from wellbegun.laws import Law, Normal
from wellbegun.layout import Layout
from wellbegun.planning import Choice, recipe_of
from wellbegun.schemes import Scheme


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def test_which_init_did_we_use() -> None:
    result = wb.initialize(mlp(), torch.randn(64, 64), seed=7)
    record = next(record for record in result.ledger.records if record.name == "0.weight")
    assert (record.outcome, result.ledger.seed) == ("filled", 7)
    assert "Orthogonal" in record.law
    assert result.plan["0.weight"].reason in record.reason


def test_the_same_weights_on_two_machines() -> None:
    one, other = mlp(), mlp()
    for model in (one, other):
        wb.initialize(model, (64, 64), seed=7, threads=1 if model is one else 2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


class Residual(nn.Module):
    """A small ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.last = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        return self.fc(torch.relu(x + self.last(self.second(x))).mean((2, 3)))


def test_a_new_head_on_a_trained_backbone() -> None:
    torch.manual_seed(0)
    model, x, y = Residual(), torch.randn(64, 3, 8, 8), torch.randint(0, 10, (64,))
    steps = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(10):
        steps.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        steps.step()
    model.fc = nn.Linear(8, 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = wb.initialize(model, x, only=["fc.*"], seed=0)
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert set(changed) <= {"fc.weight", "fc.bias"}
    assert "fc.weight" in changed
    assert result.health.healthy
    assert result.ledger.counts() == {"filled": 2, "kept": 8, "tied": 0}


def test_masks_and_padding_in_bert() -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = transformers.BertConfig(**sizes, vocab_size=100, max_position_embeddings=32, num_labels=3)
    model = transformers.BertForSequenceClassification(config)
    ids, mask = torch.randint(1, 100, (8, 16)), torch.ones(8, 16, dtype=torch.int64)
    mask[::2, 9:] = 0
    ids[mask == 0] = 0
    batch = {"input_ids": ids, "attention_mask": mask}
    assert wb.check(model, {**batch, "labels": torch.randint(0, 3, (8,))}).healthy
    result = wb.initialize(model, batch, seed=0)
    assert result.health.healthy
    assert not model.bert.embeddings.word_embeddings.weight[0].any()  # the row of the padding stays zero


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 32, padding_idx=0)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        padded = tokens == 0
        hidden = self.layers(self.table(tokens), src_key_padding_mask=padded)
        return self.head(hidden.masked_fill(padded[..., None], 0).sum(1) / (~padded).sum(1, keepdim=True))


def test_masks_and_padding_by_hand() -> None:
    tokens = torch.randint(1, 50, (8, 12))
    tokens[::2, 7:] = 0
    model = Encoder()
    assert wb.initialize(model, tokens, seed=0).health.healthy
    assert not model.table.weight[0].any()


def test_a_dataloader_as_batch() -> None:
    loader = DataLoader(TensorDataset(torch.randn(64, 64), torch.randint(0, 10, (64,))), batch_size=32)
    for call in (wb.check, wb.plan, wb.initialize):
        with pytest.raises(wb.errors.ArgumentTypeError, match=r"got 'DataLoader'. Give one .*next\(iter\(loader\)\)"):
            call(mlp(), loader)
    health = wb.check(mlp(), next(iter(loader)))
    assert health.healthy
    assert "taken for targets" in health.notes[0]


def test_pixels_from_0_to_255() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    images = torch.randint(0, 256, (32, 8, 8)).float()
    found = wb.check(model, images).findings[0]
    assert (found.code, found.title) == ("W902", "raw scale of the batch")
    assert "standardize" in found.remedy
    assert wb.check(model, (images - images.mean()) / images.std()).healthy


WRONG = {
    "a number": (3, ""),
    "its name": ("net.py:mlp", ""),
    "the function that makes it": (mlp, "Call what makes the model"),
    "its class": (nn.Linear, "Call what makes the model"),
    "nothing": (None, ""),
    "its values": (mlp().state_dict(), "give the model that holds them"),
}
TAKES: dict[str, Callable[[Any], object]] = {
    "plan": lambda model: wb.plan(model, (2, 64)),
    "initialize": lambda model: wb.initialize(model, (2, 64)),
    "check": lambda model: wb.check(model, (2, 64)),
    "apply": lambda model: wb.apply(model, wb.plan(mlp(), (2, 64), seed=0)),
    "signal_propagation": lambda model: wb.signal_propagation(model, wb.plan(mlp(), (2, 64), seed=0), (2, 64)),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("name", TAKES)
def test_a_wrong_model(name: str, what: str) -> None:
    given, remedy = WRONG[what]
    with pytest.raises(wb.errors.ArgumentTypeError, match=r"model must be a torch\.nn\.Module") as raised:
        TAKES[name](given)
    assert remedy in str(raised.value)


@pytest.mark.parametrize("call", [wb.show, wb.report, lambda x: wb.explain(x, "0.weight"), lambda x: wb.diff(x, x)])
def test_a_model_where_a_result_is_meant(call: Callable[[Any], object]) -> None:
    with pytest.raises(wb.errors.ArgumentTypeError, match=r"must be a .*; got 'Sequential'"):
        call(mlp())


def test_a_race_of_what_is_no_function() -> None:
    with pytest.raises(wb.errors.ArgumentTypeError, match="build must be a function"):
        wb.race(["default"], 3, "digits")  # type: ignore[arg-type]


@dataclass(frozen=True, repr=False)
class Halving(Scheme):
    """A scheme of one's own: half of what LeCun takes."""

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        return Normal(0, 0.5 * layout.fans(shape).fan_in ** -0.5)


def test_my_own_scheme() -> None:
    model, mine = mlp(), Halving("halving()")
    plan = wb.plan(model, (4, 64), rules=[("0.weight", mine)], seed=0)
    assert plan["0.weight"].scheme == "halving()"
    assert plan["0.weight"].law == Normal(0, 0.0625)
    wb.apply(model, plan)
    assert float(model[0].weight.detach().std()) == pytest.approx(0.0625, rel=0.1)


def test_my_own_scheme_is_a_function() -> None:
    def mine(fans: wb.Fans) -> Law:
        return Normal(0, 0.5 * fans.fan_in**-0.5)

    model = mlp()
    result = wb.initialize(model, (64, 64), rules={"0.weight": mine}, seed=0)
    assert result.plan["0.weight"].scheme == "mine()"
    assert float(model[0].weight.detach().std()) == pytest.approx(0.0625, rel=0.1)
    with pytest.raises(wb.errors.RuleError, match="what it returns must be a law .* or a scheme; got"):
        wb.plan(model, (64, 64), rules={"0.weight": lambda shape: torch.randn(shape)})


class Loud:
    """A recipe of one's own: classic, with readouts at 1 / fan_in."""

    full_name = "loud@1"

    def choose(self, graph: Any, roles: Any, decided: Any) -> Any:
        chosen = dict(recipe_of("classic").choose(graph, roles, decided))
        for name, role in roles.items():
            if role.role == "readout":
                chosen[name] = Choice(wb.normal(std=0.5), "readouts of ours are loud")
        return chosen

    def notes(self, roles: Any) -> tuple[str, ...]:
        return ()


def test_my_own_recipe() -> None:
    result = wb.initialize(mlp(), (64, 64), recipe=Loud(), seed=0)
    assert result.plan.recipe == "loud@1"
    assert result.plan["2.weight"].reason == "readouts of ours are loud"
    assert result.plan["0.weight"].scheme == "he_normal()"


def test_my_own_recipe_is_a_function() -> None:
    def mine(role: Any) -> Any:
        return "zeros" if role.role == "bias" else wb.he_normal()

    plan = wb.plan(mlp(), (64, 64), recipe=mine, seed=0)
    assert plan.recipe == "mine@1"
    assert [entry.scheme for entry in plan.entries] == ["he_normal()", "zeros()"] * 2
