"""Comma-separated files -> arrays to train on. Every failure is a ModelError that names file, line and column."""

import csv
import io
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wellbegun._arguments import cut, known, message, told
from wellbegun._typing import Array
from wellbegun.errors import ModelError


class Table(NamedTuple):
    """Inputs and targets of a file, and what they are, in words."""

    x: Array
    y: Array
    text: str


def read_table(path: str | Path, what: str, target: str | None = None) -> Table:
    """A .csv file: one column is the target, the last unless told; all others are inputs, as they are.

    Cells are parted by commas, semicolons or tabs. The first line holds headings, unless it holds numbers only; columns
    are called 1, 2, ... then. Targets that are texts, or whole numbers without gaps, are classes in their order.

    Raises:
        ModelError: no such file or column, or a cell that is no finite number. UnknownNameError: no such column.
    """
    owner = f"{what}: {cut(str(path))}"
    names, rows = _rows(path, owner)
    if len(names) < 2 or not rows:
        raise ModelError(f"{owner} needs two columns or more, the last one for targets, and a line of values.")
    for number, row in rows:
        if len(row) != len(names):
            raise ModelError(f"{owner}, line {number}: there are {len(names)} columns; got {len(row)} cells.")
    place = len(names) - 1 if target is None else names.index(known(what, "target", target, names))
    columns = {name: [(number, row[i].strip()) for number, row in rows] for i, name in enumerate(names)}
    if len(columns) < len(names):
        raise ModelError(f"{owner}: two columns share a heading: {', '.join(names)}.")
    wanted = columns.pop(names[place])
    x = np.array([_numbers(owner, name, cells) for name, cells in columns.items()], np.float32).T
    y, said = _targets(owner, names[place], wanted)
    inputs = "1 input as it is" if x.shape[1] == 1 else f"{x.shape[1]} inputs as they are"
    return Table(np.ascontiguousarray(x), y, f"{len(x):,} rows, {inputs}; target {names[place]!r}: {said}")


def _rows(path: str | Path, owner: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Names of the columns, and the lines that hold something, with their numbers."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        reader = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=text.partition("\n")[0].count))
        rows = [(reader.line_num, row) for row in reader if any(row)]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or told(error)
        raise ModelError(f"{owner} cannot be read as .csv: {reason.rstrip('.')}.") from error
    first = rows[0][1] if rows else []
    if all(map(math.isfinite, map(_number, first))):
        return [str(i) for i in range(1, len(first) + 1)], rows
    return [name.strip() for name in first], rows[1:]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _numbers(owner: str, name: str, cells: list[tuple[int, str]]) -> list[float]:
    found = [_number(text) for _, text in cells]
    for (number, text), value in zip(cells, found, strict=True):
        if not math.isfinite(value):
            raise ModelError(message(f"{owner}, line {number}", f"column {name!r}", "a finite number", text))
    return found


def _targets(owner: str, name: str, cells: list[tuple[int, str]]) -> tuple[Array, str]:
    texts = [text for _, text in cells]
    if 2 * sum(math.isnan(_number(text)) for text in texts) > len(texts):
        if empty := next((number for number, text in cells if not text), 0):
            raise ModelError(message(f"{owner}, line {empty}", f"column {name!r}", "a class", ""))
        names, found = np.unique(texts, return_inverse=True)
        return found, f"{_classes(names)} ({cut(', '.join(map(str, names)))[1:-1]})"
    values = np.array(_numbers(owner, name, cells))
    whole = np.unique(values)
    if np.array_equal(whole, np.arange(whole[0], whole[0] + len(whole))) and float(whole[0]).is_integer():
        return (values - whole[0]).astype(np.int64), f"{_classes(whole)} ({whole[0]:g} to {whole[-1]:g})"
    return values.astype(np.float32)[:, None], f"numbers ({values.min():.4g} to {values.max():.4g})"


def _classes(found: Array) -> str:
    return f"{len(found)} class{'es' * (len(found) != 1)}"
