"""A filled model to safetensors: weights, plan and seed in one file."""

import os
from pathlib import Path

import torch

from wellbegun.planning import Plan
from wellbegun.storage import metadata_of, replacing


def save_weights(model: torch.nn.Module, plan: Plan, path: str | os.PathLike[str]) -> Path:
    """Write the state of a model with its plan and seed as metadata; tied tensors are stored once.

    `safetensors.torch.load_model(model, path)` reads the weights back; the metadata entries "wellbegun.plan" and
    "wellbegun.seed" hold the plan as JSON and the seed as a decimal number.
    """
    from safetensors.torch import save_model

    with replacing(path) as new:
        save_model(model, str(new), metadata=metadata_of(plan))
    return Path(path)
