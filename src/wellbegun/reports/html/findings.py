"""What is wrong, where, by how much, why the bound, and what to do."""

import math

from wellbegun.health import Finding, Health
from wellbegun.reports.html.page import template
from wellbegun.reports.html.parts import Section, shown


def findings_section(health: Health) -> Section | None:
    """One panel for each finding; None if there is nothing to say."""
    if not health.findings:
        return None
    body = template("findings.html", findings=health.findings, measured=measured)
    return Section("findings", "Findings", body)


def measured(finding: Finding) -> str:
    """The value beside its bound."""
    if not math.isfinite(finding.value):
        return shown(finding.value)
    if finding.bound == 0:  # nothing to compare with
        return shown(finding.value)
    relation = "above" if finding.value > finding.bound else "below" if finding.value < finding.bound else "at"
    return f"{shown(finding.value)}, {relation} the bound of {shown(finding.bound)}"
