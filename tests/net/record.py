"""Record what is planned, filled and found for every model, or compare it with what was recorded.

    python tests/net/record.py [--write] [--only GLOB] [--details DIR] [--compare DIR]

Without --write, every difference to golden.json is printed and the exit status is 1 if there is one. --details writes
everything of each model in full; --compare reads such a folder, of another source, to say what differs first.
"""

import argparse
import base64
import fnmatch
import hashlib
import json
import re
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import models
import reading
import torch

GOLDEN = Path(__file__).with_name("golden.json")
SECONDS = 120  # for one model
ROUNDED = ("laws", "targets", "corrections")  # numbers: recorded to the last bit, and to four digits
BASE = "classic"
SHARED = ("roles", "layouts", "actions", "streams", "outcomes", "targets", "targets~")
Found = dict[str, Any]


# ---------------------------------------------------------------------- what is observed
def bytes_of(model: torch.nn.Module) -> dict[str, str]:
    """SHA-256 of the bytes of every parameter and buffer."""
    named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return {name: _hash(tensor.detach()) for name, tensor in named}


def _hash(tensor: torch.Tensor) -> str:
    if tensor.is_meta or isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin):
        return "no values"
    flat = tensor.cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(flat.numpy().tobytes()).hexdigest()


def told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:60]}"


def started(name: str) -> models.Made:
    """The model as it is built, with the same random numbers ahead each time."""
    made = models.build(name)
    models.seeded(1)
    return made


def checked(name: str) -> Found:
    """What `check` says of the model as it was constructed."""
    try:
        return {"codes": reading.codes(reading.check(*started(name)))}
    except Exception as error:  # raising is part of what is recorded
        return {"error": told(error)}


def recorded(name: str, recipe: str, *, whole: bool) -> Found:
    """Plan and tensors of one recipe; `whole`: by `initialize`, with its correction and its health."""
    found: Found = {}
    try:
        model, batch = started(name)
        decided = reading.plan(model, batch, recipe)
        found.update(reading.decisions(decided))
        models.seeded(1)
        if whole:
            decided, ledger, health = reading.initialize(model, batch, recipe)
            found.update(corrections=reading.corrections(decided), codes=reading.codes(health))
        else:
            ledger = reading.apply(model, decided)
        found.update(outcomes=reading.outcomes(ledger), tensors=bytes_of(model))
    except Exception as error:  # raising is part of what is recorded
        found["error"] = told(error)
    return found


def observed(name: str, recipes: tuple[str, ...] | None = None) -> dict[str, Found]:
    """Everything of one model: "constructed", then each recipe."""
    more = reading.OTHERS if name.startswith("recipe:") else ()
    asked = (*reading.BOTH, *reading.PUBLISHED, *more) if recipes is None else recipes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {"constructed": checked(name)}
        found.update({recipe: recorded(name, recipe, whole=recipe in reading.BOTH) for recipe in asked})
    return found


