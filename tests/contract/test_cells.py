"""Recurrent cells that are written out get the roles, the scale of each gate and the forget bias of whole layers."""

import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen, nnx

import wellbegun as wb

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import haiku as hk

KEY = jax.random.key(0)
INPUTS, WIDTH, TIME = 5, 8, 4
BATCH = np.random.default_rng(0).standard_normal((2, TIME, INPUTS)).astype(np.float32)


class Whole(torch.nn.Module):
    """The twin: a layer that is one call."""

    def __init__(self, kind: type[torch.nn.Module]) -> None:
        super().__init__()
        self.cell, self.head = kind(INPUTS, WIDTH, batch_first=True), torch.nn.Linear(WIDTH, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(x)[0][:, -1])


class Equinox(eqx.Module):
    cell: Any
    head: eqx.nn.Linear

    def __init__(self, kind: Any) -> None:
        self.cell, self.head = kind(INPUTS, WIDTH, key=KEY), eqx.nn.Linear(WIDTH, 3, key=KEY)

    def __call__(self, x: Any) -> Any:
        zeros = jnp.zeros(WIDTH)
        start = (zeros, zeros) if isinstance(self.cell, eqx.nn.LSTMCell) else zeros
        state, _ = jax.lax.scan(lambda state, row: (self.cell(row, state), None), start, x)
        return self.head(jax.tree.leaves(state)[0])


class Linen(linen.Module):
    kind: Any

    @linen.compact
    def __call__(self, x: Any) -> Any:
        return linen.Dense(3)(linen.RNN(self.kind(WIDTH))(x)[:, -1])


