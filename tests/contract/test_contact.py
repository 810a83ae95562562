"""What people have in hand: frozen parts, noise with a scale of its own, inputs called targets, prints."""

import contextlib
import io
import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint

import wellbegun as wb
from wellbegun.cli import _status

X = torch.randn(64, 16, generator=torch.Generator().manual_seed(1))


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


# ---------------------------------------------------------------------- parts of a computed weight that are frozen
class Halves(nn.Module):
    """A weight that is the sum of two, and is split in equal parts."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + b

    def right_inverse(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return w / 2, w / 2


def old_hook() -> nn.Module:
    return nn.utils.weight_norm(nn.Linear(32, 4, bias=False))


def lengths() -> nn.Module:
    return parametrizations.weight_norm(nn.Linear(32, 4, bias=False))


def halves() -> nn.Module:
    layer = nn.Linear(32, 4, bias=False)
    parametrize.register_parametrization(layer, "weight", Halves())
    return layer


def stacked() -> nn.Module:
    return parametrizations.spectral_norm(parametrizations.weight_norm(nn.Linear(32, 4, bias=False)))


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("make", [old_hook, lengths, halves, stacked])
def test_a_weight_is_kept_of_which_a_part_is_frozen(make, part: int) -> None:
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), make())
    parts = list(model[2].parameters())
    parts[part].requires_grad_(False)
    before = values(model)
    plan = wb.initialize(model, X, seed=0).plan
    after = values(model)
    assert all(torch.equal(after[name], before[name]) for name in before if name.startswith("2."))
    assert not torch.equal(after["0.weight"], before["0.weight"])
    assert plan["2.weight"].action == "keep"
    assert "is not trained" in plan["2.weight"].reason


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("make", [old_hook, lengths, halves, stacked])
def test_else_it_is_filled_and_frozen_parts_are_where_that_is_asked_for(make) -> None:
    for frozen, part in (("keep", None), ("fill", 0), ("fill", 1)):
        model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), make())
        if part is not None:
            list(model[2].parameters())[part].requires_grad_(False)
        before = values(model)
        wb.initialize(model, X, seed=0, frozen=frozen)
        assert any(not torch.equal(values(model)[name], before[name]) for name in before if name.startswith("2."))


# ---------------------------------------------------------------------- noise that has a scale of its own
SCALES = {
    "softplus": (functional.softplus, -4.5),
    "exponential": (torch.exp, -5.0),
    "logarithm of a variance": (lambda rho: (rho / 2).exp(), -9.0),
    "sigmoid": (torch.sigmoid, -4.5),
}


class Drawn(nn.Module):
    """A layer whose weights and biases are drawn anew in each pass."""

    def __init__(self, wide: int, out: int, how: str, spread: float) -> None:
        super().__init__()
        self.scale, centre = SCALES[how]
        self.mean, self.offset = (nn.Parameter(torch.empty(s).uniform_(-0.2, 0.2)) for s in ((out, wide), (out,)))
        self.rho, self.brho = (nn.Parameter(centre + spread * (2 * torch.rand(s) - 1)) for s in ((out, wide), (out,)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.mean + self.scale(self.rho) * torch.randn_like(self.rho)
        return functional.linear(x, weight, self.offset + self.scale(self.brho) * torch.randn_like(self.brho))


@pytest.mark.parametrize("spread", [0.0, 0.5])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
@pytest.mark.parametrize("how", SCALES)
def test_a_scale_of_noise_is_not_judged_as_the_bias_that_it_is_added_to(how: str, activation, spread: float) -> None:
    layers = (Drawn(16, 32, how, spread), activation(), Drawn(32, 32, how, spread), activation())
    model = nn.Sequential(*layers, Drawn(32, 1, how, spread))
    before = values(model)
    wb.initialize(model, X, seed=0)
    after = values(model)
    assert all(torch.equal(after[name], before[name]) for name in before if "rho" in name)
    assert not torch.equal(after["0.offset"], before["0.offset"])


def test_a_bias_behind_which_nothing_responds_is_not_kept() -> None:
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))
    nn.init.constant_(model[0].bias, -50.0)
    plan = wb.initialize(model, X, seed=0).plan
    assert bool((model[0].bias > -50).all())
    assert "does not respond" in plan["0.bias"].reason


# ---------------------------------------------------------------------- inputs that are called targets
class Clicks(nn.Module):
    """Whether an item is taken by one who took others: both are looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.items, self.out = nn.Embedding(100, 8), nn.Linear(16, 1)

    def forward(self, history: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        both = torch.cat([self.items(history).mean(1), self.items(target)], 1)
        return torch.sigmoid(self.out(both)).squeeze(1)


class Conditioned(nn.Module):
    """A value that is conditioned on a class, by a table or as one of many."""

    def __init__(self, by_table: bool) -> None:
        super().__init__()
        self.classes = nn.Embedding(50, 32) if by_table else nn.Linear(50, 32)
        self.first, self.out = nn.Linear(16, 32), nn.Linear(32, 1)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        given = y if isinstance(self.classes, nn.Embedding) else functional.one_hot(y, 50).float()
        return self.out(torch.relu(self.first(x) + self.classes(given)))


class Margin(nn.Module):
    """Logits from which those of the right classes lose a margin, so that they depend on the labels."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.net(x) - 0.1 * functional.one_hot(labels, 10)


class Beside(nn.Module):
    """A target that is taken and left alone."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, x: torch.Tensor, target: torch.Tensor | None = None) -> torch.Tensor:
        return self.net(x)


def test_what_the_output_is_made_of_is_no_target() -> None:
    torch.manual_seed(0)
    ids = torch.randint(10, 100, (64,))
    history = torch.randint(0, 100, (64, 10))
    assert wb.check(Clicks(), {"history": history, "target": ids}).codes == ()
    for by_table in (True, False):
        health = wb.check(Conditioned(by_table), {"x": X, "y": ids % 50})
        assert "random standard normal" in health.statistics.loss.description
        assert health.codes == ()


def test_what_the_output_is_made_of_is_no_target_in_jax() -> None:
    jax, nnx = pytest.importorskip("jax"), pytest.importorskip("flax.nnx")

    class Reads(nnx.Module):
        def __init__(self, apart: bool) -> None:
            rngs = nnx.Rngs(0)
            self.classes, self.first = nnx.Embed(50, 32, rngs=rngs), nnx.Linear(16, 32, rngs=rngs)
            self.out, self.apart = nnx.Linear(32, 1, rngs=rngs), apart

        def __call__(self, x, y):
            added = 0.0 if self.apart else self.classes(y)
            return self.out(jax.nn.relu(self.first(x) + added))

    batch = {"x": X.numpy(), "y": (torch.arange(64) % 50).int().numpy()}
    for apart in (False, True):
        loss = wb.check(Reads(apart), batch).statistics.loss
        assert ("random standard normal" in loss.description) == (not apart)


def test_labels_of_classes_and_targets_that_are_left_alone_are() -> None:
    torch.manual_seed(0)
    health = wb.check(Margin(), {"x": X, "labels": torch.randint(0, 10, (64,))})
    assert "random labels" not in health.statistics.loss.description
    health = wb.check(Beside(), {"x": X, "target": torch.randn(64)})
    assert "random" not in health.statistics.loss.description


# ---------------------------------------------------------------------- what user code prints, and checkpoints
FACTORY = """
import torch
from torch import nn

print("an import speaks")

class Loud(nn.Module):
    def __init__(self):
        super().__init__()
        print("a factory speaks")
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, x):
        print("a pass speaks")
        return self.net(x)
"""


@pytest.mark.parametrize(
    ("command", "more", "format"),
    [
        ("check", [], "json"),
        ("check", [], "junit"),
        ("plan", [], "json"),
        ("plan", [], "csv"),
        ("init", ["--out"], "json"),
    ],
)
def test_what_a_program_reads_holds_nothing_that_the_model_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, more: list[str], format: str
) -> None:
    file = tmp_path / "loud.py"
    file.write_text(FACTORY)
    more = [*more, str(tmp_path / "weights.safetensors")] if more else []
    status = _status([command, f"{file}:Loud", "--input", "4,8", *more, "--format", format])
    said = capsys.readouterr()
    assert status in (0, 1)
    assert "speaks" not in said.out
    assert said.err.count("a factory speaks") == 1
    if format == "json":
        assert json.loads(said.out)


def test_the_error_of_a_checkpoint_that_runs_again_names_its_remedy() -> None:
    class Again(nn.Module):
        def __init__(self, reentrant: bool) -> None:
            super().__init__()
            self.first, self.block, self.reentrant = nn.Linear(16, 16), nn.Linear(16, 16), reentrant

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            return x + checkpoint(self.block, x, use_reentrant=self.reentrant)

    with pytest.raises(wb.errors.TraceError, match="use_reentrant=False"):
        wb.check(Again(True), X)
    with contextlib.redirect_stdout(io.StringIO()):
        assert math.isfinite(wb.check(Again(False), X).statistics.loss.value)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_nested_tensors_of_unequal_lengths_are_planned_or_refused_in_our_words() -> None:
    rows = [torch.randn(3, 16), torch.randn(5, 16)]
    model = nn.Sequential(nn.Linear(16, 4))
    assert {entry.name for entry in wb.plan(model, torch.nested.nested_tensor(rows, layout=torch.jagged)).entries} == {
        "0.weight",
        "0.bias",
    }
    for layout in (torch.jagged, torch.strided):
        with pytest.raises(wb.errors.WellbegunError):
            wb.check(model, torch.nested.nested_tensor(rows, layout=layout))
