"""Which part of a fused weight is query, key or value: known through reshapes and cuts, unknown where units are put in
another order."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb


def heads(x: torch.Tensor) -> torch.Tensor:
    return x.unflatten(-1, (2, 4)).transpose(1, 2)


def turned(x: torch.Tensor) -> torch.Tensor:
    return 0.8 * x + 0.6 * torch.cat([-x[..., 2:], x[..., :2]], -1)


def rows(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(*x.shape[:2], 3, 2, 4).permute(2, 0, 3, 1, 4)


PERM = torch.tensor([*range(16, 24), *range(16)])
CUTS = {  # queries, keys and values of one matrix, and the order in which it holds them
    "chunk": (lambda x: map(heads, x.chunk(3, -1)), "qkv"),
    "values first": (lambda x: map(heads, [x.chunk(3, -1)[i] for i in (2, 1, 0)]), "vkq"),
    "reshape": (lambda x: rows(x).unbind(0), "qkv"),
    "entries": (lambda x: [rows(x)[i] for i in (1, 0, 2)], "kqv"),
    "slices": (lambda x: map(heads, (x[..., :8], x[..., 8:16], x[..., 16:])), "qkv"),
    "turned": (lambda x: (turned(rows(x)[0]), turned(rows(x)[1]), rows(x)[2]), "qkv"),
    "normed": (lambda x: (*functional.layer_norm(rows(x)[:2], (4,)), rows(x)[2]), "qkv"),
    "of some places": (lambda x: map(heads, x[:, [5, 0, 3, 1, 2, 4]].chunk(3, -1)), "qkv"),
    "of means": (lambda x: map(heads, (x - x.mean(-1, keepdim=True)).chunk(3, -1)), "qkv"),
    "head by head": (lambda x: x.unflatten(-1, (2, 12)).transpose(1, 2).chunk(3, -1), ""),
    "in turn": (lambda x: x.unflatten(-1, (2, 3, 4)).transpose(1, 2).unbind(3), ""),
    "put together": (lambda x: map(heads, torch.cat([x[..., 16:], x[..., :16]], -1).chunk(3, -1)), ""),
    "flipped": (lambda x: map(heads, x.flip(-1).chunk(3, -1)), ""),
    "rolled": (lambda x: map(heads, x.roll(8, -1).chunk(3, -1)), ""),
    "picked": (lambda x: map(heads, x[..., PERM].chunk(3, -1)), ""),
    "selected": (lambda x: map(heads, x.index_select(-1, PERM).chunk(3, -1)), ""),
    "gathered": (lambda x: map(heads, x.gather(-1, PERM.expand_as(x)).chunk(3, -1)), ""),
    "by two": (lambda x: map(heads, torch.cat([x[..., ::2], x[..., 1::2]], -1).chunk(3, -1)), ""),
    "rows picked": (lambda x: rows(x)[[1, 0, 2]], ""),
    "rows stacked": (lambda x: torch.stack([*rows(x)][::-1]).unbind(0), ""),
    "beside a flip": (lambda x: map(heads, (x + x.flip(-1)).chunk(3, -1)), ""),
    "written": (lambda x: map(heads, torch.zeros_like(x).index_copy(-1, PERM, x).chunk(3, -1)), ""),
    "padded": (lambda x: map(heads, functional.pad(x, (8, -8)).chunk(3, -1)), ""),
    "turned round": (lambda x: map(heads, x.reshape(3, -1, 24).rot90(2, (1, 2)).reshape(x.shape).chunk(3, -1)), ""),
    "shuffled": (lambda x: map(heads, functional.channel_shuffle(x.mT, 3).mT.chunk(3, -1)), ""),
}  # fmt: skip


class Fused(nn.Module):
    """One attention, of one matrix that is stored as PyTorch or as GPT-2 has it."""

    def __init__(self, cut: Callable[[torch.Tensor], Any], stored: str) -> None:
        super().__init__()
        self.cut, self.stored, self.first, self.out = cut, stored, nn.Linear(5, 8), nn.Linear(8, 8)
        self.weight = nn.Parameter(torch.randn(24, 8) if stored == "oi" else torch.randn(8, 24))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        whole = x @ (self.weight.T if self.stored == "oi" else self.weight)
        mixed = functional.scaled_dot_product_attention(*self.cut(whole))
        return x + self.out(mixed.transpose(1, 2).flatten(2))


@pytest.mark.parametrize(("name", "stored"), [(n, how) for n in CUTS for how in ("oi", "io")[: 1 + bool(CUTS[n][1])]])
def test_what_is_fused_is_known_by_what_it_feeds(name: str, stored: str) -> None:
    cut, order = CUTS[name]
    model = Fused(cut, stored)
    plan = wb.initialize(model, (2, 6, 5), recipe="conditioned", seed=0).plan
    assert plan["weight"].role == "query_key_value"
    weight = model.weight.detach().double()
    parts = (weight if stored == "oi" else weight.T).split(8)
    assert [torch.equal(part, torch.eye(8).double()) for part in parts] == [order[i : i + 1] == "v" for i in range(3)]
    near = [float(torch.linalg.cond(part)) < 1 + 1e-5 for part in parts]
    assert all(near) if order else not any(near)  # orthogonal as one, if nobody knows the order
    query = wb.plan(model, (2, 6, 5), recipe="t5", seed=0)["weight"].scheme
    assert query.count("normal(std") == bool(order)
    assert query.startswith("by_section(normal") == order.startswith("q")


def joined(x: torch.Tensor) -> Any:
    value, key, query = x.chunk(3, -1)
    both = functional.layer_norm(torch.cat([query, key], -1), (16,))
    return map(heads, (*both.chunk(2, -1), value))


@pytest.mark.parametrize(
    ("cut", "order"),
    [(joined, ""), (lambda x: torch.stack([*rows(x).unbind(0)][::-1]).unbind(0), ""), (CUTS["values first"][0], "vkq")],
)
def test_parts_that_are_cut_at_once_and_joined_again_have_no_names(cut: Any, order: str) -> None:
    scheme = wb.plan(Fused(cut, "oi"), (2, 6, 5), recipe="t5", seed=0)["weight"].scheme
    assert scheme.count("normal(std") == bool(order)
    assert scheme.endswith("normal(std=0.1767766952966369))") == bool(order)


def test_a_layer_tells_the_order_of_its_own() -> None:
    inputs = tuple(torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0)) for _ in range(3))
    plan = wb.plan(nn.MultiheadAttention(8, 2, batch_first=True), inputs, recipe="t5", seed=0)
    assert plan["in_proj_weight"].scheme.startswith("by_section(normal(std")


JAX_CUTS = {
    "split": (lambda x: jnp.split(x, 3, -1), "qkv"),
    "slices": (lambda x: (x[..., 8:16], x[..., :8], x[..., 16:]), "kqv"),
    "of some places": (lambda x: jnp.split(x[:, jnp.array([5, 0, 3, 1, 2, 4])], 3, -1), "qkv"),
    "flipped": (lambda x: jnp.split(jnp.flip(x, -1), 3, -1), ""),
    "rolled": (lambda x: jnp.split(jnp.roll(x, 8, -1), 3, -1), ""),
    "picked": (lambda x: jnp.split(x[..., PERM.numpy()], 3, -1), ""),
    "by two": (lambda x: jnp.split(jnp.concatenate([x[..., ::2], x[..., 1::2]], -1), 3, -1), ""),
    "by two, in threes": (lambda x: (x[..., :16:2], x[..., 1:16:2], x[..., 16:]), ""),
}


@pytest.mark.parametrize("name", JAX_CUTS)
def test_what_is_fused_is_known_in_jax_too(name: str) -> None:
    cut, order = JAX_CUTS[name]
    rng = np.random.default_rng(0)
    tree = {
        key: rng.standard_normal(shape).astype("f4")
        for key, shape in {"a": (5, 8), "fused": (8, 24), "o": (8, 8)}.items()
    }

    def run(tree: Any, x: Any) -> Any:
        x = x @ tree["a"]
        q, k, v = (part.reshape(*part.shape[:2], 2, 4).swapaxes(1, 2) for part in cut(x @ tree["fused"]))
        mixed = jax.nn.softmax(q @ k.swapaxes(2, 3) / 2) @ v
        return mixed.swapaxes(1, 2).reshape(x.shape[0], -1, 8) @ tree["o"]

    plan = wb.plan((run, tree), np.ones((2, 6, 5), "f4"), recipe="t5", intent="overwrite", seed=0)
    assert plan["fused"].role == "query_key_value"
    assert plan["fused"].scheme.count("normal(std") == bool(order)
    assert plan["fused"].scheme.startswith("by_section(normal") == order.startswith("q")


def entries(x: Any) -> Any:
    rows = keras.ops.reshape(x, (-1, 6, 3, 8))
    return rows[:, :, 1], rows[..., -3, :], rows[:, :, 2]


KERAS_CUTS = {
    "split": (lambda x: keras.ops.split(x, 3, -1), "qkv"),
    "slices": (lambda x: (x[..., 8:16], x[:, :, :8], x[..., 16:]), "kqv"),
    "entries": (entries, "kqv"),
    "rows": (lambda x: keras.ops.unstack(keras.ops.reshape(x, (-1, 6, 3, 8)), axis=2), "qkv"),
    "flipped": (lambda x: keras.ops.split(keras.ops.flip(x, -1), 3, -1), ""),
    "rolled": (lambda x: keras.ops.split(keras.ops.roll(x, 8, -1), 3, -1), ""),
    "by two": (lambda x: keras.ops.split(keras.ops.concatenate([x[..., ::2], x[..., 1::2]], -1), 3, -1), ""),
}


@pytest.mark.parametrize("name", KERAS_CUTS)
def test_what_is_fused_is_known_in_keras_too(name: str) -> None:
    cut, order = KERAS_CUTS[name]
    ops, x = keras.ops, keras.Input((6, 5))
    fused = cut(keras.layers.Dense(24, use_bias=False, name="fused")(keras.layers.Dense(8)(x)))
    q, k, v = (ops.transpose(ops.reshape(part, (-1, 6, 2, 4)), (0, 2, 1, 3)) for part in fused)
    mixed = ops.matmul(ops.softmax(ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / 2), v)
    out = keras.layers.Dense(8)(ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, 6, 8)))
    plan = wb.plan(keras.Model(x, out), np.ones((2, 6, 5), "f4"), recipe="t5", intent="overwrite", seed=0)
    (scheme,) = [entry.scheme for entry in plan.entries if entry.name.startswith("fused")]
    assert scheme.count("normal(std") == bool(order)
    assert scheme.startswith("by_section(normal") == order.startswith("q")
