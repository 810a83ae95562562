"""A bar on the terminal's error stream, gone when the work is over; where there is no terminal, a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int, str], None]
EVERY = 5.0  # seconds between lines


@contextmanager
def shown(progress: bool | Progress, what: str = "racing") -> Iterator[Progress]:
    """What to call with (done, all, name). `what` is being done; without it, names start with that."""
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda *_: None
    elif not sys.stderr.isatty():
        yield lines(what)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        texts = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[name]}", markup=False)
        columns = texts[0], BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), texts[1]
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what or "start", total=None, name="")

            def update(done: int, total: int, name: str) -> None:
                phase, _, place = (what, "", name) if what else name.partition(" ")
                bar.update(task, completed=done, total=total, description=phase, name=place)

            yield update


def lines(what: str) -> Progress:
    """Writes to the error stream how far it is, if it takes long: logs are read while they grow."""
    begun = last = time.monotonic()

    def tell(done: int, total: int, name: str) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= EVERY:
            last = now
            text = f"{what} {done} of {total}, {now - begun:.0f} s: {name}"
            print(" ".join(text.split()), file=sys.stderr, flush=True)

    return tell
