"""auto@2 for weights: from what comes in and what should go out to the gain of an orthogonal matrix."""

import math
from collections.abc import Mapping
from functools import lru_cache

from wellbegun.errors import LayoutError
from wellbegun.graph import (
    WEIGHTED,
    Analysis,
    Operation,
    Role,
    added_up,
    bag_of,
    bends_input,
    beside_basis,
    goes_on,
    makes_weight,
    modulates,
    net_of,
    over_basis,
    rows_are_shared,
)
from wellbegun.graph.cells import state_of
from wellbegun.graph.inference import inferred
from wellbegun.graph.walk import TRANSPARENT, backward, forward, weights_before
from wellbegun.layout import Layout
from wellbegun.planning.method import KEEP, Choice
from wellbegun.planning.recipes.auto.places import SHARE, read_by_place
from wellbegun.planning.recipes.auto.plain import (
    AT_FIRST,
    FIRST,
    Points,
    Series,
    Streams,
    difference,
    series_of,
    streams_of,
)
from wellbegun.planning.recipes.auto.roles import CHOICES, readout_rms
from wellbegun.planning.recipes.common import ATTENTION
from wellbegun.schemes import Scheme, constant, mirrored, normal, orthogonal, uniform, variance_scaling
from wellbegun.schemes.dependent import row_sums

_EDGE = 0.1  # share of splines on edges beside a plain weight: measured, 0.3 learns as fast and 1 slower
_FACTOR = 0.1  # of what makes a factor of a signal: measured, 0.3 learns about as fast and 1 slower
_GRID = 0.6  # of signals that splines read, half in a first layer: measured, 1 and 0.35 learn slower
STRUCTURED_FROM = 512  # smaller side from which the structured method pays, with entries as good as Haar's
_HANDED = 0.5  # of an LSTM that only hands its state on, which other inputs must not push out; others learn with 1
_STATES = {"lstm": 0.01, "gru": 0.09, "rnn_tanh": 0.25, "rnn_relu": 0.5}  # E h^2 of states at the start
_MIXED = frozenset({"hidden", "residual_out"})  # what may be a memory or a codebook, read by shares of its rows
_LL = "Balduzzi et al. 2017, arXiv:1702.08591; Saxe et al. 2014, arXiv:1312.6120"
_DEPTH = "Schoenholz et al. 2017, arXiv:1611.01232; Saxe et al. 2014, arXiv:1312.6120"
_RESIDUAL = "Radford et al. 2019; De, Smith 2020, arXiv:2002.10444"
_DEEPNORM = "Wang et al. 2022, arXiv:2203.00555"
_OFFSETS = "measured for this recipe; for sines Sitzmann et al. 2020, arXiv:2006.09661"
_MEASURED = "measured for this recipe"
_SAXE = "Saxe et al. 2014, arXiv:1312.6120"


def solve(graph: Analysis, roles: Mapping[str, Role], taken: frozenset[str]) -> Mapping[str, Choice]:
    """Choices for every weight of a product or convolution, and for biases that follow from them."""
    points = Points()
    taken |= {name for name, parameter in graph.parameters.items() if parameter.bound}  # they hold no pairs
    series = series_of(graph, roles, taken, points)
    feeders = {reader: found for found in series.values() for reader in found.layer.readers}
    streams = streams_of(graph, roles, taken)
    choices: dict[str, Choice] = {}
    sizes = _stream_sizes(graph, roles, taken)
    weights: dict[str, Operation] = {}
    for operation, use in graph.uses():
        role = roles.get(use.parameter)
        known = role is not None and role.layout is not None and role.role not in ("unknown", "embedding")
        if operation.kind in WEIGHTED and use.slot == "weight" and known and not roles[use.parameter].mode:
            weights.setdefault(use.parameter, operation)
    free = {name: made for name, made in weights.items() if name not in taken}
    by_place = read_by_place(graph, roles)
    _first_layers(graph, roles, free, series, streams, points, choices)
    for name, operation in weights.items():
        own, share = series.get(name), SHARE if operation.index in by_place else 1.0
        choices[name] = _weight(graph, operation, roles[name], own, feeders, streams, points, sizes, share)
        if own is None and name not in streams.sources and roles[name].role in _MIXED and rows_are_shared(graph, name):
            choices[name] = Choice(normal(std=1.0), "its rows are averaged by shares: unit entries", _MEASURED)
    for name, role in roles.items():
        if role.role == "positional" and role.operation in by_place and not (role.on_table or role.multiplied):
            reason = "positions that the readout tells apart too: half of a dense signal's"
            choices[name] = Choice(normal(std=0.25), reason, _MEASURED)
        if role.role == "recurrent_input" and role.mode == "lstm" and _hands_on(graph, name):
            reason = f"input weights of an lstm layer of which another one reads the last state alone: gain {_HANDED}"
            choices[name] = Choice(orthogonal(gain=_HANDED), reason, _MEASURED)
    for name, found in series.items():
        _biases(graph, roles, choices, name, found)
    return choices


