"""Command-line texts -> models, batches and functions. Every failure is a ModelError that says what to change."""

import importlib
import importlib.util
import os
import random
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from wellbegun._arguments import cut, nearest, seed_of, told, typed
from wellbegun._tables import read_table
from wellbegun.backend import FILES, KNOWN, MODELS, belongs, find, named
from wellbegun.errors import ArgumentError, ModelError, WellbegunError
from wellbegun.inputs import TARGETS, InputSpec

_HF = "hf:"
_FORM = "path.py:factory or package.module:factory"
_MODEL = f"path.py:factory, package.module:factory or {_HF}config.json"


def load_object(text: str, what: str) -> Any:
    """The object that "path.py:name" or "package.module:name" names."""
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise ModelError(f"{what}: expected {_MODEL if what == 'model' else _FORM}; got {text!r}.")
    module = _from_file(Path(place), what) if place.endswith(".py") else _from_package(place, what)
    if not hasattr(module, name):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise ModelError(f"{what}: {place!r} has no {name!r}. {nearest(name, public)}".rstrip())
    return getattr(module, name)


def _from_file(path: Path, what: str) -> ModuleType:
    if not path.is_file():
        raise ModelError(f"{what}: there is no file {cut(str(path))}. Give {_FORM}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None  # a .py file always has a spec and a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses and pickles look their module up
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises is theirs: pass it on with its place
        absent = isinstance(error, ModuleNotFoundError) and KNOWN.get(error.name or "")
        remedy = f" {absent.remedy}" if absent else ""
        raise ModelError(f"{what}: running {cut(str(path))} failed: {typed(error)}{remedy}") from error
    finally:
        sys.path.pop(0)
    return module


def _from_package(name: str, what: str) -> ModuleType:
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except Exception as error:  # no such module, no name of one, or whatever the user's module raises
        raise ModelError(f"{what}: cannot import {name!r}: {told(error)} Give {_FORM}.") from error
    finally:
        sys.path.pop(0)


def load_model(text: str, batch: object = None, *, light: bool = False, seed: int | None = None) -> object:
    """A model from its factory, or from a config of Hugging Face ("hf:config.json").

    Lazy parameters get their shapes from the batch: the model is new, so nobody misses that they were lazy.
    `light`: a large model from a config may stay without memory, which is enough to plan it. `seed`: of the random
    states that it is built from; None leaves them.
    """
    if seed is not None:
        _restart(seed_of("model", seed))  # modules may draw when they are imported
    model = _made(text, light, seed)
    return find(model).prepare(model, batch)


def _restart(seed: int) -> None:
    """The random states of Python, NumPy and the frameworks that are loaded."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    for name, known in KNOWN.items():
        if known.module in sys.modules:
            named(name).restart(seed)


def _made(text: str, light: bool, seed: int | None) -> object:
    if text.startswith(_HF):
        if seed is not None:
            named("torch").restart(seed)
        return named("torch").from_config(Path(text.removeprefix(_HF)), light=light)
    factory = load_object(text, "model")
    if not callable(factory) and not belongs(factory):
        raise ModelError(f"model: {text!r} is of type {type(factory).__name__}, and no function that returns a model.")
    if seed is not None:
        _restart(seed)  # its file may have loaded a framework
    try:
        model = factory if belongs(factory) else factory()
    except WellbegunError:
        raise
    except (Exception, SystemExit) as error:  # the user's factory: pass its error on with its place
        raise ModelError(f"model: calling {text!r} failed: {typed(error)}") from error
    if belongs(model) is None:
        raise ModelError(f"model: {text!r} returned something of type {type(model).__name__}, not {MODELS}.")
    return model


def load_batch(texts: list[str]) -> tuple[Any, Any]:
    """(batch, targets) from --input: shapes, or one .npz, .csv or .pt file; targets: its "y", "target" or "label"."""
    if not texts:
        return None, None
    if len(texts) == 1 and Path(texts[0]).suffix in (".npz", ".csv", *FILES):
        return _split(_read(Path(texts[0])))
    specs = []
    for text in texts:
        try:
            specs.append(InputSpec.parse(text))
        except ArgumentError as error:
            raise ModelError(str(error)) from error
    return (specs[0] if len(specs) == 1 else tuple(specs)), None


def _read(path: Path) -> Any:
    if not path.is_file():
        raise ModelError(f"input: there is no file {cut(str(path))}.")
    if path.suffix == ".npz":
        return read_arrays(path, "input")
    if path.suffix == ".csv":
        table = read_table(path, "input")
        return {"x": table.x, "y": table.y}
    try:
        return named(FILES[path.suffix]).read_batch(path)
    except Exception as error:  # readers raise many kinds; all mean the file is not what its name says
        raise ModelError(f"input: cannot read {cut(str(path))} as {path.suffix}: {error}") from error


def read_arrays(path: str | Path, what: str) -> dict[str, Any]:
    """The arrays of an .npz file by their names, unless they would not fit into the memory of this machine."""
    try:
        if not Path(path).is_file():
            raise ModelError(f"{what}: there is no file {cut(str(path))}.")
        with zipfile.ZipFile(path) as packed:
            size = sum(part.file_size for part in packed.infolist())
        if size > _memory():
            raise ModelError(f"{what}: {cut(str(path))} unpacks to {size:,} bytes, more than this machine has.")
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except ModelError:
        raise
    except Exception as error:  # readers raise many kinds; all mean the file is not what its name says
        raise ModelError(f"{what}: cannot read {cut(str(path))} as .npz: {told(error)}") from error


def _memory() -> int:
    """Bytes of memory of this machine, where that can be told."""
    names = getattr(os, "sysconf_names", {})
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if "SC_PHYS_PAGES" in names else 1 << 40


_INPUTS = ("x", "input", "inputs")


def _split(data: Any) -> tuple[Any, Any]:
    """Named arrays: "x" is the only input, "y" the targets; other names are keyword arguments."""
    if not isinstance(data, dict):
        return data, None
    targets = next((data[key] for key in TARGETS if key in data), None)
    rest = {key: value for key, value in data.items() if key not in TARGETS}
    single = next((rest[key] for key in _INPUTS if key in rest and len(rest) == 1), None)
    if not rest:
        raise ModelError(f"input: the file holds only targets ({', '.join(data)}); it needs an array 'x' too.")
    return (rest if single is None else single), targets
