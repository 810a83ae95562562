"""Tables and pages of what was found."""

import datetime
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from wellbegun._arguments import message
from wellbegun.api.models import Applied, Result
from wellbegun.backend import find
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.health import Health
from wellbegun.planning import Plan
from wellbegun.reports.shown import Shown, print_tables


def show(found: Shown | Result | Applied) -> None:
    """Print a plan, what `diff` or `explain` gave, a ledger, health, signal propagation, a race, a result, or
    what `compare_models` found.

    Raises:
        ArgumentTypeError: anything else.

    >>> import wellbegun as wb
    >>> from torch import nn
    >>> show(wb.initialize(nn.Linear(8, 4), (16, 8), seed=0).ledger)
    2 filled; seed 0.
    """
    items = _parts(found)
    if not all(isinstance(item, get_args(Shown)) for item in items):
        allowed = f"a {', '.join(kind.__name__ for kind in get_args(Shown))}, Applied or Result"
        raise ArgumentTypeError(message("show", "found", allowed, type(found).__name__))
    print_tables(items)


def report(
    *found: Any,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    before: Health | Result | None = None,
    model: Any = None,
    date: datetime.date | str | None = None,
) -> Path | str:
    """One HTML file that says whether a model is ready to train, and shows why: no network, phone, dark, paper.

    Args:
        found: What to show, at most one of each: a Result or Applied, Plan, Ledger, Health, SignalPropagation, Race.
        path: File to write; an existing one is replaced once the new one is complete. None returns the text.
        title: Heading of the page.
        before: Health before initialization, which the charts show beside that of now.
        model: What it is about: the page names its class. With the plan that filled it, histograms of its weights stand
            beside their laws.
        date: When it was made: a date, or a text shown as it is. None: the day of the environment variable
            SOURCE_DATE_EPOCH; without it the page names no day, so that the same things give the same bytes.
    Returns:
        The path of the file, or its text if no path was given.
    Raises:
        ArgumentTypeError: something that cannot be shown. ArgumentError: two of a kind, nothing, a model without its
        plan or health, or one that has other parameters. FileError: the file cannot be written.
    Cost: 0.6 MB of text, some 100 bytes for each parameter, and a second at most.

    >>> import wellbegun as wb
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    >>> text = report(wb.initialize(model, (16, 8), seed=0), model=model)
    >>> "Ready to train" in text and "http-equiv" in text
    True
    """
    from wellbegun.reports.histogram import histograms
    from wellbegun.reports.html import contents_of, document, origin
    from wellbegun.storage import write_text

    items = [part for item in found for part in _parts(item)]
    contents = contents_of(items, before.health if isinstance(before, Result) else before, with_model=model is not None)
    if model is not None:
        _its_own(model, contents.plan, contents.health)
    if model is not None and contents.plan is not None:
        samples = partial(find(model).parameter_samples, model)
        contents = replace(contents, histograms=histograms(contents.plan, samples))
    text = document(contents, title or "How this model begins", origin(contents, model, date))
    return text if path is None else write_text(path, text)


def _its_own(model: Any, plan: Plan | None, health: Health | None) -> None:
    """An error where a model lacks a parameter that was planned or measured, or has it in another shape."""
    shapes = {name: parameter.shape for name, parameter in find(model).describe(model).items()}
    told = {} if health is None else {p.name: shapes.get(p.name) for p in health.statistics.parameters}
    told |= {} if plan is None else {entry.name: entry.shape for entry in plan.entries}
    wrong = next((name for name, shape in told.items() if name not in shapes or shapes[name] != shape), None)
    if wrong is not None:
        has = f"one whose {wrong!r} is {shapes[wrong]}" if wrong in shapes else f"one without {wrong!r}"
        raise ArgumentError(message("report", "model", "the one that the plan or health is of", has))


def _parts(found: Any) -> tuple[Any, ...]:
    """What a result consists of; anything else as it is."""
    if isinstance(found, Result):
        return found.plan, found.ledger, found.health
    return (found.ledger,) if isinstance(found, Applied) else (found,)