# ---------------------------------------------------------------------- one weight
@inferred("how large the output of a weight is to be", lambda graph, operation, role, *_: alone(role))
def _weight(
    graph: Analysis,
    operation: Operation,
    role: Role,
    own: Series | None,
    feeders: Mapping[str, Series],
    streams: Streams,
    points: Points,
    sizes: Mapping[int, float],
    share: float,
) -> Choice:
    if role.role == "time_step":
        return Choice(KEEP, f"time step of a state-space layer, which is a part of its design ({role.place}): kept")
    feeder = feeders.get(role.parameter.name)
    if feeder is not None and feeder.mirrored and role.parameter.name in feeder.layer.averaged:
        feeder = None  # the mean of a linear map says little: what the members of pairs have in common is read too
    name = role.parameter.name
    if name in streams.readers:
        second = difference(streams.readers[name])
    else:
        second = feeder.point.second if feeder else incoming(graph, operation, points)
    target, relative, reason, source = _aim(graph, role, own, points.first.get(operation.index, 0.0), share)
    made = makes_weight(graph, operation) if role.role in ("hidden", "readout") and own is None else None
    if made is not None:
        product, other = made
        if role.role == "readout" and goes_on(graph, product):
            target, reason = 1.0, _plain_reason(role)
        target, relative = target / math.sqrt(product.width * _read(graph, other, points)), False
        reason += f"; it makes the weight of another signal, of {product.width} terms: entries of RMS {target:.2g}"
    edge = role.role in ("hidden", "readout") and over_basis(graph, operation)
    if edge:
        target, reason = _EDGE * target, f"{reason}; over a basis, beside a plain weight: {_EDGE:g} of it, not measured"
    elif own is None and made is None and role.role in ("hidden", "readout") and modulates(graph, operation):
        target, reason = min(target, _FACTOR), f"makes a factor that is 1 where this is 0: {_FACTOR:g}, near that"
    elif role.role == "hidden" and beside_basis(graph, operation):
        grid = _GRID if role.depth else _GRID / 2
        target, reason = grid * target, reason.replace("unit RMS", f"RMS {grid:.2g}, which the grids of splines hold")
    stream = sizes.get(role.branch.stream, 1.0) if relative and role.branch is not None else 1.0
    gain = target * stream / math.sqrt(second)
    kept = _uncorrected(graph, role, share)
    corrected = None if edge or kept else target
    paired = (feeder is not None and feeder.mirrored) or name in streams.readers
    inputs = (_inputs(role),) if paired else ()
    outputs = (own is not None and own.mirrored) or name in streams.sources
    if name in streams.sources:
        reason, source = f"{reason}; the stream is kept in mirrored pairs, so that no mean adds up on it", _LL
    if feeder is not None and not feeder.mirrored and feeder.mean and not _bias_of(operation):
        reason += "; its inputs have a mean that no bias can cancel"
    reason += kept
    scheme = _scheme(role, gain, outputs, inputs)
    return Choice(scheme, reason, source, corrected, relative)


