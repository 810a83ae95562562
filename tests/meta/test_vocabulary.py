"""Frameworks' names of operations stand in their adapters; elsewhere there are kinds, fields and names of NumPy."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from jax import lax

from wellbegun.graph.model import Kind, Mode
from wellbegun.theory.activations import ACTIVATIONS

SOURCE = Path(__file__).parents[2] / "src" / "wellbegun"
FILES = [path for path in sorted(SOURCE.rglob("*.py")) if path.relative_to(SOURCE).parts[0] not in ("torch", "jax")]
OURS = {
    *dir(np),
    *ACTIVATIONS,
    *get_args(Kind),
    *get_args(Mode),
    "log_sigmoid",
    "add_scalar",
}  # the last is TensorBoard's


def theirs() -> frozenset[str]:
    """Names of ATen operations and of JAX primitives of more than one word: single words may mean anything."""
    aten = [name.partition("::")[2].partition(".")[0] for name in torch._C._dispatch_get_all_op_names()]
    primitives = [name.removesuffix("_p") for name in dir(lax) if name.endswith("_p")]
    names = {name for name in (*aten, *primitives) if "_" in name.strip("_") or name.startswith("_")}
    return frozenset(name for name in names - OURS if not name.startswith("__"))


THEIRS = theirs()


def strings(text: str) -> Iterator[str]:
    """String literals that are no docstrings."""
    tree = ast.parse(text)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    first = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and node.body]
    docs = {id(statement.value) for statement in first if isinstance(statement, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_operation_of_a_framework_is_named(path: Path) -> None:
    assert not THEIRS.intersection(strings(path.read_text()))


def test_the_guard_sees_what_it_guards_against() -> None:
    assert {"native_layer_norm", "_to_copy", "dot_general"} <= THEIRS
    adapter = (SOURCE / "torch" / "trace" / "aten.py").read_text()
    assert THEIRS.intersection(strings(adapter))
