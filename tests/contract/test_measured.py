"""Recipes that measure on a batch: what each promises, on the batch, beside the same model without the refinement."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import wellbegun as wb
from wellbegun.backend import find
from wellbegun.errors import TraceError
from wellbegun.measure.losses import made_up
from wellbegun.measure.refined.learned import _Search
from wellbegun.measure.refined.point import Landscape
from wellbegun.measure.signals import random_signal
from wellbegun.planning import Plan, gradinit, krahenbuhl, lsuv, metainit
from wellbegun.planning.recipes.measured import FirstStep
from wellbegun.torch.handles import TensorHandle


def drawn(*shape: int) -> torch.Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(0)) + 1


def equal(one: nn.Module, two: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def replayed(build: Callable[[], nn.Module], plan: Plan) -> nn.Module:
    """What a plan gives without the batch, from disk."""
    read = wb.storage.plan_from_json(wb.storage.plan_to_json(plan))
    assert read == plan
    return wb.apply(build(), read).model


def outputs(model: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What each weighted layer gives when it runs first."""
    found: dict[str, torch.Tensor] = {}

    def seen(name: str) -> Any:
        def look(module: Any, inputs: Any, output: torch.Tensor) -> None:
            found.setdefault(name, output.detach().double())

        return look

    layers = nn.Linear, nn.Conv2d, nn.ConvTranspose2d
    hooks = [
        module.register_forward_hook(seen(name)) for name, module in model.named_modules() if isinstance(module, layers)
    ]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return found


