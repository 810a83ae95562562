"""How tensors are made of parameters and constants: written down step by step, to be tried with other values later."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from wellbegun.graph import Made
from wellbegun.torch.trace import aten, axes
from wellbegun.torch.trace.expression import Expression, Held, computation_of, roots_of
from wellbegun.torch.trace.values import Fixed, Known

_FULL = torch.ops.aten.full.default


class _Unknown(Exception):  # noqa: N818 - no error: the step stays unknown
    """A tensor whose values are not known."""


def step(func: Any, args: Any, kwargs: Any, of: Callable[[torch.Tensor], Known], output: int = 0) -> Expression | None:
    """An operation on parameters and constants; None if it takes values that nobody knows."""
    if aten.name_of(func) in aten.CREATIONS and aten.writes_to(func):  # what it writes over does not matter
        args = (Expression(_FULL, (list(args[0].shape), 0.0), {}), *args[1:])
    try:
        arguments = _template(args, of)
        keywords = {key: _template(value, of) for key, value in kwargs.items() if key not in ("device", "pin_memory")}
    except _Unknown:
        return None
    return Expression(func, arguments, keywords, output)


def _template(node: Any, of: Callable[[torch.Tensor], Known]) -> Any:
    """Arguments with tensors replaced by what they are made of."""
    if isinstance(node, torch.Tensor):
        return _made_of(node, of(node))
    if isinstance(node, (list, tuple)):
        return type(node)(_template(item, of) for item in node)
    return node


def _made_of(tensor: torch.Tensor, known: Known) -> Any:
    from torch._subclasses.fake_tensor import FakeTensor

    found = None if not isinstance(known, (Fixed, axes.Derived)) else known.expression
    if found is None and isinstance(known, Fixed):
        if known.number is not None:
            return Expression(_FULL, (list(tensor.shape), known.number), {})
        if not (tensor.is_meta or isinstance(tensor, FakeTensor)) and not known.lost:
            return Held(tensor)
    if found is None:
        raise _Unknown
    return found


def made_of(derived: axes.Derived, roles: str) -> Made | None:
    """How an operand with these roles is made of parameters; None if nobody knows, or if it is a parameter itself."""
    if derived.exact or not isinstance(derived.expression, Expression):
        return None
    outputs = tuple(axis for axis, role in enumerate(roles) if role == "o")
    return Made(roots_of(derived.expression), derived.shape, computation_of(derived.expression), outputs)


def derived_by(
    func: Any,
    operands: Sequence[tuple[torch.Tensor, Known]],
    output: torch.Tensor,
    index: tuple[int, int] | None,
    shares: bool,
) -> axes.Derived:
    """What an operation on parameters gives. `index`: how it picks slices; `shares`: whether it lives in the memory of
    an operand."""
    derived = [(tensor, known) for tensor, known in operands if isinstance(known, axes.Derived)]
    sources = [known for _, known in derived]
    whole = [known for tensor, known in derived if tensor.shape == output.shape]
    if len({one.names for one in sources}) > 1:
        return axes.computed(sources, output)
    if index is not None:
        return axes.pick(sources[0], output, *index)
    if aten.name_of(func) == "view_as_complex":
        return axes.paired(sources[0], output)
    if aten.is_view(func) or shares:
        return axes.view((whole or sources)[0], output)
    if whole or aten.moves(func):
        exact = aten.moves(func) and aten.name_of(func) not in aten.ERASING
        return axes.copy((whole or sources)[0], output, exact=exact)
    return axes.computed(sources, output)
