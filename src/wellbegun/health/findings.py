"""What was found, and the verdict over it."""

import glob
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from wellbegun._arguments import known
from wellbegun._display import Displayed
from wellbegun.errors import UnhealthyError
from wellbegun.health.catalogue import CATALOGUE, Severity
from wellbegun.health.remedies import Remedy
from wellbegun.health.statistics import Statistics


@dataclass(frozen=True)
class Finding:
    """Something wrong or worth knowing: where, by how much, and what to do."""

    code: str
    title: str
    place: str
    value: float
    bound: float
    why: str
    remedy: str  # Python to paste, for the `model` and `batch` that were checked
    source: str = ""  # where the bound comes from
    severity: Severity = "unhealthy"  # a remark is worth knowing and makes no model unhealthy
    detail: str = ""  # what happens at the place
    parameter: str = ""  # the parameter at fault, if one is
    candidates: tuple[Remedy, ...] = field(default=(), compare=False, repr=False)  # what may mend it, first to be tried


def finding(
    code: str,
    place: str,
    value: float,
    bound: float,
    parameter: str = "",
    *,
    names: tuple[str, ...] = (),
    more: int = 0,
    detail: str = "",
    severity: Severity | None = None,
    whole: bool = False,
    remedy: str = "",
    first: tuple[Remedy, ...] = (),
    unless: str = "",
) -> Finding:
    """A finding with the texts of the catalogue.

    Args:
        names: Parameters that the remedy is for.
        more: How many other places share the fault.
        whole: Whether the remedy is for the whole model.
        remedy: Words instead of the catalogue's.
        first: Calls to be tried before those of the catalogue.
        unless: When no call must be carried out.
    """
    check = CATALOGUE[code]
    parameter = parameter or (names[0] if names else "")
    calls = first
    if not remedy and check.remedy.startswith("#"):
        remedy = check.remedy.format(parameter=parameter)
    elif not remedy:
        own = tuple(glob.escape(name) for name in names or (parameter,) if name)
        calls = tuple(
            call._replace(unless=unless) for call in (*first, *([Remedy(own)] if own and not whole else []), Remedy())
        )
        remedy = str(calls[0])
    detail = "; ".join(filter(None, (detail, f"and {more} more" if more > 0 else "")))
    severity = severity or check.severity
    told = code, check.title, place, value, bound, check.why, remedy, check.source, severity, detail, parameter
    return Finding(*told, tuple(dict.fromkeys(calls)))


@dataclass(frozen=True, repr=False)
class Health(Displayed):
    """Findings and the statistics they come from. Healthy means: forward, backward and finiteness all are.

    `wellbegun.show(health)` prints it.
    """

    findings: tuple[Finding, ...]
    statistics: Statistics

    def __repr__(self) -> str:
        return f"<Health: {'healthy' if self.healthy else 'unhealthy, ' + ' '.join(self.codes)}>"

    @property
    def healthy(self) -> bool:
        """No findings but remarks."""
        return all(finding.severity == "remark" for finding in self.findings)

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of what makes it unhealthy, by number, each once; none if it is healthy."""
        return self._codes("unhealthy")

    @property
    def remarks(self) -> tuple[str, ...]:
        """Codes of what is worth knowing though it makes no model unhealthy."""
        return self._codes("remark")

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was not looked at, or not known."""
        return self.statistics.notes

    def _codes(self, severity: Severity) -> tuple[str, ...]:
        return tuple(sorted({finding.code for finding in self.findings if finding.severity == severity}))

    def without(self, allow: Iterable[str]) -> "Health":
        """The same without the findings of these codes.

        Raises:
            UnknownNameError: a code that does not exist.
        """
        allowed = known_codes([allow] if isinstance(allow, str) else allow)
        return Health(tuple(f for f in self.findings if f.code not in allowed), self.statistics)

    def assert_healthy(self, allow: Iterable[str] = ()) -> None:
        """Nothing, if the model is healthy; for tests.

        Args:
            allow: Codes that may be found.
        Raises:
            UnhealthyError: an AssertionError that lists every finding with its remedy. UnknownNameError: an unknown
            code.

        >>> import torch, wellbegun as wb
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
        >>> _ = wb.initialize(model, torch.randn(32, 8), seed=0)
        >>> wb.check(model, torch.randn(32, 8)).assert_healthy()
        """
        judged = self.without(allow)
        if not judged.healthy:
            raise UnhealthyError(judged.summary())

    def summary(self) -> str:
        """The findings as text: code, place, value and bound, why, remedy."""
        bad = [finding for finding in self.findings if finding.severity == "unhealthy"]
        lines = [f"check: the model is unhealthy, with {len(bad)} finding{'s' * (len(bad) > 1)}."]
        for finding in bad:
            numbers = f": {finding.value:.3g}, bound {finding.bound:.3g}" if math.isfinite(finding.value) else ""
            detail = f" ({finding.detail})" if finding.detail else ""
            lines.append(f"{finding.code} {finding.title} at {finding.place}{numbers}{detail}")
            lines += [f"  Why: {finding.why}.", f"  Remedy: {finding.remedy}"]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        findings = [{k: v for k, v in asdict(f).items() if k != "candidates"} for f in self.findings]
        return {"healthy": self.healthy, "findings": findings, **asdict(self.statistics)}

    def scalars(self) -> dict[str, float]:
        """Numbers under flat, stable names, for TensorBoard, Weights & Biases and the like.

        "healthy" and "findings" (unhealthy ones), "loss/value", "loss/ratio" to chance, "model/jacobian",
        "signal/<number> (<place>)/rms" and likewise mean, dead, saturated, correlation, "gradient/<number>
        (<place>)/norm", "attention/<number> (<place>)/logit_std" and "/entropy", "update/<parameter>". Numbers count
        from 1 in order of execution; what could not be measured is left out.

        >>> import torch, wellbegun as wb
        >>> wb.check(torch.nn.Linear(8, 4), torch.randn(32, 8)).scalars()["findings"]
        0.0
        """
        found = dict(_scalars(self.statistics))
        bad = sum(finding.severity == "unhealthy" for finding in self.findings)
        plain = {name: float(value) for name, value in found.items() if value is not None}
        return {"healthy": float(self.healthy), "findings": float(bad), **plain}


def known_codes(codes: Iterable[str]) -> frozenset[str]:
    """These codes, if all exist.

    Raises:
        UnknownNameError: one does not.
    """
    return frozenset(known("health", "code", code, CATALOGUE) for code in codes)


def _scalars(statistics: Statistics) -> Iterable[tuple[str, float | None]]:
    loss = statistics.loss
    if loss is not None:
        yield "loss/value", loss.value
        yield "loss/ratio", loss.value / loss.chance if loss.chance else None
    yield "model/output_rms", statistics.output_rms
    yield "model/jacobian", statistics.jacobian
    yield "model/sensitivity", statistics.sensitivity
    for number, operation in enumerate(statistics.operations, 1):
        for name in ("rms", "mean", "dead", "saturated", "correlation"):
            yield f"signal/{number} ({operation.place})/{name}", getattr(operation, name)
        yield f"gradient/{number} ({operation.place})/norm", operation.gradient
    for number, attention in enumerate(statistics.attentions, 1):
        yield f"attention/{number} ({attention.place})/logit_std", attention.logit_std
        yield f"attention/{number} ({attention.place})/entropy", attention.entropy
    for parameter in statistics.parameters:
        yield f"update/{parameter.name}", parameter.update