# ---------------------------------------------------------------------- lsuv
class Late(nn.Module):
    """Layers are registered in the opposite order of their use, and one is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.twice, self.first = nn.Linear(32, 5), nn.Linear(32, 32), nn.Linear(24, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        return self.last(torch.relu(self.twice(torch.relu(self.twice(x)))))


def images() -> nn.Module:
    first, last = nn.Conv2d(3, 8, 3, stride=2), nn.ConvTranspose2d(8, 6, 3, groups=2)
    return nn.Sequential(
        first, nn.Tanh(), nn.Conv2d(8, 8, 3, groups=2), nn.ReLU(), last, nn.Flatten(), nn.Linear(150, 5)
    )


@pytest.mark.parametrize(("build", "shape"), [(Late, (64, 24)), (images, (32, 3, 11, 11))])
def test_lsuv_gives_every_layer_unit_variance_in_order_of_use(build: Any, shape: tuple[int, ...]) -> None:
    model, plain, batch = build(), build(), drawn(*shape)
    plan = wb.initialize(model, batch, recipe="lsuv", seed=0).plan
    assert plan.recipe == "lsuv@1"
    assert all(abs(float(y.var(correction=0)) - 1) <= 0.1 + 1e-3 for y in outputs(model, batch).values())
    assert equal(model, replayed(build, plan))
    wb.initialize(plain, batch, recipe="lsuv", seed=0, calibrate=False)
    assert any(abs(float(y.var(correction=0)) - 1) > 0.2 for y in outputs(plain, batch).values())


def test_lsuv_knows_fused_projections_biases_rules_and_tables() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention, self.table = nn.MultiheadAttention(8, 2, batch_first=True), nn.Embedding(9, 8)
            self.shifted, self.kept = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            x = 3 * self.table(tokens)
            y = torch.cat([x, 4 * x], dim=1)
            x = x + self.attention(x, y, y)[0]  # queries and keys in two products
            return self.kept(self.shifted(x)) @ self.table.weight.T

    model, tokens = Attention(), torch.arange(45).reshape(5, 9) % 9
    rules = [("shifted.bias", "constant(0.5)"), ("kept.weight", "normal(std=0.5)")]
    plan = wb.initialize(model, tokens, recipe=lsuv(tolerance=1e-3), rules=rules, seed=0).plan
    with torch.no_grad():
        x = 3 * model.table(tokens)
        query, key, value = model.attention.in_proj_weight.chunk(3)
        given = [x @ query.T, *(torch.cat([x, 4 * x], dim=1) @ w.T for w in (key, value))]
    # keys and values are one product in torch, of matrices that are fitted one by one
    assert [float(y.var(correction=0)) for y in given] == pytest.approx([1, 1, 1], abs=2e-3)
    assert float(outputs(model, tokens)["shifted"].var(correction=0)) == pytest.approx(1, abs=2e-3)
    assert (plan["kept.weight"].law, plan["table.weight"].factor) == (wb.laws.Normal(0, 0.5), 1)
    assert plan.recipe == "lsuv@1(tolerance=0.001)"
    assert any("a table too" in note and "table.weight" in note for note in plan.notes)
    assert equal(model, replayed(Attention, plan))


def test_lsuv_leaves_what_does_not_vary_and_says_so() -> None:
    class Fed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.live, self.still = nn.Linear(8, 8), nn.Linear(8, 8)
            nn.utils.parametrizations.spectral_norm(self.live)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.live(x) + self.still(0 * x)

    plan = wb.initialize(Fed(), drawn(16, 8), recipe="lsuv", seed=0).plan
    assert plan["still.weight"].factor == plan["live.weight"].factor == 1
    assert any("does not vary on the batch: still.weight" in note for note in plan.notes)
    assert any("size is held" in note and "live.weight" in note for note in plan.notes)
    starts = "lsuv@1 measures when `initialize` is given a batch: this plan is what it starts from"
    assert starts not in plan.notes
    assert starts in wb.plan(Fed(), (16, 8), recipe="lsuv", seed=0).notes
    shape = wb.initialize(Fed(), (16, 8), recipe="lsuv", seed=0).plan
    assert "lsuv@1: nothing was measured, because a shape holds no data. Pass a batch to `initialize`." in shape.notes
    with pytest.raises(wb.errors.ArgumentError, match="lsuv: tries must be an integer >= 1; got 0"):
        lsuv(tries=0)
    with pytest.raises(wb.errors.ArgumentTypeError, match="mup: recipe must be one that does not measure"):
        wb.planning.mup(base=4, recipe="lsuv")


# ---------------------------------------------------------------------- krahenbuhl
def by_unit(y: torch.Tensor) -> torch.Tensor:
    return y.movedim(1, -1).flatten(0, -2)


def rates(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """RMS(gradient) / RMS(weight) of each weight under the random signal that the balance sends back."""
    model.zero_grad()
    output = model(x)
    output.backward(torch.from_numpy(random_signal(tuple(output.shape)).spread(tuple(output.shape))))
    found = [p.grad.square().mean() / p.square().mean() for p in model.parameters() if p.ndim > 1]
    return torch.stack(found).sqrt().detach()


def convolutions() -> nn.Module:
    first, middle = nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 8, 3, groups=2)
    last = nn.ConvTranspose2d(8, 6, 3)
    return nn.Sequential(first, nn.ReLU(), middle, nn.ReLU(), last, nn.Flatten(), nn.Linear(150, 5))


CASES = [(Late, (64, 24)), (convolutions, (64, 3, 11, 11))]


@pytest.mark.parametrize(("build", "shape"), CASES)
def test_krahenbuhl_gives_units_one_mean_and_deviation_then_layers_one_rate(build: Any, shape: tuple[int, ...]) -> None:
    within, batch = build(), drawn(*shape)
    plan = wb.initialize(within, batch, recipe=krahenbuhl(beta=0.25, rounds=0), seed=0).plan
    assert equal(within, replayed(build, plan))
    first = {name: by_unit(y) for name, y in outputs(within, batch).items()}
    if build is Late:  # the last layer is measured where it runs
        first["last"] = within(batch).detach()
    for name, y in first.items():
        assert torch.allclose(y.mean(0), torch.tensor(0.25, dtype=y.dtype), atol=1e-4), name
        assert torch.allclose(y.std(0, correction=0), torch.tensor(1.0, dtype=y.dtype), rtol=1e-4), name
    uneven = rates(within, batch)
    assert uneven.max() > 5 * uneven.min()  # the control: rates before the balance

    model = build()
    plan = wb.initialize(model, batch, recipe=krahenbuhl(beta=0.25), seed=0).plan
    assert equal(model, replayed(build, plan))
    even = rates(model, batch)
    assert even.max() < 1.05 * even.min()
    if build is convolutions:  # positively homogeneous: units stay alike, and the output is what it was
        for name, y in outputs(model, batch).items():
            deviation = by_unit(y).std(0, correction=0)
            assert torch.allclose(deviation, deviation.mean().expand_as(deviation), rtol=1e-3), name
            assert torch.allclose(by_unit(y).mean(0), 0.25 * deviation, atol=1e-3 * float(deviation.mean())), name
        assert torch.allclose(model(batch), within(batch), rtol=2e-2, atol=2e-2)


def test_krahenbuhl_takes_principal_components() -> None:
    def build() -> nn.Module:
        first, last = nn.Conv2d(4, 6, 3, groups=2), nn.Linear(96, 12)
        return nn.Sequential(first, nn.Tanh(), nn.Flatten(), last)

    def correlated(model: nn.Module) -> list[float]:
        found = [torch.corrcoef(by_unit(y).T) for y in outputs(model, batch).values()]
        found[0] = torch.block_diag(found[0][:3, :3], found[0][3:, 3:])  # components are taken within a group
        return [float((c - torch.diag(c.diag())).abs().max()) for c in found]

    mixed = torch.randn(256, 6, 6, 4, generator=torch.Generator().manual_seed(3)) @ torch.tensor(
        [[2.0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]
    )
    model, plain, batch = build(), build(), mixed.movedim(-1, 1)
    plan = wb.initialize(model, batch, recipe=krahenbuhl(weights="pca", rounds=0), seed=0).plan
    wb.initialize(plain, batch, recipe=krahenbuhl(rounds=0), seed=0)
    assert all(new < 1e-2 for new in correlated(model))
    assert all(old > 0.2 for old in correlated(plain))
    assert plan["3.weight"].scheme == "given"
    assert equal(model, replayed(build, plan))
    few = wb.initialize(build(), batch[:4], recipe=krahenbuhl(weights="pca"), seed=0)  # fewer samples than units
    assert all(torch.isfinite(p).all() for p in few.model.parameters())


def test_krahenbuhl_leaves_rules_and_dead_units_and_says_so() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    rules = [("2.weight", "normal(std=0.5)"), ("4.bias", "constant(7)")]
    plan = wb.initialize(model, drawn(32, 8), recipe=krahenbuhl(), rules=rules, seed=0).plan
    assert plan["2.weight"].law == wb.laws.Normal(0, 0.5)
    assert float(model[4].bias.detach()[0]) == 7
    assert any("not the recipe's" in note and "4.bias" in note for note in plan.notes)
    still = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    plan = wb.initialize(still, torch.ones(32, 8), recipe="krahenbuhl", seed=0).plan
    assert any("units of it do not vary" in note for note in plan.notes)
    assert all(torch.isfinite(p).all() for p in still.parameters())
    with pytest.raises(wb.errors.WellbegunError, match="krahenbuhl: weights must be one of 'normal', 'pca'; got 'zca'"):
        krahenbuhl(weights="zca")


# ---------------------------------------------------------------------- gradinit
LABELS = torch.randint(0, 5, (64,), generator=torch.Generator().manual_seed(1))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 5))


def after_a_step(model: nn.Module, x: torch.Tensor, optimizer: str, eta: float) -> tuple[float, float]:
    """Loss behind one step, and the length of the gradient before it."""
    model.zero_grad()
    nn.functional.cross_entropy(model(x), LABELS).backward()
    slopes = [p.grad for p in model.parameters() if p.grad is not None]
    adam = optimizer == "adam"
    length = sum(g.abs().sum() for g in slopes) if adam else sum(g.square().sum() for g in slopes) ** 0.5
    with torch.no_grad():
        for p, g in zip(model.parameters(), slopes, strict=True):
            p -= eta * (g.sign() if adam else g)
        return float(nn.functional.cross_entropy(model(x), LABELS)), float(length)


@pytest.mark.parametrize(
    ("optimizer", "eta", "gamma", "scale", "own"),
    [("sgd", 0.1, 1.0, 2.0, False), ("sgd", 0.1, 1.0, 0.1, True), ("adam", 0.001, 30.0, 2.0, True)],
)
def test_gradinit_learns_a_better_first_step_within_its_bound(
    optimizer: str, eta: float, gamma: float, scale: float, own: bool
) -> None:
    x, plain, model = scale * drawn(64, 24), mlp(), mlp()
    method = gradinit(optimizer=optimizer, gamma=gamma, steps=60)
    loss = {"loss": lambda output: nn.functional.cross_entropy(output, LABELS)} if own else {}
    batch = x if own else {"input": x, "labels": LABELS}
    wb.initialize(plain, x, recipe=method, seed=0, calibrate=False)
    plan = wb.initialize(model, batch, recipe=method, seed=0, **loss).plan
    assert equal(model, replayed(mlp, plan))
    for one, two in zip(plain.parameters(), model.parameters(), strict=True):  # a factor each
        ratio = (two / one)[one != 0].detach()
        assert ratio.numel() == 0 or float(ratio.std()) < 1e-5 * float(ratio.mean())
    (old, long), (new, short) = (after_a_step(each, x, optimizer, eta) for each in (plain, model))
    assert short <= gamma * (1 + 1e-4 if own else 1.3)  # of the whole batch; of two thirds of it where these are known
    assert new < old - 0.01
    assert long > gamma or scale < 1


def test_gradinit_takes_batches_that_share_half_and_says_what_it_cannot() -> None:
    model, plan = mlp(), wb.plan(mlp(), (60, 24), recipe="gradinit", seed=0)
    wb.apply(model, plan)
    names = dict(model.named_parameters())
    first = nn.functional.cross_entropy(model(drawn(60, 24)), LABELS[:60])
    with find(model).session(model, {"input": drawn(60, 24), "labels": LABELS[:60]}) as session:
        search = _Search(FirstStep(), Landscape(session, plan))
        one, two = search._half(1), search._half(2)
        assert one is not None
        assert (one.sum(), two.sum(), (one * two).sum()) == (40, 40, 20)
        start = search.land.start
        whole = search.land.gradient(start)[1]
        parts = [search.land.gradient(start, search._half(number))[1] for number in (1, 2, 3)]
        for name in start:  # three thirds, each twice
            assert np.allclose(sum(part[name] for part in parts) / 3, whole[name], atol=1e-6)
        along = {name: np.sin(np.arange(values.size)).reshape(values.shape) for name, values in start.items()}
        bent = search.land.product(start, whole, along)
    free = [names[name] for name in start]
    slopes = torch.autograd.grad(first, free, create_graph=True)
    total = sum((g * torch.from_numpy(along[name])).sum() for name, g in zip(start, slopes, strict=True))
    for name, exact in zip(start, torch.autograd.grad(total, free), strict=True):
        assert np.allclose(bent[name], exact, atol=0.05 * float(exact.abs().max()))
    stuck = wb.initialize(mlp(), 1e3 * drawn(64, 24), recipe=gradinit(gamma=1e-9, steps=1), seed=0).plan
    assert any("the gradient is longer than 1e-09 after 1 steps" in note for note in stuck.notes)
    with pytest.raises(wb.errors.ArgumentError, match="gradinit: gamma must be a finite number > 0; got -1"):
        gradinit(gamma=-1)


# ---------------------------------------------------------------------- weight_norm
class Directed(nn.Module):
    """A weight of a direction and a length that the module holds itself."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.v, self.g = nn.Parameter(torch.randn(outputs, inputs)), nn.Parameter(torch.ones(outputs, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.g * self.v / self.v.norm(dim=1, keepdim=True), self.bias)


