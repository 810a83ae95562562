"""Call every public function with hostile arguments: only errors of ours may leave it, and nothing given may change.

    python benchmarks/fuzz.py [--calls 200000] [--seed 0] [--slow 0.004]

A valid call is taken, and up to three of its arguments are exchanged for values that fit nothing: wrong types, numbers
that are huge, negative or nan, texts with escapes, objects whose methods raise, containers that hold themselves. Plans
and rules are read from files in which something was exchanged, removed, cut or flipped; words of commands are
exchanged, too. `--slow` is the share of calls that run a model. What leaves and is no `WellbegunError` is printed,
with the call; the exit status is 1 then.
"""

import argparse
import contextlib
import copy
import inspect
import json
import math
import random
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from typer.testing import CliRunner

import wellbegun as wb
from wellbegun import schemes, storage, streams
from wellbegun.cli import app
from wellbegun.errors import WellbegunError
from wellbegun.laws import law_classes, law_from_dict
from wellbegun.schemes import parse_scheme

LINE = 1000  # most characters of a line of a message
NOT = {"Race", "Applied", "Result", "Health", "Ledger", "Fans"}  # plain data
SLOW = ("plan", "initialize", "check", "signal_propagation", "apply", "race", "report", "show")
LONG = {"steps", "seeds", "batch_size", "jobs", "rates", "optimizers"}  # of a race: more is not wrong, but takes long
COMMANDS = [
    "plan net.py:mlp -i 8,4", "plan net.py:mlp -i 8,4 --format json", "plan net.py:mlp -i 8,4 -o plan.json",
    "plan net.py:mlp -i 8,4 --rules rules.toml", "check net.py:mlp -i 8,4", "check net.py:mlp -i 8,4 --format junit",
    "init net.py:mlp -i 8,4 --out w.safetensors --seed 3", "init net.py:mlp -i 8,4 --plan plan.json --out w.st",
    "schemes", "gain relu", "check net.py:mlp -i 8,4 --html page.html",
]  # fmt: skip
RULES = '[[rule]]\npattern = "*weight"\nscheme = "he_normal(gain=2)"\n[[rule]]\nrole = "bias"\nscheme = "zeros"\n'


FILES = {
    "net.py": "from torch import nn\ndef mlp(): return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))\n",
    "plan.json": "", "rules.toml": RULES, ".": "", "no/where": "",
}  # fmt: skip


