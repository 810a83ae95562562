"""Which model a report is about, when it was made and with which versions."""

import datetime
import os
import platform
import sys
from typing import Any

from wellbegun._arguments import message
from wellbegun.backend.find import KNOWN, belongs
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.reports.html.contents import Contents
from wellbegun.reports.html.parts import plural


def origin(contents: Contents, model: Any = None, date: datetime.date | str | None = None) -> str:
    """One line, for the head of the page.

    Without a date the day is that of SOURCE_DATE_EPOCH (seconds since 1970), or is left out: the clock would make two
    reports of the same things differ.

    >>> from wellbegun.planning import Plan
    >>> origin(Contents(plan=Plan((), "auto@2", 0)), date="2026-11-29").split(", Python")[0].rpartition(" ")[0]
    'A model of 0 parameters. Made on 2026-11-29 with wellbegun'
    """
    from wellbegun import __version__

    names = [found] if (found := belongs(model)) else [name for name in KNOWN if name in sys.modules]
    loaded = [(name, getattr(sys.modules[name], "__version__", "")) for name in names]  # one may be blocked, or a stub
    versions = [("wellbegun", __version__), ("Python", platform.python_version()), *(one for one in loaded if one[1])]
    used = ", ".join(f"{name} {version}" for name, version in versions)
    day = _day(date)
    return f"{_subject(contents, model)}Made {f'on {day} ' if day else ''}with {used}."


def _subject(contents: Contents, model: Any) -> str:
    if contents.plan is not None:
        count = len(contents.plan)
    elif contents.health is not None:
        count = len(contents.health.statistics.parameters)
    elif contents.ledger is not None:
        count = len(contents.ledger.records)
    else:
        return ""
    name = "A model" if model is None else type(model).__qualname__
    return f"{name} of {plural(count, 'parameter')}. "


def _day(date: datetime.date | str | None) -> str:
    if date is not None and not isinstance(date, (str, datetime.date)):
        raise ArgumentTypeError(message("report", "date", "a date, or a text", date))
    if date is not None:
        return str(date)
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    try:
        return str(datetime.datetime.fromtimestamp(int(epoch), datetime.UTC).date()) if epoch else ""
    except (ValueError, OverflowError, OSError) as error:
        raise ArgumentError(message("report", "SOURCE_DATE_EPOCH", "seconds since 1970", epoch)) from error
