"""Networks of JAX after their public architectures: no exception, all accounted for, healthy, first loss at chance?

    python benchmarks/jax_models.py [--only NAME,NAME] [--json docs/figures/jax_models.json]

Each is initialized with `wellbegun.initialize`, and then measured with JAX alone: the loss is written here, its
gradient is `jax.grad` of the user's own call. Measured are the first loss over that of chance (ln of the classes, or
the mean square of the targets), the smallest and largest RMS of a parameter's gradient over the parameter's own RMS,
the share of parameters without any gradient, and the loss after 20 steps of Adam at 1e-3 over the first: an untrained
network that is well begun learns its batch at once.
"""

import argparse
import json
import math
import time
import warnings
from pathlib import Path
from typing import Any

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import wellbegun as wb
from jax_networks import (
    GPT2,
    KEY,
    T5,
    VAE,
    ConvNeXt,
    Llama,
    Mamba,
    MLPMixer,
    Network,
    Perceiver,
    ResNet18,
    Seq2Seq,
    UNet,
    ViT,
    WideResNet,
    bound,
    normal,
    tokens,
    transformed,
)

STEPS = 20


# ---------------------------------------------------------------------- the other networks
class Siren(eqx.Module):
    """Sitzmann et al. 2020."""

    layers: list[Any]

    def __init__(self) -> None:
        sizes = ((2, 64), (64, 64), (64, 64), (64, 3))
        self.layers = [eqx.nn.Linear(i, o, key=KEY) for i, o in sizes]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers[:-1]:
            x = jnp.sin(30 * layer(x))
        return self.layers[-1](x)


class NeRF(eqx.Module):
    """Mildenhall et al. 2020: encoded places, a way around half of the layers, a density and a colour."""

    first: list[Any]
    second: list[Any]
    density: Any
    colour: Any

    def __init__(self) -> None:
        def linear(i: int, o: int) -> eqx.nn.Linear:
            return eqx.nn.Linear(i, o, key=KEY)

        self.first = [linear(39, 96), linear(96, 96), linear(96, 96)]
        self.second = [linear(135, 96), linear(96, 96)]
        self.density, self.colour = linear(96, 1), linear(96, 3)

    def __call__(self, x: Any) -> Any:
        waves = [wave(2.0**power * x) for power in range(6) for wave in (jnp.sin, jnp.cos)]
        given = h = jnp.concatenate([x, *waves])
        for layer in self.first:
            h = jax.nn.relu(layer(h))
        h = jnp.concatenate([given, h])
        for layer in self.second:
            h = jax.nn.relu(layer(h))
        return jnp.concatenate([self.colour(h), self.density(h)])


def dqn(x: Any) -> Any:
    """Mnih et al. 2015."""
    for units, size, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
        x = jax.nn.relu(hk.Conv2D(units, size, stride, padding="VALID")(x))
    return hk.Linear(6)(jax.nn.relu(hk.Linear(128)(hk.Flatten()(x))))


def actor_critic(x: Any) -> Any:
    """Schulman et al. 2017: a policy and a value, each of its own layers."""
    policy = hk.nets.MLP([64, 64, 4], activation=jnp.tanh, name="policy")(x)
    return jnp.concatenate([policy, hk.nets.MLP([64, 64, 1], activation=jnp.tanh, name="value")(x)], -1)


def real_nvp(x: Any) -> Any:
    """Dinh et al. 2017: couplings of one half with the other."""
    for place in range(4):
        one, two = jnp.split(x, 2, -1)
        log_scale = jnp.tanh(hk.nets.MLP([64, 64, 4], name=f"scale_{place}")(one))
        shift = hk.nets.MLP([64, 64, 4], name=f"shift_{place}")(one)
        x = jnp.concatenate([two * jnp.exp(log_scale) + shift, one], -1)
    return x


