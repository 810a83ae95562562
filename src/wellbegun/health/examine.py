"""Statistics -> findings: every check but those of signal and gradient by depth, which are in `depth`."""

import glob
import math
from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from types import MappingProxyType

from wellbegun.health.catalogue import (
    ALL_DEAD,
    BLOWN_UP,
    CATALOGUE,
    CODES,
    DEAD,
    ENTROPY,
    EQUAL_SHARE,
    HALF,
    LOGIT_STD,
    NOISE,
    RAW,
    SATURATED,
    UNDERFLOW,
    UPDATE_RANGE,
    Severity,
)
from wellbegun.health.depth import gradient, signal, uniform
from wellbegun.health.findings import Finding, Health, finding
from wellbegun.health.loss import AT_TARGETS, first_loss, unmoved
from wellbegun.health.remedies import Remedy
from wellbegun.health.statistics import OperationStats, ParameterStats, Statistics


def examine(statistics: Statistics, remedies: Mapping[str, str] = MappingProxyType({})) -> Health:
    """Every check, over one set of statistics.

    `remedies`: those of a framework's own, by code, in place of the catalogue's words.
    """
    findings, apart = _batch(statistics), _symmetry(statistics)
    if not any(found.code == "W901" for found in findings):  # nothing else is blamed for what the batch holds
        broken = _finiteness(statistics)
        if broken:  # ratios of nan say nothing
            findings += broken
        else:
            if not any(found.code == "W902" and found.place != AT_TARGETS for found in findings):
                checks = (signal, gradient, first_loss, _activations, _codebooks, _attention, _range, _updates)
                flat = unmoved(statistics)
                findings += flat or [found for look in checks for found in look(statistics)]
            findings += _cut_off(statistics)
            if not {found.code for found in findings} & _FAINTING:
                findings += [*_cancelled(statistics), *_stuck(statistics)]
            if any(found.severity == "unhealthy" for found in findings):
                findings += _garbage(statistics)
            else:
                findings += uniform(statistics)
        findings += apart
    own = (
        replace(found, remedy=remedies[found.code].format(parameter=found.parameter))
        if found.code in remedies and found.remedy == CATALOGUE[found.code].remedy.format(parameter=found.parameter)
        else found
        for found in findings
    )
    return Health(tuple(sorted(own, key=_rank)), statistics)


def _rank(found: Finding) -> tuple[bool, int]:
    """Causes first: equal, cut-off, dead units and large logits make signals and gradients vanish. Remarks last."""
    order = ("W901", "W4", "W9", "W3", "W8", "W7", "W6", "W101", "W102", "W2", "W1", "W5")
    return found.severity == "remark", next(i for i, start in enumerate(order) if found.code.startswith(start))


def _finiteness(statistics: Statistics) -> list[Finding]:
    """Parameters, then buffers, then where values stop being finite."""
    broken = tuple(parameter.name for parameter in statistics.parameters if not parameter.finite)
    if broken:
        return [finding("W401", f"parameter {broken[0]}", math.nan, 0.0, names=broken, more=len(broken) - 1)]
    if statistics.finite:
        return []
    return _garbage(statistics) or [_begun(statistics)]


def _garbage(statistics: Statistics) -> list[Finding]:
    found = []
    for buffer in statistics.buffers[:1]:
        detail = f"it holds numbers in [{buffer.low:.3g}, {buffer.high:.3g}] and {buffer.bad} of nan or inf, as memory"
        words = f"# write {buffer.name!r} again, as building the model does: only parameters are filled"
        detail, more = f"{detail} does that nothing was written to", len(statistics.buffers) - 1
        found.append(finding("W401", f"buffer {buffer.name}", math.nan, 0.0, remedy=words, detail=detail, more=more))
    return found


def _begun(statistics: Statistics) -> Finding:
    """The first operation that enlarges the signal a million times, or else the first that gives what is not finite."""
    value, origin = math.nan, statistics.origin
    if statistics.loss is not None and not math.isfinite(statistics.loss.value):
        value = statistics.loss.value
    for o in statistics.operations:
        if (o.finite and o.rms > BLOWN_UP * o.input_rms) or (not o.finite and origin is None):
            detail = f"the signal has RMS {o.input_rms:.3g} before and {o.rms:.3g} behind, and then stops being finite"
            return finding("W401", o.place, value, 0.0, o.parameter, detail=detail)
    if origin is None:
        name = next((p.name for p in statistics.parameters if not p.gradient_finite), "")
        return finding("W401", f"gradient of {name}" if name else "loss", value, 0.0, name)
    words = "# guard what the loss does with the output: a logarithm, root or division" if not origin.operation else ""
    detail = f"here it stops being finite: {origin.detail}"
    return finding("W401", origin.place, value, 0.0, origin.parameter, detail=detail, remedy=words)


