"""Names as they are without the wrappers a model is put into: compiled, on several devices, sharded, checkpointed."""

from collections.abc import Callable, Iterable

import torch

from wellbegun.torch.compat import every, held_by, module_tables, modules


def inner(model: torch.nn.Module) -> torch.nn.Module:
    """The model inside its wrappers."""
    while name := held_by(model):
        model = model.get_submodule(name)
    return model


def canonical(model: torch.nn.Module, walked: Iterable[torch.nn.Module] = ()) -> Callable[[str], str]:
    """From a dotted name of torch's to the one without wrappers: streams and plans are the same in and out of them.
    `walked`: all modules, where they are known."""
    if not any(map(held_by, walked or every(model))):
        return str
    held = ((path, held_by(module)) for path, module in modules(model, each=True))
    dropped = {f"{path}.{name}" if path else name for path, name in held if name}

    def without(name: str) -> str:
        parts = name.split(".")
        return ".".join(part for at, part in enumerate(parts) if ".".join(parts[: at + 1]) not in dropped)

    return without


def parameters(model: torch.nn.Module, *, each: bool = True) -> dict[str, torch.nn.Parameter]:
    """Parameters by canonical name; `each`: by all names of those that are tied."""
    walked, seen = modules(model, each=each), set[int]()
    plain = canonical(model, [module for _, module in walked])
    found: dict[str, torch.nn.Parameter] = {}
    for path, module in walked:
        head = f"{at}." if (at := plain(path)) else ""
        for name, tensor in module_tables(module, "parameters").items():
            if tensor is not None and (each or id(tensor) not in seen):
                seen.add(id(tensor))
                found[head + name] = tensor
    return found
