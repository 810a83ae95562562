"""What the files of the registry are made of: rows, batches of the kind that users have, and small helpers."""

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Made = tuple[nn.Module, Any]
ROWS: dict[str, Callable[[], Made]] = {}
"""Every model of the suite: "package: name" -> what builds it and its batch, the same each time for one seed."""


def add(package: str, made: dict[str, Callable[[], Made]]) -> None:
    for name, make in made.items():
        full = f"{package}: {name}"
        known = ROWS.setdefault(full, make)
        assert known.__code__ == make.__code__, full  # a file may be read twice


def load(module: str, name: str) -> Any:
    """An attribute of a module that is imported when it is asked for."""
    return getattr(importlib.import_module(module), name)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def tokens(*shape: int, below: int = 98, seed: int = 0) -> torch.Tensor:
    return torch.randint(2, below, shape, generator=torch.Generator().manual_seed(seed))


def mask(rows: int, length: int) -> torch.Tensor:
    """1 for what is there; the second row is padded at its end."""
    made = torch.ones(rows, length, dtype=torch.long)
    made[1, -max(1, length // 4) :] = 0
    return made


class Called(nn.Module):
    """A model of which another method is what is trained, as `log_prob` of a flow."""

    def __init__(self, model: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.model, self.call = model, call

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(self.model, *args, **kwargs)


def torchvision_operators() -> None:
    """Lets torchvision be imported where its compiled operators do not load: no row uses them."""
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            _KEPT.append(torch.library.Library("torchvision", "FRAGMENT"))
            _KEPT[-1].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


_KEPT: list[Any] = []  # a library's operators go with it