# ---------------------------------------------------------------------- the batch
def _batch(statistics: Statistics) -> list[Finding]:
    """What the inputs hold, before anything of the model is judged."""
    found = []
    for x in statistics.inputs:
        if not any(other.entries for other in statistics.inputs):
            found.append(finding("W901", x.name, 0.0, 0.0, detail="it holds no samples"))
        elif x.bad:
            detail = f"{x.bad} of {x.entries} entries are nan or inf"
            found.append(finding("W901", x.name, float(x.bad), 0.0, detail=detail))
        elif x.raw and x.rms > RAW:
            spread = "" if x.low is None else f"; columns have RMS {x.low:.3g} to {x.high:.3g}"
            detail = f"its RMS is {x.rms:.3g}, and a weight reads it as it is{spread}"
            found.append(finding("W902", x.name, x.rms, RAW, detail=detail))
        if x.constant:
            detail = f"{x.constant} columns are the same in every sample"
            found.append(finding("W903", x.name, float(x.constant), 0.0, detail=detail))
    loss = statistics.loss
    if loss is not None and (size := loss.raw_targets):
        words = "# standardize the targets: subtract the mean of each column, and divide by its standard deviation"
        found.append(finding("W902", AT_TARGETS, size, RAW, detail=f"their RMS is {size:.3g}", remedy=words))
    if loss is not None and loss.misfit:
        found.append(finding("W904", AT_TARGETS, 1.0, 0.0, detail=loss.misfit))
    return found


# ---------------------------------------------------------------------- symmetry
def _symmetry(statistics: Statistics) -> list[Finding]:
    found = [
        finding("W301", f"parameter {parameter.name}", _copies(parameter), EQUAL_SHARE, parameter.name)
        for parameter in statistics.parameters
        if parameter.units > 1 and parameter.finite and _copies(parameter) > EQUAL_SHARE
    ]
    return [*found, *_twins(statistics, beside=True), *_twins(statistics, beside=False)]


def _twins(statistics: Statistics, *, beside: bool) -> list[Finding]:
    """Equal tensors: those that stay equal, or those that only start so."""
    twins = [
        p
        for p in statistics.parameters
        if p.twin and p.trainable and p.twin_beside == beside and (p.weighs or not beside)
    ]
    if not twins:
        return []
    first, names = twins[0], tuple(p.name for p in twins)
    stays = "get the same gradient too, so they never part" if beside else "hold equal numbers, and part when trained"
    detail = f"it and {first.twin} {stays}"
    severity: Severity = "unhealthy" if beside else "remark"
    place, count = f"parameter {first.name}", float(len(twins))
    return [finding("W302", place, count, 0.0, names=names, detail=detail, more=len(twins) - 1, severity=severity)]


def _copies(parameter: ParameterStats) -> float:
    """Share of units that are copies. In a hidden layer equal weights are enough. The end of a branch may start at
    zero, as long as its gradients differ; so may a readout, where classes that the batch lacks have equal gradients."""
    if parameter.role == "readout":
        return float(parameter.locked == parameter.units)
    if parameter.by_design and not parameter.gradient:
        return 0.0  # it wakes when what is behind it has left zero
    if parameter.by_design:
        return float(parameter.locked == parameter.units)
    if parameter.ends_branch or parameter.combined:
        return parameter.locked / parameter.units
    return max(parameter.locked, parameter.units if parameter.distinct == 1 else 0) / parameter.units


# ---------------------------------------------------------------------- attention, activations
def _attention(statistics: Statistics) -> list[Finding]:
    """The first attention of each kind of fault: those behind it may only follow from it."""
    found = []
    loud = [attention for attention in statistics.attentions if attention.logit_std > LOGIT_STD]
    if loud:
        first = loud[0]
        found.append(finding("W601", first.place, first.logit_std, LOGIT_STD, names=first.weights, more=len(loud) - 1))
    narrow = [attention for attention in statistics.attentions if attention.entropy < ENTROPY and attention.keys > 3]
    if narrow:
        first = narrow[0]
        found.append(finding("W602", first.place, first.entropy, ENTROPY, names=first.weights, more=len(narrow) - 1))
    return found


