"""Time to fill one matrix: ours against jitted initializers of JAX, and of Keras on each of its backends.

    python benchmarks/jax_keras_rates.py [--json docs/figures/jax_keras_rates.json] [--backends torch,jax,tensorflow]

Two matrices: 4096 x 4096 of normal numbers and 1024 x 1024 orthogonal, float32. "first" is the first call in a process,
with compilation or with what is loaded on first use; "then" the shortest of three later ones, until values are there.
Each row runs in a process of its own. Backends that are not installed are left out.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SHAPES = {"normal": (4096, 4096), "orthogonal": (1024, 1024)}


def ours(kind: str) -> Callable[[], Any]:
    """As JAX users call it: an array of JAX comes back."""
    import jax

    from wellbegun.jax import initializers

    make = initializers.normal(0.02) if kind == "normal" else initializers.orthogonal()
    keys = iter(jax.random.split(jax.random.key(0), 8))
    return lambda: make(next(keys), SHAPES[kind]).block_until_ready()


def jitted(kind: str) -> Callable[[], Any]:
    """The same initializer of JAX, compiled."""
    import jax

    make = jax.nn.initializers.normal(0.02) if kind == "normal" else jax.nn.initializers.orthogonal()
    run, keys = jax.jit(lambda key: make(key, SHAPES[kind])), iter(jax.random.split(jax.random.key(0), 8))
    return lambda: run(next(keys)).block_until_ready()


def of_keras(kind: str) -> Callable[[], Any]:
    """Keras's own."""
    import keras

    make = keras.initializers.RandomNormal(0.02) if kind == "normal" else keras.initializers.Orthogonal()
    return lambda: keras.ops.convert_to_numpy(make(SHAPES[kind]))


def ours_in_keras(kind: str) -> Callable[[], Any]:
    """Ours, as layers of Keras call it."""
    import keras

    from wellbegun.keras import initializers

    make = initializers.RandomNormal(0.02) if kind == "normal" else initializers.Orthogonal()
    return lambda: keras.ops.convert_to_numpy(make(SHAPES[kind]))


WAYS = {"wellbegun, JAX": ours, "jax.jit": jitted, "wellbegun, Keras": ours_in_keras, "Keras": of_keras}


def measured(way: str, kind: str) -> dict[str, float]:
    """Seconds of the first call, and of the shortest one after it."""
    fill, found = WAYS[way](kind), list[float]()
    for _ in range(4):
        start = time.perf_counter()
        fill()
        found.append(time.perf_counter() - start)
    return {"first": round(found[0], 3), "then": round(min(found[1:]), 4)}


def main() -> None:
    """A process for each row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--backends", default="torch,jax,tensorflow")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(*given.one)))
        return
    backends = [name for name in given.backends.split(",") if importlib.util.find_spec(name) is not None]
    ways = [(way, backend) for way in WAYS for backend in (backends if "Keras" in way else ["jax"])]
    rows = []
    for kind in SHAPES:
        for way, backend in ways:
            environment = {**os.environ, "KERAS_BACKEND": backend}
            command = [sys.executable, __file__, "--one", way, kind]
            told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
            rows.append({"what": kind, "by": way, "backend": backend, **json.loads(told.strip().splitlines()[-1])})
            print(rows[-1], flush=True)
            if given.json:
                given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
