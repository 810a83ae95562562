"""What makes the model of each cell of `framework_rows`: of a text, by each framework's layers, or written by hand."""

from typing import Any

import frameworks
import jax.numpy as jnp
import numpy as np
import styles
import torch
from twins import TWINS
from written_once import TEXTS

HELD = {
    "torch": frameworks.in_torch, "nnx": frameworks.in_nnx, "linen": frameworks.in_linen,
    "equinox": frameworks.in_equinox, "haiku": frameworks.in_haiku, "plain": frameworks.in_plain,
}  # fmt: skip


def batch_of(row: str, column: str) -> Any:
    """The batch as a framework takes it: Equinox has channels first, as torch."""
    if row in TWINS:
        return TWINS[row].batch(column) if column == "torch" else styles.batch_of(column, row)
    text = TEXTS[row]

    def one(array: np.ndarray) -> Any:
        if column == "torch":
            return torch.from_numpy(array)
        last = text.images and array.ndim == 4 and column != "equinox"
        return jnp.asarray(array.transpose(0, 2, 3, 1) if last else array)

    found = text.data()
    if isinstance(found, dict):
        return {name: one(array) for name, array in found.items()}
    return tuple(map(one, found)) if isinstance(found, tuple) else one(found)


def model_of(row: str, column: str) -> Any:
    """A new model, as its users hold it."""
    if column in ("torch", "nnx") and row in TWINS:
        return TWINS[row].torch() if column == "torch" else TWINS[row].jax()
    batch, by_hand = batch_of(row, column), styles.STYLES.get(column, {})
    return by_hand[row](batch) if row in by_hand else HELD[column](TEXTS[row], batch)