def _activations(statistics: Statistics) -> list[Finding]:
    """The first layer with dead units, and the first with saturated ones: later ones may only follow from it. Time
    steps are softplus of what lies far below zero, on purpose."""
    found = []
    free = ("readout", "time_step")
    judged = [o for o in statistics.operations if o.role not in free and not o.gates and o.flat is not None]
    dead = [(o, bound) for o in judged if (o.dead or 0.0) > (bound := _dead_bound(o))]
    flat = [(o, bound) for o in judged if (o.saturated or 0.0) > (bound := _saturated_bound(o))]
    if dead:
        (first, bound), more = dead[0], len(dead) - 1
        detail = f"of {first.units} units, with {first.activation} behind it"
        names = tuple(filter(None, (first.parameter, first.bias)))
        found.append(finding("W701", first.place, first.dead or 0.0, bound, names=names, more=more, detail=detail))
    elif flat:
        (first, bound), more = flat[0], len(flat) - 1
        detail = f"{first.activation} of a signal with RMS {first.rms:.3g} and mean {first.mean or 0.0:.3g}"
        names = tuple(filter(None, (first.parameter, first.bias)))
        found.append(finding("W702", first.place, first.saturated or 0.0, bound, names=names, more=more, detail=detail))
    return found


def _codebooks(statistics: Statistics) -> list[Finding]:
    """One row for everything learns nothing; a few rows are usual at the start."""
    found = []
    for book in statistics.codebooks:
        most = min(book.codes, book.places)
        if most >= 8 and book.used < CODES * most:
            severity: Severity = "unhealthy" if book.used == 1 else "remark"
            detail = f"{book.used} of {book.codes} rows are nearest to any of {book.places} places"
            told = book.place, book.used / most, CODES, book.parameter
            found.append(finding("W703", *told, detail=detail, severity=severity))
    return found


def _saturated_bound(operation: OperationStats) -> float:
    """Where few units are looked at, some are flat by accident."""
    usual, units = operation.flat or 0.0, max(operation.units, 1)
    return min(_between(usual, SATURATED) + math.sqrt(usual * (1 - usual) / units), _most(usual, units))


def _most(chance: float, units: int) -> float:
    """Of a few units all may be off."""
    return ALL_DEAD if chance**units < 1e-3 else 1.0


def _between(usual: float, share: float) -> float:
    return usual + share * (1 - usual)


def _dead_bound(operation: OperationStats) -> float:
    """Share of dead units that chance does not explain: with nearly equal samples, a ReLU is off for half the units."""
    usual, units = operation.flat or 0.0, max(operation.units, 1)
    chance = usual ** (operation.entries if (operation.correlation or 0.0) < 0.5 else 1)
    return min(max(_between(usual, DEAD), chance + 4 * math.sqrt(chance * (1 - chance) / units)), _most(chance, units))


# ---------------------------------------------------------------------- range, gradients, updates
def _range(statistics: Statistics) -> list[Finding]:
    found = []
    values = [(o.largest, o.place, o.parameter) for o in statistics.operations if o.largest is not None]
    values += [(p.largest, f"parameter {p.name}", p.name) for p in statistics.parameters if p.largest is not None]
    beyond = [one for one in values if one[0] > HALF]
    if beyond:
        size, place, name = beyond[0]
        found.append(finding("W402", place, size, HALF, name, more=len(beyond) - 1))
    weights = [p for p in statistics.parameters if p.weighs and p.underflow is not None]
    small = [p for p in weights if (p.underflow or 0.0) > UNDERFLOW]
    if 2 * len(small) > len(weights) and not statistics.injected:
        first = small[0]
        found.append(
            finding(
                "W403", f"gradient of {first.name}", first.underflow or 0.0, UNDERFLOW, first.name, more=len(small) - 1
            )
        )
    return found


def _cut_off(statistics: Statistics) -> list[Finding]:
    if statistics.loss is None:
        return []  # nothing was differentiated
    none = [p for p in statistics.parameters if p.trainable and p.gradient is None]
    if none and not statistics.differentiable and not any(p.used and p.reaches and p.weighs for p in none):
        detail = "the output has no history: all of it ran under no_grad or inference_mode, or was detached"
        return [finding("W801", f"parameter {none[0].name}", 0.0, 0.0, none[0].name, detail=detail, more=len(none) - 1)]
    cut = [p for p in none if p.used and p.reaches and p.weighs]
    rest = [p for p in none if p not in cut and not (p.elsewhere and statistics.by_made_up)]
    found = [finding("W801", f"parameter {p.name}", 0.0, 0.0, p.name) for p in cut[:1]]
    if cut[1:]:
        found = [finding("W801", f"parameter {cut[0].name}", 0.0, 0.0, cut[0].name, more=len(cut) - 1)]
    if rest:
        first = rest[0]
        detail = "" if first.used else "the forward pass does not read it"
        found.append(
            finding("W802", f"parameter {first.name}", 0.0, 0.0, first.name, detail=detail, more=len(rest) - 1)
        )
    return found


