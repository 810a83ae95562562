"""Models that the other tests define, taken from their files without running the tests or importing what they check."""

import __future__

import ast
import functools
import sys
from pathlib import Path
from types import ModuleType

import torch

CONTRACT = Path(__file__).parents[1] / "contract"
sys.path.extend({str(CONTRACT)} - set(sys.path))


@functools.cache
def definitions(name: str) -> ModuleType:
    """The classes, functions and values at the top of a file in tests/contract, but for its tests.

    Imports from inside wellbegun are left out and so are values that need them: models need neither, and a file can be
    read whatever the names inside are.
    """
    path = CONTRACT / f"{name}.py"
    module = ModuleType(f"net_{name}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pickle look there
    with torch.random.fork_rng():
        torch.manual_seed(0)  # some draw batches and make layers
        _run(path, module)
    return module


def _run(path: Path, module: ModuleType) -> None:
    for node in ast.parse(path.read_text()).body:
        if _is_test(node) or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wellbegun.")):
            continue
        lines = ast.Module([node], type_ignores=[])
        flags = __future__.annotations.compiler_flag
        try:
            exec(compile(lines, str(path), "exec", flags=flags, dont_inherit=True), vars(module))
        except NameError:  # a value made of what was left out
            assert isinstance(node, (ast.Assign, ast.AnnAssign)), f"{path}:{node.lineno}"


def _is_test(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
