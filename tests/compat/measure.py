"""What is measured of one model: by forward hooks, gradients and copies of its values, with no code of the library."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import registry
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

RANGE = 1e-3, 1e3
"""Of the RMS behind every layer, and of a weight's gradient over the median of all weights."""
STEPS = 40
SHUT = 0.05  # of factors
SMALL = 1e-4, 0.02  # RMS of a weight, over the usual one
CANCELLED = 1e-5  # of the median gradient: what epsilon, which is so large, leaves of a factor in front of a norm


class Signals(NamedTuple):
    """RMS behind each layer, and norm of the gradient of each parameter (None where the loss does not reach it)."""

    layers: dict[str, float]
    gradients: dict[str, float | None]


def call(model: nn.Module, batch: Any) -> Any:
    if isinstance(batch, dict):
        return model(**batch)
    return model(*batch) if isinstance(batch, tuple) else model(batch)


def tensors(found: Any) -> list[torch.Tensor]:
    """Every tensor of floating point in an output."""
    if isinstance(found, torch.Tensor):
        return [found] if found.is_floating_point() else [found.real, found.imag] if found.is_complex() else []
    if isinstance(found, torch.distributions.Distribution):
        return tensors(found.mean)
    if isinstance(found, Mapping):
        found = list(found.values())
    elif hasattr(found, "__dict__") and not isinstance(found, (list, tuple)):
        found = list(vars(found).values())
    return [one for item in found for one in tensors(item)] if isinstance(found, (list, tuple)) else []


def loss_of(found: Any) -> torch.Tensor:
    """The loss that the model gives, or the distance of what it gives from fixed random numbers."""
    own = getattr(found, "loss", None)
    if isinstance(own, torch.Tensor) and own.ndim == 0 and own.requires_grad:
        return own
    outputs = [one for one in tensors(found) if one.requires_grad]
    random = torch.Generator().manual_seed(7)
    parts = [
        one if one.ndim == 0 else (one - torch.randn(one.shape, generator=random)).square().mean() for one in outputs
    ]
    return torch.stack([part.float() for part in parts]).sum()


def loss_of_zeros(found: Any) -> float | None:
    """What the distance would be if the model gave zeros; None where the loss is the model's own."""
    outputs = [torch.zeros_like(one).requires_grad_() for one in tensors(found) if one.requires_grad and one.ndim]
    own = getattr(found, "loss", None)
    return None if isinstance(own, torch.Tensor) or not outputs else loss_of(outputs).item()


def signals(model: nn.Module, batch: Any) -> Signals:
    layers: dict[str, float] = {}
    hooks = []
    for name, module in model.named_modules():
        if next(module.children(), None) is None:

            def note(module: nn.Module, _: Any, found: Any, name: str = name) -> None:
                for one in tensors(found)[:1]:
                    if one.numel() > 1:
                        layers[name] = one.detach().double().square().mean().sqrt().item()

            hooks.append(module.register_forward_hook(note))
    torch.manual_seed(11)
    found = call(model, batch)
    for hook in hooks:
        hook.remove()
    named = {name: one for name, one in model.named_parameters() if one.requires_grad}
    model.zero_grad()
    loss_of(found).backward()  # reversible layers write gradients themselves
    grads = {name: None if one.grad is None else one.grad.double().norm().item() for name, one in named.items()}
    model.zero_grad()
    return Signals(layers, grads)


def outside(model: nn.Module, found: Signals, before: Signals, first: bool = False) -> dict[str, float]:
    """Places out of range; none where nothing arrives by construction, or without weights and as before.

    `first`: it is the constructed start itself.
    """
    told = {}
    weights = dict(model.named_parameters())
    for name, size in found.layers.items():
        was = before.layers.get(name)
        plain = not list(model.get_submodule(name).parameters(recurse=False))
        same = not first and was is not None and plain and abs(size - was) <= 1e-3 * abs(was)
        bias = not size and getattr(model.get_submodule(name), "num_embeddings", 0) == 1  # a table of one row is one
        if not same and not bias and not (size == 0 and was == 0) and not RANGE[0] <= size <= RANGE[1]:
            told[f"signal behind {name}"] = size
    middle, was_middle = (
        _middle([one for name, one in each.gradients.items() if one and matrix(weights[name])])
        for each in (found, before)
    )
    for name, size in found.gradients.items():
        owner = name.rpartition(".")[0]
        skipped = owner in before.layers and owner not in found.layers  # an expert that no token was sent to
        silent = (size or 0.0) <= CANCELLED * middle and (
            skipped or (before.gradients.get(name) or 0.0) <= CANCELLED * was_middle
        )
        if matrix(weights[name]) and not silent and not RANGE[0] <= (size or 0.0) / middle <= RANGE[1]:
            told[f"gradient of {name}"] = (size or 0.0) / middle
    return told


