"""Measured facts -> findings with stable codes, values, bounds and remedies. Thresholds exist once, here."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from wellbegun.health.statistics import OperationStats, ParameterStats, Statistics

SIGNAL_RANGE = 100.0  # largest growth or shrinkage between the input of the first hidden layer and any other's output
GRADIENT_RANGE = 100.0  # the same for the norm of the gradient between the last hidden layer and the first
LOSS_RATIO = 1.5  # largest first loss, in units of chance
EQUAL_SHARE = 0.5  # share of a layer's units that may be copies which never part


@dataclass(frozen=True)
class Finding:
    """Something wrong, where, by how much, and what to do."""

    code: str
    title: str
    place: str
    value: float
    bound: float
    why: str
    remedy: str
    source: str = ""  # where the bound comes from
    severity: Literal["unhealthy", "note"] = "unhealthy"  # a note is worth knowing and makes no model unhealthy


@dataclass(frozen=True, repr=False)
class Health:
    """Findings and the statistics they come from. Healthy means: forward, backward and finiteness all are.

    `wellbegun.show(health)` prints it.
    """

    findings: tuple[Finding, ...]
    statistics: Statistics

    def __repr__(self) -> str:
        return f"<Health: {'healthy' if self.healthy else 'unhealthy, ' + ' '.join(self.codes)}>"

    @property
    def healthy(self) -> bool:
        """No findings but notes."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of the findings, in order, each once."""
        return tuple(dict.fromkeys(finding.code for finding in self.findings))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {"healthy": self.healthy, "findings": [asdict(f) for f in self.findings], **asdict(self.statistics)}


CATALOGUE: dict[str, tuple[str, str, str]] = {
    "W101": (
        "vanishing signal",
        "hidden layers whose output shrinks a hundredfold carry rounding noise and feed nothing to what follows",
        "use a scheme that fits the activation, such as wb.initialize(model, batch), or add normalization",
    ),
    "W102": (
        "exploding signal",
        "a hundredfold growth saturates activations and makes the loss depend on a few huge numbers",
        "use a scheme that fits the activation, such as wb.initialize(model, batch), or add normalization",
    ),
    "W201": (
        "vanishing gradient",
        "the first layers learn more than a hundred times slower than the last, whatever the learning rate",
        "use a scheme that keeps the gradient (orthogonal for very deep nets), or add skip connections",
    ),
    "W202": (
        "exploding gradient",
        "the first layers get gradients over a hundred times larger than the last: no learning rate fits both",
        "use a scheme that keeps the gradient (orthogonal for very deep nets), or add normalization",
    ),
    "W301": (
        "equal units",
        "units with equal incoming weights compute the same and are updated the same: the layer acts as one unit",
        "draw the weights from a random scheme, such as he_normal() or xavier_normal()",
    ),
    "W401": (
        "non-finite values",
        "nan and inf spread to every weight at the first update",
        "look at the first place named; the scale of the weights before it is too large",
    ),
    "W501": (
        "first loss far above chance",
        "a model that knows nothing should be no worse than guessing; the first steps only undo confident errors",
        "make the readout smaller: rules=[('<readout>.weight', 'zeros')] or a smaller std",
    ),
}
"""Title, reason for the bound and remedy of every code."""


def examine(statistics: Statistics) -> Health:
    """Every check, over one set of statistics."""
    findings = _finiteness(statistics)
    if not findings:  # ratios of nan say nothing
        findings = [*_signal(statistics), *_gradient(statistics), *_loss(statistics)]
    return Health((*findings, *_symmetry(statistics)), statistics)


def _finding(code: str, place: str, value: float, bound: float) -> Finding:
    title, why, remedy = CATALOGUE[code]
    return Finding(code, title, place, value, bound, why, remedy)


def _finiteness(statistics: Statistics) -> list[Finding]:
    for parameter in statistics.parameters:
        if not parameter.finite:
            return [_finding("W401", f"parameter {parameter.name}", math.nan, 0.0)]
    for operation in statistics.operations:
        if not operation.finite:
            return [_finding("W401", f"output of {operation.place}", math.nan, 0.0)]
    if statistics.loss is not None and not math.isfinite(statistics.loss.value):
        return [_finding("W401", "loss", statistics.loss.value, 0.0)]
    for parameter in statistics.parameters:
        if not parameter.gradient_finite:
            return [_finding("W401", f"gradient of {parameter.name}", math.nan, 0.0)]
    return []


def hidden_operations(statistics: Statistics) -> list[OperationStats]:
    """Weighted operations whose output must carry signal: not the readout, no branch that starts silent, and none that
    nothing comes into, as where a decoder starts from zeros."""
    return [
        operation
        for operation in statistics.operations
        if operation.role != "readout"
        and operation.input_rms > 0
        and not (operation.ends_branch and operation.rms == 0)
    ]


def _signal(statistics: Statistics) -> list[Finding]:
    hidden = hidden_operations(statistics)
    if not hidden:
        return []
    start = hidden[0].input_rms
    if start == 0:  # a batch of zeros tells nothing about scales
        return []
    ratios = [(operation.rms / start, operation) for operation in hidden]
    found = []
    low, high = min(ratios, key=lambda pair: pair[0]), max(ratios, key=lambda pair: pair[0])
    if low[0] < 1 / SIGNAL_RANGE:
        found.append(_finding("W101", low[1].place, low[0], 1 / SIGNAL_RANGE))
    if high[0] > SIGNAL_RANGE:
        found.append(_finding("W102", high[1].place, high[0], SIGNAL_RANGE))
    return found


def _gradient(statistics: Statistics) -> list[Finding]:
    """The gradient at the first hidden layer against the last one that a gradient reaches."""
    hidden = [operation for operation in hidden_operations(statistics) if operation.gradient is not None]
    live = [operation for operation in hidden if operation.gradient]
    if not hidden:
        return []
    if not live:
        return [_finding("W201", hidden[0].place, 0.0, 1 / GRADIENT_RANGE)]
    if any(o.ends_branch and not (o.rms and o.gradient) for o in statistics.operations):
        hidden = live  # a branch that starts silent passes no gradient back, by design
    reference = live[-1].gradient or 1.0
    ratio = (hidden[0].gradient or 0.0) / reference
    largest = max(live, key=lambda operation: operation.gradient or 0.0)
    found = []
    if ratio < 1 / GRADIENT_RANGE:
        found.append(_finding("W201", hidden[0].place, ratio, 1 / GRADIENT_RANGE))
    if (largest.gradient or 0.0) / reference > GRADIENT_RANGE:
        found.append(_finding("W202", largest.place, (largest.gradient or 0.0) / reference, GRADIENT_RANGE))
    return found


def _symmetry(statistics: Statistics) -> list[Finding]:
    return [
        _finding("W301", f"parameter {parameter.name}", _copies(parameter), EQUAL_SHARE)
        for parameter in statistics.parameters
        if parameter.units > 1 and _copies(parameter) > EQUAL_SHARE
    ]


def _copies(parameter: ParameterStats) -> float:
    """Share of units that are copies. In a hidden layer equal weights are enough; a readout or the end of a branch may
    start at zero, as long as its gradients differ."""
    if parameter.role == "readout" or parameter.ends_branch:
        return parameter.locked / parameter.units
    return max(parameter.locked, parameter.units if parameter.distinct == 1 else 0) / parameter.units


def _loss(statistics: Statistics) -> list[Finding]:
    loss = statistics.loss
    if loss is None or loss.chance is None or loss.value <= LOSS_RATIO * loss.chance:
        return []
    return [_finding("W501", "loss", loss.value / loss.chance, LOSS_RATIO)]
