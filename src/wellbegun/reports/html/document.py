"""Found things -> one HTML document."""

from collections.abc import Iterable

from wellbegun.reports.html.contents import Contents
from wellbegun.reports.html.depth import depth_section
from wellbegun.reports.html.findings import findings_section
from wellbegun.reports.html.page import CHARTS, TABLES, asset, page, template
from wellbegun.reports.html.parts import Section
from wellbegun.reports.html.plans import ledger_section, outcome_text, plan_section
from wellbegun.reports.html.races import race_section
from wellbegun.reports.html.theory import theory_section
from wellbegun.reports.html.verdict import Verdict, health_verdict, plan_verdict, propagation_verdict, race_verdict
from wellbegun.reports.html.weights import weights_section


def document(contents: Contents, title: str, origin: str) -> str:
    """The text of one self-contained HTML file.

    Args:
        contents: What to show.
        title: Heading of the page.
        origin: What it is about and how it was made: `wellbegun.reports.html.origin`.
    Cost: about 0.6 MB of text, and some 100 bytes for each parameter of the plan.
    """
    sections = list(_sections(contents))
    verdict = _verdict(contents)
    data = {key: value for section in sections for key, value in section.data.items()}
    # tables show numbers as charts do, so the charts' script is there in any case
    scripts = [asset(name) for name in (*CHARTS, *TABLES, "report.js")]
    body = template("report.html", title=title, verdict=verdict, sections=sections, origin=origin)
    return page(title, body, scripts=scripts, styles=[asset("report.css")], data=data, description=verdict.sentence)


def _sections(contents: Contents) -> Iterable[Section]:
    found = [
        contents.health and findings_section(contents.health),
        contents.health and depth_section(contents.health, contents.before),
        contents.propagation and theory_section(contents.propagation),
        contents.race and race_section(contents.race),
        weights_section(contents.histograms),
        contents.plan and plan_section(contents.plan, contents.ledger),
        ledger_section(contents.ledger) if contents.ledger and not contents.plan else None,
    ]
    return (section for section in found if section)


def _verdict(contents: Contents) -> Verdict:
    """Of the most telling thing there is."""
    if contents.health is not None:
        return health_verdict(contents.health, contents.before, contents.propagation, contents.race)
    if contents.race is not None:
        return race_verdict(contents.race)
    if contents.propagation is not None:
        return propagation_verdict(contents.propagation)
    if contents.plan is not None:
        return plan_verdict(contents.plan)
    assert contents.ledger is not None  # `wellbegun.report` asks for one of them
    return Verdict("note", "ledger", outcome_text(contents.ledger), "Next:", "wb.show(wb.check(model, batch))")
