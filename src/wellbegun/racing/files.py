"""Trials on disk: Parquet or CSV, one row for each, with what the race was beside them."""

import csv
import io
import json
import threading
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from wellbegun._arguments import cut
from wellbegun.errors import MissingDependencyError, ModelError
from wellbegun.racing.records import Trial
from wellbegun.storage import read_bytes, replacing

FORMAT = 1
NAMES = tuple(item.name for item in fields(Trial))
_MARK = "# wellbegun race "  # first line of a CSV file, before the settings as JSON
SUFFIXES = (".parquet", ".csv")
_fields = threading.Lock()


def check_path(path: Path, what: str) -> None:
    """Whether a race can be written there, told before anything runs."""
    if path.suffix not in SUFFIXES:
        raise ModelError(f"{what}: expected a file ending in .parquet or .csv; got {cut(str(path))}.")
    if not path.parent.is_dir():
        raise ModelError(f"{what}: there is no folder {str(path.parent)!r}.")
    if path.is_dir():
        raise ModelError(f"{what}: {cut(str(path))} is a folder.")
    if path.suffix == ".parquet":
        _arrow()


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError(
            "race: Parquet files need pyarrow. Install it: pip install 'wellbegun[race]', or write .csv."
        ) from error
    return pyarrow


def write(trials: Sequence[Trial], head: dict[str, Any], path: Path) -> Path:
    """Write the file whole or not at all: an existing one is replaced once the new one is complete."""
    check_path(path, "race")
    head = {"format": FORMAT, **head}
    content = _parquet(trials, head) if path.suffix == ".parquet" else _csv(trials, head).encode()
    with replacing(path) as new:
        new.write_bytes(content)
    return path


def read(path: Path) -> tuple[tuple[Trial, ...], dict[str, Any]]:
    """Trials and what stands beside them."""
    check_path(path, "race")
    content = read_bytes("race", path)
    try:
        rows, head = _from_parquet(content) if path.suffix == ".parquet" else _from_csv(content.decode())
        trials = tuple(Trial(**row) for row in rows)
    except (ValueError, TypeError, KeyError, csv.Error) as error:  # pyarrow's errors are ValueErrors
        raise ModelError(f"race: {cut(str(path))} holds no race ({type(error).__name__}: {error}).") from error
    if head.get("format") != FORMAT:
        raise ModelError(f"race: {cut(str(path))} has format {head.get('format')!r}; this version reads {FORMAT}.")
    return trials, head


# ---------------------------------------------------------------------- Parquet
def _parquet(trials: Sequence[Trial], head: dict[str, Any]) -> bytes:
    arrow = _arrow()
    text, number = arrow.string(), arrow.float64()
    kinds = {
        **dict.fromkeys(("candidate", "optimizer", "status", "error"), text),
        **dict.fromkeys(("rate", "metric", "seconds"), number),
        "seed": arrow.uint64(),
        "losses": arrow.list_(number),
        "findings": arrow.list_(text),
    }
    schema = arrow.schema([(name, kinds[name]) for name in NAMES], metadata={"wellbegun": json.dumps(head)})
    columns = {name: [getattr(trial, name) for trial in trials] for name in NAMES}
    sink = arrow.BufferOutputStream()
    arrow.parquet.write_table(arrow.table(columns, schema=schema), sink)
    return bytes(sink.getvalue())


def _from_parquet(content: bytes) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    arrow = _arrow()
    table = arrow.parquet.read_table(io.BytesIO(content))
    head = json.loads((table.schema.metadata or {})[b"wellbegun"])
    rows = table.to_pylist()
    return [{**row, "losses": tuple(row["losses"]), "findings": tuple(row["findings"])} for row in rows], head


# ---------------------------------------------------------------------- CSV
def _csv(trials: Sequence[Trial], head: dict[str, Any]) -> str:
    """Lists are separated by spaces, numbers as Python writes them: they come back to the last bit."""
    out = io.StringIO(newline="")
    out.write(_MARK + json.dumps(head) + "\n")
    table = csv.writer(out, lineterminator="\n")
    table.writerow(NAMES)
    for trial in trials:
        table.writerow([_cell(getattr(trial, name)) for name in NAMES])
    return out.getvalue()


def _cell(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, tuple) else value


def _from_csv(text: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    first, _, rest = text.partition("\n")
    if not first.startswith(_MARK):
        raise ValueError("the first line is not that of a race")
    with _fields:  # the csv module has one limit for the length of a field, for the whole process
        before = csv.field_size_limit(max(len(rest), csv.field_size_limit()))
        try:
            rows = list(csv.DictReader(io.StringIO(rest, newline="")))
        finally:
            csv.field_size_limit(before)
    return [_row(row) for row in rows], json.loads(first[len(_MARK) :])


def _row(row: dict[str, str]) -> dict[str, Any]:
    numbers = {"rate": float(row["rate"]), "seconds": float(row["seconds"]), "seed": int(row["seed"])}
    metric = float(row["metric"]) if row["metric"] else None
    losses = tuple(float(loss) for loss in row["losses"].split())
    return {**row, **numbers, "metric": metric, "losses": losses, "findings": tuple(row["findings"].split())}