# ---------------------------------------------------------------------- digests
def rounded(value: Any) -> Any:
    """The same data with its numbers to four significant digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return float(f"{value:.4g}") + 0.0 if isinstance(value, float) else value


def digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:6]).decode()


def digests(found: dict[str, Found]) -> dict[str, dict[str, str]]:
    """Recipe -> category -> digest; "laws~" is "laws" rounded; errors stay readable."""
    return {recipe: _digests(of_recipe) for recipe, of_recipe in found.items()}


def _digests(found: Found) -> dict[str, str]:
    short = {category: value if category == "error" else digest(value) for category, value in found.items()}
    return short | {f"{category}~": digest(rounded(found[category])) for category in ROUNDED if category in found}


def load() -> dict[str, Any]:
    stored = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    return {name: unpacked(found) for name, found in stored.items()}


def save(golden: dict[str, Any]) -> None:
    """One line for each model, in the order of their names."""
    compact = {"sort_keys": True, "separators": (",", ":")}
    rows = [f"{json.dumps(name)}:{json.dumps(packed(golden[name]), **compact)}" for name in sorted(golden)]
    GOLDEN.write_text("{\n" + ",\n".join(rows) + "\n}\n")


def packed(found: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """What most recipes share only for the first that has it; "" is what one lacks."""
    base = found[BASE]
    return {recipe: own if recipe in (BASE, "constructed") else _less(own, base) for recipe, own in found.items()}


def _less(own: dict[str, str], base: dict[str, str]) -> dict[str, str]:
    shared = [key for key in SHARED if own.get(key) != base.get(key)]
    return {key: own.get(key, "") for key in (*shared, *(key for key in own if key not in SHARED))}


def unpacked(stored: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """What `packed` was given."""
    shared = {key: value for key, value in stored[BASE].items() if key in SHARED}
    full = {recipe: own if recipe == "constructed" else {**shared, **own} for recipe, own in stored.items()}
    return {recipe: {key: value for key, value in own.items() if value} for recipe, own in full.items()}


# ---------------------------------------------------------------------- differences
def differences(golden: dict[str, dict[str, str]], found: dict[str, dict[str, str]]) -> list[tuple[str, str]]:
    """(recipe, category) of every digest that is not the same; there is none for what one side lacks."""
    pairs = []
    for recipe in sorted({*golden, *found}):
        one, two = golden.get(recipe, {}), found.get(recipe, {})
        pairs += [(recipe, key) for key in sorted({*one, *two}) if one.get(key) != two.get(key)]
    return pairs


def detail_path(folder: Path, name: str) -> Path:
    return folder / (re.sub(r"[^\w.-]+", "_", name) + ".json")


def explained(before: Any, after: Any) -> str:
    """The first item that differs, before -> after."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
        if not keys:
            return "the same in full"
        shown = f"{before.get(keys[0])} -> {after.get(keys[0])}"
        return f"{len(keys)} differ, first {keys[0]}: {shown[:600]}"
    return f"{before} -> {after}"[:600]


def tell(name: str, golden: dict[str, Any], found: dict[str, Found], compare: Path | None) -> int:
    """Print what differs; how many."""
    pairs = differences(golden, digests(found))
    path = detail_path(compare, name) if compare else None
    before = json.loads(path.read_text()) if path and path.exists() else None
    after = json.loads(json.dumps(found))
    for recipe, category in pairs:
        print(f"  DIFFERS {name} / {recipe} / {category}", flush=True)
        key = category.rstrip("~")
        if before is not None:
            print("   ", explained(before.get(recipe, {}).get(key), after.get(recipe, {}).get(key)), flush=True)
        elif category == "error":
            print("   ", golden.get(recipe, {}).get("error"), "->", found.get(recipe, {}).get("error"), flush=True)
    return len(pairs)


# ---------------------------------------------------------------------- command line
def _late(*_: object) -> None:
    raise KeyboardInterrupt(f"more than {SECONDS} s")


def once(name: str, asked: argparse.Namespace, golden: dict[str, Any]) -> int:
    """Record or compare one model; how many differences."""
    begun = time.perf_counter()
    signal.alarm(SECONDS)
    try:
        found = observed(name)
    except KeyboardInterrupt as late:
        print(f"  NOT FINISHED {name}: {late}", flush=True)
        return 1
    finally:
        signal.alarm(0)
    if asked.details:
        asked.details.mkdir(parents=True, exist_ok=True)
        detail_path(asked.details, name).write_text(json.dumps(found, sort_keys=True, indent=1))
    count = 0
    if asked.write:
        golden[name] = digests(found)
        save(golden)
    else:
        count = tell(name, golden.get(name, {}), found, asked.compare)
    errors = sum("error" in of_recipe for of_recipe in found.values())
    print(f"{time.perf_counter() - begun:6.1f} s  {name}: {count} differ, {errors} of {len(found)} raise", flush=True)
    return count


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="record instead of comparing")
    parser.add_argument("--only", default="*", help="glob over the names of models")
    parser.add_argument("--details", type=Path, help="folder for one file of each model with everything in full")
    parser.add_argument("--compare", type=Path, help="folder of details to explain differences with")
    return parser.parse_args()


def main() -> int:
    asked, golden = arguments(), load()
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, _late)
    begun = time.perf_counter()
    names = [name for name in models.MODELS if fnmatch.fnmatchcase(name, asked.only)]
    different = [name for name in names if once(name, asked, golden)]
    print(f"{len(names)} models in {time.perf_counter() - begun:.0f} s; {len(different)} differ or did not finish.")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