def _middle(sizes: list[float]) -> float:
    return sorted(sizes)[len(sizes) // 2] if sizes else 1.0


def matrix(one: torch.Tensor) -> bool:
    """Whether it is a weight, and no vector, of whatever shape, as (16, 1, 1)."""
    return sum(length > 1 for length in one.shape) > 1


def judged_range(model: nn.Module, batch: Any, gates: list[str], before: Signals | None = None) -> dict[str, float]:
    """Places out of range that stay so when the gates that are shut on purpose are open: those are no fault of theirs.

    `before`: what the constructed start showed; None if it is that start itself.
    """
    now = signals(model, batch)
    found = outside(model, now, before or now, first=before is None)
    if not found or not gates:
        return found
    kept = {name: one.detach().clone() for name, one in model.named_parameters() if name in gates}
    with torch.no_grad():
        for name, one in model.named_parameters():
            if name in gates:
                open_gate(one)
    still = outside(model, signals(model, batch), before or now, first=before is None)
    with torch.no_grad():
        for name, one in model.named_parameters():
            if name in gates:
                one.copy_(kept[name])
    return {place: size for place, size in found.items() if place in still}


def open_gate(one: torch.Tensor) -> None:
    """Factors become 1, and a matrix that is drawn small gets an RMS of 1 / sqrt(fan in)."""
    if alike(one):
        one.fill_(1.0)
    else:
        one.mul_((one[0].numel() ** -0.5 / one.square().mean().sqrt()).item())


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: one.detach().clone() for name, one in model.named_parameters()}