def _stuck(statistics: Statistics) -> list[Finding]:
    """Zeros that are multiplied with zeros before anything reads them."""
    names = tuple(p.name for p in statistics.parameters if p.stuck)
    if not names:
        return []
    own = tuple(map(glob.escape, names))
    calls = (Remedy(own[:1], ((own[0], "normal(std=0.02)"),)),)
    detail = "it is zero, and so is what it is multiplied with: no step moves either"
    told = f"parameter {names[0]}", 0.0, 0.0, names[0]
    return [finding("W801", *told, detail=detail, more=len(names) - 1, remedy=str(calls[0]), first=calls)]


_FAINTING = frozenset({"W101", "W103", "W201", "W301", "W701", "W801"})  # from which gradients may vanish behind
# a single key gets all attention, whatever its score is: then gradients of scores are what rounding leaves
_SCORING = frozenset({"query", "key", "query_key"})


def _cancelled(statistics: Statistics) -> list[Finding]:
    """Weights whose gradient is what rounding leaves, where weights of the same branch get one: what they compute
    cancels, as where the one weight of a router is divided by itself. Exact zeros may be those of experts that nothing
    in the batch was sent to."""
    if statistics.injected:
        return []
    branch = {o.parameter: (o.branch, o.aside) for o in statistics.operations}
    some = [
        p for p in statistics.parameters if p.weighs and p.trainable and p.gradient is not None and p.name in branch
    ]
    found: dict[str, list[tuple[ParameterStats, float]]] = {"W801": [], "W802": []}
    silent = any(p.rms == 0 and p.role not in ("bias", "norm_shift") for p in statistics.parameters)
    blind = False  # whether a readout adds the same to all classes, which cross-entropy cannot see
    for p in some:
        beside = [q.gradient_rms or 0.0 for q in some if q is not p and branch[q.name] == branch[p.name]]
        share = (p.gradient_rms or 0.0) / usual if len(beside) > 1 and (usual := median(beside)) else 1.0
        blind = blind or (p.role == "readout" and statistics.by_made_up and share < 100 * NOISE)
        if share < NOISE and (p.gradient or not (silent or p.by_design)):
            found["W801" if p.gradient and p.role not in _SCORING else "W802"].append((p, median(beside)))
    if blind:
        found = {"W802": found["W801"] + found["W802"]}
    return [_without(code, ones) for code, ones in found.items() if ones]


def _without(code: str, found: list[tuple[ParameterStats, float]]) -> Finding:
    (p, usual), more = found[0], len(found) - 1
    size = (
        f"of RMS {p.gradient_rms:.2g}, which is what rounding leaves," if p.gradient else "exactly zero on this batch"
    )
    detail = f"its gradient is {size} where weights beside it have {usual:.2g}"
    words = f"# what {p.name!r} computes cancels before the loss, or meets a zero: let it multiply what it picks"
    told = f"parameter {p.name}", (p.gradient_rms or 0.0) / usual, NOISE, p.name
    return finding(code, *told, detail=detail, more=more, remedy=words)


_EVEN = frozenset({"hidden", "residual_out", "attention_out", "value", "up", "gate", "down", "readout", "recurrent"})


def _updates(statistics: Statistics) -> list[Finding]:
    weights = (p for p in statistics.parameters if p.weighs and p.update and p.role in _EVEN)
    ordered = sorted(weights, key=lambda p: p.update or 0.0)
    if statistics.injected or len(ordered) < 2:
        return []
    slow, fast = ordered[0], ordered[-1]
    ratio = (fast.update or 0.0) / (slow.update or 1.0)
    if ratio <= UPDATE_RANGE:
        return []
    detail = f"gradient RMS / RMS is {fast.update:.3g} there and {slow.update:.3g} in {slow.name}"
    return [finding("W803", f"parameter {fast.name}", ratio, UPDATE_RANGE, fast.name, detail=detail)]
