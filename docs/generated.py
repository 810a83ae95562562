"""Pages written from the code: health codes, the command line, changelog, contributing."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wellbegun.health import CATALOGUE

GROUPS = {
    "1": "Signals",
    "2": "Gradients",
    "3": "Units and weights",
    "4": "Numbers",
    "5": "The first loss",
}


def pages(root: Path) -> dict[str, str]:
    """Path of each page below docs/, and its Markdown."""
    return {
        "codes.md": codes(),
        "reference/cli.md": command_line(),
        "changelog.md": (root / "CHANGELOG.md").read_text(),
        "contributing.md": (root / "CONTRIBUTING.md").read_text().replace("](docs/", "]("),
    }


def codes() -> str:
    """Every health code: title, why its bound, remedy."""
    lines = [
        "# Health codes",
        "",
        "`wb.check` reports each finding with one of these codes. They are stable: a code keeps its meaning.",
        "Every finding also carries its place in the model, the value measured and the bound.",
        "",
        "| code | finding |",
        "|---|---|",
        *(f"| [{code}](#{code.lower()}) | {title} |" for code, (title, *_) in CATALOGUE.items()),
    ]
    group = ""
    for code, (title, why, remedy) in CATALOGUE.items():
        if GROUPS.get(code[1], "Other") != group:
            group = GROUPS.get(code[1], "Other")
            lines += ["", f"## {group}"]
        lines += ["", f"### {code}: {title} {{ #{code.lower()} }}", ""]
        lines += [f"**Why:** {html.escape(why)}.", "", f"**Remedy:** {html.escape(remedy)}."]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------- command line
def command_line() -> str:
    """Every command with its options, as the program itself describes them."""
    from typer.main import get_command

    from wellbegun.cli import app

    group: Any = get_command(app)
    lines = ["# Command line", "", f"{group.help}", "", "Exit status: 0 healthy, 1 unhealthy, 2 wrong use.", ""]
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
