"""Whatever fails leaves everything as it was: models, files, random states."""

import json
import os
import random
import stat
import threading
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import wellbegun as wb
from wellbegun.errors import FileError, ModelError, WellbegunError
from wellbegun.laws import Normal
from wellbegun.storage import load_plan, plan_from_json, replacing, save_plan, write_text
from wellbegun.torch.sandbox import preserved


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 4))


X = torch.from_numpy(np.asarray(wb.fill(Normal(0, 1), (16, 8), seed=5)))


class Ended(BaseException):
    """As an interrupt."""


def _stop(done, total, what):
    if what.startswith("measure"):
        raise Ended


@pytest.mark.parametrize(
    "options",
    [
        {"loss": lambda output: output},
        {"loss": lambda output: 1 / 0},
        {"loss": lambda output: "text"},
        {"progress": _stop},
        {"batch": X.long()},
        {"batch": X[:, :3]},
    ],
)
def test_initialize_that_raises_has_changed_nothing(options):
    model = net()
    state, before = torch.get_rng_state(), {k: v.clone() for k, v in model.state_dict().items()}
    versions = [tensor._version for tensor in (*model.parameters(), *model.buffers())]
    batch = options.pop("batch", X) if "batch" in options else X
    with pytest.raises((WellbegunError, Ended)):
        wb.initialize(model, batch, seed=0, **options)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert versions == [tensor._version for tensor in (*model.parameters(), *model.buffers())]
    assert torch.equal(torch.get_rng_state(), state)


def test_jax_too():
    nnx = pytest.importorskip("flax.nnx")
    model = nnx.Linear(8, 4, rngs=nnx.Rngs(0))
    before = np.asarray(model.kernel.get_value())
    with pytest.raises(WellbegunError):
        wb.initialize(model, np.asarray(X), seed=0, loss=lambda output: output)
    assert np.array_equal(before, np.asarray(model.kernel.get_value()))


@pytest.mark.parametrize("look", [wb.plan, wb.check])
def test_a_pending_backward_pass_still_works(look):
    model = net()
    loss = model(X).sum()
    look(model, X)
    loss.backward()
    assert all(tensor.grad is not None for tensor in model.parameters())


class Keeps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.mean, self.seen = nn.Linear(8, 8), torch.zeros(8), {"rows": torch.zeros(1)}
        self.noise, self.last, self.counts = torch.Generator().manual_seed(3), deque(maxlen=2), np.zeros(3)
        self.register_buffer("grows", torch.zeros(2))
        self.draws, self.dice, self.old = np.random.default_rng(3), random.Random(3), np.random.RandomState(3)
        self.run = SimpleNamespace(step=0, log=[([],)])

    def forward(self, x):
        hidden = self.a(x) + float(self.draws.normal()) + self.dice.random() + float(self.old.normal())
        self.run.step += 1
        self.run.log[0][0].append(hidden)
        self.mean.mul_(0.9).add_(hidden.detach().mean(0))
        self.seen["rows"] += len(x)
        self.last.append(hidden)
        self.counts += 1
        self.grows.data = torch.ones(5)
        return hidden + torch.randn(8, generator=self.noise)


def test_plain_tensors_generators_and_moved_buffers_come_back():
    model = Keeps()
    state, others = model.noise.get_state(), [model.draws.bit_generator.state, model.dice.getstate()]
    third = model.old.get_state()[1].copy()
    wb.check(model, X)
    assert [model.draws.bit_generator.state, model.dice.getstate()] == others
    assert (model.old.get_state()[1] == third).all()
    assert model.run == SimpleNamespace(step=0, log=[([],)])
    assert not model.mean.any()
    assert not model.seen["rows"].any()
    assert not model.last
    assert not model.counts.any()
    assert model.grows.shape == (2,)
    assert torch.equal(model.noise.get_state(), state)