def special(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> dict[str, str]:
    """Parameters that somebody gave values on purpose, found from two constructions with different seeds."""
    found = {}
    for name, one in first.items():
        other = second[name]
        if not one.numel() or not one.is_floating_point() or ".parametrizations." in name:
            continue  # what a weight is computed from is judged by that weight
        if torch.equal(one, other):
            if bool((one == 0).all()):
                found |= {name: "zero weight"} if one.ndim > 1 and name.endswith("weight") else {}
            elif not bool((one == 1).all()):
                found[name] = "constant" if alike(one) else "pattern"
        elif one.numel() >= 4 and one.double().mean().abs() > 3 * one.double().std():
            found[name] = "far from zero"
    return found


def judged(purpose: dict[str, str]) -> list[str]:
    """Those that are to be kept; whether weights of zeros learn better as they are is another question."""
    return [name for name, why in purpose.items() if why != "zero weight"]


def kept(one: torch.Tensor, was: torch.Tensor) -> bool:
    return torch.allclose(one, was, rtol=1e-5, atol=1e-8)


Values = dict[str, torch.Tensor]


def gates(first: Values, now: Values) -> list[str]:
    """What is shut on purpose, and still is: factors that are all one small number (LayerScale, norms of zeros), and
    weights that are drawn far smaller than others, as at the ends of flows that start as identities."""
    usual = _middle([size(one) for one in first.values() if one.is_floating_point() and matrix(one)])

    def shut(name: str, one: torch.Tensor) -> bool:
        if not one.is_floating_point() or not one.numel() or not torch.equal(one, now[name]):
            return False
        if alike(one):
            factor = bool(one.any()) or (one.ndim == 1 and name.endswith("weight"))
            return factor and float(one.abs().max()) < SHUT and not name.endswith("bias")
        return matrix(one) and SMALL[0] * usual < size(one) < SMALL[1] * usual

    return [name for name, one in first.items() if shut(name, one)]


def alike(one: torch.Tensor) -> bool:
    return bool((one == one.flatten()[0]).all())


def size(one: torch.Tensor) -> float:
    return one.double().square().mean().sqrt().item()


def training(model: nn.Module, batch: Any, steps: int) -> tuple[float, float, float]:
    """Seconds of a step, and the first and the last loss of some steps of Adam on the batch."""
    optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], 1e-3)
    times, losses = [], []
    for _ in range(steps):
        began = time.perf_counter()
        optimizer.zero_grad()
        loss = loss_of(call(model, batch))
        loss.backward()
        optimizer.step()
        times.append(time.perf_counter() - began)
        losses.append(loss.item())
    return sorted(times)[len(times) // 2], losses[0], min(losses[-5:])


def codes(health: Any) -> list[str]:
    return [] if health.healthy else list(health.codes)


def raw(name: str) -> nn.Module | None:
    """The model with memory that nobody wrote: made without memory and given some, full of nan; its buffers as made."""
    made, _ = registry.build(name)
    try:
        with torch.device("meta"):
            model = registry.build(name)[0].to_empty(device="cpu")
    except Exception:
        return None  # the model computes with its own values while it is made
    attributes = [one for module in model.modules() for one in vars(module).values()]
    attributes += [held for one in attributes if type(one) is dict for held in one.values()]
    if any(isinstance(one, torch.Tensor) and one.is_meta for one in attributes):
        return None  # it holds tensors that are neither parameters nor buffers
    buffers = dict(made.named_buffers())
    with torch.no_grad():
        for one in model.parameters():
            one.fill_(torch.nan)
        for key, one in model.named_buffers():
            one.copy_(buffers[key])
    return model if buffers.keys() == dict(model.named_buffers()).keys() else None


def measured(name: str) -> Iterator[dict[str, Any]]:
    """Facts of one model, each group as soon as it is known."""
    import wellbegun as wb

    made, batch = registry.build(name)
    first, second = values(made), values(registry.build(name, 1)[0])
    purpose = special(first, second)
    yield {"parameters": sum(one.numel() for one in first.values()), "special": purpose}
    model = registry.build(name)[0]  # some cannot be copied
    try:
        result = wb.initialize(model, batch, seed=0)
    except Exception as error:
        yield {"error": f"{type(error).__name__}: {str(error)[:400]}"}
        return
    after = values(model)
    recorded = {record.name for record in result.ledger.records}
    yield {
        "missing": sorted(name for name, _ in model.named_parameters() if name not in recorded)[:5],
        "infinite": sorted(name for name, one in after.items() if not one.isfinite().all())[:5],
        "lost": [name for name in judged(purpose) if not kept(after[name], first[name])],
        "opened": [name for name, why in purpose.items() if why == "zero weight" and bool(after[name].any())],
        "alarms": codes(result.health),
        "findings": texts(result.health),
    }
    before = signals(made, batch)
    yield {
        "fake": any(isinstance(one, FakeTensor) for one in tensors(call(model, batch))),
        "unhealthy": some(judged_range(model, batch, gates(first, after), before)),
        "unhealthy_constructed": some(judged_range(made, batch, gates(first, first))),
        "unreached": [key for key, one in before.gradients.items() if not one],
    }
    health = wb.check(registry.build(name)[0], batch)
    yield {"alarms_constructed": codes(health), "findings_constructed": texts(health)}
    if codes(health):
        yield {"loss_zero": loss_of_zeros(call(made, batch)), "loss_auto": training(model, batch, STEPS)[1:]}
    fresh, _ = registry.build(name)
    began = time.perf_counter()
    wb.initialize(fresh, batch, seed=0)
    seconds = time.perf_counter() - began
    step, start, end = training(made, batch, STEPS if codes(health) else 7)
    yield {"seconds": seconds, "step": step, "ratio": seconds / step, "loss": [start, end]}
    yield from from_raw_memory(name, batch)


def some(places: dict[str, float]) -> list[str]:
    return [f"{place} {size:.1e}" for place, size in list(places.items())[:4]]


def texts(health: Any) -> list[str]:
    found = [one for one in health.findings if one.severity != "remark"]
    return [f"{one.code} {one.place}: {one.value:.3g} ({one.bound:.3g})" for one in found[:3]]


def from_raw_memory(name: str, batch: Any) -> Iterator[dict[str, Any]]:
    import wellbegun as wb

    model = raw(name)
    yield {"raw": model is not None}
    if model is None:
        return
    try:
        result = wb.initialize(model, batch, seed=0)
    except Exception as error:
        yield {"raw_error": f"{type(error).__name__}: {str(error)[:400]}"}
        return
    infinite = {name for name, one in model.named_parameters() if not one.isfinite().all()}
    frozen = {name for name, one in model.named_parameters() if not one.requires_grad}
    told = any(note.startswith("Kept, but without values") and infinite & frozen for note in result.plan.notes)
    named = infinite & frozen if told and "W401" in result.health.codes else set()
    yield {"raw_infinite": sorted(infinite - named)[:5], "raw_named": sorted(named)[:5]}
