"""Several threads: a model that trains meanwhile, and models of their own."""

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

import wellbegun as wb
from wellbegun.backend import others_may_draw
from wellbegun.errors import WellbegunError

X = torch.randn(32, 8)


def net(seed: int = 0, *, dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(seed)
    middle = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), *middle, nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 4))


def trained(model: nn.Module, steps: int, between: Callable[[], object] = lambda: None) -> list[torch.Tensor]:
    """Weights after a training with batches of the process's generator."""
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(32, 8)).square().mean().backward()
        optimizer.step()
        between()
    return [tensor.detach().clone() for tensor in model.parameters()]


TRAINING = """
import itertools, threading, torch, wellbegun as wb
from torch import nn
torch.set_num_threads(1)
m = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 4))
x, stop, seen = torch.randn(32, 8), [], []
loss = lambda y: y.square().mean()
calls = [lambda: wb.check(m, x), lambda: wb.plan(m, x, seed=0), lambda: wb.check(m, x, loss=loss)]
def watch():
    for call in itertools.cycle(calls):
        if stop: return
        try: call()
        except wb.errors.WellbegunError as error: seen.append(str(error))
t = threading.Thread(target=watch); t.start(); o = torch.optim.SGD(m.parameters(), .01)
for i in range(600): l = m(torch.randn(32, 8)).square().mean(); o.zero_grad(); l.backward(); o.step()
stop.append(1); t.join()
assert all("another thread" in text for text in seen), seen[:1]
assert all(p._backward_hooks is None for p in m.parameters())
"""


def test_a_model_that_trains_in_another_thread_is_measured_or_refused() -> None:
    command = [sys.executable, "-W", "ignore", "-c", TRAINING]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_gradients_of_a_training_are_its_own_while_its_model_is_measured() -> None:
    """A hook on a parameter would be called by the other thread's backward pass too."""
    alone, model = net(), net()
    (alone(X).square().mean()).backward()
    started, ready = threading.Event(), threading.Event()

    def loss(y: torch.Tensor) -> torch.Tensor:
        started.set()
        assert ready.wait(60)
        return y.square().mean()

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(wb.check, model, X, loss=loss)
        assert started.wait(60)
        model(X).square().mean().backward()
        ready.set()
        assert found.result(60).statistics.parameters
    for one, two in zip(alone.parameters(), model.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad)


def test_random_numbers_of_other_threads_are_their_own() -> None:
    """A training beside checks of another model, with batches of the process's generators, is what it is alone."""
    expected, other, stop = trained(net(), 60), net(3, dropout=0.5), threading.Event()
    numpy = np.random.RandomState(5).rand(60).tolist()
    drawn: list[float] = []

    def watch() -> None:
        while not stop.is_set():
            wb.check(other, X)

    model, watcher = net(), threading.Thread(target=watch)
    np.random.seed(5)
    watcher.start()
    try:
        found = trained(model, 60, lambda: drawn.append(float(np.random.rand())))
    finally:
        stop.set()
        watcher.join()
    assert all(map(torch.equal, found, expected))
    assert drawn == numpy


def test_only_threads_that_run_something_may_draw() -> None:
    go_on = threading.Event()

    def _worker() -> None:  # of the user's own, whatever it is called
        go_on.wait()

    def seen(wanted: bool) -> bool:
        """Threads need a moment to begin, and to end."""
        return any(others_may_draw() == wanted or time.sleep(0.01) for _ in range(3000))

    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        assert seen(False)
        for begin in (threading.Thread(target=_worker).start, lambda: pool.submit(go_on.wait)):
            begin()
            found = seen(True)
            go_on.set()
            assert found
            assert seen(False)
            go_on.clear()


def test_a_pool_that_waits_for_work_draws_nothing_and_states_come_back() -> None:
    class Drawing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) * (1 + random.random() + float(np.random.rand()) + torch.rand(()))

    model, x = Drawing(), torch.randn(16, 8)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()  # its thread stays, and waits
        states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
        for _ in range(3):
            wb.check(model, x)
        beside = [(type(thread), thread.name) for thread in threading.enumerate() if not thread.daemon]
        assert (random.getstate(), np.random.get_state()[1].tolist()) == states[:2], beside
        assert torch.equal(torch.get_rng_state(), states[2])


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_different_models_in_several_threads_are_what_they_are_one_after_another(dropout: float) -> None:
    def one(seed: int) -> tuple[object, ...]:
        model = nn.Sequential(*net(dropout=dropout), nn.BatchNorm1d(4))
        result = wb.initialize(model, X, seed=seed)
        again = wb.check(model, X)
        weights = [tensor.detach().numpy().tobytes() for tensor in model.state_dict().values()]
        return weights, repr(result.plan.entries), repr(result.health.scalars()), repr(again.scalars())

    state = torch.get_rng_state()
    expected = {seed: one(seed) for seed in range(4)}
    torch.set_rng_state(state)
    with ThreadPoolExecutor(4) as pool:
        found = dict(zip([0, 1, 2, 3] * 2, pool.map(one, [0, 1, 2, 3] * 2), strict=True))
    assert found == expected


def test_one_model_in_two_threads_waits_its_turn() -> None:
    model, results = nn.Sequential(net(), nn.BatchNorm1d(4)), Counter[str]()
    wb.initialize(model, X, seed=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def go(_: int) -> None:
        try:
            wb.check(model, X)
            wb.initialize(model, X, seed=0)
            results["fine"] += 1
        except WellbegunError as error:
            results[str(error)] += 1

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(go, range(6)))
    assert results == {"fine": 6}
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("draw", [torch.rand_like, torch.randn_like, torch.bernoulli, nn.functional.gumbel_softmax])
def test_seed_alone_decides_in_every_thread(draw: Callable[[torch.Tensor], torch.Tensor]) -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 16), nn.Linear(16, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden = torch.relu(self.a(x))
            return self.b(hidden + draw(torch.sigmoid(hidden)) + torch.rand(16) + torch.randint(0, 3, (16,)))

    def weight(state: int) -> torch.Tensor:
        torch.manual_seed(state)
        model = Noisy()
        wb.initialize(model, X, seed=0)
        return model.b.weight.detach().clone()

    expected = weight(0)
    with ThreadPoolExecutor(1) as pool:
        assert torch.equal(pool.submit(weight, 1).result(), expected)
    assert torch.equal(weight(2), expected)