def _first_layers(
    graph: Analysis,
    roles: Mapping[str, Role],
    weights: Mapping[str, Operation],
    series: Mapping[str, Series],
    streams: Streams,
    points: Points,
    choices: dict[str, Choice],
) -> None:
    """Which layers read the input, and offsets of their units, which bend at different places then."""
    biases = {r.beside.parameter.name: name for name, r in roles.items() if r.role == "bias" and r.beside is not None}
    for name, operation in weights.items():
        role, own = roles[name], series.get(name)
        plain = own is None and role.role in ("hidden", "up") and not role.ends_branch and name not in streams.sources
        bound = own.spread if own is not None else 0.0
        if plain and bends_input(graph, operation) and not modulates(graph, operation):
            bound = math.sqrt(FIRST)
        if bound:
            points.first[operation.index] = bound
        if bound and name in biases and _only_beside(graph, biases[name], role):
            reason = f"reads the input: offsets within {bound:.2g} of 0, so that units bend at different places"
            choices[biases[name]] = Choice(uniform(-bound, bound), reason, _OFFSETS)


def _only_beside(graph: Analysis, bias: str, role: Role) -> bool:
    """Whether a bias has a number for each unit, and is added as it is to nothing but what the units' weight gives."""
    made = {operation.index for operation, _ in graph.uses_of(role.parameter.name)}
    added = [(graph.source(by) if by.kind == "shift" else by, use) for by, use in graph.uses_of(bias)]
    units = None if role.layout is None else role.layout.canonical_shape(role.parameter.shape)[0]
    own = math.prod(graph.parameters[bias].shape) == units
    return own and all(to is not None and to.index in made and use.exact for to, use in added)


@inferred("whether a layer only hands its state on", lambda *_: False)
def _hands_on(graph: Analysis, name: str) -> bool:
    """Whether nothing of a recurrent layer is read but its last state, and that only as the start of another one."""
    own = {operation.index: operation for operation, _ in graph.uses_of(name)}
    return bool(own) and all(_starts_others(graph, operation, own) for operation in own.values())


def _starts_others(graph: Analysis, operation: Operation, own: Mapping[int, Operation]) -> bool:
    moves = TRANSPARENT - {"norm"}
    read = forward(graph, operation.outputs[1:], lambda made: made.kind in moves)
    readers = [reader for reader in read if reader.kind not in moves]
    began = (
        reader.kind == "recurrent"
        and reader.index not in own
        and not any(made.index in own for made in backward(graph, reader.inputs[:1], lambda o: o.kind in moves))
        for reader in readers
    )
    return bool(readers) and all(began) and not any(graph.consumers.get(value) for value in operation.outputs[:1])


@inferred("how large streams are", lambda *_: {})
def _stream_sizes(graph: Analysis, roles: Mapping[str, Role], taken: frozenset[str]) -> Mapping[int, float]:
    """Sizes of streams that start from tables, which are small where they are readouts too; others are of unit size."""
    found: dict[int, float] = {}
    for branch in net_of(roles).branches:
        if branch.index:
            continue
        values = [value for value in graph.operations[branch.add].inputs if value != branch.value]
        before = [made for made in backward(graph, values, _added) if not _added(made)]
        names = [use.parameter for made in before for use in made.uses if use.slot == "table"]
        if names and all(made.kind == "lookup" for made in before) and not taken.intersection(names):
            found[branch.stream] = math.hypot(*(_entries(roles[name]) for name in names))
    return found


def _added(made: Operation) -> bool:
    return made.kind in ("move", "add", "shift", "scale", "pointwise")


def _entries(role: Role) -> float:
    """Size of what is looked up in a table, with a constant behind it."""
    scheme = CHOICES["embedding"](role).scheme
    assert isinstance(scheme, Scheme)
    assert role.layout is not None
    law = scheme.law(role.parameter.shape, layout=role.layout)
    return math.sqrt(law.moments(role.layout.canonical_shape(role.parameter.shape)).variance) / role.unit


