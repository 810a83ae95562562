"""Pages written from the code: schemes, health codes, the command line, changelog, contributing."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pictures import picture

from wellbegun.health import CATALOGUE, FAMILIES
from wellbegun.health import catalogue as c
from wellbegun.schemes import ALIASES, Card, cards
from wellbegun.schemes.catalogue import CLASSIC, NAMES
from wellbegun.schemes.catalogue import FAMILIES as SCHEMES

# what is compared with which bound; the bounds themselves stand in the package
BOUNDS = {
    "W101": f"RMS behind a layer over RMS before the first one, at least 1/{c.SIGNAL_RANGE:g}, "
    f"or 1/{c.EPSILON_RANGE:g} where a normalization follows, or 1/{c.RESTORED_RANGE:g} where it gives {c.RESTORED:g}",
    "W102": f"the same ratio, at most {c.SIGNAL_RANGE:g}",
    "W103": f"differences between samples behind the last hidden layer, at least {c.COLLAPSE:g} of those of the input",
    "W104": f"share of a branch in its stream, at least {c.SILENT:g}, unless it is zero",
    "W201": f"gradient at the first hidden layer over that at the last, at least 1/{c.GRADIENT_RANGE:g}",
    "W202": f"the largest such ratio, at most {c.GRADIENT_RANGE:g}",
    "W203": f"relative change of the output for one behind the first layer, at least 1/{c.SENSITIVITY:g}",
    "W204": f"the same, at most {c.SENSITIVITY:g}",
    "W301": f"share of units that are copies and never part, at most {c.EQUAL_SHARE:g}",
    "W302": "two parameters in different memory with the same random-looking numbers: none",
    "W401": "nan or inf in weights, outputs, loss or gradients: none",
    "W402": f"largest magnitude, at most {c.HALF:,.0f}",
    "W403": f"share of a gradient that vanishes in float16, at most {c.UNDERFLOW:g}",
    "W501": f"first loss in units of chance, at most {c.LOSS_RATIO:g}",
    "W601": f"standard deviation of a query's logits over its keys, at most {c.LOGIT_STD:g}",
    "W602": f"entropy of attention weights over log(keys), at least {c.ENTROPY:g}",
    "W701": f"share of dead units, of those that standard normal input leaves alive, at most {c.DEAD:g}",
    "W702": f"share of flat entries, of those that standard normal input leaves steep, at most {c.SATURATED:g}",
    "W703": f"share of a codebook's rows (or of places, if they are fewer) in use, at least {c.CODES:g}",
    "W801": "parameters that are used and get no gradient: none",
    "W802": "parameters that the loss does not reach: none",
    "W803": f"relative updates of two weights by a plain gradient step, at most {c.UPDATE_RANGE:,.0f} apart",
    "W901": "entries of the batch that are nan or inf: none",
    "W902": f"RMS of an input that a weight reads as it is, at most {c.RAW:g}",
    "W903": "columns of the batch with one value in all samples: none",
    "W904": "targets of the batch that are nan or inf, or labels without a class: none",
}


def pages(root: Path) -> dict[str, str]:
    """Path of each page below docs/, and its Markdown."""
    return {
        "codes.md": codes(),
        "reference/schemes.md": schemes(),
        "reference/cli.md": command_line(),
        "changelog.md": (root / "CHANGELOG.md").read_text(),
        "contributing.md": (root / "CONTRIBUTING.md").read_text().replace("](docs/", "]("),
    }


def schemes() -> str:
    """Every scheme, family by family."""
    lines = [
        "# Schemes",
        "",
        "A scheme is a frozen value. `scheme.law(shape)` gives the law for a tensor and",
        "`scheme(shape, seed=..., name=...)` draws it. The [classic ones](../guides/index.md#all-schemes) are compared",
        "in the guide; `wellbegun schemes --for router` lists those for a kind of tensor.",
        "",
        "## What every scheme can do",
        "",
        "::: wellbegun.schemes.Scheme",
        "",
        "## All at a glance",
        "",
        "Where no family is named, the scheme is at the top of the package too. Invariants are what a test asserts of",
        "every draw, and other values fail. Pictures show values below 0 in blue and above in red; outputs go down.",
        "",
        "| scheme | | family | for | invariants | source |",
        "|---|---|---|---|---|---|",
        *map(_row, cards()),
    ]
    for family in SCHEMES:
        lines += ["", f"## {re.split('[.:]', family.__doc__ or '')[0]}", ""]
        place = "wellbegun" if family in CLASSIC else family.__name__
        lines += [f"::: {place}.{name}" for name in family.__all__ if name not in ALIASES]
        same = [(name, ALIASES[name]) for name in family.__all__ if name in ALIASES]
        lines += ["", "### Other names for the same", ""] if same else []
        lines += [f"- [](){{#{place}.{a}}}`{a}` is [`{name}`][{place}.{name}]." for a, name in same]
    lines += ["", "## Text, facts and schemes of your own", ""]
    for name in ("parse_scheme", "scheme_of", "scheme", "Factory", "cards", "card_named", "Card"):
        lines.append(f"::: wellbegun.schemes.{name}")
    lines += [f"::: wellbegun.schemes.{name}" for name in ("SCHEMES", "ALIASES", "TENSORS")]
    return "\n".join(lines) + "\n"


def _row(card: Card) -> str:
    classic = card.name in NAMES
    place = "wellbegun" if classic else f"wellbegun.schemes.{card.family}"
    names = ", ".join([f"[`{card.name}`][{place}.{card.name}]", *(f"`{alias}`" for alias in card.aliases)])
    words = ", ".join(card.tensors), "; ".join(card.invariants), card.source
    shown = picture(card), "" if classic else card.family, *map(_plain, words)
    return f"| {names} | {' | '.join(shown)} |"


def codes() -> str:
    """Every health code: title, bound, why, remedy, source."""
    lines = [
        "# Health codes",
        "",
        "`wb.check` reports each finding with one of these codes. They are stable: a code keeps its meaning.",
        "A finding also names its place in the model and the value measured. *Notes* are worth knowing and make no",
        "model unhealthy. [Health](health.md) says how the quantities are measured and how well the bounds tell good",
        "from bad.",
        "",
        "| code | finding | |",
        "|---|---|---|",
    ]
    for code, check in CATALOGUE.items():
        lines.append(f"| [{code}](#{code.lower()}) | {check.title} | {'remark' * (check.severity == 'remark')} |")
    for family, name in FAMILIES.items():
        lines += ["", f"## {name.capitalize()}"]
        for code, check in CATALOGUE.items():
            if code.startswith(family):
                lines += ["", f"### {code}: {check.title} {{ #{code.lower()} }}", "", *_code(code, check)]
    return "\n".join(lines) + "\n"


def _code(code: str, check: c.Check) -> Iterator[str]:
    remark = " It is a remark." if check.severity == "remark" else ""
    yield from (f"**Bound:** {BOUNDS[code]}.{remark}", "")
    yield from (f"**Why:** {html.escape(check.why)}.", "")
    yield from ("**Remedy:**", "", "```text", _pasted(check.remedy), "```", "")
    yield f"**Source:** {html.escape(check.source)}."


def _pasted(remedy: str) -> str:
    """The remedy with names in the places that a finding fills in."""
    return (
        remedy.replace("{parameter!r}", "'0.weight'")
        .replace("{names}", "'0.weight', '2.weight'")
        .replace("{parameter}", "0.weight")
    )


# ---------------------------------------------------------------------- command line
def command_line() -> str:
    """Every command with its options, as the program itself describes them."""
    from typer.main import get_command

    from wellbegun.cli import app

    group: Any = get_command(app)
    status = "Exit status: 0 healthy, 1 unhealthy, 2 wrong use, 3 something failed (`--debug`), 141 a closed pipe."
    lines = ["# Command line", "", f"{group.help}", "", status, ""]
    lines += ["| command | what it does |", "|---|---|"]
    for name, command in group.commands.items():
        lines.append(f"| [`wellbegun {name}`](#{name}) | {_plain(command.help)} |")
    for name, command in group.commands.items():
        lines += ["", f"## wellbegun {name} {{ #{name} }}", "", *_command(name, command)]
    return "\n".join(lines) + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [item for item in command.params if item.param_type_name == "argument"]
    options = [item for item in command.params if item.param_type_name == "option"]
    usage = " ".join((item.metavar or item.name.upper()) for item in arguments)
    line = f"wellbegun {name} {usage} [options]".replace("  ", " ")
    yield from ("```text", line, "```", "", _plain(command.help), "")
    yield from ("| option | default | meaning |", "|---|---|---|")
    for item in arguments:
        yield f"| `{(item.metavar or item.name.upper())}` | | {_plain(item.help)} |"
    for item in options:
        names = ", ".join(f"`{text}`" for text in item.opts)
        default = "" if item.default in (None, ()) or item.is_flag else f"`{item.default}`"
        yield f"| {names} | {default} | {_plain(item.help)} |"


def _plain(text: str | None) -> str:
    """One line that a table can hold."""
    joined = " ".join((text or "").split())
    return re.sub(r"([|*\[\]])", r"\\\1", html.escape(joined, quote=False))
