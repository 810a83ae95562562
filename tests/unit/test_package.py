"""The names of the package: what is there, what is not, and what a missing framework says."""

import subprocess
import sys

import pytest

import wellbegun as wb


@pytest.mark.parametrize("name", ["he_normall", "a-b", "a.b", "", "_hidden", "_", "1x"])
def test_what_is_no_name_is_no_attribute(name: str) -> None:
    assert not hasattr(wb, name)


def test_what_is_listed_is_there() -> None:
    assert {"plan", "he_normal", "schemes", "errors", "__version__"} <= {*dir(wb)}
    assert not {"typing", "importlib"} & {*dir(wb)}
    assert all(hasattr(wb, name) for name in dir(wb))


@pytest.mark.parametrize(("name", "framework"), [("jax", "jax"), ("keras", "keras")])
def test_a_missing_framework_is_told(name: str, framework: str) -> None:
    code = f"import sys; sys.modules[{framework!r}] = None\nimport wellbegun as wb\n"
    code += f"print(hasattr(wb, {name!r}), hasattr(wb, 'plan'))\ntry: wb.{name}\nexcept AttributeError as e: print(e)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, message = done.stdout.strip().split("\n")
    assert first == "False True"
    assert f"pip install 'wellbegun[{name}]'" in message
