"""auto@2 on real models and data: forward, backward and first loss, measured without the tracer."""

import json
import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb
from wellbegun.planning import Plan
from wellbegun.storage import load_plan, save_plan

datasets = pytest.importorskip("sklearn.datasets")
DIGITS = datasets.load_digits()
X = torch.tensor((DIGITS.data - DIGITS.data.mean()) / DIGITS.data.std(), dtype=torch.float32)[:128]
Y = torch.tensor(DIGITS.target)[:128]
CHANCE = math.log(10)


class Of(nn.Module):
    def __init__(self, function: Callable) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def plain(function: Callable, layers: int, width: int = 64) -> nn.Sequential:
    torch.manual_seed(0)
    sizes = [64, *[width] * (layers - 1)]
    hidden = [[nn.Linear(a, b), Of(function)] for a, b in pairwise(sizes)]
    return nn.Sequential(*(module for pair in hidden for module in pair), nn.Linear(width, 10))


def measured(model: nn.Sequential, x: torch.Tensor = X, y: torch.Tensor = Y) -> tuple[list[float], list[float], float]:
    """RMS of the output of each linear or convolutional layer, norm of the gradient there, loss: by hooks alone."""
    outputs: list[torch.Tensor] = []

    def keep(module: nn.Module, args: object, output: torch.Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    layers = [module for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    hooks = [layer.register_forward_hook(keep) for layer in layers]
    loss = functional.cross_entropy(model(x), y)
    loss.backward()
    for hook in hooks:
        hook.remove()
    model.zero_grad()
    signals = [float(output.detach().pow(2).mean().sqrt()) for output in outputs]
    return signals, [float(output.grad.norm()) for output in outputs], float(loss.detach())


FUNCTIONS: dict[str, tuple[Callable, int]] = {
    "relu": (torch.relu, 50),
    "leaky_relu": (lambda x: functional.leaky_relu(x, 0.2), 50),
    "elu": (functional.elu, 50),
    "selu": (functional.selu, 50),
    "gelu": (functional.gelu, 50),
    "silu": (functional.silu, 50),
    "mish": (functional.mish, 50),
    "tanh": (torch.tanh, 50),
    "softsign": (functional.softsign, 50),
    "sigmoid": (torch.sigmoid, 50),
    "sin": (torch.sin, 50),
    "inline": (lambda x: x / (1 + x * x).sqrt(), 50),
    "squared relu": (lambda x: torch.relu(x) ** 2, 6),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_deep_plain_nets_carry_signal_and_gradient(name: str) -> None:
    function, layers = FUNCTIONS[name]
    model = plain(function, layers)
    result = wb.initialize(model, X, seed=0)
    assert result.health.healthy, result.health.codes
    signals, gradients, loss = measured(model)
    hidden = signals[:-1]
    assert max(hidden) / min(hidden) < 2.5
    assert 1 / 3 < gradients[0] / gradients[-2] < 3  # the growth the operating point allows, and as much below
    assert loss < 1.05 * CHANCE + 4 * noise(signals[-1], len(X))


def noise(logits: float, rows: int) -> float:
    """Standard error of a first loss whose labels know nothing of the logits."""
    return logits / math.sqrt(rows)


@pytest.mark.parametrize("name", ["relu", "gelu", "tanh", "sigmoid"])
def test_without_it_they_do_not(name: str) -> None:
    model = plain(*FUNCTIONS[name])
    _, gradients, _ = measured(model)
    assert not 1e-3 < gradients[0] / gradients[-2] < 1e3  # the framework's default


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_a_thousand_layers(name: str) -> None:
    model = plain(FUNCTIONS[name][0], 1000, width=32)
    wb.initialize(model, X, seed=0)
    signals, gradients, loss = measured(model)
    assert max(signals[:-1]) / min(signals[:-1]) < 3.5
    assert 1 / 4 < gradients[0] / gradients[-2] < 4
    assert loss < 1.05 * CHANCE


def test_deep_plain_nets_learn_where_the_default_does_not() -> None:
    def trained(model: nn.Module) -> float:
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        for _ in range(25):
            loss = functional.cross_entropy(model(X), Y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    for function in (torch.relu, torch.tanh):
        assert trained(plain(function, 30)) > 0.95 * CHANCE
        model = plain(function, 30)
        wb.initialize(model, X, seed=0)
        assert trained(model) < 0.5 * CHANCE


def test_mirrored_nets_are_linear_at_the_start_and_only_there() -> None:
    model = plain(torch.relu, 20).double()
    wb.initialize(model, X.double(), seed=0)
    bias = model[-1].bias.detach()
    with torch.no_grad():
        model[0].bias.zero_()  # its offsets let units bend at different places
        at, opposite, double = (model(scale * X.double()) - bias for scale in (1, -1, 2))
    assert torch.allclose(at, -opposite, atol=1e-9)
    assert torch.allclose(2 * at, double, atol=1e-9)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(5):
        optimizer.zero_grad()
        functional.cross_entropy(model(X.double()), Y).backward()
        optimizer.step()
    with torch.no_grad():
        bias = model(0 * X[:1].double())
        broken = (model(X.double()) + model(-X.double()) - 2 * bias).abs().max() / model(X.double()).abs().max()
    assert broken > 0.01  # training has parted the pairs


def images(layers: list[nn.Module], head: list[nn.Module]) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*layers, *head)


def test_convolutions_with_padding_and_pools() -> None:
    layers: list[nn.Module] = []
    for index in range(24):
        layers += [nn.Conv2d(16 if index else 1, 16, 3, padding=1), nn.GELU()]
        layers += [nn.MaxPool2d(2)] if index == 12 else []
    model = images(layers, [nn.Flatten(), nn.Linear(16 * 16, 10)])
    grid = X.reshape(-1, 1, 8, 8)
    result = wb.initialize(model, grid, seed=0)
    assert result.health.healthy
    signals, gradients, loss = measured(model, grid)
    assert max(signals[:-1]) / min(signals[:-1]) < 2.5
    assert 1 / 5 < gradients[0] / gradients[-2] < 5  # zero padding loses some at each border
    assert loss < 1.06 * CHANCE


class Residual(nn.Module):
    def __init__(self, blocks: int, norm: bool, width: int = 64) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Linear(64, width)
        make = nn.LayerNorm if norm else lambda _: nn.Identity()
        self.blocks = nn.ModuleList(
            nn.Sequential(make(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
            for _ in range(blocks)
        )
        self.head = nn.Linear(width, 10)
        self.streams: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        self.streams = [x]
        for block in self.blocks:
            x = x + block(x)
            self.streams.append(x)
        return self.head(x)


@pytest.mark.parametrize("norm", [True, False])
def test_residual_streams_do_not_grow_with_depth(norm: bool) -> None:
    grown = {}
    for blocks in (4, 64):
        model = Residual(blocks, norm)
        result = wb.initialize(model, X, seed=0)
        assert result.health.healthy, result.health.codes
        model(X)
        sizes = [float(stream.detach().pow(2).mean().sqrt()) for stream in model.streams]
        grown[blocks] = sizes[-1] / sizes[0]
    assert grown[4] < 2
    assert grown[64] < 2
    default = Residual(64, True)
    default(X)
    if norm:
        sizes = [float(stream.detach().pow(2).mean().sqrt()) for stream in default.streams]
        assert sizes[-1] / sizes[0] > 2  # the control: branches that nobody damps add up


def test_intended_zeros_and_the_users_choices_stand() -> None:
    model = Residual(3, True)
    rules = [("blocks.*.3.weight", "zeros"), ("stem.weight", "normal(std=0.3)"), ("head.bias", "constant(0.5)")]
    result = wb.initialize(model, X, rules=rules, seed=0)
    assert all(float(block[3].weight.detach().abs().max()) == 0 for block in model.blocks)
    assert float(model.stem.weight.detach().std()) == pytest.approx(0.3, rel=0.05)
    assert result.plan["stem.weight"].factor == 1
    assert (model.head.bias == 0.5).all()


def test_a_corrected_plan_is_carried_out_again_bit_for_bit_without_the_batch(tmp_path) -> None:
    one, two = plain(torch.sigmoid, 12), plain(torch.sigmoid, 12)
    result = wb.initialize(one, X * 3, seed=4)
    assert any(entry.factor != 1 for entry in result.plan.entries)
    save_plan(result.plan, tmp_path / "plan.json")
    wb.apply(two, load_plan(tmp_path / "plan.json"))
    for (name, a), b in zip(one.named_parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert Plan.from_dict(json.loads(json.dumps(result.plan.to_dict()))) == result.plan


def test_calibration_can_be_left_out_and_changes_nothing_else() -> None:
    model = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 10))
    before = [buffer.clone() for buffer in model.buffers()]
    state = torch.random.get_rng_state()
    plan = wb.initialize(model, X * 5, calibrate=False, seed=0).plan
    assert all(entry.factor == 1 for entry in plan.entries)
    wb.initialize(model, X * 5, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.buffers(), strict=True))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert model.training


def test_the_mean_of_a_sigmoid_is_cancelled_by_the_next_bias() -> None:
    model = plain(torch.sigmoid, 6)
    wb.initialize(model, X, seed=0)
    with torch.no_grad():
        for index in (2, 4, 6, 8):
            found = model[index].bias
            expected = -0.5 * model[index].weight.double().sum(dim=1)
            assert torch.allclose(found.double(), expected, atol=1e-6)
    kept = wb.plan(plain(torch.sigmoid, 6), X, rules=[("4.weight", "keep")], seed=0)
    assert kept["4.bias"].scheme == "zeros()"  # nothing is known of what is kept


def test_odd_widths_fall_back_and_still_carry_the_signal() -> None:
    torch.manual_seed(0)
    sizes = [64, 33, 35, 31, 33]
    pairs = [[nn.Linear(a, b), nn.ReLU()] for a, b in pairwise(sizes)]
    model = nn.Sequential(*(module for pair in pairs for module in pair), nn.Linear(33, 10))
    result = wb.initialize(model, X, seed=0)
    assert not any("mirrored" in entry.scheme for entry in result.plan.entries)
    signals, gradients, loss = measured(model)
    assert all(0.9 < signal < 1.1 for signal in signals[1:-1])
    assert signals[0] < 0.9  # a first layer
    assert loss < 1.05 * CHANCE
    assert 0.2 < gradients[0] / gradients[-2] < 5


@pytest.mark.parametrize("function", [torch.relu, torch.tanh])
def test_changing_widths_keep_signal_and_gradient_at_once(function: Callable) -> None:
    """Orthogonal matrices need no compromise between fan-in and fan-out; independent entries of either fan do."""

    def build() -> nn.Sequential:
        torch.manual_seed(0)
        pairs = [[nn.Linear(a, b), Of(function)] for a, b in pairwise([64, *[16, 64] * 10])]
        return nn.Sequential(*(module for pair in pairs for module in pair), nn.Linear(64, 10))

    model, fan_in = build(), build()
    wb.initialize(model, X, seed=0)
    wb.initialize(fan_in, X, seed=0, recipe="classic")
    signals, gradients, _ = measured(model)
    assert max(signals[1:-1]) / min(signals[1:-1]) < 1.2
    assert signals[0] < signals[1] < 1.5 * signals[0]  # a first layer
    assert max(gradients[:-1]) / min(gradients[:-1]) < 3
    signals, gradients, _ = measured(fan_in)
    assert max(signals[:-1]) / min(signals[:-1]) > 1.5 or max(gradients[:-1]) / min(gradients[:-1]) > 6


def test_every_choice_says_why_and_names_a_source() -> None:
    plan = wb.plan(Residual(2, True), X, seed=0)
    for entry in plan.entries:
        assert entry.reason
        assert entry.reason[0] == entry.reason[0].lower()
    assert all(entry.source for entry in plan.entries if entry.role in ("hidden", "residual_out", "readout"))
    assert (
        "1 of 2 branches" in plan["blocks.0.3.weight"].reason or "one of 2 branches" in plan["blocks.0.3.weight"].reason
    )


def test_readouts_of_many_and_few_classes_start_at_chance() -> None:
    for classes in (2, 3, 1000):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, classes))
        wb.initialize(model, X, seed=0)
        target = torch.from_numpy(np.random.default_rng(0).integers(0, classes, len(X)))
        loss = float(functional.cross_entropy(model(X), target).detach())
        logits = model(X).detach()
        expected = float((logits.logsumexp(dim=1) - logits.mean(dim=1)).mean())  # over all labels
        assert expected < 1.03 * math.log(classes), classes
        assert loss < 1.05 * math.log(classes) + 4 * noise(float(logits.std()), len(X)), classes
        assert float(logits.std()) > 0.05  # and not by saying nothing


def test_sines_of_coordinate_nets_oscillate() -> None:
    """sin(30 a) is meant to turn: phases of variance 36 and 1, not the linear start of sin(a) in a deep net."""

    class Siren(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(2, 256), nn.Linear(256, 256), nn.Linear(256, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.phases = [30 * self.a(x)]
            self.phases.append(30 * self.b(torch.sin(self.phases[0])))
            return self.c(torch.sin(self.phases[1]))

    grid = torch.linspace(-1, 1, 40)
    x = torch.stack(torch.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    model = Siren()
    wb.initialize(model, x, seed=0)
    model(x)
    first = model.phases[0] - 30 * model.a.bias
    assert float(first.detach().pow(2).mean().sqrt()) == pytest.approx(6, rel=0.05)
    assert float(model.phases[1].detach().pow(2).mean().sqrt()) == pytest.approx(1, rel=0.05)
    assert float((30 * model.a.bias).detach().abs().max()) == pytest.approx(math.pi, rel=0.05)


@pytest.mark.parametrize("act", [nn.ReLU(), nn.Tanh()])
def test_units_that_read_the_input_bend_at_different_places(act: nn.Module) -> None:
    """Half the variance in the first layer, and offsets within its RMS; only there, and only before a function."""
    torch.manual_seed(0)
    stem, body = nn.Linear(4, 256), nn.Linear(256, 256)
    wb.initialize(nn.Sequential(stem, act, body, act, nn.Linear(256, 3)), x := torch.randn(512, 4), seed=0)
    given = float((x @ stem.weight.T).detach().pow(2).mean().sqrt())
    offsets = stem.bias.detach()
    inner = body(act(stem(x))).detach().pow(2).mean().sqrt()
    assert given == pytest.approx(float(inner) * math.sqrt(0.5), rel=0.05)
    assert float(offsets.abs().max()) == pytest.approx(given, rel=0.05)
    assert float(offsets.std()) == pytest.approx(given / math.sqrt(3), rel=0.1)
    others = nn.Sequential(nn.Embedding(9, 32), nn.Linear(32, 64), act, nn.Linear(64, 3))  # no numbers of the batch
    wb.initialize(others, torch.arange(9), seed=0)
    straight = nn.Sequential(nn.Linear(4, 32), nn.LayerNorm(32), act, nn.Linear(32, 3))  # the norm decides
    wb.initialize(straight, x, seed=0)
    assert not others[1].bias.any()
    assert not straight[0].bias.any()


@pytest.mark.parametrize(
    ("forward", "offsets"),
    [
        (lambda x, w, v, b: (x @ w + b).relu() @ v, True),
        (lambda x, w, v, b: (x @ w + b).relu() @ v + (-x @ w + b).relu() @ v, True),  # two that read the input
        (lambda x, w, v, b: (x @ w).sigmoid() @ w.T + b, False),  # what decodes is no first layer
        (lambda x, w, v, b: ((x @ w + b).relu() @ w + b).relu() @ v, False),  # nor what comes again
        (lambda x, w, v, b: ((x @ w + b).relu() @ v + b).relu() @ v, False),  # the second adds it to what is not first
        (lambda x, w, v, b: (x @ w + 9 * b).relu() @ v, False),
        (lambda x, w, v, b: (x @ w + b.exp()).relu() @ v, False),
        (lambda x, w, v, b: functional.linear(x, w, b.expand(32)).relu() @ v, True),
        (lambda x, w, v, b: functional.linear(x, w, 3 * b.expand(32)).relu() @ v, False),
        (lambda x, w, v, b: (x @ w + b.view(1, -1)).relu() @ v, True),
    ],
)
def test_offsets_are_added_to_first_layers_and_to_nothing_else(forward: Callable, offsets: bool) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.v = (nn.Parameter(torch.randn(32, 32) / 8) for _ in "wv")
            self.b = nn.Parameter(torch.zeros(32))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return forward(x, self.w, self.v, self.b)

    torch.manual_seed(0)
    model = Own()
    assert isinstance(wb.plan(model, torch.randn(64, 32), seed=0)["b"].law, wb.laws.Uniform) is offsets
    model.b = nn.Parameter(torch.zeros(1))  # one for all units moves no kink apart from others
    assert not isinstance(wb.plan(model, torch.randn(64, 32), seed=0)["b"].law, wb.laws.Uniform)


@pytest.mark.parametrize("size", [1.0, 0.01, 0.0001])
def test_offsets_do_not_hide_inputs_that_are_too_small_to_be_made_up_for(size: float) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 10)), size * torch.randn(64, 20)
    result = wb.initialize(model, x, seed=0)
    assert result.health.healthy
    assert float(model[0].bias.detach().std()) < 4 * float((x @ model[0].weight.T).detach().std())
    assert bool(model[0].bias.any())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wb.apply(model, result.plan)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    given = wb.initialize(model, x, seed=0, rules=[("0.bias", wb.uniform(-0.7, 0.7))]).plan["0.bias"]
    assert given.law == wb.laws.Uniform(-0.7, 0.7)


@pytest.mark.parametrize(("fickle", "told"), [(lambda run: run == 1, False), (lambda run: run % 2, True)])
def test_a_run_that_leaves_the_traced_way_is_traced_again_and_told_if_it_does_so_again(fickle, told: bool) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(64, 32), nn.Linear(32, 32), nn.Linear(32, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            runs[0] += 1
            x = torch.relu(self.a(x))
            return self.c(self.b(x if fickle(runs[0]) else x.sin()))

    runs = [0]
    plan = wb.initialize(Two(), 3 * X, seed=0).plan
    assert any("left the traced way" in note for note in plan.notes) == told
    assert plan["a.weight"].factor != 1
    assert (plan["b.weight"].factor != 1) != told


class PostActivation(nn.Module):
    """relu(x + f(x)), without normalization."""

    def __init__(self, blocks: int = 8, width: int = 32) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(16, width), nn.Linear(width, 4)
        self.a, self.b = (nn.ModuleList(nn.Linear(width, width) for _ in range(blocks)) for _ in "ab")

    def features(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        for a, b in zip(self.a, self.b, strict=True):
            x = torch.relu(x + b(torch.relu(a(x))))
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


def test_a_stream_of_positive_values_carries_no_mean_to_its_readers() -> None:
    """Its units come in pairs, so the net starts as an odd function of its input, though every value is positive."""
    model, x = PostActivation(), torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
    result = wb.initialize(model, (64, 16), seed=0)
    assert "mirrored pairs" in result.plan["b.0.weight"].reason
    with torch.no_grad():
        assert torch.allclose(model(x), -model(-x), atol=1e-5)
        one, two = model.features(x).chunk(2, -1)
        assert float(model.features(x).mean()) > 0.2
        assert abs(float((one - two).mean())) < 0.1
        assert 0.5 < float((one - two).square().mean().sqrt()) < 4
    again = wb.plan(model, (64, 16), seed=0, rules=[("stem.weight", "he_normal")])
    assert "mirrored pairs" not in again["b.0.weight"].reason  # who writes the stream must agree


def test_what_is_averaged_over_positions_is_no_odd_function() -> None:
    """The mean of a linear map over positions says next to nothing; the members of pairs are read one by one there."""

    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
            self.head = nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(x).mean((2, 3)))

    model, x = Pooled(), torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    plan = wb.initialize(model, (16, 1, 8, 8), seed=0).plan
    assert "mirrored" in plan["body.2.weight"].scheme
    assert "mirrored" not in plan["head.weight"].scheme
    with torch.no_grad():
        even, odd = model(x) + model(-x), model(x) - model(-x)
    assert float((even - even.mean(0)).square().mean().sqrt()) > 0.3 * float(odd.square().mean().sqrt())


class Relative(nn.Module):
    """Attention whose queries are multiplied with a table of relative positions, or to which one is added."""

    def __init__(self, *, multiplied: bool, width: int = 256) -> None:
        super().__init__()
        self.multiplied = multiplied
        self.query, self.key, self.out = (nn.Linear(width, width) for _ in range(3))
        self.table = nn.Parameter(torch.zeros(31, width) if multiplied else torch.zeros(16, width))
        self.register_buffer("distance", torch.arange(16)[:, None] - torch.arange(16)[None] + 15)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x if self.multiplied else x + self.table
        query = self.query(x)
        logits = query @ self.key(x).mT * query.shape[-1] ** -0.5
        if self.multiplied:
            logits = logits + torch.einsum("bqc,qkc->bqk", query, self.table[self.distance])
        return self.out(torch.softmax(logits, dim=-1) @ x)


def test_relative_positions_leave_logits_of_unit_order() -> None:
    torch.manual_seed(0)
    model, batch = Relative(multiplied=True), torch.randn(4, 16, 256)
    result = wb.initialize(model, batch, seed=0, intent="overwrite")  # zeros stay otherwise
    assert result.plan["table"].law.std == 0.02
    assert "multiplied with a signal" in result.plan["table"].reason
    assert result.health.healthy
    assert 0.4 < result.health.statistics.attentions[0].logit_std < 2
    with torch.no_grad():
        model.table.mul_(25)  # the control: what positions that are added get
    assert "W601" in wb.check(model, batch).codes
    assert wb.plan(Relative(multiplied=False), batch, seed=0, intent="overwrite")["table"].law.std == 0.5
