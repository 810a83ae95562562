"""Health as JUnit XML, which continuous-integration services show as test results."""

import re
from xml.etree import ElementTree

from wellbegun import __version__
from wellbegun.health import FAMILIES, Finding, Health

_FORBIDDEN = re.compile("[^\\t\\n\\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot hold


def junit(health: Health, name: str) -> str:
    """One test case for each family of checks; a failure for each finding in it, with reason and remedy.

    Args:
        health: What `check` gave, without the findings that are allowed.
        name: Of the model: the class name of the test cases.
    Returns:
        An XML document; remarks are in the output of their test case, and fail nothing.

    >>> import torch, wellbegun as wb
    >>> health = wb.check(torch.nn.Linear(8, 4), torch.randn(32, 8))
    >>> root = ElementTree.fromstring(junit(health, "net.py:build").encode())
    >>> root.find("testsuite").get("tests"), root.find("testsuite").get("failures")
    ('9', '0')
    """
    bad = {family: _of(health, family, "unhealthy") for family in FAMILIES}
    counts = {"tests": str(len(FAMILIES)), "failures": str(sum(map(bool, bad.values()))), "errors": "0"}
    root = ElementTree.Element("testsuites", {"name": "wellbegun check", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _text(name), "skipped": "0", **counts})
    properties = ElementTree.SubElement(suite, "properties")
    ElementTree.SubElement(properties, "property", {"name": "wellbegun", "value": __version__})
    for family, title in FAMILIES.items():
        own = {"classname": _text(name), "name": f"{family}xx {title}"}
        case = ElementTree.SubElement(suite, "testcase", own)
        if bad[family]:  # the format allows one failure for each case
            first = bad[family][0]
            failure = ElementTree.SubElement(
                case, "failure", {"type": first.code, "message": _text(f"{first.title} at {first.place}")}
            )
            failure.text = _text("\n".join(map(_lines, bad[family])))
        if remarks := _of(health, family, "remark"):
            ElementTree.SubElement(case, "system-out").text = _text("\n".join(map(_lines, remarks)))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _of(health: Health, family: str, severity: str) -> list[Finding]:
    return [found for found in health.findings if found.code.startswith(family) and found.severity == severity]


def _lines(found: Finding) -> str:
    detail = f" ({found.detail})" if found.detail else ""
    head = f"{found.code} {found.title} at {found.place}: {found.value:.3g}, bound {found.bound:.3g}{detail}"
    return f"{head}\n  Why: {found.why}.\n  Remedy: {found.remedy}"


def _text(text: str) -> str:
    """The text without characters that XML cannot hold; the rest ElementTree escapes."""
    return _FORBIDDEN.sub("?", text)
