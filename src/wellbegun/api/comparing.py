"""Two models beside each other, of one framework or two."""

from typing import Any

import numpy as np

from wellbegun.backend import find
from wellbegun.errors import ArgumentError
from wellbegun.graph import Analysis, groups_of, roles_of
from wellbegun.measure.comparison import ModelComparison, Stored, compared

_ALL = 1 << 60  # of a sample: every value


def compare_models(first: Any, second: Any, batch: Any = None, second_batch: Any = None) -> ModelComparison:
    """Say tensor by tensor whether two models start alike, such as a port and its original.

    Parameters are paired by their names, which are the same in all frameworks (`layers.0.weight`, whatever a framework
    calls a kernel), and their axes are brought into one order. "same" is bit by bit; "alike" may have been drawn from
    one law, as far as rank tests of shape, place and scale on 65,536 values of each can tell: models of the same laws
    are told apart once in a thousand, and sizes of 1 and 1.4 by 128 values of uniform laws, or 512 of normal ones; what
    "differs" says how. Parameters are compared, and no other state, such as moving statistics.

    Args:
        first, second: Models of any framework that is supported.
        batch: As for `plan`: one run of each model tells the roles of axes that its layers do not tell, and the parts
            of recurrent layers, which frameworks name in their own ways: gates may lie in another order, which is said,
            and two biases are compared with one by their sum. A flatten of images may order the inputs of the layer
            behind it by channels or by places: "same" is what gives the same outputs, and equal values in another order
            are "alike", which is said. Without a batch, parts of recurrent layers are "missing", equal values of a
            square weight count as "alike" only, where frameworks may store them in another order, and no flatten is
            seen.
        second_batch: That of the second model, where it takes another one: images with channels last, (8, 28, 28, 3)
            beside (8, 3, 28, 28). None: `batch`, too.
    Returns:
        A `ModelComparison`: `.same`, `.alike`, `.counts()`, and `.tensors` with name, verdict, mean and standard
        deviation of each, and why. `wb.show` prints it.
    Raises:
        ArgumentTypeError: no model.
        ArgumentError: `second_batch` without `batch`.
    Cost: one copy of each model's values in float64.

    >>> from torch import nn
    >>> one, two = nn.Linear(64, 32), nn.Linear(64, 32)
    >>> compare_models(one, two).alike, compare_models(one, two).same, compare_models(one, one).same
    (True, False, True)
    >>> _ = nn.init.normal_(two.weight)
    >>> compare_models(one, two).counts()
    {'same': 0, 'alike': 1, 'differs': 1, 'missing': 0}
    """
    if batch is None and second_batch is not None:
        raise ArgumentError("compare_models: second_batch needs batch too, that of the first model: give both, or none")
    own = batch if second_batch is None else second_batch
    return compared(*(_stored(*each, paired=second_batch is not None) for each in ((first, batch), (second, own))))


def _stored(model: Any, batch: Any, *, paired: bool) -> dict[str, Stored]:
    backend = find(model)
    known = {name: p for name, p in backend.describe(model).items() if p.tied_to is None}
    samples = backend.parameter_samples(model, known, most=_ALL)
    layouts = {name: p.own.layout for name, p in known.items() if p.own is not None}
    parts, groups = dict[str, str](), dict[str, Any]()
    if batch is not None:
        graph = Analysis.of(backend.trace(model, batch))
        roles, groups = roles_of(graph), dict(groups_of(graph, of_batch=paired))
        parts = {name: role.role for name, role in roles.items() if role.role.startswith("recurrent")}
        layouts |= {name: role.layout for name, role in roles.items() if role.layout is not None}
    shaped = {name: np.asarray(values).reshape(known[name].shape) for name, (values, _) in samples.items()}
    return {
        name: Stored(shaped.get(name), layouts.get(name), backend.name, parts.get(name, ""), groups.get(name, {}))
        for name in known
    }
