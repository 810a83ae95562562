"""A remedy is tried before it is printed: pasted, it removes its finding and brings no other, or it is words."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb
from wellbegun.api import trials

X = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))


def plain(*last: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    hidden = [m for i in range(4) for m in (nn.Linear(32, 32), nn.ReLU())]
    model = nn.Sequential(*hidden, *(last or (nn.Linear(32, 10),)))
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    return model


class Bent(nn.Module):
    """Weights that cannot be negative."""

    def __init__(self, function: Any, std: float) -> None:
        super().__init__()
        self.function, self.first, self.last = function, nn.Linear(32, 48), nn.Linear(48, 5)
        self.hidden = nn.ParameterList([nn.Parameter(std * torch.randn(48, 48)) for _ in range(4)])
        self.beside = nn.ModuleList(nn.Linear(32, 48) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = torch.relu(self.first(x))
        for weight, beside in zip(self.hidden, self.beside, strict=True):
            z = torch.relu(functional.linear(z, self.function(weight)) + beside(x))
        return self.last(z)


class Scaled(nn.Module):
    """What no weight can mend: the output is multiplied."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = plain()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(self.layers(x))


def damaged(*damages: Any) -> nn.Module:
    model = plain()
    with torch.no_grad():
        for damage in damages:
            damage(model)
    return model


CASES = {
    "a layer of zeros": lambda: damaged(lambda m: m[2].weight.zero_()),
    "two layers of zeros": lambda: damaged(lambda m: m[2].weight.zero_(), lambda m: m[4].weight.zero_()),
    "nan in two layers": lambda: damaged(*(lambda m, i=i: m[i].weight[0, :1].fill_(math.nan) for i in (2, 4))),
    "a loud readout": lambda: damaged(lambda m: m[8].weight.mul_(30)),
    "a loud bias of the readout": lambda: damaged(lambda m: m[8].bias[3].fill_(30)),
    "a layer too small": lambda: damaged(lambda m: m[4].weight.mul_(1e-3)),
    "units that are dead": lambda: damaged(lambda m: m[2].bias.fill_(-30)),
    "a logarithm of what is negative": Scaled,
    "softplus of the weights": lambda: Bent(functional.softplus, 0.1),
    "exp of the weights": lambda: Bent(torch.exp, 0.1),
    "squares of the weights": lambda: Bent(torch.square, 1.0),
}


def pasted(model: nn.Module, remedy: str) -> wb.Health:
    again = copy.deepcopy(model)
    exec(remedy, {"wb": wb, "model": again, "batch": X})
    return wb.check(again, X)


@pytest.mark.parametrize("name", CASES)
def test_a_remedy_mends_what_it_is_for_and_brings_nothing(name: str) -> None:
    torch.manual_seed(0)
    model = CASES[name]()
    state, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    health = wb.check(model, X)
    assert not health.healthy
    assert all(torch.equal(v, state[k]) or v.isnan().any() for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    first = {found.code: found for found in reversed(health.findings) if found.severity == "unhealthy"}
    for code, found in first.items():
        if found.remedy.startswith("#"):
            assert "does not mend" in found.remedy
            continue
        after = pasted(model, found.remedy)
        assert len([f for f in after.findings if f.code == code]) < len([f for f in health.findings if f.code == code])
        assert code == "W401" or set(after.codes) <= set(health.codes)
    mended = [found for found in first.values() if not found.remedy.startswith("#")]
    assert bool(mended) == ("logarithm" not in name)


def test_a_healthy_model_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = []
    monkeypatch.setattr(copy, "deepcopy", lambda thing, *_: copies.append(thing))
    assert wb.check(plain(), X).healthy
    assert not copies


def test_trials_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    count = []
    own = trials._Trials._after
    monkeypatch.setattr(trials._Trials, "_after", lambda self, *call: count.append(call) or own(self, *call))
    model = damaged(*(lambda m, i=i: m[i].weight.fill_(3.0) for i in (0, 2, 4, 6)), lambda m: m[8].weight.mul_(1e4))
    wb.check(model, X)
    assert 0 < len(count) <= trials.MOST
    assert len(set(count)) == len(count)


def test_each_trial_is_told_before_it_begins_and_an_error_of_the_teller_is_its_own() -> None:
    told: list[str] = []
    wb.check(damaged(lambda m: m[2].weight.zero_()), X, progress=lambda done, total, what: told.append(what))
    assert any(what.startswith("try wb.initialize(") for what in told)

    def stop(done: int, total: int, what: str) -> None:
        if what.startswith("try"):
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        wb.check(damaged(lambda m: m[2].weight.zero_()), X, progress=stop)


class Uncopyable(nn.Sequential):
    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("holds a connection")


def test_what_cannot_be_copied_is_said_and_keeps_what_is_proposed() -> None:
    model = Uncopyable(*damaged(lambda m: m[2].weight.zero_()))
    health = wb.check(model, X)
    assert "not tried" in health.notes[-1]
    assert "holds a connection" in health.notes[-1]
    assert health.findings[0].remedy == "wb.initialize(model, batch, only=['2.weight'])  # not tried"


def test_a_copy_that_runs_on_the_models_own_parameters_tells_nothing() -> None:
    """Its forward pass is a closure, which no copy changes."""
    inner = damaged(lambda m: m[2].weight.zero_())
    model = nn.ModuleDict({"it": inner})
    model.forward = lambda x: inner(x)
    before = copy.deepcopy(model.state_dict())
    health = wb.check(model, X)
    assert health.codes
    assert "not tried" in " ".join(health.notes)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_large_models_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "LARGEST", 100)
    health = wb.check(damaged(lambda m: m[2].weight.zero_()), X)
    assert "not copied above 100" in health.notes[-1]


def test_the_same_seed_gives_the_same_remedies() -> None:
    model = damaged(lambda m: m[2].weight.zero_(), lambda m: m[8].weight.mul_(30))
    assert wb.check(model, X, seed=3).findings == wb.check(model, X, seed=3).findings
    with pytest.raises(wb.errors.ArgumentError if hasattr(wb, "errors") else ValueError):
        wb.check(model, X, seed=-1)


def test_trained_values_are_not_drawn_again() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(32, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8)
    )
    labels = torch.randint(0, 8, (64,))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(150):
        optimizer.zero_grad()
        functional.cross_entropy(model(X), labels).backward()
        optimizer.step()
    model.zero_grad()
    assert wb.check(model, X).healthy  # confident outputs are no fault of what was trained
    with torch.no_grad():
        model[3].weight.mul_(1e3)
    health = wb.check(model, X)
    assert health.codes
    assert all(f.remedy.startswith("#") for f in health.findings if f.severity == "unhealthy")
    assert any("trained" in f.remedy for f in health.findings)


def test_jax_too() -> None:
    nnx = pytest.importorskip("flax.nnx")
    import jax

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.a, self.b, self.c = (nnx.Linear(16, 16, rngs=nnx.Rngs(i)) for i in range(3))

        def __call__(self, x: Any) -> Any:
            return self.c(nnx.relu(self.b(nnx.relu(self.a(x)))))

    model, x = Net(), jax.random.normal(jax.random.key(0), (32, 16))
    model.b.kernel.set_value(0 * model.b.kernel.get_value())
    found = wb.check(model, x).findings[0]
    assert found.code == "W301"
    assert float(abs(model.b.kernel.get_value()).max()) == 0
    exec(found.remedy, {"wb": wb, "model": model, "batch": x})
    assert wb.check(model, x).healthy
