"""The shape of the code: imports go down the rows, files and functions stay small, the surface is what it says."""

import ast
import importlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import wellbegun as wb
from wellbegun.schemes.catalogue import FAMILIES, NAMES

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "wellbegun"
FILES = sorted(SOURCE.rglob("*.py"))

# A module may import only modules with a smaller number; docs/architecture.md explains the rows.
ROWS = {
    "errors": 0, "_typing": 0, "_display": 0, "_collection": 0,
    "_arguments": 1,
    "layout": 2, "streams": 2, "_tables": 2, "_installed": 2,
    "laws": 3,
    "engine": 4,
    "schemes": 5, "theory": 5, "inputs": 5,
    "graph": 6, "huggingface": 6,
    "planning": 7, "health": 7,
    "materialize": 8,
    "storage": 9, "backend": 9,
    "torch": 10, "jax": 10, "keras": 10, "measure": 10,
    "racing": 11,
    "reports": 12,
    "explore": 13,
    "api": 14, "_loading": 14, "integrations": 15, "testing": 15, "cli": 15, "__init__": 15, "__main__": 16,
}  # fmt: skip


def row_name(module: str) -> str:
    """wellbegun.engine.cpu -> fill; wellbegun -> __init__"""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_only_go_down(path: Path) -> None:
    own = row_name(module_of(path))
    for name in imports_of(path):
        if name.split(".")[0] != "wellbegun":
            continue
        other = row_name(name)
        if other == own or name == "wellbegun.__version__":
            continue
        assert ROWS[other] < ROWS[own], f"{own} (row {ROWS[own]}) imports {name} (row {ROWS[other]})"


def test_every_file_has_a_row() -> None:
    assert {row_name(module_of(path)) if path.parent != SOURCE else path.stem for path in FILES} == set(ROWS)


FRAMEWORKS = {"torch", "jax", "keras", "flax", "equinox", "haiku", "tensorflow"}


def test_frameworks_stay_in_their_adapters() -> None:
    """Only below torch/, jax/, ... a framework is imported, or what speaks it: `backend.find` loads that by name."""
    for path in FILES:
        own = path.relative_to(SOURCE).parts[0]
        allowed = {
            "torch": {"torch"},
            "jax": {"jax", "flax", "equinox", "haiku"},
            "keras": {"keras", "torch", "jax", "tensorflow"},
        }.get(own, set())
        for name in imports_of(path):
            assert name.split(".")[0] not in FRAMEWORKS - allowed, path
            other = row_name(name) if name.startswith("wellbegun.") else ""
            assert other not in FRAMEWORKS or other == own, path


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body
            if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                body = body[1:]
            yield node.name, (body[-1].end_lineno - body[0].lineno + 1) if body else 0


@pytest.mark.parametrize(
    "path",
    [*FILES, *sorted((ROOT / "examples").glob("*.py")), *sorted((ROOT / "benchmarks").glob("*.py"))],
    ids=lambda path: path.name,
)
def test_size_budget(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
    long = [(name, lines) for name, lines in functions(path) if lines > 40]
    assert not long


def test_no_broad_except_without_a_reason() -> None:
    for path in FILES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if "except Exception" in line or "except BaseException" in line or line.strip() == "except:":
                assert "#" in line, f"{path}:{number}"


def test_all_is_sorted_and_equal_to_what_is_visible() -> None:
    import types

    names = [name for name in dir(wb) if not name.startswith("_")]
    visible = {name for name in names if not isinstance(getattr(wb, name), types.ModuleType)}
    assert list(wb.__all__) == sorted(wb.__all__)
    assert set(wb.__all__) == visible
    assert visible - {*NAMES} == {
        "Applied", "Fans", "Health", "Layout", "Ledger", "Plan", "Race", "Result", "Rule", "apply", "check",
        "compare_models", "coordinate_check", "diff", "edge_of_chaos", "explain", "fill", "gain", "initialize",
        "load_plan", "moments", "operating_point", "plan", "race", "report", "reset", "save_plan", "show",
        "signal_propagation",
    }  # fmt: skip
    schemes = [name for family in FAMILIES for name in family.__all__]
    assert len(set(schemes)) == len(schemes)  # every scheme is known by its bare name
    for path in FILES:
        if path.name == "__init__.py" and path.parent != SOURCE:
            module = importlib.import_module(module_of(path))
            names = getattr(module, "__all__", [])
            assert len(set(names)) == len(names)
            assert all(hasattr(module, name) for name in names), module


def test_public_objects_have_docstrings_with_examples() -> None:
    for name in wb.__all__:
        value = getattr(wb, name)
        assert (value.__doc__ or "").strip(), name
    examples = [name for name in wb.__all__ if ">>>" in (getattr(wb, name).__doc__ or "")]
    assert len(examples) >= 20


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_is_light() -> None:
    loaded = run("import sys, wellbegun; print(*sys.modules)").split()
    heavy = {
        "torch",
        "jax",
        "flax",
        "keras",
        "numba",
        "scipy",
        "rich",
        "typer",
        "safetensors",
        "matplotlib",
        "llvmlite",
    }
    assert not (heavy | {"jinja2", "joblib"}) & set(loaded)


def test_import_adds_little_to_numpy() -> None:
    """What an import costs, counted in modules: machines are busy, seconds stand in benchmarks."""
    ours = set(run("import sys, wellbegun; print(*sys.modules)").split())
    bare = set(run("import sys, numpy; print(*sys.modules)").split())
    own = {name for name in ours if name.partition(".")[0] == "wellbegun"}
    assert len(own) <= 40
    assert len(ours - own - bare) <= 25


def test_metadata() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert project["license"] == "Apache-2.0"
    assert (SOURCE / "py.typed").exists()
    every = [*project["dependencies"], *(item for extra in project["optional-dependencies"].values() for item in extra)]
    assert all(">=" in item or item.startswith("wellbegun[") for item in every), "each requirement has a lower bound"
    assert wb.__version__ in (ROOT / "CHANGELOG.md").read_text()
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text()


def test_no_path_of_a_machine_is_named() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    texts = [path for path in listed if Path(path).suffix in {".py", ".md", ".toml", ".txt", ".json", ""}]
    assert texts
    for path in texts:
        text = (ROOT / path).read_text()
        assert "/home/" not in text or path.startswith("tests/meta"), path
        assert "/root/" not in text or path.startswith("tests/meta"), path
