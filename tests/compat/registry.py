"""The compatibility suite: models of many packages, built small from their configurations; nothing is downloaded."""

import random
import warnings
import zlib

import images  # noqa: F401
import numpy as np
import others  # noqa: F401
import sequences  # noqa: F401
import torch
import transformer_images  # noqa: F401
import transformer_sounds  # noqa: F401
import transformer_texts  # noqa: F401
from rows import ROWS, Made


def build(name: str, seed: int = 0) -> Made:
    """A model in training mode and its batch."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, batch = ROWS[name]()
    return model.train(), batch


def half(name: str) -> str:
    """Of two halves, the one that was not looked at while the library was mended: by a fixed hash of the name."""
    return ("development", "held out")[zlib.crc32(name.encode()) % 2]
