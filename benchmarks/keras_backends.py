"""Models of keras.applications, built without weights, on each backend of Keras: equal plans, equal bits, healthy?

    python benchmarks/keras_backends.py [--backends torch,jax,tensorflow] [--models MobileNetV2,VGG16]

Each backend runs in a process of its own, as Keras reads KERAS_BACKEND once. Backends that are not installed are left
out. A row tells how many parameters there are and how many were filled or kept, whether a check finds the model healthy
after `wellbegun.initialize`, and seconds; the last columns whether plan and bits are those of the first backend.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from typing import Any

SIZES = {
    "MobileNetV2": 32, "VGG16": 32, "ConvNeXtTiny": 32, "ResNet50": 32, "EfficientNetB0": 32, "Xception": 71,
    "DenseNet121": 32, "MobileNetV3Small": 32,
}  # fmt: skip
BATCH, CLASSES = 8, 10


def outcome(name: str) -> dict[str, Any]:
    """What becomes of one model in this process."""
    import keras
    import numpy as np

    import wellbegun as wb
    from wellbegun.keras.layers import host, slots_of

    size = SIZES[name]
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=CLASSES)
    batch = np.random.default_rng(0).uniform(0, 255, (BATCH, size, size, 3)).astype(np.float32)
    start = time.perf_counter()
    plan = wb.plan(model, batch, seed=0)
    planned = time.perf_counter() - start
    wb.apply(model, plan)
    bits = hashlib.sha256(b"".join(host(slot.variable).tobytes() for slot in slots_of(model) if slot.trained))
    start = time.perf_counter()
    result = wb.initialize(model, batch, seed=0)
    roles = [(entry.name, entry.role, str(entry.law)) for entry in plan.entries]
    return {
        "parameters": len(model.trainable_variables), "counts": dict(result.ledger.counts()),
        "healthy": result.health.healthy, "codes": sorted(result.health.codes), "plan_s": round(planned, 1),
        "initialize_s": round(time.perf_counter() - start, 1), "notes": [note[:200] for note in result.plan.notes],
        "plan": hashlib.sha256(repr(roles).encode()).hexdigest()[:12], "bits": bits.hexdigest()[:12],
        "unknown": sum(entry.role in ("unknown", "unused") for entry in plan.entries),
    }  # fmt: skip


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", default="torch,jax,tensorflow")
    parser.add_argument("--models", default=",".join(SIZES))
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        print(json.dumps(outcome(asked.inside)))
        return
    first: dict[str, Any] = {}
    for backend in filter(importlib.util.find_spec, asked.backends.split(",")):
        for name in asked.models.split(","):
            command = [sys.executable, __file__, "--inside", name]
            environment = {**os.environ, "KERAS_BACKEND": backend}
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
            if done.returncode:
                print(f"{backend:10} {name:15} FAILED")
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            expected = first.setdefault(name, found)
            same = [key for key in ("plan", "bits") if found[key] == expected[key]]
            told = {key: value for key, value in found.items() if key not in ("plan", "bits")}
            print(f"{backend:10} {name:15} same {'+'.join(same) or 'nothing'} {told}", flush=True)


if __name__ == "__main__":
    main()
