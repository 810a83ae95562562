"""Entries whose law follows from another entry's, brought up to date when that one changes."""

from collections.abc import Iterable
from dataclasses import replace

from wellbegun.laws import Constant, Law, RowSums
from wellbegun.planning.plan import Entry


def relinked(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The same entries, with every bias that cancels a mean computed from the law its weight has now."""
    listed = tuple(entries)
    laws = {entry.stream: entry.law for entry in listed if entry.action == "fill"}
    return tuple(
        _relinked(entry, laws.get(entry.law.stream)) if isinstance(entry.law, RowSums) else entry for entry in listed
    )


def _relinked(entry: Entry, law: Law | None) -> Entry:
    assert isinstance(entry.law, RowSums)
    if law is None:
        reason = f"bias starts at 0: {entry.law.stream} is kept, so the mean of its inputs cannot be cancelled"
        return replace(entry, law=Constant(0.0), scheme="zeros()", reason=reason, source="")
    return replace(entry, law=replace(entry.law, law=law)) if law != entry.law.law else entry
