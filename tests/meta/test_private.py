"""Private names of torch stand in one file, which tells what a version of torch lacks."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TORCH = ROOT / "src" / "wellbegun" / "torch"
FILES = [path for path in sorted(TORCH.rglob("*.py")) if path.name != "compat.py"]
OWN = {"_replace", "_fields", "_asdict"}  # of named tuples


def private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def found(text: str) -> Iterator[str]:
    """Attributes of other objects than self, imports and texts that name something private, not of this package."""
    tree = ast.parse(text)
    defined = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    defined |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _owned(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in defined | OWN:
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("wellbegun"):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            yield from (f"{node.module}: {name}" for name in names if private(name))
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if any(private(part) for part in a.name.split(".")))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "torch._" in node.value:
            yield node.value


def _owned(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TORCH)))
def test_private_names_stand_in_one_file(path: Path) -> None:
    assert not list(found(path.read_text()))


@pytest.mark.parametrize(
    "text",
    [
        "import torch\ntorch._C._functorch.is_functorch_wrapped_tensor(x)",
        "from torch._subclasses.fake_tensor import FakeTensor",
        "from torch.utils._mode_utils import no_dispatch",
        "def f(module):\n    return module._parameters",
        "'torch._dynamo' in sys.modules",
    ],
)
def test_the_guard_sees_them(text: str) -> None:
    assert list(found(text))
    assert not list(found("class A:\n    def f(self, other):\n        return self._x + other._x"))


@pytest.mark.parametrize(
    "code",
    [
        "import torch; del torch._C._get_dispatch_mode",
        "import torch, torch.nn.utils.parametrizations as p; del p._OrthMaps",
        "import sys, torch; sys.modules['torch.utils._mode_utils'] = None",
        "import torch; torch.nn.Module.__init__.__globals__['OrderedDict']; "
        "old = torch.nn.Module.__init__\n"
        "def init(self, *a, **k):\n    old(self, *a, **k); vars(self).pop('_forward_hooks')\n"
        "torch.nn.Module.__init__ = init",
    ],
    ids=["function", "class", "module", "table"],
)
def test_what_a_version_of_torch_lacks_is_told_in_one_line(code: str) -> None:
    after = "\nimport torch\nfrom wellbegun.errors import MissingDependencyError as E\n"
    after += "try:\n    import wellbegun.torch\nexcept E as error:\n    print(error)"
    told = subprocess.run([sys.executable, "-c", code + after], capture_output=True, text=True, check=True).stdout
    assert "wellbegun: torch 2" in told
    assert "Install a version of torch" in told
    assert len(told.splitlines()) == 1
