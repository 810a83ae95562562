"""Names as they are without the wrappers a model is put into: compiled, on several devices, sharded, checkpointed."""

from collections.abc import Callable

import torch

from wellbegun.torch.compat import held_by


def inner(model: torch.nn.Module) -> torch.nn.Module:
    """The model inside its wrappers."""
    while name := held_by(model):
        model = model.get_submodule(name)
    return model


def canonical(model: torch.nn.Module) -> Callable[[str], str]:
    """From a dotted name of torch's to the one without wrappers: streams and plans are the same in and out of them."""
    modules = model.named_modules(remove_duplicate=False)
    dropped = {f"{path}.{name}" if path else name for path, module in modules if (name := held_by(module))}

    def without(name: str) -> str:
        if not dropped:
            return name
        parts = name.split(".")
        return ".".join(part for at, part in enumerate(parts) if ".".join(parts[: at + 1]) not in dropped)

    return without


def parameters(model: torch.nn.Module, *, each: bool = True) -> dict[str, torch.nn.Parameter]:
    """Parameters by canonical name; `each`: by all names of those that are tied."""
    plain = canonical(model)
    return {plain(name): tensor for name, tensor in model.named_parameters(remove_duplicate=not each)}
