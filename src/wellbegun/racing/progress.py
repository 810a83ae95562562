"""A bar on the terminal's error stream, gone when the race is over; nothing where there is no terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int, str], None]


@contextmanager
def shown(progress: bool | Progress) -> Iterator[Progress]:
    """What to call with (done, all, name) after each trial."""
    if callable(progress):
        yield progress
    elif not progress or not sys.stderr.isatty():
        yield lambda *_: None
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        name_column = TextColumn("{task.fields[name]}", markup=False)
        columns = TextColumn("racing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), name_column
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("race", total=None, name="")
            yield lambda done, total, name: bar.update(task, completed=done, total=total, name=name)