def char_rnn(ids: Any) -> Any:
    """Karpathy 2015."""
    x = hk.Embed(64, 48)(ids)
    core = hk.LSTM(64)
    x, _ = hk.dynamic_unroll(core, x, core.initial_state(x.shape[0]), time_major=False)
    return hk.Linear(64)(x)


def graph_network(p: Any, nodes: Any, senders: Any, receivers: Any) -> Any:
    """Kipf, Welling 2017, by sums over edges."""
    degree = jax.ops.segment_sum(jnp.ones_like(receivers, jnp.float32), receivers, nodes.shape[0])
    x = nodes
    for place, layer in enumerate(p["layers"]):
        h = x @ layer["w"]
        h = jax.ops.segment_sum(h[senders], receivers, nodes.shape[0]) / jnp.maximum(degree, 1)[:, None]
        h = h + layer["b"]
        x = jax.nn.relu(h) if place + 1 < len(p["layers"]) else h
    return x


def graph_parameters(_: Any) -> Any:
    return graph_network, {"layers": [
        {"w": 0.1 * normal(i, o), "b": jnp.zeros(o)} for i, o in ((16, 64), (64, 64), (64, 7))
    ]}  # fmt: skip


def images() -> tuple[Any, ...]:
    return (normal(16, 16, 16, 3),)


def channels_first() -> tuple[Any, ...]:
    return (normal(16, 3, 16, 16),)


def pairs() -> tuple[Any, ...]:
    return tokens(16, 12), tokens(16, 10)


def edges() -> tuple[Any, ...]:
    return normal(96, 16), tokens(400, most=96), tokens(400, most=96)[::-1]


NETWORKS: dict[str, Network] = {
    "ResNet-18": Network("NNX", "He et al. 2016", lambda _: ResNet18(nnx.Rngs(0)), images, 10),
    "GPT-2": Network("NNX", "Radford et al. 2019", lambda _: GPT2(nnx.Rngs(0)), lambda: (tokens(16, 12),), 64),
    "U-Net": Network("NNX", "Ronneberger et al. 2015", lambda _: UNet(nnx.Rngs(0)), images, 4),
    "VAE": Network("NNX", "Kingma, Welling 2014", lambda _: VAE(nnx.Rngs(0)), lambda: (normal(64, 64), normal(64, 8))),
    "WideResNet": Network("Linen", "Zagoruyko, Komodakis 2016", bound(WideResNet()), images, 10),
    "ViT": Network("Linen", "Dosovitskiy et al. 2021", bound(ViT()), images, 10),
    "MLP-Mixer": Network("Linen", "Tolstikhin et al. 2021", bound(MLPMixer()), images, 10),
    "LSTM seq2seq": Network("Linen", "Sutskever et al. 2014", bound(Seq2Seq()), pairs, 64),
    "T5": Network("Linen", "Raffel et al. 2020", bound(T5()), pairs, 64),
    "Perceiver": Network("Linen", "Jaegle et al. 2021", bound(Perceiver()), lambda: (normal(16, 40, 12),), 10),
    "Llama": Network("Equinox", "Touvron et al. 2023", lambda _: Llama(), lambda: (tokens(16, 12),), 64),
    "ConvNeXt": Network("Equinox", "Liu et al. 2022", lambda _: ConvNeXt(), channels_first, 10),
    "Mamba": Network("Equinox", "Gu, Dao 2023", lambda _: Mamba(), lambda: (tokens(16, 12),), 64),
    "SIREN": Network("Equinox", "Sitzmann et al. 2020", lambda _: Siren(), lambda: (normal(256, 2) / 2,)),
    "NeRF": Network("Equinox", "Mildenhall et al. 2020", lambda _: NeRF(), lambda: (normal(256, 3) / 2,)),
    "DQN": Network("Haiku", "Mnih et al. 2015", transformed(dqn), lambda: (normal(8, 44, 44, 4),)),
    "PPO": Network("Haiku", "Schulman et al. 2017", transformed(actor_critic), lambda: (normal(64, 8),)),
    "RealNVP": Network("Haiku", "Dinh et al. 2017", transformed(real_nvp), lambda: (normal(64, 8),)),
    "CharRNN": Network("Haiku", "Karpathy 2015", transformed(char_rnn), lambda: (tokens(16, 12),), 64),
    "GCN": Network("a tree", "Kipf, Welling 2017", graph_parameters, edges, 7),
}


