"""The shell of every page: one self-contained file with styles, scripts and data inside.

Scripts run only if their hash is in the Content-Security-Policy, and nothing may be fetched. Data goes in as JSON
in which `<` is written `\\u003c`, so no text can end the element it stands in.
"""

import base64
import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from wellbegun.reports.data import plain

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

HERE = "wellbegun.reports.html"
CHARTS = ("d3.min.js", "plot.min.js", "charts.js")  # scripts of a page that draws charts
TABLES = ("tables.js",)  # of a page with tables that sort and search


@functools.cache
def asset(name: str, package: str = HERE) -> str:
    """The text of a file in `assets/`; a library comes with its licence."""
    folder = resources.files(package) / "assets"
    text = (folder / name).read_text(encoding="utf-8")
    licence = folder / f"{name.removesuffix('.min.js')}.LICENSE"
    return f"/*\n{licence.read_text(encoding='utf-8')}*/\n{text}" if licence.is_file() else text


@functools.cache
def _environment(package: str) -> "jinja2.Environment":
    import jinja2

    loader = jinja2.PackageLoader(package)
    strict = jinja2.StrictUndefined
    return jinja2.Environment(loader=loader, autoescape=True, undefined=strict, trim_blocks=True, lstrip_blocks=True)


_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")  # in names


def template(name: str, package: str = HERE, /, **values: Any) -> "Markup":
    """A template of `templates/`, filled in; every value that is not Markup is escaped."""
    from markupsafe import Markup

    return Markup(_environment(package).get_template(name).render(**values))


def page(
    title: str,
    body: "Markup | str",
    *,
    scripts: Sequence[str] = (),
    styles: Sequence[str] = (),
    data: Mapping[str, Any] | None = None,
    description: str = "",
) -> str:
    """A whole HTML document.

    Args:
        title: Plain text, for the browser's title bar.
        body: What stands in <body>: Markup as `template` returns it. A plain text is escaped.
        scripts: Texts of scripts, run in this order at the end of the body: `[asset(name) for name in CHARTS]`.
        styles: Texts of style sheets, after the shell's own.
        data: id -> JSON-ready data, put into <script type="application/json" id=...>. `Charts.data(id)` reads it.
        description: Plain text for the description of the document.
    Returns:
        The text of the document.
    Raises:
        TypeError: data that JSON does not know.

    >>> found = page("<b>", "a < b", data={"x": {"name": "</script>"}})
    >>> "<title>&lt;b&gt;</title>" in found and "a &lt; b" in found
    True
    >>> found.count("</script>")
    1
    """
    from markupsafe import Markup

    codes = [Markup(text) for text in scripts]
    made = template(
        "page.html",
        title=title,
        description=description,
        body=body,
        policy=_policy(scripts),
        styles=[Markup(text) for text in (asset("page.css"), *styles)],
        scripts=codes,
        data={key: Markup(embedded(value)) for key, value in (data or {}).items()},
    )
    return _UNSEEN.sub(lambda found: repr(found[0])[1:-1], str(made))


def embedded(data: Any) -> str:
    """JSON that can stand in a <script> element: no `<`, so neither `</script>` nor `<!--` is in it.

    >>> embedded({"name": "</script><!--"})
    '{"name":"\\\\u003c/script>\\\\u003c!--"}'
    """
    text = json.dumps(plain(data), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _policy(scripts: Sequence[str]) -> str:
    """Nothing from outside; only these scripts. Styles may stand inline: charts write their own."""
    hashes = " ".join(f"'sha256-{_digest(text)}'" for text in scripts)
    script = f"script-src {hashes}" if hashes else "script-src 'none'"
    return (
        f"default-src 'none'; {script}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    """Of the text as the browser sees it between the tags."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