def test_models_of_many_modules_come_back_as_a_whole():
    model = nn.Sequential(*[nn.BatchNorm1d(2) for _ in range(700)], nn.Linear(2, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with preserved(model):
        model(X[:, :2])
        assert not any(torch.equal(each.running_mean, before[f"{i}.running_mean"]) for i, each in enumerate(model[:-1]))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Tuples(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.state = nn.Linear(8, 8), (torch.zeros(8), ([torch.zeros(1)], torch.Generator().manual_seed(3)))
        self.shared: tuple[object, ...] = ([],)
        for _ in range(40):
            self.shared = self.shared, self.shared  # 2^40 ways to the list

    def forward(self, x):
        mean, ((rows,), noise) = self.state
        held = self.shared
        while isinstance(held, tuple):
            held = held[0]
        held.append(len(x))
        mean += 1
        rows += len(x)
        return self.a(x) + torch.randn(8, generator=noise)


def test_what_tuples_hold_comes_back_and_is_looked_for_once():
    model = Tuples()
    mean, ((rows,), noise) = model.state
    drawn, held = noise.get_state(), model.shared
    while isinstance(held, tuple):
        held = held[0]
    model(X)
    assert (mean.any(), rows.any(), len(held)) == (True, True, 1)  # the control
    assert not torch.equal(noise.get_state(), drawn)
    drawn = noise.get_state()
    wb.check(model, X)
    assert (mean == 1).all()
    assert rows == len(X)
    assert held == [len(X)]
    assert torch.equal(noise.get_state(), drawn)


def test_generators_without_a_state_are_left_alone_and_others_are_not():
    class Draws(nn.Linear):
        def __init__(self) -> None:
            super().__init__(8, 4)
            self.system, self.stateless = random.SystemRandom(), Stateless(3)
            self.plain, self.old = Plain(3), np.random.RandomState(np.random.PCG64(3))

        def forward(self, x):
            drawn = self.system.random() + self.stateless.random() + self.plain.random() + self.old.normal()
            return super().forward(x) + 1e-9 * drawn

    class Stateless(random.Random):
        def getstate(self):
            raise NotImplementedError("drawn by hardware")

    class Plain(random.Random):
        """The control."""

    model = Draws()
    before = model.plain.getstate(), model.old.get_state(legacy=False)
    wb.check(model, X)
    assert (model.plain.getstate(), model.old.get_state(legacy=False)) == before


def test_the_seed_alone_decides():
    found = []
    for state in range(2):
        torch.manual_seed(state)
        model = net()
        wb.initialize(model, X, seed=0)
        found.append(model[4].weight.detach().clone())
    assert torch.equal(*found)


@pytest.mark.parametrize("look", [wb.plan, wb.check, wb.initialize])
def test_an_error_of_the_progress_is_its_own(look):
    def bar(*told):
        raise OSError("the pipe is broken")

    with pytest.raises(OSError, match="^the pipe is broken$"):
        look(net(), X, progress=bar)


def test_models_in_threads():
    def make(found):
        model = net()
        wb.initialize(model, X, seed=0)
        found.append(model[0].weight.detach())

    found: list[torch.Tensor] = []
    threads = [threading.Thread(target=make, args=(found,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert all(torch.equal(found[0], other) for other in found)


# ---------------------------------------------------------------------- files
def test_a_file_keeps_its_mode_and_a_link_stays_one(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    write_text(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_a_pipe_is_written_through(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    with pytest.raises(FileError):  # nobody reads it, and nobody waits
        write_text(pipe, "new")
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "new")
    got = os.read(end, 9)
    os.close(end)
    assert got == b"new"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(ModelError, match="no regular file"):
        load_plan(pipe)


def test_a_body_that_fails_leaves_nothing(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(FileError, match="no space"), replacing(path) as new:  # noqa: PT012
        new.write_text("half")
        raise OSError(28, "no space")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["entries"][0].update(law=5),
        lambda data: data["entries"][0].update(layout=[]),
        lambda data: data["entries"][0].update(action="burn"),
        lambda data: data["entries"][0].update(shape="x"),
        lambda data: data["entries"][0].update(name=7),
        lambda data: data["entries"][0].update(law={"law": "Sections", "parts": [[1]]}),
        lambda data: data.update(seed="x"),
        lambda data: data.update(entries=3),
    ],
)
def test_plans_that_are_none(change, tmp_path):
    data = json.loads(save_plan(wb.plan(nn.Linear(8, 4), (4, 8), seed=0), tmp_path / "p").read_text())
    change(data)
    with pytest.raises(WellbegunError):
        plan_from_json(json.dumps(data))
    for text in ("[" * 100_000, '{"seed": ' + "9" * 5000 + "}"):
        with pytest.raises(WellbegunError):
            plan_from_json(text)


def test_long_arguments_are_cut():
    for value in ("x" * 10**6, list(range(10**5)), 10**6000):
        with pytest.raises(WellbegunError) as caught:
            wb.plan(nn.Linear(8, 4), (4, 8), frozen=value)
        assert len(str(caught.value)) < 1000


def test_what_a_pass_leaves_alone_is_not_written_to():
    """Another thread may be reading it: a container that is emptied and filled again breaks its loop."""
    from wellbegun.torch.sandbox import put_back

    class Watched(deque):
        def clear(self) -> None:
            raise AssertionError("touched")

    put_back(Watched([1, 2]), [1, 2])
    with pytest.raises(AssertionError, match="touched"):  # the control
        put_back(Watched([1, 2]), [1])
    numbers = np.array([1.0, np.nan])
    numbers.flags.writeable = False
    put_back(numbers, numbers.copy())


def test_a_model_that_transforms_its_own_functions_is_looked_at():
    class Slopes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2))

        def forward(self, x):
            return torch.func.vmap(torch.func.jacrev(self.inner))(x).flatten(1)

    model = Slopes()
    before = [parameter.data_ptr() for parameter in model.parameters()]
    assert wb.check(model, X).statistics.parameters
    assert [parameter.data_ptr() for parameter in model.parameters()] == before
    assert all(type(parameter.grad) is type(None) for parameter in model.parameters())