# ---------------------------------------------------------------------- measured with JAX alone
def parts(style: str, model: Any) -> tuple[Any, Any]:
    """What is trained, and a function of it and the batch."""
    if style == "NNX":
        definition, trained, rest = nnx.split(model, nnx.Param, ...)
        return trained, lambda p, *batch: nnx.merge(definition, p, jax.tree.map(jnp.copy, rest))(*batch)
    if style == "Equinox":
        trained, rest = eqx.partition(model, eqx.is_inexact_array)
        return trained, lambda p, *batch: jax.vmap(eqx.combine(p, rest))(*batch)
    function, held = model
    if style == "Linen":
        rest = {name: part for name, part in held.items() if name != "params"}
        return held["params"], lambda p, *batch: function.apply({"params": p, **rest}, *batch, mutable=True)[0]
    return held, function if style == "a tree" else function.apply


def measured(network: Network, model: Any, batch: tuple[Any, ...]) -> dict[str, float]:
    trained, call = parts(network.style, model)
    output = jax.jit(call)(trained, *batch)
    rng = np.random.default_rng(7)
    targets = jnp.asarray(rng.standard_normal(output.shape), jnp.float32)
    labels = jnp.asarray(rng.integers(0, network.classes or 1, output.shape[:-1]))

    def loss(p: Any) -> Any:
        found = call(p, *batch)
        if not network.classes:
            return jnp.mean((found - targets) ** 2)
        shares = jax.nn.log_softmax(found)
        return -jnp.take_along_axis(shares, labels[..., None], -1).mean()

    optimizer = optax.adam(1e-3)

    @jax.jit
    def step(p: Any, state: Any) -> Any:
        value, gradient = jax.value_and_grad(loss)(p)
        change, state = optimizer.update(gradient, state)
        return value, gradient, optax.apply_updates(p, change), state

    state, losses, first = optimizer.init(trained), [], None
    p = trained
    for _ in range(STEPS + 1):
        value, gradient, p, state = step(p, state)
        first = gradient if first is None else first
        losses.append(float(value))
    sizes = [float(jnp.sqrt(jnp.mean(one**2))) for one in jax.tree.leaves(first)]
    weights = [float(jnp.sqrt(jnp.mean(one**2))) for one in jax.tree.leaves(trained)]
    ratios = [size / weight for size, weight in zip(sizes, weights, strict=True) if weight and size]
    chance = math.log(network.classes) if network.classes else float(jnp.mean(targets**2))
    return {
        "chance": losses[0] / chance, "least": min(ratios), "most": max(ratios),
        "without": sum(not size for size in sizes) / len(sizes), "finite": bool(np.isfinite([*sizes, *losses]).all()),
        "learned": losses[-1] / losses[0], "parameters": len(sizes),
    }  # fmt: skip


def outcome(name: str) -> dict[str, Any]:
    network = NETWORKS[name]
    batch = network.data()
    model = network.make(batch)
    start = time.perf_counter()
    result = wb.initialize(model, batch if len(batch) > 1 else batch[0], seed=0)
    seconds, counts = time.perf_counter() - start, result.ledger.counts()
    known = {"name": name, "style": network.style, "about": network.about, "counts": dict(counts)}
    found = measured(network, result.model, batch)
    known["accounted"] = sum(counts.values()) == found["parameters"]
    return known | found | {"codes": list(result.health.codes), "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(NETWORKS))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = []
    for name in asked.only.split(","):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                rows.append(outcome(name))
            except Exception as error:  # it is a row of the table
                rows.append({"name": name, "error": f"{type(error).__name__}: {error}"[:300]})
        print(json.dumps(rows[-1]), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
