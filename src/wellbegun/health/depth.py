"""Signal and gradient by depth: whether they hold, and the first layer at which they do not.

What is judged: hidden weighted operations outside residual branches, and the sums of residual streams. A branch may be
as small as it likes, since the stream carries the signal past it; and a normalization forgets the scale of what comes
in, so growth counts only within a stretch without one, and gradients behind one count in units of the signal's scale.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wellbegun.health.catalogue import (
    BATCH_NORM,
    COLLAPSE,
    EPSILON_RANGE,
    GRADIENT_RANGE,
    RESTORED,
    RESTORED_RANGE,
    SENSITIVITY,
    SHUT,
    SIGNAL_RANGE,
    SILENT,
    STARVED,
    Severity,
)
from wellbegun.health.findings import Finding, finding
from wellbegun.health.statistics import OperationStats, Statistics, StreamStats

_LEAST = 1e-30  # stands for zero in logarithms
_APART = 1e-3  # in cosine: what is nearer is alike


@dataclass(frozen=True)
class Point:
    """A place on the way of the signal."""

    index: int
    place: str
    parameter: str
    ratio: float | None  # RMS in units of what came into its stretch; None: scales do not matter there
    gradient: float | None  # in units of its RMS, or of what came into its stretch
    least: float  # bound of the ratio
    stretch: float | None  # what came into its stretch: equal for points of the same one
    depth: int  # weighted operations in series before it
    aside: bool = False  # whether it reaches the output through branches only
    norms: int = 0  # normalizations over samples before it
    beside: float = 0.0  # gradient at the sum behind it, where another way leads there, in units of its scale
    kept: float = 0.0  # RMS of that sum, in units of what came into the stretch

    @property
    def widest(self) -> float:
        """The gradient where signals pass it: a gate behind it may be next to shut, and what it is added to is not."""
        return max(self.gradient or 0.0, self.beside)


def hidden_operations(statistics: Statistics) -> list[OperationStats]:
    """Weighted operations whose output must carry signal: not the readout, no branch that starts silent, none that
    nothing comes into, as where a decoder starts from zeros, and no steps of derivatives that the model takes."""
    return [
        operation
        for operation in statistics.operations
        if operation.role != "readout"
        and operation.input_rms > 0
        and not (operation.ends_branch and operation.rms == 0)
        and not (operation.scoring or operation.derivative)
    ]


def readouts(statistics: Statistics) -> list[OperationStats]:
    """Weights behind which there are no others."""
    return [
        operation for operation in statistics.operations if operation.role == "readout" and not operation.derivative
    ]


def points_of(statistics: Statistics) -> list[Point]:
    """What is judged, in order of execution."""
    hidden = [o for o in hidden_operations(statistics) if o.branch is None]
    start = hidden[0].input_rms if hidden else 0.0
    derivatives = [_of_operation(o, start) for o in statistics.operations if o.derivative]
    found = _in_all_places([_of_operation(o, start) for o in hidden], derivatives)
    found += [_of_stream(stream, statistics) for stream in statistics.streams if stream.rms > 0]
    return sorted(found, key=lambda point: point.index)


def _in_all_places(points: Sequence[Point], beside: Sequence[Point]) -> list[Point]:
    """A weight that is used in several places, as in steps of time, learns from all of them."""
    most: dict[str, float] = {}
    for point in (*points, *beside):
        most[point.parameter] = max(most.get(point.parameter, 0.0), point.gradient or 0.0)
    return [p if p.gradient is None else replace(p, gradient=most[p.parameter]) for p in points]


def _of_operation(o: OperationStats, start: float) -> Point:
    origin = o.start_rms if o.start_rms is not None else start
    gradient = None if o.gradient is None else o.gradient * (o.rms if o.renormed else origin or 1.0)
    ratio = max(o.rms, o.joined or 0.0) / origin if origin else None
    size, arrived = o.beside or (0.0, 0.0)
    beside, kept = arrived if gradient else 0.0, size / origin if origin else 0.0
    return Point(
        o.index, o.place, o.parameter, ratio, gradient, _least(o), origin, _depth(o), o.aside, o.norms, beside, kept
    )


def _least(found: OperationStats | StreamStats) -> float:
    if not found.renormed:
        return 1 / SIGNAL_RANGE
    return 1 / (RESTORED_RANGE if (found.restored or 0.0) >= RESTORED else EPSILON_RANGE)


def _of_stream(stream: StreamStats, statistics: Statistics) -> Point:
    """The place is the operation that changes the scale most, of those in the branch."""
    inside = [o for o in statistics.operations if o.branch == stream.index and o.input_rms and o.rms]
    worst = max(inside, key=lambda o: abs(math.log(o.rms / o.input_rms)), default=None)
    place, name = (worst.place, worst.parameter) if worst else (stream.place, stream.parameter)
    scale = stream.rms if stream.renormed else stream.start_rms or 1.0
    gradient = None if stream.gradient is None else stream.gradient * scale
    ratio = None if stream.normed or not stream.start_rms else stream.rms / stream.start_rms
    own = _least(stream), stream.start_rms, _depth(stream), stream.aside, stream.norms
    return Point(stream.index, place, name, ratio, gradient, *own)


def _depth(found: OperationStats | StreamStats) -> int:
    return found.index if found.depth is None else found.depth


# ---------------------------------------------------------------------- forward
def signal(statistics: Statistics) -> list[Finding]:
    """Vanishing, exploding, collapsing."""
    scaled = [(point, point.ratio) for point in points_of(statistics) if point.ratio is not None]
    found = []
    if scaled:
        kept = [(point, max(ratio, point.kept)) for point, ratio in scaled]
        low = min(kept, key=lambda pair: pair[1] / pair[0].least)
        high = max(scaled, key=lambda pair: pair[1])
        if low[1] < low[0].least:
            found.append(_first(kept, low[0], "W101", low[0].least))
        if high[1] > SIGNAL_RANGE:
            found.append(_first(scaled, high[0], "W102", SIGNAL_RANGE))
    found += [] if found else _starved(statistics) or _stopped(statistics)
    return [*found, *_collapse(statistics), *_faint(statistics), *_sensitivity(statistics)]


def _starved(statistics: Statistics) -> list[Finding]:
    """The first weights, where all that they read is next to nothing, and no normalization behind enlarges it."""
    first = [o for o in statistics.operations if o.first and o.input_rms]
    fed = (o.input_rms >= STARVED or (o.restored or 0.0) >= RESTORED for o in first)
    if not first or any(fed) or any(not o.first and o.depth == 0 for o in statistics.operations):
        return []
    most = max(first, key=lambda o: o.input_rms)
    detail = f"what comes in here has RMS {most.input_rms:.3g}, and nothing before it is trained"
    words = f"# scale what {most.place} reads to about unit size: no weight does"
    return [finding("W101", most.place, most.input_rms, STARVED, most.parameter, detail=detail, remedy=words)]


def _stopped(statistics: Statistics) -> list[Finding]:
    """The first weight that no signal comes to, where no dead units are to blame, as behind thresholds of spikes."""
    first = next((o for o in statistics.operations if o.stopped), None)
    if first is None:
        return _shut(statistics)
    if any(o.dead == 1.0 for o in statistics.operations):
        return []
    detail = "nothing but zeros come in here, whatever the sample is"
    return [finding("W101", first.place, 0.0, 1 / SIGNAL_RANGE, first.parameter, detail=detail, whole=True)]


def _shut(statistics: Statistics) -> list[Finding]:
    """A readout that next to nothing comes to, as behind a gate with nothing around it: its bias alone is learned."""
    ways = [o for o in readouts(statistics) if not (o.renormed or o.fixed_scale or o.scoring)]
    shares = [o.input_rms / o.start_rms if o.start_rms else 1.0 for o in ways]
    if not shares or max(shares) >= SHUT or not min(shares):
        return []
    share, first = max(zip(shares, ways, strict=True), key=lambda pair: pair[0])
    detail = f"what comes in here has RMS {first.input_rms:.3g}, of {first.start_rms:.3g} further ahead"
    return [finding("W101", first.place, share, SHUT, first.parameter, detail=detail, whole=True)]


def _first(scaled: Sequence[tuple[Point, float]], worst: Point, code: str, bound: float) -> Finding:
    """The step of the stretch that does most of it; if none does, the first place beyond the bound."""
    shrinks = bound < 1
    sign = -1.0 if shrinks else 1.0
    points, ratios = zip(
        *((p, r) for p, r in scaled if p.stretch == worst.stretch and p.index <= worst.index), strict=True
    )
    heights = [sign * math.log(max(ratio, _LEAST)) for ratio in ratios]
    extreme = max(range(len(heights)), key=heights.__getitem__)
    steps = [now - before for now, before in zip(heights, [0.0, *heights], strict=False)][: extreme + 1]
    largest = max(range(len(steps)), key=steps.__getitem__)
    verb = "shrinks" if shrinks else "grows"
    if 2 * steps[largest] >= heights[extreme]:
        point, times, total = points[largest], math.exp(steps[largest]), math.exp(heights[extreme])
        detail = (
            f"the signal {verb} {times:.3g} times here, of {total:.3g} in all" if ratios[largest] else "all zero here"
        )
        return finding(code, point.place, ratios[extreme], bound, point.parameter, detail=detail)
    limit = abs(math.log(bound))
    first = next(position for position, height in enumerate(heights) if height > limit)
    each = math.exp(heights[extreme] / (extreme + 1))
    detail = f"the signal {verb} in every layer, {each:.3g} times on average; this is the first beyond the bound"
    return finding(code, points[first].place, ratios[extreme], bound, whole=True, detail=detail)


def _collapse(statistics: Statistics) -> list[Finding]:
    if statistics.blank:
        (place, table), more = statistics.blank[0], len(statistics.blank) - 1
        detail = "all that is read of this table is the same row, and nothing else tells samples apart"
        words = "" if table else f"# draw the rows that {place} reads apart from each other: they are no parameter"
        return [finding("W103", place, 0.0, COLLAPSE, table, detail=detail, more=more, remedy=words)]
    hidden = [o for o in hidden_operations(statistics) if o.correlation is not None]
    streams = [stream for stream in statistics.streams if stream.correlation is not None and stream.rms]
    told: list[OperationStats | StreamStats] = [*(o for o in hidden if o.branch is None), *streams]
    told = sorted(told, key=lambda o: o.index) if len(told) > 1 else [*hidden]  # branches, if nothing else tells
    if len(told) < 2:
        return []
    came = statistics.input_correlation
    apart = [1 - (o.correlation or 0.0) for o in told]
    before = 1 - came if came is not None else apart[0]
    behind = [o for o in readouts(statistics) if o.index > told[-1].index and o.correlation is not None]
    read = max((1 - (o.correlation or 0.0) for o in behind), default=0.0)  # past what runs last and lies beside
    if before < _APART or apart[-1] >= COLLAPSE * before or max(read, statistics.opening) >= _APART * before:
        return []
    steps = [now / max(last, 1e-12) for now, last in zip(apart, [before, *apart], strict=False)]
    worst = told[min(range(len(steps)), key=steps.__getitem__)]
    detail = f"samples differ by {apart[-1]:.2g} in cosine at the last hidden layer, and by {before:.2g} at the input"
    return [finding("W103", worst.place, apart[-1] / before, COLLAPSE, worst.parameter, detail=detail, whole=True)]


def uniform(statistics: Statistics) -> list[Finding]:
    """An output that is the same for all samples."""
    if (found := statistics.uniform) is None:
        return []
    same = f"the output is the same for all {found.samples} samples, which the batch tells apart"
    detail = f"{same}; they differ here, and not behind it" if found.behind else same
    words = f"# look at what follows {found.place}: it gives all samples the same" if found.behind else ""
    severity: Severity = "remark" if found.behind else "unhealthy"  # what sums up a set may be told to all of it
    told = "W103", found.place, 0.0, COLLAPSE, found.parameter
    return [finding(*told, detail=detail, whole=True, remedy=words, severity=severity)]


def _faint(statistics: Statistics) -> list[Finding]:
    faint = [stream for stream in statistics.streams if 0 < stream.share < SILENT]
    if not faint:
        return []
    first = faint[0]
    return [finding("W104", first.place, first.share, SILENT, first.parameter, more=len(faint) - 1)]


def _sensitivity(statistics: Statistics) -> list[Finding]:
    value, ops = statistics.sensitivity, hidden_operations(statistics)
    if value is None or not ops or not math.isfinite(value):
        return []
    if value < 1 / SENSITIVITY:
        return [finding("W203", ops[0].place, value, 1 / SENSITIVITY, ops[0].parameter, whole=True)]
    if value > SENSITIVITY:
        return [finding("W204", ops[0].place, value, SENSITIVITY, ops[0].parameter, whole=True)]
    return []


# ---------------------------------------------------------------------- backward
def gradient(statistics: Statistics) -> list[Finding]:
    """The gradient at the first points against the last ones that a gradient reaches; side by side, the largest."""
    all_points = [point for point in points_of(statistics) if point.gradient is not None]
    points = _front(all_points)
    live = [point for point in points if point.gradient]
    if not points:
        return []
    if not live and any(o.ends_branch and not o.rms and o.gradient for o in statistics.operations):
        return []  # all that was judged lies in branches that start silent and wake
    if not live:
        return [finding("W201", points[0].place, 0.0, 1 / GRADIENT_RANGE, points[0].parameter, whole=True)]
    if any(o.ends_branch and not (o.rms and o.gradient) for o in statistics.operations):
        points = live  # a branch that starts silent passes no gradient back, by design
    sizes = [point.gradient or 0.0 for point in points]
    reference = live[-1].gradient or 1.0
    found = []
    if sizes[0] / reference < 1 / GRADIENT_RANGE and not _behind_branches(points[0], all_points, reference, statistics):
        found.append(_lost(points, sizes, reference))
    return [*found, *_grown(all_points)]


def _grown(points: Sequence[Point]) -> list[Finding]:
    """Whether the gradient grows on its way back, against the last points where it passes widest."""
    live = _front([point for point in points if point.gradient])
    last = live[-1]
    sizes = [(point.gradient or 0.0) / _of_norms(last.norms - point.norms) for point in live]
    reference = max(point.widest for point in points if point.gradient and point.depth == last.depth)
    return [_swollen(live, sizes, reference)] if max(sizes) / reference > GRADIENT_RANGE else []


def _behind_branches(first: Point, points: Sequence[Point], reference: float, statistics: Statistics) -> bool:
    """Whether the first gradient is as small as what branches add, which may be little, and smaller ones do not follow
    from layer to layer: it lies beside the stream, with others like it."""
    beside = [point.gradient for point in _front([point for point in points if point.aside]) if point.gradient]
    least = min(max((stream.share for stream in statistics.streams), default=1.0), 1.0) * reference
    return first.aside and bool(beside) and min(beside[0] / beside[-1], beside[-1] / least) >= 1 / GRADIENT_RANGE


def _of_norms(count: int) -> float:
    """What normalizations over samples make gradients grow by, which no weights change; a hundred of them are too many
    all the same."""
    return min(BATCH_NORM ** max(count, 0), GRADIENT_RANGE)


def _front(points: Sequence[Point]) -> list[Point]:
    """At each depth the point with the largest gradient: a gate that is shut may stand beside it."""
    found: dict[int, Point] = {}
    for point in points:
        if point.depth not in found or (point.gradient or 0.0) > (found[point.depth].gradient or 0.0):
            found[point.depth] = point
    return [found[depth] for depth in sorted(found)]


def _lost(points: Sequence[Point], sizes: Sequence[float], reference: float) -> Finding:
    """Where the gradient gets lost on its way back: between which two points it falls most."""
    heights = [math.log(max(size / reference, _LEAST)) for size in sizes]
    return _backward("W201", points, heights, sizes[0] / reference, 1 / GRADIENT_RANGE, -1.0)


def _swollen(points: Sequence[Point], sizes: Sequence[float], reference: float) -> Finding:
    heights = [math.log(max(size / reference, _LEAST)) for size in sizes]
    return _backward("W202", points, heights, max(sizes) / reference, GRADIENT_RANGE, 1.0)


def _backward(
    code: str, points: Sequence[Point], heights: Sequence[float], value: float, bound: float, sign: float
) -> Finding:
    """The step back that does most of it lies before a point: the weight there carries the gradient back."""
    end = 0 if sign < 0 else max(range(len(heights)), key=heights.__getitem__)
    steps = {i: sign * (heights[i] - heights[i + 1]) for i in range(end, len(heights) - 1)}
    total = sign * heights[end]
    verb = "falls" if sign < 0 else "grows"
    if not steps:
        return finding(code, points[end].place, value, bound, points[end].parameter, whole=True)
    worst = max(steps, key=steps.__getitem__)
    if 2 * steps[worst] >= total:
        culprit = points[worst + 1]
        change = f"{verb} {math.exp(steps[worst]):.3g} times" if points[worst].gradient else "becomes zero"
        detail = f"on the way back the gradient {change} between here and {points[worst].place}"
        return finding(code, culprit.place, value, bound, culprit.parameter, detail=detail)
    limit = abs(math.log(bound))
    crossing = max(i for i in range(end, len(heights)) if sign * heights[i] > limit)
    each = math.exp(min(total / max(len(heights) - 1 - end, 1), 690.0))
    detail = (
        f"on the way back the gradient {verb} in every layer, {each:.3g} times on average; here it passes the bound"
    )
    return finding(code, points[crossing].place, value, bound, whole=True, detail=detail)
