"""Tables that fit where they are printed: no number is ever broken, and no name but in texts without room, at dots.

What has no room: schemes are told without their numbers, columns of a rank are left out, texts move below the table and
are pointed to by numbers, what names of neighbouring rows begin with stands once above them, and names are cut in the
middle. Lines have no spaces at their end.
"""

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from wellbegun._arguments import shown

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

GAP, LEAST_NAME, LEAST_TEXT = "  ", 16, 24


class Column(NamedTuple):
    """`kind`: plain or number (never cut), name, call (a scheme), text (wrapped), why (wrapped, or moved below).
    `rank`: above 0, it is left out where there is no room, the highest first, and 1 only if cut names do not help."""

    title: str
    kind: str = "plain"
    rank: int = 0


Row = tuple[str, ...]


@dataclass(frozen=True)
class Fitted:
    """A table for the terminal. `marked`: places of rows at fault. A row without cells is a line between rows."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    marked: frozenset[int] = field(default=frozenset())

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        for style, line in self.lines(options.max_width):
            line = line.replace("─", "-") if options.ascii_only else line
            yield Text(line, style, no_wrap=True, overflow="ignore")

    def lines(self, width: int) -> Iterator[tuple[str, str]]:
        """Style and text of every line."""
        columns = [*([Column("")] if self.marked else []), *self.columns]
        rows = [self._cells(i, row) for i, row in enumerate(self.rows)]
        grid = _Grid(columns, rows, width)
        yield from (("bold", line) for line in textwrap.wrap(self.title, max(width, LEAST_TEXT), **_WHOLE))
        yield "", ""
        yield from grid.lines(self.marked)
        yield "", ""
        if grid.left_out:
            yield "dim", f"Left out here, shown by --wide: {', '.join(grid.left_out).rstrip('.')}."

    def _cells(self, place: int, row: Row) -> Row:
        cells = tuple(map(shown, row))
        return (*(["!" if place in self.marked else ""] if self.marked and row else []), *cells)


@dataclass(frozen=True)
class Facts:
    """Names and what they say, wrapped beside them."""

    found: Sequence[tuple[str, str]]
    indent: int = 0

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        margin = max((len(name) for name, _ in self.found), default=0) + len(GAP) + self.indent
        for name, value in self.found:
            lead = f"{' ' * self.indent}{name}".ljust(margin)
            for line in textwrap.wrap(shown(value), max(options.max_width - margin, LEAST_TEXT), **_WHOLE) or [""]:
                yield Text.assemble((lead, "bold"), line, no_wrap=True, overflow="ignore")
                lead = " " * margin


class _Grid:
    """Columns and rows as they are printed in so many characters."""

    def __init__(self, columns: list[Column], rows: list[Row], width: int) -> None:
        self.columns, self.rows, self.width = columns, rows, width
        self.left_out: list[str] = []
        self.below: list[str] = []
        self.heads: dict[int, str] = {}  # row -> what its name and the next ones begin with
        rarely, often = partial(self._leave_out, 2), partial(self._leave_out, 1)
        steps: list[Callable[[], None]] = [rarely] * len(columns)
        for squeeze in (self._plain_calls, *steps, self._move_below, self._fold_names):
            if self._least() > width:
                squeeze()
        for _ in columns:
            if self._least(LEAST_NAME) > width:
                often()
        self.widths = self._widths()

    def _column(self, place: int) -> list[str]:
        return [row[place] for row in self.rows if row]

    def _natural(self, place: int) -> int:
        return max(map(len, [self.columns[place].title, *self._column(place)]))

    def _each(self, kind: str, function: Callable[[list[str]], list[str]]) -> None:
        """Cells of the columns of a kind, all of a column at once."""
        for place, column in enumerate(self.columns):
            if column.kind == kind:
                cells = iter(function(self._column(place)))
                self.rows = [(*r[:place], next(cells), *r[place + 1 :]) if r else r for r in self.rows]

    def _least(self, name: int | None = None) -> int:
        bounds = {"text": LEAST_TEXT, "why": 2 * LEAST_TEXT, "name": name, "call": name}
        natural = [(self._natural(i), bounds.get(column.kind)) for i, column in enumerate(self.columns)]
        return sum(n if b is None else min(n, b) for n, b in natural) + len(GAP) * (len(self.columns) - 1)

    def _plain_calls(self) -> None:
        self._each("call", lambda cells: [*map(plain_call, cells)])

    def _leave_out(self, least: int) -> None:
        rank, place = max((column.rank, place) for place, column in enumerate(self.columns))
        if rank >= least:
            self.left_out.insert(0, self.columns.pop(place).title)
            self.rows = [row[:place] + row[place + 1 :] for row in self.rows]

    def _move_below(self) -> None:
        def numbers(cells: list[str]) -> list[str]:
            self.below = list(dict.fromkeys(filter(None, cells)))
            return [str(self.below.index(cell) + 1) if cell else "" for cell in cells]

        self._each("why", numbers)
        self.columns = [column._replace(kind="number") if column.kind == "why" else column for column in self.columns]

    def _fold_names(self) -> None:
        places = [place for place, column in enumerate(self.columns) if column.kind == "name"]
        others = self._least() - sum(map(self._natural, places))
        self._each("name", partial(self._folded, max(self.width - others, LEAST_NAME)))

    def _folded(self, room: int, names: list[str]) -> list[str]:
        start, found = 0, []
        while start < len(names):
            prefix, count = common_start(names[start:], room)
            if prefix:
                self.heads[start] = prefix
            found += [GAP * bool(prefix) + name[len(prefix) :] for name in names[start : start + count]]
            start += count
        return found

    def _widths(self) -> list[int]:
        widths = [self._natural(i) for i in range(len(self.columns))]
        bounds = ("text", LEAST_TEXT), ("why", LEAST_TEXT), ("name", LEAST_NAME), ("call", LEAST_NAME), ("text", 14)
        for kind, least in bounds:
            places = [i for i, column in enumerate(self.columns) if column.kind == kind]
            for _ in range(sum(widths)):
                over = sum(widths) + len(GAP) * (len(widths) - 1) - self.width
                widest = max(places, key=lambda i: widths[i], default=None)
                if over <= 0 or widest is None or widths[widest] <= least:
                    break
                widths[widest] -= 1
        self._shorten_names(widths)
        return widths

    def _shorten_names(self, widths: list[int]) -> None:
        for place, column in enumerate(self.columns):
            if column.kind in ("name", "call"):
                cells = iter(shortened(self._column(place), widths[place]))
                self.rows = [(*r[:place], next(cells), *r[place + 1 :]) if r else r for r in self.rows]

    def lines(self, marked: frozenset[int]) -> Iterator[tuple[str, str]]:
        """Style and text of the headings, the rows and what is below them."""
        yield "bold", self._line([column.title for column in self.columns])
        yield "", "─" * (sum(self.widths) + len(GAP) * (len(self.widths) - 1))
        number = 0
        for place, row in enumerate(self.rows):
            if number in self.heads and row:
                yield "", self.heads[number]
            number += bool(row)
            for line in self._wrapped(row):
                yield "bold red" if place in marked else "", line
        for number, text in enumerate(self.below, 1):
            lead = "\n" * (number == 1) + f"{number:>2}  "
            yield (
                "",
                textwrap.fill(
                    text, max(self.width, LEAST_TEXT), initial_indent=lead, subsequent_indent="    ", **_WHOLE
                ),
            )

    def _wrapped(self, row: Row) -> list[str]:
        """A row as lines: texts are wrapped, all else is one line."""
        if not row:
            return [""]
        cells = []
        for cell, column, width in zip(row, self.columns, self.widths, strict=True):
            wrap = column.kind in ("text", "why")
            cells.append(_wrap(cell, max(width, 1)) if wrap else cell.split("\n"))
        height = max(map(len, cells))
        return [self._line([cell[i] if i < len(cell) else "" for cell in cells]) for i in range(height)]

    def _line(self, cells: list[str]) -> str:
        parts = zip(cells, self.columns, self.widths, strict=True)
        padded = (cell.rjust(w) if column.kind == "number" else cell.ljust(w) for cell, column, w in parts)
        return GAP.join(padded).rstrip()


_WHOLE: Any = {"break_long_words": False, "break_on_hyphens": False}


def _wrap(text: str, width: int) -> list[str]:
    """Lines of a text; a word that is longer than one, as a name or a call, goes on behind a dot, a comma or the like.

    >>> _wrap("of encoder.layers.0.norm", 16)
    ['of encoder.', 'layers.0.norm']
    """
    words = []
    for word in text.split():
        words.append("")
        for part in re.split(r"(?<=[.,(=_])(?!\d)", word) if len(word) > width else [word]:
            words += [part] if words[-1] and len(words[-1] + part) > width else [words.pop() + part]
    return textwrap.wrap(" ".join(words), width, **_WHOLE)


def plain_call(text: str) -> str:
    """A scheme without its numbers.

    >>> plain_call("mirrored(orthogonal(gain=1.41), outputs=False, inputs=(32,))")
    'mirrored(orthogonal)'
    """
    text = re.sub(r"=\([^()]*\)", "=", text)
    before = ""
    while text != before:
        before, text = text, re.sub(r",? ?\w+=[^,()\[\]]*|\(\)", "", text)
    return text


def common_start(names: Sequence[str], room: int) -> tuple[str, int]:
    """What the first name and its neighbours begin with, up to a dot, and how many do, if what is left then has room.

    A name that stands for the rows below it is all of it such a start.

    >>> common_start(["encoder.layers.0.up", "encoder.layers.0.down", "head"], 12)
    ('encoder.layers.', 2)
    """
    if len(names[0]) > room and names[1:2] == [""]:
        return names[0], next((i for i, name in enumerate(names[1:], 1) if name), len(names))
    found = []
    for dot in re.finditer(r"(?<!\.)\.(?!\.)", names[0]):
        prefix = names[0][: dot.end()]
        alike = [*takewhile(lambda name, start=prefix: name.startswith(start), names)]  # type: ignore[misc]
        longest = max(map(len, alike))
        if len(alike) > 1 and longest > room:
            found.append((prefix, len(alike), longest - len(prefix) + len(GAP) <= room))
    roomy = [(prefix, count) for prefix, count, fits in found if fits]
    return max(roomy, key=lambda item: item[1]) if roomy else found[-1][:2] if found else ("", 1)


def shortened(names: Sequence[str], width: int) -> list[str]:
    """Names cut in the middle to a width; different ones stay different.

    >>> shortened(["transformer.layer", "transformed.layer"], 12)
    ['tra…er.layer', 'tra…ed.layer']
    """
    for head in (width // 2, width // 4, 3 * width // 4, 0, width - 1):
        tail = width - 1 - head
        cut = [n if len(n) <= width else n[:head] + "…" + (n[-tail:] if tail else "") for n in names]
        if len(set(cut)) == len(set(names)):
            return cut
    return list(names)
