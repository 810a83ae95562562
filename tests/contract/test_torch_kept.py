"""What a model keeps of a trace is usable afterwards, wherever it is kept: it is what the model would have computed."""

import copy
import gc
import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keepers
import numpy as np
import pytest
import torch
from test_torch_left import fakes
from torch import nn

import wellbegun as wb

X = torch.randn(8, 4, generator=torch.Generator().manual_seed(3))
Left = Callable[[], int]


def make() -> torch.Tensor:
    return torch.arange(4).float() / 4 + 0.25


class Model(nn.Module):
    def __init__(self, find: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.find = find
        self.a, self.b, self.out = nn.Linear(4, 8), nn.Linear(8, 2), nn.Dropout(0.0)
        self.register_buffer("steps", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.relu(self.a(self.out(x + self.find(self, x)))))


def untraced(model: nn.Module, find: Callable[[Any, torch.Tensor], torch.Tensor] = lambda *_: make()) -> Model:
    """The same with the same weights that keeps nothing."""
    twin = Model(find)
    twin.load_state_dict(model.state_dict())
    return twin


def keeping(name: str, what: Callable[[Any, torch.Tensor], torch.Tensor]) -> Model:
    """Keeps in some place what it computes of itself and of its input; a cache goes by the function."""
    return Model(lambda model, x: keepers.PLACES[name](model, lambda: what(model, x)))


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    keepers.clear()
    yield
    keepers.clear()


@pytest.fixture
def left(clean: None) -> Left:
    """Counts fake tensors that were not there before: to search the whole process takes a second."""
    before = fakes()
    return lambda: fakes() - before


@pytest.mark.parametrize("name", keepers.PLACES)
def test_the_model_computes_what_it_does_alone(name: str) -> None:
    model = Model(lambda model, _: keepers.PLACES[name](model, make))
    wb.initialize(model, X, seed=0)
    twin = untraced(model)
    for _ in range(2):
        assert torch.equal(model(X), twin(X))
    model(X).sum().backward()
    twin(X).sum().backward()
    assert torch.equal(model.a.weight.grad, twin.a.weight.grad)


def test_nothing_fake_is_left_of_any_of_them(left: Left) -> None:
    """All are kept while the process is searched, once."""
    for name in keepers.PLACES:
        wb.plan(Model(lambda model, _, name=name: keepers.PLACES[name](model, make)), X, seed=0)
    assert not left()


@pytest.mark.parametrize("name", ["name of a file", "dict", "object", "buffer aside"])
def test_compiled_code_takes_it_too(name: str) -> None:
    model = Model(lambda model, _: keepers.PLACES[name](model, make))
    wb.initialize(model, X, seed=0)
    assert torch.allclose(torch.compile(model, backend="eager")(X), untraced(model)(X))


def test_the_object_that_is_kept_is_an_ordinary_tensor() -> None:
    model = Model(lambda model, _: keepers.in_dict(model, make) + keepers.in_parameter(model, make))
    wb.plan(model, X, seed=0)
    kept, parameter = keepers.DICT["table"], keepers.ASIDE.weight
    assert type(kept) is torch.Tensor
    assert torch.equal(kept, make())
    assert not vars(kept)
    assert not kept.requires_grad
    assert type(parameter) is nn.Parameter
    assert parameter.requires_grad
    assert torch.equal(copy.deepcopy(parameter), make())
    file = io.BytesIO()
    torch.save((kept, parameter), file)
    file.seek(0)
    assert all(torch.equal(found, make()) for found in torch.load(file))
    (model(X).sum() * kept.sum()).backward()
    assert parameter.grad is not None
    kept.requires_grad_().mul(2).sum().backward()
    assert torch.equal(kept.grad, torch.full((4,), 2.0))


def test_it_is_the_same_object_as_before() -> None:
    seen = list[int]()

    def find(model: Any, _: torch.Tensor) -> torch.Tensor:
        found = keepers.in_list(model, make)
        seen.append(id(found))
        return found

    wb.plan(Model(find), X, seed=0)
    assert seen[0] == id(keepers.LIST[1])
    assert keepers.LIST[0] is not keepers.LIST[1]


def test_views_share_memory_as_they_did() -> None:
    def find(_: Any, __: torch.Tensor) -> torch.Tensor:
        if not keepers.LIST:
            whole = torch.zeros(2, 4)
            keepers.LIST.extend([whole, whole[1], whole.t()])
            keepers.LIST[1].add_(make())
        return keepers.LIST[1]

    model = Model(find)
    wb.plan(model, X, seed=0)
    whole, row, turned = keepers.LIST
    assert torch.equal(whole, torch.stack([torch.zeros(4), make()]))
    row.fill_(7.0)
    assert bool((whole[1] == 7.0).all())
    assert bool((turned[:, 1] == 7.0).all())


# ---------------------------------------------------------------------- what depends on weights or the batch
def of_weights(model: Any, _: torch.Tensor) -> torch.Tensor:
    return model.a.weight.detach().sum(0)


def test_where_it_is_looked_up_it_is_computed_anew_with_the_new_weights() -> None:
    for name in ("dict", "deep in a dict", "weak keys", "user dict", "default", "chain", "object", "deque", "list"):
        keepers.clear()
        model = keeping(name, of_weights)
        plan = wb.initialize(model, X, seed=0).plan
        assert torch.equal(model(X), untraced(model, of_weights)(X)), name
        assert not any("keeps outside" in note for note in plan.notes), name


@pytest.mark.parametrize("name", ["closure", "slot"])
def test_elsewhere_it_is_of_the_weights_before_the_fill_and_the_plan_says_so(name: str, left: Left) -> None:
    model = keeping(name, of_weights)
    expected = of_weights(model, X)
    plan = wb.plan(model, X, seed=0)
    assert torch.allclose(keepers.PLACES[name](model, make), expected)
    assert any("of its weights or the batch" in note and "(4,) float32" in note for note in plan.notes)
    assert not left()


def test_of_the_batch_it_is_of_the_batch_that_was_given() -> None:
    given = X.clone()
    model = keeping("slot", lambda _, x: x.mul_(2).mean(0))
    wb.plan(model, X, seed=0)
    assert torch.allclose(keepers.SLOTS.table, 2 * given.mean(0))
    assert torch.equal(X, given)


def test_tensors_like_the_batch_do_not_depend_on_it() -> None:
    ran = list[int]()
    model = keeping("deque", lambda model, x: torch.zeros_like(model.b(torch.relu(model.a(x))))[0].repeat(2) + 1)
    model.a.register_forward_hook(lambda *_: ran.append(0))  # what it is like is not computed
    plan = wb.plan(model, X, seed=0)
    assert torch.equal(keepers.LAST[-1], torch.ones(4))
    assert not any("keeps outside" in note for note in plan.notes)


def test_what_the_user_keeps_in_containers_comes_back(left: Left) -> None:
    """Records, moving averages: whatever a pass adds or replaces, what was there is not lost."""

    class Holder:
        def __init__(self) -> None:
            self.mean = {"now": torch.ones(8)}

    records, state, holder = {"seen": [torch.ones(8), torch.ones(8)]}, {"mean": torch.ones(8)}, Holder()
    keepers.DICT.update(records=records, state=state, holder=holder)

    class Keeping(Model):
        means = {"now": torch.ones(8)}  # noqa: RUF012 - as people do

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found = self.a(x)
            records["seen"].append(found.detach().mean(0))
            for each in (state, holder.mean, self.means):
                for name in each:
                    each[name] = 0.9 * each[name] + found.detach().mean(0)
            return self.b(found - state["mean"])

    model = Keeping(lambda *_: 0)
    wb.plan(model, X, seed=0)
    assert len(records["seen"]) == 2
    for each in (state, holder.mean, Keeping.means):
        assert all(torch.equal(value, torch.ones(8)) for value in each.values())
    assert not left()


def test_what_is_kept_in_a_container_out_of_sight_is_not_lost_either(left: Left) -> None:
    def hidden() -> dict[str, torch.Tensor]:
        return {"mean": torch.ones(8)}

    state = hidden()

    def find(model: Any, x: torch.Tensor) -> torch.Tensor:
        state["mean"] = 0.5 * state["mean"] + 0.5 * model.a(x).detach().mean(0)
        return x

    model = Model(find)
    expected = 0.5 + 0.5 * model.a(X).detach().mean(0)
    plan = wb.plan(model, X, seed=0)
    assert torch.allclose(state["mean"], expected)
    assert any("of its weights or the batch" in note for note in plan.notes)
    assert not left()


# ---------------------------------------------------------------------- what comes back
def test_what_is_computed_again_changes_nothing_else() -> None:
    counter, generator = torch.zeros(4), torch.Generator().manual_seed(5)

    def what(model: Any, _: torch.Tensor) -> torch.Tensor:
        counter.add_(1)
        model.steps.add_(1)
        with torch.no_grad():
            model.a.bias.add_(1)
        noise = torch.rand(4, generator=generator) + torch.rand(4)
        return counter + model.steps + model.a.bias.detach()[:4] + 0 * noise

    model = keeping("slot", what)
    bias, state, global_state = model.a.bias.detach().clone(), generator.get_state(), torch.get_rng_state()
    wb.plan(model, X, seed=0)
    assert torch.allclose(keepers.SLOTS.table, 2 + bias[:4] + 1)
    assert torch.equal(model.a.bias, bias)
    assert not counter.any()
    assert not model.steps.any()
    assert torch.equal(generator.get_state(), state)
    assert torch.equal(torch.get_rng_state(), global_state)


def test_a_literal_of_the_user_stays_what_it_is() -> None:
    literal = torch.ones(4)

    def find(_: Any, __: torch.Tensor) -> torch.Tensor:
        if not keepers.LAST:
            keepers.LAST.append(torch.ops.aten.lift_fresh(literal).view_as(literal))
        return keepers.LAST[-1] + torch.as_tensor([1.0, 2.0, 3.0, 4.0])

    wb.plan(Model(find), X, seed=0)
    assert type(literal) is torch.Tensor
    assert torch.equal(literal, torch.ones(4))
    assert torch.equal(keepers.LAST[-1], literal)


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
@pytest.mark.parametrize("name", ["name of a file", "closure", "deque", "generator"])
def test_after_a_trace_that_fails_too(name: str, error: type[BaseException], left: Left) -> None:
    broken = [True]

    def find(model: Any, _: torch.Tensor) -> torch.Tensor:
        found = keepers.PLACES[name](model, make)
        if broken:
            raise error
        return found

    model = Model(find)
    with pytest.raises((wb.errors.TraceError, KeyboardInterrupt)) as caught:
        wb.plan(model, X, seed=0)
    assert not left()
    broken.clear()
    assert torch.equal(model(X), untraced(model)(X))
    del caught


def test_on_the_meta_device_it_is_looked_up_again_on_the_next(left: Left) -> None:
    def what(model: Any, _: torch.Tensor) -> torch.Tensor:
        return torch.arange(4, device=model.a.weight.device).float() / 4 + 0.25

    with torch.device("meta"):
        model = keeping("dict", what)
    wb.plan(model, X, seed=0)
    assert not left()
    model = model.to_empty(device="cpu")
    wb.initialize(model, X, seed=0)
    assert torch.equal(model(X), untraced(model)(X))


def test_casts_and_types_are_those_of_the_trace() -> None:
    model = keeping("deque", lambda model, _: (make() @ torch.ones(4, 4)).to(torch.float64))
    with torch.autocast("cpu", torch.bfloat16):
        wb.plan(model, X, seed=0)
        found = keepers.LAST[-1]
        assert found.dtype is torch.float64
        assert torch.equal(found, (make() @ torch.ones(4, 4)).to(torch.float64))


def doubled() -> torch.Tensor:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return torch.ones(4) / 3
    finally:
        torch.set_default_dtype(before)


MADE: dict[str, Callable[[], torch.Tensor]] = {
    "under another default type": doubled,
    "by a deep copy": lambda: copy.deepcopy(make()),
    "by a transform": lambda: torch.vmap(lambda x: x * 2)(make()),
    "as a gradient": lambda: torch.func.grad(lambda x: (x**2).sum())(make()),
    "into another": lambda: torch.add(make(), make(), out=torch.empty(4)),
    "by parts": lambda: torch.arange(8).float().split(4)[1],
    "of numpy": lambda: torch.from_numpy(np.arange(4.0)).float(),
    "sparse": lambda: make().to_sparse(),
    "conjugate": lambda: torch.polar(make(), make()).conj(),
    "in inference mode": lambda: torch.inference_mode()(make)() + 1,
    "of a number that is read": lambda: torch.full((4,), torch.tensor(3.0).item()),
}


@pytest.mark.parametrize("how", MADE)
def test_however_it_was_made(how: str, left: Left) -> None:
    model = Model(lambda model, _: keepers.in_deque(model, MADE[how]).to_dense().real.float())
    wb.plan(model, X, seed=0)
    assert not left()
    found, expected = keepers.LAST[-1], MADE[how]()
    assert (found.dtype, found.layout, found.is_conj()) == (expected.dtype, expected.layout, expected.is_conj())
    assert torch.equal(found.to_dense(), expected.to_dense())


def test_what_cannot_be_computed_again_holds_no_values_and_the_plan_says_so(left: Left) -> None:
    calls = list[int]()

    @torch.library.custom_op("kept::once", mutates_args=())
    def once(x: torch.Tensor) -> torch.Tensor:
        calls.append(0)
        raise RuntimeError("no kernel here")

    once.register_fake(torch.empty_like)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = wb.plan(keeping("slot", lambda *_: once(make())), X, seed=0)
    assert calls
    assert keepers.SLOTS.table.is_meta
    assert any("holds no values there" in note for note in plan.notes)
    gc.collect()
    assert not left()