def alone(role: Role) -> Choice:
    """A weight of a layer that nothing is known around."""
    return Choice(_scheme(role, 1.0, False, ()), _plain_reason(role), _SAXE)


def _uncorrected(graph: Analysis, role: Role, share: float) -> str:
    """Why the size of what a weight gives is no measure of the weight; "" if it is."""
    if share < 1 and role.role in ATTENTION:
        return "; not corrected, or they would make up for a small stream"
    if any(use.slot != "weight" for _, use in graph.uses_of(role.parameter.name)):  # like the frequencies in SAM
        return "; it is read in other ways too, which are its size as well: not corrected by measurement"
    if role.role == "attention_out" and role.branch is not None and role.branch.norm == "post":
        return "; values are small while attention averages, and the norm behind the sum restores sizes: not corrected"
    return ""


def _aim(graph: Analysis, role: Role, own: Series | None, first: float, share: float) -> tuple[float, bool, str, str]:
    """(RMS of the output, whether in units of the stream, reason, source); `first`: of a layer that reads the input;
    `share`: of unit size, else."""
    if own is not None:
        return math.sqrt(own.point.q), False, own.reason, _LL if own.mirrored else _DEPTH
    if role.role == "readout":
        target, times = readout_rms(role), max(added_up(graph, role.parameter.name), 1.0)
        summed = f"; {times:.3g} of them add up in one" if times > 1 else ""
        return target / times, False, f"readout: outputs of RMS {target:.2g} start the loss near chance{summed}", _SAXE
    if role.role == "router":
        return 0.1, False, "router: nearly equal scores, so that every expert starts in use", _SAXE
    if role.ends_branch and role.branch is not None:
        return _branch_end(role)
    less = f", times {share:g}: the readout has weights for each place" if share < 1 else ""
    return first or share, False, _plain_reason(role) + (f"; {AT_FIRST}" if first else less), _SAXE


def _branch_end(role: Role) -> tuple[float, bool, str, str]:
    branch = role.branch
    assert branch is not None
    share = _share(role)
    if branch.norm == "post":
        reason = f"ends one of {branch.count} branches normalized on the stream: (4 x {branch.count})^-1/4"
        return share, False, reason, _DEEPNORM
    if branch.norm == "inner":
        return 1.0, False, "ends a branch that a normalization scales", _SAXE
    return share, True, f"ends one of {branch.count} branches of a stream: 1/sqrt({branch.count}) of it", _RESIDUAL


def _share(role: Role) -> float:
    """What one branch may add, in units of its stream."""
    branch = role.branch
    assert branch is not None
    if branch.norm == "post":
        return float((4 * branch.count) ** -0.25)
    return float((branch.count * max(len(branch.ends), 1)) ** -0.5)


def _plain_reason(role: Role) -> str:
    if role.role != "hidden":
        return f"{role.role.replace('_', ' ')}: an orthogonal map keeps the length of what comes in"
    met = "" if role.met is None or role.met.what != "activation" else f", before {role.met.name or 'a function'}"
    return f"hidden{met}: output of unit RMS"


# ---------------------------------------------------------------------- what comes in
def incoming(graph: Analysis, operation: Operation, points: Points) -> float:
    """E x^2 of the input of an operation, if every weight before it gives unit RMS."""
    return _read(graph, operation.inputs[0], points) if operation.inputs else 1.0


def _read(graph: Analysis, value: int, points: Points) -> float:
    if mode := state_of(graph, value):
        return _STATES[mode]
    producer = _behind(graph, value)
    if producer is not None and producer.kind == "lookup" and (bag := bag_of(graph, producer)).averaged:
        return float(bag.rows) ** -2
    if producer is None or producer.kind != "gate":
        return _second(graph, producer, points)
    return math.prod(_second(graph, _behind(graph, value), points) for value in producer.inputs)


