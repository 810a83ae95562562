"""Batches as people have them, results as models give them, names in and out of wrappers."""

import copy
from collections import UserDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.utils.data import DataLoader, TensorDataset

import wellbegun as wb
from wellbegun.inputs import Call, InputSpec

X, Y = torch.randn(16, 8), torch.randint(0, 3, (16,))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.relu(self.a(x)))


class Two(Net):
    def forward(self, left: torch.Tensor, right: torch.Tensor | None = None) -> torch.Tensor:
        return super().forward(left if right is None else left + right)


class Whole(Net):
    """Takes one object."""

    def forward(self, batch: Any) -> torch.Tensor:
        held = batch["x"] if hasattr(batch, "keys") else batch.x
        return super().forward(held)


@dataclass(frozen=True)
class Record:
    x: torch.Tensor
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class Sourced:
    """Says where it is from, as loaders do, and is no loader."""

    x: Any
    dataset: str = "digits"
    num_batches: int = 3


@dataclass(slots=True)
class Slotted:
    x: torch.Tensor


class Store(UserDict):
    pass


class Plain:
    def __init__(self) -> None:
        self.x, self.itself, self.name = X, self, "graph"


class Three(Net):
    def forward(self, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return super().forward(a + b + c)


class Exactly(Net):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return super().forward(a + b)


class Bare(Exactly):
    def forward(self, a, b):  # type: ignore[no-untyped-def]
        return super().forward(a, b)


class Pair(Net):
    def forward(self, pair: tuple[torch.Tensor, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return super().forward(pair[0] + pair[1]) + 0 * x.sum()


class State(Net):
    def forward(self, state, x):  # type: ignore[no-untyped-def]
        return super().forward(state[0] + state[1] + x)


class Taught(Net):
    def forward(self, pair, y):  # type: ignore[no-untyped-def]
        return nn.functional.cross_entropy(super().forward(pair[0] + pair[1]), y)


class By(Net):
    def forward(self, x: torch.Tensor, /, y: torch.Tensor | None = None) -> torch.Tensor:
        return super().forward(x if y is None else x + y[:, None])


class Many(Net):
    def forward(self, *many: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return super().forward(many[0])


Named = namedtuple("Named", "x y")

TAKEN: dict[str, tuple[type[nn.Module], Any, str]] = {
    "loader": (Net, next(iter(DataLoader(TensorDataset(X, Y), batch_size=16))), "2 items"),
    "tuple and weights": (Net, (X, Y, torch.ones(16)), "3 items"),
    "two inputs and a target": (Two, [X, X, Y], "3 items"),
    "dict with labels": (Net, {"x": X, "labels": Y}, "left out: labels"),
    "dict beside labels": (Net, [{"x": X}, Y], "2 items"),
    "user dict": (Net, Store(x=X), ""),
    "named tuple": (Whole, Named(X, Y), ""),
    "dataclass that names its data set": (Whole, Sourced(X), ""),
    "frozen dataclass": (Whole, Record(X, {"edges": Y}), ""),
    "slots": (Whole, Slotted(X), ""),
    "object": (Whole, Plain(), ""),
    "three inputs as one": (Three, [[X, X, X], Y], "taken as 3 inputs"),
    "two inputs as one": (Exactly, ((X, X), Y), "2 items: the first one is taken as 2 inputs"),
    "two inputs as one, in a list": (Bare, [[X, X.numpy()], Y], "2 items: the first one is taken as 2 inputs"),
    "two inputs alone": (Exactly, ((X, X),), "1 item, which is taken as 2 inputs"),
    "names beside tensors": (Whole, {"x": X, "id": ["12"] * 16, "path": "a.png"}, ""),
    "dict as one": (Whole, {"x": X, "y": Y}, ""),
    "arrays in an object": (Whole, Record(X.numpy()), ""),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_batch_is_taken_as_its_model_takes_it_and_that_is_said(name: str) -> None:
    make, batch, said = TAKEN[name]
    before = copy.deepcopy(batch) if name != "object" else None
    found = wb.initialize(make(), batch, seed=0)
    assert found.health.healthy
    for notes in (found.plan.notes, found.health.notes, wb.check(make(), batch).notes):
        assert not said or any(said in note for note in notes)
    if isinstance(before, Record):
        assert type(batch.x) is type(before.x)


@pytest.mark.parametrize(("make", "batch"), [(Pair, ((X, X), Y)), (State, ((X, X), X)), (Taught, ((X, X), Y))])
def test_a_model_that_takes_a_pair_and_something_else_is_given_both(make: type[nn.Module], batch: Any) -> None:
    assert not any("taken as 2 inputs" in note for note in wb.plan(make(), batch).notes)


@pytest.mark.parametrize("make", [By, Many])
def test_an_input_that_is_given_by_place_is_not_called_what_follows_it(make: type[nn.Module]) -> None:
    """Its name cannot be given, or any number of them come before the next one."""
    assert Call((X,), {}).targets(torch.Tensor, make().forward) == {}
    losses = wb.initialize(make(), (X,), seed=0).health, wb.initialize(Net(), (X,), seed=0).health
    assert losses[0].statistics.loss == losses[1].statistics.loss
    name = list(signature(make().forward).parameters)[1]  # the control: by its own name, or in its own place
    assert [*Call((X,), {name: Y}).targets(torch.Tensor, make().forward)] == [name]
    assert [*Call((X, Y), {}).targets(torch.Tensor, By().forward)] == ["y"]


def test_options_by_place_have_the_name_of_their_place() -> None:
    class Several(Net):
        def forward(self, x: torch.Tensor, /, shift: Any = None, scale: Any = None) -> torch.Tensor:
            return super().forward(x)

    assert any("taken for 'shift'" in note for note in wb.plan(Several(), (X, X)).notes)


@pytest.mark.parametrize("text", ["12", "4,16:float16"])
def test_beside_data_a_text_is_a_text(text: str) -> None:
    class Texts(Net):
        def forward(self, x: torch.Tensor, id: str) -> torch.Tensor:
            assert id == text
            return super().forward(x)

    assert not any("made up" in note for note in wb.check(Texts(), {"x": X, "id": text}).notes)
    beside = wb.check(Exactly(), {"a": X, "b": InputSpec((16, 8))})  # the control
    assert any("b: float32 (16, 8), standard normal, made up" in note for note in beside.notes)


def test_an_object_without_tensors_is_no_batch() -> None:
    with pytest.raises(wb.errors.ArgumentTypeError, match="batch: value must be a tensor"):
        wb.plan(Net(), object())


class Mixed(Net):
    """A temperature in another precision, ids and a mask beside the signal."""

    def __init__(self) -> None:
        super().__init__()
        self.heat = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.table = nn.Embedding(9, 8)

    def forward(self, x: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        assert (x.dtype, ids.dtype, mask.dtype, at.dtype) == (torch.float32, torch.int32, torch.bool, torch.float64)
        seen = (x + self.table(ids)).masked_fill(~mask[:, None], 0.0) + at.float()
        return super().forward(seen) * self.heat.float()


def test_inputs_keep_their_types_where_parameters_have_several() -> None:
    ids = torch.randint(0, 9, (16,), dtype=torch.int32)
    batch = {"x": X, "ids": ids, "mask": torch.arange(16) > 3, "at": X.double()}
    assert wb.initialize(Mixed(), batch, seed=0).plan["heat"].action == "keep"


def test_what_is_cast_to_the_only_type_of_a_model_is_said() -> None:
    assert any("float64" in note for note in wb.check(Net(), X.double()).notes)
    assert not any("are given" in note for note in wb.check(Net().double(), (16, 8)).notes)


D = torch.distributions
RESULTS: dict[str, Callable[[torch.Tensor], Any]] = {
    "independent": lambda y: D.Independent(D.Normal(y, 1.0), 1),
    "mixture": lambda y: D.MixtureSameFamily(D.Categorical(logits=y), D.Normal(y, y.exp())),
    "transformed": lambda y: D.TransformedDistribution(D.Normal(y, 1.0), [D.TanhTransform()]),
    "categorical": lambda y: D.Categorical(logits=y),
    "object": lambda y: _held(y),
    "loss first": lambda y: (y.square().mean(), y),
    "dict": lambda y: {"prediction": y, "count": 3},
}


def _held(y: torch.Tensor) -> Any:
    found = Plain()
    found.x = y
    return found


@pytest.mark.parametrize("name", RESULTS)
def test_whatever_a_model_returns_has_its_tensors_found(name: str) -> None:
    class Returning(Net):
        def forward(self, x: torch.Tensor) -> Any:
            return RESULTS[name](super().forward(x))

    found = wb.initialize(Returning(), X, seed=0)
    assert found.ledger.counts()["filled"] == 4
    wb.check(Returning(), X)


def _inside(model: nn.Module) -> nn.Module:
    model[0] = checkpoint_wrapper(model[0])
    return model


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "on several devices": nn.DataParallel,
    "averaged": torch.optim.swa_utils.AveragedModel,
    "checkpointed inside": _inside,
    "several": lambda model: nn.DataParallel(torch.compile(_inside(model), backend="eager")),
    "part of another": lambda model: nn.Sequential(torch.compile(model, backend="eager")),
}


def _plain() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_change_no_name_no_stream_and_no_plan(name: str) -> None:
    bare = nn.Sequential(_plain()) if name == "part of another" else _plain()
    wb.initialize(bare, X, seed=0)
    wrapped = WRAPPERS[name](_plain())
    found = wb.initialize(wrapped, [X, Y], seed=0)
    assert [entry.name for entry in found.plan.entries] == [key for key, _ in bare.named_parameters()]
    assert all(torch.equal(one, two) for one, two in zip(bare.parameters(), wrapped.parameters(), strict=True))
    other = WRAPPERS[name](_plain())
    wb.apply(other, wb.plan(bare, X, seed=0))
    assert wb.check(other, X).codes == wb.check(bare, X).codes


def test_a_module_of_ones_own_that_is_called_module_keeps_its_name() -> None:
    model = nn.Module()
    model.module = nn.Linear(8, 3)  # a name, and no wrapper
    model.forward = model.module.forward  # type: ignore[method-assign]
    assert [entry.name for entry in wb.plan(model, X, seed=0).entries] == ["module.weight", "module.bias"]