class Nnx(nnx.Module):
    def __init__(self, kind: Any) -> None:
        rngs = nnx.Rngs(0)
        self.rnn, self.head = nnx.RNN(kind(INPUTS, WIDTH, rngs=rngs)), nnx.Linear(WIDTH, 3, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.head(self.rnn(x)[:, -1])


def haiku(kind: Any) -> Any:
    def run(x: Any) -> Any:
        core = kind(WIDTH)
        return hk.Linear(3)(hk.dynamic_unroll(core, x.swapaxes(0, 1), core.initial_state(len(x)))[0][-1])

    model = hk.without_apply_rng(hk.transform(run))
    return model, model.init(KEY, BATCH)


def of_linen(kind: Any) -> Any:
    return Linen(kind), Linen(kind).init(KEY, BATCH)


def by_hand(order: str = "ifgo", *, joined: bool = False, picked: bool = False) -> Any:
    """An LSTM of one scan, its gates in any order; `joined`: of one matrix for what comes in and the state;
    `picked`: with units in an order of their own."""
    rng = np.random.default_rng(0)
    given = [INPUTS + WIDTH] if joined else [INPUTS, WIDTH]
    tree = {f"w{place}": rng.standard_normal((rows, 4 * WIDTH)).astype(np.float32) for place, rows in enumerate(given)}
    tree |= {"b": np.ones(4 * WIDTH, np.float32) * 0.3, "head": np.ones((WIDTH, 3), np.float32)}

    def step(tree: Any, state: Any, row: Any) -> Any:
        hidden, cell = state
        if joined:
            made = jnp.concatenate([hidden, row], -1) @ tree["w0"] + tree["b"]
        else:
            made = row @ tree["w0"] + hidden @ tree["w1"] + tree["b"]
        made = made[:, np.roll(np.arange(4 * WIDTH), WIDTH)] if picked else made
        gate = {letter: made[:, n * WIDTH : (n + 1) * WIDTH] for n, letter in enumerate(order)}  # read in this order
        keep, fill, new, out = (gate[letter] for letter in "figo")
        cell = jax.nn.sigmoid(keep) * cell + jax.nn.sigmoid(fill) * jnp.tanh(new)
        return (jax.nn.sigmoid(out) * jnp.tanh(cell), cell), None

    def run(tree: Any, x: Any) -> Any:
        start = (jnp.zeros((len(x), WIDTH)),) * 2
        return jax.lax.scan(lambda s, r: step(tree, s, r), start, x.swapaxes(0, 1))[0][0] @ tree["head"]

    return run, tree


class Torch(torch.nn.Module):
    """An LSTM of PyTorch's written out, its products of the input for all steps at once."""

    def __init__(self, cut: Callable[[torch.Tensor], Any] = lambda gates: gates.chunk(4, -1)) -> None:
        super().__init__()
        self.cut = cut
        self.read, self.again = torch.nn.Linear(INPUTS, 4 * WIDTH), torch.nn.Linear(WIDTH, 4 * WIDTH)
        self.head = torch.nn.Linear(WIDTH, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        read, hidden, cell = self.read(x), x.new_zeros(len(x), WIDTH), x.new_zeros(len(x), WIDTH)
        for time in range(x.shape[1]):
            keep, fill, new, out = self.cut(read[:, time] + self.again(hidden))
            cell = keep.sigmoid() * cell + fill.sigmoid() * new.tanh()
            hidden = out.sigmoid() * cell.tanh()
        return self.head(hidden)


STYLES: dict[str, tuple[Callable[[], Any], type[torch.nn.Module], int]] = {  # with its twin, and its forget gate
    "equinox lstm": (lambda: Equinox(eqx.nn.LSTMCell), torch.nn.LSTM, 1),
    "equinox gru": (lambda: Equinox(eqx.nn.GRUCell), torch.nn.GRU, -1),
    "linen optimized": (lambda: of_linen(linen.OptimizedLSTMCell), torch.nn.LSTM, 0),
    "linen lstm": (lambda: of_linen(linen.LSTMCell), torch.nn.LSTM, 0),
    "linen gru": (lambda: of_linen(linen.GRUCell), torch.nn.GRU, -1),
    "linen simple": (lambda: of_linen(linen.SimpleCell), torch.nn.RNN, -1),
    "nnx optimized": (lambda: Nnx(nnx.OptimizedLSTMCell), torch.nn.LSTM, 1),
    "nnx lstm": (lambda: Nnx(nnx.LSTMCell), torch.nn.LSTM, 0),
    "nnx gru": (lambda: Nnx(nnx.GRUCell), torch.nn.GRU, -1),
    "haiku gru": (lambda: haiku(hk.GRU), torch.nn.GRU, -1),
    "haiku rnn": (lambda: haiku(hk.VanillaRNN), lambda *a, **k: torch.nn.RNN(*a, nonlinearity="relu", **k), -1),
    "scan": (by_hand, torch.nn.LSTM, 1),
    "other order": (lambda: by_hand("gofi"), torch.nn.LSTM, 2),
    "torch": (Torch, torch.nn.LSTM, 0),
    "slices": (lambda: Torch(lambda g: [g[:, i * WIDTH : (i + 1) * WIDTH] for i in (1, 0, 2, 3)]), torch.nn.LSTM, 1),
    "rows": (lambda: Torch(lambda g: g.unflatten(1, (4, -1)).unbind(1)), torch.nn.LSTM, 0),
    "entries": (lambda: Torch(lambda g: [g.view(-1, 4, WIDTH)[:, i] for i in (2, 0, 1, 3)]), torch.nn.LSTM, 2),
    "scattered": (lambda: Torch(lambda g: g.view(-1, WIDTH, 4).unbind(2)), torch.nn.LSTM, -1),
    "flipped": (lambda: Torch(lambda g: g.flip(-1).chunk(4, -1)), torch.nn.LSTM, -1),
    "rolled": (lambda: Torch(lambda g: g.roll(WIDTH, -1).chunk(4, -1)), torch.nn.LSTM, -1),
    "picked": (lambda: Torch(lambda g: g[:, torch.arange(4 * WIDTH).roll(WIDTH)].chunk(4, -1)), torch.nn.LSTM, -1),
    "scan, picked": (lambda: by_hand(picked=True), torch.nn.LSTM, -1),
}  # fmt: skip


def sizes(plan: wb.Plan) -> dict[str, set[float]]:
    """Standard deviations of weights, by role."""
    found: dict[str, set[float]] = {}
    for entry in plan.entries:
        if entry.role in ("recurrent_input", "recurrent", "readout"):
            moments = entry.moments()
            assert moments is not None, entry
            found.setdefault(entry.role, set()).add(round(moments.variance**0.5, 6))
    return found


def forgets(name: str) -> set[str]:
    """The schemes of biases that are not zero by `classic`."""
    make, _, _ = STYLES[name]
    model = make()
    batch = torch.from_numpy(BATCH) if isinstance(model, torch.nn.Module) else BATCH
    plan = wb.plan(model, batch, recipe="classic", intent="overwrite", seed=0)
    return {e.scheme for e in plan.entries if e.role.startswith("recurrent_bias") and e.scheme != "zeros()"}


@pytest.mark.parametrize("name", STYLES)
def test_cells_get_the_roles_and_sizes_of_whole_layers(name: str) -> None:
    make, kind, _ = STYLES[name]
    twin = sizes(wb.plan(Whole(kind), torch.from_numpy(BATCH), recipe="auto", seed=0))
    model = make()
    batch = torch.from_numpy(BATCH) if isinstance(model, torch.nn.Module) else BATCH
    assert sizes(wb.plan(model, batch, recipe="auto", intent="overwrite", seed=0)) == twin
    assert {"recurrent_input", "recurrent", "readout"} == twin.keys()


@pytest.mark.parametrize("name", [name for name, (_, _, forget) in STYLES.items()])
def test_classic_opens_the_gate_that_multiplies_the_memory_and_no_other(name: str) -> None:
    forget = STYLES[name][2]
    each = ", ".join(f"{'ones' if place == forget else 'zeros'}()" for place in range(4))
    single = name in ("linen optimized", "linen lstm", "nnx lstm")  # a bias for each gate
    expected = set() if forget < 0 else {"ones()"} if single else {f"by_section({each})"}
    assert forgets(name) == expected


def test_the_gate_of_a_bias_for_each_is_told() -> None:
    for kind in (linen.OptimizedLSTMCell, linen.LSTMCell):
        plan = wb.plan(of_linen(kind), BATCH, recipe="classic", seed=0)
        assert [e.name for e in plan.entries if e.scheme == "ones()"] == [f"{kind.__name__}.0.hf.bias"]


def test_one_matrix_for_input_and_state_is_orthogonal_gate_by_gate() -> None:
    for model in (by_hand(joined=True), haiku(hk.LSTM)):
        plan = wb.plan(model, BATCH, recipe="auto", intent="overwrite", seed=0)
        (entry,) = [e for e in plan.entries if e.role == "recurrent"]
        assert (entry.layout.sections, entry.scheme) == (4, "orthogonal(gain=0.6)")  # type: ignore[union-attr]
    (bias,) = [
        e
        for e in wb.plan(by_hand(joined=True), BATCH, recipe="classic", intent="overwrite").entries
        if e.name == "bias"
    ]
    assert bias.scheme == "by_section(zeros(), ones(), zeros(), zeros())"
    plan = wb.plan(haiku(hk.LSTM), BATCH, recipe="classic", intent="overwrite")
    assert all(
        e.scheme == "zeros()" for e in plan.entries if e.role.startswith("recurrent_bias")
    )  # it adds 1 by itself


def test_measured_start_of_a_scan_leaves_gates_as_they_are() -> None:
    made = wb.initialize(Equinox(eqx.nn.LSTMCell), BATCH, seed=0)
    found = {e.name: e.factor for e in made.plan.entries if e.role.startswith("recurrent")}
    assert set(found.values()) == {1.0}


class Deep(torch.nn.Module):
    """One weight again and again, as in tied depth."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.first, self.again = how, torch.nn.Linear(INPUTS, WIDTH), torch.nn.Linear(WIDTH, WIDTH)
        self.score, self.head = torch.nn.Linear(WIDTH, WIDTH), torch.nn.Linear(WIDTH, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x[:, 0])
        for _ in range(4):
            if self.how == "plain":
                x = self.again(x).relu()
            elif self.how == "residual":
                x = x + self.again(x.relu())
            else:  # squeeze and excite
                x = x + self.again(x) * self.score(x).sigmoid()
        return self.head(x)


@pytest.mark.parametrize("how", ["plain", "residual"])
def test_tied_depth_is_no_cell(how: str) -> None:
    plan = wb.plan(Deep(how), torch.from_numpy(BATCH), seed=0)
    assert not [e for e in plan.entries if e.role.startswith("recurrent")]