class Rude:
    """Whatever it is asked, it raises."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("__class__", "__dict__"):
            return object.__getattribute__(self, name)
        raise RuntimeError("rude")

    def _raise(self, *_: Any) -> Any:
        raise RuntimeError("rude")

    __repr__ = __str__ = __float__ = __index__ = __iter__ = __len__ = __bool__ = __eq__ = __getitem__ = _raise
    __hash__ = object.__hash__


def fails(*_: Any, **__: Any) -> Any:
    return 1 / 0


LIST: list[Any] = []
LIST.append(LIST)
DICT: dict[Any, Any] = {}
DICT["self"] = DICT
ESCAPES = "\x1b[31m\r\n\x00\u202e"
# fmt: off
NUMBERS: list[Any] = [
    0, -1, 1, 2, 3, 10**20, -(10**20), 10**400, 2**63, 2**64, 0.5, -0.5, 1e308, -1e308, 5e-324, math.nan,
    math.inf, -math.inf,
]
TEXTS: list[Any] = [
    "", " ", "a", "nan", ESCAPES, "x" * 5000, "he_normal", "he_normal(", "he_normal(mode=1)", "(" * 99, "oi", "oikk",
    "lo", "*", "[", "(?P<", "float32", "relu", "classic", "auto@9", "-1", "__import__('os')", "fill", "keep", "float16",
]
OBJECTS: list[Any] = [
    None, True, False, 1j, b"\xff", LIST, DICT, Rude(), (), [], {}, {1: 2}, [None], [[1], 2], (math.nan, 1), set(), ...,
    frozenset("a"), object(), len, range(3), fails, Path("no/where"), type, NotImplemented, slice(None), torch.float16,
    np.dtype("float32"), np.zeros((2, 2)), np.array(["a"]), np.array(None), np.array([math.nan]), np.float32(3), object,
    torch.zeros(2, 3), torch.zeros(0), torch.tensor(math.nan), torch.zeros(2, 3, device="meta"), nn.Linear(2, 2),
    wb.he_normal(), wb.he_normal().law((2, 2)), wb.Rule("*", "zeros"), WellbegunError("x"), memoryview(b"abc"),
]
JSON: list[Any] = [None, True, [], {}, [[]], {"a": 1}, [1, 2], {"law": "Normal", "mean": 0, "std": 1e300}]
JSON += [*NUMBERS, *TEXTS]
# fmt: on


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Linear(6, 3))


class Fuzz:
    """Valid calls by name, and what has left them."""

    def __init__(self, seed: int, folder: Path) -> None:
        torch.manual_seed(0)
        self.rng, self.folder, self.calls = random.Random(seed), folder, Counter[str]()
        self.bugs: dict[tuple[str, str, str], str] = {}
        self.samples = (torch.randn(24, 4), torch.arange(24) % 3)
        self.model, self.batch, law = net(), torch.randn(8, 4), wb.he_normal().law((4, 6))
        self.plan = plan = wb.plan(self.model, self.batch, seed=0)
        self.text = storage.plan_to_json(plan)
        self.valid: dict[str, Any] = {"law": law, "shape": (4, 6), "seed": 0, "name": "w", "scheme": wb.zeros()}
        self.valid |= {"activation": "relu", "low": -1.0, "high": 1.0, "plan": plan, "before": plan, "after": plan}
        self.valid |= {"path": folder / "out", "model": self.model, "batch": self.batch, "data": law.to_dict()}
        self.valid |= {"axes": "oi", "text": "he_normal()", "entries": plan.entries, "parts": ((4, law),)}
        self.valid |= {"candidates": ["auto"], "build": net, "steps": 2, "seeds": 1, "rates": (1e-3,), "jobs": 1}
        self.valid |= {"found": plan, "progress": False}
        self.valid |= {"recipe": "auto", "stream": "w", "rows": (0,), "values": (1.0,), "size": (1,), "inputs": ()}
        public = {name: getattr(wb, name) for name in wb.__all__ if callable(getattr(wb, name)) and name not in NOT}
        public |= {each.__name__: each for each in law_classes()}
        others = (law_from_dict, parse_scheme, streams.stream_key, storage.fill_file, storage.load_rules)
        self.quick = public | {each.__name__: each for each in others}
        self.slow = {name: self.quick.pop(name) for name in SLOW}

    def hostile(self) -> Any:
        """One value that fits nothing, or nearly."""
        value = self.rng.choice(self.rng.choice([NUMBERS, TEXTS, OBJECTS, OBJECTS]))
        return self.rng.choice([value, value, value, [value], (value, value), {"a": value}, iter([value])])

    def call(self, called: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """The result; None where an error has left it."""
        self.calls[called] += 1
        try:
            return function(*args, **kwargs)
        except WellbegunError as error:
            text = str(error)
            if max(map(len, text.splitlines()), default=0) > LINE or any(c in text for c in "\x1b\r\x00"):
                self.tell(called, args, kwargs, f"a long line, or escapes: {text[:300]!r}", None)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # of any kind: what is looked for
            if not callable(kwargs.get("progress")):  # whose own errors leave as they are
                self.tell(called, args, kwargs, "".join(traceback.format_exception(error)[-3:]), error)
        return None

    def tell(self, name: str, args: Any, kwargs: Any, text: str, error: BaseException | None) -> None:
        frames = traceback.extract_tb(error.__traceback__) if error is not None else []
        where = next((f"{f.filename}:{f.lineno}" for f in reversed(frames) if "/wellbegun/" in f.filename), "")
        given = ", ".join([*map(_short, args), *(f"{key}={_short(value)}" for key, value in kwargs.items())])
        self.bugs.setdefault((name, type(error).__name__, where), f"{name}({given})\n{text}")

    # ------------------------------------------------------------------ kinds of calls
    def step(self, slow: float) -> None:
        kind = self.rng.random()
        if kind < slow:
            self.on_a_model()
        elif kind < 0.3:
            self.on_a_file()
        else:
            name = self.rng.choice(list(self.quick))
            args, kwargs = self.arguments(self.quick[name])
            found = self.call(name, self.quick[name], *args, **kwargs)
            if isinstance(found, schemes.Scheme):  # what was accepted can be used
                law = self.call(f"{name}().law", found.law, self.hostile() if kind < 0.5 else (4, 6))
                if law is not None:
                    self.call(f"{name}().law().moments", law.moments, (4, 6))
                dtype = self.rng.choice(["float32", "float16", "complex64"])
                self.call(f"{name}()()", found, (4, 6), seed=0, dtype=dtype)

    def arguments(self, function: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
        """Valid ones, of which some are exchanged."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        parameters = list(inspect.signature(function).parameters.values())
        bad = set(self.rng.sample(range(len(parameters)), min(len(parameters), self.rng.choice([1, 1, 2, 3]))))
        for index, p in enumerate(parameters):
            value = self.hostile() if index in bad else self.valid.get(p.name, 1 if p.default is p.empty else p.default)
            if p.kind is p.KEYWORD_ONLY:
                kwargs[p.name] = value
            elif p.kind is not p.VAR_POSITIONAL or index in bad:
                args.append(value)
        return args, kwargs

    def on_a_model(self) -> None:
        if self.rng.random() < 0.3:
            return self.on_a_command()
        name = self.rng.choice(SLOW)
        args, kwargs = self.arguments(self.slow[name])
        if name == "race":
            kwargs |= {key: self.valid.get(key, "adam") for key in LONG if isinstance(kwargs[key], (int, range))}
            kwargs["batch_size"], args[2] = 4, args[2] if args[2] is not self.valid["data"] else self.samples
        before, given = copy.deepcopy(self.model.state_dict()), self.batch.clone()
        done = self.call(name, self.slow[name], *args, **kwargs)
        if (done is None and not _same(before, self.model)) or not torch.equal(given, self.batch):
            self.tell(name, args, kwargs, "the model changed though the call failed, or the batch did", None)
        self.model.load_state_dict(before)

    def on_a_command(self) -> None:
        words = self.rng.choice(COMMANDS).split()
        for _ in range(self.rng.choice([0, 1, 1, 2])):
            word = self.rng.choice([*(str(each) for each in (*NUMBERS, *TEXTS)), *FILES])
            place = self.rng.randrange(len(words) + 1)
            words[place : place + self.rng.choice([0, 1, 1])] = [word.replace("\0", "")]
        for name in ("net.py", "plan.json", "rules.toml"):
            (self.folder / name).write_text(FILES[name] or self.text)
        done = CliRunner().invoke(app, words)
        self.calls[f"a command: status {done.exit_code}"] += 1
        if done.exit_code not in (0, 1, 2, 3) or not isinstance(done.exception, (SystemExit, type(None))):
            self.tell("wellbegun", words, {}, f"{done.exit_code}: {done.output[-300:]}", done.exception)

    def on_a_file(self) -> None:
        path = self.folder / self.rng.choice(["plan.json", "plan.json", "rules.toml"])
        path.write_bytes(self.mutated(self.text if path.suffix == ".json" else RULES))
        if path.suffix == ".toml":
            self.call("load_rules", storage.load_rules, path)
        elif (plan := self.call("load_plan", wb.load_plan, path)) is not None:
            model = net()
            before = copy.deepcopy(model.state_dict())
            if self.call("apply a mutated plan", wb.apply, model, plan) is None and not _same(before, model):
                self.tell("apply a mutated plan", [plan], {}, "the model changed though the call failed", None)
            self.call("diff a mutated plan", wb.diff, self.plan, plan)
            for entry in plan.entries:
                self.call("explain a mutated plan", wb.explain, plan, entry.name)

    def mutated(self, text: str) -> bytes:
        rng, kind, raw = self.rng, self.rng.random(), bytearray(text.encode())
        if kind < 0.15:
            return bytes(raw[: rng.randrange(len(raw))])
        if kind < 0.3 or not text.startswith("{"):
            for _ in range(rng.choice([1, 2, 8])):
                raw[rng.randrange(len(raw))] = rng.randrange(256)
            return bytes(raw)
        data = json.loads(text)
        for _ in range(rng.choice([1, 1, 2])):
            node, key = data, rng.choice(list(data))
            while isinstance(node[key], (dict, list)) and node[key] and rng.random() < 0.85:
                node = node[key]
                key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
            if rng.random() < 0.2 and node is not data:
                del node[key]
            else:
                node[key] = copy.deepcopy(rng.choice(JSON))
        return json.dumps(data).encode()


def _same(before: dict[str, torch.Tensor], model: nn.Module) -> bool:
    return all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def _short(value: Any) -> str:
    try:
        return repr(value)[:80]
    except Exception:  # of any kind
        return f"<{type(value).__name__}>"


def run(calls: int, seed: int, slow: float) -> Fuzz:
    """That many calls; what has left them is in `bugs`."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        warnings.simplefilter("ignore")
        fuzz = Fuzz(seed, Path(folder))
        while fuzz.calls.total() < calls:
            fuzz.step(slow)
    return fuzz


def main() -> int:
    parser = argparse.ArgumentParser()
    for name, default in (("calls", 200_000), ("seed", 0), ("slow", 0.004)):
        parser.add_argument(f"--{name}", type=type(default), default=default)
    fuzz = run(**vars(parser.parse_args()))
    print("\n\n".join(fuzz.bugs.values()))
    print(f"{fuzz.calls.total():,} calls of {len(fuzz.calls)} functions, {len(fuzz.bugs)} faults")
    return bool(fuzz.bugs)


if __name__ == "__main__":
    sys.exit(main())
