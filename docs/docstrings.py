"""Docstrings of the package as Markdown: fields, examples, tables and papers, for the reference pages."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import griffe

from wellbegun.schemes import SCHEMES

FIELD = re.compile(
    r"(Args|Returns|Raises|Formula|Shapes|Cost|Accuracy|Strengths|Weaknesses|Use|Source)s?:(?:\s+(\S.*))?$"
)
PAPER = re.compile(r"(?<![\[/\w])arXiv:((?:math-ph/)?\d[\d.]*\d)")
COMPLETED = {f"{factory.__module__}.{name}": inspect.getdoc(factory) or "" for name, factory in SCHEMES.items()}
ITEM = re.compile(r"([\w*][\w*, ]*): (.*)$")


def linked(text: str) -> str:
    """Papers named by their arXiv number, as links."""
    return PAPER.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


def markdown(text: str) -> str:
    """A docstring as Markdown."""
    lines, out = text.replace(". Raises: ", ".\nRaises: ").splitlines(), []
    while lines:
        line = lines[0]
        if line.lstrip().startswith(">>>"):
            out += ["", "```pycon", *(item.strip() for item in _while(lines, lambda item: item.strip())), "```", ""]
        elif line.startswith("==="):
            out += ["", "```text", *_while(lines, lambda item: item.strip()), "```", ""]
        elif line.startswith("    "):  # a drawing
            out += ["", "```text", *_while(lines, lambda item: item.startswith("    ")), "```", ""]
        elif found := FIELD.match(line):
            lines.pop(0)
            body = _while(lines, lambda item: item.strip() and not FIELD.match(item) and ">>>" not in item)
            out += ["", *_field(found[1], found[2] or "", body), ""]
        else:
            out.append(linked(lines.pop(0)))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip()


def _while(lines: list[str], kept: Any) -> list[str]:
    taken = []
    while lines and kept(lines[0]):
        taken.append(lines.pop(0))
    return taken


def _field(name: str, first: str, body: list[str]) -> list[str]:
    if name != "Args":
        return [f"**{name}:** " + linked(" ".join([first, *(line.strip() for line in body)]).strip())]
    items: list[str] = []
    for line in body:
        found = ITEM.match(line.strip()) if re.match(r" {4}\S", line) else None
        if found:
            items.append(f"- {', '.join(f'`{part.strip()}`' for part in found[1].split(','))}: {found[2]}")
        elif items:
            items[-1] += f" {line.strip()}"
    return ["**Arguments**", "", *map(linked, items)]


class Docstrings(griffe.Extension):
    """Rewrites every docstring that a page shows; fields are explained by the comments on their lines."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:  # that of a scheme is completed from its facts when it is imported
            obj.docstring.value = markdown(COMPLETED.get(obj.path, obj.docstring.value))
        if obj.docstring is not None and obj.is_class and (fields := list(_fields(obj))):
            obj.docstring.value += "\n\n**Fields**\n\n" + "\n".join(fields)


def _fields(obj: griffe.Object) -> Iterator[str]:
    for name, member in obj.members.items():
        comment = "" if member.is_alias or not member.is_attribute else member.source.partition("  # ")[2].strip()
        if comment and not name.startswith("_"):
            yield f"- `{name}`: {linked(comment)}"
