"""Which axes of each parameter grow with the width of the model, by how much, and how much deeper its stack is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from wellbegun._arguments import message, nearest
from wellbegun.errors import ArgumentError
from wellbegun.graph import WEIGHTED, Analysis, Role
from wellbegun.graph.walk import backward
from wellbegun.layout import Layout

Shapes = Mapping[str, tuple[int, ...]]
Base = int | Shapes | None
_ROWS = ("positional", "token")  # signals, whose last axis holds units
_FIXED = ("unused", "unknown", "multiplier", "residual_scale", "negative_slope", "router")  # as large at any width


@dataclass(frozen=True)
class Axes:
    """Sizes of one parameter as a matrix (inputs, outputs), and those over the base model's.

    What grows tells its kind: "finite" (no axis), "vector" (outputs alone: tables, weights that read the batch, biases,
    scales of norms), "matrix" (both), "readout" (inputs alone). Against no base, all are "matrix" or "table".
    """

    inputs: float = 1.0  # terms that one output sums; 1 of tables and of what is no matrix
    outputs: float = 1.0
    wider_in: float = 1.0  # over the base model's
    wider_out: float = 1.0
    kind: str = "finite"
    deeper: float = 1.0  # blocks of its stack over the base model's, inside a branch; 1 elsewhere
    last: bool = False  # whether it is the last that multiplies what its branch adds
    shared: bool = False  # a table that is the readout too
    tall: float = 1.0  # what max(1, rows / columns)^(1/2) is here over the base model's: torch.optim.Muon multiplies it


def axes_of(graph: Analysis, roles: Mapping[str, Role], base: Base, depth: float | None) -> dict[str, Axes]:
    """What is known of every parameter.

    Args:
        graph, roles: The model.
        base: Shapes of the base model by names of parameters: axes of other sizes grow. Or its width: then roles tell
            which axes grow, by the width of the residual stream over this one, or each by its own channels over it in
            a model without such a stream. None: all is measured against 1.
        depth: Blocks of the base model; None where depth is not scaled.
    Raises:
        ArgumentError: shapes of another model.
    """
    found = {}
    for name, role in roles.items():
        if 0 in role.parameter.shape:
            at = Axes()
        else:
            at = _beside(role, base_shape(role, base)) if isinstance(base, Mapping) else _at_width(graph, role, base)
        branch, stack = role.branch, role.stack
        if depth is not None and branch is not None and stack is not None:
            at = replace(at, deeper=stack.layers / depth, last=_last(role, roles))
        found[name] = replace(at, shared=role.shared_readout)
    return found


def at_base(role: Role, at: Axes, base: Base) -> Role:
    """The role with the shape of the parameter in the base model."""
    if isinstance(base, Mapping):
        return _with_shape(role, base_shape(role, base))
    shape, letters = list(role.parameter.shape), role.layout.axes if role.layout else ""
    for letter, wider in (("i", at.wider_in), ("o", at.wider_out)):
        if base is not None and letter in letters:
            axis = len(letters) - 1 if role.role in _ROWS else letters.index(letter)
            shape[axis] = max(round(shape[axis] / wider), 1)
    return _with_shape(role, tuple(shape))


def at_depth(role: Role, depth: float) -> Role:
    """The role in a model of so many blocks in each stack: of the block that stands as far along there."""
    net, blocks = role.net, max(round(depth), 1)
    stacks = tuple(replace(stack, layers=blocks, other=blocks if stack.other else 0) for stack in net.stacks)
    few = net.branches[: max(round(len(net.branches) * blocks / net.blocks), 1)]
    found = replace(role, net=replace(net, stacks=stacks, branches=few))
    if role.stack is None or role.branch is None:
        return found
    layers = role.stack.layers
    stack = replace(role.stack, layers=blocks, other=blocks if role.stack.other else 0)
    branch = replace(role.branch, count=max(round(role.branch.count * blocks / layers), 1))
    return replace(found, stack=stack, branch=branch, block=role.block * blocks // layers)


def _with_shape(role: Role, shape: tuple[int, ...]) -> Role:
    """The role of a parameter of another size: groups and sections that are as many as channels go with them."""
    layout, own = role.layout, role.parameter.shape
    if layout is not None and own != shape and (layout.groups > 1 or isinstance(layout.sections, tuple)):
        axis = layout.axes.index("i" if layout.transposed else "o")
        alone = layout.groups == own[axis] or _depthwise(layout, own)
        groups = layout.groups * shape[axis] // own[axis] if alone else layout.groups
        parts = layout.sections
        if isinstance(parts, tuple):
            parts = tuple(size * shape[axis] // own[axis] for size in parts)
        layout = replace(layout, groups=groups, sections=parts)
    return replace(role, layout=layout, parameter=replace(role.parameter, shape=shape))


def _depthwise(layout: Layout, shape: tuple[int, ...]) -> bool:
    """Whether every output reads one channel, at any width."""
    if layout.groups == 1 or "i" not in layout.axes:
        return False
    return shape[layout.axes.index("i")] == (layout.groups if layout.transposed else 1)


def base_shape(role: Role, base: Shapes) -> tuple[int, ...]:
    """The shape of a parameter in the base model."""
    name, shape = role.parameter.name, role.parameter.shape
    if name not in base:
        more = "A base model differs in width alone: build it as deep as this one, or give a plan of it."
        part = _part(name, base)
        computed = f"It holds {part!r}, which {name!r} is computed from: give a plan of the base model."
        remedy = computed if part else f"{nearest(name, base)} {more}".strip()
        raise ArgumentError(message("parametrization", "base", f"shapes that name {name!r}", list(base)[:4], remedy))
    if len(base[name]) != len(shape) or (0 in base[name]) != (0 in shape):
        allowed = f"a shape of {name!r} of {len(shape)} axes"
        raise ArgumentError(message("parametrization", "base", allowed, tuple(base[name])))
    return tuple(base[name])


def _part(name: str, base: Shapes) -> str:
    """What a framework holds instead of a weight that is computed: "weight_g", "parametrizations.weight.original"."""
    owner, dot, leaf = name.rpartition(".")
    held = [key for key in base if key.startswith(owner + dot)]
    rests = {key: key.removeprefix(owner + dot) for key in held}
    return next((key for key, rest in rests.items() if rest.startswith(f"{leaf}_") or f".{leaf}." in rest), "")


def _last(role: Role, roles: Mapping[str, Role]) -> bool:
    """Whether it multiplies, or is added to, what a branch adds, and nothing behind it does."""
    assert role.branch is not None
    behind = role.branch.scales or role.branch.gammas
    if behind:
        places = {roles[name].operation for name in behind if name in roles}
        return role.parameter.name in behind or (role.role == "norm_shift" and role.operation in places)
    whole = role.beside if role.role == "bias" and role.beside is not None else role
    return whole.ends_branch


def sizes(role: Role, shape: tuple[int, ...]) -> tuple[float, float]:
    """Inputs and outputs of a parameter of this shape, of one of the matrices that are stacked in it."""
    layout = role.layout or Layout("o" * len(shape))
    if role.role in _ROWS and shape:
        return 1.0, float(shape[-1])
    size = {letter: layout.size(shape, letter) for letter in "oik"}
    parts = layout.sections if isinstance(layout.sections, int) else len(layout.sections or (1,))
    if layout.transposed and layout.groups > 1:
        return float(size["i"] // layout.groups * size["k"]), float(size["o"] * layout.groups)
    return float(size["i"] * size["k"]), size["o"] / parts


def _beside(role: Role, base: tuple[int, ...]) -> Axes:
    """By comparison with the shape in the base model."""
    (inputs, outputs), (less_in, less_out) = sizes(role, role.parameter.shape), sizes(_with_shape(role, base), base)
    grows_in, grows_out = inputs != less_in, outputs != less_out
    return _axes((inputs, outputs), inputs / max(less_in, 1), outputs / max(less_out, 1), grows_in, grows_out)


def _axes(size: tuple[float, float], wider_in: float, wider_out: float, grows_in: bool, grows_out: bool) -> Axes:
    kind = {(False, False): "finite", (False, True): "vector", (True, True): "matrix"}.get(
        (grows_in, grows_out), "readout"
    )
    rows, columns = size[1], size[0]
    tall = math.sqrt(max(1, rows / columns) / max(1, rows / wider_out * wider_in / columns))
    return Axes(*size, wider_in if grows_in else 1.0, wider_out if grows_out else 1.0, kind, tall=tall)


def _at_width(graph: Analysis, role: Role, base: Base) -> Axes:
    """By what the roles say: readouts have as many outputs, and what reads the batch as many inputs, at any width."""
    size = sizes(role, role.parameter.shape)
    if not isinstance(base, int):
        kind = "table" if role.role in ("embedding", *_ROWS) else "matrix"
        return Axes(*size, *size, kind, tall=math.sqrt(max(1, size[1] / max(size[0], 1))))
    widths = [stack.width for stack in role.net.stacks if stack.width]
    wider = [max(widths) / base] * 2 if widths else [n / base for n in _channels(role, size)]
    named = role.beside or role
    readout = not role.shared_readout and any(name == named.parameter.name for name, _ in role.net.readouts)
    matrix = role.layout is not None and "i" in role.layout.axes
    alone = role.layout is not None and _depthwise(role.layout, role.parameter.shape)
    grows_in = matrix and not alone and _behind_weights(graph, role)
    signal = matrix or role.role in ("embedding", "bias", *_ROWS) or _behind_weights(graph, role)
    grows_out = not readout and role.role not in _FIXED and signal
    return _axes(size, wider[0], wider[1], grows_in, grows_out)


def _channels(role: Role, size: tuple[float, float]) -> tuple[float, float]:
    """Units on both sides of a parameter: those of all groups, and no window."""
    layout, shape = role.layout, role.parameter.shape
    if layout is None or role.role in _ROWS:
        return size
    return size[0] / layout.size(shape, "k") * layout.groups, size[1]


def _behind_weights(graph: Analysis, role: Role) -> bool:
    """Whether what a parameter meets came through a weight or a table."""
    if role.operation < 0:
        return True
    before = backward(graph, graph.operations[role.operation].inputs, lambda made: made.kind not in WEIGHTED)
    return any(made.kind in WEIGHTED or made.kind == "lookup" for made in before)