def _second(graph: Analysis, step: Operation | None, points: Points) -> float:
    if step is not None and step.kind == "recurrent":
        return _STATES.get(step.mode, 1.0)
    if step is None or step.function is None:
        return 1.0
    before = weights_before(graph, step.root) if points.first and step.root is not None else ()
    first = max((points.first.get(made.index, 0.0) for made in before), default=0.0)
    return points.second(step.function, first**2 * 4 / 3 if first else 1.0)  # offsets add a third


def _behind(graph: Analysis, value: int) -> Operation | None:
    """The first operation behind reshapes, pools and linear functions."""
    producer = graph.producers.get(value)
    while producer is not None and producer.inputs:
        passes = producer.kind in TRANSPARENT - {"norm", "add", "concat"}
        if not passes and not (producer.kind == "pointwise" and graph.is_linear(producer)):
            return producer
        producer = graph.producers.get(producer.inputs[0])
    return None


# ---------------------------------------------------------------------- schemes
def _scheme(role: Role, gain: float, outputs: bool, inputs: tuple[int, ...]) -> Scheme:
    """An orthogonal scheme whose outputs have `gain` times the RMS of its inputs."""
    assert role.layout is not None
    block = _block(role.parameter.shape, role.layout, outputs, inputs)
    if block is None:
        return variance_scaling(scale=_rounded(gain**2))
    rows, columns = block
    method = "structured" if min(rows, columns) >= STRUCTURED_FROM else "haar"
    tall = math.sqrt(max(rows / max(columns, 1), 1.0))
    return _wrapped(orthogonal(gain=_rounded(gain * tall), method=method), outputs, inputs)


@lru_cache(1024)
def _block(shape: tuple[int, ...], layout: Layout, outputs: bool, inputs: tuple[int, ...]) -> tuple[int, int] | None:
    """Rows and columns of the matrices that an orthogonal scheme draws; None where there are none."""
    try:
        return _wrapped(orthogonal(), outputs, inputs).law(shape, layout=layout).block(layout.canonical_shape(shape))
    except LayoutError:
        return None


def _wrapped(scheme: Scheme, outputs: bool, inputs: tuple[int, ...]) -> Scheme:
    return mirrored(scheme, outputs=outputs, inputs=inputs) if outputs or inputs else scheme


def _rounded(value: float) -> float:
    return float(f"{value:.8g}")


def _inputs(role: Role) -> int:
    assert role.layout is not None
    return role.parameter.shape[role.layout.axes.index("i")]


# ---------------------------------------------------------------------- biases that follow
def _bias_of(operation: Operation) -> str | None:
    return next((use.parameter for use in operation.uses if use.slot == "bias"), None)


@inferred("which bias follows from a weight", lambda *_: None)
def _biases(graph: Analysis, roles: Mapping[str, Role], choices: dict[str, Choice], name: str, found: Series) -> None:
    own = _bias_of(graph.operations[found.layer.operation])
    if found.offset and own is not None and own in roles and own not in choices:
        reason = f"offset {found.offset:g} makes mirrored pairs nearly linear"
        choices[own] = Choice(constant(found.offset), reason, _LL)
    if not found.mean:
        return
    for reader in found.layer.readers:
        role = roles[reader]
        bias = _bias_of(graph.operations[role.operation])
        if bias is None or bias not in roles or role.layout is None or not isinstance(choices[reader].scheme, Scheme):
            continue
        law = choices[reader].scheme.law(role.parameter.shape, layout=role.layout)  # type: ignore[union-attr]
        shape = role.layout.canonical_shape(role.parameter.shape)
        reason = f"cancels the mean {found.mean:.3g} of the inputs of {reader}"
        scheme = row_sums(law, reader, shape, factor=-found.mean)
        choices[bias] = Choice(scheme, reason, "LeCun et al. 1998, Efficient BackProp")