class ActNorm(nn.Module):
    """Scale and shift of each channel, in either order; the scale may be an exponential."""

    def __init__(self, channels: int, *, shift_first: bool, exponential: bool) -> None:
        super().__init__()
        self.shift_first, self.exponential = shift_first, exponential
        self.shift = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.scale = nn.Parameter(torch.full((1, channels, 1, 1), 0.0 if exponential else 1.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = self.scale.exp() if self.exponential else self.scale
        return (x + self.shift) * scale if self.shift_first else x * scale + self.shift


def weight_normed() -> nn.Module:
    new, old = nn.utils.parametrizations.weight_norm(nn.Linear(12, 10)), nn.utils.weight_norm(nn.Linear(10, 6))
    return nn.Sequential(Directed(24, 12), nn.Tanh(), new, nn.ReLU(), old)


def flow() -> nn.Module:
    kinds = [{"shift_first": first, "exponential": power} for first in (True, False) for power in (True, False)]
    layers = [layer for kind in kinds for layer in (nn.Conv2d(3, 3, 1), ActNorm(3, **kind), nn.ReLU())]
    return nn.Sequential(ActNorm(3, **kinds[0]), *layers[:-1])


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize(("build", "shape"), [(weight_normed, (64, 24)), (flow, (32, 3, 5, 5))])
def test_weight_norm_and_actnorm_give_mean_0_and_deviation_1(build: Any, shape: tuple[int, ...]) -> None:
    def worst(model: nn.Module) -> float:
        """How far means are from 0 and deviations from 1."""
        x, far = drawn(*shape), 0.0
        for layer in model:  # type: ignore[attr-defined]
            x = layer(x).detach()
            if isinstance(layer, (Directed, ActNorm, nn.Linear)):
                y = by_unit(x)
                far = max(far, float(y.mean(0).abs().max()), float((y.std(0, correction=0) - 1).abs().max()))
        return far

    model, plain = build(), build()
    plan = wb.initialize(model, drawn(*shape), recipe="weight_norm", seed=0).plan
    wb.initialize(plain, drawn(*shape), recipe="weight_norm", seed=0, calibrate=False)
    assert worst(model) < 1e-4
    assert worst(plain) > 0.3
    assert equal(model, replayed(build, plan))
    if build is weight_normed:
        v = model[0].v.detach()  # type: ignore[index]
        assert float(v.std()) == pytest.approx(0.05, rel=0.15)
        t = drawn(*shape) @ (v / v.norm(dim=1, keepdim=True)).T
        assert torch.allclose(model[0].g.detach().flatten(), 1 / t.std(0, correction=0), rtol=1e-4)  # type: ignore[index]
        assert torch.allclose(model[0].bias.detach(), -(t / t.std(0, correction=0)).mean(0), atol=1e-4)  # type: ignore[index]


def test_weight_norm_says_where_lengths_are_those_of_inputs() -> None:
    def build(dim: int) -> nn.Sequential:
        back = nn.utils.parametrizations.weight_norm(nn.ConvTranspose2d(6, 4, 3), dim=dim)
        return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ELU(), back)

    notes = {
        dim: wb.initialize(build(dim), drawn(16, 3, 6, 6), recipe="weight_norm", seed=0).plan.notes for dim in (0, 1)
    }
    assert any("2.weight" in note and "give dim=1" in note for note in notes[0])
    assert not any("give dim=1" in note for note in notes[1])


def test_weight_norm_leaves_channels_that_do_not_vary_and_other_layers() -> None:
    x = drawn(32, 3, 5, 5)
    x[:, 1] = 4.0
    model = nn.Sequential(ActNorm(3, shift_first=True, exponential=True))
    plan = wb.initialize(model, x, recipe="weight_norm", seed=0).plan
    assert (float(model[0].shift.detach()[0, 1]), float(model[0].scale.detach()[0, 1])) == (0, 0)
    assert float(model(x)[:, 0].std(correction=0).detach()) == pytest.approx(1, rel=1e-4)
    assert any("channels of it do not vary" in note and "0.scale" in note for note in plan.notes)
    plan = wb.initialize(mlp(), drawn(64, 24), recipe="weight_norm", seed=0).plan
    assert any("nothing here is a weight-normalized layer" in note for note in plan.notes)

    class Scaled(nn.Module):  # a bias of a layer and the scale of a branch are no ActNorm
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.randn(8, 8)), nn.Parameter(torch.zeros(8))
            self.gamma = nn.Parameter(torch.full((8,), 1e-3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + (x @ self.weight + self.bias) * self.gamma

    assert wb.initialize(Scaled(), drawn(16, 8), recipe="weight_norm", seed=0).plan["gamma"].action == "keep"


# ---------------------------------------------------------------------- metainit
def bent() -> nn.Module:
    return nn.Sequential(nn.Linear(24, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 5))


def gradient_quotient(model: nn.Module, x: torch.Tensor) -> float:
    """By double backward, over the weights: biases are 0 and stay."""
    weights, output = [p for p in model.parameters() if p.ndim > 1], model(x)
    labels = torch.from_numpy(made_up(TensorHandle(output.detach()), axis=1).loss.labels)  # type: ignore[union-attr]
    slopes = torch.autograd.grad(nn.functional.cross_entropy(output, labels), weights, create_graph=True)
    products = torch.autograd.grad(sum((g**2).sum() / 2 for g in slopes), weights)  # type: ignore[arg-type]
    terms = [((g - p) / (g + 1e-5 * (2 * (g >= 0) - 1)) - 1).abs() for g, p in zip(slopes, products, strict=True)]
    return float(torch.cat([term.flatten() for term in terms]).mean().detach())


def test_metainit_lowers_the_gradient_quotient_along_directions_that_stay() -> None:
    x, plain, model = drawn(32, 24), bent(), bent()
    wb.initialize(plain, x, recipe="metainit", seed=0, calibrate=False)
    plan = wb.initialize(model, x, recipe=metainit(steps=12), seed=0).plan
    assert gradient_quotient(model, x) < 0.6 * gradient_quotient(plain, x)
    assert equal(model, replayed(bent, plan))
    for one, two in zip(plain.parameters(), model.parameters(), strict=True):
        ratio = (two / one)[one != 0].detach()
        assert ratio.numel() == 0 or float(ratio.std()) < 1e-5 * float(ratio.mean())
    assert [plan[name].factor for name in ("0.bias", "2.bias", "4.bias")] == [1, 1, 1]
    measured = wb.initialize(bent(), (32, 24), recipe=metainit(steps=12), seed=0).plan  # needs no data
    assert not any("nothing was measured" in note for note in measured.notes)
    assert measured["0.weight"].factor != 1
    with pytest.raises(wb.errors.ArgumentError, match="metainit: momentum must be a number >= 0 and below 1; got 1"):
        metainit(momentum=1.0)


# ---------------------------------------------------------------------- what a user's functions raise, and are told
class Stop(RuntimeError):
    """Of the user's own."""


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


MEASURED = ["lsuv", "krahenbuhl", "weight_norm", wb.planning.gradinit(steps=2), wb.planning.metainit(steps=1)]


@pytest.mark.parametrize("recipe", MEASURED, ids=lambda recipe: getattr(recipe, "name", recipe))
def test_progress_is_told_of_the_measurement_and_may_end_it(recipe: Any) -> None:
    told, batch = list[tuple[int, int, str]](), torch.randn(12, 6)
    wb.initialize(small(), batch, recipe=recipe, seed=0, progress=lambda *step: told.append(step))
    assert [what.split()[0] for _, _, what in told if what.startswith("correct")]
    assert all(0 <= done < total for done, total, _ in told)
    for number in (next(n for n, step in enumerate(told) if step[2].startswith("correct")), len(told) - 1):
        model, steps = small(), iter(range(len(told)))
        before = {name: value.clone() for name, value in model.state_dict().items()}

        def stop(*_: object, number: int = number, steps: Any = steps) -> None:
            if next(steps) == number:
                raise Stop

        with pytest.raises(Stop):
            wb.initialize(model, batch, recipe=recipe, seed=0, progress=stop)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("recipe", MEASURED, ids=lambda recipe: getattr(recipe, "name", recipe))
def test_a_loss_that_fails_is_told_as_the_loss(recipe: Any) -> None:
    model, calls = small(), iter(range(100))
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def loss(output: torch.Tensor) -> torch.Tensor:
        if next(calls) == (0 if isinstance(recipe, str) else 2):
            raise Stop("no")
        return output.square().mean()

    with pytest.raises(TraceError, match="initialize: the loss failed on the model's output: no") as caught:
        wb.initialize(model, torch.randn(12, 6), recipe=recipe, seed=0, loss=loss)
    assert isinstance(caught.value.__cause__, Stop)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
