"""A finding from its code: texts from the catalogue, with the names filled in."""

from wellbegun.health.catalogue import CATALOGUE, Severity
from wellbegun.health.findings import Finding

WHOLE = "wb.initialize(model, batch)"


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
) -> Finding:
    """`names`: parameters that the remedy is for; `more`: how many other places share the fault; `whole`: the remedy
    is for the whole model; `remedy`: another than the catalogue's."""
    check = CATALOGUE[code]
    parameter = parameter or (names[0] if names else "")
    listed = ", ".join(map(repr, names or (parameter,)))
    if not remedy:
        remedy = WHOLE if whole or not parameter else check.remedy.format(parameter=parameter, names=listed)
    detail = "; ".join(filter(None, (detail, f"and {more} more" if more > 0 else "")))
    return Finding(
        code,
        check.title,
        place,
        value,
        bound,
        check.why,
        remedy,
        check.source,
        severity or check.severity,
        detail,
        parameter,
    )
